"""A hybrid of convolution and spectral convolution: what is near, by a 3x3 kernel of physical width, and what is far, by waves.

    mixed = spectral(h) + conv3x3(h)        in every block, the kernel on the grid that has `points` columns

On a grid of another size the features are resampled to that one and back, so that the weights mean the same; waves finer
than it holds pass the block by its pointwise parts only.
"""

__all__ = ["HybridOperator"]

from typing import Unpack

from driftfield.networks.fourier_operator import FourierOperator
from driftfield.networks.neural_operator import OperatorOptions, SpectralBlock
from driftfield.networks.spectral import PhysicalConv
from driftfield.registry import register


@register("network")
class HybridOperator(FourierOperator):
    """Spectral blocks whose local path looks at neighbours.

    Arguments:
        channels: Of the field.
        points: Columns of the grid whose cells measure the kernels: those of the training fields, where nothing is resampled
            then.
        layers: Blocks.
        shared: `covariates`, `first_guess` and all else of `NeuralOperator`.
    """

    def __init__(
        self,
        channels: int,
        *,
        points: int = 64,
        layers: int = 4,
        **shared: Unpack[OperatorOptions],
    ) -> None:
        self.points = points
        super().__init__(channels, layers=layers, **shared)

    def block(self, width: int, modes: int) -> SpectralBlock:
        return SpectralBlock(
            width,
            self.embedding,
            modes=modes,
            local=PhysicalConv(width, self.points),
            **self.options,  # type: ignore[arg-type]
        )

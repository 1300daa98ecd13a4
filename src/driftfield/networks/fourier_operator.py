"""The Fourier neural operator (Li et al. 2021, arXiv 2010.08895): blocks of spectral convolutions at one resolution."""

__all__ = ["FourierOperator"]

from typing import Unpack

from torch import Tensor, nn

from driftfield.errors import whole_number
from driftfield.networks.neural_operator import NeuralOperator, OperatorOptions
from driftfield.registry import register


@register("network")
class FourierOperator(NeuralOperator):
    """A stack of spectral blocks.

    Arguments:
        channels: Of the field.
        layers: Blocks.
        shared: `covariates`, `first_guess` and all else of `NeuralOperator`.
    """

    def __init__(
        self,
        channels: int,
        *,
        layers: int = 4,
        **shared: Unpack[OperatorOptions],
    ) -> None:
        super().__init__(channels, **shared)
        width = self.stem.out_channels
        self.blocks = nn.ModuleList(self.block(width, self.modes) for _ in range(whole_number("layers", layers)))

    def trunk(self, h: Tensor, embedding: Tensor) -> Tensor:
        for block in self.blocks:
            h = block(h, embedding)
        return h

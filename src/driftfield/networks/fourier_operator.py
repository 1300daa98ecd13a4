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
        channels, covariates, first_guess: Of the field and what is known of it.
        layers: Blocks.
        shared: See `NeuralOperator`.
    """

    def __init__(
        self,
        channels: int,
        covariates: int = 0,
        first_guess: bool = False,
        *,
        layers: int = 4,
        **shared: Unpack[OperatorOptions],
    ) -> None:
        super().__init__(channels, covariates, first_guess, **shared)
        width = self.stem.out_channels
        self.blocks = nn.ModuleList(self.block(width, self.modes) for _ in range(whole_number("layers", layers)))

    def trunk(self, h: Tensor, embedding: Tensor) -> Tensor:
        for block in self.blocks:
            h = block(h, embedding)
        return h

"""A U-shaped neural operator (Rahman et al. 2023, arXiv 2204.11127): spectral blocks on coarser grids, by truncation.

    h_0 --> blocks --truncate, 1x1--> blocks --truncate, 1x1--> ... --pad with zeros, 1x1--> + h_1 --> ... + h_0

Level l has m_l = modes / 2^l waves in its convolutions and 4 m_l cells in each direction, whatever the grid of the field
(but no more than it): a grid that was halved would hold other waves on a finer field.
"""

__all__ = ["SpectralUNet"]

from collections.abc import Sequence
from itertools import pairwise
from typing import Unpack, cast

from torch import Tensor, nn

from driftfield.errors import ConfigurationError
from driftfield.networks.blocks import Conv
from driftfield.networks.neural_operator import NeuralOperator, OperatorOptions, one_of_each
from driftfield.networks.spectral import resampled
from driftfield.registry import register


@register("network")
class SpectralUNet(NeuralOperator):
    """Spectral blocks at several resolutions.

    Arguments:
        channels: Of the field.
        widths: Features at each resolution, finest first; the first one is the `width` of the network.
        depths: Blocks at each resolution, on the way down and on the way up.
        shared: `covariates`, `first_guess` and all else of `NeuralOperator`.

    Raises:
        ConfigurationError: lists of different length, or `width` beside `widths`.
    """

    def __init__(
        self,
        channels: int,
        *,
        widths: Sequence[int] = (32, 48, 64),
        depths: Sequence[int] = (1, 1, 2),
        **shared: Unpack[OperatorOptions],
    ) -> None:
        one_of_each(widths=widths, depths=depths)
        if shared.setdefault("width", widths[0]) != widths[0]:
            raise ConfigurationError(f"Found width={shared['width']} beside widths={list(widths)}: leave width out.")
        super().__init__(channels, **shared)

        self.modes_of = [max(1, self.modes >> level) for level in range(len(widths))]

        def blocks(level: int) -> nn.ModuleList:
            return nn.ModuleList(self.block(widths[level], self.modes_of[level]) for _ in range(depths[level]))

        self.down = nn.ModuleList(blocks(level) for level in range(len(widths)))
        self.up = nn.ModuleList(blocks(level) for level in range(len(widths) - 1))
        self.shrink = nn.ModuleList(Conv(fine, coarse, 1) for fine, coarse in pairwise(widths))
        self.grow = nn.ModuleList(Conv(coarse, fine, 1) for fine, coarse in pairwise(widths))

    def trunk(self, h: Tensor, embedding: Tensor) -> Tensor:
        skips: list[Tensor] = []
        for level, blocks in enumerate(self.down):
            if level:
                rows, columns = (min(cells, 4 * self.modes_of[level]) for cells in h.shape[-2:])
                h = self.shrink[level - 1](resampled(h, (rows, columns)))
            for block in cast(nn.ModuleList, blocks):
                h = block(h, embedding)
            skips.append(h)
        for level in reversed(range(len(self.up))):
            rows, columns = skips[level].shape[-2:]
            h = resampled(self.grow[level](h), (rows, columns)) + skips[level]
            for block in cast(nn.ModuleList, self.up[level]):
                h = block(h, embedding)
        return h

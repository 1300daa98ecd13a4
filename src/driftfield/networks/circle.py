"""A one-dimensional U-Net for fields on a circle of latitude, such as those of Lorenz's worlds.

    x_t, condition --conv--> blocks ------------------- + --> blocks --> conv        40 points
                               | half                   ^ twice
                             blocks ------- + --> blocks                             20 points
                               | half       ^ twice
                             blocks --------                                         10 points

The bricks are those of `ConvNeXtUNet` (depthwise convolution, then two pointwise ones), one point high. There is no first point
on a circle: the network is not told where it is, nor the date, and turning the input by a multiple of the coarsest spacing turns
the output.
"""

__all__ = ["CircleCondition", "CircleNetwork", "CircleUNet"]

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import cast

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from driftfield.errors import ConfigurationError
from driftfield.fields import FieldBatch
from driftfield.networks.blocks import Conv, ConvNeXtBlock, silent
from driftfield.networks.canvas import channels_last, condition_channels, set_wrap, stack_condition
from driftfield.networks.embeddings import NoiseEmbedding
from driftfield.registry import register


@dataclass(frozen=True)
class CircleCondition:
    """What is known, as features that are added to those of the noisy field."""

    features: Tensor
    wrap: bool

    def repeat(self, times: int) -> "CircleCondition":
        """Every sample `times` times in a row, for members that share their condition."""
        return CircleCondition(self.features.repeat_interleave(times, dim=0), self.wrap)


class CircleNetwork(nn.Module):
    """What networks along a circle of latitude share: what is known becomes features, once per sample."""

    first_guess: bool
    visible: bool
    noise: nn.Module
    stem: nn.Module
    condition_stem: nn.Module

    def encode(self, batch: FieldBatch, *, wrap: bool = False) -> CircleCondition:
        """What is known, once per sample; does not see `batch.target`.

        Raises:
            ConfigurationError: fields of more than one row, or a first guess that is missing.
        """
        if (rows := batch.domain.shape[-2]) != 1:
            raise ConfigurationError(
                f"{type(self).__name__} works along one row of latitude, found {rows}. Take ConvNeXtUNet for fields."
            )
        condition = stack_condition(batch, first_guess=self.first_guess, visible=self.visible)
        set_wrap(self, wrap)
        return CircleCondition(self.condition_stem(channels_last(condition)), wrap)

    def begin(self, x: Tensor, c_noise: Tensor, encoded: CircleCondition) -> tuple[Tensor, Tensor]:
        """Features of the noisy field and of what is known, and the embedding of the noise level."""
        set_wrap(self, encoded.wrap)
        return self.stem(channels_last(x)) + encoded.features, F.silu(self.noise(c_noise))


@register("network")
class CircleUNet(CircleNetwork):
    """A U-Net along one row of latitude, round the globe where the row closes.

    Arguments:
        channels: Channels of the field.
        covariates: Channels of the given fields.
        first_guess: Whether a first guess (such as the state one step earlier) is part of the condition.
        visible: Whether the condition says where the noisy field exists (ambient training).
        widths: Features at each resolution, finest first; each further one halves the number of points, rounding up.
        depths: Blocks at each resolution, on the way down and on the way up.
        size: Points that a depthwise convolution sees, an odd number.
        embedding: Length of the embedding of the noise level.
        dropout: Probability inside every block.
    """

    def __init__(
        self,
        channels: int,
        covariates: int = 0,
        first_guess: bool = False,
        widths: Sequence[int] = (32, 64, 64),
        depths: Sequence[int] = (2, 2, 2),
        size: int = 5,
        embedding: int = 64,
        dropout: float = 0.0,
        visible: bool = False,
    ) -> None:
        super().__init__()
        if len(widths) != len(depths):
            raise ConfigurationError(f"Found {len(widths)} widths and {len(depths)} depths: expected one of each.")
        for name, values, least in (("widths", widths, 1), ("depths", depths, 0)):
            if not values or any(type(value) is not int or value < least for value in values):
                raise ConfigurationError(f"Found {name}={list(values)}: expected whole numbers, {least} or more.")
        if type(size) is not int or size < 1 or size % 2 == 0:
            raise ConfigurationError(f"Found size={size!r}: expected an odd number of points, such as 5.")
        self.first_guess, self.visible = first_guess, visible
        self.noise = NoiseEmbedding(embedding)
        self.stem = Conv(channels, widths[0], (1, size))
        known = condition_channels(channels, covariates, first_guess=first_guess, visible=visible)
        self.condition_stem = Conv(known, widths[0], (1, size))

        def blocks(width: int, depth: int) -> nn.ModuleList:
            return nn.ModuleList(ConvNeXtBlock(width, embedding, dropout, size=(1, size)) for _ in range(depth))

        pairs = list(pairwise(widths))
        self.down = nn.ModuleList(blocks(width, depth) for width, depth in zip(widths, depths, strict=True))
        self.up = nn.ModuleList(blocks(width, depth) for width, depth in zip(widths[:-1], depths[:-1], strict=True))
        self.shrink = nn.ModuleList(Conv(fine, coarse, (1, 3), stride=(1, 2)) for fine, coarse in pairs)
        self.grow = nn.ModuleList(Conv(coarse, fine, 1) for fine, coarse in pairs)
        self.head = silent(Conv(widths[0], channels, (1, size)))

    def forward(
        self, x: Float[Tensor, "batch channel 1 lon"], c_noise: Float[Tensor, " batch"], encoded: CircleCondition
    ) -> Float[Tensor, "batch channel 1 lon"]:
        """The prediction for the scaled noisy field x (0 outside the domain)."""
        h, embedding = self.begin(x, c_noise, encoded)
        skips: list[Tensor] = []
        for resolution, blocks in enumerate(self.down):
            if resolution:
                h = self.shrink[resolution - 1](h)
            for block in cast(nn.ModuleList, blocks):
                h = block(h, embedding)
            skips.append(h)
        for resolution in reversed(range(len(self.up))):
            finer = skips[resolution]
            h = F.interpolate(self.grow[resolution](h), size=finer.shape[-2:], mode="nearest") + finer
            for block in cast(nn.ModuleList, self.up[resolution]):
                h = block(h, embedding)
        return self.head(h)

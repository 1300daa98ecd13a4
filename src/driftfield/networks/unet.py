"""Conditional U-Nets: what was seen is encoded once per sample, the noisy field once per step.

    condition (observations, masks, covariates) --> encoder -> c_0, c_1, ... c_L      once per sample
                                                               |    |         |       (added after a 1x1 convolution)
    x_t, c_noise ---------------------------------> U-Net trunk over the same grids   once per evaluation

Both are pyramids of the same blocks. Fields of any size: the grid is padded to a multiple of 2^L and cropped at the end;
longitude wraps where the window goes round the globe. The input of the trunk joins its output at full resolution.
"""

__all__ = ["ConvNeXtUNet", "Encoded", "ResidualUNet", "UNet"]

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from driftfield.errors import ConfigurationError
from driftfield.fields import FieldBatch
from driftfield.networks.blocks import (
    Conv,
    ConvNeXtBlock,
    DenseBlock,
    DomainLinearAttention,
    Downsample,
    Upsample,
    silent,
)
from driftfield.networks.canvas import channels_last, condition_channels, halo, pad, set_wrap, stack_condition
from driftfield.networks.embeddings import LabelEmbedding, LatentEmbedding, NoiseEmbedding, PlaceDateEmbedding
from driftfield.registry import register


@dataclass(frozen=True)
class Encoded:
    """A condition as the trunk wants it: features per resolution, the context vector and the domain."""

    features: list[Tensor]
    context: Tensor
    domain: Tensor
    wrap: bool

    def repeat(self, times: int) -> "Encoded":
        """Every sample `times` times in a row, for members that share their observations."""
        return Encoded(
            [feature.repeat_interleave(times, dim=0) for feature in self.features],
            self.context.repeat_interleave(times, dim=0),
            self.domain.repeat_interleave(times, dim=0),
            self.wrap,
        )


class _Pyramid(nn.Module):
    """Down and up again; returns the features of every resolution on the way up, finest first."""

    def __init__(
        self,
        make_block: type[nn.Module],
        widths: Sequence[int],
        depths: Sequence[int],
        embedding: int,
        **options: object,
    ) -> None:
        super().__init__()
        attends = cast(Sequence[bool], options.pop("attends", [False] * len(widths)))

        def blocks(width: int, depth: int) -> nn.ModuleList:
            return nn.ModuleList(make_block(width, embedding, **options) for _ in range(depth))

        self.down = nn.ModuleList(blocks(width, depth) for width, depth in zip(widths, depths, strict=True))
        self.up = nn.ModuleList(blocks(width, depth) for width, depth in zip(widths[:-1], depths[:-1], strict=True))
        pairs = list(pairwise(widths))
        self.shrink = nn.ModuleList(Downsample(fine, coarse) for fine, coarse in pairs)
        self.grow = nn.ModuleList(Upsample(coarse, fine) for fine, coarse in pairs)
        # the coarsest one under its own name, as runs of before have it
        self.attention = DomainLinearAttention(widths[-1]) if attends[-1] else None
        finer = {str(k): DomainLinearAttention(widths[k]) for k, wanted in enumerate(attends[:-1]) if wanted}
        self.finer_attention = nn.ModuleDict(finer)

    def forward(self, h: Tensor, embedding: Tensor, domain: Tensor, added: Sequence[Tensor] | None) -> list[Tensor]:
        skips: list[Tensor] = []
        for resolution, blocks in enumerate(self.down):
            if resolution:
                h = self.shrink[resolution - 1](h)
            if added is not None:
                h = h + added[resolution]
            for block in cast(nn.ModuleList, blocks):
                h = block(h, embedding)
            if str(resolution) in self.finer_attention:
                h = self.finer_attention[str(resolution)](h, _coarsened(domain, h))
            skips.append(h)
        if self.attention is not None:
            h = self.attention(h, _coarsened(domain, h))
        features = [h]
        for resolution in reversed(range(len(self.up))):
            h = self.grow[resolution](h) + skips[resolution]
            for block in cast(nn.ModuleList, self.up[resolution]):
                h = block(h, embedding)
            features.insert(0, h)
        return features


def _coarsened(domain: Tensor, h: Tensor) -> Tensor:
    """Where the field exists, on the grid of some features: a cell exists where one of its parts does."""
    factor = domain.shape[-1] // h.shape[-1]
    return F.max_pool2d(domain, factor) if factor > 1 else domain


class UNet(nn.Module, ABC):
    """A conditional U-Net.

    Arguments:
        channels: Channels of the field.
        covariates: Channels of the given fields.
        first_guess: Whether a first guess and its error scale are part of the condition.
        visible: Whether the condition says where the noisy field exists (ambient training).
        widths: Features at each resolution, finest first; each further one halves the grid.
        depths: Blocks at each resolution, on the way down and on the way up.
        condition_depths: The same for the encoder of the condition.
        attention: Whether the coarsest grid has linear attention over the domain, or that for each resolution, finest first.
        embedding: Length of the context vector.
        dropout: Probability inside every block.
        position: Encoding of the window's position: "unit_sphere", "sincos" or "raw"; "none" where it shall not matter.
        date: Whether the network knows season and hour.
        statics: How many static fields are part of the condition.
        labels: How many classes each label of a sample has.
        latent: How many random numbers steer a member in place of a noise level (one-step ensembles); 0 for noise levels.
    """

    def __init__(
        self,
        channels: int,
        covariates: int = 0,
        first_guess: bool = False,
        widths: Sequence[int] = (32, 64, 128, 128),
        depths: Sequence[int] = (1, 2, 2, 2),
        condition_depths: Sequence[int] = (1, 1, 1, 1),
        attention: bool | Sequence[bool] = False,
        embedding: int = 128,
        dropout: float = 0.0,
        position: str = "unit_sphere",
        visible: bool = False,
        date: bool = True,
        statics: int = 0,
        labels: Sequence[int] = (),
        latent: int = 0,
    ) -> None:
        super().__init__()
        if not len(widths) == len(depths) == len(condition_depths):
            raise ConfigurationError(
                f"Found {len(widths)} widths, {len(depths)} depths and {len(condition_depths)} condition_depths: "
                "expected one of each per resolution."
            )
        for name, values, least in (
            ("widths", widths, 1),
            ("depths", depths, 0),
            ("condition_depths", condition_depths, 0),
        ):
            if not values or any(type(value) is not int or value < least for value in values):
                raise ConfigurationError(f"Found {name}={list(values)}: expected whole numbers, {least} or more.")
        coarsest = [False] * (len(widths) - 1)
        attends = [*coarsest, attention] if isinstance(attention, bool) else list(attention)
        if len(attends) != len(widths) or any(type(value) is not bool for value in attends):
            raise ConfigurationError(
                f"Found attention={attention!r}: expected true or false, or one of them for each of {len(widths)} resolutions."
            )
        block = self.block()
        self.channels, self.multiple = channels, 2 ** (len(widths) - 1)
        self.context = PlaceDateEmbedding(embedding, covariates, position, date)
        self.noise = LatentEmbedding(latent, embedding) if latent else NoiseEmbedding(embedding)
        self.stem = Conv(channels, widths[0])
        self.first_guess, self.visible, self.statics = first_guess, visible, statics
        self.labels = LabelEmbedding(embedding, labels) if labels else None
        known = condition_channels(channels, covariates, first_guess=first_guess, visible=visible, statics=statics)
        self.condition_stem = Conv(known, widths[0])
        self.encoder = _Pyramid(block, widths, condition_depths, embedding, dropout=dropout)
        self.to_trunk = nn.ModuleList(Conv(width, width, 1) for width in widths)
        self.trunk = _Pyramid(block, widths, depths, embedding, dropout=dropout, attends=attends)
        # the full-resolution skip: the last features see the noisy input and the first features of the condition again
        self.mix = Conv(3 * widths[0], widths[0], 1)
        self.head = Conv(widths[0], channels)
        silent(self.head)

    @staticmethod
    @abstractmethod
    def block() -> type[nn.Module]:
        """The residual block of this member."""

    def encode(self, batch: FieldBatch, *, wrap: bool = False) -> Encoded:
        """What is known, as features of every resolution; does not see `batch.target`."""
        set_wrap(self, halo(batch.domain.shape[-1], self.multiple, wrap)[2])
        condition = stack_condition(batch, first_guess=self.first_guess, visible=self.visible, statics=self.statics)
        context = self.context(batch.position, batch.date, batch.presence)
        if self.labels is not None:
            context = context + self.labels(batch.labels)
        anywhere = pad(batch.domain.float().amax(dim=1, keepdim=True), self.multiple, wrap)
        h = self.condition_stem(channels_last(pad(condition, self.multiple, wrap)))
        features = self.encoder(h, context, anywhere, None)
        features = [project(feature) for project, feature in zip(self.to_trunk, features, strict=True)]
        return Encoded([*features, h], context, anywhere, wrap)

    def forward(
        self, x: Float[Tensor, "batch channel lat lon"], c_noise: Float[Tensor, "batch *latent"], encoded: Encoded
    ) -> Float[Tensor, "batch channel lat lon"]:
        """The prediction for the scaled noisy field x (0 outside the domain); `c_noise` is its level, or a member's numbers."""
        height, width = x.shape[-2:]
        west, _, inner_wrap = halo(width, self.multiple, encoded.wrap)
        set_wrap(self, inner_wrap)
        stem = self.stem(channels_last(pad(x, self.multiple, encoded.wrap)))
        embedding = F.silu(self.noise(c_noise)) + encoded.context
        h = self.trunk(stem, embedding, encoded.domain, encoded.features[:-1])[0]
        h = F.silu(self.mix(torch.cat([h, stem, encoded.features[-1]], dim=1)))
        return self.head(h)[..., :height, west : west + width]


@register("network")
class ResidualUNet(UNet):
    """The U-Net of dense 3x3 residual blocks: the faster one to train on a CPU."""

    @staticmethod
    def block() -> type[nn.Module]:
        return DenseBlock


@register("network")
class ConvNeXtUNet(UNet):
    """The U-Net of ConvNeXt blocks: large receptive field, few parameters per cell."""

    @staticmethod
    def block() -> type[nn.Module]:
        return ConvNeXtBlock

"""The bricks of the U-Nets.

    dense block      h + Conv3x3( SiLU( FiLM( norm( Conv3x3( SiLU( norm h ))))))       fast to train on a CPU
    ConvNeXt block   h + 1x1( GELU( 1x1( FiLM( norm( depthwise 7x7 h )))))            (Liu et al. 2022)

Normalisation runs over the channels of one cell, never over space: what a cell answers does not depend on how large the window
around it is. FiLM, h (1 + scale) + shift (Perez et al. 2018), and the last layer of every block start at zero, so that a new
network is the identity in its condition and in its depth.
"""

__all__ = [
    "CellNorm",
    "Conv",
    "ConvNeXtBlock",
    "DenseBlock",
    "DomainLinearAttention",
    "Downsample",
    "FiLM",
    "Upsample",
    "silent",
    "wrap_longitude",
]

from typing import TypeVar

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F


class Conv(nn.Conv2d):
    """A convolution that keeps the size; longitude wraps where `wrap` is set, other borders are padded with zeros."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        size: int | tuple[int, int] = 3,
        *,
        groups: int = 1,
        stride: int | tuple[int, int] = 1,
    ) -> None:
        rows, columns = size if isinstance(size, tuple) else (size, size)
        padding = (rows // 2, columns // 2)
        super().__init__(inputs, outputs, (rows, columns), padding=padding, groups=groups, stride=stride)
        self.wrap = False

    def forward(self, x: Float[Tensor, "batch inputs lat lon"]) -> Float[Tensor, "batch outputs lat2 lon2"]:
        if not self.wrap or self.kernel_size[1] == 1:
            return super().forward(x)
        x = wrap_longitude(x, self.kernel_size[1] // 2, self.kernel_size[1] // 2)
        return F.conv2d(x, self.weight, self.bias, self.stride, (self.kernel_size[0] // 2, 0), 1, self.groups)


def wrap_longitude(x: Tensor, west: int, east: int) -> Tensor:
    """Continues the last axis round the globe; also further than once, which circular padding refuses."""
    columns = torch.arange(-west, x.shape[-1] + east, device=x.device) % x.shape[-1]
    return x[..., columns]


Layer = TypeVar("Layer", nn.Conv2d, nn.Linear)


def silent(layer: Layer) -> Layer:
    """The layer with zeros for weights: what it ends does nothing yet, and a training begins from there."""
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
    return layer


class CellNorm(nn.Module):
    """Normalises over the channels of each cell (layer norm, channels last in memory)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Float[Tensor, "batch channel lat lon"]) -> Float[Tensor, "batch channel lat lon"]:
        return F.layer_norm(x.permute(0, 2, 3, 1), self.weight.shape, self.weight, self.bias).permute(0, 3, 1, 2)


class FiLM(nn.Module):
    """h (1 + scale) + shift, both linear in the embedding; the identity at the start."""

    def __init__(self, embedding: int, channels: int) -> None:
        super().__init__()
        self.linear = nn.Linear(embedding, 2 * channels)
        silent(self.linear)

    def forward(self, h: Tensor, embedding: Float[Tensor, "batch embedding"]) -> Tensor:
        scale, shift = self.linear(embedding)[:, :, None, None].chunk(2, dim=1)
        return h * (1 + scale) + shift


class DenseBlock(nn.Module):
    """Residual block of two dense 3x3 convolutions."""

    def __init__(self, channels: int, embedding: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.norm1, self.conv1 = CellNorm(channels), Conv(channels, channels)
        self.norm2, self.conv2 = CellNorm(channels), Conv(channels, channels)
        self.film = FiLM(embedding, channels)
        self.dropout = nn.Dropout(dropout)
        silent(self.conv2)

    def forward(self, h: Tensor, embedding: Tensor) -> Tensor:
        inner = self.conv1(F.silu(self.norm1(h)))
        return h + self.conv2(self.dropout(F.silu(self.film(self.norm2(inner), embedding))))


class ConvNeXtBlock(nn.Module):
    """Depthwise 7x7 (or another size), then two 1x1 convolutions over four times the channels."""

    def __init__(
        self, channels: int, embedding: int, dropout: float = 0.0, expansion: int = 4, size: int | tuple[int, int] = 7
    ) -> None:
        super().__init__()
        self.depthwise = Conv(channels, channels, size, groups=channels)
        self.norm = CellNorm(channels)
        self.film = FiLM(embedding, channels)
        self.widen = Conv(channels, expansion * channels, 1)
        self.narrow = Conv(expansion * channels, channels, 1)
        self.dropout = nn.Dropout(dropout)
        silent(self.narrow)

    def forward(self, h: Tensor, embedding: Tensor) -> Tensor:
        inner = self.film(self.norm(self.depthwise(h)), embedding)
        return h + self.narrow(self.dropout(F.gelu(self.widen(inner))))


class DomainLinearAttention(nn.Module):
    """Attention at a cost linear in the number of cells (Shen et al. 2021), over the cells of the domain only.

    softmax over cells makes the keys a weighting of the domain; land has weight zero, so that it neither speaks nor dilutes.
    """

    def __init__(self, channels: int, heads: int = 4) -> None:
        super().__init__()
        self.heads = heads
        self.norm = CellNorm(channels)
        self.to_qkv = nn.Conv2d(channels, 3 * channels, 1)
        self.out = nn.Conv2d(channels, channels, 1)
        silent(self.out)

    def forward(self, h: Tensor, domain: Float[Tensor, "batch 1 lat lon"]) -> Tensor:
        batch, channels, height, width = h.shape
        qkv = self.to_qkv(self.norm(h)).view(batch, 3, self.heads, channels // self.heads, height * width)
        q, k, v = qkv.float().unbind(1)
        inside = domain.view(batch, 1, 1, height * width) > 0
        # a window of land alone keeps all its cells: the answer is masked later, a NaN would not be
        inside = inside | ~inside.any(dim=-1, keepdim=True)
        k = k.masked_fill(~inside, -torch.inf).softmax(dim=-1)
        context = torch.einsum("bhcn,bhdn->bhcd", k, v)
        mixed = torch.einsum("bhcd,bhcn->bhdn", context, q.softmax(dim=2))
        return h + self.out(mixed.reshape(batch, channels, height, width).to(h.dtype))


class Downsample(nn.Module):
    """Halves the grid with a strided convolution."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = Conv(inputs, outputs, 3, stride=2)

    def forward(self, h: Tensor) -> Tensor:
        return self.conv(h)


class Upsample(nn.Module):
    """Doubles the grid: nearest neighbour, then a convolution, which leaves no checkerboard (Odena et al. 2016)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.mix, self.conv = Conv(inputs, outputs, 1), Conv(outputs, outputs, 3)

    def forward(self, h: Tensor) -> Tensor:
        # channels are mixed on the coarse grid, where it costs a quarter; the 3x3 after the resize smooths the blocks
        return self.conv(F.interpolate(self.mix(h), scale_factor=2.0, mode="nearest"))

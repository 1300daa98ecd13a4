"""What neural operators are made of: layers that know waves and not cells.

    spectral convolution   y_k = W_k x_k   for the waves |ky|, |kx| <= modes, 0 for the others       (Li et al. 2021, arXiv
    2010.08895) resampling             the same waves on another number of cells
    dealiased function     f evaluated on 3/2 as many cells and cut back: what it makes of waves that do not fit is not
    folded into others

Amplitudes are those of the waves themselves (transforms carry the factor 1 / cells forward), so the weights mean the same on
every grid. Transforms are always computed in float32; the products with W are real matrix products, which autocast may run
in bfloat16.

W may be factorised (Tucker): W[ky, kx, i, o] = sum G[a, b, c, d] Y[ky, a] X[kx, b] I[i, c] O[o, d].
"""

__all__ = ["PhysicalConv", "SpectralConv", "dealiased", "resampled"]

import math
from collections.abc import Callable

import torch
from jaxtyping import Complex, Float
from torch import Tensor, nn
from torch.nn import functional as F

from driftfield.errors import ConfigurationError, whole_number


def _waves_of(x: Float[Tensor, "batch channel y x"]) -> Complex[Tensor, "batch channel ky kx"]:
    with torch.autocast(x.device.type, enabled=False):
        return torch.fft.rfft2(x.float(), norm="forward")


def _cells_of(
    waves: Complex[Tensor, "batch channel ky kx"], size: tuple[int, int]
) -> Float[Tensor, "batch channel y x"]:
    with torch.autocast(waves.device.type, enabled=False):
        return torch.fft.irfft2(waves, s=size, norm="forward")


def _held(cells: int, modes: int) -> int:
    """The largest wavenumber up to `modes` that has two signs on so many cells."""
    return min(modes, (cells - 1) // 2)


def _low(waves: Tensor, my: int, mx: int) -> Tensor:
    """The waves up to (my, mx), ky = 0 ... my, -my ... -1."""
    rows = waves.shape[-2]
    return torch.cat([waves[..., : my + 1, : mx + 1], waves[..., rows - my :, : mx + 1]], dim=-2)


def _spread(low: Tensor, my: int, size: tuple[int, int]) -> Tensor:
    """Low waves among zeros, for a grid of some size."""
    rows, columns = size
    waves = low.new_zeros(*low.shape[:-2], rows, columns // 2 + 1)
    waves[..., : my + 1, : low.shape[-1]] = low[..., : my + 1, :]
    if my:
        waves[..., rows - my :, : low.shape[-1]] = low[..., my + 1 :, :]
    return waves


def resampled(x: Float[Tensor, "batch channel y x"], size: tuple[int, int]) -> Float[Tensor, "batch channel y2 x2"]:
    """The waves of a field that both grids hold, on a grid of another size."""
    if tuple(x.shape[-2:]) == tuple(size):
        return x
    my, mx = (_held(min(old, new), max(old, new)) for old, new in zip(x.shape[-2:], size, strict=True))
    return _cells_of(_spread(_low(_waves_of(x), my, mx), my, size), size).to(x.dtype)


def dealiased(
    function: Callable[[Tensor], Tensor], x: Float[Tensor, "batch channel y x"]
) -> Float[Tensor, "batch channel y x"]:
    """A function of every cell, evaluated on 3/2 as many cells in each direction."""
    rows, columns = x.shape[-2:]
    return resampled(function(resampled(x, (math.ceil(1.5 * rows), math.ceil(1.5 * columns)))), (rows, columns))


def _flat(weight: Float[Tensor, "ky kx inputs outputs 2"]) -> Float[Tensor, "k inputs parts"]:
    """Of rank 3: what has rank 4 or 5 is taken for images where a network changes its layout in memory."""
    return weight.flatten(0, 1).flatten(2)


class SpectralConv(nn.Module):
    """A convolution by waves.

    Arguments:
        inputs, outputs: Channels.
        modes: Waves across the grid in each direction, at most; a grid that holds fewer uses those.
        rank: Share of the parameters that a Tucker factorisation has, about; None for the full tensor.

    Raises:
        ConfigurationError: a number that makes no sense.
    """

    def __init__(self, inputs: int, outputs: int, modes: int, rank: float | None = None) -> None:
        super().__init__()
        self.inputs, self.outputs, self.modes = inputs, outputs, whole_number("modes", modes)
        sides: tuple[int, ...] = (2 * modes + 1, modes + 1, inputs, outputs)
        sd = (2 * inputs) ** -0.5
        self.factors: nn.ParameterList | None = None
        if rank is None:
            self._sides = sides
            self.weight = nn.Parameter(sd * _flat(torch.randn(*sides, 2)))
            return
        if isinstance(rank, bool) or not 0 < rank <= 1:
            raise ConfigurationError(
                f"Found rank={rank!r}: expected a share above 0, at most 1; leave it out for no factors."
            )
        ranks = [max(1, round(side * rank**0.25)) for side in sides]
        self._sides = tuple(ranks)
        self.weight = nn.Parameter(sd * _flat(torch.randn(*ranks, 2)))
        self.factors = nn.ParameterList(
            torch.randn(side, rank) / math.sqrt(rank) for side, rank in zip(sides, ranks, strict=True)
        )

    def _weight(self, my: int, mx: int) -> Float[Tensor, "ky kx inputs outputs 2"]:
        """W of the waves up to (my, mx)."""
        rows = [*range(my + 1), *range(2 * self.modes + 1 - my, 2 * self.modes + 1)]
        weight = self.weight.view(*self._sides, 2)
        if self.factors is None:
            return weight[rows][:, : mx + 1]
        y, x, i, o = self.factors
        core = torch.tensordot(y[rows], weight, dims=([1], [0]))
        core = torch.einsum("ybcdz,xb->yxcdz", core, x[: mx + 1])
        return torch.einsum("yxcdz,ic,od->yxioz", core, i, o)

    def forward(self, x: Float[Tensor, "batch inputs y x"]) -> Float[Tensor, "batch outputs y x"]:
        rows, columns = x.shape[-2:]
        my, mx = _held(rows, self.modes), _held(columns, self.modes)
        low = torch.view_as_real(_low(_waves_of(x), my, mx))
        real, imaginary = self._weight(my, mx).unbind(-1)
        # (re, im) of every wave times [[Re W, Im W], [-Im W, Re W]]
        block = torch.cat([torch.cat([real, imaginary], -1), torch.cat([-imaginary, real], -1)], -2).flatten(0, 1)
        parts = low.permute(2, 3, 0, 4, 1).flatten(3).flatten(0, 1)
        product = torch.bmm(parts, block).float()
        product = product.view(2 * my + 1, mx + 1, len(x), 2, self.outputs).permute(2, 4, 0, 1, 3)
        return _cells_of(_spread(torch.view_as_complex(product.contiguous()), my, (rows, columns)), (rows, columns))


class PhysicalConv(nn.Module):
    """A 3x3 convolution of physical width: always computed on the grid that has `points` columns where the field has its own.

    Arguments:
        channels: In and out.
        points: Columns of the field on whose grid the kernel is three cells wide.
    """

    def __init__(self, channels: int, points: int) -> None:
        super().__init__()
        self.points = whole_number("points", points, 3)
        self.conv = nn.Conv2d(channels, channels, 3)
        self.scale, self.wrap, self.torus = 1.0, False, False

    def forward(self, x: Float[Tensor, "batch channel y x"]) -> Float[Tensor, "batch channel y x"]:
        rows, columns = x.shape[-2:]
        near = resampled(x, (max(1, round(rows * self.scale)), max(1, round(columns * self.scale))))
        near = F.pad(near, (1, 1, 0, 0), "circular" if self.wrap or self.torus else "constant")
        near = F.pad(near, (0, 0, 1, 1), "circular" if self.torus else "constant")
        return resampled(self.conv(near), (rows, columns))

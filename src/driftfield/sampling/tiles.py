"""A grid of any size in overlapping tiles, whose weights sum to one in every cell.

    synchronous    D(x_t) = sum_i w_i D_i(x_t in tile i)         blended at every step: one walk over the whole grid
    independent    x = sum_i w_i x_i                             every tile walks to its end by itself, blended once

Both start from one noise field (`diffusion.noise.CellNoise`, by cell of the grid), so that tiles agree where they overlap. w_i
falls linearly within the overlap towards the edge of its tile and is divided by the sum of all weights of a cell. A tile without
a cell of the domain is left out. Where longitude wraps, tiles do.

(Synchronous: Bar-Tal et al. 2023, "MultiDiffusion", arXiv:2302.08113, with one denoiser in place of many prompts.)
"""

__all__ = ["Tile", "TiledDenoiser", "TilesAsked", "Tiling"]

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from driftfield.errors import ConfigurationError, whole_number
from driftfield.interfaces import Denoiser


@dataclass(frozen=True)
class TilesAsked:
    """How a grid is to be divided.

    Arguments:
        size: Rows and columns of a tile.
        overlap: Cells that neighbouring tiles have in common, at least.
        independent: Whether every tile walks to its end by itself.

    Raises:
        ConfigurationError: tiles without a cell, or an overlap of more than half a tile.
    """

    size: int
    overlap: int
    independent: bool = False

    def __post_init__(self) -> None:
        whole_number("tile", self.size)
        whole_number("overlap", self.overlap, 0)
        if 2 * self.overlap > self.size:
            raise ConfigurationError(
                f"Found an overlap of {self.overlap} cells and tiles of {self.size}: expected half a tile at most, so that the "
                "middle of each is its own. Take larger tiles, or a smaller overlap."
            )

    def __str__(self) -> str:
        how = "independent" if self.independent else "synchronous"
        return f"{self.size} x {self.size} cells, overlap {self.overlap}, {how}"


@dataclass(frozen=True)
class Tile:
    """A rectangle of cells and its weight in each of them.

    Arguments:
        rows, columns: Indices on the grid; columns may go on at the first behind the last.
        weight: (row, column), between 0 and 1.
    """

    rows: np.ndarray
    columns: np.ndarray
    weight: Float[Tensor, "row column"]

    def cut(self, field: Float[Tensor, "*channel lat lon"]) -> Float[Tensor, "*channel row column"]:
        """The field in this tile."""
        band = field[..., int(self.rows[0]) : int(self.rows[-1]) + 1, :]
        return band[..., torch.as_tensor(self.columns, device=field.device)]


@dataclass(frozen=True)
class Tiling:
    """Tiles that cover the domain of a grid.

    Arguments:
        shape: Rows and columns of the grid.
        tiles: Those with a cell of the domain.
    """

    shape: tuple[int, int]
    tiles: tuple[Tile, ...]

    @classmethod
    def of(cls, domain: Bool[Tensor, "lat lon"], size: int, overlap: int, *, periodic: bool = False) -> "Tiling":
        """Covers a grid.

        Arguments:
            domain: Where the field exists in any of its channels.
            size: Rows and columns of a tile, or those of the grid where it has fewer.
            overlap: Cells that neighbouring tiles have in common, at least.
            periodic: Whether the columns go round the globe.

        Raises:
            ConfigurationError: as `TilesAsked` says.
        """
        TilesAsked(size, overlap)
        down = _spans(domain.shape[0], size, overlap, wraps=False)
        across = _spans(domain.shape[1], size, overlap, wraps=periodic)
        exists = domain.cpu().numpy()
        places = [(rows, columns) for rows in down for columns in across if exists[np.ix_(rows, columns)].any()]
        total = np.zeros(domain.shape)
        ramps = [np.outer(_ramp(len(rows), overlap), _ramp(len(columns), overlap)) for rows, columns in places]
        for (rows, columns), ramp in zip(places, ramps, strict=True):
            total[np.ix_(rows, columns)] += ramp
        return cls(
            (int(domain.shape[0]), int(domain.shape[1])),
            tuple(
                Tile(rows, columns, torch.from_numpy(ramp / total[np.ix_(rows, columns)]).float())
                for (rows, columns), ramp in zip(places, ramps, strict=True)
            ),
        )

    @property
    def is_whole(self) -> bool:
        """Whether one tile is the grid, so that nothing is divided."""
        return len(self.tiles) == 1 and self.tiles[0].weight.shape == self.shape

    def blend(self, parts: Iterable[Float[Tensor, "*channel row column"]]) -> Float[Tensor, "*channel lat lon"]:
        """The weighted sum of what each tile says, in the order of the tiles; 0 where there is none."""
        whole: Tensor | None = None
        for tile, part in zip(self.tiles, parts, strict=True):
            weighted = part * tile.weight.to(part)
            if whole is None:
                whole = part.new_zeros(*part.shape[:-2], self.shape[0] * self.shape[1])
            cells = torch.as_tensor(tile.rows[:, None] * self.shape[1] + tile.columns, device=part.device).flatten()
            whole = whole.index_add(-1, cells, weighted.flatten(-2))
        assert whole is not None  # a grid without a cell of the domain has no fields to blend
        return whole.unflatten(-1, self.shape)


class TiledDenoiser:
    """A denoiser of the whole grid from one of every tile: synchronous tiles, for every sampler and guidance method.

    Arguments:
        tiling: The tiles.
        denoisers: One of each, in their order, all of one schedule.
    """

    def __init__(self, tiling: Tiling, denoisers: Sequence[Denoiser]) -> None:
        self.tiling, self.denoisers = tiling, list(denoisers)
        self.schedule = self.denoisers[0].schedule

    def __call__(
        self, x_t: Float[Tensor, "batch channel lat lon"], t: Float[Tensor, " batch"]
    ) -> Float[Tensor, "batch channel lat lon"]:
        """E[x | x_t], each tile from what lies in it."""
        pairs = zip(self.tiling.tiles, self.denoisers, strict=True)
        return self.tiling.blend(denoiser(tile.cut(x_t), t) for tile, denoiser in pairs)


def _spans(length: int, size: int, overlap: int, *, wraps: bool) -> list[np.ndarray]:
    """Where tiles lie along one axis, evenly: as few as overlap enough."""
    if size >= length:
        return [np.arange(length)]
    step = max(1, size - overlap)
    if wraps:
        count = -(-length // step)
        starts = np.arange(count) * length // count
        return [(start + np.arange(size)) % length for start in starts]
    count = -(-(length - size) // step) + 1
    starts = np.arange(count) * (length - size) // (count - 1)
    return [start + np.arange(size) for start in starts]


def _ramp(length: int, overlap: int) -> np.ndarray:
    """1 in the middle, falling linearly to the edges within the overlap; never 0."""
    from_edge = np.minimum(np.arange(length), np.arange(length)[::-1]) + 1
    return np.minimum(1.0, from_edge / (overlap + 1))

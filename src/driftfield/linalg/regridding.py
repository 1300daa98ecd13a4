"""Between two grids: a sparse map H from fine to coarse that conserves, its adjoint, interpolation back, and projections.

    H x = sum_f a_cf x_f / sum_f a_cf            a_cf area of the intersection of the cells c and f
    project(x, y) = x + A^-1 H' (H A^-1 H')^-1 (y - H x)       the nearest field with H x = y, cells weighed by area A
    rescale(x, y) = x r                                        the same by factors: zeros stay zeros, signs stay signs

On nested grids the projection adds the difference block by block, and the factor is y / H x.
"""

__all__ = ["Regridding"]

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import splu
from scipy.spatial import cKDTree

from driftfield.errors import ConfigurationError, DataError
from driftfield.linalg.cell_grid import CellGrid
from driftfield.linalg.interpolation import KEYS, axis_matrix, interpolation_matrix
from driftfield.linalg.operators import SparseOperator
from driftfield.linalg.overlap import overlap_areas

Kind = Literal["nearest", "bilinear", "bicubic"]
LEAST_COVER = 1e-6
"""A coarse cell counts as covered above this share of its area."""


@dataclass(frozen=True)
class Regridding:
    """A map between two grids; fields are (..., row, column).

    Arguments:
        fine, coarse: The grids.
        areas: (coarse cell, fine cell): areas of the intersections.
        edges: Of blocks: where they begin and end, in rows and in columns of the fine grid. Interpolation then goes along rows
            and columns, whatever their positions on the sphere.
    """

    fine: CellGrid
    coarse: CellGrid
    areas: sparse.csr_matrix
    edges: tuple[np.ndarray, np.ndarray] | None = None

    @classmethod
    def overlap(cls, fine: CellGrid, coarse: CellGrid) -> "Regridding":
        """Conservative means of any grid over the cells of another."""
        return cls(fine, coarse, overlap_areas(fine, coarse))

    @classmethod
    def blocks(cls, fine: CellGrid, factor: float | tuple[float, float]) -> "Regridding":
        """Means over blocks of cells, by index; the factor need be no whole number.

        Arguments:
            fine: The grid; whole blocks are counted from its first corner, what is left over belongs to no coarse cell.
            factor: Cells per block in each direction, or in rows and columns.

        Raises:
            ConfigurationError: a factor below 1, or larger than the grid.
        """
        factors = factor if isinstance(factor, tuple) else (factor, factor)
        edges = []
        for size, wanted in zip(fine.shape, factors, strict=True):
            if not 1 <= wanted <= size:
                raise ConfigurationError(f"Found a factor of {wanted:g} for {size} cells: expected 1 to {size}.")
            edges.append(wanted * np.arange(int(size / wanted + 1e-9) + 1))
        shares = [_index_overlap(cells, size) for cells, size in zip(edges, fine.shape, strict=True)]
        areas = sparse.csr_matrix(sparse.kron(*shares)).multiply(fine.area.ravel()[None])
        return cls(fine, _merged(fine, edges), sparse.csr_matrix(areas), (edges[0], edges[1]))

    def within(self, domain: np.ndarray) -> "Regridding":
        """The same map of a variable that exists in some of the fine cells only: means over those.

        Arguments:
            domain: Boolean (row, column).
        """
        if domain.all():
            return self
        inside = sparse.diags(domain.ravel().astype(float))
        return Regridding(self.fine, self.coarse, sparse.csr_matrix(self.areas @ inside), self.edges)

    @cached_property
    def cover(self) -> np.ndarray:
        """Share (row, column) of each coarse cell that the fine grid covers."""
        inside = np.asarray(self.areas.sum(axis=1)).ravel()
        return np.minimum(inside / self.coarse.area.ravel(), 1.0).reshape(self.coarse.shape)

    @cached_property
    def matrix(self) -> sparse.csr_matrix:
        """H, rows that sum to 1; a coarse cell that is not covered has an empty row."""
        total = np.asarray(self.areas.sum(axis=1)).ravel()
        used = self.cover.ravel() > LEAST_COVER
        return sparse.csr_matrix(sparse.diags(np.where(used, 1.0 / np.where(used, total, 1.0), 0.0)) @ self.areas)

    def apply(self, x: np.ndarray) -> np.ndarray:
        """H x: (..., row, column) fine -> coarse; NaN where nothing is covered, or any cell of it is NaN."""
        return self._filled(self._product(self.matrix, x, self.coarse.shape))

    def apply_known(self, x: np.ndarray, least: float = 0.5) -> tuple[np.ndarray, np.ndarray]:
        """Means over the cells that are known.

        Arguments:
            x: NaN where not known.
            least: Least known share of a coarse cell.

        Returns:
            Means, NaN below that share; and the shares.
        """
        known = np.isfinite(x)
        share = self._product(self.matrix, known.astype(np.float64), self.coarse.shape)
        total = self._product(self.matrix, np.where(known, x, 0.0), self.coarse.shape)
        share = share * self.cover
        enough = share >= max(least, 1e-12)
        known_share = np.where(self.cover > 0, share / np.maximum(self.cover, 1e-12), 1.0)
        return np.where(enough, total / np.where(enough, known_share, 1.0), np.nan), share

    def adjoint(self, y: np.ndarray) -> np.ndarray:
        """H' y: <H x, y> = <x, H' y>."""
        return self._product(sparse.csr_matrix(self.matrix.T), y, self.fine.shape)

    def interpolate(self, y: np.ndarray, kind: Kind = "bilinear", *, constant: float = KEYS) -> np.ndarray:
        """A coarse field at the centres of the fine cells; beyond the outermost centres it goes on as it is there.

        Arguments:
            y: (..., row, column).
            kind: nearest, bilinear or bicubic.
            constant: Of the cubic kernel (Keys, 1981).
        """
        return self._product(self._interpolation(kind, constant), y, self.fine.shape)

    def fill_coarse(self, y: np.ndarray) -> np.ndarray:
        """Coarse fields with the value of the nearest known cell where they are NaN; a field without any stays NaN."""
        filled = np.array(y, dtype=np.float64)
        flat = filled.reshape(-1, filled.shape[-2] * filled.shape[-1])
        places = self.coarse.centres.reshape(-1, 3)
        gaps = ~np.isfinite(flat)
        for pattern in np.unique(gaps, axis=0):
            if pattern.any() and not pattern.all():
                rows = np.flatnonzero((gaps == pattern).all(axis=1))
                known = np.flatnonzero(~pattern)
                nearest = known[cKDTree(places[known]).query(places[pattern])[1]]
                flat[np.ix_(rows, np.flatnonzero(pattern))] = flat[rows][:, nearest]
        return filled

    def project(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """The field nearest to x, in the area-weighted square, whose coarse means are y; NaN in y asks for nothing."""
        difference = np.where(self._covered, np.nan_to_num(y - self._product(self.matrix, x, self.coarse.shape)), 0.0)
        return x + self._spread(difference)

    def rescale(self, x: np.ndarray, y: np.ndarray, *, iterations: int = 200) -> np.ndarray:
        """x times factors, so that its coarse means are y >= 0; where x has nothing to scale, y is spread evenly.

        Arguments:
            x: Fields of one sign.
            y: Coarse means.
            iterations: At most, of proportional fitting; one is enough on nested grids.

        Raises:
            DataError: negative means.
        """
        if np.nanmin(y) < 0:
            raise DataError(
                f"Found a coarse mean of {np.nanmin(y):g}: factors need 0 or more. Use the additive projection."
            )
        asked = self._covered & np.isfinite(y)
        target = np.where(asked, y, 0.0)
        weights = self._partition
        field = np.where(self._product(weights, (asked & (self._mean(x) <= 0)).astype(float), self.fine.shape) > 0.5,
                         self._product(weights, target, self.fine.shape), x)  # fmt: skip
        for _ in range(iterations):
            mean = self._mean(field)
            ratio = np.where(asked & (mean > 0), target / np.where(mean > 0, mean, 1.0), 1.0)
            field = field * self._product(weights, ratio, self.fine.shape)
            if np.abs(ratio - 1.0).max() < 1e-9:
                break
        return field

    def operator(self, channel: int | None = None, channels: int = 1) -> SparseOperator:
        """H as an observing operator: one observation per covered coarse cell.

        Arguments:
            channel: Which channel of fields (channel, row, column) is observed; None for fields (row, column).
            channels: How many they have.
        """
        rows = self.matrix[self._covered.ravel()].tocoo()
        size = int(np.prod(self.fine.shape))
        columns = rows.col + (0 if channel is None else channel * size)
        shape = self.fine.shape if channel is None else (channels, *self.fine.shape)
        return SparseOperator(rows.row, columns, rows.data, size=rows.shape[0], shape=shape)

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Plain numbers, for a run."""
        arrays = {
            f"{name}.{axis}": getattr(getattr(self, name), axis)
            for name in ("fine", "coarse")
            for axis in ("lat", "lon")
        }
        areas = self.areas.tocsr()
        arrays |= {"areas.data": areas.data, "areas.indices": areas.indices, "areas.indptr": areas.indptr}
        if self.edges is not None:
            arrays |= {"edges.rows": self.edges[0], "edges.columns": self.edges[1]}
        return arrays

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> "Regridding":
        """The inverse of `to_arrays`."""
        fine, coarse = (CellGrid(arrays[f"{name}.lat"], arrays[f"{name}.lon"]) for name in ("fine", "coarse"))
        parts = tuple(arrays[f"areas.{part}"] for part in ("data", "indices", "indptr"))
        areas = sparse.csr_matrix(parts, shape=(int(np.prod(coarse.shape)), int(np.prod(fine.shape))))
        edges = (arrays["edges.rows"], arrays["edges.columns"]) if "edges.rows" in arrays else None
        return cls(fine, coarse, areas, edges)

    # -- inside --------------------------------------------------------------------------------------------------------

    @cached_property
    def _covered(self) -> np.ndarray:
        return self.cover > LEAST_COVER

    def _mean(self, x: np.ndarray) -> np.ndarray:
        return self._product(self.matrix, x, self.coarse.shape)

    def _filled(self, y: np.ndarray) -> np.ndarray:
        return np.where(self._covered, y, np.nan)

    @cached_property
    def _partition(self) -> sparse.csr_matrix:
        """(fine cell, coarse cell): shares of each fine cell; a cell outside all coarse ones goes with the nearest."""
        inside = np.asarray(self.areas.sum(axis=0)).ravel()
        shares = sparse.csr_matrix(sparse.diags(1.0 / np.where(inside > 0, inside, 1.0)) @ self.areas.T)
        outside = sparse.diags((inside <= 0).astype(float))
        return sparse.csr_matrix(shares + outside @ self._interpolation("nearest"))

    @cached_property
    def _spreading(self) -> tuple[sparse.csr_matrix, object]:
        """A^-1 H' of the covered cells, and the factored H A^-1 H'."""
        rows = self.matrix[self._covered.ravel()]
        back = sparse.csr_matrix(sparse.diags(1.0 / self.fine.area.ravel()) @ rows.T)
        return back, splu(sparse.csc_matrix(rows @ back))

    def _spread(self, difference: np.ndarray) -> np.ndarray:
        back, factored = self._spreading
        flat = difference.reshape(-1, difference.shape[-2] * difference.shape[-1])[:, self._covered.ravel()]
        solved = factored.solve(flat.T)  # type: ignore[attr-defined]
        return np.asarray((back @ solved).T).reshape(*difference.shape[:-2], *self.fine.shape)

    @cached_property
    def _matrices(self) -> dict[tuple[str, float], sparse.csr_matrix]:
        """Interpolations by kind and constant, each made once."""
        return {}

    def _interpolation(self, kind: Kind, constant: float = KEYS) -> sparse.csr_matrix:
        if (kind, constant) not in self._matrices:
            self._matrices[kind, constant] = self._new_interpolation(kind, constant)
        return self._matrices[kind, constant]

    def _new_interpolation(self, kind: Kind, constant: float) -> sparse.csr_matrix:
        if self.edges is None or self.fine.rectilinear:
            return interpolation_matrix(self.coarse, self.fine, kind, constant=constant)
        middles = [0.5 * (edges[1:] + edges[:-1]) for edges in self.edges]
        cells = [np.arange(size) + 0.5 for size in self.fine.shape]
        rows, columns = (axis_matrix(m, c, kind, constant=constant) for m, c in zip(middles, cells, strict=True))
        return sparse.csr_matrix(sparse.kron(rows, columns))

    def _product(self, matrix: sparse.csr_matrix, x: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
        flat = np.asarray(x, dtype=np.float64).reshape(-1, x.shape[-2] * x.shape[-1])
        if flat.shape[1] != matrix.shape[1]:
            raise DataError(
                f"Found fields of {x.shape[-2]} x {x.shape[-1]} cells: this map takes {matrix.shape[1]} cells."
            )
        return np.asarray((matrix @ flat.T).T).reshape(*x.shape[:-2], *shape)


def _index_overlap(edges: np.ndarray, size: int) -> sparse.csr_matrix:
    """(block, cell): share of each cell that lies between the edges of a block, counted in cells."""
    cells = np.arange(size)
    low = np.maximum(edges[:-1, None], cells[None])
    high = np.minimum(edges[1:, None], cells[None] + 1)
    return sparse.csr_matrix(np.maximum(high - low, 0.0))


def _merged(fine: CellGrid, edges: list[np.ndarray]) -> CellGrid:
    """The grid whose corners lie at these (fractional) corners of the fine one."""
    rows, columns = edges
    if fine.rectilinear:
        return CellGrid(
            np.interp(rows, np.arange(fine.lat.size), fine.lat), np.interp(columns, np.arange(fine.lon.size), fine.lon)
        )
    corners = []
    for values in (fine.lat, fine.lon):
        along = np.stack([np.interp(rows, np.arange(values.shape[0]), column) for column in values.T], axis=1)
        corners.append(np.stack([np.interp(columns, np.arange(values.shape[1]), row) for row in along]))
    return CellGrid(*corners)

"""A Gaussian prior meets observations, one tile of the grid at a time.

    mean      m = K_xo (K_oo + R)^-1 y                    variance  v = K_xx - K_xo (K_oo + R)^-1 K_ox
    member    f + K_xo (K_oo + R)^-1 (y - f_o - e)        f drawn from the prior, e from R          (Matheron's rule)

Where there are more observations than a Cholesky factor should hold, every tile uses the nearest of them; that choice
is the only approximation. Observations of targets and of covariates each get half of the room, and what one does not
need goes to the other. The draws are made for the whole grid, so that a member does not change at the edge of a tile.
"""

__all__ = ["SeenCells", "condition"]

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.linalg import LinAlgError, cholesky, solve_triangular

from driftfield.gaussian.columns import Columns
from driftfield.gaussian.covariance import EmbeddedGrid, HybridCovariance


@dataclass(frozen=True)
class SeenCells(Columns):
    """Observations of one time, in standardised units.

    Arguments:
        rows: Row of every observation.
        cells: Cell of every observation, flat index.
        values: Standardised anomalies.
        noise: Variance of their errors.
    """

    rows: np.ndarray
    cells: np.ndarray
    values: np.ndarray
    noise: np.ndarray


def condition(
    covariance: HybridCovariance,
    seen: SeenCells,
    *,
    rows: np.ndarray,
    wanted: np.ndarray,
    draws: np.ndarray | None = None,
    draw_noise: np.ndarray | None = None,
    most: int = 800,
    tile_cells: int = 300,
    tiles: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Posterior mean, variance and members of some rows.

    Arguments:
        covariance: The prior.
        seen: What was observed.
        rows: Rows to reconstruct.
        wanted: Cells to reconstruct, boolean (lat * lon,).
        draws: Draws from the prior (member, all rows, cell), if members are wanted.
        draw_noise: Standard normal numbers (member, seen) for the errors of the observations.
        most: Observations that one tile uses.
        tile_cells: About how many cells a tile has.
        tiles: Numbers of the tiles to do, all if not given (the others stay NaN).

    Returns:
        Mean (row, cell), variance (row, cell), members (member, row, cell), all standardised.
    """
    n_cells = wanted.size
    mean = np.full((rows.size, n_cells), np.nan, dtype=covariance.dtype)
    variance = np.full_like(mean, np.nan)
    members = np.full((0 if draws is None else len(draws), rows.size, n_cells), np.nan, dtype=np.float32)
    targets = np.isin(seen.rows, rows)
    solver: _Solver | None = None
    for number, cells in enumerate(_tiles(covariance.grid, wanted, tile_cells)):
        if tiles is not None and number not in tiles:
            continue
        if len(seen) == 0:
            mean[:, cells], variance[:, cells] = 0.0, covariance.variance(rows, cells)
            if draws is not None:
                members[:, :, cells] = draws[:, rows][:, :, cells]
            continue
        if solver is None or len(seen) > most:
            near = _nearest(covariance.grid, seen, targets, cells, most)
            solver = _Solver(covariance, seen, near, draws, draw_noise)
        mean[:, cells], variance[:, cells], drawn = solver.solve(rows, cells)
        if draws is not None:
            members[:, :, cells] = draws[:, rows][:, :, cells] + drawn
    return mean, variance, members


class _Solver:
    """The factor of one set of observations, and everything that is to be spread from it."""

    def __init__(
        self,
        covariance: HybridCovariance,
        seen: SeenCells,
        near: np.ndarray,
        draws: np.ndarray | None,
        draw_noise: np.ndarray | None,
    ) -> None:
        self.covariance, self.seen = covariance, seen[near]
        here = self.seen
        matrix = covariance.among(here.rows, here.cells)
        matrix[np.diag_indices_from(matrix)] += here.noise
        self.factor = _factor(matrix)
        innovations = [here.values]
        if draws is not None:
            noise = 0.0 if draw_noise is None else np.sqrt(here.noise) * draw_noise[:, near]
            innovations += list(here.values - draws[:, here.rows, here.cells] - noise)
        whitened = solve_triangular(self.factor, np.stack(innovations, axis=1).astype(matrix.dtype), lower=True)
        self.whitened = whitened

    def solve(self, rows: np.ndarray, cells: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Mean (row, cell), variance (row, cell), increments of the members (member, row, cell)."""
        here = self.seen
        cross = self.covariance.cross(rows, cells, here.rows, here.cells)
        _add_nugget(cross, self.covariance, rows, cells, here)
        flat = cross.reshape(-1, len(here)).astype(self.factor.dtype)
        gain = solve_triangular(self.factor, flat.T, lower=True, check_finite=False)
        spread = (gain.T @ self.whitened).reshape(rows.size, cells.size, -1)
        prior = self.covariance.variance(rows, cells)
        variance = prior - np.square(gain).sum(axis=0).reshape(prior.shape)
        return spread[..., 0], np.maximum(variance, 0.0), spread[..., 1:].transpose(2, 0, 1)


def _add_nugget(
    cross: np.ndarray, covariance: HybridCovariance, rows: np.ndarray, cells: np.ndarray, seen: SeenCells
) -> None:
    """The white part goes with itself: where the reconstructed cell is the observed one."""
    row_at = np.full(covariance.rows, -1)
    row_at[rows] = np.arange(rows.size)
    cell_at = np.full(int(np.prod(covariance.grid.shape)), -1)
    cell_at[cells] = np.arange(cells.size)
    r, c = row_at[seen.rows], cell_at[seen.cells]
    hit = np.flatnonzero((r >= 0) & (c >= 0))
    cross[r[hit], c[hit], hit] += covariance.nugget[seen.rows[hit]]


def _factor(matrix: np.ndarray) -> np.ndarray:
    """Cholesky factor; rounding is answered with the least jitter that helps."""
    scale = float(np.mean(np.diag(matrix)))
    jitter = 10.0 * np.finfo(matrix.dtype).eps
    for _ in range(12):
        trial = matrix.copy()
        trial[np.diag_indices_from(trial)] += jitter * scale
        try:
            return cholesky(trial, lower=True, overwrite_a=True, check_finite=False)
        except LinAlgError:
            jitter *= 4.0
    raise LinAlgError("The covariance of the observations is not positive definite.")


def _tiles(grid: EmbeddedGrid, wanted: np.ndarray, tile_cells: int) -> Iterator[np.ndarray]:
    """Cells of every tile that has any, about square in cells."""
    n_lat, n_lon = grid.shape
    edge = np.sqrt(tile_cells)
    rows = np.array_split(np.arange(n_lat), max(1, round(n_lat / edge)))
    cols = np.array_split(np.arange(n_lon), max(1, round(n_lon / edge)))
    for row in rows:
        for col in cols:
            cells = (row[:, None] * n_lon + col[None]).ravel()
            cells = cells[wanted[cells]]
            if cells.size:
                yield cells


def _nearest(grid: EmbeddedGrid, seen: SeenCells, targets: np.ndarray, cells: np.ndarray, most: int) -> np.ndarray:
    """Indices of the observations nearest to a tile, targets and covariates each with half of the room."""
    if len(seen) <= most:
        return np.arange(len(seen))
    n_targets = int(targets.sum())
    room = min(n_targets, max(most // 2, most - (len(seen) - n_targets)))
    centre = grid.points[cells].mean(axis=0)
    distance = ((grid.points[seen.cells] - centre) ** 2).sum(axis=1)
    chosen = []
    for kind, count in ((np.flatnonzero(targets), room), (np.flatnonzero(~targets), most - room)):
        if kind.size > count:
            kind = kind[np.argpartition(distance[kind], count)[:count]] if count else kind[:0]
        chosen.append(kind)
    return np.sort(np.concatenate(chosen))

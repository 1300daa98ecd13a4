"""What the training times say of the covariance of a state, and the five constants that are left to choose.

structure    loadings of the rows (EOFs of their correlation), lag correlation of every mode's scores, its lengths
constants    taper   length of the Gaussian taper of the lag correlation, in lengths of the mode
             blend   share of an exponential with the mode's lengths
             weight  share of the localised past fields
             reach   length of that localisation, in lengths of the first mode
             nugget  variance of the white part
"""

__all__ = ["Constants", "Structure"]

from dataclasses import dataclass

import numpy as np

from driftfield.gaussian.covariance import (
    EmbeddedGrid,
    HybridCovariance,
    ZonalCovariance,
    lag_correlation,
    localisation,
    positive,
)


@dataclass(frozen=True)
class Constants:
    """The five constants, see the module; the values here are where the search starts."""

    taper: float = 1.25
    blend: float = 0.1
    weight: float = 0.4
    reach: float = 2.5
    nugget: float = 3e-3


@dataclass(frozen=True)
class Structure:
    """What the training times say of the covariance.

    Arguments:
        grid: Where.
        loadings: (row, mode).
        correlations: Raw lag correlation of every mode, (mode, lat, lat', lag).
        lengths: Zonal and meridional distance in km at which it falls to 1/e, (mode, 2).
    """

    grid: EmbeddedGrid
    loadings: np.ndarray
    correlations: np.ndarray
    lengths: np.ndarray

    @classmethod
    def estimate(
        cls,
        fields: np.ndarray,
        domain: np.ndarray,
        grid: EmbeddedGrid,
        *,
        seen: np.ndarray | None = None,
        share: float = 0.998,
        most: int = 14,
    ) -> "Structure":
        """From standardised anomalies.

        Arguments:
            fields: (time, row, cell), 0 outside the domain and where not known.
            domain: Boolean (row, cell).
            grid: Where.
            seen: Where they are known (time, row, cell), in an archive with gaps; else the domain.
            share: Part of the variance of the rows that the modes carry; the rest is white.
            most: Most modes.
        """
        if seen is None or bool((seen | ~domain).all()):
            loadings = _loadings(fields, domain[None], share, most)
            scores, known = _scores(fields, domain, loadings)
        else:
            loadings = _loadings(fields, seen, share, most)
            scores, known = _gappy_scores(fields, domain, seen, loadings)
        known = known.reshape(*known.shape[:-1], *grid.shape)
        correlations, lengths = [], []
        for k in range(loadings.shape[1]):
            table, pairs = lag_correlation(scores[:, k].reshape(-1, *grid.shape), known, grid)
            # a handful of pairs says nothing of a lag
            table[pairs < 3] = 0.0
            correlations.append(table)
            lengths.append(_lengths(table, pairs, grid))
        return cls(grid, loadings, np.stack(correlations).astype(np.float32), np.array(lengths))

    def covariance(self, constants: Constants, samples: np.ndarray) -> HybridCovariance:
        """The covariance that the constants say, with `samples` (sample, row, cell) as past fields."""
        smooth = (self.loadings**2).sum(axis=1)
        white = constants.nugget + (1 - constants.weight) * np.maximum(1 - smooth, 0.0)
        reach = constants.reach * float(np.sqrt(self.lengths[0].prod()))
        return HybridCovariance(
            grid=self.grid,
            loadings=self.loadings.astype(np.float32),
            modes=self.modes(constants),
            nugget=white.astype(np.float32),
            samples=samples,
            locality=localisation(self.grid.points, reach) if len(samples) else np.ones((len(self.grid.points), 1)),
            weight=constants.weight if len(samples) else 0.0,
        )

    def modes(self, constants: Constants) -> tuple[ZonalCovariance, ...]:
        """Tapered, blended and made positive definite."""
        zonal, meridional = self.grid.separation
        modes = []
        for raw, (across, along) in zip(self.correlations, self.lengths, strict=True):
            taper = constants.taper * np.sqrt(across * along)
            table = raw * np.exp(-0.5 * (zonal**2 + meridional**2) / taper**2)
            known = np.einsum("iil->il", raw)[:, 0] > 0.5
            table[~known] = 0.0
            table[:, ~known] = 0.0
            exponential = np.exp(-np.sqrt((zonal / across) ** 2 + (meridional / along) ** 2))
            table[np.ix_(~known, ~known)] = exponential[np.ix_(~known, ~known)]
            table = positive((1 - constants.blend) * positive(table) + constants.blend * exponential)
            modes.append(ZonalCovariance(table, self.grid.lon.size))
        return tuple(modes)


def _loadings(fields: np.ndarray, seen: np.ndarray, share: float, most: int) -> np.ndarray:
    """EOFs of the correlation of the rows, scaled by their standard deviations: (row, mode); seen (time or 1, row, cell)."""
    n_rows = fields.shape[1]
    if n_rows == 1:
        return np.ones((1, 1))
    flat = fields.transpose(1, 0, 2).reshape(n_rows, -1).astype(np.float64)
    counts = seen.transpose(1, 0, 2).reshape(n_rows, -1).astype(np.float64)
    pairs = np.maximum((counts @ counts.T) * (len(fields) / len(seen)), 1.0)
    covariance = flat @ flat.T / pairs
    sd = np.sqrt(np.maximum(np.diag(covariance), 1e-12))
    w, v = np.linalg.eigh(covariance / sd[:, None] / sd[None])
    w, v = np.maximum(w[::-1], 0.0), v[:, ::-1]
    count = min(int(np.searchsorted(np.cumsum(w) / w.sum(), share)) + 1, most, n_rows)
    return v[:, :count] * np.sqrt(w[:count])


def _scores(fields: np.ndarray, domain: np.ndarray, loadings: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Ridge regression of the columns on the loadings: scores (time, mode, cell), and the cells that count."""
    known = domain.mean(axis=0) >= 0.6
    if not known.any():
        known = domain.any(axis=0)
    scores = np.zeros((len(fields), loadings.shape[1], fields.shape[-1]), dtype=np.float32)
    kinds, kind_of = np.unique(domain[:, known], axis=1, return_inverse=True)
    cells = np.flatnonzero(known)
    for kind, rows in enumerate(kinds.T):
        here = cells[kind_of.ravel() == kind]
        a = loadings[rows]
        inverse = np.linalg.solve(a.T @ a + 0.01 * np.eye(a.shape[1]), a.T)
        scores[:, :, here] = np.einsum("kr,trx->tkx", inverse, fields[:, rows][:, :, here], optimize=True)
    return scores, known


def _gappy_scores(
    fields: np.ndarray, domain: np.ndarray, seen: np.ndarray, loadings: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The same with the rows that every column shows at every time; known where that is most of them: (time, cell)."""
    scores = np.zeros((len(fields), loadings.shape[1], fields.shape[-1]), dtype=np.float32)
    ridge = 0.01 * np.eye(loadings.shape[1])
    for t, shown in enumerate(seen):
        gram = np.einsum("rk,rl,rx->xkl", loadings, loadings, shown, optimize=True) + ridge
        pull = (loadings.T @ np.where(shown, fields[t], 0.0)).T
        scores[t] = np.linalg.solve(gram, pull[:, :, None])[:, :, 0].T
    most_of_it: np.ndarray = np.greater_equal(seen.sum(axis=1), 0.6 * domain.sum(axis=0)) & domain.any(axis=0)
    return scores, most_of_it if most_of_it.any() else np.asarray(seen.any(axis=1))


def _lengths(table: np.ndarray, pairs: np.ndarray, grid: EmbeddedGrid) -> tuple[float, float]:
    """Median distance at which the correlation falls to 1/e, eastwards and northwards, km."""
    zonal, meridional = grid.separation
    n_lat, n_lon = grid.shape
    half = n_lon // 2 if grid.periodic else n_lon - 1
    east, north = [], []
    for i in range(n_lat):
        if pairs[i, i, 0] < 3:
            continue
        east.append(_fall(table[i, i, : half + 1], zonal[i, i, : half + 1]))
        north.append(_fall(table[i, i:, 0], meridional[i, i:, 0]))
    east = [d for d in east if np.isfinite(d)] or [float(zonal.max()) / 2]
    north = [d for d in north if np.isfinite(d)] or [float(max(meridional.max(), 1.0)) / 2]
    return float(np.median(east)), float(np.median(north))


def _fall(correlation: np.ndarray, distance: np.ndarray) -> float:
    """Distance at which a correlation function first falls to 1/e, NaN if it does not."""
    below = np.flatnonzero(correlation < np.exp(-1.0))
    if not below.size or below[0] == 0:
        return float("nan")
    i = int(below[0])
    high, low = correlation[i - 1], correlation[i]
    return float(distance[i - 1] + (distance[i] - distance[i - 1]) * (high - np.exp(-1.0)) / max(high - low, 1e-9))

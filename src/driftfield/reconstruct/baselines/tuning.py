"""How optimal interpolation learns its covariance: structure from training times, five constants from validation times.

    structure    loadings of the rows (EOFs of their correlation), lag correlation of every mode's scores, its lengths
    constants    taper   length of the Gaussian taper of the lag correlation, in lengths of the mode
                 blend   share of an exponential with the mode's lengths
                 weight  share of the localised past fields
                 reach   length of that localisation, in lengths of the first mode
                 nugget  variance of the white part

The constants are found one after the other, twice around, each by the lowest geometric mean (over the patterns of gaps)
of the CRPS on hidden cells of validation times, after the spread has been calibrated there by a power law:

    sd -> prior * scale * (sd / prior)^power

An untuned optimal interpolation is no opponent.
"""

__all__ = ["Calibration", "Case", "Constants", "Fit", "Structure", "calibrate", "evaluate", "judge", "search"]

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
from scipy.optimize import minimize, minimize_scalar
from scipy.special import erf

from driftfield.reconstruct.baselines.conditioning import Seen, condition
from driftfield.reconstruct.baselines.covariance import (
    Grid,
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


CANDIDATES: dict[str, tuple[float, ...]] = {
    "weight": (0.0, 0.2, 0.4, 0.55, 0.7, 0.85, 0.93),
    "taper": (0.5, 0.8, 1.25, 2.0, 4.0),
    "blend": (0.0, 0.1, 0.25, 0.5),
    "reach": (0.6, 1.0, 1.6, 2.5, 4.0),
    "nugget": (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 6e-2),
}


@dataclass(frozen=True)
class Structure:
    """What the training times say of the covariance.

    Arguments:
        grid: Where.
        loadings: (row, mode).
        correlations: Raw lag correlation of every mode, (mode, lat, lat', lag).
        lengths: Zonal and meridional distance in km at which it falls to 1/e, (mode, 2).
    """

    grid: Grid
    loadings: np.ndarray
    correlations: np.ndarray
    lengths: np.ndarray

    @classmethod
    def estimate(
        cls,
        fields: np.ndarray,
        domain: np.ndarray,
        grid: Grid,
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


@dataclass(frozen=True)
class Case:
    """One validation time under one pattern of gaps.

    Arguments:
        pattern: Which; scores are averaged per pattern.
        seen: The observations.
        truth: Standardised anomalies (row, cell) of the target rows.
        hidden: Where to score, boolean (row, cell).
        tiles: Tiles that are done.
    """

    pattern: str
    seen: Seen
    truth: np.ndarray
    hidden: np.ndarray
    tiles: np.ndarray | None


@dataclass(frozen=True)
class Calibration:
    """Spread as it should have been: sd -> prior * scale * (sd / prior)^power.

    A hidden cell that the prior thinks almost known is usually less so, and the other way round.

    Arguments:
        scale: Per target row.
        power: One for all.
    """

    scale: np.ndarray
    power: float

    def apply(self, sd: np.ndarray, prior: np.ndarray) -> np.ndarray:
        """Calibrated standard deviation (row, ...), never more than twice the prior's."""
        ratio = np.clip(sd / np.maximum(prior, 1e-12), 1e-4, 1.0)
        scale = self.scale.reshape(-1, *[1] * (sd.ndim - 1))
        return np.minimum(prior * scale * ratio**self.power, 2 * prior)


@dataclass(frozen=True)
class Fit:
    """How well a covariance does: mean CRPS per pattern (physical units) once its spread is calibrated."""

    crps: dict[str, float]
    calibration: Calibration

    @property
    def score(self) -> float:
        """Logarithm of the geometric mean of the CRPS."""
        return float(np.mean(np.log(list(self.crps.values()))))


def evaluate(covariance: HybridCovariance, cases: Sequence[Case], sd: np.ndarray, *, most: int) -> Fit:
    """Reconstructs the hidden cells of all cases and calibrates the spread on them.

    Arguments:
        covariance: The prior.
        cases: What is hidden.
        sd: Standard deviations (row, cell) of the target rows.
        most: Observations per tile.
    """
    rows, everywhere = np.arange(len(sd)), np.arange(sd.shape[1])

    def solve(case: Case, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        mean, variance, _ = condition(covariance, case.seen, rows=rows, wanted=wanted, most=most, tiles=case.tiles)
        return mean, variance

    return judge(solve, np.sqrt(covariance.variance(rows, everywhere)), cases, sd)


def judge(
    solve: Callable[[Case, np.ndarray], tuple[np.ndarray, np.ndarray]],
    prior: np.ndarray,
    cases: Sequence[Case],
    sd: np.ndarray,
) -> Fit:
    """The same for any Gaussian method.

    Arguments:
        solve: (case, wanted cells) -> standardised mean and variance of the target rows, (row, cell), NaN where not done.
        prior: Its standardised standard deviation before anything is observed, (row, cell).
        cases: What is hidden.
        sd: Standard deviations (row, cell) of the target rows.
    """
    parts: dict[str, list[np.ndarray]] = {}
    for case in cases:
        mean, variance = solve(case, np.asarray(case.hidden.any(axis=0)))
        row, cell = np.nonzero(case.hidden & np.isfinite(mean))
        error = (mean - case.truth)[row, cell] * sd[row, cell]
        spread = np.sqrt(variance[row, cell]) * sd[row, cell]
        parts.setdefault(case.pattern, []).append(np.stack([row, error, spread, (prior * sd)[row, cell]]))
    return calibrate({pattern: np.concatenate(blocks, axis=1) for pattern, blocks in parts.items()}, len(sd))


def calibrate(residuals: dict[str, np.ndarray], n_rows: int, *, most: int = 4000) -> Fit:
    """The calibration of least geometric mean CRPS; residuals per pattern: (row, error, sd, prior) of its cells."""
    thin = [r[:, :: max(1, r.shape[1] // most)] for r in residuals.values() if r.shape[1]]

    def score(parameters: np.ndarray, blocks: list[np.ndarray]) -> float:
        return float(np.mean([np.log(_mean_crps(block, *parameters)) for block in blocks]))

    best = minimize(
        score, np.array([0.0, 0.9]), args=(thin,), method="Nelder-Mead", options={"xatol": 0.01, "fatol": 1e-4}
    )
    shift, power = best.x
    scale = np.full(n_rows, shift)
    if n_rows > 1:
        for row in range(n_rows):
            own = [block[:, block[0] == row] for block in thin]
            own = [block for block in own if block.shape[1] >= 30]
            if own:
                scale[row] = minimize_scalar(
                    lambda c, own=own: score(np.array([c, power]), own),
                    bounds=(shift - 0.7, shift + 0.7),
                    method="bounded",
                ).x
    calibration = Calibration(np.exp(scale), float(power))
    crps = {p: _mean_crps(r, scale[r[0].astype(int)], power) for p, r in residuals.items() if r.shape[1]}
    return Fit(crps, calibration)


def _mean_crps(residuals: np.ndarray, shift: np.ndarray | float, power: float) -> float:
    _, error, sd, prior = residuals
    ratio = np.clip(sd / np.maximum(prior, 1e-12), 1e-4, 1.0)
    calibrated = np.minimum(prior * np.exp(shift) * ratio**power, 2 * prior)
    return float(np.mean(gaussian_crps(error, np.maximum(calibrated, 1e-9))))


def search(
    structure: Structure, samples: np.ndarray, cases: Sequence[Case], sd: np.ndarray, *, most: int
) -> tuple[Constants, Fit]:
    """The constants with the lowest score, one coordinate after the other, each climbed from where it stands."""

    def score(constants: Constants) -> Fit:
        if constants not in tried:
            tried[constants] = evaluate(structure.covariance(constants, samples), cases, sd, most=most)
        return tried[constants]

    tried: dict[Constants, Fit] = {}
    best = Constants() if len(samples) else Constants(weight=0.0)
    for _ in range(2):
        before = best
        for field in fields(Constants):
            if not len(samples) and field.name in ("weight", "reach"):
                continue
            best = _climb(best, field.name, score)
        if best == before:
            break
    return best, score(best)


def _climb(best: Constants, name: str, score: Callable[[Constants], Fit]) -> Constants:
    """Walks along the candidates of one constant while the score falls."""
    values = CANDIDATES[name]
    here = int(np.argmin([abs(v - getattr(best, name)) for v in values]))
    for step in (1, -1):
        moved = False
        while 0 <= here + step < len(values):
            trial = replace(best, **{name: values[here + step]})
            if score(trial).score >= score(best).score:
                break
            best, here, moved = trial, here + step, True
        if moved:
            break
    return best


def gaussian_crps(error: np.ndarray, sd: np.ndarray) -> np.ndarray:
    """CRPS of a normal forecast (Gneiting and Raftery 2007, eq. 21)."""
    z = error / sd
    return sd * (z * erf(z / np.sqrt(2.0)) + np.sqrt(2.0 / np.pi) * np.exp(-0.5 * z * z) - 1.0 / np.sqrt(np.pi))


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


def _lengths(table: np.ndarray, pairs: np.ndarray, grid: Grid) -> tuple[float, float]:
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

r"""The covariance of one field from its own observations: an empirical variogram, then the likelihood.

    g(h) = sum_x m(x) m(x+h) (y(x) - y(x+h))^2 / (2 sum_x m(x) m(x+h))          all offsets h at once, by Fourier transform
    minimise  sum_h n(h)^1/2 (g(h) / f(h) - 1)^2                                 Cressie (1985), tempered: pairs overlap
    f(h) = sill (1 - (1 - nugget) r(|A h| / l; nu))                             r the Matern correlation
    maximise  prod_c N(y_c; 0, K_cc + R)                                         over clusters c of observations (Vecchia 1988)

A field that was seen in very few places tells nothing of its covariance: then the answer is a convention, see `fit_matern`.
"""

__all__ = ["FittedMatern", "JITTER", "MEAN", "Clusters", "correlation", "empirical_variogram", "fit_matern"]

from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy import fft
from scipy.optimize import minimize
from scipy.spatial import cKDTree
from scipy.special import gamma, kv

_SMOOTHNESS = (0.35, 0.6, 1.0, 1.8, 4.0)
_FAR, _STEPS = 30.0, 8000

MEAN = 0.5
"""Variance of the mean of the field, in units of the sill: the observed mean is a good guess of it, no more."""

JITTER = 1e-6
"""What is added to the diagonal of a covariance, in units of the sill."""


@dataclass(frozen=True)
class FittedMatern:
    """Parameters of one field, lengths in cells.

    Arguments:
        length: Correlation length: the geometric mean of both axes.
        smoothness: nu.
        stretch: Length along the first axis over the geometric mean.
        angle: Direction of the first axis against the rows' direction (y), radians.
        nugget: Share of the variance that is white.
        sill: Variance, nugget included.
    """

    length: float
    smoothness: float
    stretch: float
    angle: float
    nugget: float
    sill: float


@dataclass(frozen=True)
class Clusters:
    """Which observations a likelihood is computed from: more of them cost more and tell more.

    Arguments:
        count: Clusters of neighbours.
        size: Observations in each of them.
        spread: Observations in the one that is spread over the field.
    """

    count: int = 16
    size: int = 24
    spread: int = 80


def empirical_variogram(
    values: np.ndarray, observed: np.ndarray, reach: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Semivariance by offset, in one half plane: rows, columns, semivariance and number of pairs, each (offset,).

    Arguments:
        values: Any finite number where not observed (lat, lon).
        observed: Where they count.
        reach: Greatest offset in rows and in columns.
    """
    m = observed.astype(np.float64)
    y = np.where(observed, values, 0.0).astype(np.float64)
    y = (y - y.sum() / max(m.sum(), 1.0)) * m
    rows, columns = (min(reach, side - 1) for side in m.shape)
    torus = (fft.next_fast_len(m.shape[0] + rows), fft.next_fast_len(m.shape[1] + columns, real=True))
    fm, fy, fs = (fft.rfft2(part, torus) for part in (m, y, y * y))
    pairs = fft.irfft2(np.abs(fm) ** 2, torus)
    squares = fft.irfft2(2 * (fs * fm.conj()).real - 2 * np.abs(fy) ** 2, torus)
    i, j = np.meshgrid(np.arange(-rows, rows + 1), np.arange(columns + 1), indexing="ij")
    half = (j > 0) | (i > 0)
    i, j = i[half], j[half]
    count = np.round(pairs[i, j])
    seen = count > 0
    return i[seen], j[seen], np.maximum(squares[i, j][seen], 0.0) / (2 * count[seen]), count[seen]


def fit_matern(
    values: np.ndarray,
    observed: np.ndarray,
    error: np.ndarray | None = None,
    *,
    reach: int = 24,
    clusters: Clusters | None = None,
) -> FittedMatern:
    """The Matern model of one field's observed values, of about mean 0.

    With fewer than 12 observations, or none that differ: an isotropic field of smoothness 1.5, a length of a fifth of the longer
    side, and the variance of the observations. Anisotropy is looked for from 60 observations on.

    Arguments:
        values: (lat, lon); any finite number where not observed.
        observed: Where they were observed.
        error: Standard deviation of the observations' errors; none by default.
        reach: Greatest offset that the variogram looks at, at least; a third of the shorter side where that is more.
        clusters: Observations that the likelihood is computed from; those of `Clusters()` by default.
    """
    count = int(observed.sum())
    seen = values[observed].astype(np.float64)
    variance = float((seen**2).mean()) if count else 0.0
    convention = FittedMatern(0.2 * max(observed.shape), 1.5, 1.0, 0.0, 0.0, variance or 1.0)
    if count < 12 or np.ptp(seen) == 0:
        return convention
    noise = np.zeros(count) if error is None else error[observed].astype(np.float64) ** 2
    starts = _starts(values, observed, float(noise.mean()), reach)
    likelihood = _Likelihood(observed, seen, noise, variance, clusters or Clusters())
    _, smoothness, start = min((likelihood(start, nu), nu, start.tolist()) for nu, start in starts)
    free = 4 if count >= 60 else 2
    isotropic = np.zeros(4 - free)
    steps = np.diag([0.4, 1.2, 0.3, 0.3])[:free, :free]

    def loss(parameters: np.ndarray) -> float:
        return likelihood(np.concatenate([parameters, isotropic]), smoothness)

    simplex = np.array(start)[:free] + np.vstack([np.zeros(free), steps])
    # a tenth of a unit of the log likelihood is far within what the observations can tell
    options = {"maxiter": 14 * free, "xatol": 0.1, "fatol": 0.1, "initial_simplex": simplex}
    best = np.concatenate([minimize(loss, simplex[0], method="Nelder-Mead", options=options).x, isotropic])
    best[0] = np.clip(best[0], np.log(0.4), np.log(3.0 * max(observed.shape)))
    stretch = float(np.exp(min(np.hypot(best[2], best[3]), 1.2)))
    angle = float(0.5 * np.arctan2(best[3], best[2]))
    sill = likelihood.sill(best, smoothness)
    return FittedMatern(float(np.exp(best[0])), smoothness, stretch, angle, _share(best[1]), sill)


def _starts(values: np.ndarray, observed: np.ndarray, noise: float, reach: int) -> list[tuple[float, np.ndarray]]:
    """For every smoothness the isotropic model that is nearest to the variogram: log length, logit of the nugget, 0, 0."""
    i, j, semivariance, pairs = empirical_variogram(values, observed, max(reach, min(observed.shape) // 3))
    i, j, semivariance, weight = _thinned(i, j, semivariance, np.sqrt(pairs))
    semivariance = np.maximum(semivariance - noise, 0.02 * semivariance)
    distance = np.hypot(i, j)
    starts = []
    for smoothness in _SMOOTHNESS:
        rises = 1 - _falling(distance / np.geomspace(0.7, 1.5 * max(observed.shape), 12)[:, None], smoothness)
        losses = []
        for nugget in (0.0005, 0.1):
            ratio = semivariance / (nugget + (1 - nugget) * rises + 1e-6)
            # the sill in closed form: the least squares of ratio / sill - 1
            sill = (weight * ratio**2).sum(1, keepdims=True) / np.maximum((weight * ratio).sum(1, keepdims=True), 1e-12)
            losses.append((weight * (ratio / np.maximum(sill, 1e-12) - 1) ** 2).sum(1))
        place, kind = np.unravel_index(int(np.argmin(np.array(losses).T)), (12, 2))
        length = np.geomspace(0.7, 1.5 * max(observed.shape), 12)[place]
        starts.append((smoothness, np.array([np.log(length), -7.0 if kind == 0 else -2.2, 0.0, 0.0])))
    return starts


class _Likelihood:
    """Minus the logarithm of the likelihood of a few clusters of observations, each for itself (composite likelihood).

    Neighbours know the small scales, a cluster that is spread over the field knows the large ones. The sill is where the
    likelihood is greatest for the other parameters.
    """

    def __init__(
        self, observed: np.ndarray, seen: np.ndarray, noise: np.ndarray, variance: float, clusters: Clusters
    ) -> None:
        places = np.argwhere(observed).astype(np.float64)
        # fixed, so that the same observations are always fitted alike
        rng = np.random.default_rng(0)
        order = rng.permutation(len(places))
        near = cKDTree(places).query(places[order[: clusters.count]], k=min(clusters.size, len(places)))[1]
        self.parts = []
        for index in (near, order[None, : min(clusters.spread, len(places))]):
            offset = places[index][:, :, None] - places[index][:, None]
            self.parts.append((offset, seen[index][..., None], noise[index] / variance))
        self.variance = variance
        self.count = sum(part[1].size for part in self.parts)

    def __call__(self, parameters: np.ndarray, smoothness: float) -> float:
        try:
            squares, determinant = self._terms(parameters, smoothness)
        except np.linalg.LinAlgError:  # smoother and longer than double precision can tell from constant
            return 1e10
        return 0.5 * (self.count * np.log(max(squares / self.count, 1e-300)) + determinant)

    def sill(self, parameters: np.ndarray, smoothness: float) -> float:
        """The variance that goes with the other parameters."""
        try:
            return max(self._terms(parameters, smoothness)[0] / self.count, 1e-12)
        except np.linalg.LinAlgError:
            return self.variance

    def _terms(self, parameters: np.ndarray, smoothness: float) -> tuple[float, float]:
        """Sum of the squared whitened values, and the logarithm of the determinant, for a sill of 1."""
        size, angle = np.hypot(parameters[2], parameters[3]), 0.5 * np.arctan2(parameters[3], parameters[2])
        nugget = _share(parameters[1])
        length = float(np.exp(np.clip(parameters[0], -1.0, 8.0)))
        model = FittedMatern(length, smoothness, float(np.exp(min(size, 1.2))), float(angle), nugget, 1.0)
        squares = determinant = 0.0
        for offset, seen, noise in self.parts:
            matrix = (1 - nugget) * correlation(model, offset) + MEAN
            diagonal = np.arange(matrix.shape[-1])
            matrix[:, diagonal, diagonal] += nugget + noise + JITTER
            factor = np.linalg.cholesky(matrix)
            squares += float((np.linalg.solve(factor, seen) ** 2).sum())
            determinant += 2 * float(np.log(factor[:, diagonal, diagonal]).sum())
        return squares, determinant


def _thinned(i: np.ndarray, j: np.ndarray, value: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, ...]:
    """All near offsets, and every third of the far ones, which count less one by one: there are more of them."""
    distance = np.hypot(i, j)
    keep = (distance <= 6) | ((i + 2 * j) % 3 == 0)
    return i[keep], j[keep], value[keep], (weight / np.maximum(distance, 1.0))[keep]


def correlation(model: FittedMatern, offset: np.ndarray) -> np.ndarray:
    """Correlation of the part that is not nugget at offsets (..., 2) in rows and columns: (...)."""
    cosine, sine = np.cos(model.angle), np.sin(model.angle)
    along = (offset[..., 0] * cosine + offset[..., 1] * sine) / (model.stretch * model.length)
    across = (offset[..., 1] * cosine - offset[..., 0] * sine) * (model.stretch / model.length)
    return _falling(np.sqrt(along * along + across * across), model.smoothness)


def _falling(distance: np.ndarray, smoothness: float) -> np.ndarray:
    """The Matern correlation at a distance in units of the length, from a table that is finest near 0."""
    place = np.sqrt(np.minimum(distance, _FAR)) * (_STEPS / np.sqrt(_FAR))
    below = np.minimum(place.astype(np.intp), _STEPS - 1)
    table, slope = _table(smoothness)
    return np.asarray(table[below] + slope[below] * (place - below))


def _share(logit: float) -> float:
    return float(1 / (1 + np.exp(-np.clip(logit, -20, 20))))


@cache
def _table(smoothness: float) -> tuple[np.ndarray, np.ndarray]:
    """The Matern correlation at distances that grow with the square of the index, and its differences."""
    distance = np.linspace(0, np.sqrt(_FAR), _STEPS + 1)[1:] ** 2
    x = np.sqrt(2 * smoothness) * distance
    values = np.concatenate([[1.0], 2 ** (1 - smoothness) / gamma(smoothness) * x**smoothness * kv(smoothness, x)])
    return values, np.diff(values)

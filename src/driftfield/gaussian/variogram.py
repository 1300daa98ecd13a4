r"""The covariance of one field from its own observations: an empirical variogram, and the Matern model nearest to it.

    g(h) = sum_x m(x) m(x+h) (y(x) - y(x+h))^2 / (2 sum_x m(x) m(x+h))          all offsets h at once, by Fourier transform
    minimise  sum_h n(h)^1/2 (g(h) / f(h) - 1)^2                                 Cressie (1985), tempered: pairs overlap
    f(h) = sill (1 - (1 - nugget) r(|A h| / l; nu))                             r the Matern correlation

A field that was seen in very few places tells nothing of its covariance: then the answer is a convention, see `fit_matern`.
"""

__all__ = ["FittedMatern", "empirical_variogram", "fit_matern"]

from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy import fft
from scipy.optimize import minimize
from scipy.special import gamma, kv

_SMOOTHNESS = (0.35, 0.5, 0.8, 1.2, 2.0, 4.0)
_DISTANCES = np.concatenate([[0.0], np.geomspace(1e-3, 30.0, 400)])


@dataclass(frozen=True)
class FittedMatern:
    """Parameters of one field, lengths in cells.

    Arguments:
        length: Correlation length: the geometric mean of both axes.
        smoothness: nu.
        stretch: Length along the first axis over the geometric mean.
        angle: Direction of the first axis against the rows' direction (y), radians.
        nugget: Share of the variance that is white.
        sill: Variance.
    """

    length: float
    smoothness: float
    stretch: float
    angle: float
    nugget: float
    sill: float


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


def fit_matern(values: np.ndarray, observed: np.ndarray, *, reach: int = 24) -> FittedMatern:
    """The Matern model of one field's observed values.

    With fewer than 12 observations, or none that differ: an isotropic field of smoothness 1.5 and a length of a fifth of the
    longer side. Anisotropy is looked for from 60 observations on.

    Arguments:
        values: (lat, lon), errors taken as part of the field.
        observed: Where they were observed.
        reach: Greatest offset that is looked at, at least; a third of the shorter side where that is more.
    """
    count = int(observed.sum())
    fallback = FittedMatern(0.2 * max(observed.shape), 1.5, 1.0, 0.0, 0.0, 1.0)
    if count < 12:
        return fallback
    i, j, semivariance, pairs = empirical_variogram(values, observed, max(reach, min(observed.shape) // 3))
    if not (semivariance > 0).any():
        return fallback
    i, j, semivariance, weight = _thinned(i, j, semivariance, np.sqrt(pairs))
    scale = float(np.average(semivariance, weights=weight))
    semivariance = semivariance / scale

    def loss(parameters: np.ndarray, smoothness: float) -> float:
        f = _model(parameters, smoothness, i, j)
        ratio = semivariance / f
        # the sill in closed form: the least squares of ratio / sill - 1
        sill = float((weight * ratio**2).sum() / max((weight * ratio).sum(), 1e-12))
        return float((weight * (ratio / sill - 1) ** 2).sum() / weight.sum())

    longest = 1.5 * max(observed.shape)
    starts = [
        (loss(np.array([np.log(length), 0.0, 0.0, nugget]), nu), nu, length, nugget)
        for nu in _SMOOTHNESS
        for length in np.geomspace(0.7, longest, 12)
        for nugget in (-9.0, -3.0, -1.0)
    ]
    _, smoothness, length, nugget = min(starts)
    start = np.array([np.log(length), 0.0, 0.0, nugget])
    if count >= 60:
        options = {"maxiter": 120, "xatol": 0.02, "fatol": 1e-5}
        simplex = start + np.vstack([np.zeros(4), np.diag([0.3, 0.3, 0.3, 1.0])])
        found = minimize(
            loss, start, (smoothness,), method="Nelder-Mead", options=options | {"initial_simplex": simplex}
        )
        start = found.x
    log_length = float(np.clip(start[0], np.log(0.5), np.log(longest)))
    stretch = float(np.exp(np.clip(np.hypot(start[1], start[2]), 0.0, 1.2)))
    angle = float(0.5 * np.arctan2(start[2], start[1]))
    ratio = semivariance / _model(start, smoothness, i, j)
    sill = scale * float((weight * ratio).sum() / weight.sum())
    return FittedMatern(float(np.exp(log_length)), smoothness, stretch, angle, _share(start[3]), sill)


def _thinned(i: np.ndarray, j: np.ndarray, value: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, ...]:
    """All near offsets, and every third of the far ones, which count less one by one: there are more of them."""
    distance = np.hypot(i, j)
    keep = (distance <= 6) | ((i + 2 * j) % 3 == 0)
    return i[keep], j[keep], value[keep], (weight / np.maximum(distance, 1.0))[keep]


def _model(parameters: np.ndarray, smoothness: float, i: np.ndarray, j: np.ndarray) -> np.ndarray:
    """f(h) with a sill of 1; log length, stretch as a vector of twice the angle, nugget as a logit."""
    size, angle = np.hypot(parameters[1], parameters[2]), 0.5 * np.arctan2(parameters[2], parameters[1])
    stretch = np.exp(min(size, 1.2))
    along = (i * np.cos(angle) + j * np.sin(angle)) / stretch
    across = (j * np.cos(angle) - i * np.sin(angle)) * stretch
    distance = np.hypot(along, across) * np.exp(-parameters[0])
    correlation = np.interp(distance, _DISTANCES, _table(smoothness), right=0.0)
    return np.asarray(1 - (1 - _share(parameters[3])) * correlation + 1e-6)


def _share(logit: float) -> float:
    return float(1 / (1 + np.exp(-np.clip(logit, -20, 20))))


@cache
def _table(smoothness: float) -> np.ndarray:
    """The Matern correlation at `_DISTANCES`, in units of the length."""
    x = np.sqrt(2 * smoothness) * _DISTANCES[1:]
    return np.concatenate([[1.0], 2 ** (1 - smoothness) / gamma(smoothness) * x**smoothness * kv(smoothness, x)])

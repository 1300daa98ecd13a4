"""Kriging of scattered values at any places and times, without steps.

    weights    W = (K_oo + R)^-1 K_ox        mean  W' y        variance  K_xx - |L^-1 K_ox|^2,  L L' = K_oo + R
    many       sum_k b_k(x) W_k' y_k         tiles k that overlap, b_k >= 0, sum_k b_k = 1

All targets of a group are solved with the same values: within it the field is as smooth as the covariance. A group with more
values in reach than `most` is cut into tiles with a value set of their own each, and tiles blend linearly from centre to
centre, so that no cell differs from its neighbour by more than the tiles do on the way.
"""

__all__ = ["krige", "krige_smoothly"]

import numpy as np
from scipy.linalg import LinAlgError, cho_factor, solve_triangular

from driftfield.gaussian.point_likelihood import PointSample
from driftfield.gaussian.space_time_covariance import Places, SpaceTimeCovariance

_CHUNK = 4096
_REACH = 1e-3


def krige(
    covariance: SpaceTimeCovariance, sample: PointSample, innovations: np.ndarray, places: Places, days: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Increments and variance of the smooth part, from all values of the sample.

    Arguments:
        covariance: The prior.
        sample: Where the values are, and the variances of their errors.
        innovations: (n, 1 + member).
        places: Where the field is wanted.
        days: When, (target,).

    Returns:
        (target, 1 + member) and (target,).
    """
    smooth = covariance.variance - covariance.nugget
    increments, variance = np.zeros((len(places), innovations.shape[1])), np.full(len(places), smooth)
    if not len(sample):
        return increments, variance
    origin = float(np.median(sample.days))
    left = covariance.embed(sample.places, sample.days - origin)
    middle = [phi.mean(axis=0) for phi in left]
    left = [phi - m for phi, m in zip(left, middle, strict=True)]
    matrix = _between(covariance, left, left)
    matrix[np.diag_indices(len(sample))] += covariance.nugget + sample.noise + 1e-8
    factor = _cholesky(matrix)
    white = solve_triangular(factor, innovations, lower=True, check_finite=False)
    for start in range(0, len(places), _CHUNK):
        part = np.arange(start, min(start + _CHUNK, len(places)))
        right = covariance.embed(places[part], days[part] - origin)
        right = [phi - m for phi, m in zip(right, middle, strict=True)]
        half = solve_triangular(factor, _between(covariance, left, right), lower=True, check_finite=False)
        increments[part] = half.T @ white
        variance[part] = smooth - (half**2).sum(axis=0)
    return increments, np.maximum(variance, 0.0)


def krige_smoothly(
    covariance: SpaceTimeCovariance,
    sample: PointSample,
    innovations: np.ndarray,
    places: Places,
    days: np.ndarray,
    *,
    most: int = 600,
) -> tuple[np.ndarray, np.ndarray]:
    """As `krige`, from what lies in reach; by tiles where that is more than `most` values."""
    box = _Box.around(places, days)
    near = _in_reach(covariance, sample, box, len(sample))
    if near.size <= most:
        return krige(covariance, sample[near], innovations[near], places, days)
    tiles = _tiles(places, int(np.ceil(np.sqrt(near.size / most))) + 1)
    increments, variance = np.zeros((len(places), innovations.shape[1])), np.zeros(len(places))
    for weight in tiles:
        inside = np.flatnonzero(weight > 0)
        if not inside.size:
            continue
        mine = _Box.around(places[inside], days[inside])
        chosen = near[_in_reach(covariance, sample[near], mine, most)]
        mean, spread = krige(covariance, sample[chosen], innovations[chosen], places[inside], days[inside])
        increments[inside] += weight[inside, None] * mean
        variance[inside] += weight[inside] * spread
    return increments, variance


class _Box:
    """The smallest box of latitude, longitude, transformed depth and day around some targets."""

    def __init__(self, low: np.ndarray, high: np.ndarray) -> None:
        self.low, self.high = low, high

    @classmethod
    def around(cls, places: Places, days: np.ndarray) -> "_Box":
        axes = _axes(places, days)
        return cls(axes.min(axis=0), axes.max(axis=0))

    def nearest(self, places: Places, days: np.ndarray) -> tuple[Places, np.ndarray]:
        """The point of the box that is nearest to each place."""
        lat, lon, depth, day = np.clip(_axes(places, days), self.low, self.high).T
        return Places(lat, lon, depth, np.zeros(lat.size)), day


def _axes(places: Places, days: np.ndarray) -> np.ndarray:
    return np.stack([places.lat, places.lon, places.depth, days], axis=1)


def _in_reach(covariance: SpaceTimeCovariance, sample: PointSample, box: _Box, most: int) -> np.ndarray:
    """Indices of the values that covary with the box, at most so many: those that do so most."""
    places, days = box.nearest(sample.places, sample.days)
    here, there = covariance.embed(sample.places, sample.days), covariance.embed(places, days)
    relevance = np.zeros(len(sample))
    for component, a, b in zip(covariance.components, here, there, strict=True):
        relevance += component.share * _correlation(component.shape, ((a - b) ** 2).sum(axis=1))
    near = np.flatnonzero(relevance > _REACH * covariance.variance)
    if near.size > most:
        near = np.sort(near[np.argpartition(-relevance[near], most - 1)[:most]])
    return near


def _tiles(places: Places, count: int) -> list[np.ndarray]:
    """Weights (place,) of count x count tiles: hats from centre to centre, which add up to one."""

    def hats(x: np.ndarray) -> np.ndarray:
        low, high = x.min(), x.max()
        position = (x - low) / ((high - low) or 1.0) * (count - 1)
        return np.maximum(1.0 - np.abs(position[:, None] - np.arange(count)), 0.0)

    rows, columns = hats(places.lat), hats(places.lon)
    return [rows[:, i] * columns[:, j] for i in range(count) for j in range(count)]


def _between(covariance: SpaceTimeCovariance, left: list[np.ndarray], right: list[np.ndarray]) -> np.ndarray:
    total = np.zeros((len(left[0]), len(right[0])))
    for component, a, b in zip(covariance.components, left, right, strict=True):
        squared = (a * a).sum(-1)[:, None] + (b * b).sum(-1)[None] - 2 * a @ b.T
        total += component.share * _correlation(component.shape, np.maximum(squared, 0.0))
    return total


def _correlation(nu: float, squared: np.ndarray) -> np.ndarray:
    if np.isinf(nu):
        return np.exp(-0.5 * squared)
    d = np.sqrt(2 * nu * squared)
    if nu == 0.5:
        return np.exp(-d)
    return np.exp(-d) * ((1 + d) if nu == 1.5 else (1 + d + d**2 / 3))


def _cholesky(matrix: np.ndarray) -> np.ndarray:
    try:
        return np.tril(cho_factor(matrix, lower=True, check_finite=False)[0])
    except LinAlgError:
        scale = 1e-5 * float(np.trace(matrix)) / len(matrix)
        return np.tril(cho_factor(matrix + scale * np.eye(len(matrix)), lower=True, check_finite=False)[0])

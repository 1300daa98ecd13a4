"""The constants of a covariance of vectors, from what was seen of both components: a composite likelihood.

Some dozens of small clusters of observations count each for itself: neighbours of one date, which know the small scales; the same
beside those of another date, which know the time scale; and a few clusters that are spread over the grid, which know the large
ones. The sill is where the likelihood is greatest for the other constants (Varin, Reid and Firth 2011).
"""

__all__ = ["StatedByUser", "fit_vector_covariance"]

from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import minimize
from scipy.spatial import KDTree

from driftfield.earth import EARTH_RADIUS_KM
from driftfield.gaussian.space_time_covariance import Places
from driftfield.gaussian.vector_covariance import KINDS, Frames, VectorCovariance, reach
from driftfield.gaussian.vector_kriging import SeenComponents

_CLUSTERS, _SIZE, _SPREAD = 30, 16, 6
_ITERATIONS = 90


@dataclass(frozen=True)
class StatedByUser:
    """Scales that are not searched for.

    Arguments:
        length_km: Distance at which the mean of the correlations along and across is 1 / e.
        days: Time after which it is.
    """

    length_km: float | None = None
    days: float | None = None


@dataclass(frozen=True)
class _Cluster:
    """Places and directions in the plane, values, days and error variances of some observations."""

    sides: tuple[np.ndarray, np.ndarray]
    values: np.ndarray
    lag: np.ndarray
    noise: np.ndarray


def fit_vector_covariance(
    seen: SeenComponents, places: Places, *, stated: StatedByUser | None = None, seed: int = 0
) -> VectorCovariance:
    """The covariance under which the observations are likeliest.

    Arguments:
        seen: Standardised observations; only their values are used, no members.
        places: All cells.
        stated: What is known.
        seed: Of the clusters.
    """
    stated = stated or StatedByUser()
    clusters = _clusters(seen, places, np.random.default_rng(np.random.SeedSequence([seed, 41])))
    dates = np.unique(seen.day)
    step = float(np.median(np.diff(dates))) if dates.size > 1 else 1.0
    extent = max(float(np.linalg.norm(np.ptp(places.sphere, axis=0))) * EARTH_RADIUS_KM, 1.0)
    in_time = dates.size > 1 and stated.days is None

    def covariance(parameters: np.ndarray, kind: str) -> VectorCovariance:
        # of one date the last one, time, stays where it starts
        parameters = np.concatenate([parameters, [1.0]])[:5]
        bounded = np.clip(parameters, [np.log(extent / 300), -6, -9, -1.2, -3], [np.log(1.5 * extent), 6, 1, 1.2, 6])
        length, share, nugget, ratio, late = bounded
        made = VectorCovariance(
            length=float(np.exp(length) / reach(kind)),
            ratio=float(np.exp(ratio)),
            share=_logistic(share),
            days=float(np.exp(late) * step),
            nugget=float(np.exp(nugget)),
            kind=kind,
        )
        return made.stating(stated.length_km, stated.days)

    def loss(parameters: np.ndarray, kind: str) -> float:
        return _minus_log_likelihood(covariance(parameters, kind), clusters)[0]

    starts = [
        (loss(start, kind), kind, start)
        for kind in KINDS
        for share in (-2.0, 0.0)
        for length in np.log(extent * np.geomspace(0.02, 0.5, 6))
        for start in [np.array([length, share, -5.0, 0.0, 1.0])[: 5 if in_time else 4]]
    ]
    _, kind, start = min(starts, key=lambda s: s[0])
    free = len(start)
    simplex = start + np.vstack([np.zeros(free), np.diag([0.5, 1.0, 1.5, 0.4, 1.0])[:free, :free]])
    options = {"maxiter": _ITERATIONS, "xatol": 0.05, "fatol": 0.1, "initial_simplex": simplex}
    best = covariance(minimize(loss, start, args=(kind,), method="Nelder-Mead", options=options).x, kind)
    sill = _minus_log_likelihood(best, clusters)[1]
    return replace(best, sill=sill, nugget=best.nugget * sill)


def _minus_log_likelihood(covariance: VectorCovariance, clusters: list[_Cluster]) -> tuple[float, float]:
    """For a sill of 1 and that where it is greatest: minus the logarithm, and the sill."""
    squares, determinant, count = 0.0, 0.0, 0
    for cluster in clusters:
        matrix = covariance.between(cluster.sides, cluster.sides, cluster.lag)
        diagonal = np.arange(len(matrix))
        matrix[diagonal, diagonal] += covariance.nugget + cluster.noise + 1e-6
        try:
            factor = np.linalg.cholesky(matrix)
        except np.linalg.LinAlgError:  # smoother and longer than double precision can tell from constant
            return 1e10, 1.0
        squares += float((np.linalg.solve(factor, cluster.values) ** 2).sum())
        determinant += 2 * float(np.log(factor[diagonal, diagonal]).sum())
        count += len(matrix)
    sill = max(squares / max(count, 1), 1e-9)
    return 0.5 * (count * np.log(sill) + determinant), sill


def _clusters(seen: SeenComponents, places: Places, rng: np.random.Generator) -> list[_Cluster]:
    """Some neighbourhoods, every third of them with another date, and some that are spread over the grid."""
    frames = Frames.of(places[seen.cell], seen.northward, seen.day)
    variance = max(float(np.mean(seen.innovations[:, 0] ** 2)), 1e-12)
    dates = np.unique(seen.time)
    indices = []
    for k in range(_CLUSTERS + _SPREAD):
        first = int(rng.choice(dates))
        nearby = [int(rng.choice(dates[np.argsort(np.abs(dates - first))[:7]]))] if k % 3 == 1 else []
        centre = frames.place[rng.choice(np.flatnonzero(seen.time == first))]
        parts = []
        for time in dict.fromkeys([first, *nearby]):
            for component in (False, True):
                some = np.flatnonzero((seen.time == time) & (seen.northward == component))
                count = min(_SIZE, some.size)
                if not count:
                    continue
                far = k >= _CLUSTERS
                chosen = (
                    rng.permutation(some.size)[:count] if far else KDTree(frames.place[some]).query(centre, k=count)[1]
                )
                parts.append(some[np.atleast_1d(chosen)])
        indices.append(np.concatenate(parts))
    clusters = []
    for index in indices:
        part = frames[index]
        sides = part.seen_from(part.place.mean(axis=0))
        lag = part.day[:, None] - part.day[None]
        clusters.append(_Cluster(sides, seen.innovations[index, 0], lag, seen.noise[index] / variance))
    return clusters


def _logistic(x: float) -> float:
    return float(1 / (1 + np.exp(-x)))

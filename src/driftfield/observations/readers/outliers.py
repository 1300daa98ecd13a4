"""Values far from what their neighbours allow; where they have too few, from what the climatology of the table allows.

    v is an outlier     v < q10 - 6 s  or  v > q90 + 6 s        q    quantiles of the neighbours' values
                                                                s    their robust sd, at least half of that of v - median over
                                                                     the table

Neighbours are values of other profiles within some hundred kilometres, some weeks and a like depth, eight of them or more.
At a front the neighbours differ among themselves and q10 and q90 lie on either side: the front stays.

A value with fewer neighbours is held against the seasonal regression on place, depth and day of the whole table
(`gaussian.seasonal_regression`), fitted twice, without what the first fit left far off: q and s are then those of all that this
regression leaves. With fewer than a hundred values of thirty profiles nothing is said.
"""

__all__ = ["is_outlier"]

import numpy as np
from scipy.spatial import KDTree

from driftfield.earth import EARTH_RADIUS_KM
from driftfield.gaussian.seasonal_regression import SeasonalBasis, SeasonalRegression
from driftfield.gridded.encodings import unit_sphere

_REACH_KM, _REACH_DAYS, _REACH_DEPTH = 150.0, 30.0, 0.2
"""Scales of the distance between two values; a depth counts by its logarithm beyond 10 m."""

_NEAR, _FEWEST, _MOST = 2.0, 8, 32
_FAR = 6.0
_LEAST_VALUES, _LEAST_PROFILES = 100, 30
"""For a climatology."""
_BLOCK = 20_000


def is_outlier(
    values: np.ndarray,
    *,
    lat: np.ndarray,
    lon: np.ndarray,
    depth: np.ndarray,
    days: np.ndarray,
    cast: np.ndarray,
    known: np.ndarray,
) -> np.ndarray:
    """Which values lie far from those of their neighbours, or from the climatology: boolean (row,).

    Arguments:
        values: One variable (row,).
        lat, lon: Degrees.
        depth: Metres.
        days: Days since any date.
        cast: Number of the profile: its own values are no neighbours, or a profile would vouch for itself.
        known: Values that are believed so far; the others are neither judged nor neighbours.
    """
    rows = np.flatnonzero(known & np.isfinite(values) & np.isfinite(lat) & np.isfinite(lon) & np.isfinite(days))
    outlying = np.zeros(values.shape, dtype=bool)
    if rows.size <= _FEWEST:
        return outlying
    at = (lat[rows], lon[rows], np.nan_to_num(depth[rows]), days[rows])
    judged, far = _beside_neighbours(values[rows], _coordinates(*at), cast[rows])
    outlying[rows] = far
    if not judged.all() and rows.size >= _LEAST_VALUES and np.unique(cast[rows]).size >= _LEAST_PROFILES:
        outlying[rows] |= ~judged & _beside_climatology(values[rows], *at, ~far)
    return outlying


def _beside_neighbours(v: np.ndarray, place: np.ndarray, group: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which values have enough neighbours to be judged, and which of those are outliers: boolean (row,) each."""
    tree, size = KDTree(place), v.size
    count = min(_MOST + _own(group), size)
    low, middle, high, spread = np.full((4, size), np.nan)
    for start in range(0, size, _BLOCK):
        part = slice(start, start + _BLOCK)
        distance, near = tree.query(place[part], k=count, distance_upper_bound=_NEAR)
        near = np.atleast_2d(near)
        there = (near < size) & np.isfinite(np.atleast_2d(distance))
        there &= group[np.minimum(near, size - 1)] != group[part][:, None]
        beside = np.where(there, v[np.minimum(near, size - 1)], np.nan)
        enough = there.sum(axis=1) >= _FEWEST
        if enough.any():
            low[part][enough], middle[part][enough], high[part][enough] = np.nanquantile(
                beside[enough], (0.1, 0.5, 0.9), axis=1
            )
            off = np.abs(beside[enough] - middle[part][enough][:, None])
            spread[part][enough] = 1.4826 * np.nanmedian(off, axis=1)
    judged = np.isfinite(middle)
    if not judged.any():
        return judged, judged.copy()
    usual = 1.4826 * float(np.median(np.abs(v - middle)[judged]))
    room = _FAR * np.maximum(spread, 0.5 * usual)
    with np.errstate(invalid="ignore"):
        return judged, judged & ((v < low - room) | (v > high + room)) & (usual > 0)


def _beside_climatology(
    v: np.ndarray, lat: np.ndarray, lon: np.ndarray, depth: np.ndarray, days: np.ndarray, believed: np.ndarray
) -> np.ndarray:
    """Which values lie far from the seasonal regression of all that are believed: boolean (row,)."""
    far = np.zeros(v.shape, dtype=bool)
    for _ in range(2):
        good = believed & ~far
        basis = SeasonalBasis.covering(lat[good], lon[good], depth[good], days[good])
        columns, names = basis.columns(lat, lon, depth, days)
        left = v - SeasonalRegression.fit(basis, columns[good], names, v[good]).at(columns)
        low, middle, high = np.quantile(left[good], (0.1, 0.5, 0.9))
        room = _FAR * 1.4826 * float(np.median(np.abs(left[good] - middle)))
        far = ((left < low - room) | (left > high + room)) & (room > 0)
    return far


def _coordinates(lat: np.ndarray, lon: np.ndarray, depth: np.ndarray, days: np.ndarray) -> np.ndarray:
    """Places whose distance is 1 where two values are as far apart as neighbours usually are."""
    sphere = unit_sphere(lat, lon) * (EARTH_RADIUS_KM / _REACH_KM)
    level = np.log1p(np.clip(depth, 0.0, None) / 10.0) / _REACH_DEPTH
    return np.column_stack([sphere, level, days / _REACH_DAYS])


def _own(group: np.ndarray) -> int:
    """How many values of its own profile may stand among the nearest ones."""
    return int(min(np.unique(group, return_counts=True)[1].max(), 200))

"""Values far from what their neighbours allow.

    v is an outlier     v < q10 - 6 s  or  v > q90 + 6 s        q    quantiles of the neighbours' values
                                                                s    their robust sd, at least half of that of v - median over
                                                                     the table

Neighbours are values of other profiles within some hundred kilometres, some weeks and a like depth; with fewer than eight of
them nothing is said. At a front the neighbours differ among themselves and q10 and q90 lie on either side: the front stays.
"""

__all__ = ["is_outlier"]

import numpy as np
from scipy.spatial import KDTree

from driftfield.earth import EARTH_RADIUS_KM
from driftfield.gridded.encodings import unit_sphere

_REACH_KM, _REACH_DAYS, _REACH_DEPTH = 150.0, 30.0, 0.2
"""Scales of the distance between two values; a depth counts by its logarithm beyond 10 m."""

_NEAR, _FEWEST, _MOST = 2.0, 8, 32
_FAR = 6.0
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
    """Which values lie far from those of their neighbours: boolean (row,).

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
    place = _coordinates(lat[rows], lon[rows], np.nan_to_num(depth[rows]), days[rows])
    tree, v, group = KDTree(place), values[rows], cast[rows]
    count = min(_MOST + _own(group), rows.size)
    low, middle, high, spread = np.full((4, rows.size), np.nan)
    for start in range(0, rows.size, _BLOCK):
        part = slice(start, start + _BLOCK)
        distance, near = tree.query(place[part], k=count, distance_upper_bound=_NEAR)
        near = np.atleast_2d(near)
        there = (near < rows.size) & np.isfinite(np.atleast_2d(distance))
        there &= group[np.minimum(near, rows.size - 1)] != group[part][:, None]
        beside = np.where(there, v[np.minimum(near, rows.size - 1)], np.nan)
        enough = there.sum(axis=1) >= _FEWEST
        if enough.any():
            low[part][enough], middle[part][enough], high[part][enough] = np.nanquantile(
                beside[enough], (0.1, 0.5, 0.9), axis=1
            )
            off = np.abs(beside[enough] - middle[part][enough][:, None])
            spread[part][enough] = 1.4826 * np.nanmedian(off, axis=1)
    judged = np.isfinite(middle)
    if not judged.any():
        return outlying
    usual = 1.4826 * float(np.median(np.abs(v - middle)[judged]))
    room = _FAR * np.maximum(spread, 0.5 * usual)
    with np.errstate(invalid="ignore"):
        outlying[rows] = judged & ((v < low - room) | (v > high + room)) & (usual > 0)
    return outlying


def _coordinates(lat: np.ndarray, lon: np.ndarray, depth: np.ndarray, days: np.ndarray) -> np.ndarray:
    """Places whose distance is 1 where two values are as far apart as neighbours usually are."""
    sphere = unit_sphere(lat, lon) * (EARTH_RADIUS_KM / _REACH_KM)
    level = np.log1p(np.clip(depth, 0.0, None) / 10.0) / _REACH_DEPTH
    return np.column_stack([sphere, level, days / _REACH_DAYS])


def _own(group: np.ndarray) -> int:
    """How many values of its own profile may stand among the nearest ones."""
    return int(min(np.unique(group, return_counts=True)[1].max(), 200))

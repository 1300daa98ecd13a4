"""Several files as one data set: along time, or side by side where they hold different variables.

axes that differ by rounding (a twentieth of the spacing, 1 % of a depth)   ->   those of the first file
axes that differ by more                                                    ->   refused, and the axis is named
"""

__all__ = ["joined_files"]

from collections.abc import Sequence

import numpy as np
import xarray as xr

from driftfield.conventions import positions_of
from driftfield.errors import DataError

_WORDS = {"lat": "latitude", "lon": "longitude", "depth": "depth"}


def joined_files(parts: Sequence[xr.Dataset], source: str) -> xr.Dataset:
    """One data set of several, which have canonical axes.

    Arguments:
        parts: One per file.
        source: What messages call them.

    Raises:
        DataError: other cells or levels, or one time or variable in two of them.
    """
    near = [parts[0], *(_with_axes_of(parts[0], part) for part in parts[1:])]
    try:
        joined = xr.combine_by_coords(
            near, join="exact", compat="no_conflicts", data_vars="minimal", coords="minimal", combine_attrs="override"
        )
    except (ValueError, xr.MergeError) as error:
        why = _difference(near) or str(error)
        raise DataError(
            f"The files of {source} do not fit together: {why}. Expected the same grid, and one time or variable in one file "
            "only."
        ) from error
    assert isinstance(joined, xr.Dataset)
    if "time" in joined.dims and not joined.indexes["time"].is_unique:
        raise DataError(f"The files of {source} hold the same time twice. Name each period once.")
    return joined


def _with_axes_of(first: xr.Dataset, part: xr.Dataset) -> xr.Dataset:
    """The data set on the axes of the first one, as far as these are the same but for rounding."""
    new = {}
    for axis in _WORDS:
        if axis in first.dims and axis in part.dims and _near(first, part, axis):
            new[axis] = first[axis]
    ours, other = positions_of(first), positions_of(part)
    if ours is not None and other is not None and ours.shape == other.shape:
        apart = np.linalg.norm(ours.points - other.points, axis=-1)
        if float(apart.max()) <= 0.05 * ours.spacing:
            new |= {name: first[name] for name in ("lat", "lon", "latitude", "longitude")}
    return part.assign_coords(new)


def _near(first: xr.Dataset, part: xr.Dataset, axis: str) -> bool:
    a, b = (np.asarray(d[axis].values, dtype=np.float64) for d in (first, part))
    if a.shape != b.shape:
        return False
    if axis == "depth":
        return bool(np.all(np.abs(a - b) <= 0.01 * np.maximum(np.abs(a), 1.0)))
    apart = np.abs(a - b) if axis == "lat" else np.abs((a - b + 180.0) % 360.0 - 180.0)
    spacing = float(np.abs(np.diff(a)).min()) if a.size > 1 else 0.02
    return bool(np.all(apart <= 0.05 * spacing))


def _difference(parts: Sequence[xr.Dataset]) -> str:
    """Which axis differs between two of the files, and how; nothing where it is none of them."""
    first = parts[0]
    for axis, word in _WORDS.items():
        for part in parts[1:]:
            if axis not in first.dims or axis not in part.dims:
                continue
            a, b = first[axis].values, part[axis].values
            if a.shape != b.shape or not np.array_equal(a, b):
                spans = " and ".join(f"{v.size} values from {v[0]:g} to {v[-1]:g}" for v in (a, b) if v.size)
                return f"their {word} ({axis}) differs: {spans}"
    return ""

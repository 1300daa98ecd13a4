"""What a file itself calls impossible: NaN outside `valid_range` (or `valid_min`, `valid_max`), CF 2.5.1.

    packed integers    a range of integers is packed too:    valid = range * scale_factor + add_offset
                       a range of floats is unpacked already

xarray decodes fill values and packing, but leaves numbers outside the valid range in.
"""

__all__ = ["inside_valid_range"]

import numpy as np
import xarray as xr


def inside_valid_range(dataset: xr.Dataset) -> xr.Dataset:
    """The data set with NaN where a variable lies outside the range it declares; lazily where it is lazy."""
    masked = {}
    for name, array in dataset.data_vars.items():
        low, high = _ends(array)
        if array.dtype.kind == "f" and (low > -np.inf or high < np.inf):
            masked[name] = array.where((array >= low) & (array <= high)).assign_attrs(array.attrs)
    return dataset.assign(masked)


def _ends(array: xr.DataArray) -> tuple[float, float]:
    """The ends in the units of the decoded variable, with room for rounding; infinite where there is none."""
    given = array.attrs
    both = np.atleast_1d(given.get("valid_range", ()))
    if both.size == 0:
        both = [given.get("valid_min"), given.get("valid_max")]  # type: ignore[assignment]
    if len(both) != 2:
        return -np.inf, np.inf
    scale, offset = float(array.encoding.get("scale_factor", 1.0)), float(array.encoding.get("add_offset", 0.0))
    packed = np.dtype(array.encoding.get("dtype", array.dtype)).kind in "iu"
    room = 0.5 * abs(scale) if packed else 0.0
    ends = []
    for end, none in zip(both, (-np.inf, np.inf), strict=True):
        try:
            value = none if end is None else float(end)
        except (TypeError, ValueError):  # text is nothing that could be applied
            value = none
        if packed and np.asarray(end).dtype.kind in "iu":
            value = value * scale + offset
        ends.append(value)
    low, high = sorted(ends)  # a negative scale turns a packed range round
    return low - max(room, 1e-6 * _size(low)), high + max(room, 1e-6 * _size(high))


def _size(number: float) -> float:
    return max(abs(number), 1.0) if np.isfinite(number) else 0.0

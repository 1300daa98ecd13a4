"""What a file itself calls impossible or empty: `valid_range` (or `valid_min`, `valid_max`) and the default fill of netCDF.

    packed integers    a range of integers is packed too:    valid = range * scale_factor + add_offset
                       a range of floats is unpacked already
    _Unsigned          the integers of such a range are unsigned too: 0, -6 of 16 bits is 0 .. 65530

xarray decodes declared fill values and packing, but leaves in the numbers outside the valid range, and those that netCDF writes
where nobody wrote anything (9.97e36, -32767), unless `_FillValue` says so. Bytes have no default fill: all 256 may be values.
"""

__all__ = ["inside_valid_range"]

import numpy as np
import xarray as xr

from driftfield.gridded.removal import remove

_DEFAULT_FILLS = {
    "i2": -32767.0,
    "u2": 65535.0,
    "i4": -2147483647.0,
    "u4": 4294967295.0,
    "i8": -9223372036854775806.0,
    "u8": 18446744073709551614.0,
    "f4": 9.969209968386869e36,
    "f8": 9.969209968386869e36,
}
"""NC_FILL_* of netcdf.h, by type."""


def inside_valid_range(dataset: xr.Dataset) -> xr.Dataset:
    """The data set with NaN where a variable lies outside the range it declares, or is the default fill; lazily where it is lazy.

    What is removed is marked (`gridded.removal`).
    """
    names = [str(n) for n, a in dataset.data_vars.items() if a.ndim and a.dtype.kind in "fiu" and not _is_flag(a)]
    for name in names:
        array = dataset[name]
        fill = _default_fill(array)
        if fill is not None:
            dataset = remove(dataset, name, abs(array - fill) <= _room(array, fill), 1, f"({_short(fill)})")
        low, high = _ends(array)
        if low > -np.inf or high < np.inf:
            detail = f"({_short(low)} to {_short(high)})"
            inside = (array >= low - _slack(array, low)) & (array <= high + _slack(array, high))
            dataset = remove(dataset, name, ~inside, 0, detail)
    return dataset


def _is_flag(array: xr.DataArray) -> bool:
    """Masks, flags and counts: whole numbers that measure nothing."""
    packed = "scale_factor" in array.encoding or "add_offset" in array.encoding
    return array.dtype.kind in "iu" and not packed and ("flag_meanings" in array.attrs or "units" not in array.attrs)


def _ends(array: xr.DataArray) -> tuple[float, float]:
    """The ends in the units of the decoded variable; infinite where there is none."""
    attrs = array.attrs
    both = np.atleast_1d(attrs.get("valid_range", ()))
    if both.size == 0:
        both = [attrs.get("valid_min"), attrs.get("valid_max")]  # type: ignore[assignment]
    if len(both) != 2:
        return -np.inf, np.inf
    scale, offset = _packing(array)
    packed = _packed_type(array).kind in "iu"
    ends = []
    for end, none in zip(both, (-np.inf, np.inf), strict=True):
        try:
            value = none if end is None else float(end)
        except (TypeError, ValueError):  # text is nothing that could be applied
            value = none
        if packed and np.asarray(end).dtype.kind in "iu":
            value = _as_stored(value, array) * scale + offset
        ends.append(value)
    low, high = sorted(ends)  # a negative scale turns a packed range round
    return low, high


def _slack(array: xr.DataArray, end: float) -> float:
    """Room for rounding: half a step of packed numbers, or the last digits."""
    half = 0.5 * abs(_packing(array)[0]) if _packed_type(array).kind in "iu" else 0.0
    return max(half, 1e-6 * max(abs(end), 1.0)) if np.isfinite(end) else 0.0


def _as_stored(value: float, array: xr.DataArray) -> float:
    """A packed whole number as the program that wrote it meant it: attributes have no unsigned types in netCDF 3."""
    bits = 8 * _packed_type(array).itemsize
    unsigned = str(array.encoding.get("_Unsigned", array.attrs.get("_Unsigned", ""))).lower()
    if unsigned == "true" and value < 0:
        return value + 2.0**bits
    if unsigned == "false" and value >= 2.0 ** (bits - 1):
        return value - 2.0**bits
    return value


def _default_fill(array: xr.DataArray) -> float | None:
    """The default fill in decoded units; None where the file declares a fill of its own, or the type has none."""
    if {"_FillValue", "missing_value"} & ({*array.encoding} | {*array.attrs}):
        return None
    stored = _packed_type(array)
    if str(array.encoding.get("_Unsigned", "")).lower() == "true" and stored.kind == "i":
        stored = np.dtype(f"u{stored.itemsize}")
    fill = _DEFAULT_FILLS.get(f"{stored.kind}{stored.itemsize}")
    scale, offset = _packing(array)
    return None if fill is None else fill * scale + offset


def _packing(array: xr.DataArray) -> tuple[float, float]:
    return float(array.encoding.get("scale_factor", 1.0)), float(array.encoding.get("add_offset", 0.0))


def _packed_type(array: xr.DataArray) -> np.dtype:
    return np.dtype(array.encoding.get("dtype", array.dtype))


def _room(array: xr.DataArray, fill: float) -> float:
    """Packed values round by less than half a step, floats by their last digits."""
    step = abs(_packing(array)[0]) if _packed_type(array).kind in "iu" else 0.0
    return max(0.5 * step, 1e-6 * abs(fill) if array.dtype.kind == "f" and not step else 0.0)


def _short(number: float) -> str:
    return f"{number:.6g}"

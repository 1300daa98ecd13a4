"""Depth in metres, positive downwards, of whatever the vertical axis of a file says.

units       m, cm, mm, km, feet, fathoms   x factor;   dbar, bar   by the pressure of sea water (`units.depth_of_pressure`)
sign        numbers at or below 0 are heights, whatever `positive` says; a depth that calls itself positive = "up" and has
            numbers above 0 is a depth all the same; a height above ground is no depth
"""

__all__ = ["in_metres", "is_vertical", "oriented_depth"]

import logging
import re

import numpy as np
import xarray as xr

from driftfield.errors import DataError
from driftfield.gridded.units import depth_of_pressure

log = logging.getLogger(__name__)

METRES = {
    r"m|met(er|re)s?": 1.0,
    r"dm|decimet(er|re)s?": 0.1,
    r"cm|centimet(er|re)s?": 0.01,
    r"mm|millimet(er|re)s?": 0.001,
    r"km|kilomet(er|re)s?": 1000.0,
    r"ft|foot|feet|international_f(oo|ee)t": 0.3048,
    r"fathoms?|fm": 1.8288,
}
"""Metres of a unit, by a pattern of its names."""

DECIBARS = {r"dbar|decibars?|db": 1.0, r"bar|bars": 10.0}
"""Decibars of a unit of the pressure of sea water."""

_NAMES = re.compile(r"depth[a-z]?|depth\w*_?.*|lev|levels?|zlev|z|zt|z_t|st_ocean|olevel|z_rho", re.IGNORECASE)


def is_vertical(name: str, coordinate: xr.DataArray) -> bool:
    """Whether a coordinate is a depth, or something that can be turned into one."""
    attrs, units = coordinate.attrs, str(coordinate.attrs.get("units", "")).strip()
    if coordinate.dtype.kind not in "iuf":
        return False
    known = factor_of(units) is not None
    standard = str(attrs.get("standard_name", "")).lower()
    if standard == "depth" or (standard == "sea_water_pressure" and known):
        return True
    if standard in ("height", "altitude", "height_above_reference_ellipsoid"):
        return known and _all_below(coordinate)
    declared = str(attrs.get("axis", "")).upper() == "Z" or "positive" in attrs
    if declared and (known or not units):
        return not _is_height(name, coordinate)
    # a level number or a pressure is no depth
    return bool(_NAMES.fullmatch(name)) and (known or name.lower().startswith("depth"))


def factor_of(units: str) -> tuple[float, bool] | None:
    """Factor to metres (or to decibars: True), None for a unit that is neither."""
    for table, pressure in ((METRES, False), (DECIBARS, True)):
        for pattern, factor in table.items():
            if re.fullmatch(pattern, units.strip(), re.IGNORECASE):
                return factor, pressure
    return None


def in_metres(values: np.ndarray, units: str, *, latitude: float, what: str) -> np.ndarray:
    """Depths or heights in metres; a pressure becomes the depth of it, sign kept.

    Arguments:
        values: Numbers of the file.
        units: Their unit; none is metres.
        latitude: Degrees, for pressures.
        what: What messages call it.

    Raises:
        DataError: a unit that is no length and no pressure of sea water.
    """
    values = np.asarray(values, dtype=np.float64)
    conversion = factor_of(units) if units.strip() else (1.0, False)
    if conversion is None:
        raise DataError(
            f"{what} is in {units!r}: expected metres, centimetres, kilometres, feet, fathoms or dbar. Correct the attribute "
            "units, or convert it to metres."
        )
    factor, pressure = conversion
    if not pressure:
        if factor != 1.0:
            log.info("%s: converted from %s to m", what, units)
        return values * factor
    log.info("%s: converted from %s to m of sea water at latitude %.1f", what, units, latitude)
    return np.sign(values) * depth_of_pressure(np.abs(values) * factor, latitude)


def oriented_depth(depth: xr.DataArray, *, latitude: float, source: str, name: str = "depth") -> np.ndarray:
    """The axis in metres positive downwards, in the order of the file.

    Arguments:
        depth: The axis, with its attributes.
        latitude: Of the middle of the grid, for pressures.
        source: What messages call the file.
        name: Of the axis in the file.

    Raises:
        DataError: an unknown unit, or numbers on both sides of 0 that nothing says the sign of.
    """
    what = f"The vertical axis {name!r} of {source}"
    values = in_metres(depth.values, str(depth.attrs.get("units", "")), latitude=latitude, what=what)
    positive = str(depth.attrs.get("positive", "")).strip().lower()
    if np.all(values <= 0):
        if positive == "down" and np.any(values < 0):
            log.warning("%s says positive = 'down' and holds numbers below 0: taken as heights", what)
        return 0.0 - values
    if np.all(values >= 0):
        if positive == "up":
            log.warning("%s says positive = 'up' and holds depths above 0: taken as depths in metres", what)
        return values
    if positive == "up":
        return 0.0 - values
    if positive == "down" or str(depth.attrs.get("standard_name", "")).lower() == "depth":
        return values
    if np.abs(values.min()) > values.max():
        log.warning("%s runs from %g to %g: taken as heights, most of them below 0", what, values.min(), values.max())
        return 0.0 - values
    return values


def _all_below(coordinate: xr.DataArray) -> bool:
    return bool(np.all(np.asarray(coordinate.values) <= 0))


def _is_height(name: str, coordinate: xr.DataArray) -> bool:
    """Metres above the ground: positive = "up", numbers above 0, and nothing says depth."""
    up = str(coordinate.attrs.get("positive", "")).lower() == "up"
    says_depth = "depth" in f"{name} {coordinate.attrs.get('long_name', '')}".lower()
    values = np.asarray(coordinate.values, dtype=np.float64)
    return up and bool(np.all(values >= 0) and np.any(values > 0)) and not says_depth

"""Which axis is which: by its CF attributes and, where these are silent, by its name.

standard_name, units, axis, positive, dates   ->   time  depth  lat  lon  member     axes of the program
                                                   y  x                              rows and columns of a grid that has
                                                                                     a position for every cell
"""

__all__ = ["in_degrees", "is_dated", "kind_of"]

import re

import cftime
import numpy as np
import xarray as xr

from driftfield.gridded.vertical import is_vertical

_STANDARD_NAMES = {
    "latitude": "lat",
    "longitude": "lon",
    "grid_latitude": "y",
    "grid_longitude": "x",
    "projection_y_coordinate": "y",
    "projection_x_coordinate": "x",
    "time": "time",
    "realization": "member",
}
_NAMES = {
    "time": r"time\d*|t|times|date|valid_time|time_counter|ocean_time",
    "member": r"member|number|realization|realisation|ensemble",
    "lat": r"lat|latitude|lats|nav_lat\w*|gphi[tuvf]|[tuv]lat|xlat\w*|geolat\w*|lat_(rho|u|v|psi|t|c|2d)|latitude_\w*|lat2d",
    "lon": r"lon|longitude|lons|long|nav_lon\w*|glam[tuvf]|[tuv]long?|xlong\w*|geolon\w*|lon_(rho|u|v|psi|t|c|2d)|"
    r"longitude_\w*|lon2d",
    "y": r"y|yc|yt|yt_ocean|y_t|rlat|eta(_\w+)?|nj|y_grid_\w|south_north|projection_y\w*",
    "x": r"x|xc|xt|xt_ocean|x_t|rlon|xi(_\w+)?|ni|x_grid_\w|west_east|projection_x\w*",
}
_NORTH = re.compile(r"degrees?[ _]*(north|n)", re.IGNORECASE)
_EAST = re.compile(r"degrees?[ _]*(east|e)", re.IGNORECASE)
_SOUTH = re.compile(r"degrees?[ _]*south|degrees?[ _]s", re.IGNORECASE)
_WEST = re.compile(r"degrees?[ _]*(west|w)", re.IGNORECASE)
_ANGLES = re.compile(r"degrees?|deg|radians?|rad|°", re.IGNORECASE)
_LENGTHS = re.compile(r"(k|kilo)?m(et(er|re)s?)?", re.IGNORECASE)


def kind_of(name: str, coordinate: xr.DataArray | None) -> str | None:
    """Which axis a coordinate is: time, depth, lat, lon, member, y, x or None.

    Arguments:
        name: Of the dimension, or of the variable.
        coordinate: Its variable; None for a dimension without one.
    """
    attrs = {} if coordinate is None else coordinate.attrs
    units = str(attrs.get("units", "")).strip()
    if (standard := _STANDARD_NAMES.get(str(attrs.get("standard_name", "")).strip().lower())) is not None:
        return standard
    if _NORTH.fullmatch(units) or _SOUTH.fullmatch(units):
        return "lat"
    if _EAST.fullmatch(units) or _WEST.fullmatch(units):
        return "lon"
    if " since " in units or (coordinate is not None and is_dated(coordinate)):
        return "time"
    if coordinate is not None and is_vertical(name, coordinate):
        return "depth"
    kind = next((kind for kind, pattern in _NAMES.items() if re.fullmatch(pattern, name, re.IGNORECASE)), None)
    if kind is None and _is_horizontal(attrs, units):
        kind = {"Y": "lat", "X": "lon"}[str(attrs["axis"]).upper()]
    if kind in ("lat", "lon") and _LENGTHS.fullmatch(units):
        return {"lat": "y", "lon": "x"}[kind]  # metres of a projection are no degrees
    if kind in ("y", "x") and _ANGLES.fullmatch(units) and name.lower() not in ("rlat", "rlon"):
        return {"y": "lat", "x": "lon"}[kind]
    return kind


def in_degrees(values: np.ndarray, units: str) -> np.ndarray:
    """Degrees north or east of numbers in degrees, degrees_south, degrees_west or radians."""
    values = np.asarray(values, dtype=np.float64)
    if re.fullmatch(r"rad(ian)?s?", units.strip(), re.IGNORECASE):
        return np.degrees(values)
    return -values if _SOUTH.fullmatch(units.strip()) or _WEST.fullmatch(units.strip()) else values


def is_dated(coordinate: xr.DataArray) -> bool:
    """Whether the values are dates already."""
    if coordinate.dtype.kind == "M":
        return True
    return coordinate.dtype == object and coordinate.size > 0 and isinstance(coordinate.values.flat[0], cftime.datetime)


def _is_horizontal(attrs: dict, units: str) -> bool:
    angle = not units or _ANGLES.fullmatch(units) or _LENGTHS.fullmatch(units)
    return str(attrs.get("axis", "")).upper() in ("X", "Y") and bool(angle)

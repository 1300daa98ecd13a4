"""What a Driftfield file looks like: the names of variables, dimensions and attributes, and how to read them.

Inside the program every gridded data set has the dimensions `time, depth, lat, lon` (surface fields have no `depth`), in this
order, latitude ascending, depth in metres positive downwards. Three kinds of file carry `driftfield_format`:

observations      `<variable>` with NaN where not seen, `<variable>_error` (standard deviation of the observation error, same
                  units), `domain`, and in twin experiments `held_out`
reconstruction    `<variable>` (the ensemble mean), `<variable>_sd`, `<variable>_member` (member, ...), where asked for
                  `<variable>_quantile` (quantile, ...), and from a run that was calibrated so, the interval
                  `<variable>_lower`, `<variable>_upper`: float32, NaN outside the domain
truth             any gridded archive

A grid whose rows and columns are no latitudes and longitudes (rotated pole, curvilinear, projected; a section of stations) has
two more coordinates, `latitude` and `longitude` (lat, lon): where its cells lie, in degrees. Its axes `lat` and `lon` then hold
what the file gives for rows and columns. In files the axes of such a grid are called y and x (or rlat, rlon; or station), and
the positions lat and lon, as CF has them.

`domain` and `held_out` belong to the first variable; a variable whose cells differ has its own `<variable>_domain` and
`<variable>_held_out`. A surface field without a domain of its own takes the shallowest level of `domain`.
"""

__all__ = [
    "DIMS",
    "FORMAT",
    "LATITUDE",
    "LONGITUDE",
    "WRAPS",
    "Coordinate",
    "cell_area",
    "description_of",
    "MASKS",
    "domain_of",
    "ever_finite",
    "error_of",
    "geometry_of",
    "held_out_of",
    "positions_of",
    "is_mask",
    "require",
    "state_variables",
    "vector_pairs_of",
]

import re
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import xarray as xr

from driftfield.errors import DataError, suggest
from driftfield.geometry import Geometry

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

FORMAT = 1
"""Version of the file layout, written as the attribute `driftfield_format`."""

Coordinate: TypeAlias = "np.ndarray | xr.DataArray | tuple[str | tuple[str, ...], np.ndarray, Mapping[str, str | int]]"
"""Of a data set, as xarray takes it: numbers along the dimension of its name, or (dimensions, numbers, attributes)."""

DIMS = ("time", "depth", "lat", "lon")
LATITUDE = {"standard_name": "latitude", "long_name": "latitude", "units": "degrees_north", "axis": "Y"}
LONGITUDE = {"standard_name": "longitude", "long_name": "longitude", "units": "degrees_east", "axis": "X"}
WRAPS = "closes_the_circle"
"""Attribute of the axis lon of a grid with positions: whether the last column has the first for its neighbour."""

MASKS = (
    "mask",
    "lsm",
    "landmask",
    "land_mask",
    "land_sea_mask",
    "sea_mask",
    "seamask",
    "tmask",
    "wet",
    "sftlf",
    "sftof",
)
"""What files call their mask of land or sea."""

_SUFFIXES = ("_error", "_domain", "_held_out", "_sd", "_member", "_quantile", "_lower", "_upper", "_removed")


def is_mask(name: str) -> bool:
    """Whether a variable says where others exist or were seen: `domain`, or what files call their land-sea mask."""
    return name in ("domain", "held_out") or name.endswith(("_domain", "_held_out")) or name.lower() in MASKS


def state_variables(dataset: xr.Dataset) -> list[str]:
    """The physical variables of a file: gridded in lat and lon, and not one of the masks, errors or members."""
    return [
        str(name)
        for name, array in dataset.data_vars.items()
        if {"lat", "lon"} <= set(array.dims) and not is_mask(str(name)) and not str(name).endswith(_SUFFIXES)
    ]


def vector_pairs_of(dataset: xr.Dataset) -> tuple[tuple[str, str], ...]:
    """The vectors of a file, (eastward, northward), by what their components are called.

    A pair has one standard name but for the direction (`eastward_wind`, `northward_wind`; `sea_water_x_velocity`, ..._y_...);
    where none has a standard name, one name (`u`, `v`; `uo`, `vo`; `water_u`, `water_v`). Dimensions and units are the same.
    """
    names = state_variables(dataset)
    pairs = []
    for u in names:
        for v in names:
            first, second = dataset[u], dataset[v]
            alike = first.dims == second.dims and first.attrs.get("units") == second.attrs.get("units")
            standard = [str(a.attrs.get("standard_name", "")) for a in (first, second)]
            called = standard if any(standard) else [u.lower(), v.lower()]
            if u != v and alike and called[1] in _northward(called[0], by_name=not any(standard)):
                pairs.append((u, v))
    return tuple(pairs)


def _northward(eastward: str, *, by_name: bool) -> set[str]:
    """What the other component of a vector may be called."""
    turned = {eastward.replace("eastward", "northward")}
    turned |= {
        re.sub(rf"(^|_){a}(_|$)", rf"\g<1>{b}\g<2>", eastward)
        for a, b in (("x", "y"), ("u", "v"), ("zonal", "meridional"))
    }
    if by_name and eastward.startswith("u"):
        turned.add(f"v{eastward[1:]}")
    return turned - {eastward}


def require(dataset: xr.Dataset, variables: "Sequence[str]", what: str = "the data set") -> None:
    """Raises `DataError` if one of `variables` is missing."""
    for name in variables:
        if name not in dataset:
            raise DataError(f"No variable {name!r} in {what}: {suggest(name, state_variables(dataset))}")


def ever_finite(field: xr.DataArray) -> xr.DataArray:
    """The domain that a field itself tells: cells that are finite at any time."""
    finite: xr.DataArray = xr.apply_ufunc(np.isfinite, field, dask="allowed")
    return finite.any("time")


def domain_of(dataset: xr.Dataset, variable: str) -> xr.DataArray | None:
    """Where the variable exists (boolean, no time), or None if the file does not say."""
    return _mask_of(dataset, variable, "domain")


def held_out_of(dataset: xr.Dataset, variable: str) -> xr.DataArray | None:
    """Cells kept for scoring (boolean), or None if the file does not say."""
    return _mask_of(dataset, variable, "held_out")


def check_dimensions(array: xr.DataArray, where: str, allowed: "Sequence[str]" = DIMS) -> None:
    """Raises `DataError` where a field or a mask has dimensions that nothing here knows, such as `expver`."""
    if odd := [str(dim) for dim in array.dims if dim not in allowed]:
        raise DataError(
            f"{array.name!r} in {where} has the dimension(s) {odd}: expected (time, [depth,] lat, lon), with depth in metres. "
            "Select one element of each and write it to a file."
        )


def description_of(attrs: "Mapping[Any, Any]") -> dict[str, str]:
    """What travels with a variable from file to table to file: its units, standard_name and long_name, where stated."""
    return {key: str(attrs[key]) for key in ("units", "standard_name", "long_name") if key in attrs}


def error_of(dataset: xr.Dataset, variable: str) -> xr.DataArray | None:
    """Standard deviation of the observation error, or None if the file does not say."""
    return dataset.get(f"{variable}_error")


def positions_of(fields: xr.Dataset | xr.DataArray) -> Geometry | None:
    """Where the cells lie, if the axes do not say it; None for a regular grid of latitudes and longitudes."""
    if "latitude" not in fields.coords or fields["latitude"].dims != ("lat", "lon"):
        return None
    return Geometry(*(fields[name].values.astype(np.float64) for name in ("latitude", "longitude")))


def geometry_of(fields: xr.Dataset | xr.DataArray) -> Geometry:
    """Where the cells lie, of any grid."""
    positions = positions_of(fields)
    return Geometry.of_axes(fields["lat"].values, fields["lon"].values) if positions is None else positions


def cell_area(fields: xr.Dataset | xr.DataArray) -> xr.DataArray:
    """Areas of the cells up to a factor: the cosine of latitude (lat,), or of a grid with positions (lat, lon)."""
    positions = positions_of(fields)
    if positions is None:
        lat = fields["lat"]
        return lat.copy(data=np.cos(np.radians(lat.values.astype(np.float64))))
    return xr.DataArray(
        positions.area / positions.area.mean(), dims=("lat", "lon"), coords={d: fields[d] for d in ("lat", "lon")}
    )


def _mask_of(dataset: xr.Dataset, variable: str, kind: str) -> xr.DataArray | None:
    mask = dataset.get(f"{variable}_{kind}")
    if mask is None:
        mask = dataset.get(kind)
        if mask is None:
            return None
        if "depth" in mask.dims and "depth" not in dataset[variable].dims:
            # domain: the surface of the first variable's; held_out belongs to the first variable alone
            if kind == "held_out":
                return None
            mask = mask.isel(depth=0, drop=True)
    check_dimensions(mask, "the file", (*DIMS, "member"))
    return mask.fillna(0).astype(bool) if mask.dtype.kind == "f" else mask.astype(bool)

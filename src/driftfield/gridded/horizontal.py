"""Grids whose latitude and longitude have two dimensions, and sections of stations, as rows and columns with positions.

    (rlat, rlon) + lat(rlat, rlon), lon(rlat, rlon)      rotated pole
    (y, x) + nav_lat(y, x), nav_lon(y, x)                curvilinear, staggered, projected
    (station,) + lat(station), lon(station)              a section: one row

Inside the program such a grid has the dimensions lat and lon as every other one. Their values are what the file gives for rows
and columns (rotated degrees, metres of a projection, numbers), and the coordinates `latitude` and `longitude` (lat, lon) say
where the cells lie. Where a file has a rotated pole and no positions they are computed.
"""

__all__ = ["Horizontal", "grid_axis", "horizontal_of", "stations_to_grid", "with_positions"]

import logging
from collections.abc import Hashable
from dataclasses import dataclass

import numpy as np
import xarray as xr

from driftfield.conventions import LATITUDE, LONGITUDE, WRAPS
from driftfield.errors import DataError
from driftfield.geometry import Geometry, unrotated
from driftfield.gridded.axis_kinds import in_degrees, kind_of

log = logging.getLogger(__name__)

_STEADY = 0.05
"""Share of the spacing by which a position may be off one-dimensional axes that say the same."""


@dataclass(frozen=True)
class Horizontal:
    """Two dimensions of a file that are rows and columns, and where their cells lie.

    Arguments:
        row, column: Names of the dimensions.
        latitude, longitude: Names of the two-dimensional variables; None where they are computed or not there.
    """

    row: Hashable
    column: Hashable
    latitude: str | None = None
    longitude: str | None = None


def horizontal_of(dataset: xr.Dataset, kinds: dict[Hashable, str | None]) -> list[Horizontal]:
    """The pairs of dimensions for which a file has two-dimensional latitudes and longitudes that its axes do not say."""
    by_plane: dict[str, dict[frozenset, str]] = {"lat": {}, "lon": {}}
    for name, array in dataset.variables.items():
        kind = kind_of(str(name), dataset[name])
        if kind in by_plane and array.dtype.kind in "fiu" and (dims := _plane_dims(dataset[name], kinds)):
            by_plane[kind].setdefault(frozenset(dims), str(name))
    pairs = []
    for plane, latitude in by_plane["lat"].items():
        if (longitude := by_plane["lon"].get(plane)) is None:
            continue
        row, column = _row_and_column(_plane_dims(dataset[latitude], kinds), kinds)
        if not _said_by_axes(dataset, row, column, latitude, longitude, kinds):
            pairs.append(Horizontal(row, column, latitude, longitude))
    return pairs


def grid_axis(dataset: xr.Dataset, dim: Hashable, *, row: bool, wraps: bool | None) -> xr.DataArray:
    """The numbers of rows or columns: those of the file where they are finite and steady, else 0, 1, 2, ..."""
    size = dataset.sizes[dim]
    values = np.arange(size, dtype=np.float64)
    attrs: dict[str, str | int] = {}
    coordinate = dataset.get(dim)
    if coordinate is not None and coordinate.dtype.kind in "iuf" and coordinate.dims == (dim,):
        numbers = np.asarray(coordinate.values, dtype=np.float64)
        steps = np.diff(numbers)
        if np.isfinite(numbers).all() and (np.all(steps > 0) or np.all(steps < 0)):
            values = numbers
            attrs = {k: coordinate.attrs[k] for k in ("standard_name", "units", "long_name") if k in coordinate.attrs}
    if attrs.get("standard_name") in ("latitude", "longitude"):
        del attrs["standard_name"]
    default: dict[str, str | int] = {"long_name": "row of the grid" if row else "column of the grid", "units": "1"}
    attrs = (attrs or default) | {"axis": "Y" if row else "X"}
    if wraps is not None:
        attrs[WRAPS] = int(wraps)
    return xr.DataArray(values, dims=(dim,), attrs=attrs)


def with_positions(dataset: xr.Dataset, grid: Horizontal, mapping: dict | None, source: str) -> xr.Dataset:
    """The data set with numbered rows and columns, and coordinates `latitude` and `longitude` on them.

    Arguments:
        dataset: Variables on the dimensions of `grid`; positions as variables of it.
        grid: Which dimensions they are.
        mapping: Attributes of the grid mapping, of a file without positions.
        source: What messages call it.

    Raises:
        DataError: no positions, and no rotated pole to compute them from.
    """
    if grid.latitude is None or grid.longitude is None:
        latitude, longitude = _computed(dataset, grid, mapping, source)
    else:
        latitude = _plane(dataset[grid.latitude], grid)
        longitude = _plane(dataset[grid.longitude], grid)
    geometry, mended = Geometry(latitude, longitude).mended()
    if mended == latitude.size:
        raise DataError(f"The positions of {source} ({grid.latitude!r}) are all missing. Write them into the file.")
    if mended:
        log.info(
            "%s: %d of %d cells have no position of their own (land): the nearest one's", source, mended, latitude.size
        )
    if np.abs(geometry.latitude).max() > 90.001 or np.abs(geometry.longitude).max() > 720.0:
        raise DataError(f"{source} has latitudes or longitudes that are no degrees. Expected -90..90 and -360..360.")
    dims = (grid.row, grid.column)
    drop = [name for name in (grid.latitude, grid.longitude) if name is not None]
    return dataset.drop_vars(drop).assign_coords(
        {
            grid.row: grid_axis(dataset, grid.row, row=True, wraps=None),
            grid.column: grid_axis(dataset, grid.column, row=False, wraps=geometry.wraps),
            "latitude": (dims, geometry.latitude, _position_attrs(LATITUDE)),
            "longitude": (dims, geometry.longitude, _position_attrs(LONGITUDE)),
        }
    )


def stations_to_grid(dataset: xr.Dataset, source: str) -> xr.Dataset:
    """A section (station) becomes a grid of one row with positions: dimensions lat (one) and lon (the stations).

    Stations that run steadily from west to east or back keep their longitudes as numbers of the columns.
    """
    for dim in dataset.dims:
        # single letters (x, y) may be anything: a station needs names or units that say latitude and longitude
        along = {
            kind_of(str(n), a): str(n)
            for n, a in dataset.data_vars.items()
            if a.dims == (dim,) and n != dim and len(str(n)) > 1
        }
        if not {"lat", "lon"} <= set(along) or kind_of(str(dim), dataset.get(dim)) == "time":
            continue  # no section, or a track
        if any(kind_of(str(n), a) == "time" and a.dims == (dim,) for n, a in dataset.data_vars.items()):
            raise DataError(
                f"The stations of {source} have a time each: they are points, not a section. Bring them onto a grid with "
                "`driftfield gather`, or constrain a run by them with `driftfield assimilate`."
            )
        return _section(dataset, dim, along["lat"], along["lon"])
    return dataset


def _section(dataset: xr.Dataset, dim: Hashable, latitude: str, longitude: str) -> xr.Dataset:
    lat = np.asarray(dataset[latitude].values, dtype=np.float64)
    lon = np.asarray(dataset[longitude].values, dtype=np.float64)
    steady = bool(np.all(np.diff(lon) > 0) or np.all(np.diff(lon) < 0))
    masks = [n for n in dataset.data_vars if str(n) in ("domain", "mask") or str(n).endswith("_domain")]
    on_section = [n for n, a in dataset.data_vars.items() if dim in a.dims and (a.ndim > 1 or n in masks)]
    section = dataset[on_section].drop_vars([dim], errors="ignore")
    # a variable that is called as an axis will be is none: the positions are others
    clash = {n: f"{n}_field" for n in ("lat", "lon") if n in section.variables and dim != n}
    section = section.rename(clash | {dim: "lon"})
    section = section.expand_dims(lat=[float(lat.mean())]).assign(station_lat=("lon", lat))
    if dim in dataset:
        section["station"] = ("lon", dataset[dim].values)
    others = [
        n for n, a in dataset.variables.items() if dim not in a.dims and n not in (*section.variables, "lat", "lon")
    ]
    section = section.assign({str(n): dataset[n] for n in others})
    columns = lon if steady else np.arange(lon.size, dtype=np.float64)
    described = dict(LONGITUDE) if steady else {"long_name": "station along the section", "units": "1", "axis": "X"}
    return section.assign_coords(
        lat=("lat", [float(lat.mean())], dict(LATITUDE)),
        lon=("lon", columns, described | {WRAPS: 0}),
        latitude=(("lat", "lon"), lat[None], _position_attrs(LATITUDE)),
        longitude=(("lat", "lon"), lon[None], _position_attrs(LONGITUDE)),
    ).assign_attrs(dataset.attrs)


def _position_attrs(attrs: dict[str, str]) -> dict[str, str]:
    return {key: value for key, value in attrs.items() if key != "axis"}


def _plane_dims(array: xr.DataArray, kinds: dict[Hashable, str | None]) -> tuple[Hashable, ...]:
    """The two dimensions of a position; none where it has others, or where it moves with time."""
    dims = tuple(d for d in array.dims if kinds.get(d) != "time")
    if len(dims) > 2:
        dims = tuple(d for d in dims if array.sizes[d] > 1)
    if len(dims) != 2:
        return ()
    for dim in set(array.dims) - set(dims):
        if not array.sizes[dim]:
            return ()
        ends = array.isel({dim: 0}).values, array.isel({dim: -1}).values
        if array.sizes[dim] > 1 and not np.array_equal(*ends, equal_nan=True):
            return ()
    return dims


def _row_and_column(dims: tuple[Hashable, ...], kinds: dict[Hashable, str | None]) -> tuple[Hashable, Hashable]:
    """Which of the two dimensions of the positions counts rows: as the axes say, else the first."""
    first, second = dims
    if kinds.get(first) in ("x", "lon") or kinds.get(second) in ("y", "lat"):
        return second, first
    return first, second


def _said_by_axes(
    dataset: xr.Dataset,
    row: Hashable,
    column: Hashable,
    latitude: str,
    longitude: str,
    kinds: dict[Hashable, str | None],
) -> bool:
    """Whether one-dimensional latitudes and longitudes say the same as the two-dimensional ones: a regular grid."""
    if kinds.get(row) != "lat" or kinds.get(column) != "lon" or row not in dataset or column not in dataset:
        return False
    lat, lon = (np.asarray(dataset[d].values, dtype=np.float64) for d in (row, column))
    grid = Horizontal(row, column)
    apart = np.abs(_plane(dataset[latitude], grid) - lat[:, None])
    turned = np.abs((_plane(dataset[longitude], grid) - lon[None] + 180.0) % 360.0 - 180.0)
    near = [_STEADY * (float(np.abs(np.diff(axis)).min()) if axis.size > 1 else 1.0) + 1e-4 for axis in (lat, lon)]
    return bool(np.nanmax(apart) <= near[0] and np.nanmax(turned) <= near[1])


def _plane(array: xr.DataArray, grid: Horizontal) -> np.ndarray:
    """(row, column) degrees north or east of a two-dimensional position, whatever its unit."""
    others = [d for d in array.dims if d not in (grid.row, grid.column)]
    values = np.asarray(array.isel(dict.fromkeys(others, 0)).transpose(grid.row, grid.column).values, dtype=np.float64)
    return in_degrees(values, str(array.attrs.get("units", "")))


def _computed(
    dataset: xr.Dataset, grid: Horizontal, mapping: dict | None, source: str
) -> tuple[np.ndarray, np.ndarray]:
    described = mapping or {}
    pole = [described.get(f"grid_north_pole_{part}") for part in ("latitude", "longitude")]
    name = str(described.get("grid_mapping_name", "rotated_latitude_longitude" if None not in pole else ""))
    if name == "rotated_latitude_longitude" and None not in pole and grid.row in dataset and grid.column in dataset:
        turn = float(described.get("north_pole_grid_longitude", 0.0))
        row, column = (np.asarray(dataset[d].values, dtype=np.float64) for d in (grid.row, grid.column))
        log.info("%s: latitude and longitude computed from its rotated pole", source)
        return unrotated(row[:, None], column[None] - turn, *(float(part) for part in pole if part is not None))
    what = f"the projection {name!r}" if name else "rows and columns"
    raise DataError(
        f"{source} has {what} ({grid.row!r}, {grid.column!r}) and no two-dimensional latitude and longitude: expected both, as "
        "variables on these dimensions with the units degrees_north and degrees_east. Add them, for example with CDO's setgrid."
    )

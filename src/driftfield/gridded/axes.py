"""Any axis names in, canonical axes out.

    (TIME1, PSZT1_10, PSYT35_56, PSXT91_108), (t, deptht, y, x) + nav_lat(y, x), (time, zlev, latitude, longitude) ...
        ->  (time, depth, lat, lon), latitude ascending, longitude increasing, depth in metres positive downwards

An axis is recognised by its CF attributes (`standard_name`, `axis`, `units`) and, where these are silent, by its name
(`axis_kinds.py`). Grids with positions in two dimensions and sections are those of `horizontal.py`; what is done with vertical
axes and dates is in `vertical.py` and `time_axis.py`.
"""

__all__ = ["canonical"]

import logging
from collections import Counter
from collections.abc import Hashable, Sequence

import numpy as np
import xarray as xr

from driftfield.conventions import LATITUDE, LONGITUDE, is_mask, positions_of
from driftfield.errors import DataError, suggest
from driftfield.gridded.axis_kinds import in_degrees, kind_of
from driftfield.gridded.horizontal import Horizontal, horizontal_of, stations_to_grid, with_positions
from driftfield.gridded.time_axis import decoded_time, scalar_time
from driftfield.gridded.vertical import oriented_depth

log = logging.getLogger(__name__)

_ORDER = ("time", "depth", "lat", "lon")
_KINDS = (*_ORDER, "member")
_BESIDE = ("station", "station_lat")
"""What a section keeps beside its fields."""


def canonical(
    dataset: xr.Dataset, *, variables: Sequence[str] | None = None, decode: bool = True, source: str = "the data set"
) -> xr.Dataset:
    """Renames, orients and orders the axes; keeps the gridded variables only (no bounds, no grid mappings).

    Arguments:
        dataset: As opened, times not decoded (or decoded, which is left alone).
        variables: The grid of the first of these is kept where a file holds several grids; a staggered file without
            `variables` gives the grid that most variables share.
        decode: Turn the time axis into dates.
        source: What messages call the data set.

    Returns:
        Variables with dimensions ([other,] time, [depth,] lat, lon), as far as the file has them; coordinates `latitude` and
        `longitude` (lat, lon) where the axes are no degrees.

    Raises:
        DataError: no latitude and longitude, or a variable that lies on another grid.
        FileFormatError: a time axis that nobody can decode.
    """
    section = positions_of(dataset) is not None
    dataset = stations_to_grid(dataset.reset_coords(), source)
    kinds = {dim: kind_of(str(dim), dataset.get(dim)) for dim in dataset.dims}
    grids = [] if section else horizontal_of(dataset, kinds)
    axes, kept, grid = _choose_grid(dataset, kinds, grids, variables, source)
    bounds = _bounds_of_time(dataset, axes.get("time"))
    stamp = scalar_time(dataset) if "time" not in axes else None
    positions = _positions(dataset, grid, kinds, axes, source)
    # one that gave the positions is called otherwise now
    extra = [name for name in _BESIDE if name in positions.variables]
    dataset = positions[[*kept, *extra]].assign_coords(_coordinates(dataset, positions, axes, grid, source))
    if stamp is not None:
        dataset = dataset.expand_dims(time=[positions[stamp].values]).assign_coords(
            time=("time", np.atleast_1d(positions[stamp].values), positions[stamp].attrs)
        )
    dataset = _renamed(dataset.set_coords(extra), axes, source)
    ensemble = any(str(name).endswith("_member") for name in dataset.data_vars)  # of our own, perhaps of one member
    spare = [d for d in dataset.dims if dataset.sizes[d] == 1 and (d not in _KINDS or (d == "member" and not ensemble))]
    dataset = dataset.squeeze(spare, drop=True)
    if decode and "time" in dataset.dims:
        dataset = dataset.assign_coords(time=decoded_time(dataset["time"], bounds, source))
    dataset = _orient(dataset, str(axes.get("depth", "depth")), source)
    return dataset.transpose(..., *(d for d in _ORDER if d in dataset.dims))


def _choose_grid(
    dataset: xr.Dataset,
    kinds: dict[Hashable, str | None],
    grids: Sequence[Horizontal],
    variables: Sequence[str] | None,
    source: str,
) -> tuple[dict[str, Hashable], list[str], Horizontal | None]:
    """The dimension of each canonical axis, the variables that lie on this grid, and its positions, if it has any."""
    of = {n: _axes_of(dataset[n], kinds, grids) for n in map(str, dataset.data_vars)}
    beside = _beside(dataset, grids)
    gridded = [name for name, axes in of.items() if {"lat", "lon"} <= set(axes) and name not in beside]
    if not gridded:
        raise _no_grid(dataset, source)
    for name in variables or ():
        if name not in gridded:
            raise DataError(f"No gridded variable {name!r} in {source}: {suggest(name, gridded)}")
    horizontal = Counter((of[n]["lat"], of[n]["lon"]) for n in gridded)
    first = variables[0] if variables else None
    chosen = (of[first]["lat"], of[first]["lon"]) if first else horizontal.most_common(1)[0][0]
    axes: dict[str, Hashable] = {}
    usable = []
    for name in sorted(gridded, key=lambda n: n != first):
        mine = of[name]
        if (mine["lat"], mine["lon"]) != chosen or any(axes.get(k, d) != d for k, d in mine.items()):
            if name in (variables or ()):
                raise DataError(
                    f"{name!r} lies on another grid than {first!r} in {source}: {tuple(mine.values())} instead of "
                    f"{tuple(of[str(first)].values())}. Regrid it first, or open it on its own."
                )
            log.info("%s: left out %r, which lies on another grid", source, name)
            continue
        axes.update(mine)
        usable.append(name)
    grid = next((g for g in grids if (g.row, g.column) == chosen), None)
    if grid is None and {kinds[d] for d in chosen} & {"x", "y"} and not _are_degrees(dataset, chosen, source):
        grid = Horizontal(*chosen)
    return axes, [n for n in gridded if n in usable], grid


def _axes_of(
    array: xr.DataArray, kinds: dict[Hashable, str | None], grids: Sequence[Horizontal]
) -> dict[str, Hashable]:
    """The canonical axes of a variable; rows and columns stand for latitude and longitude."""
    for grid in grids:
        if {grid.row, grid.column} <= set(array.dims):
            others = {k: d for d in array.dims if (k := kinds[d]) in _KINDS and d not in (grid.row, grid.column)}
            return others | {"lat": grid.row, "lon": grid.column}
    axes = {kind: d for d in array.dims if (kind := kinds[d]) in _KINDS}
    if not {"lat", "lon"} & set(axes):
        spare = {kind: d for d in array.dims if (kind := kinds[d]) in ("y", "x")}
        axes |= {"lat": spare["y"], "lon": spare["x"]} if len(spare) == 2 else {}
    return axes


def _beside(dataset: xr.Dataset, grids: Sequence[Horizontal]) -> set[str]:
    """Variables that describe axes and are no fields: bounds, positions, and what only CF needs."""
    named = {a.attrs[k] for a in dataset.variables.values() for k in ("bounds", "climatology") if k in a.attrs}
    positions = {str(name) for grid in grids for name in (grid.latitude, grid.longitude)}
    for name, array in dataset.data_vars.items():
        dated = "time" in (kind_of(str(d), dataset.get(d)) for d in array.dims)
        # a mask that was made by comparing a coordinate may carry its attributes
        mask = array.dtype.kind == "b" or is_mask(str(name))
        if not mask and not dated and array.ndim >= 2 and kind_of(str(name), array) in ("lat", "lon"):
            positions.add(str(name))  # of another staggered grid, or what the axes say too
    return {str(name) for name in named} | positions | set(_BESIDE)


def _are_degrees(dataset: xr.Dataset, dims: tuple[Hashable, Hashable], source: str) -> bool:
    """Whether axes that are called x and y, and say nothing else, hold degrees: not lengths, not numbers of cells."""
    for dim in dims:
        axis = dataset.get(dim)
        if axis is None or axis.dtype.kind not in "iuf" or str(dim).lower() in ("rlat", "rlon"):
            return False
        values = np.asarray(axis.values, dtype=np.float64)
        counted = values.size > 2 and np.array_equal(values, np.arange(values.size) + values[0]) and values[0] in (0, 1)
        if counted or "standard_name" in axis.attrs or not np.isfinite(values).all() or np.abs(values).max() > 720.0:
            return False
        if str(axis.attrs.get("units", "")).strip():
            return False
    log.info("%s: the axes %s say no unit: taken as degrees", source, tuple(map(str, dims)))
    return True


def _positions(
    dataset: xr.Dataset,
    grid: Horizontal | None,
    kinds: dict[Hashable, str | None],
    axes: dict[str, Hashable],
    source: str,
) -> xr.Dataset:
    if grid is not None:
        mappings = [a.attrs for a in dataset.variables.values() if "grid_mapping_name" in a.attrs]
        return with_positions(dataset, grid, mappings[0] if mappings else dict(dataset.attrs), source)
    for kind in ("lat", "lon"):
        if axes[kind] not in dataset:
            raise DataError(
                f"The {kind} axis {axes[kind]!r} of {source} has no coordinate values, and no variable gives a latitude and a "
                f"longitude for its cells. Add a variable {axes[kind]!r}."
            )
    return dataset


def _coordinates(
    dataset: xr.Dataset, positions: xr.Dataset, axes: dict[str, Hashable], grid: Horizontal | None, source: str
) -> dict[Hashable, xr.DataArray]:
    """The coordinate variables of the axes, and positions."""
    coordinates = {}
    for kind, dim in axes.items():
        if kind == "member" and dim not in positions.variables:  # members need no numbers
            coordinates[dim] = xr.DataArray(np.arange(dataset.sizes[dim]), dims=[dim])
            continue
        if dim not in positions.variables:
            raise DataError(f"The {kind} axis {dim!r} of {source} has no coordinate values. Add a variable {dim!r}.")
        coordinates[dim] = positions[dim]
    names = ("latitude", "longitude")
    if grid is not None or positions_of(positions) is not None:
        coordinates |= {n: positions[n] for n in names}
    return coordinates


def _renamed(dataset: xr.Dataset, axes: dict[str, Hashable], source: str) -> xr.Dataset:
    """The axes under their canonical names; a variable that stands in the way of one gets another name."""
    new = {dim: kind for kind, dim in axes.items() if dim != kind}
    reserved = (*_KINDS, "latitude", "longitude")
    taken = {str(n) for n in dataset.data_vars if str(n) in reserved and n not in axes.values()}
    for name in sorted(taken):
        log.warning("%s: the variable %r, which is no axis, is called %r here", source, name, f"{name}_field")
        new[name] = f"{name}_field"
    there = (set(dataset.dims) | set(dataset.variables)) - set(new)
    if twice := sorted(str(kind) for kind in new.values() if kind in there):
        of = next(str(dim) for dim, kind in new.items() if kind == twice[0])
        raise DataError(
            f"{source} has two axes for {twice[0]}: {of!r} says that it is one by its attributes, and {twice[0]!r} by its name. "
            "Correct standard_name, axis or units of one of them."
        )
    return dataset.rename(new)


def _bounds_of_time(dataset: xr.Dataset, dim: Hashable | None) -> xr.DataArray | None:
    if dim is None or dim not in dataset:
        return None
    bounds = dataset.get(str(dataset[dim].attrs.get("bounds", "")))
    return bounds if bounds is not None and bounds.ndim == 2 and bounds.dims[0] == dim else None


def _no_grid(dataset: xr.Dataset, source: str) -> DataError:
    alone = [
        (k, n) for n, a in dataset.variables.items() if a.ndim == 2 and (k := kind_of(str(n), dataset[n])) in _ORDER[2:]
    ]
    if alone:
        word, other = ("latitude", "longitude") if alone[0][0] == "lat" else ("longitude", "latitude")
        return DataError(
            f"{source} has a two-dimensional {word} ({alone[0][1]!r}) and no {other} on the same dimensions, or no field on "
            f"them: expected both and a field. Add the {other}, with the units degrees_north or degrees_east."
        )
    return DataError(
        f"No latitude and longitude axes in {source}: found the dimensions {tuple(map(str, dataset.dims))}, expected two with "
        "units degrees_north and degrees_east, or two-dimensional variables of these units. Set these units, or rename the axes "
        "to lat and lon."
    )


def _orient(dataset: xr.Dataset, depth: str, source: str) -> xr.Dataset:
    """Latitude ascending, longitude increasing (unwrapped), depth in metres downwards, time increasing."""
    for axis in (d for d in ("depth", "time") if d in dataset.dims):
        numbers = dataset[axis].dtype.kind == "f"
        if bool(dataset[axis].isnull().any() or (numbers and np.isinf(dataset[axis].values).any())):
            raise DataError(
                f"The {axis} axis of {source} has missing values. Remove these, or write what they should be."
            )
    dataset = _ascending_degrees(dataset, source) if positions_of(dataset) is None else _ascending_cells(dataset)
    if "depth" in dataset.dims:
        dataset = _orient_depth(dataset, depth, source)
    if "time" in dataset.dims and not dataset.indexes["time"].is_monotonic_increasing:
        dataset = dataset.sortby("time")
    for axis in (d for d in _ORDER if d in dataset.dims):
        if not dataset.indexes[axis].is_unique:
            raise DataError(f"The {axis} axis of {source} holds the same value twice. Remove the duplicates.")
    return dataset


def _ascending_degrees(dataset: xr.Dataset, source: str) -> xr.Dataset:
    if empty := [str(axis) for axis in ("lat", "lon") if not dataset.sizes[axis]]:
        raise DataError(
            f"The {empty[0]} axis of {source} is empty: expected one value or more. Name a file that holds some."
        )
    degrees = {n: in_degrees(dataset[n].values, str(dataset[n].attrs.get("units", ""))) for n in ("lat", "lon")}
    lon = np.unwrap(degrees["lon"], period=360.0)
    steady = bool(np.all(np.diff(lon) > 0))
    lon_values, lat_values = lon if steady else degrees["lon"], degrees["lat"]
    finite = bool(np.isfinite(lat_values).all() and np.isfinite(lon_values).all())
    # two turns: a region that was rolled across the dateline runs on beyond 360
    if not finite or np.abs(lat_values).max() > 90.001 or np.abs(degrees["lon"]).max() > 720.0:
        raise DataError(f"{source} has latitudes or longitudes that are no degrees. Expected -90..90 and -360..360.")
    dataset = dataset.assign_coords(
        lat=("lat", lat_values, dict(LATITUDE)),
        lon=("lon", lon_values, dict(LONGITUDE)),
    )
    dataset = dataset if steady else dataset.sortby("lon")
    return dataset.sortby("lat") if np.any(np.diff(lat_values) < 0) else dataset


def _ascending_cells(dataset: xr.Dataset) -> xr.Dataset:
    """Rows and columns of a grid with positions, by the numbers that the file gives them."""
    for axis in ("lat", "lon"):
        if dataset.sizes[axis] > 1 and dataset[axis].values[0] > dataset[axis].values[-1]:
            dataset = dataset.sortby(axis)
    return dataset


def _orient_depth(dataset: xr.Dataset, name: str, source: str) -> xr.Dataset:
    positions = positions_of(dataset)
    lat = dataset["lat"].values if positions is None else positions.latitude
    values = oriented_depth(dataset["depth"], latitude=float(np.abs(lat).mean()), source=source, name=name)
    attrs = {"standard_name": "depth", "units": "m", "positive": "down", "axis": "Z"}
    dataset = dataset.assign_coords(depth=("depth", values, attrs))
    return dataset.sortby("depth") if np.any(np.diff(values) < 0) else dataset

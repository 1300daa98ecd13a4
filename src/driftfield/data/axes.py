"""Any axis names in, canonical axes out.

    (TIME1, PSZT1_10, PSYT35_56, PSXT91_108), (t, deptht, nav_lat, nav_lon), (time, zlev, latitude, longitude) ...
        ->  (time, depth, lat, lon), latitude ascending, longitude increasing, depth in metres positive downwards

An axis is recognised by its CF attributes (`standard_name`, `axis`, `units`) and, where these are silent, by its name.
A section (one dimension of stations that carries both a latitude and a longitude) becomes a grid with a single row.
"""

__all__ = ["canonical"]

import logging
import re
from collections import Counter
from collections.abc import Hashable, Sequence

import cftime
import numpy as np
import xarray as xr

from driftfield.conventions import LATITUDE, LONGITUDE
from driftfield.errors import DataError, FileFormatError, suggest

log = logging.getLogger(__name__)

_STANDARD_NAMES = {
    "latitude": "lat",
    "longitude": "lon",
    "time": "time",
    "depth": "depth",
    "realization": "member",
}
_NAMES = {
    "time": r"time\d*|t|times|date|valid_time|time_counter",
    "depth": r"depth[a-z]?|depth_.*|deptht|lev|level|levels|zlev|z|zt|z_t|st_ocean|olevel",
    "lat": r"lat|latitude|nav_lat|lats|y|yt|yt_ocean|y_t|rlat",
    "lon": r"lon|longitude|nav_lon|lons|long|x|xt|xt_ocean|x_t|rlon",
    "member": r"member|number|realization|realisation|ensemble",
}
_NORTH = re.compile(r"degrees?[ _]*(north|n)$", re.IGNORECASE)
_EAST = re.compile(r"degrees?[ _]*(east|e)$", re.IGNORECASE)
_METRES = {"m": 1.0, "meter": 1.0, "meters": 1.0, "metre": 1.0, "metres": 1.0, "cm": 0.01, "km": 1000.0}
_ORDER = ("time", "depth", "lat", "lon")


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
        Variables with dimensions ([other,] time, [depth,] lat, lon), as far as the file has them.

    Raises:
        DataError: no latitude and longitude, two-dimensional coordinates, or a variable that lies on another grid.
        FileFormatError: a time axis that nobody can decode.
    """
    dataset = _stations_to_grid(dataset.reset_coords(), source)
    kinds = {dim: _kind(str(dim), dataset.get(dim)) for dim in dataset.dims}
    axes, kept = _choose_grid(dataset, kinds, variables, source)
    for kind, dim in axes.items():
        if dim not in dataset:
            if kind in ("lat", "lon") and (odd := _two_dimensional(dataset, source)) is not None:
                raise odd
            raise DataError(f"The {kind} axis {dim!r} of {source} has no coordinate values. Add a variable {dim!r}.")
    extra = [name for name in ("station", "station_lat") if name in dataset.variables]
    dataset = dataset[[*kept, *extra]].assign_coords({dim: dataset[dim] for dim in axes.values()})
    dataset = dataset.set_coords(extra).rename({dim: kind for kind, dim in axes.items() if dim != kind})
    spare = [d for d in dataset.dims if d not in (*_ORDER, "member") and dataset.sizes[d] == 1]
    dataset = dataset.squeeze(spare, drop=True)
    if decode and "time" in dataset.dims:
        dataset = dataset.assign_coords(time=_decode_time(dataset["time"], source))
    dataset = _orient(dataset, source)
    return dataset.transpose(..., *(d for d in _ORDER if d in dataset.dims))


def _kind(name: str, coordinate: xr.DataArray | None) -> str | None:
    """Which canonical axis this is, or None."""
    attrs = {} if coordinate is None else coordinate.attrs
    units = str(attrs.get("units", "")).strip()
    if (standard := _STANDARD_NAMES.get(str(attrs.get("standard_name", "")).lower())) is not None:
        return standard
    if _NORTH.match(units):
        return "lat"
    if _EAST.match(units):
        return "lon"
    if " since " in units or (coordinate is not None and _is_dated(coordinate)):
        return "time"
    vertical = attrs.get("axis") == "Z" or "positive" in attrs
    if vertical and (units.lower() in _METRES or not units):
        return "depth"
    for kind, pattern in _NAMES.items():
        if re.fullmatch(pattern, name, re.IGNORECASE):
            # a level number or a pressure is no depth, and projected metres are no degrees
            if kind == "depth" and units.lower() not in _METRES and not name.lower().startswith("depth"):
                return None
            if kind in ("lat", "lon") and units.lower() in _METRES:
                return None
            return kind
    return None


def _choose_grid(
    dataset: xr.Dataset,
    kinds: dict[Hashable, str | None],
    variables: Sequence[str] | None,
    source: str,
) -> tuple[dict[str, Hashable], list[str]]:
    """The dimension of each canonical axis, and the variables that lie on this grid."""

    def axes_of(name: str) -> dict[str, Hashable]:
        return {kind: d for d in dataset[name].dims if (kind := kinds[d]) is not None}

    bounds = {a.attrs[k] for a in dataset.variables.values() for k in ("bounds", "climatology") if k in a.attrs}
    gridded = [
        str(name) for name in dataset.data_vars if {"lat", "lon"} <= set(axes_of(str(name))) and name not in bounds
    ]
    if not gridded:
        raise _no_grid(dataset, source)
    for name in variables or ():
        if name not in gridded:
            raise DataError(f"No gridded variable {name!r} in {source}: {suggest(name, gridded)}")
    horizontal = Counter((axes_of(n)["lat"], axes_of(n)["lon"]) for n in gridded)
    first = variables[0] if variables else None
    chosen = (axes_of(first)["lat"], axes_of(first)["lon"]) if first else horizontal.most_common(1)[0][0]
    axes: dict[str, Hashable] = {}
    kept = []
    for name in sorted(gridded, key=lambda n: n != first):
        own = axes_of(name)
        if (own["lat"], own["lon"]) != chosen or any(axes.get(k, d) != d for k, d in own.items()):
            if name in (variables or ()):
                raise DataError(
                    f"{name!r} lies on another grid than {first!r} in {source}: {tuple(own.values())} instead of "
                    f"{tuple(axes_of(str(first)).values())}. Regrid it first, or open it on its own."
                )
            log.info("%s: left out %r, which lies on another grid", source, name)
            continue
        axes.update(own)
        kept.append(name)
    return axes, [n for n in gridded if n in kept]


def _two_dimensional(dataset: xr.Dataset, source: str) -> DataError | None:
    names = [n for n, a in dataset.variables.items() if a.ndim == 2 and _kind(str(n), dataset[n]) == "lat"]
    if not names:
        return None
    return DataError(
        f"{source} has a two-dimensional latitude ({names[0]!r}), which is not supported yet: "
        "expected one-dimensional lat and lon. Regrid it to a regular grid first."
    )


def _no_grid(dataset: xr.Dataset, source: str) -> DataError:
    if (odd := _two_dimensional(dataset, source)) is not None:
        return odd
    return DataError(
        f"No latitude and longitude axes in {source}: found the dimensions {tuple(map(str, dataset.dims))}, expected "
        "two with units degrees_north and degrees_east. Set these units, or rename the axes to lat and lon."
    )


def _stations_to_grid(dataset: xr.Dataset, source: str) -> xr.Dataset:
    """A section (station) becomes a grid of one row (lat = 1, lon = station), stations from west to east."""
    for dim in dataset.dims:
        # single letters (x, y) may be anything: a station needs names or units that say latitude and longitude
        along = {
            _kind(str(n), a): n
            for n, a in dataset.data_vars.items()
            if a.dims == (dim,) and n != dim and len(str(n)) > 1
        }
        if not {"lat", "lon"} <= set(along):
            continue
        if _kind(str(dim), dataset.get(dim)) == "time":
            continue  # a track, not a section
        lat, lon = dataset[along["lat"]].values, dataset[along["lon"]].values
        if not (np.all(np.diff(lon) > 0) or np.all(np.diff(lon) < 0)):
            raise DataError(
                f"The stations of {source} do not run steadily from west to east, so they are no section. "
                "Read them as profiles instead."
            )
        on_section = [n for n, a in dataset.data_vars.items() if dim in a.dims and a.ndim > 1]
        section = dataset[on_section].drop_vars([dim], errors="ignore").rename({dim: "lon"})
        section = section.expand_dims(lat=[float(lat.mean())]).assign(station_lat=("lon", lat))
        if dim in dataset:
            section["station"] = ("lon", dataset[dim].values)
        others = [n for n, a in dataset.variables.items() if dim not in a.dims and n not in section.variables]
        section = section.assign({str(n): dataset[n] for n in others})
        return section.assign_coords(lon=("lon", lon, dict(LONGITUDE))).assign_attrs(dataset.attrs)
    return dataset


def _orient(dataset: xr.Dataset, source: str) -> xr.Dataset:
    """Latitude ascending, longitude increasing (unwrapped), depth in metres downwards, time increasing."""
    lon = np.unwrap(np.asarray(dataset["lon"].values, dtype=np.float64), period=360.0)
    steady = bool(np.all(np.diff(lon) > 0))
    lon_values = lon if steady else np.asarray(dataset["lon"].values, dtype=np.float64)
    lat_values = np.asarray(dataset["lat"].values, dtype=np.float64)
    finite = bool(np.isfinite(lat_values).all() and np.isfinite(lon_values).all())
    # two turns: a region that was rolled across the dateline runs on beyond 360
    if not finite or np.abs(lat_values).max() > 90.001 or np.abs(dataset["lon"].values).max() > 720.0:
        raise DataError(f"{source} has latitudes or longitudes that are no degrees. Expected -90..90 and -360..360.")
    for axis in (d for d in ("depth", "time") if d in dataset.dims):
        numbers = dataset[axis].dtype.kind == "f"
        if bool(dataset[axis].isnull().any() or (numbers and np.isinf(dataset[axis].values).any())):
            raise DataError(
                f"The {axis} axis of {source} has missing values. Remove these, or write what they should be."
            )
    dataset = dataset.assign_coords(
        lat=("lat", lat_values, dict(LATITUDE)),
        lon=("lon", lon_values, dict(LONGITUDE)),
    )
    dataset = dataset if steady else dataset.sortby("lon")
    if np.any(np.diff(lat_values) < 0):
        dataset = dataset.sortby("lat")
    if "depth" in dataset.dims:
        dataset = _orient_depth(dataset)
    if "time" in dataset.dims and not dataset.indexes["time"].is_monotonic_increasing:
        dataset = dataset.sortby("time")
    for axis in (d for d in _ORDER if d in dataset.dims):
        if not dataset.indexes[axis].is_unique:
            raise DataError(f"The {axis} axis of {source} holds the same value twice. Remove the duplicates.")
    return dataset


def _orient_depth(dataset: xr.Dataset) -> xr.Dataset:
    depth = dataset["depth"]
    values = np.asarray(depth.values, dtype=np.float64) * _METRES.get(str(depth.attrs.get("units", "m")).lower(), 1.0)
    if str(depth.attrs.get("positive", "down")).lower() == "up" or np.all(values <= 0):
        values = 0.0 - values
    attrs = {"standard_name": "depth", "units": "m", "positive": "down", "axis": "Z"}
    dataset = dataset.assign_coords(depth=("depth", values, attrs))
    return dataset.sortby("depth") if np.any(np.diff(values) < 0) else dataset


def _is_dated(coordinate: xr.DataArray) -> bool:
    if coordinate.dtype.kind == "M":
        return True
    return coordinate.dtype == object and coordinate.size > 0 and isinstance(coordinate.values.flat[0], cftime.datetime)


def _decode_time(time: xr.DataArray, source: str) -> xr.DataArray:
    """Dates as datetime64, or cftime where the calendar asks for it; months are dated mid-month."""
    if _is_dated(time):
        return time
    units = str(time.attrs.get("units", ""))
    if " since " not in units:
        raise FileFormatError(
            f"The time axis of {source} has the units {units!r}: expected something like 'days since 2000-01-01'. "
            "Set this attribute."
        )
    try:
        if re.match(r"(month|year)s?\s+since", units.strip(), re.IGNORECASE):
            return time.copy(data=_mid_period(time.values, units, str(time.attrs.get("calendar", "standard"))))
        return xr.decode_cf(time.to_dataset(name="decoded").drop_vars("time").rename(decoded="time"))["time"]
    except (ValueError, OverflowError, TypeError) as error:
        raise FileFormatError(
            f"Cannot decode the time axis of {source} (units {units!r}): {error}. Correct its units or calendar."
        ) from error


def _mid_period(values: np.ndarray, units: str, calendar: str) -> np.ndarray:
    """The middle of the month (or year) that each value falls in: "months since" has no fixed length in days."""
    unit, origin = re.split(r"\s+since\s+", units.strip(), flags=re.IGNORECASE)
    year, month = (int(part) for part in origin.replace("/", "-").split()[0].split("T")[0].split("-")[:2])
    per_year = 12 if unit.lower().startswith("month") else 1
    count = np.floor(np.asarray(values, dtype=np.float64) + 1e-6).astype(int)
    middles = []
    for n in count + (year * 12 + month - 1 if per_year == 12 else year):
        first = (n // 12, n % 12 + 1) if per_year == 12 else (n, month)
        after = ((n + 1) // 12, (n + 1) % 12 + 1) if per_year == 12 else (n + 1, month)
        start, end = (cftime.datetime(int(y), int(m), 1, calendar=calendar) for y, m in (first, after))
        middles.append(start + (end - start) / 2)
    if calendar in ("standard", "gregorian", "proleptic_gregorian"):
        return np.array([np.datetime64(date.isoformat(), "us") for date in middles])
    return np.array(middles, dtype=object)

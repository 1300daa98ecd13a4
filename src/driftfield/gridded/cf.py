"""What a file needs so that other tools open it: the words of the CF conventions 1.10, and the order that CDO reads.

    in the program   ([member | quantile,] time, [depth,] lat, lon)
    in a file        (time, [member | quantile,] [depth,] lat, lon)        CDO skips a variable whose first dimension is not time

Chunks hold whole fields, then as many members as make a handsome chunk, then dates. https://cfconventions.org (1.10: 2.5.1, 2.6,
3.1, 4.4, 6.1).
"""

__all__ = ["CHUNK", "CONVENTIONS", "PLANES", "as_cf", "chunks_of"]

import math
import shlex
import sys
from datetime import UTC, datetime
from pathlib import Path

import xarray as xr

from driftfield import __version__
from driftfield.conventions import LATITUDE, LONGITUDE, positions_of, state_variables

CONVENTIONS = "CF-1.10"

CHUNK = 2**20
"""Bytes of a chunk, at most, where one field is smaller."""

PLANES = (("lat", "lon"), ("y", "x"), ("rlat", "rlon"), ("station",))
"""Dimensions of one level of a field in a file: of a regular grid, one with positions, a rotated pole, a section."""

_COORDINATES = {
    "time": {"standard_name": "time", "long_name": "time", "axis": "T"},
    "depth": {"standard_name": "depth", "long_name": "depth", "units": "m", "positive": "down", "axis": "Z"},
    "lat": LATITUDE,
    "lon": LONGITUDE,
    "member": {"standard_name": "realization", "long_name": "number of the member", "units": "1"},
    "quantile": {"long_name": "probability of a value below", "units": "1"},
    "forecast_reference_time": {"standard_name": "forecast_reference_time", "long_name": "date of the initial states"},
    "forecast_period": {"standard_name": "forecast_period", "long_name": "lead time", "units": "hours"},
}
_PARTS = {
    "domain": "1 where {} exists",
    "held_out": "1 in cells of {} that are kept for scoring",
    "error": "standard deviation of the observation error of {}",
}


def as_cf(dataset: xr.Dataset) -> xr.Dataset:
    """The data set as it is written: dimensions in the order of files, described as CF asks.

    What describes itself already stays as it is, but for `Conventions`; a line is put on top of `history`.
    """
    names = state_variables(dataset) or [str(name) for name in dataset.data_vars if dataset[name].dtype.kind in "fiu"]
    output = dataset.copy()
    for name, array in dataset.data_vars.items():
        if "time" in array.dims[1:]:
            output[name] = array.transpose("time", ...)
        attrs = dict(array.attrs)
        for kind, says in _PARTS.items():
            if str(name) == kind or str(name).endswith(f"_{kind}"):
                of = (
                    str(name).removesuffix(f"_{kind}") if str(name) != kind else (names[0] if names else "the variable")
                )
                attrs.setdefault("long_name", says.format(of))
        if not {"long_name", "standard_name"} & set(attrs):
            attrs["long_name"] = str(name)
        output[name].attrs = attrs
    output = _with_own_axes(output)
    for name, described in _COORDINATES.items():
        if name in output.coords:
            dated = output[name].dtype.kind in "MmO"  # their units are found when they are written
            beside = output[name].dims != (name,)  # positions are no axes
            missing = {
                k: v for k, v in described.items() if not (dated and k == "units") and not (beside and k == "axis")
            }
            output[name].attrs = missing | dict(output[name].attrs)
    title = dataset.attrs.get("title") or _title(dataset, names)
    history = "\n".join(line for line in (_history(), str(dataset.attrs.get("history", ""))) if line)
    return output.assign_attrs(Conventions=CONVENTIONS, title=title, history=history)


def _with_own_axes(dataset: xr.Dataset) -> xr.Dataset:
    """A data set on a grid with positions, as CF has it: axes y and x (or rlat and rlon), positions lat and lon on them.

    A section has the one axis station. Any other data set comes back as it is.
    """
    if positions_of(dataset) is None:
        return dataset
    if "station_lat" in dataset.coords:
        dataset = dataset.isel(lat=0, drop=True).drop_vars(["station_lat", "lon"])
        names = dataset["station"].values if "station" in dataset.coords else None
        dataset = dataset.drop_vars("station", errors="ignore")
        dataset = dataset.rename_dims(lon="station").rename(latitude="lat", longitude="lon")
        return dataset if names is None else dataset.assign_coords(station=("station", names))
    rotated = dataset["lat"].attrs.get("standard_name") == "grid_latitude"
    row, column = ("rlat", "rlon") if rotated else ("y", "x")
    return dataset.rename({"lat": row, "lon": column}).rename({"latitude": "lat", "longitude": "lon"})


def chunks_of(array: xr.DataArray, *, most: int = CHUNK, dates: int | None = None) -> tuple[int, ...]:
    """Sizes of the chunks in the file, by dimension: whole fields, then members, then dates, up to `most` bytes.

    Arguments:
        array: In the order of the file.
        most: Bytes.
        dates: In a chunk, at most.
    """
    sizes = {str(d): max(n, 1) for d, n in array.sizes.items()}
    spread = [dim for dim in ("member", "quantile", "time") if dim in sizes]
    room = most // (array.dtype.itemsize * math.prod(n for dim, n in sizes.items() if dim not in spread))
    for dim in spread:
        limit = dates if dim == "time" and dates else sizes[dim]
        sizes[dim] = max(1, min(sizes[dim], limit, room))
        room //= sizes[dim]
    return tuple(sizes[str(dim)] for dim in array.dims)


def _title(dataset: xr.Dataset, names: list[str]) -> str:
    what = ", ".join(names) or "data"
    if method := dataset.attrs.get("method"):
        return f"Reconstruction of {what} by {method}"
    if "patterns" in dataset.attrs:
        return f"Simulated observations of {what}"
    if "observation" in dataset.dims:
        with_error = [name for name in names if f"{name}_error" in dataset.data_vars]
        return f"Observations of {', '.join(with_error) or what}"
    return what[:1].upper() + what[1:]


def _history() -> str:
    """Who wrote the file, when, and by which command."""
    program = Path(sys.argv[0])
    ours = program.stem == "driftfield" or program.parts[-2:] == ("driftfield", "__main__.py")
    command = f": {shlex.join(['driftfield', *sys.argv[1:]])}" if ours else ""
    return f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} driftfield {__version__}{command}"

"""What is understood of a file, before anything is done with it: axes, grid, dates, variables, what is missing, what comes next.

    gridded file   opened as every command opens it, a sample of its values looked at, everything that reading says kept
    points         the columns or variables, and the rows of the beginning

An inspection reads a sample at most: the first, the middle and the last date, thinned where a field is large.
"""

__all__ = ["inspect_file"]

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import xarray as xr

from driftfield.conventions import is_mask, positions_of, state_variables
from driftfield.errors import DataError, UserError
from driftfield.gridded.encodings import as_dates, date_text
from driftfield.gridded.gridded_files import expand_paths, open_fields, open_raw
from driftfield.gridded.quantities import quantity_of
from driftfield.gridded.region import is_periodic
from driftfield.gridded.remote import address_of
from driftfield.gridded.removal import count_removed
from driftfield.observations.columns import PARQUETS, TEXTS, is_bufr
from driftfield.observations.inspected_points import Inspection, inspect_messages, inspect_points, inspect_table
from driftfield.observations.next_commands import SAMPLE, commands_for


def inspect_file(path: str | Path) -> Inspection:
    """Opens a file, a glob or a store as the commands would, and says what it is taken for.

    Raises:
        DataError: no such file.
    """
    paths = expand_paths(path, remote=True)
    first = paths[0]
    files = f"{path}" if len(paths) == 1 else f"{path}: {len(paths)} files"
    if address_of(first) is None and is_bufr(first):
        return inspect_messages(first, files)
    if address_of(first) is None and first.suffix.lower() in (*TEXTS, *PARQUETS):
        return inspect_table(first, files)
    with _heard() as said:
        try:
            dataset = open_fields(path, marks=True)
        except UserError as error:
            return inspect_points(first, files, error)
        inspection = _gridded(first, dataset, files)
    if said:
        inspection.parts["said"] = list(dict.fromkeys(text.removeprefix(f"{first}: ") for text in said))
    return inspection


@contextmanager
def _heard() -> Iterator[list[str]]:
    """What the program says meanwhile, in place of it being said."""
    said: list[str] = []

    class Ear(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            said.append(record.getMessage())

    root, ear = logging.getLogger("driftfield"), Ear()
    before = root.propagate, root.level
    root.addHandler(ear)
    root.propagate = False
    # not by assignment: loggers below remember that their lines were not wanted
    root.setLevel(logging.INFO)
    try:
        yield said
    finally:
        root.removeHandler(ear)
        root.propagate = before[0]
        root.setLevel(before[1])


def _gridded(path: Path, dataset: xr.Dataset, files: str) -> Inspection:
    positions = positions_of(dataset)
    rows, columns = dataset.sizes["lat"], dataset.sizes["lon"]
    kind = _kind_of_grid(dataset)
    inspection = Inspection(f"{files}: {kind}, {rows} x {columns} cells (rows x columns)")
    axes = _original_axes(path)
    inspection.parts["axes"] = [
        _axis(dataset, name, axes.get(name, "")) for name in ("lat", "lon", "depth") if name in dataset.dims
    ]
    if positions is not None:
        inspection.parts["positions"] = [
            f"latitude {positions.latitude.min():.4g} to {positions.latitude.max():.4g}, longitude "
            f"{positions.one_turn.longitude.min():.4g} to {positions.one_turn.longitude.max():.4g} degrees, "
            f"{positions.spacing:.3g} km between cells"
        ]
    inspection.parts["round the globe"] = ["yes, longitude wraps" if is_periodic(dataset["lon"]) else "no"]
    inspection.parts["dates"] = [_dates(dataset)]
    names = state_variables(dataset)
    inspection.parts["variables"] = [line for name in names for line in _variable(dataset, name)]
    if masks := [str(n) for n in dataset.data_vars if is_mask(str(n))]:
        inspection.parts["masks"] = [_mask(dataset, name) for name in masks]
    if flags := _flags(path):
        inspection.parts["flags"] = flags
    _judge(inspection, dataset, names)
    inspection.following = commands_for(str(path) if files == str(path) else f"'{files.split(':')[0]}'", dataset, names)
    return inspection


def _kind_of_grid(dataset: xr.Dataset) -> str:
    if positions_of(dataset) is None:
        return "a regular grid of latitudes and longitudes"
    standard = str(dataset["lat"].attrs.get("standard_name", ""))
    if "station_lat" in dataset.coords:
        return "a section of stations"
    if standard == "grid_latitude":
        return "a grid with a rotated pole"
    if standard == "projection_y_coordinate":
        return "a grid on a projection, with positions"
    return "a curvilinear grid (rows and columns with positions)"


def _original_axes(path: Path) -> dict[str, str]:
    """What the file calls the axes and in which units, by their canonical names."""
    from driftfield.gridded.axis_kinds import kind_of

    raw = open_raw(path)
    names: dict[str, str] = {}
    for dim in raw.dims:
        kind = {"y": "lat", "x": "lon"}.get(known := kind_of(str(dim), raw.coords.get(dim)) or "", known)
        units = str(raw.coords[dim].attrs.get("units", "")) if dim in raw.coords else ""
        names.setdefault(kind, f"{dim!r}" + (f" ({units})" if units else ""))
    return names


def _axis(dataset: xr.Dataset, name: str, original: str) -> str:
    values = np.asarray(dataset[name].values, dtype=np.float64)
    unit = str(dataset[name].attrs.get("units", ""))
    units = "" if unit in ("", "1") else f" {unit}"
    word = {"lat": "rows", "lon": "columns"}.get(name, name) if positions_of(dataset) is not None else name
    steps = np.diff(values)
    even = steps.size and np.ptp(steps) <= 0.01 * abs(steps.mean())
    step = (
        ""
        if not steps.size
        else f", step {steps.mean():.4g}"
        if even
        else f", steps {steps.min():.4g} to {steps.max():.4g}"
    )
    written = f"; in the file {original}" if original else ""
    down = " downwards" if name == "depth" else ""
    return f"{word}: {values.size} values, {values[0]:.6g} to {values[-1]:.6g}{units}{down}{step}{written}"


def _dates(dataset: xr.Dataset) -> str:
    if "time" not in dataset.dims:
        return "none: fixed fields"
    dates = as_dates(dataset["time"])
    if not dates.size:
        return "none: the time axis is empty"
    calendar = str(dates.dt.calendar)
    ends = [date_text(date) for date in dates.values[[0, -1]]]
    if dates.size == 1:
        return f"one, {ends[0]} ({calendar} calendar)"
    days = np.diff(dates.values)
    hours = (
        days / np.timedelta64(1, "h") if days.dtype.kind == "m" else np.array([d.total_seconds() / 3600 for d in days])
    )
    step = f"{np.median(hours):.4g} hours" if np.median(hours) < 48 else f"{np.median(hours) / 24:.4g} days"
    uneven = "" if np.ptp(hours) <= 0.15 * np.median(hours) else f" (from {hours.min():.4g} to {hours.max():.4g} hours)"
    return f"{dates.size}, {ends[0]} to {ends[1]}, every {step}{uneven}, {calendar} calendar"


def _sampled(array: xr.DataArray) -> tuple[xr.DataArray, str]:
    """Some dates and rows of a variable, loaded, and what part they are."""
    text = []
    if "time" in array.dims and array.sizes["time"] > 3:
        dates = sorted({0, array.sizes["time"] // 2, array.sizes["time"] - 1})
        array = array.isel(time=dates)
        text.append(f"{len(dates)} dates")
    per_date = array.size // max(array.sizes.get("time", 1), 1)
    if per_date > SAMPLE:
        every = int(np.ceil(per_date / SAMPLE))
        array = array.isel(lat=slice(None, None, every))
        if "time" in array.dims:
            array = array.isel(time=[0])
        text.append(f"every {every}th row of one date")
    return array.load(), ", ".join(text)


def _variable(dataset: xr.Dataset, name: str) -> list[str]:
    array = dataset[name]
    units = str(array.attrs.get("units", "")) or "no unit"
    described = str(array.attrs.get("standard_name", array.attrs.get("long_name", "")))
    quantity = quantity_of(array, name)
    known = f" = {quantity.name.replace('_', ' ')}" if quantity is not None else ""
    head = f"{name} ({', '.join(map(str, array.dims))}) in {units}" + (f", {described}" if described else "") + known
    if array.dtype.kind not in "fiub":
        return [f"{head}: holds {array.dtype}, no numbers"]
    sample, part = _sampled(array)
    finite = np.isfinite(sample.values)
    where = f" ({part})" if part else ""
    if not finite.any():
        return [f"{head}: missing everywhere{where}"]
    values = sample.values[finite]
    lines = [
        f"{head}: {100 * (1 - finite.mean()):.1f} % missing, {values.min():.5g} to {values.max():.5g}, mean "
        f"{values.mean(dtype=np.float64):.5g}{where}"
    ]
    marks = dataset.get(f"{name}_removed")
    if marks is not None:
        few = marks.isel({d: slice(None) for d in marks.dims}).sel({}) if not part else None
        looked = xr.Dataset({name: sample, f"{name}_removed": few if few is not None else _like(marks, sample)})
        try:
            _, removed = count_removed(looked.load(), [name], "the sample")
        except DataError as error:
            return [*lines, f"  removed by reading: {error}"]
        lines += [f"  removed by reading: {account}" for account in map(str, removed.values())]
    return lines


def _like(marks: xr.DataArray, sample: xr.DataArray) -> xr.DataArray:
    """The marks of the part that was sampled."""
    return marks.sel({d: sample[d] for d in sample.dims if d in marks.indexes})


def _mask(dataset: xr.Dataset, name: str) -> str:
    array = dataset[name]
    sample, _ = _sampled(array)
    values = sample.values.astype(float)
    share = f"{100 * np.nanmean(values):.1f} % of the cells" if np.isfinite(values).any() else "nothing in it"
    return f"{name} ({', '.join(map(str, array.dims))}): {share}"


def _flags(path: Path) -> list[str]:
    """Flags of the file, with their meanings."""
    raw = open_raw(path)
    lines = []
    for name, array in raw.variables.items():
        meanings = str(array.attrs.get("flag_meanings", ""))
        if meanings or re.search(r"(^|_)(qc|flag|flags|quality|quality_level)$", str(name), re.IGNORECASE):
            lines.append(f"{name}" + (f": {meanings[:120]}" if meanings else ": no flag_meanings"))
    return lines


def _judge(inspection: Inspection, dataset: xr.Dataset, names: list[str]) -> None:
    """What would be refused, of the variables and of the file."""
    if not names:
        inspection.refused.append("no field on latitude and longitude")
    for name in names:
        array = dataset[name]
        if odd := [str(d) for d in array.dims if d not in ("time", "depth", "lat", "lon")]:
            inspection.refused.append(f"{name}: the dimension(s) {odd}, of which one element must be chosen first")
        if "time" not in array.dims and "time" not in dataset.dims:
            inspection.refused.append(
                f"{name}: no time axis, which an archive and observations need (a domain does not)"
            )
        if array.dtype.kind not in "fiub":
            inspection.refused.append(f"{name}: no numbers")
    positions = positions_of(dataset)
    if positions is not None and positions.stretching > 2.0:
        inspection.parts["positions"].append(
            f"unevenly spaced within a row (by a factor of {positions.stretching:.2g}): a covariance of rows and columns, as of "
            "optimal interpolation, takes the median step there; space-time interpolation takes every distance as it is"
        )

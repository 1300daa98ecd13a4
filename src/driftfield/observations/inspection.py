"""What is understood of a file, before anything is done with it: axes, grid, dates, variables, what is missing, what comes next.

    gridded file   opened as every command opens it, a sample of its values looked at, everything that reading says kept
    points         the columns or variables, and the rows of the beginning

An inspection reads a sample at most: the first, the middle and the last date, thinned where a field is large.
"""

__all__ = ["Inspection", "inspect_file"]

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from driftfield.conventions import is_mask, positions_of, state_variables
from driftfield.errors import DataError, UserError
from driftfield.gridded.encodings import as_dates, date_text
from driftfield.gridded.gridded_files import expand_paths, open_fields, open_raw
from driftfield.gridded.quantities import quantity_of
from driftfield.gridded.region import is_periodic
from driftfield.gridded.removal import count_removed
from driftfield.observations.columns import PARQUETS, TEXTS, column_kinds, read_rows

SAMPLE = 2**21
"""Values of a variable that are looked at on each of three dates, at most."""


@dataclass
class Inspection:
    """What is understood of a file, as lines under headings.

    Arguments:
        what: In a few words.
        parts: Heading -> lines.
        refused: What would be refused, and why.
        following: Commands that make sense next.
    """

    what: str
    parts: dict[str, list[str]] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)
    following: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        sections = dict(self.parts)
        sections["would be refused"] = self.refused or ["nothing that was looked at"]
        sections["next"] = self.following
        width = max(len(name) for name in sections)
        lines = [self.what]
        for name, texts in sections.items():
            for i, text in enumerate(texts):
                lines.append(f"{name if i == 0 else '':<{width}}  {text}".rstrip())
        return "\n".join(lines)


_DESCRIBES = re.compile(
    r"qc$|_error|cycle|track|flag|mission|number|direction|^juld|^pres|_adjusted|time|station|profile", re.I
)
"""Names in files of points that are no measurement of the sea or the air."""


def inspect_file(path: str | Path) -> Inspection:
    """Opens a file, a glob or a store as the commands would, and says what it is taken for.

    Raises:
        DataError: no such file.
    """
    paths = expand_paths(path)
    first = paths[0]
    files = f"{path}" if len(paths) == 1 else f"{path}: {len(paths)} files"
    if first.suffix.lower() in (*TEXTS, *PARQUETS):
        return _table(first, files)
    with _heard() as said:
        try:
            dataset = open_fields(path, marks=True)
        except UserError as error:
            return _points(first, files, error)
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
    root.propagate, root.level = False, logging.INFO
    try:
        yield said
    finally:
        root.removeHandler(ear)
        root.propagate, root.level = before


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
    inspection.following = _commands(str(path) if files == str(path) else f"'{files.split(':')[0]}'", dataset, names)
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


def thinned(array: xr.DataArray) -> xr.DataArray:
    """The first, the middle and the last date of a variable, rows left out where a date is large; loaded."""
    if "time" in array.dims and array.sizes["time"] > 3:
        array = array.isel(time=sorted({0, array.sizes["time"] // 2, array.sizes["time"] - 1}))
    every = int(np.ceil(array.size / max(array.sizes.get("time", 1), 1) / SAMPLE))
    return array.isel(lat=slice(None, None, every)).load() if every > 1 else array.load()


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


def _commands(file: str, dataset: xr.Dataset, names: list[str]) -> list[str]:
    return [*_filling(file, dataset, names), *_from_a_time_axis(file, dataset, names)]


def _filling(file: str, dataset: xr.Dataset, names: list[str]) -> list[str]:
    """`fill`, for the first field that has gaps."""
    for name in names:
        array = dataset[name]
        if array.dtype.kind != "f" or not {"lat", "lon"} <= set(array.dims) <= {"time", "depth", "lat", "lon"}:
            continue
        dates = thinned(array)
        gaps = dates.isnull()
        if "time" in dates.dims and dates.sizes["time"] > 1:
            gaps = gaps & dates.notnull().any("time")  # what no date saw is land
        if bool(gaps.any()) and bool(dates.notnull().any()):
            return [f"driftfield fill {file} --variable {name} --out filled.nc"]
    return []


def _from_a_time_axis(file: str, dataset: xr.Dataset, names: list[str]) -> list[str]:
    usable = [n for n in names if set(dataset[n].dims) <= {"time", "depth", "lat", "lon"} and "time" in dataset[n].dims]
    if not usable:
        return ["(fixed fields: a domain, with `reconstruct --domain` or data.domain of a recipe)"] if names else []
    name = usable[0]
    if "held_out" in dataset or f"{name}_error" in dataset:
        return [f"driftfield reconstruct RUN {file} --out fields.nc"]
    deep = "depth" in dataset[name].dims
    pattern = "profiles:0.95" if deep else "clouds:0.8"
    large = dataset.sizes["lat"] * dataset.sizes["lon"] > 2**20
    part = f" --region {_middle(dataset)}" if large else ""
    following = [f"driftfield mask {file} seen.nc --observe {name}={pattern} --error 0.1{part}"]
    if dataset.sizes["time"] >= 10:
        following.append(f"driftfield train recipe.yaml --out run      (data: {{archive: {file}, targets: [{name}]}})")
    following.append(f"driftfield gather POINTS --variable {name}=NAME --like {file} --out seen.nc")
    return following


def _middle(dataset: xr.Dataset) -> str:
    """A region of some 512 x 512 cells in the middle."""
    positions = positions_of(dataset)
    spans = []
    for axis in ("lat", "lon"):
        n = dataset.sizes[axis]
        cells = slice(max(n // 2 - 256, 0), min(n // 2 + 256, n))
        if positions is None:
            values = dataset[axis].values[cells]
        else:
            part = positions.latitude if axis == "lat" else positions.one_turn.longitude
            values = part[cells, dataset.sizes["lon"] // 2] if axis == "lat" else part[dataset.sizes["lat"] // 2, cells]
        spans.append(f"{axis}={values.min():.6g}:{values.max():.6g}")
    return ",".join(spans)


def _table(path: Path, files: str) -> Inspection:
    """The columns of a table, and the rows of its beginning."""
    rows = read_rows(path, most=10_000)
    kinds = column_kinds(rows.columns)
    inspection = Inspection(f"{files}: a table, {len(rows)} rows looked at")
    inspection.parts["columns"] = []
    if rows.empty:
        inspection.refused.append(f"no row below the names {', '.join(map(str, rows.columns))}")
        return inspection
    for name in rows.columns:
        values = pd.to_numeric(rows[name], errors="coerce")
        share = f"{100 * rows[name].isna().mean():.1f} % missing"
        span = (
            f"{values.min():.5g} to {values.max():.5g}"
            if values.notna().any()
            else f"{str(rows[name].iloc[0])[:40]!r}, ..."
        )
        inspection.parts["columns"].append(
            f"{name}: {kinds.get(str(name), 'a variable, if it is asked for')}; {span}; {share}"
        )
    lacking = [kind for kind in ("time", "latitude", "longitude") if kind not in kinds.values()]
    if lacking:
        inspection.refused.append(f"no column for {', '.join(lacking)}")
    if "depth" not in kinds.values() and "pressure" not in kinds.values():
        inspection.parts["depth"] = ["none: surface data"]
    variables = [str(n) for n in rows.columns if str(n) not in kinds and pd.api.types.is_numeric_dtype(rows[n])]
    name = variables[0] if variables else "NAME"
    inspection.following = [
        f"driftfield gather {path} --variable {name}={name} --like GRID --out seen.nc",
        f"driftfield assimilate RUN {path} --variable {name}={name} --out fields.nc",
    ]
    return inspection


def _points(path: Path, files: str, why: UserError) -> Inspection:
    """A file that is no gridded one: points, or nothing that can be read."""
    inspection = Inspection(f"{files}: no gridded file")
    inspection.refused.append(str(why))
    try:
        raw = open_raw(path)
    except UserError:
        return inspection
    inspection.parts["dimensions"] = [", ".join(f"{d} ({n})" for d, n in raw.sizes.items())]
    inspection.parts["variables"] = [
        f"{n} ({', '.join(map(str, a.dims))})" + (f" in {a.attrs['units']}" if "units" in a.attrs else "")
        for n, a in list(raw.variables.items())[:40]
    ]
    name = _measured(raw)
    asked = f"--variable {name.lower()}={name}"
    inspection.following = [
        f"driftfield map {path} {asked} --box S,N,W,E --step .25 --every 1M --out map.nc",
        f"driftfield gather {path} {asked} --like GRID --out seen.nc",
    ]
    return inspection


def _measured(raw: xr.Dataset) -> str:
    """The variable of a file of points that most likely was measured: a number with a unit that does not describe the file."""
    placed = column_kinds([str(n) for n in raw.variables])
    names = [
        str(n)
        for n, a in raw.data_vars.items()
        if a.dtype.kind == "f" and a.ndim and str(n) not in placed and not _DESCRIBES.search(str(n))
    ]
    with_units = [n for n in names if str(raw[n].attrs.get("units", "1")).strip() not in ("", "1")]
    return next(iter([*with_units, *names]), "NAME")

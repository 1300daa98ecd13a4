"""What is understood of a file of points: the columns of a table, or the variables of profiles and tracks.

`Inspection` is what every kind of file is described by; `inspection` has the gridded ones."""

__all__ = ["Inspection", "inspect_messages", "inspect_points", "inspect_table"]

import re
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
import xarray as xr

from driftfield.errors import UserError
from driftfield.gridded.gridded_files import open_raw
from driftfield.observations.columns import column_kinds, read_rows
from driftfield.observations.readers.bufr import keys_of
from driftfield.observations.readers.reader import is_value_table


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

_NO_UNIT = re.compile(r"CODE TABLE|FLAG TABLE|CCITT|Numeric|^(a|mon|d|h|min|s)$", re.I)
"""Units of BUFR that are none of a measurement: tables, text, counts, parts of a date."""


def inspect_table(path: Path, files: str) -> Inspection:
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


def inspect_points(path: Path, files: str, why: UserError) -> Inspection:
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
    if is_value_table(raw):
        rows = pd.Series([str(name) for name in raw["variable"].values]).value_counts()
        inspection.what = f"{files}: a table of observations, a row per value"
        inspection.refused.clear()
        inspection.parts["values"] = [f"{name}: {count}" for name, count in rows.items()]
        name = str(rows.index[0]) if len(rows) else "NAME"
        asked = f"--variable {name}={name}"
        inspection.following = [
            f"driftfield map {path} {asked} --box S,N,W,E --step .25 --every 1M --out map.nc",
            f"driftfield gather {path} {asked} --like GRID --out seen.nc",
            f"driftfield assimilate RUN {path} {asked} --out fields.nc",
        ]
        return inspection
    name = _measured(raw)
    asked = f"--variable {name.lower()}={name}"
    inspection.following = [
        f"driftfield map {path} {asked} --box S,N,W,E --step .25 --every 1M --out map.nc",
        f"driftfield gather {path} {asked} --like GRID --out seen.nc",
    ]
    return inspection


def inspect_messages(path: Path, files: str) -> Inspection:
    """The keys of BUFR messages that hold values with a unit."""
    inspection = Inspection(f"{files}: BUFR messages of observations")
    try:
        units = keys_of(path)
    except UserError as error:
        inspection.refused.append(str(error))
        return inspection
    measured = [key for key, unit in units.items() if unit and not _DESCRIBES.search(key) and not _NO_UNIT.match(unit)]
    inspection.parts["variables"] = [f"{key} in {units[key]}" for key in measured] or ["none with a unit"]
    name = next((key for key in measured if key not in ("latitude", "longitude")), "KEY")
    inspection.following = [f"driftfield gather {path} --variable NAME={name} --like GRID --out seen.nc"]
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

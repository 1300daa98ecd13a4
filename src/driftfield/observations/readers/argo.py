"""Argo: profile files (N_PROF, N_LEVELS; formats 3.0 and 3.1) and the same data as ERDDAP tables (NetCDF or CSV).

    mode R            TEMP,          TEMP_QC
    modes A and D     TEMP_ADJUSTED, TEMP_ADJUSTED_QC, TEMP_ADJUSTED_ERROR        and so for the pressure
    without them      TEMP,          TEMP_QC,          TEMP_ERROR                 somebody has chosen already

One row per level; depth from pressure. Any other table of rows with time, latitude, longitude and a depth or a pressure
is read in the same way, as far as it has these columns.
"""

__all__ = [
    "dates_of",
    "flags_of",
    "is_profile_file",
    "is_row_table",
    "read_csv",
    "read_profile_file",
    "read_row_table",
    "reading_of_rows",
]

import logging
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from driftfield.conventions import description_of
from driftfield.errors import DataError, FileFormatError, UserError, suggest
from driftfield.gridded.units import convert, depth_of_pressure
from driftfield.gridded.vertical import in_metres
from driftfield.observations.columns import SAME_AS, read_rows, read_text, separator_of
from driftfield.observations.readers.quality import Ledger, Quality
from driftfield.observations.readers.reader import Measured, PointReader, Reading, is_value_table
from driftfield.registry import register

log = logging.getLogger(__name__)

_PROFILE = (
    "JULD",
    "JULD_QC",
    "LATITUDE",
    "LONGITUDE",
    "POSITION_QC",
    "PLATFORM_NUMBER",
    "CYCLE_NUMBER",
    "DIRECTION",
    "DATA_MODE",
    "VERTICAL_SAMPLING_SCHEME",
)
_PARTS = ("", "_QC", "_ADJUSTED", "_ADJUSTED_QC", "_ADJUSTED_ERROR")


def is_profile_file(dataset: xr.Dataset) -> bool:
    """Whether this is an Argo profile file."""
    return {"N_PROF", "N_LEVELS"} <= set(dataset.dims) and {"PRES", "JULD"} <= set(dataset.variables)


def is_row_table(dataset: xr.Dataset) -> bool:
    """Whether every variable lies on one dimension of rows, as ERDDAP writes tables."""
    names = {SAME_AS.get(str(n).lower(), str(n).lower()) for n in dataset.variables}
    return (
        len(dataset.dims) == 1
        and not is_value_table(dataset)
        and {"time", "latitude", "longitude"} <= names
        and bool(names & {"pres", "depth", "height", "altitude"})
    )


def read_profile_file(
    dataset: xr.Dataset, variables: Mapping[str, str], quality: Quality, *, source: str = "the file"
) -> Reading:
    """Reads an Argo profile file, see `PointReader.read`."""
    shape = (dataset.sizes["N_PROF"], dataset.sizes["N_LEVELS"])
    columns = {n: _per_level(dataset[n], shape) for n in _PROFILE if n in dataset}
    for name in {"PRES", *variables.values()}:
        if name not in dataset or dataset[name].dims != ("N_PROF", "N_LEVELS"):
            levels = [str(n) for n, a in dataset.data_vars.items() if a.dims == ("N_PROF", "N_LEVELS")]
            raise DataError(f"No variable {name!r} in {source}: {suggest(name, _plain(levels))}")
        columns |= {name + part: dataset[name + part].values.ravel() for part in _PARTS if name + part in dataset}
    frame = pd.DataFrame(columns)
    frame["cast"] = np.repeat(np.arange(shape[0]), shape[1])
    units = {str(n): str(dataset[n].attrs["units"]) for n in frame if "units" in dataset.get(n, xr.DataArray()).attrs}
    frame["JULD"] = dates_of(frame["JULD"], units.get("JULD", ""), source)
    return reading_of_rows(
        frame, variables, quality, {n: dict(dataset[v].attrs) for n, v in variables.items()}, units, source
    )


def read_row_table(
    dataset: xr.Dataset, variables: Mapping[str, str], quality: Quality, *, source: str = "the file"
) -> Reading:
    """Reads a table of rows from NetCDF; arguments and errors as `read_profile_file`."""
    dataset = dataset.reset_coords()
    for name in variables.values():
        if name not in dataset:
            raise DataError(f"No variable {name!r} in {source}: {suggest(name, map(str, dataset))}")
    frame = pd.DataFrame({str(n): a.values for n, a in dataset.data_vars.items() if a.ndim == 1})
    units = {str(n): str(a.attrs["units"]) for n, a in dataset.data_vars.items() if "units" in a.attrs}
    signs = {
        str(n).lower(): str(a.attrs["positive"]).lower() for n, a in dataset.data_vars.items() if "positive" in a.attrs
    }
    units |= {f"{SAME_AS.get(name, name)} positive": sign for name, sign in signs.items()}
    frame[_column(frame, "time", source)] = dates_of(
        frame[_column(frame, "time", source)], units.get(_column(frame, "time", source), ""), source
    )
    return reading_of_rows(
        frame, variables, quality, {n: dict(dataset[v].attrs) for n, v in variables.items()}, units, source
    )


def read_csv(path: Path, variables: Mapping[str, str], quality: Quality) -> Reading:
    """Reads a table of rows from CSV, with a second line of units where there is one (as ERDDAP writes it).

    Raises:
        DataError: a column that the table does not have.
        FileFormatError: no table, or numbers that are none.
    """
    try:
        frame = read_text(path, dtype=str, keep_default_na=False)
        frame.columns = frame.columns.str.strip()
    except UserError:
        raise
    except (OSError, UnicodeDecodeError, ValueError) as error:  # ParserError is a ValueError
        raise FileFormatError(f"Cannot read {path} as CSV: {error}. Expected a line of names, then rows.") from error
    for name in variables.values():
        if name not in frame:
            raise DataError(f"No column {name!r} in {path}: {suggest(name, frame.columns)}")
    latitude, time = _column(frame, "latitude", str(path)), _column(frame, "time", str(path))
    units: dict[str, str] = {}
    if len(frame) and frame[latitude].iloc[0].strip().lower().startswith("degree"):
        units = {name: unit for name, unit in frame.iloc[0].items() if unit}
        frame = frame.iloc[1:].reset_index(drop=True)
    texts = ("_qc", "mode", "direction", "platform_number", "platform", "vertical_sampling_scheme")
    wanted = {latitude, *variables.values(), *(n for n in frame if SAME_AS.get(n.lower(), n.lower()) in _NUMBERS)}
    wanted |= {n for n in frame if n.lower().endswith(("_adjusted", "_adjusted_error"))}
    wanted |= {n for n in frame if n.lower() in {f"{v}_error".lower() for v in variables.values()}}
    for name in sorted(wanted):
        if not name.lower().endswith(texts):
            frame[name] = _numbers(frame[name], path)
    frame[time] = dates_of(frame[time], units.get(time, ""), str(path))
    described = {n: {"units": units[v]} if v in units else {} for n, v in variables.items()}
    return reading_of_rows(frame, variables, quality, described, units, str(path))


def read_frame(path: Path, variables: Mapping[str, str], quality: Quality) -> Reading:
    """Reads a table of rows from Parquet, a column per variable, as NNJA-AI has them; errors as `read_csv`."""
    frame = read_rows(path)
    time = _column(frame, "time", str(path))
    frame[time] = dates_of(frame[time], "", str(path))
    return reading_of_rows(frame, variables, quality, {n: {} for n in variables}, {}, str(path))


_NUMBERS = ("latitude", "longitude", "pres", "depth", "height", "altitude", "cycle_number")


def reading_of_rows(
    frame: pd.DataFrame,
    variables: Mapping[str, str],
    quality: Quality,
    attrs: Mapping[str, dict[str, str]],
    units: Mapping[str, str],
    source: str,
) -> Reading:
    """From columns under any spelling to a reading: one value per row and variable, chosen and judged."""
    for needed in ("time", "latitude", "longitude"):
        _column(frame, needed, source)
    low = {str(n): SAME_AS.get(str(n).lower(), str(n).lower()) for n in frame}
    units = {low.get(n, n): unit for n, unit in units.items()}
    frame = frame.rename(columns=low)
    frame = frame.loc[:, ~frame.columns.duplicated()]
    mode = _texts(frame).get("data_mode", pd.Series("", index=frame.index))
    adjusted = (mode.isin(["A", "D"]) & quality.adjusted).to_numpy()
    depth, depth_flags = _depth(frame, adjusted, frame["latitude"].to_numpy(float), units, source)
    measured = {}
    for name, in_file in variables.items():
        values = _chosen(frame, in_file.lower(), adjusted, attrs[name])
        _judge_rows(values.ledger, frame, mode, quality)
        has_flags = f"{in_file.lower()}_qc" in frame or f"{in_file.lower()}_adjusted_qc" in frame
        if not has_flags:
            log.info("%s: %s carries no flags", source, in_file)
        values.ledger.drop("no adjusted value", adjusted & ~np.isfinite(values.values) & (values.quality < 0))
        values.ledger.drop_flags("", values.quality if has_flags else None, quality.flags)
        values.ledger.drop("no adjusted value", ~np.isfinite(values.values))
        if depth_flags is not None:
            values.ledger.drop("no depth", ~np.isfinite(depth) & (depth_flags < 0))
        values.ledger.drop_flags("pressure ", depth_flags, quality.flags)
        values.ledger.drop("no depth", ~np.isfinite(depth))
        values.quality = np.clip(values.quality, 0, None)
        measured[name] = values
    return Reading(_row_table(frame, depth, mode), measured)


def _texts(frame: pd.DataFrame) -> dict[str, pd.Series]:
    return {n: _text(frame[n]) for n in ("data_mode", "platform_number", "direction") if n in frame}


def _row_table(frame: pd.DataFrame, depth: np.ndarray, mode: pd.Series) -> pd.DataFrame:
    """Where and when each row was measured, by whom, and of which cast it is."""
    text = _texts(frame)
    identity = _identity(frame, text)
    return pd.DataFrame(
        {
            "time": frame["time"],
            "lat": frame["latitude"].to_numpy(float),
            "lon": frame["longitude"].to_numpy(float),
            "depth": depth,
            "platform": text.get("platform_number", pd.Series("", index=frame.index)),
            "cycle": _cycle(frame) if "cycle_number" in frame else -1,
            "mode": mode,
            "cast": frame["cast"] if "cast" in frame else (identity + "/" + mode).factorize()[0],
            "copy_of": identity if "platform_number" in text and "cycle_number" in frame else "",
        }
    )


def _judge_rows(ledger: Ledger, frame: pd.DataFrame, mode: pd.Series, quality: Quality) -> None:
    """Drops rows whose mode, place or date is not good enough, whatever was measured there."""
    for letter in sorted(set(mode.unique()) - set(quality.modes) - {""}):
        ledger.drop(f"mode {letter} not asked for", (mode == letter).to_numpy())
    lat, lon = frame["latitude"].to_numpy(float), frame["longitude"].to_numpy(float)
    ledger.drop("no position", ~(np.isfinite(lat) & np.isfinite(lon) & (np.abs(lat) <= 90) & (np.abs(lon) <= 360)))
    places = quality.flags if quality.flags is None or not quality.interpolated else (*quality.flags, 8)
    ledger.drop_flags("position ", flags_of(frame, "position_qc"), places)
    ledger.drop("no date", frame["time"].isna().to_numpy())
    ledger.drop_flags("date ", flags_of(frame, "time_qc"), quality.flags)


def _chosen(frame: pd.DataFrame, name: str, adjusted: np.ndarray, attrs: dict[str, str]) -> Measured:
    """Raw or adjusted, row by row; what is present in either is counted as read."""
    raw = frame[name].to_numpy(float)
    values, error = raw.copy(), np.full(raw.shape, np.nan)
    flags = flags_of(frame, f"{name}_qc")
    flags = np.full(raw.shape, -1, dtype=np.int8) if flags is None else flags
    present = np.isfinite(raw)
    if f"{name}_adjusted" in frame:
        better = frame[f"{name}_adjusted"].to_numpy(float)
        present |= adjusted & np.isfinite(better)
        values = np.where(adjusted, better, raw)
        own = flags_of(frame, f"{name}_adjusted_qc")
        flags = flags if own is None else np.where(adjusted, own, flags)
        if f"{name}_adjusted_error" in frame:
            error = np.where(adjusted, frame[f"{name}_adjusted_error"].to_numpy(float), np.nan)
    elif f"{name}_error" in frame:
        error = frame[f"{name}_error"].to_numpy(float)
    return Measured(values, error, flags, Ledger(present), description_of(attrs))


def _depth(
    frame: pd.DataFrame, adjusted: np.ndarray, lat: np.ndarray, units: Mapping[str, str], source: str
) -> tuple[np.ndarray, np.ndarray | None]:
    """Metres, not above the surface, and the flags of the pressure; NaN where the pressure is impossible (-5 .. 12000 dbar)."""
    if "pres" not in frame:
        depth = depth_of_rows(frame, units, source)
        return np.where(depth > -5.0, np.clip(depth, 0.0, None), np.nan), flags_of(frame, "depth_qc")
    chosen = _chosen(frame, "pres", adjusted, {"units": units.get("pres", "dbar")})
    pressure = convert(xr.DataArray(chosen.values, name="pres", attrs=chosen.attrs), "dbar").values
    with np.errstate(invalid="ignore"):
        depth = depth_of_pressure(np.clip(pressure, 0.0, None), lat)
        possible = (pressure >= -5.0) & (pressure <= 12000.0)
    has_flags = "pres_qc" in frame or "pres_adjusted_qc" in frame
    return np.where(possible, depth, np.nan), chosen.quality if has_flags else None


def depth_of_rows(frame: pd.DataFrame, units: Mapping[str, str], source: str) -> np.ndarray:
    """Metres, positive downwards, of a column depth, height or altitude; 0 where there is none: surface data.

    Numbers that lie at or below 0, all of them, are heights whatever the column is called.
    """
    name = next((name for name in ("depth", "height", "altitude") if name in frame), None)
    if name is None:
        log.info("%s has no depth and no pressure: taken as surface data", source)
        return np.zeros(len(frame))
    values = frame[name].to_numpy(float)
    metres = in_metres(values, units.get(name, "m"), latitude=45.0, what=f"The column {name!r} of {source}")
    known = metres[np.isfinite(metres)]
    below = known.size > 0 and bool((known <= 0).all()) and bool((known < 0).any())
    if name == "depth" and below:
        log.info("%s: the depths are at or below 0 everywhere: taken as heights", source)
    upward = units.get(f"{name} positive") == "up" and known.size > 0 and bool((known < 0).any())
    return 0.0 - metres if name != "depth" or below or upward else metres


def _identity(frame: pd.DataFrame, text: Mapping[str, pd.Series]) -> pd.Series:
    """Float, cycle, direction and sampling scheme: the same for copies of a profile, different for anything else."""
    empty = pd.Series("", index=frame.index)
    cycle = _cycle(frame).astype(str) if "cycle_number" in frame else frame["time"].astype(str)
    parts = [text.get("platform_number", empty), cycle, text.get("direction", empty)]
    if "vertical_sampling_scheme" in frame:  # "Primary sampling: averaged [...]", "Near-surface sampling: ..."
        parts.append(_text(frame["vertical_sampling_scheme"]).str.partition(":")[0].replace("", "Primary sampling"))
    if "platform_number" not in text:
        parts += [frame["latitude"].astype(str), frame["longitude"].astype(str)]
    joined = parts[0]
    for part in parts[1:]:
        joined = joined + "/" + part
    return joined


def _cycle(frame: pd.DataFrame) -> pd.Series:
    return frame["cycle_number"].fillna(-1).astype(np.int64)


def _column(frame: pd.DataFrame, wanted: str, source: str) -> str:
    for name in frame:
        if SAME_AS.get(str(name).lower(), str(name).lower()) == wanted:
            return str(name)
    raise DataError(
        f"No column {wanted!r} in {source}: found {sorted(map(str, frame))}. Rename the column that holds it."
    )


def _per_level(profile: xr.DataArray, shape: tuple[int, int]) -> np.ndarray:
    return np.repeat(profile.values, shape[1])


def _plain(names: list[str]) -> list[str]:
    return [n for n in names if not n.endswith(("_QC", "_ADJUSTED", "_ERROR", "_dPRES"))]


def _text(column: pd.Series) -> pd.Series:
    """Characters as text: bytes decoded, fill and padding taken off."""
    codes, distinct = pd.factorize(column)
    plain = [v.decode("utf-8", "replace") if isinstance(v, bytes) else str(v) for v in distinct]
    # a last entry for missing, whose code is -1
    return pd.Series(np.array([*(p.strip(" \0") for p in plain), ""], dtype=object)[codes], index=column.index)


def flags_of(frame: pd.DataFrame, name: str) -> np.ndarray | None:
    """Flags as integers, -1 where there is none; None if the file has no such column."""
    if name not in frame:
        return None
    column = frame[name]
    numbers = pd.to_numeric(column if column.dtype.kind in "fiu" else _text(column), errors="coerce")
    return numbers.fillna(-1).to_numpy().astype(np.int8)


def _numbers(column: pd.Series, path: Path) -> pd.Series:
    missing = column.str.strip().isin(["", "NaN", "nan", "NA", "null"])
    if separator_of(path) != ",":
        column = column.str.replace(r"^(\s*[-+]?\d+),(\d+\s*)$", r"\1.\2", regex=True)
    numbers = pd.to_numeric(column.where(~missing, "nan"), errors="coerce")
    if (wrong := column[numbers.isna() & ~missing]).size:
        raise FileFormatError(
            f"Column {column.name!r} of {path} holds {wrong.iloc[0]!r} (row {wrong.index[0] + 1}): expected numbers. "
            "Leave a missing value empty."
        )
    return numbers


def dates_of(column: pd.Series, units: str, source: str) -> pd.Series:
    """Dates as datetime64, NaT where there is none."""
    try:
        if column.dtype.kind == "M":
            return column
        if column.dtype.kind in "fiu" and " since " in units:
            raw = xr.Dataset({"t": ("row", column.to_numpy(float), {"units": units})})
            return pd.Series(xr.decode_cf(raw)["t"].values.astype("datetime64[us]"), index=column.index)
        missing = column.astype(str).str.strip().isin(["", "NaN", "nan", "NaT", "null"])
        dates = pd.to_datetime(column.where(~missing, None), utc=True, format="ISO8601")
        return dates.dt.tz_localize(None)
    except (ValueError, TypeError, OverflowError) as error:
        raise FileFormatError(
            f"Cannot read the dates of {source} (units {units!r}): {error}. Expected ISO dates, or numbers with units such "
            "as 'days since 1950-01-01'."
        ) from error


register("point_reader", "Argo profile file")(PointReader(is_profile_file, read_profile_file))
register("point_reader", "table of rows")(PointReader(is_row_table, read_row_table))

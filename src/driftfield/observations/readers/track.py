"""Along-track files: every variable on the time of the measurement, with a latitude and a longitude beside it.

    time (time,)  latitude (time,)  longitude (time,)  sla_filtered (time,)

The `flag` of the altimetry products says where the data come from, not how good they are: only a variable whose attributes
speak of quality (`standard_name` quality_flag or status_flag, or named in `ancillary_variables`) is honoured as a flag, with 0
or the value that `flag_meanings` calls good as accepted. Depth is 0: a track sees the surface.
"""

__all__ = ["is_track", "read_track"]

from collections.abc import Mapping

import numpy as np
import pandas as pd
import xarray as xr

from driftfield.conventions import description_of
from driftfield.errors import DataError, suggest
from driftfield.observations.readers.argo import is_row_table
from driftfield.observations.readers.quality import Ledger, Quality
from driftfield.observations.readers.reader import (
    Measured,
    PointReader,
    Reading,
    dates_of,
    drop_unplaced,
    is_value_table,
)
from driftfield.registry import register

_LAT, _LON = ("latitude", "lat"), ("longitude", "lon")
_GOOD = ("good", "ok", "valid", "accepted", "correct", "good_data", "best_quality")


def is_track(dataset: xr.Dataset) -> bool:
    """Whether this is one dimension of times with positions, and no depth."""
    if len(dataset.dims) != 1 or is_row_table(dataset) or is_value_table(dataset):
        return False
    names = {str(n) for n in dataset.variables}
    return bool(names & set(_LAT)) and bool(names & set(_LON)) and "time" in names


def read_track(
    dataset: xr.Dataset, variables: Mapping[str, str], quality: Quality, *, source: str = "the file"
) -> Reading:
    """Reads an along-track file, see `PointReader.read`; a pass is a profile number."""
    dataset = dataset.reset_coords()
    rows = _rows_of(dataset, source)
    measured = {}
    for name, in_file in variables.items():
        if in_file not in dataset:
            raise DataError(f"No variable {in_file!r} in {source}: {suggest(in_file, map(str, dataset))}")
        measured[name] = _measured(dataset, in_file, rows, quality)
    return Reading(rows, measured)


def _rows_of(dataset: xr.Dataset, source: str) -> pd.DataFrame:
    """Where and when; cycle and track number the passes."""
    lat = _first(dataset, _LAT).values.astype(float)
    passes = np.zeros(len(lat))
    for name, factor in (("cycle", 10_000), ("track", 1)):
        passes += factor * np.nan_to_num(dataset[name].values.astype(float)) if name in dataset else 0
    return pd.DataFrame(
        {
            "time": dates_of(dataset, source),
            "lat": lat,
            "lon": _first(dataset, _LON).values.astype(float),
            "depth": 0.0,
            "platform": str(dataset.attrs.get("platform", "")),
            "cycle": dataset["cycle"].values.astype(np.int64) if "cycle" in dataset else -1,
            "mode": "",
            "cast": pd.factorize(passes)[0],
            "copy_of": "",
        }
    )


def _measured(dataset: xr.Dataset, name: str, rows: pd.DataFrame, quality: Quality) -> Measured:
    """One variable, with what is not believed counted."""
    array = dataset[name]
    values = array.values.astype(float)
    stated = next((n for n in (f"{name}_error", f"{name}_uncertainty") if n in dataset), None)
    error = np.full(values.shape, np.nan) if stated is None else dataset[stated].values.astype(float)
    ledger = Ledger(np.isfinite(values))
    drop_unplaced(ledger, rows)
    flags = _quality_flags(dataset, array)
    if flags is None:
        return Measured(values, error, np.zeros(values.shape, np.int8), ledger, description_of(array.attrs))
    flagged, good = flags
    if quality.flags is not None:
        for flag in sorted(set(np.unique(flagged).tolist()) - {good}):
            ledger.drop(f"flag {flag}", flagged == flag)
    return Measured(values, error, np.where(flagged == good, 1, 4).astype(np.int8), ledger, description_of(array.attrs))


def _quality_flags(dataset: xr.Dataset, array: xr.DataArray) -> tuple[np.ndarray, int] | None:
    """Flags of a variable and the one that means good; None if nothing speaks of its quality."""
    named = str(array.attrs.get("ancillary_variables", "")).split()
    for name, flags in dataset.data_vars.items():
        standard = str(flags.attrs.get("standard_name", ""))
        about = name in named or (not named and standard in ("quality_flag", "status_flag"))
        if not about or not (standard.endswith(("quality_flag", "status_flag")) or "flag_meanings" in flags.attrs):
            continue
        meanings = str(flags.attrs.get("flag_meanings", "")).lower().split()
        values = np.atleast_1d(flags.attrs.get("flag_values", np.arange(len(meanings))))
        good = next((int(v) for m, v in zip(meanings, values, strict=False) if m in _GOOD), 0)
        return np.nan_to_num(flags.values.astype(float), nan=-1.0).astype(np.int64), good
    return None


def _first(dataset: xr.Dataset, names: tuple[str, ...]) -> xr.DataArray:
    return next(dataset[name] for name in names if name in dataset)


register("point_reader", "along-track file")(PointReader(is_track, read_track))

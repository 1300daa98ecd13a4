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

from driftfield.errors import DataError, FileFormatError, suggest
from driftfield.observations.readers.argo import is_row_table
from driftfield.observations.readers.quality import Ledger, Quality
from driftfield.observations.readers.table import Measured, PointReader, Reading
from driftfield.registry import register

_LAT, _LON = ("latitude", "lat"), ("longitude", "lon")
_GOOD = ("good", "ok", "valid", "accepted", "correct", "good_data", "best_quality")


def is_track(dataset: xr.Dataset) -> bool:
    """Whether this is one dimension of times with positions, and no depth."""
    if len(dataset.dims) != 1 or is_row_table(dataset):
        return False
    names = {str(n) for n in dataset.variables}
    return bool(names & set(_LAT)) and bool(names & set(_LON)) and "time" in names


def read_track(
    dataset: xr.Dataset, variables: Mapping[str, str], quality: Quality, *, source: str = "the file"
) -> Reading:
    """Reads an along-track file; a pass is a profile number.

    Arguments:
        dataset: As opened, times not decoded.
        variables: Our name -> name in the file, such as {"zos": "sla_filtered"}.
        quality: What is asked of a value.
        source: What messages call the file.

    Raises:
        DataError: a variable that the file does not have.
        FileFormatError: dates that cannot be decoded.
    """
    dataset = dataset.reset_coords()
    try:
        time = xr.decode_cf(dataset[["time"]].reset_coords())["time"].values.astype("datetime64[us]")
    except (ValueError, OverflowError, TypeError) as error:
        raise FileFormatError(f"Cannot decode the dates of {source}: {error}. Correct their units.") from error
    lat = _first(dataset, _LAT).values.astype(float)
    lon = _first(dataset, _LON).values.astype(float)
    passes = np.zeros(len(lat))
    for name, factor in (("cycle", 10_000), ("track", 1)):
        passes += factor * np.nan_to_num(dataset[name].values.astype(float)) if name in dataset else 0
    rows = pd.DataFrame(
        {
            "time": time,
            "lat": lat,
            "lon": lon,
            "depth": 0.0,
            "platform": str(dataset.attrs.get("platform", "")),
            "cycle": dataset["cycle"].values.astype(np.int64) if "cycle" in dataset else -1,
            "mode": "",
            "cast": pd.factorize(passes)[0],
            "copy_of": "",
        }
    )
    measured = {}
    for name, in_file in variables.items():
        if in_file not in dataset:
            raise DataError(f"No variable {in_file!r} in {source}: {suggest(in_file, map(str, dataset))}")
        array = dataset[in_file]
        values = array.values.astype(float)
        stated = next((n for n in (f"{in_file}_error", f"{in_file}_uncertainty") if n in dataset), None)
        ledger = Ledger(np.isfinite(values))
        ledger.drop("no position", ~(np.isfinite(lat) & np.isfinite(lon) & (np.abs(lat) <= 90) & (np.abs(lon) <= 360)))
        ledger.drop("no date", np.isnat(time))
        flags = _quality_flags(dataset, array)
        if flags is not None and quality.flags is not None:
            given, good = flags
            for flag in sorted(set(np.unique(given).tolist()) - {good}):
                ledger.drop(f"flag {flag}", given == flag)
        measured[name] = Measured(
            values,
            np.full(values.shape, np.nan) if stated is None else dataset[stated].values.astype(float),
            np.zeros(values.shape, np.int8) if flags is None else np.where(flags[0] == flags[1], 1, 4).astype(np.int8),
            ledger,
            {key: str(array.attrs[key]) for key in ("units", "standard_name", "long_name") if key in array.attrs},
        )
    return Reading(rows, measured)


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

"""The table of observations, a row per value, as a file of points: what `download nnja` writes, or anybody who fills `COLUMNS`.

    variable value error flag | longitude latitude depth time platform     --the rows of a variable--> thetao thetao_error ...

Flags are Argo's; 0 says that nobody looked, and is believed. Means over depth or over a box are no points: they are counted and
dropped.
"""

__all__ = ["is_value_table", "names_of_values", "read_value_table"]

from collections.abc import Mapping

import numpy as np
import pandas as pd
import xarray as xr

from driftfield.errors import DataError
from driftfield.observations.readers.argo import reading_of_rows
from driftfield.observations.readers.quality import Quality
from driftfield.observations.readers.reader import PointReader, Reading, dates_of, is_value_table
from driftfield.registry import register

MEANS = ("bottom", "cell_width", "cell_height")


def names_of_values(dataset: xr.Dataset) -> list[str]:
    """The variables that the rows are of."""
    return sorted({_text(name) for name in dataset["variable"].values})


def read_value_table(
    dataset: xr.Dataset, variables: Mapping[str, str], quality: Quality, *, source: str = "the file"
) -> Reading:
    """Reads the rows of some variables, see `PointReader.read`.

    Raises:
        DataError: a variable in several units.
    """
    dataset = dataset.reset_coords()
    of = np.array([_text(name) for name in dataset["variable"].values], dtype=object)
    frame = pd.DataFrame({name: dataset[name].values for name in ("longitude", "latitude", "value") if name in dataset})
    frame["time"] = dates_of(dataset, source)
    depth = dataset["depth"].values.astype(float) if "depth" in dataset else np.full(of.size, np.nan)
    frame["depth"] = np.where(np.isnan(depth), 0.0, depth)
    if "platform" in dataset:
        frame["platform_number"] = [_text(name) for name in dataset["platform"].values]
    attrs = {}
    for ours, theirs in variables.items():
        mine = of == theirs
        frame[theirs] = frame["value"].where(mine)
        for part, kind in (("error", "_error"), ("flag", "_qc")):
            if part in dataset:
                values = dataset[part].values.astype(float)
                frame[theirs + kind] = np.where(values == 0, 1, values) if part == "flag" else values
        attrs[ours] = _units(dataset, mine, theirs, source)
    reading = reading_of_rows(frame, variables, quality, attrs, {"depth": "m"}, source)
    mean = np.zeros(of.size, dtype=bool)
    for name in MEANS:
        mean |= np.isfinite(dataset[name].values.astype(float)) if name in dataset else mean
    for measured in reading.measured.values():
        measured.ledger.drop("a mean over depth or a box", mean)
    return reading


def _units(dataset: xr.Dataset, mine: np.ndarray, name: str, source: str) -> dict[str, str]:
    if "units" not in dataset:
        return {}
    stated = sorted({_text(unit) for unit in dataset["units"].values[mine]} - {""})
    if len(stated) > 1:
        raise DataError(f"{name!r} has the units {stated} in {source}: expected one. Read them apart.")
    return {"units": stated[0]} if stated else {}


def _text(value: object) -> str:
    return value.decode("utf-8", "replace").strip(" \0") if isinstance(value, bytes) else str(value).strip()


register("point_reader", "table of observations, a row per value")(
    PointReader(is_value_table, read_value_table, names_of_values)
)

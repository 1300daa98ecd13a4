"""From the readings of files to points, their variables side by side: what every reader ends in.

    Reading (all rows of one file, with a ledger per variable)  --collect-->  data set with the dimension `observation`

    time lat lon depth | thetao thetao_error thetao_quality | platform cycle mode profile

A point is one depth of one profile, or one point of a track. A variable that is not believed there is NaN; a point at which no
variable is believed is left out. Attributes of each variable say how many values were read, kept and dropped, and why. Side by
side, because a temperature in situ becomes a potential one by the salinity beside it, and a profile is judged as a whole; the
table of observations, a row per value, is made of it by `observations.table.ObservationTable.from_points`.
"""

__all__ = ["Counts", "are_points", "collect", "counts", "to_frame"]

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import xarray as xr

from driftfield.conventions import FORMAT, LATITUDE, LONGITUDE
from driftfield.errors import DataError
from driftfield.gridded.quantities import quantity_of
from driftfield.gridded.units import convert
from driftfield.observations.readers.outliers import is_outlier
from driftfield.observations.readers.quality import MODES, Ledger, Quality, in_range, is_spike
from driftfield.observations.readers.reader import Measured, Reading

log = logging.getLogger(__name__)

_FEW = 200_000
"""Points among which outliers are looked for also where nobody asked."""


@dataclass(frozen=True)
class Counts:
    """The account of one variable: read = kept + sum(dropped)."""

    read: int
    kept: int
    dropped: dict[str, int]

    def __str__(self) -> str:
        reasons = ", ".join(f"{n} {reason}" for reason, n in sorted(self.dropped.items(), key=lambda item: -item[1]))
        return f"{self.read} values read, {self.kept} kept, {self.read - self.kept} dropped" + (
            f" ({reasons})" if reasons else ""
        )


def collect(readings: Sequence[Reading], quality: Quality) -> xr.Dataset:
    """Joins files: copies of a profile (the best mode stays), ranges, spikes.

    Arguments:
        readings: One or more.
        quality: What is asked of a value.

    Returns:
        Points (see the module), with `driftfield_format` and `featureType`.

    Raises:
        DataError: a variable has units that do not convert.
    """
    rows = pd.concat([r.rows.assign(file=i) for i, r in enumerate(readings)], ignore_index=True)
    cast = rows.groupby(["file", "cast"], sort=False).ngroup().to_numpy()
    copies = _copies(rows, cast)
    names = list(dict.fromkeys(name for reading in readings for name in reading.measured))
    depth = rows["depth"].to_numpy(float)
    stamps = rows["time"].to_numpy("datetime64[s]")
    days = np.where(np.isnat(stamps), np.nan, stamps.astype(np.int64) / 86400.0)
    measured = {}
    for name in names:
        values = _joined(name, readings)
        quantity = quantity_of(xr.DataArray(attrs=values.attrs), name)
        kind = None if quantity is None else quantity.name
        values.ledger.drop("copy of a profile in a better mode, or of the same", copies)
        if quality.ranges:
            values.ledger.drop("outside the range", ~in_range(values.values, depth, kind))
        if quality.spikes:
            values.ledger.drop("spike", is_spike(values.values, depth, cast, values.ledger.kept, kind))
        if quality.outliers or len(rows) <= _FEW:
            wrong = is_outlier(
                values.values, lat=rows["lat"].to_numpy(float), lon=rows["lon"].to_numpy(float), depth=depth, days=days,
                cast=cast, known=values.ledger.kept,
            )  # fmt: skip
            if quality.outliers:
                values.ledger.drop("far from its neighbours or the climatology", wrong)
            elif wrong.any():
                log.info(
                    "%d of %d values of %r lie far from their neighbours or the climatology: kept (--outliers drops them)",
                    wrong.sum(), values.ledger.kept.sum(), name,
                )  # fmt: skip
        measured[name] = values
    return _points(rows, cast, measured)


def counts(points: xr.Dataset) -> dict[str, Counts]:
    """How many values of each variable were read, kept and dropped, and why."""
    return {
        str(name): Counts(
            int(array.attrs["values_read"]), int(array.attrs["values_kept"]), json.loads(array.attrs["values_dropped"])
        )
        for name, array in points.data_vars.items()
        if "values_read" in array.attrs
    }


def to_frame(points: xr.Dataset) -> pd.DataFrame:
    """The points as pandas has them, one row each."""
    return points.reset_coords().to_dataframe().reset_index(drop=True)


def are_points(dataset: xr.Dataset) -> bool:
    """Whether a data set holds points that `collect` made."""
    return "observation" in dataset.dims and bool(counts(dataset))


def _copies(rows: pd.DataFrame, cast: np.ndarray) -> np.ndarray:
    """Rows of profiles of which there is a copy in a better mode, or an earlier one in the same."""
    rank = rows["mode"].map({mode: i for i, mode in enumerate(MODES)}).fillna(len(MODES)).to_numpy()
    profiles = pd.DataFrame({"key": rows["copy_of"], "cast": cast, "rank": rank}).drop_duplicates("cast")
    profiles = profiles[profiles["key"] != ""].sort_values(["rank", "cast"])
    return np.isin(cast, profiles.loc[profiles.duplicated("key"), "cast"].to_numpy())


def _joined(name: str, readings: Sequence[Reading]) -> Measured:
    """One variable of all files in the program's units; no values where a file lacks it."""
    parts = []
    for reading in readings:
        n = len(reading.rows)
        values = reading.measured.get(name)
        if values is None:
            nothing = np.full(n, np.nan)
            values = Measured(nothing, nothing, np.zeros(n, np.int8), Ledger(np.zeros(n, bool)), {})
        parts.append(_canonical(values, name))
    ledger = Ledger(np.concatenate([part.ledger.kept for part in parts]))
    ledger.read = sum(part.ledger.read for part in parts)
    for part in parts:
        for reason, number in part.ledger.dropped.items():
            ledger.dropped[reason] = ledger.dropped.get(reason, 0) + number
    described = [part.attrs for part in parts if part.attrs]
    units = {attrs["units"] for attrs in described if "units" in attrs}
    if len(units) > 1:
        raise DataError(f"{name!r} has the units {sorted(units)} in these files: expected one. Read them apart.")
    return Measured(
        np.concatenate([part.values for part in parts]),
        np.concatenate([part.error for part in parts]),
        np.concatenate([part.quality for part in parts]),
        ledger,
        described[0] if described else {},
    )


def _canonical(measured: Measured, name: str) -> Measured:
    quantity = quantity_of(xr.DataArray(attrs=measured.attrs), name)
    if quantity is None or not measured.attrs.get("units"):
        return measured
    values = convert(xr.DataArray(measured.values, name=name, attrs=measured.attrs), quantity.units)
    error = convert(xr.DataArray(measured.error, name=name, attrs=measured.attrs), quantity.units, difference=True)
    attrs = measured.attrs | {"units": quantity.units}
    return Measured(values.values, error.values, measured.quality, measured.ledger, attrs)


def _points(rows: pd.DataFrame, cast: np.ndarray, measured: Mapping[str, Measured]) -> xr.Dataset:
    believed = np.zeros(len(rows), dtype=bool)
    for column in measured.values():
        believed |= column.ledger.kept
    rows = rows[believed]
    axis = "observation"
    points = xr.Dataset(
        coords={
            "time": (axis, rows["time"].to_numpy("datetime64[us]"), {"standard_name": "time"}),
            "lat": (axis, rows["lat"].to_numpy(float), dict(LATITUDE)),
            "lon": (axis, rows["lon"].to_numpy(float), dict(LONGITUDE)),
            "depth": (
                axis,
                rows["depth"].to_numpy(float),
                {"standard_name": "depth", "units": "m", "positive": "down"},
            ),
        },
        attrs={"featureType": "point", "Conventions": "CF-1.10", "driftfield_format": FORMAT},
    )
    for name, column in measured.items():
        good = column.ledger.kept[believed]
        account = {
            "values_read": column.ledger.read,
            "values_kept": int(column.ledger.kept.sum()),
            "values_dropped": json.dumps(column.ledger.dropped),
        }
        points[name] = (axis, np.where(good, column.values[believed], np.nan), column.attrs | account)
        units = {"units": column.attrs["units"]} if "units" in column.attrs else {}
        points[f"{name}_error"] = (axis, np.where(good, column.error[believed], np.nan), units)
        points[f"{name}_quality"] = (axis, np.where(good, column.quality[believed], 9).astype(np.int8))
    points["platform"] = (axis, rows["platform"].to_numpy(object))
    points["cycle"] = (axis, rows["cycle"].to_numpy(np.int64))
    points["mode"] = (axis, rows["mode"].to_numpy(object))
    points["profile"] = (axis, pd.factorize(cast[believed])[0].astype(np.int32), {"long_name": "number of the profile"})
    return points

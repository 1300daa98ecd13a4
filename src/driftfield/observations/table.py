"""The table of observations: one row per value, of any instrument.

    longitude latitude depth time | variable value error | flag platform | bottom
       -9.71     44.02  105.4  2019-05-02T07:11  thetao  12.83  .02  1  6900388

A row with a bottom is a mean over depth, from `depth` down to it; one with a cell_width and a cell_height is a mean over a box of
so many degrees around its place, as a value of a coarser product is. Metres, positive downwards; error is a standard deviation
in the units of the value, which are the program's (`gridded.units`) wherever the quantity is known. Nothing is judged here: NaN,
impossible values and places stay until `checks.check` drops and counts them.
"""

__all__ = ["COLUMNS", "ObservationTable"]

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from driftfield.conventions import FORMAT, LATITUDE, LONGITUDE, description_of
from driftfield.errors import DataError
from driftfield.gridded.encodings import time_days
from driftfield.gridded.quantities import quantity_of
from driftfield.gridded.units import convert
from driftfield.observations.grid import ObservedPlaces
from driftfield.observations.readers.argopy import read_argopy
from driftfield.observations.readers.collection import counts
from driftfield.observations.readers.places import days_like, nearest_date
from driftfield.observations.readers.quality import Quality

COLUMNS: dict[str, tuple[str, ...]] = {
    "longitude": ("lon", "long", "x"),
    "latitude": ("lat", "y"),
    "depth": ("z", "depth_m"),
    "time": ("date", "datetime", "juld"),
    "variable": ("parameter", "quantity"),
    "value": ("observation", "obs"),
    "error": ("error_std", "standard_deviation", "std", "sigma", "uncertainty"),
    "flag": ("quality", "qc", "quality_flag", "qc_flag"),
    "platform": ("platform_number", "station", "id", "source"),
    "bottom": ("bottom_depth", "depth_bottom", "lower_depth"),
    "cell_width": (),
    "cell_height": (),
}
"""Our names of the columns, and under which others they are recognised; upper and lower case do not matter."""

_PAUSE = pd.Timedelta(minutes=10)
_DEFAULTS: dict[str, float | int | str] = {
    "depth": np.nan,
    "error": np.nan,
    "flag": 0,
    "platform": "",
    "bottom": np.nan,
    "cell_width": np.nan,
    "cell_height": np.nan,
}


@dataclass(frozen=True)
class ObservationTable:
    """Values with their places, times and errors, a row each.

    Arguments:
        longitude, latitude: Degrees, longitude in any convention.
        depth: Metres, positive downwards; NaN for surface fields.
        time: datetime64.
        variable: Names.
        value: In the units of `attrs`.
        error: Standard deviation of the observation error, the same units; NaN where it is not stated.
        flag: Argo's scale: 1 good, 2 probably good, 3 probably bad, 4 bad, 9 missing; 0 not checked.
        platform: Float, satellite pass, station: what the rows of one instrument share.
        bottom: Metres: the value is the mean from `depth` down to here; NaN where it was measured at `depth`.
        cell_width, cell_height: Degrees of longitude and latitude: the value is the mean over a box around the place; NaN where
            it is no such mean.
        attrs: `units`, `standard_name` and `long_name` per variable.

    Raises:
        DataError: columns of different length, or a box that has one side only.
    """

    longitude: np.ndarray
    latitude: np.ndarray
    depth: np.ndarray
    time: np.ndarray
    variable: np.ndarray
    value: np.ndarray
    error: np.ndarray
    flag: np.ndarray
    platform: np.ndarray
    bottom: np.ndarray
    cell_width: np.ndarray
    cell_height: np.ndarray
    attrs: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        lengths = {name: len(getattr(self, name)) for name in COLUMNS}
        if len(set(lengths.values())) > 1:
            raise DataError(f"The columns of the table differ in length: found {lengths}, expected one row per value.")
        if (np.isnan(self.cell_width) != np.isnan(self.cell_height)).any():
            raise DataError(
                "A row has a cell_width or a cell_height alone: expected both for a mean over a box. Add the other."
            )

    def __len__(self) -> int:
        return len(self.value)

    @classmethod
    def of(cls, *, attrs: Mapping[str, Mapping[str, str]] | None = None, **columns: Any) -> "ObservationTable":
        """From arrays, or numbers for all rows; values in units that we know are converted.

        Arguments:
            attrs: Per variable; `units` is what the values have.
            columns: By the names of `COLUMNS`; depth, error, flag, platform, bottom, cell_width and cell_height may be missing.

        Raises:
            DataError: a column that is missing or unknown, that does not hold what it should, or units that do not convert.
        """
        if lacking := sorted(set(COLUMNS) - set(_DEFAULTS) - set(columns)):
            raise DataError(f"The table lacks the column(s) {lacking}: expected {sorted(COLUMNS)}. Add them.")
        if unknown := sorted(set(columns) - set(COLUMNS)):
            raise DataError(f"Unknown column(s) {unknown}: expected {sorted(COLUMNS)}. Leave them out.")
        stated = _DEFAULTS | columns
        rows = max((np.size(part) for part in stated.values() if np.ndim(part)), default=1)
        typed = {name: _column(name, stated[name], rows) for name in COLUMNS}
        return cls(**typed, attrs=dict(attrs or {}))._in_canonical_units()

    @classmethod
    def from_frame(
        cls,
        frame: pd.DataFrame,
        *,
        units: Mapping[str, str] | None = None,
        columns: Mapping[str, str] | None = None,
        variable: str | None = None,
    ) -> "ObservationTable":
        """From a data frame with one row per value; an index with names counts as columns.

        Arguments:
            frame: With the columns of `COLUMNS`, under these or the other names.
            units: Of the values per variable; else the column `units` of the frame, else taken as they are.
            columns: Our name -> name in the frame, where it is none that we know.
            variable: Name of the variable, where the frame has no such column.

        Raises:
            DataError: as for `of`.
        """
        named = [name for name in frame.index.names if name is not None]
        frame = frame.reset_index() if named else frame
        low = {str(name).strip().lower(): name for name in reversed(list(frame.columns))}
        chosen: dict[str, pd.Series | str] = {}
        for ours, others in COLUMNS.items():
            wanted = (str(columns[ours]).lower(),) if columns and ours in columns else (ours, *others)
            hit = next((low[name] for name in wanted if name in low), None)
            if hit is not None:
                chosen[ours] = frame[hit]
        if variable is not None:
            chosen["variable"] = variable
        attrs = {name: {"units": unit} for name, unit in (units or {}).items()}
        if units is None and "units" in low and "variable" in chosen:
            attrs = _stated_units(frame[low["units"]], pd.Series(chosen["variable"], index=frame.index))
        return cls.of(attrs=attrs, **chosen)

    @classmethod
    def from_points(cls, table: xr.Dataset) -> "ObservationTable":
        """From points (`readers.read_points`), their variables beside each other: believed values only."""
        parts = []
        for name in counts(table):
            seen = np.isfinite(table[name].values)
            part = table.isel(observation=seen)
            columns = {
                "longitude": part["lon"].values,
                "latitude": part["lat"].values,
                "depth": part["depth"].values,
                "time": part["time"].values,
                "variable": name,
                "value": part[name].values,
                "error": part[f"{name}_error"].values,
                "flag": part[f"{name}_quality"].values,
                "platform": _instruments(part),
            }
            parts.append(cls.of(attrs={name: description_of(table[name].attrs)}, **columns))
        return cls.join(parts)

    @classmethod
    def from_argopy(
        cls, dataset: xr.Dataset, variables: Mapping[str, str], quality: Quality | None = None
    ) -> "ObservationTable":
        """From the data set of points that argopy returns; arguments and errors as `readers.argopy.read_argopy`."""
        return cls.from_points(read_argopy(dataset, variables, quality))

    @classmethod
    def join(cls, tables: Sequence["ObservationTable"]) -> "ObservationTable":
        """One table behind the other.

        Raises:
            DataError: none is given, or a variable has different units in them.
        """
        if not tables:
            raise DataError("No observations were given: expected one table or more.")
        attrs: dict[str, Mapping[str, str]] = {}
        for table in tables:
            for name, mine in table.attrs.items():
                known = attrs.setdefault(name, mine)
                if known.get("units", "") != mine.get("units", ""):
                    raise DataError(
                        f"{name!r} has the units {known.get('units', '')!r} and {mine.get('units', '')!r} in these tables: "
                        "expected one. Declare the units of both."
                    )
        columns = {name: np.concatenate([getattr(table, name) for table in tables]) for name in COLUMNS}
        return cls(**columns, attrs=attrs)

    def select(self, rows: np.ndarray) -> "ObservationTable":
        """Some rows, by a boolean mask or indices."""
        return replace(self, **{name: getattr(self, name)[rows] for name in COLUMNS})

    def places(self, times: xr.DataArray | None = None, *, monthly: bool = False) -> ObservedPlaces:
        """Where and when, for `stencils`.

        Arguments:
            times: Dates of the state, whose calendar counts; None leaves time out.
            monthly: The dates stand for whole months: an observation lies at the date of its month, or nowhere.
        """
        days, dated = np.full(len(self), np.nan), ~np.isnat(self.time)
        if times is not None and monthly:
            of = nearest_date(self.time[dated], times)
            days[dated] = np.where(of >= 0, time_days(times)[of], np.inf)
        elif times is not None:
            days[dated] = days_like(self.time[dated], times)
        extents = self.bottom, self.cell_width, self.cell_height
        return ObservedPlaces(self.variable, self.latitude, self.longitude, self.depth, days, *extents)

    def to_frame(self) -> pd.DataFrame:
        """As a data frame, one row per value."""
        return pd.DataFrame({name: getattr(self, name) for name in COLUMNS})

    def to_dataset(self) -> xr.Dataset:
        """As a data set of CF points, which `reading.read_observations` takes back."""
        axis = "observation"
        plain = {
            "depth": {"standard_name": "depth", "units": "m", "positive": "down"},
            "bottom": {"long_name": "lower end of a mean over depth", "units": "m", "positive": "down"},
            "cell_width": {"long_name": "width of a mean over a box", "units": "degrees_east"},
            "cell_height": {"long_name": "height of a mean over a box", "units": "degrees_north"},
            "time": {"standard_name": "time"},
        }
        described = plain | {"latitude": dict(LATITUDE), "longitude": dict(LONGITUDE)}
        columns = {name: (axis, getattr(self, name), described.get(name, {})) for name in COLUMNS}
        units = np.array([self.attrs.get(name, {}).get("units", "") for name in self.variable], dtype=object)
        names = {name: columns.pop(name) for name in ("longitude", "latitude", "depth", "time")}
        return xr.Dataset(
            columns | {"units": (axis, units)},
            coords=names,
            attrs={"featureType": "point", "Conventions": "CF-1.10", "driftfield_format": FORMAT},
        )

    def _in_canonical_units(self) -> "ObservationTable":
        value, error, attrs = self.value.copy(), self.error.copy(), dict(self.attrs)
        for name in dict.fromkeys(self.variable):
            mine = self.variable == name
            described = attrs.get(name, {})
            quantity = quantity_of(xr.DataArray(attrs=dict(described)), name)
            if quantity is None or not described.get("units", ""):
                continue
            for part, difference in ((value, False), (error, True)):
                one = xr.DataArray(part[mine], name=name, attrs=dict(described))
                part[mine] = convert(one, quantity.units, difference=difference).values
            attrs[name] = {**described, "units": quantity.units}
        return replace(self, value=value, error=error, attrs=attrs)


def _column(name: str, given: Any, rows: int) -> np.ndarray:
    """One column of the right type."""
    values = np.asarray(given)
    try:
        if name == "time":
            typed = np.atleast_1d(_dates(values))
        elif name in ("variable", "platform"):
            typed = np.array([_text(one) for one in np.atleast_1d(values)], dtype=object)
        elif name == "flag":
            typed = np.nan_to_num(np.atleast_1d(values).astype(float), nan=9.0).astype(np.int8)
        else:
            typed = np.atleast_1d(values).astype(np.float64)
    except (ValueError, TypeError, OverflowError) as error:
        what = "dates such as 2019-05-02T07:11" if name == "time" else "numbers"
        raise DataError(f"The column {name!r} cannot be read: {error}. Expected {what}.") from error
    return np.broadcast_to(typed, (rows,)).copy() if typed.size == 1 else typed


def _dates(values: np.ndarray) -> np.ndarray:
    """Dates as datetime64 in UTC, of text or of what pandas makes of a zone too."""
    if values.dtype.kind == "M":
        return values.astype("datetime64[us]")
    dates = pd.to_datetime(pd.Series(np.atleast_1d(values)), utc=True, format="ISO8601")
    return dates.dt.tz_localize(None).to_numpy("datetime64[us]")


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace").strip(" \0")
    return "" if value is None or value is pd.NA or value != value else str(value).strip()


def _instruments(points: xr.Dataset) -> np.ndarray:
    """The platform of each row; the passes of a satellite are apart, since one of them is what is withheld as a whole."""
    rows = pd.DataFrame({name: points[name].values for name in ("profile", "lat", "lon", "time")})
    stated = np.array([str(v) for v in points["platform"].values], dtype=object)
    moves = rows.groupby("profile")[["lat", "lon"]].transform("nunique").max(axis=1).to_numpy() > 1
    # a file that does not number its passes: one ends where nothing is seen for a while
    order = rows.sort_values(["profile", "time"], kind="stable")
    pause = order["time"].diff() > _PAUSE
    begins = pause | (order["profile"].diff() != 0)
    number = begins.cumsum().sub(1).sort_index().astype(str).to_numpy(dtype=object)
    named = np.where(moves, stated + np.where(stated == "", "", " pass ") + number, stated)
    return np.where(named == "", rows["profile"].astype(str).to_numpy(dtype=object), named)


def _stated_units(units: pd.Series, variable: pd.Series) -> dict[str, dict[str, str]]:
    """Of a column of units: one per variable."""
    attrs = {}
    for name, mine in units.astype(str).groupby(variable.astype(str)):
        stated = sorted(set(mine.str.strip()) - {"", "nan"})
        if len(stated) > 1:
            raise DataError(f"{name!r} has the units {stated} in one table: expected one. Read them apart.")
        attrs[str(name)] = {"units": stated[0]} if stated else {}
    return attrs

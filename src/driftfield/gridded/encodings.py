"""Where and when a sample lies, as numbers between -1 and 1 that have no seam.

    unit_sphere   (cos phi cos lambda, cos phi sin lambda, sin phi)
    sincos        (sin phi, cos phi, sin lambda, cos lambda)
    raw           (phi / 90, lambda / 180), lambda in [-180, 180)
    date          (sin 2 pi y, cos 2 pi y [, sin 2 pi d, cos 2 pi d]), y = fraction of the year, d = fraction of the day

y counts days of the calendar that the data has: 366 in a leap year, 360 where every month has 30.
"""

__all__ = [
    "as_dates",
    "date_fraction",
    "date_text",
    "is_monthly",
    "time_days",
    "unit_sphere",
]

from collections.abc import Sequence
from typing import Any

import cftime
import numpy as np
import xarray as xr

from driftfield.errors import DataError


def as_dates(times: xr.DataArray | np.ndarray | Sequence[Any]) -> xr.DataArray:
    """Dates of any kind (datetime64, cftime, datetime, text) as a DataArray (time,) on which `.dt` works.

    Raises:
        DataError: plain numbers, which carry no calendar.
    """
    values = np.atleast_1d(times.values if isinstance(times, xr.DataArray) else np.asarray(times))
    if values.dtype.kind in "US" or (values.dtype == object and not isinstance(values.flat[0], cftime.datetime)):
        values = np.asarray(values, dtype="datetime64[us]")
    if values.dtype.kind not in "MO":
        raise DataError(f"Expected dates, found {values.dtype} numbers. Give the time axis units such as 'days since'.")
    return xr.DataArray(values, dims="time")


def is_monthly(times: xr.DataArray | np.ndarray | Sequence[Any]) -> bool:
    """Whether the median time step is 25 days or more."""
    dates = as_dates(times)
    return dates.size > 1 and bool(np.median(_days(np.diff(dates.values))) >= 25.0)


def time_days(times: xr.DataArray) -> np.ndarray:
    """Days since 1970 (time,), for any calendar."""
    if np.issubdtype(times.dtype, np.datetime64):
        return times.values.astype("datetime64[s]").astype(np.int64) / 86400.0
    calendar = times.dt.calendar
    return np.asarray(cftime.date2num(times.values, "days since 1970-01-01", calendar=calendar), dtype=np.float64)


def date_fraction(times: xr.DataArray | np.ndarray | Sequence[Any], *, monthly: bool = False) -> np.ndarray:
    """Fraction of the year and of the day, both in [0, 1).

    Arguments:
        times: Dates (time,).
        monthly: The dates stand for whole months: each is moved to the middle of its month.

    Returns:
        (time, 2), float64.
    """
    dates = as_dates(times).dt
    day = (dates.hour + dates.minute / 60.0 + dates.second / 3600.0).values / 24.0
    day_of_year = dates.dayofyear.values - 1.0
    if monthly:
        day_of_year = day_of_year - (dates.day.values - 1.0) + dates.days_in_month.values / 2.0
        day = np.zeros_like(day)
    year = (day_of_year + day) / dates.days_in_year.values
    return np.stack([year, day], axis=-1)


def date_text(date: Any) -> str:
    """A date as text to the second, the same on every machine and for every precision of datetime64."""
    return np.datetime_as_string(date, unit="s") if isinstance(date, np.datetime64) else str(date.isoformat())


def unit_sphere(lat: np.ndarray | float, lon: np.ndarray | float) -> np.ndarray:
    """Position without a seam: (cos phi cos lambda, cos phi sin lambda, sin phi).

    Arguments:
        lat: Degrees north.
        lon: Degrees east, in any convention.

    Returns:
        (..., 3), float64.
    """
    phi, lam = np.broadcast_arrays(np.radians(lat), np.radians(lon))
    return np.stack([np.cos(phi) * np.cos(lam), np.cos(phi) * np.sin(lam), np.sin(phi)], axis=-1)


def _days(steps: np.ndarray) -> np.ndarray:
    """Time differences (timedelta64 or datetime.timedelta) in days."""
    if steps.dtype.kind == "m":
        return steps / np.timedelta64(1, "D")
    return np.array([step.total_seconds() / 86400.0 for step in steps])

"""Which cell and which date a point belongs to.

|----c0----|----c1----|--------c2--------|        cells meet half way between their centres; -1 is outside
"""

__all__ = ["days_like", "nearest_cell", "nearest_date"]

import cftime
import numpy as np
import xarray as xr

from driftfield.errors import DataError
from driftfield.gridded.encodings import is_monthly, time_days


def nearest_cell(found: np.ndarray, centres: np.ndarray, period: float) -> np.ndarray:
    """The cell that each coordinate lies in; -1 outside the grid.

    Arguments:
        found: (n,) degrees.
        centres: (cell,) ascending degrees; cells meet half way.
        period: 360 where coordinates repeat, else 0.
    """
    if len(centres) < 2:
        raise DataError(f"The grid has {len(centres)} cell(s) along an axis: two or more say how wide a cell is.")
    middles = (centres[:-1] + centres[1:]) / 2
    edges = np.concatenate([[2 * centres[0] - middles[0]], middles, [2 * centres[-1] - middles[-1]]])
    x = edges[0] + (found - edges[0]) % period if period else found
    with np.errstate(invalid="ignore"):
        cell = np.searchsorted(edges, x, side="right") - 1
        return np.where((x >= edges[0]) & (x < edges[-1]), np.clip(cell, 0, len(centres) - 1), -1)


def nearest_date(dates: np.ndarray, times: xr.DataArray) -> np.ndarray:
    """The date that each time belongs to: the nearest, within half the step to its neighbours; -1 if none.

    Dates that stand for whole months take what lies in their month, wherever in the month they are put.

    Arguments:
        dates: (n,) datetime64.
        times: (time,) dates, ascending; in another calendar, times are taken as the same year, month and day of it.
    """
    days = time_days(times)
    x = days_like(dates, times)
    if _stand_for_months(times):
        month = 12 * times.dt.year.values + times.dt.month.values
        stamps = xr.DataArray(dates.astype("datetime64[us]"), dims="time").dt
        matches = 12 * stamps.year.values + stamps.month.values
        index = np.clip(np.searchsorted(month, matches), 0, month.size - 1)
        return np.where(month[index] == matches, index, -1)
    if days.size == 1:
        return np.where(np.abs(x - days[0]) <= 0.5, 0, -1)
    middles = (days[:-1] + days[1:]) / 2
    edges = np.concatenate([[2 * days[0] - middles[0]], middles, [2 * days[-1] - middles[-1]]])
    inside = (x >= edges[0]) & (x < edges[-1])
    # a long pause between two dates belongs to neither: half the usual step is the limit
    index = np.clip(np.searchsorted(edges, x, side="right") - 1, 0, days.size - 1)
    usual = float(np.median(np.diff(days)))
    return np.where(inside & (np.abs(x - days[index]) <= 0.55 * usual), index, -1)


def _stand_for_months(times: xr.DataArray) -> bool:
    """One date in each of several months, always on about the same day of it."""
    day, month = times.dt.day.values, 12 * times.dt.year.values + times.dt.month.values
    return (
        is_monthly(times)
        and np.unique(month).size == month.size
        and np.median(np.diff(month)) == 1
        and np.ptp(day) <= 3
    )


def days_like(found: np.ndarray, times: xr.DataArray) -> np.ndarray:
    """Days since 1970 in the calendar of `times`."""
    stamps = xr.DataArray(found.astype("datetime64[us]"), dims="time")
    if np.issubdtype(times.dtype, np.datetime64):
        return time_days(stamps)
    calendar = times.dt.calendar
    if calendar not in ("360_day", "noleap", "365_day"):
        return np.asarray(cftime.date2num(_cftimes(stamps, calendar, 31), "days since 1970-01-01", calendar=calendar))
    last = 30 if calendar == "360_day" else 31
    return np.asarray(cftime.date2num(_cftimes(stamps, calendar, last), "days since 1970-01-01", calendar=calendar))


def _cftimes(stamps: xr.DataArray, calendar: str, last: int) -> list[cftime.datetime]:
    parts = zip(
        *(getattr(stamps.dt, p).values.tolist() for p in ("year", "month", "day", "hour", "minute")), strict=True
    )
    leapless = calendar in ("noleap", "365_day")
    return [
        cftime.datetime(y, m, min(d, 28 if leapless and m == 2 else last), h, minute, calendar=calendar)
        for y, m, d, h, minute in parts
    ]

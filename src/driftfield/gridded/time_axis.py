"""The time axis: numbers, text or dates in, dates inside their own interval out.

    single precision of days is minutes             ->   whole hours, where all dates are near to one
    days since ..., months since ..., day as %Y%m%d.%f, "2001-01-31_06:00"   ->   datetime64, or cftime of another calendar
    stamp at or beyond the end of its bounds                                 ->   the middle of the bounds

A monthly mean that is stamped with the first instant of the next month belongs to its own month.
"""

__all__ = ["decoded_time", "scalar_time"]

import logging
import re
import warnings

import cftime
import numpy as np
import xarray as xr

from driftfield.errors import FileFormatError
from driftfield.gridded.axis_kinds import is_dated, kind_of

log = logging.getLogger(__name__)

_PERIODS = re.compile(r"(month|year)s?\s+since", re.IGNORECASE)
_ABSOLUTE = re.compile(r"(day|month|year)\s+as\s+%Y(%m(%d)?)?(\.%f)?", re.IGNORECASE)
_SECONDS = {"day": 86400.0, "hour": 3600.0, "minute": 60.0, "second": 1.0}
_CALENDARS = {"360": "360_day", "365": "noleap", "366": "all_leap"}
"""Names that are not those of CF."""
_STANDARD = ("standard", "gregorian", "proleptic_gregorian")


def decoded_time(time: xr.DataArray, bounds: xr.DataArray | None, source: str) -> xr.DataArray:
    """The dates of a time axis, each inside its bounds.

    Arguments:
        time: (time,), as in the file.
        bounds: (time, 2) in the same units, where the file has them.
        source: What messages call it.

    Raises:
        FileFormatError: neither dates nor numbers with a unit that can be read.
    """
    dates = time if is_dated(time) else _dates(time, source)
    _check_years(dates, source)
    spare = ("units", "calendar", "bounds", "climatology")
    dates = _without_rounding(dates, time, source).copy()
    dates.attrs = {key: value for key, value in time.attrs.items() if key not in spare}
    if bounds is None or bounds.ndim != 2 or bounds.shape != (time.size, 2) or not time.size:
        return dates
    try:
        start, end = (_ends(bounds[:, k], time, source) for k in (0, 1))
    except FileFormatError as error:
        log.warning("%s: the bounds of its time axis are not used: %s", source, error)
        return dates
    return _inside(dates, start, end, source)


def _without_rounding(dates: xr.DataArray, time: xr.DataArray, source: str) -> xr.DataArray:
    """Whole hours, where single precision holds dates to some seconds or minutes only, and each of them is so near to one."""
    units = str(time.attrs.get("units", "")).strip().lower()
    seconds = next((s for unit, s in _SECONDS.items() if units.startswith(unit)), 0.0)
    if time.dtype != np.float32 or not seconds or dates.dtype.kind != "M" or not time.size:
        return dates
    room = float(np.spacing(np.abs(time.values).max())) * seconds
    hours = (dates.values + np.timedelta64(30, "m")).astype("datetime64[h]").astype(dates.dtype)
    apart = np.abs(dates.values - hours) / np.timedelta64(1, "s")
    if not 0.5 < room < 900 or not 0.5 < apart.max() <= room:
        return dates
    log.info("%s: its dates are in single precision, off by up to %.0f s: taken as whole hours", source, apart.max())
    return dates.copy(data=hours)


def _check_years(dates: xr.DataArray, source: str) -> None:
    """Refuses years that no calendar writes with four digits: a unit that is wrong, to all appearances."""
    values = np.atleast_1d(dates.values)
    if values.dtype.kind == "M":
        years = values[~np.isnat(values)].astype("datetime64[Y]").astype(np.int64) + 1970
    else:
        years = np.array([d.year for d in values], dtype=np.int64)
    # another calendar is that of a model, whose years may be any that its days can be counted in
    of_model = values.dtype.kind != "M" and not any(
        isinstance(d, cftime.datetime) and d.calendar in _STANDARD for d in values
    )
    least, most = (-1_000_000, 1_000_000) if of_model else (1, 9999)
    if years.size and (years.min() < least or years.max() > most):
        raise FileFormatError(
            f"The time axis of {source} runs from the year {years.min()} to {years.max()}: expected {least} to {most}. Correct "
            "its units."
        )


def scalar_time(dataset: xr.Dataset) -> str | None:
    """The name of a single date that stands beside the fields of a file without a time axis."""
    names = [
        str(n)
        for n, a in dataset.variables.items()
        if a.ndim == 0 and kind_of(str(n), dataset[n]) == "time" and str(n) not in ("forecast_reference_time", "step")
    ]
    return next((n for n in ("valid_time", "time", *names) if n in names), None)


def _ends(bound: xr.DataArray, time: xr.DataArray, source: str) -> np.ndarray:
    if is_dated(bound):
        return np.asarray(bound.values)
    attrs = {key: bound.attrs.get(key, time.attrs.get(key)) for key in ("units", "calendar")}
    return np.asarray(_dates(bound.assign_attrs({k: v for k, v in attrs.items() if v is not None}), source).values)


def _inside(dates: xr.DataArray, start: np.ndarray, end: np.ndarray, source: str) -> xr.DataArray:
    """Dates moved to the middle of their bounds where they lie before them, at their end, or beyond."""
    values = np.array(dates.values)
    if start.dtype != values.dtype:
        if "M" not in (start.dtype.kind, values.dtype.kind) or "O" in (start.dtype.kind, values.dtype.kind):
            return dates
        start, end = start.astype(values.dtype), end.astype(values.dtype)
    with np.errstate(invalid="ignore"):
        outside = (start < end) & ((values < start) | (values >= end))
    if not outside.any():
        return dates
    values[outside] = start[outside] + (end[outside] - start[outside]) / 2
    log.info(
        "%s: %d of %d dates lie at the end of their time bounds, or outside of them: dated in the middle",
        source,
        int(outside.sum()),
        values.size,
    )
    return dates.copy(data=values)


def _dates(time: xr.DataArray, source: str) -> xr.DataArray:
    """Dates as datetime64, or cftime where the calendar asks for it; months are dated mid-month."""
    units, calendar = str(time.attrs.get("units", "")).strip(), str(time.attrs.get("calendar", "standard")).lower()
    calendar = _CALENDARS.get(calendar, calendar)
    try:
        if time.dtype.kind in "SUO":
            return time.copy(data=_of_text(time.values))
        if _PERIODS.match(units):
            return time.copy(data=_mid_period(time.values, units, calendar))
        if _ABSOLUTE.match(units):
            return time.copy(data=_absolute(time.values, units, calendar))
        if " since " not in units:
            raise FileFormatError(
                f"The time axis of {source} has the units {units!r}: expected something like 'days since 2000-01-01'. "
                "Set this attribute."
            )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that dates of 1850 become cftime concerns nobody
            bare = xr.Variable(("time",), np.atleast_1d(time.values), {"units": units, "calendar": calendar})
            values = xr.decode_cf(xr.Dataset({"time": bare}))["time"].values
        return time.copy(data=values.reshape(time.shape))
    except FileFormatError:
        raise
    except (ValueError, OverflowError, TypeError, AttributeError) as error:
        # the advice of the library concerns whoever calls it
        why = re.split(r"\.?\s+(?:Try opening|If you|Please)", str(error))[0].rstrip(".")
        raise FileFormatError(
            f"Cannot decode the time axis of {source} (units {units!r}): {why}. Correct its units or calendar."
        ) from error


def _of_text(values: np.ndarray) -> np.ndarray:
    """ISO dates, with a space, T or underscore before the hour."""
    texts = [t.decode() if isinstance(t, bytes) else str(t) for t in np.atleast_1d(values)]
    tidy = [t.strip().rstrip("Zz").replace("_", "T").replace(" ", "T") for t in texts]
    return np.array(tidy, dtype="datetime64[us]").reshape(np.shape(values))


def _absolute(values: np.ndarray, units: str, calendar: str) -> np.ndarray:
    """Numbers such as 20010131.25: the digits are the date, the fraction is that of the day."""
    digits = 8 if "%d" in units else 6 if "%m" in units else 4
    dates = []
    for number in np.atleast_1d(np.asarray(values, dtype=np.float64)):
        whole = int(np.floor(number + 1e-9))
        year, month, day = whole, 7, 1
        if digits == 8:
            year, month, day = whole // 10000, whole // 100 % 100, whole % 100
        elif digits == 6:
            year, month, day = whole // 100, whole % 100, 15
        seconds = round((number - whole) * 86400.0) if digits == 8 else 0
        origin = f"{year:04d}-{month:02d}-{day:02d}"
        dates.append(cftime.num2date(seconds, f"seconds since {origin}", calendar=calendar))
    return _as_numpy(dates, calendar)


def _mid_period(values: np.ndarray, units: str, calendar: str) -> np.ndarray:
    """The middle of the month (or year) that each value falls in: "months since" has no fixed length in days."""
    unit, origin = re.split(r"\s+since\s+", units.strip(), flags=re.IGNORECASE)
    year, month = (int(part) for part in origin.replace("/", "-").split()[0].split("T")[0].split("-")[:2])
    per_year = 12 if unit.lower().startswith("month") else 1
    count = np.floor(np.asarray(values, dtype=np.float64) + 1e-6).astype(int)
    middles = []
    for n in count + (year * 12 + month - 1 if per_year == 12 else year):
        first = (n // 12, n % 12 + 1) if per_year == 12 else (n, month)
        after = ((n + 1) // 12, (n + 1) % 12 + 1) if per_year == 12 else (n + 1, month)
        start, end = (cftime.datetime(int(y), int(m), 1, calendar=calendar) for y, m in (first, after))
        middles.append(start + (end - start) / 2)
    return _as_numpy(middles, calendar)


def _as_numpy(dates: list, calendar: str) -> np.ndarray:
    if calendar in _STANDARD:
        return np.array([np.datetime64(date.isoformat(), "us") for date in dates])
    return np.array(dates, dtype=object)

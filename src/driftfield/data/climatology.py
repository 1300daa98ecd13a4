"""The mean seasonal cycle, month by month.

    c(m, x) = mean of f(t, x) over the times t in month m

    monthly archive    c(t) = c(month of t)
    finer archive      c(t) = (1 - w) c(m) + w c(m + 1), linear between the middles of the months, around the year

A month that a cell never saw is interpolated around the year from the months that it saw; a cell that was never seen
has the area-weighted mean of its level. Where there are gaps and the cells saw their months in fewer than three years, on
average, or saw them once, that mean would be the observation itself: there the season is pooled and shrunk, about a trend if
years left out say that there is one (`sparse_climatology.py`). The climatology is therefore finite everywhere; what is NaN has
no say in it.
"""

__all__ = ["MonthlyClimatology", "left_out_factor"]

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from driftfield.conventions import cell_area
from driftfield.data.sparse_climatology import LinearTrend, shrunk_means
from driftfield.errors import DataError
from driftfield.gridded.encodings import as_dates, is_monthly, time_days
from driftfield.gridded.lazy import dates_at_once

log = logging.getLogger(__name__)

Index = slice | np.ndarray | Sequence[int]

_YEARS, _COMPLETE, _ONCE = 3.0, 0.9, 1.5
_POOLED = (
    "%s: a cell saw each of its months in %.1f years on average: too few for means of its own, so the season is pooled over "
    "cells and shrunk"
)


@dataclass(frozen=True)
class MonthlyClimatology:
    """The mean seasonal cycle of one variable.

    Arguments:
        mean: (month = 12, [depth,] lat, lon), finite everywhere, units of the variable.
        stepwise: Whether each month is constant (monthly archives) or the months are joined by straight lines.
        pooled: Whether it was learnt from all cells together; a mean of each cell takes twelve means of its variance with it.
        trend: Of a pooled one, where there is any; `mean` is that of the middle of the record then.
    """

    mean: xr.DataArray
    stepwise: bool
    pooled: bool = False
    trend: LinearTrend | None = None

    @classmethod
    def fit(cls, array: xr.DataArray, *, leave_out_years: Sequence[int] = ()) -> "MonthlyClimatology":
        """Averages the months; NaN counts as not seen. Works block by block on lazy arrays.

        Arguments:
            array: (time, [depth,] lat, lon).
            leave_out_years: Calendar years that are not used (for cross-validation).

        Raises:
            DataError: no time axis, or no year left.
        """
        if "time" not in array.dims:
            raise DataError(f"A climatology of {array.name!r} needs a time axis, found {array.dims}. Add one.")
        dates = as_dates(array["time"])
        used = ~np.isin(dates.dt.year.values, np.asarray(leave_out_years, dtype=int))
        if not used.any():
            raise DataError(f"No year is left when {list(leave_out_years)} are left out. Keep at least one year.")
        month = dates.dt.month.values
        space = [d for d in ("depth", "lat", "lon") if d in array.dims]
        array = array.transpose("time", *space)
        year = dates.dt.year.values
        parts = [_mean(array, np.flatnonzero(used & (month == m)), year) for m in range(1, 13)]
        means, years, count = (np.stack(part) for part in zip(*parts, strict=True))
        del parts  # twelve fields of a large grid, three times
        stepwise = is_monthly(array["time"])
        seen = float(years[years > 0].mean()) if years.any() else 0.0
        gappy = count.sum() < _COMPLETE * used.sum() * (count > 0).any(axis=0).sum()
        once = bool(count.any()) and float(count[count > 0].mean()) < _ONCE
        pooled = bool(count.any()) and (once or (gappy and seen < _YEARS))
        trend = None
        if pooled:
            log.info(_POOLED, array.name, seen)
            filled, trend = shrunk_means(array, dates, used, stepwise=stepwise)
        else:
            filled = _fill(means, cell_area(array).values)
        coords = {d: array[d] for d in space if d in array.coords}
        mean = xr.DataArray(
            filled, dims=("month", *space), coords={"month": np.arange(1, 13), **coords}, name=array.name
        )
        return cls(mean=mean.assign_attrs(array.attrs), stepwise=stepwise, pooled=pooled, trend=trend)

    def at(self, time: xr.DataArray | np.ndarray | Sequence[Any]) -> xr.DataArray:
        """The climatology on given dates: (time, [depth,] lat, lon), float32."""
        dates = as_dates(time)
        at = self.values_at(dates)
        coords = {d: self.mean[d] for d in self.mean.dims[1:] if d in self.mean.coords}
        original = time["time"].values if isinstance(time, xr.DataArray) and "time" in time.coords else dates.values
        return xr.DataArray(
            at,
            dims=("time", *self.mean.dims[1:]),
            coords={"time": np.atleast_1d(original), **coords},
            name=self.mean.name,
            attrs=self.mean.attrs,
        )

    def values_at(
        self, time: xr.DataArray | np.ndarray | Sequence[Any], rows: Index = slice(None), cols: Index = slice(None)
    ) -> np.ndarray:
        """The numbers of `at`, in some rows and columns: a sample of a training asks for them, and labels would cost more."""
        low, weight = self._position(as_dates(time))
        values = self.mean.values[..., rows, :][..., cols]
        at = np.asarray(values[low])
        if weight.any():
            w = weight.reshape(-1, *[1] * (values.ndim - 1)).astype(values.dtype)
            at = at + w * (values[(low + 1) % 12] - at)
        return at if self.trend is None else at + self.trend.at(time_days(as_dates(time)))

    def weights(self, time: xr.DataArray | np.ndarray | Sequence[Any]) -> np.ndarray:
        """Shares (time, 12) of the months on given dates, rows sum to one: at(time) = weights(time) @ mean, and the trend."""
        low, weight = self._position(as_dates(time))
        shares = np.zeros((len(low), 12))
        rows = np.arange(len(low))
        shares[rows, low] += 1.0 - weight
        shares[rows, (low + 1) % 12] += weight
        return shares

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Plain numbers for safetensors."""
        arrays = {"mean": self.mean.values, "stepwise": np.array(self.stepwise, dtype=np.uint8)}
        if self.trend is not None:
            arrays |= self.trend.to_arrays()
        return arrays | {str(d): self.mean[d].values.astype(np.float64) for d in self.mean.dims[1:]}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> "MonthlyClimatology":
        """The inverse of `to_arrays`."""
        space = [d for d in ("depth", "lat", "lon") if d in arrays]
        coords = {"month": np.arange(1, 13), **{d: np.asarray(arrays[d]) for d in space}}
        mean = xr.DataArray(np.asarray(arrays["mean"]), dims=("month", *space), coords=coords)
        return cls(mean=mean, stepwise=bool(arrays["stepwise"]), trend=LinearTrend.from_arrays(arrays))

    def _position(self, dates: xr.DataArray) -> tuple[np.ndarray, np.ndarray]:
        """Index 0..11 of the earlier month and weight of the later one."""
        month, part = _month_and_part(dates)
        if self.stepwise:
            return month, np.zeros(len(month))
        position = month + part - 0.5
        low = np.floor(position).astype(int)
        return low % 12, position - low


def _month_and_part(dates: xr.DataArray) -> tuple[np.ndarray, np.ndarray]:
    """Index 0..11 of the month and how much of it is over, to the minute."""
    if dates.dtype.kind == "M":  # without pandas: this is asked for every sample of a training
        of = dates.values.astype("datetime64[M]")
        first, end = (part.astype("datetime64[D]").astype(np.int64) for part in (of, of + 1))
        day, minute = np.divmod(dates.values.astype("datetime64[m]").astype(np.int64), 1440)
        days = day - first + (minute // 60 + minute % 60 / 60.0) / 24.0
        return of.astype(np.int64) % 12, days / (end - first)
    hours = dates.dt.hour.values + dates.dt.minute.values / 60.0
    days = dates.dt.day.values - 1.0 + hours / 24.0
    return dates.dt.month.values - 1, days / dates.dt.days_in_month.values


def left_out_factor(dates: xr.DataArray, learnt: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Factor n / (n - 1) that makes anomalies those from a climatology without the time itself: (time,).

    A month is one of the n in its own climatology, which takes 1 / n of its anomaly; a new month will have all of it.

    Arguments:
        dates: Of the archive (time,).
        learnt: Indices of the times that the climatology was fitted to.
        times: Some of them.
    """
    months = dates.dt.month.values
    count = np.bincount(months[learnt], minlength=13)[months[times]]
    return count / np.maximum(count - 1, 1)


def _mean(array: xr.DataArray, index: np.ndarray, year: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean over some times, NaN where never seen, in how many years, and how many values."""
    block = dates_at_once(array)
    total = np.zeros(array.shape[1:])
    count = np.zeros(array.shape[1:], dtype=np.int32)
    years = np.zeros(array.shape[1:], dtype=np.int32)
    for of_year in np.unique(year[index]):
        mine, ever = index[year[index] == of_year], np.zeros(array.shape[1:], dtype=bool)
        for start in range(0, len(mine), block):
            values = np.asarray(array.isel(time=mine[start : start + block]).values, dtype=np.float64)
            seen = np.isfinite(values)
            total += np.where(seen, values, 0.0).sum(axis=0)
            count += seen.sum(axis=0)
            ever |= seen.any(axis=0)
        years += ever
    return np.where(count > 0, total / np.maximum(count, 1), np.nan), years, count


def _fill(means: np.ndarray, area: np.ndarray) -> np.ndarray:
    """Makes (12, [depth,] lat, lon) finite: around the year first, then the mean of the level."""
    seen = np.isfinite(means)
    columns, here = means.reshape(12, -1), seen.reshape(12, -1)
    months = np.arange(12.0)
    for cell in np.flatnonzero(here.any(axis=0) & ~here.all(axis=0)):
        known = here[:, cell]
        columns[~known, cell] = np.interp(months[~known], months[known], columns[known, cell], period=12.0)
    means = columns.reshape(means.shape)
    return np.stack([_with_level_means(month, area) for month in means])


def _with_level_means(means: np.ndarray, area: np.ndarray) -> np.ndarray:
    """One month ([depth,] lat, lon) with the mean of its level where nothing was seen."""
    exists = np.isfinite(means)
    weight = np.where(exists, np.broadcast_to(area.reshape(len(area), -1), means.shape), 0.0)
    total = weight.sum(axis=(-2, -1), keepdims=True)
    level_mean = np.where(exists, means * weight, 0.0).sum(axis=(-2, -1), keepdims=True) / np.maximum(total, 1e-30)
    return np.where(exists, means, level_mean).astype(np.float32)

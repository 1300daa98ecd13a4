"""The seasonal cycle without the years around a date, from what single months departed from it.

    c(m) = mean over years of f(y, m)        a(y, m) = mean of f - c in month m of year y
    c without those left out                c(m) - sum_left n a / (N - sum_left n),   N = times in all months m

A training date is a part of its own climatology; with nine years a ninth of its anomaly is lost, and an estimate of it looks
better than it is. Leaving its years out treats it like a new date.
"""

__all__ = ["Departures"]

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import xarray as xr

from driftfield.gridded.encodings import time_days
from driftfield.peers.base import time_blocks


@dataclass(frozen=True)
class Departures:
    """Mean anomaly of every month of every year.

    Arguments:
        month: 0..11, (group,).
        day: Mean date of the group, days since 1970.
        count: Times in the group.
        mean: Mean anomaly (group, row, cell), float32.
        total: Times in every month of the year, (12,).
    """

    month: np.ndarray
    day: np.ndarray
    count: np.ndarray
    mean: np.ndarray
    total: np.ndarray

    @classmethod
    def fit(
        cls, times: xr.DataArray, index: np.ndarray, fields: Callable[[np.ndarray], np.ndarray], *, years: float = 40.0
    ) -> "Departures":
        """Groups the anomalies by year and month.

        Arguments:
            times: All dates of the archive.
            index: Which of them to use.
            fields: Gives the anomalies (time, row, cell) at some indices.
            years: How far back the groups are kept; in a longer archive one year hardly matters.
        """
        total = np.bincount(times.isel(time=index).dt.month.values - 1, minlength=12)
        age = time_days(times.isel(time=index))
        index = index[age >= age.max() - 365.25 * years]
        dates = times.isel(time=index)
        month, days = dates.dt.month.values - 1, time_days(dates)
        label = dates.dt.year.values * 12 + month
        groups, group = np.unique(label, return_inverse=True)
        summed: np.ndarray | None = None
        for block in time_blocks(np.arange(len(index))):
            values = fields(index[block])
            summed = np.zeros((len(groups), *values.shape[1:])) if summed is None else summed
            np.add.at(summed, group[block], values)
        count = np.bincount(group, minlength=len(groups))
        day = np.bincount(group, weights=days, minlength=len(groups)) / count
        assert summed is not None
        return cls(groups % 12, day, count, (summed / count[:, None, None]).astype(np.float32), total)

    def shift(self, day: float, leave_out_days: float) -> np.ndarray:
        """What the seasonal cycle changes by when the months this near to a date are left out: (12, row, cell)."""
        left = np.abs(self.day - day) <= leave_out_days
        shift = np.zeros((12, *self.mean.shape[1:]), dtype=np.float32)
        for m in range(12):
            chosen = left & (self.month == m)
            remain = self.total[m] - self.count[chosen].sum()
            if chosen.any() and remain > 0:
                shift[m] = -np.einsum("g,grx->rx", self.count[chosen], self.mean[chosen]) / remain
        return shift

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Plain numbers for safetensors."""
        return {key: np.asarray(getattr(self, key)) for key in ("month", "day", "count", "mean", "total")}

"""The mean season of a short, sparse or single record: pooled over cells, and drawn to the pool where little was seen.

    c(t, x) = c(m, x) + b (t - middle)                             b: trend of a level; it stays where it ended
    c(m, x) = H(m, x) beta                                         regression on season and position, shrunk
            + s(x)     s = G * R / (G * n + kappa_s)                what is left, smoothed over neighbours
            + c(x)     (R - n s) / (n + kappa_c)                    of a cell
            + d(m, x)  the same of a cell and month                 kappa_m

R and n are sums and numbers of what the parts before have left, over months of the record: days of a month say the same. Each
kappa, and whether there is such a part and a trend at all, is chosen by years (or pieces of the record) left out. A single date
has the second line alone. A plain mean of each cell would be the observation itself.
"""

__all__ = ["LinearTrend", "shrunk_means"]

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
import xarray as xr
from scipy.ndimage import gaussian_filter

from driftfield.conventions import geometry_of
from driftfield.gaussian.seasonal_regression import YEAR, SeasonalBasis, SeasonalRegression
from driftfield.gridded.encodings import time_days
from driftfield.gridded.region import is_periodic

_FOLDS = 5
_MOST_ROWS = 60_000
_INDEPENDENT = 64
_NARROW = 1.5
_WORTH = 0.99
_SMOOTH, _CELL, _MONTH = (0.5, 2.0, 8.0, 32.0), (1e-3, 0.02, 0.1, 0.5, 2.0, 8.0), (0.02, 0.1, 0.5, 2.0, 8.0)


@dataclass(frozen=True)
class LinearTrend:
    """What is added to a season; nothing in the middle of the record, constant before and after it.

    Arguments:
        slope: Per day, of every level ([depth]).
        middle: Of the record, days since 1970.
        half: Days from there to its ends.
    """

    slope: np.ndarray
    middle: float
    half: float

    def at(self, days: np.ndarray) -> np.ndarray:
        """On some days (time,): (time, [depth,] 1, 1), float32."""
        passed = np.clip(days - self.middle, -self.half, self.half)
        return np.multiply.outer(passed, self.slope)[..., None, None].astype(np.float32)

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Plain numbers for safetensors."""
        return {"slope": np.asarray(self.slope), "slope_days": np.array([self.middle, self.half])}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Self | None:
        """The inverse of `to_arrays`; None where there is no trend."""
        if "slope" not in arrays:
            return None
        middle, half = (float(days) for days in arrays["slope_days"])
        return cls(np.asarray(arrays["slope"], dtype=np.float64), middle, half)


def shrunk_means(
    array: xr.DataArray, dates: xr.DataArray, used: np.ndarray, *, stepwise: bool
) -> tuple[np.ndarray, LinearTrend | None]:
    """The climatology (12, [depth,] lat, lon), float32, finite everywhere; and the trend of its levels, if there is any.

    Arguments:
        array: (time, [depth,] lat, lon), NaN where not seen.
        dates: Of the times, on which `.dt` works.
        used: Boolean (time,): which of them count.
        stepwise: Whether the values stand for whole months.
    """
    times = np.flatnonzero(used)
    record = _Record.of(array, dates, times)
    phase = float((record.days - record.middle).mean()) if stepwise else 0.0
    space = array.shape[1:]
    levels = int(np.prod(space[:-2], dtype=int))
    out = np.empty((12, levels, *space[-2:]), dtype=np.float32)
    middle, half = 0.5 * (record.days.min() + record.days.max()), 0.5 * float(np.ptp(record.days))
    slopes = np.zeros(levels)
    for level in range(levels):
        out[:, level], slopes[level] = _level_means(array, record, level, phase, middle)
    trend = LinearTrend(slopes.reshape(space[:-2]), float(middle), half) if slopes.any() else None
    return out.reshape(12, *space), trend


@dataclass(frozen=True)
class _Record:
    """The times of a record.

    Arguments:
        index: Where they are in the archive.
        days: Since 1970.
        middle: The same of the middle of their months.
        month: 0 to 11.
        period: Number of the calendar month of the record.
        fold: Of every period.
        lat, lon: Degrees, (row, column); longitude without a jump.
    """

    index: np.ndarray
    days: np.ndarray
    middle: np.ndarray
    month: np.ndarray
    period: np.ndarray
    fold: np.ndarray
    lat: np.ndarray
    lon: np.ndarray

    @classmethod
    def of(cls, array: xr.DataArray, dates: xr.DataArray, times: np.ndarray) -> "_Record":
        days = time_days(dates)[times]
        date = dates.isel(time=times).dt
        year, month = date.year.values, date.month.values - 1
        hours = date.hour.values / 24.0
        middle = days - (date.day.values - 1.0 + hours) + 0.5 * date.days_in_month.values
        periods, period = np.unique(year * 12 + month, return_inverse=True)
        if periods.size < _FOLDS:
            # pieces of a record of weeks; a single date cannot be left out
            stamps, order = np.unique(days, return_inverse=True)
            pieces = min(_FOLDS, stamps.size)
            period = order * pieces // stamps.size
            fold = np.arange(pieces)
        elif np.unique(year).size >= _FOLDS:
            fold = np.unique(periods // 12, return_inverse=True)[1] % _FOLDS
        else:
            fold = np.arange(periods.size) * _FOLDS // periods.size
        cells = geometry_of(array)
        east = np.unwrap(np.unwrap(cells.longitude, period=360.0, axis=1), period=360.0, axis=0)
        return cls(times, days, middle, month, period, fold, cells.latitude, east)

    def fields(self, array: xr.DataArray, level: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Places in the record and fields (time, lat, lon) of one level, a period at a time."""
        for p in range(self.fold.size):
            mine = np.flatnonzero(self.period == p)
            part = array.isel(time=self.index[mine])
            if part.ndim == 4:
                part = part.isel({part.dims[1]: level})
            yield mine, np.asarray(part.values, dtype=np.float64)


def _level_means(
    array: xr.DataArray, record: _Record, level: int, phase: float, middle: float
) -> tuple[np.ndarray, float]:
    """Twelve means (12, lat, lon) as of the middle of the record, and the change per day."""
    regression = _pooled(array, record, level)
    lat, lon = record.lat, record.lon
    if regression is None:
        return np.zeros((12, *lat.shape), dtype=np.float32), 0.0
    regression, slope = regression.without_trend(middle)

    def mean(day: float) -> np.ndarray:
        flat = (lat.ravel(), lon.ravel(), np.zeros(lat.size), np.full(lat.size, day))
        return regression.at(regression.basis.columns(*flat)[0]).reshape(lat.shape)

    middles = (np.arange(12) + 0.5) * YEAR / 12
    pooled = np.stack([mean(float(day) + phase) for day in middles])
    sums = np.zeros((3, _FOLDS, 12, *lat.shape))
    for mine, fields in record.fields(array, level):
        days = record.days[mine]
        rest = fields - np.stack([mean(float(day)) for day in days]) - slope * (days - middle)[:, None, None]
        seen = np.isfinite(rest)
        count = seen.sum(axis=0)
        r = np.where(seen, rest, 0.0).sum(axis=0) / np.maximum(count, 1)
        place = record.fold[record.period[mine[0]]], record.month[mine[0]]
        sums[:, *place] += np.stack([r, count > 0, r**2])
    edge = "wrap" if is_periodic(array["lon"]) else "constant"
    return (pooled + _left_over(sums, edge)).astype(np.float32), slope


def _pooled(array: xr.DataArray, record: _Record, level: int) -> SeasonalRegression | None:
    """The regression on all that was seen, thinned where that is very much; None where nothing was.

    With a trend where that misses less of the years that it is not fitted to.
    """
    total = sum(int(np.isfinite(fields).sum()) for _, fields in record.fields(array, level))
    if not total:
        return None
    rng, share = np.random.default_rng(0), min(1.0, _MOST_ROWS / total)
    rows = []
    for mine, fields in record.fields(array, level):
        t, y, x = np.nonzero(np.isfinite(fields))
        if share < 1.0:
            t, y, x = _thinned(rng, share, t, y, x)
        fold = np.full(t.size, record.fold[record.period[mine[0]]])
        rows.append(np.stack([record.lat[y, x], record.lon[y, x], record.days[mine][t], fields[t, y, x], fold], axis=1))
    # neighbours and days of one month are not independent
    independent = sum(min(len(part), _INDEPENDENT) for part in rows) / sum(len(part) for part in rows)
    seen = np.concatenate(rows)
    changing = _regressed(seen, independent, trend=True)
    if not changing.basis.trend:  # too short for one
        return changing
    with_trend, without = (_misses(seen, independent, trend=trend) for trend in (True, False))
    return changing if with_trend < _WORTH * without else _regressed(seen, independent, trend=False)


def _regressed(seen: np.ndarray, independent: float, *, trend: bool) -> SeasonalRegression:
    """Of rows (latitude, longitude, day, value, fold), of which a share says anything new."""
    lat, lon, days, values, _ = seen.T
    zero = np.zeros(lat.size)
    basis = SeasonalBasis.covering(lat, lon, zero, days, trend=trend)
    columns, names = basis.columns(lat, lon, zero, days)
    return SeasonalRegression.fit(basis, columns, names, values, effective=independent * lat.size)


def _misses(seen: np.ndarray, independent: float, *, trend: bool) -> float:
    """Sum of squares of every fold about the regression on the others."""
    total, folds = 0.0, np.unique(seen[:, -1])
    for fold in folds[folds.size < 2 :]:
        out = seen[:, -1] == fold
        regression = _regressed(seen[~out], independent, trend=trend)
        lat, lon, days, values, _ = seen[out].T
        columns = regression.basis.columns(lat, lon, np.zeros(lat.size), days)[0]
        total += float(((values - regression.at(columns)) ** 2).sum())
    return total


def _thinned(rng: np.random.Generator, share: float, *parts: np.ndarray) -> tuple[np.ndarray, ...]:
    chosen = rng.random(parts[0].size) < share
    return tuple(part[chosen] for part in parts)


def _left_over(sums: np.ndarray, edge: str) -> np.ndarray:
    """What the regression leaves, (12, lat, lon), from sums, numbers and squares (3, fold, month, lat, lon)."""
    # a month without a value decides nothing
    r, n, q = sums[:, :, sums[1].any(axis=(0, 2, 3))]
    others = [
        _Known.of(r.sum(axis=0) - fold_r, n.sum(axis=0) - fold_n, edge) for fold_r, fold_n in zip(r, n, strict=True)
    ]

    def left_out_error(kappas: list[float | None]) -> float:
        """Sum of squares of every fold about the parts learnt from the others."""
        means = [known.parts(kappas) for known in others]
        return float(q.sum()) + sum(
            float(((n_ * mean - 2 * r_) * mean).sum()) for mean, r_, n_ in zip(means, r, n, strict=True)
        )

    kappas: list[float | None] = [None, None, None]
    best = left_out_error(kappas)
    for part, choices in enumerate((_SMOOTH, _CELL, _MONTH)):
        for kappa in choices:
            trial = [*kappas[:part], kappa, *kappas[part + 1 :]]
            if (error := left_out_error(trial)) < _WORTH * best:
                best, kappas = error, trial
    return _Known.of(sums[0].sum(axis=0), sums[1].sum(axis=0), edge).parts(kappas)


@dataclass(frozen=True)
class _Known:
    """What some folds know of every month and cell.

    Arguments:
        total, count: Sums and numbers of values (month, lat, lon).
        around, rest: Numbers and sums of all months in the neighbourhood of a cell (lat, lon).
    """

    total: np.ndarray
    count: np.ndarray
    around: np.ndarray
    rest: np.ndarray

    @classmethod
    def of(cls, total: np.ndarray, count: np.ndarray, edge: str) -> "_Known":
        around, rest = (gaussian_filter(part.sum(axis=0), _NARROW, mode=("constant", edge)) for part in (count, total))
        return cls(total, count, around, rest)

    def parts(self, kappas: list[float | None]) -> np.ndarray:
        """The parts of neighbours, cell, and cell and month: (month, lat, lon)."""
        smooth, cell, month = kappas
        r, n = self.total.sum(axis=0), self.count.sum(axis=0)
        mean = np.zeros(r.shape) if smooth is None else self.rest / (self.around + smooth)
        if cell is not None:
            mean = mean + (r - n * mean) / (n + cell)
        of_months = np.broadcast_to(mean, self.total.shape)
        if month is not None:
            of_months = of_months + (self.total - self.count * of_months) / (self.count + month)
        return of_months

"""What interpolations measure anomalies from where a record is too short for a seasonal cycle.

    one date                one number per level: what is interpolated is the field itself
    a few dates with gaps   a smooth mean of what was seen (`gaussian.gappy_mean`)
    complete fields, or three years    the seasonal cycle of every cell, as it is

The seasonal cycle of a single image is the image: its anomalies are 0 where it was seen, and so is anything between them.
"""

__all__ = ["without_season"]

from dataclasses import replace

import numpy as np

from driftfield.data.climatology import MonthlyClimatology
from driftfield.gaussian.gappy_mean import RunningSums, smooth_mean_and_sd
from driftfield.interfaces import TrainingData
from driftfield.peers.background import Background, canonical
from driftfield.peers.base import time_blocks

YEARS = 3
"""Times that every month of the year was seen, on average, from which there is a seasonal cycle."""


def without_season(background: Background, data: TrainingData, times: np.ndarray) -> Background:
    """The background with the same mean in every month, if the times do not know the months; else as it is."""
    dates = data.archive.dataset["time"].isel(time=times)
    pairs = np.unique(dates.dt.year.values * 12 + dates.dt.month.values)
    if pairs.size >= YEARS * np.unique(dates.dt.month.values).size:
        return background
    if times.size > 1 and all(_complete(background, data, name, times) for name in background.climatologies):
        return background
    climatologies = {}
    for name, old in background.climatologies.items():
        mean = _mean(background, data, name, times)
        months = np.broadcast_to(mean, old.mean.shape).astype(np.float32)
        climatologies[name] = MonthlyClimatology(old.mean.copy(data=months), stepwise=True)
    return replace(background, climatologies=climatologies)


def _complete(background: Background, data: TrainingData, name: str, times: np.ndarray) -> bool:
    """Whether every cell of the domain was seen at all times: then its own mean is that of the record."""
    domain = background.domains[name].values
    array = data.archive.dataset[name]
    return all(
        bool(np.isfinite(canonical(array.isel(time=block)).values[:, domain]).all()) for block in time_blocks(times)
    )


def _mean(background: Background, data: TrainingData, name: str, times: np.ndarray) -> np.ndarray:
    """([depth,] lat, lon)."""
    domain = background.domains[name].values
    array = data.archive.dataset[name]
    if times.size == 1:
        values = np.where(domain, canonical(array.isel(time=times)).values.astype(np.float64), np.nan)
        seen = np.isfinite(values)
        count = seen.sum(axis=(0, -2, -1), keepdims=True)[0]
        total = np.where(seen, values, 0.0).sum(axis=(0, -2, -1), keepdims=True)[0]
        level = total / np.maximum(count, 1)
        return np.broadcast_to(np.where(count > 0, level, total.sum() / max(count.sum(), 1)), domain.shape)
    sums = RunningSums.of(
        np.where(domain, canonical(array.isel(time=block)).values, np.nan) for block in time_blocks(times)
    )
    return smooth_mean_and_sd(sums, domain, periodic=background.periodic)[0]

"""Climatology: the mean season, and the spread of the years around it.

    mean = c(month, x)        sd = std over training times of f(t, x) - c(month of t, x)        members = mean + sd eps

It looks at no observation. What does not beat it has learnt nothing.
"""

__all__ = ["Climatology"]

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from driftfield.interfaces import TrainingData
from driftfield.peers.background import Background, part
from driftfield.peers.base import Peer, Remembered, fitting_times, time_blocks, white_members
from driftfield.reconstruction.output import Estimate
from driftfield.registry import register

_STEADY = 10.0
"""Number of values at which the variance of a cell has half the say, where the season is pooled."""


@register("reconstructor")
class Climatology(Peer):
    """The seasonal cycle as a forecast, with a Gaussian ensemble of the year-to-year spread of every cell.

    Arguments:
        refit: Whether the validation split is used as well; there is no constant to choose on it.
    """

    method = "climatology"

    def __init__(self, refit: bool = True) -> None:
        self.refit = refit

    def fit(self, data: TrainingData, *, seed: int = 0) -> None:
        """Learns mean and standard deviation of every cell.

        Raises:
            DataError: the archive lacks a target or a time axis.
        """
        times = fitting_times(data, refit=self.refit)
        self.seed = seed
        self.background = Background.fit(data, times)
        self.sd = {name: anomaly_sd(self.background, data, name, times) for name in data.targets}

    def estimate(self, observations: xr.Dataset, *, members: int, seed: int) -> dict[str, Estimate]:
        """The season of every date; the observations only say when and where."""
        return {name: self._estimate(observations[name], name, members, seed) for name in self.background.targets}

    def _estimate(self, field: xr.DataArray, name: str, members: int, seed: int) -> Estimate:
        mean = self.background.mean(name, field["time"])
        sd = np.broadcast_to(self.sd[name], mean.shape)
        return Estimate(mean, sd, white_members(mean, sd, field["time"], name, members, seed))

    def _remember(self) -> Remembered:
        return {f"sd.{name}": sd for name, sd in self.sd.items()}, {}

    def _recall(self, arrays: Mapping[str, np.ndarray], extra: Mapping[str, Any]) -> None:
        self.sd = part(arrays, "sd.")


def anomaly_sd(background: Background, data: TrainingData, name: str, times: np.ndarray) -> np.ndarray:
    """Standard deviation of the anomaly in every cell: ([depth,] lat, lon), float32, finite everywhere.

    The seasonal cycle was fitted to the same years and takes a part of their variance: twelve means out of n times; a pooled
    one takes next to nothing, and there the variance is pooled as well. A cell that was never seen has the mean variance of
    its level.
    """
    shape = background.domains[name].shape
    total, count = np.zeros(shape), np.zeros(shape)
    for block in time_blocks(times):
        anomaly = background.anomaly(data.archive.dataset[name].isel(time=block), name)
        seen = np.isfinite(anomaly)
        total += np.square(np.where(seen, anomaly, 0.0)).sum(axis=0)
        count += seen.sum(axis=0)
    if background.climatologies[name].pooled:
        level = total.sum(axis=(-2, -1), keepdims=True) / np.maximum(count.sum(axis=(-2, -1), keepdims=True), 1)
        return np.sqrt((total + _STEADY * level) / (count + _STEADY)).astype(np.float32)
    lost = np.minimum(12.0, 0.5 * count)
    variance = np.where(count > 0, total / np.maximum(count - lost, 1.0), np.nan)
    known = np.isfinite(variance)
    level = np.where(known, variance, 0.0).sum(axis=(-2, -1), keepdims=True)
    level = level / np.maximum(known.sum(axis=(-2, -1), keepdims=True), 1)
    return np.sqrt(np.where(known, variance, level)).astype(np.float32)

"""The mean of what was seen of a level on a date, everywhere: what does not beat it has looked at nothing but the numbers.

    f'(x) = mean of y over the level        sd = standard deviation of y about it

Where nothing was seen of a date it is the mean of the other dates of the file, and the archive's where there is none.
"""

__all__ = ["BoxMean"]

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import xarray as xr

from driftfield.interfaces import TrainingData
from driftfield.peers.background import Background, canonical, part
from driftfield.peers.base import Peer, Remembered, fitting_times, white_members
from driftfield.reconstruction.output import Estimate
from driftfield.registry import register

_DATE, _RECORD = (-2, -1), (0, -2, -1)
"""Axes of (time, [depth,] lat, lon) that a mean is taken over."""


@register("reconstructor")
class BoxMean(Peer):
    """One number for every level and date, with the spread of the values about it."""

    method = "box_mean"
    abilities = replace(Peer.abilities, uses_other_times=True)

    def fit(self, data: TrainingData, *, seed: int = 0) -> None:
        """Mean and variance of every level of the archive.

        Raises:
            DataError: the archive lacks a target or a time axis.
        """
        self.seed = seed
        times = fitting_times(data, refit=True)
        self.background = Background.fit(data, times)
        self.moments = {}
        for name in data.targets:
            values = canonical(data.archive.dataset[name].isel(time=times)).values.astype(np.float64)
            mean, variance = _moments(np.where(self.background.domains[name].values, values, np.nan), _RECORD)
            self.moments[name] = np.stack([mean, variance])

    def estimate(self, observations: xr.Dataset, *, members: int, seed: int) -> dict[str, Estimate]:
        """The same value in all cells of a level; members are white."""
        return {name: self._estimate(observations[name], name, members, seed) for name in self.background.targets}

    def _estimate(self, field: xr.DataArray, name: str, members: int, seed: int) -> Estimate:
        values = np.where(self.background.domains[name].values, canonical(field).values.astype(np.float64), np.nan)
        mean, variance = _moments(values, _DATE)
        other, spread = _moments(values, _RECORD)
        mean = np.where(np.isfinite(mean), mean, np.where(np.isfinite(other), other, self.moments[name][0]))
        variance = np.where(
            np.isfinite(variance), variance, np.where(np.isfinite(spread), spread, self.moments[name][1])
        )
        full = np.broadcast_to(mean, values.shape).astype(np.float32)
        sd = np.broadcast_to(np.sqrt(variance), values.shape).astype(np.float32)
        return Estimate(full, sd, white_members(full, sd, field["time"], name, members, seed))

    def _remember(self) -> Remembered:
        return {f"moments.{name}": moments for name, moments in self.moments.items()}, {}

    def _recall(self, arrays: Mapping[str, np.ndarray], extra: Mapping[str, Any]) -> None:
        self.moments = part(arrays, "moments.")


def _moments(values: np.ndarray, axes: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance over some axes of (time, [depth,] lat, lon), which stay with length 1; NaN where nothing was seen."""
    seen = np.isfinite(values)
    count = seen.sum(axis=axes, keepdims=True).astype(float)
    count[count == 0] = np.nan
    mean = np.where(seen, values, 0.0).sum(axis=axes, keepdims=True) / count
    return mean, np.where(seen, (values - mean) ** 2, 0.0).sum(axis=axes, keepdims=True) / count

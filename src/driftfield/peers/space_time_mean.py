"""What space-time interpolation measures anomalies from and in units of what, its prior draws, and what it keeps.

    z(t, x) = (f(t, x) - m(t, x) - c(hour of t, x)) / s(x)

m is the seasonal cycle where three years are known, else a smooth mean of what was seen (`gappy_mean.py`); c, with hourly data
and the like, is a mean course of the day; s the spread of what is left.
"""

__all__ = ["StandardisedPeer"]

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import replace
from typing import Any, Self

import numpy as np
import xarray as xr

from driftfield.data.climatology import MonthlyClimatology
from driftfield.gaussian.gappy_mean import RunningSums, smooth_mean_and_sd
from driftfield.gaussian.space_time_covariance import Places
from driftfield.gaussian.space_time_tuning import SpaceTimeConstants
from driftfield.gaussian.tuning import SpreadPower
from driftfield.gridded.encodings import time_days
from driftfield.interfaces import TrainingData
from driftfield.peers.background import Background, canonical, part
from driftfield.peers.base import Peer, Remembered, member_generator, time_blocks
from driftfield.peers.daily_cycle import DailyCycle


class StandardisedPeer(Peer):
    """A peer with mean, daily cycle and spread, which may be learnt once more from other times, and constants by variable."""

    short: bool
    cycle: dict[str, DailyCycle]
    sd: dict[str, np.ndarray]
    constants: dict[str, SpaceTimeConstants]
    spread: dict[str, SpreadPower]
    validation_crps: dict[str, dict[str, float]]

    def is_short(self, data: TrainingData) -> bool:
        """Whether the record has no seasonal cycle to learn: its mean is that of all its times."""
        both = np.union1d(data.train, data.validation)
        return not _covers_years(data.archive.dataset["time"].isel(time=both))

    def refitted(self, data: TrainingData, times: np.ndarray, *, seed: int = 0) -> Self:
        """The same constants and calibration, but mean, daily cycle and spread from some times of `data` alone."""
        other = copy(self)
        other.short, other.sd = self.is_short(data), {}
        other._learn_background(data, times)
        other._learn_mean_and_sd(data, times)
        return other

    def _learn_background(self, data: TrainingData, times: np.ndarray) -> None:
        """Domains, seasonal cycle and daily cycle of some times."""
        self.background = Background.fit(data, times)
        self._learn_cycle(data, times)

    def _learn_mean_and_sd(self, data: TrainingData, times: np.ndarray) -> None:
        """Spread of some times, and the mean where there is no seasonal cycle."""
        for name in data.targets:
            mean, self.sd[name] = self._mean_and_sd(name, self._sums(data, name, times))
            if self.short:
                self._set_mean(name, mean)

    def _anomaly(self, field: xr.DataArray, name: str) -> np.ndarray:
        """Departure from mean and daily cycle: (time, [depth,] lat, lon), NaN where not seen."""
        return self.background.anomaly(field, name) - self._daily(name, field["time"])

    def _learn_cycle(self, data: TrainingData, times: np.ndarray) -> None:
        """The mean course of the day, if the archive has one."""
        days = time_days(data.archive.dataset["time"])
        self.cycle = {}
        if DailyCycle.exists(days[times]):
            self.cycle = {
                name: DailyCycle.fit((days[block], self._fields(data, name, block)) for block in time_blocks(times))
                for name in data.targets
            }

    def _sums(self, data: TrainingData, name: str, times: np.ndarray) -> RunningSums:
        """Of the fields of a short record, of the anomalies of a long one."""
        return RunningSums.of(self._fields(data, name, block) for block in time_blocks(times))

    def _fields(self, data: TrainingData, name: str, times: np.ndarray, *, validation: bool = False) -> np.ndarray:
        """(time, [depth,] lat, lon), NaN where not seen: values of a short record, anomalies of a long one; no daily cycle."""
        archive = data.to_validate if validation else data.archive
        field = canonical(archive.dataset[name].isel(time=times))
        inside = self.background.domains[name].values
        fields = np.where(inside, field.values, np.nan) if self.short else self.background.anomaly(field, name)
        return fields.astype(np.float64) - self._daily(name, field["time"])

    def _daily(self, name: str, times: xr.DataArray) -> np.ndarray | float:
        return self.cycle[name].at(time_days(times)) if name in self.cycle else 0.0

    def _mean_and_sd(self, name: str, sums: RunningSums) -> tuple[np.ndarray, np.ndarray]:
        domain = self.background.domains[name].values
        mean, sd = smooth_mean_and_sd(sums, domain, periodic=self.background.periodic)
        return mean, sd.astype(np.float32)

    def _set_mean(self, name: str, mean: np.ndarray) -> None:
        """The same mean in every month of the year."""
        old = self.background.climatologies[name]
        months = old.mean.copy(data=np.broadcast_to(mean, old.mean.shape).astype(np.float32))
        climatologies = self.background.climatologies | {name: MonthlyClimatology(months, stepwise=True)}
        self.background = replace(self.background, climatologies=climatologies)

    def _draws(
        self,
        name: str,
        places: Places,
        days: np.ndarray,
        stamps: Sequence[int],
        inside: np.ndarray,
        *,
        size: int,
        members: int,
        seed: int,
        waves: int = 1024,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Prior draws and standard normal observation errors: (member, time, cell) each, float32; `size` cells a grid."""
        covariance = self.constants[name].covariance
        draws = np.zeros((members, days.size, inside.size), dtype=np.float32)
        errors = np.zeros_like(draws)
        for m in range(members):
            draws[m] = covariance.draw(places, days, member_generator(seed, m, 0, f"{name} waves"), waves=waves)
            for t, stamp in enumerate(stamps):
                # for every cell of the grid, so that a member does not depend on the domain of a file
                generator = member_generator(seed, m, stamp, name)
                white = generator.standard_normal((2, size), dtype=np.float32)[:, inside]
                draws[m, t] += np.float32(np.sqrt(covariance.nugget)) * white[0]
                errors[m, t] = white[1]
        return draws, errors

    # What is kept

    def _remember(self) -> Remembered:
        arrays = {f"sd.{name}": sd for name, sd in self.sd.items()}
        arrays |= {f"scale.{name}": c.scale for name, c in self.spread.items()}
        constants = {name: c.to_json() for name, c in self.constants.items()}
        powers = {name: c.power for name, c in self.spread.items()}
        return arrays, {"constants": constants, "power": powers, "validation_crps": self.validation_crps}

    def _recall(self, arrays: Mapping[str, np.ndarray], extra: Mapping[str, Any]) -> None:
        self.sd, scales = part(arrays, "sd."), part(arrays, "scale.")
        self.cycle = {}
        self.spread = {name: SpreadPower(scales[name], float(extra["power"][name])) for name in scales}
        self.validation_crps = dict(extra["validation_crps"])
        self.constants = {name: SpaceTimeConstants.from_json(values) for name, values in extra["constants"].items()}


def _covers_years(times: xr.DataArray, *, years: int = 3) -> bool:
    """Whether the months of the year were seen in that many years each, on average."""
    pairs = np.unique(times.dt.year.values * 12 + times.dt.month.values)
    months = np.unique(times.dt.month.values)
    return pairs.size >= years * months.size

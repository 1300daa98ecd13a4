"""Persistence: what was last seen in a cell, forgotten at the rate at which the data forget.

    f' = z + u        z  an AR(1) in time of e-folding time tau, variance (1 - w) s^2        u  white in time, variance w s^2

    forecast over dt  m <- rho m,   v <- rho^2 v + (1 - rho^2)(1 - w) s^2,     rho = exp(-dt / tau)
    seen y            K = v / (v + w s^2 + error^2)     m <- m + K (y - m)     v <- (1 - K) v

s is the standard deviation of the anomaly in the cell. The Kalman filter of every cell is exact for this model, runs through
the file in the order of its dates, whatever lies between them, and looks at the past only. With w = 0 and exact
observations it is rho times the anomaly last seen, with the spread s sqrt(1 - rho^2). Before the first date of the file it
has what the fitted archive saw last before that date, cell by cell.
"""

__all__ = ["CellFilter", "Memory", "Persistence"]

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import xarray as xr

from driftfield.data.masks import parse_pattern
from driftfield.errors import ConfigurationError
from driftfield.gaussian.tuning import gaussian_crps
from driftfield.gridded.encodings import time_days
from driftfield.interfaces import TrainingData
from driftfield.peers.background import Background, canonical, observed_domain, part, stated_errors
from driftfield.peers.base import Patterns, Peer, Remembered, fitting_times, time_blocks, white_members
from driftfield.peers.climatology import anomaly_sd
from driftfield.peers.gaps import draw_gaps, tuning_split, usual_patterns
from driftfield.reconstruction.output import Estimate
from driftfield.registry import register

STEPS = (0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0, 32.0, 64.0, 128.0)
"""Candidates of tau, in time steps of the validation split."""

WHITE = (0.0, 0.05, 0.1, 0.2, 0.35, 0.5)
"""Candidates of w."""


@dataclass(frozen=True)
class Memory:
    """What an archive saw last in every cell, before some of its dates.

    Arguments:
        days: The dates, days since 1970, ascending: (n,).
        values: Anomaly last seen: (n, [depth,] lat, lon), NaN where never.
        ages: Days since then: the same shape.
    """

    days: np.ndarray
    values: np.ndarray
    ages: np.ndarray

    def __getitem__(self, cells: np.ndarray) -> "Memory":
        """Some of the cells, given as a boolean ([depth,] lat, lon)."""
        return Memory(self.days, self.values[:, cells], self.ages[:, cells])

    @classmethod
    def of(cls, background: Background, data: TrainingData, name: str, times: np.ndarray, *, most: int = 12) -> Self:
        """Reads the fitted times once; one entry for the end of every unbroken run of them, the latest `most` of these."""
        array = data.archive.dataset[name]
        days = time_days(array["time"].isel(time=times))
        ends = np.flatnonzero(np.append(np.diff(times) > 1, True))[-most:]
        shape = background.domains[name].shape
        last, when = np.full(shape, np.nan, dtype=np.float32), np.zeros(shape)
        values, ages = [], []
        for block in time_blocks(np.arange(len(times))):
            for i, anomaly in zip(block, background.anomaly(array.isel(time=times[block]), name), strict=True):
                seen = np.isfinite(anomaly)
                last[seen], when[seen] = anomaly[seen], days[i]
                if i in ends:
                    values.append(last.copy())
                    ages.append((days[i] - when).astype(np.float32))
        return cls(days[ends], np.stack(values), np.stack(ages))


class CellFilter:
    """The filter of every cell of one variable; arrays have the shape of `sd`.

    Arguments:
        sd: s, standard deviation of the anomaly.
        tau: E-folding time in days.
        white: w, share of the variance that does not last.
    """

    def __init__(self, sd: np.ndarray, tau: float, white: float) -> None:
        self.variance = sd.astype(np.float64) ** 2
        self.tau, self.white = tau, white
        self.mean, self.spread = np.zeros(sd.shape), (1 - white) * self.variance
        self.day, self.seen = np.full(sd.shape, -np.inf), np.full(sd.shape, -np.inf)

    def forecast(self, day: float) -> tuple[np.ndarray, np.ndarray]:
        """Mean and variance of the field on a later day."""
        rho = np.exp(-(day - self.day) / self.tau)
        self.mean = rho * self.mean
        self.spread = rho**2 * self.spread + (1 - rho**2) * (1 - self.white) * self.variance
        self.day = np.full(self.day.shape, day)
        return self.mean, self.spread + self.white * self.variance

    def observe(self, values: np.ndarray, noise: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Takes in what is seen on the day of the last forecast (NaN where nothing) with the variance of its error.

        Returns:
            Mean and variance of the field.
        """
        seen = np.isfinite(values)
        total = self.spread + self.white * self.variance
        departure = np.where(seen, values - self.mean, 0.0)
        scale = np.maximum(total + noise, 1e-30)
        # an exact observation is the field, also where the field never varied
        field_gain = np.where(seen, np.where(noise > 0, total / scale, 1.0), 0.0)
        field = self.mean + field_gain * departure, (1 - field_gain) * total
        gain = np.where(seen, self.spread / scale, 0.0)
        self.mean, self.spread = self.mean + gain * departure, (1 - gain) * self.spread
        self.seen = np.where(seen, self.day, self.seen)
        return field

    def recall(self, values: np.ndarray, days: np.ndarray) -> None:
        """Takes in exact observations of the past, each with its own date, where they are newer than what was seen."""
        newer = np.isfinite(values) & (days > self.seen)
        self.mean = np.where(newer, (1 - self.white) * values, self.mean)
        self.spread = np.where(newer, self.white * (1 - self.white) * self.variance, self.spread)
        self.day, self.seen = np.where(newer, days, self.day), np.where(newer, days, self.seen)

    def run(
        self, days: np.ndarray, values: np.ndarray, noise: np.ndarray, memory: Memory
    ) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
        """Index, mean and variance of every frame, in the order of the dates.

        Arguments:
            days: Days since 1970, in any order: (time,).
            values: Anomalies, NaN where not seen: (time, ...).
            noise: Variance of their errors: (time, ...).
            memory: Used up to the day before; what is not older than a frame has no say in it.
        """
        used = -1
        for t in np.argsort(days, kind="stable"):
            known = int(np.searchsorted(memory.days, days[t], side="left")) - 1
            if known > used:
                self.recall(memory.values[known], memory.days[known] - memory.ages[known])
                used = known
            self.forecast(days[t])
            yield int(t), *self.observe(values[t], noise[t])


@register("reconstructor")
class Persistence(Peer):
    """The anomaly last seen in every cell, relaxed to the season; the spread grows with its age.

    Members differ from the mean by noise without structure in space. Cells know nothing of each other.

    Arguments:
        e_folding_days: tau; chosen per variable on validation times if not given.
        white: w, share of the variance that does not last; chosen likewise.
        patterns: Gaps that the two are chosen for (`driftfield.data.masks.parse_pattern`); if not given, profiles for fields
            with depth, random cells and clouds for surfaces.
        refit: Whether season, spread and memory come from training and validation, once the constants are chosen.

    Raises:
        ConfigurationError: an e-folding time that is not positive, a share outside [0, 1), or an unknown pattern.
    """

    method = "persistence"
    abilities = replace(Peer.abilities, uses_other_times=True)

    def __init__(
        self,
        e_folding_days: float | None = None,
        white: float | None = None,
        patterns: Patterns = None,
        refit: bool = True,
    ) -> None:
        if e_folding_days is not None and not 0 < e_folding_days < np.inf:
            raise ConfigurationError(f"Cannot forget within {e_folding_days} days: expected e_folding_days above 0.")
        if white is not None and not 0 <= white < 1:
            raise ConfigurationError(f"A white share of {white} leaves nothing to persist: expected 0 <= white < 1.")
        for pattern in patterns or ():
            parse_pattern(pattern)
        self.e_folding_days, self.white, self.refit = e_folding_days, white, refit
        self.patterns = None if patterns is None else tuple(patterns)

    def fit(self, data: TrainingData, *, seed: int = 0) -> None:
        """Chooses the constants on validation times; learns season, spread and what was seen last.

        Raises:
            DataError: the archive lacks a target or a time axis.
        """
        self.seed = seed
        train, validation = tuning_split(data)
        self._learn(data, train)
        # frames in a row, as they are met later
        self.constants = self._choose(data, validation[:48], seed)
        self._learn(data, fitting_times(data, refit=self.refit))

    def _learn(self, data: TrainingData, times: np.ndarray) -> None:
        self.background = Background.fit(data, times)
        self.sd = {name: anomaly_sd(self.background, data, name, times) for name in data.targets}
        self.memory = {name: Memory.of(self.background, data, name, times) for name in data.targets}

    def _choose(self, data: TrainingData, times: np.ndarray, seed: int) -> dict[str, tuple[float, float]]:
        """Per variable (tau, w) of the lowest geometric mean CRPS over the patterns, on hidden cells."""
        step = _step(data)
        taus = [k * step for k in STEPS] if self.e_folding_days is None else [self.e_folding_days]
        whites = list(WHITE) if self.white is None else [self.white]
        choice = dict.fromkeys(data.targets, (taus[len(taus) // 3], whites[len(whites) // 3]))
        if len(taus) * len(whites) == 1 or not times.size:
            return choice
        patterns = self.patterns or usual_patterns(self.background.target_domains)
        days = time_days(data.archive.dataset["time"].isel(time=times))
        cases = list(draw_gaps(self.background, data, times, patterns, seed=seed))
        for name in data.targets:
            cells = _some(self.background.domains[name].values, seed)
            frames = []
            for pattern in patterns:
                own = [case for case in cases if (case.name, case.pattern) == (name, pattern)]
                frames.append((np.stack([c.seen[cells] for c in own]), np.stack([c.truth[cells] for c in own])))
            sd, memory = self.sd[name][cells], self.memory[name][cells]
            scores = {(tau, white): _score(sd, tau, white, days, frames, memory) for tau in taus for white in whites}
            choice[name] = min(scores, key=lambda constants: scores[constants])
        return choice

    def estimate(self, observations: xr.Dataset, *, members: int, seed: int) -> dict[str, Estimate]:
        """Filtered mean and standard deviation; members with independent noise in every cell."""
        return {name: self._estimate(observations, name, members, seed) for name in self.background.targets}

    def _estimate(self, observations: xr.Dataset, name: str, members: int, seed: int) -> Estimate:
        field = canonical(observations[name])
        season = self.background.mean(name, field["time"])
        domain = observed_domain(self.background, observations, name)
        anomaly = np.where(domain, field.values - season, np.nan)
        noise = stated_errors(observations, name, season.shape) ** 2
        mean, sd = np.empty_like(season), np.empty_like(season)
        run = CellFilter(self.sd[name], *self.constants[name]).run
        for t, departure, variance in run(time_days(field["time"]), anomaly, noise, self.memory[name]):
            mean[t], sd[t] = season[t] + departure, np.sqrt(variance)
        return Estimate(mean, sd, white_members(mean, sd, field["time"], name, members, seed))

    def _remember(self) -> Remembered:
        arrays = {f"sd.{name}": sd for name, sd in self.sd.items()}
        for name, memory in self.memory.items():
            arrays |= {f"memory.{name}.{key}": getattr(memory, key) for key in ("days", "values", "ages")}
        return arrays, {"constants": {name: list(pair) for name, pair in self.constants.items()}}

    def _recall(self, arrays: Mapping[str, np.ndarray], extra: Mapping[str, Any]) -> None:
        self.sd = part(arrays, "sd.")
        self.constants = {name: (float(tau), float(white)) for name, (tau, white) in extra["constants"].items()}
        self.memory = {name: Memory(**part(arrays, f"memory.{name}.")) for name in self.constants}


def _step(data: TrainingData) -> float:
    """Days between neighbouring times of the archive."""
    days = np.diff(np.unique(time_days(data.archive.dataset["time"])))
    return float(np.median(days)) if days.size else 1.0


def _some(domain: np.ndarray, seed: int, most: int = 4000) -> np.ndarray:
    """A part of the domain that is large enough to tune on, boolean."""
    cells = np.flatnonzero(domain)
    if cells.size > most:
        cells = np.random.default_rng(seed).choice(cells, most, replace=False)
    chosen = np.zeros(domain.size, dtype=bool)
    chosen[cells] = True
    return chosen.reshape(domain.shape)


def _score(
    sd: np.ndarray,
    tau: float,
    white: float,
    days: np.ndarray,
    frames: Sequence[tuple[np.ndarray, np.ndarray]],
    memory: Memory,
) -> float:
    """Mean over the patterns of the logarithm of the CRPS; frames are (seen, truth), each (time, cell)."""
    logarithms = []
    for seen, truth in frames:
        total, count = 0.0, 0
        for t, mean, variance in CellFilter(sd, tau, white).run(days, seen, np.zeros_like(seen), memory):
            hidden = np.isfinite(truth[t]) & ~np.isfinite(seen[t])
            spread = np.sqrt(np.maximum(variance[hidden], 1e-18))
            total += float(gaussian_crps((truth[t] - mean)[hidden], spread).sum())
            count += int(hidden.sum())
        if count:
            logarithms.append(np.log(total / count + 1e-30))
    return float(np.mean(logarithms)) if logarithms else 0.0

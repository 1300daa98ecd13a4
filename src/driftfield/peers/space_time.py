"""Optimal interpolation in space and time: the observations of the days around speak too, and no complete field is needed.

    state      z(t, x) = (f(t, x) - m(t, x)) / s(x)              m: the seasonal cycle where three years are known,
                                                                 else a smooth mean of what was seen (`gappy_mean.py`);
                                                                 with hourly data and the like a mean course of the day
    observed   y = z(observed) + e,  e ~ N(0, error^2 / s^2)     at every time of the file within `window` days
    estimate   E[z | y], Var[z | y]                              covariance: `space_time_covariance.py`
    members    prior draws, conditioned (Matheron)               neighbours, solver: `neighbours.py`, `local_kriging.py`

Every target is reconstructed by itself; its levels go together through a scale in depth. Covariates are not looked at. The
constants are tuned, and the spread is calibrated, on cells hidden from the training fields (`space_time_search.py`).
"""

__all__ = ["SpaceTimeOptimalInterpolation"]

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import xarray as xr

from driftfield.data.masks import parse_pattern
from driftfield.errors import ConfigurationError, DataError
from driftfield.gaussian.local_kriging import Scattered, solve_leaves
from driftfield.gaussian.neighbours import leaves
from driftfield.gaussian.space_time_search import search
from driftfield.gaussian.space_time_tuning import SpaceTimeCase, SpaceTimeConstants
from driftfield.gridded.encodings import time_days
from driftfield.interfaces import TrainingData
from driftfield.peers.background import canonical, observed_domain, part, stated_errors
from driftfield.peers.base import Remembered, fitting_times, time_stamps
from driftfield.peers.daily_cycle import DailyCycle
from driftfield.peers.gaps import tuning_split
from driftfield.peers.space_time_cases import OWN_GAPS, CaseDrawer, places_of, usual_gaps
from driftfield.peers.space_time_mean import StandardisedPeer
from driftfield.reconstruction.output import Estimate
from driftfield.registry import register

_LEAF = 16


@register("reconstructor")
class SpaceTimeOptimalInterpolation(StandardisedPeer):
    """Kriging of anomalies in space and time, by local neighbourhoods.

    Arguments:
        patterns: Gaps that it is tuned for (`driftfield.data.masks.parse_pattern`), or `own`: the gaps of other times of
            the archive. If not given: `own` where the archive has gaps, else profiles for fields with depth, random cells
            and clouds for surfaces.
        nearest: Observations that speak for one leaf of the grid.
        window: Days before and after that are used; four scales in time if not given.
        context: Times before and after that are shown while tuning.
        memory: Last times of the archive that are kept as observations of later dates; a date that a file has itself is
            never taken from memory. Not for files of dates that the archive knows.
        refit: Whether mean and spread come from training and validation once the constants are chosen.
    """

    method = "space_time_oi"
    abilities = replace(StandardisedPeer.abilities, uses_other_times=True)

    def __init__(
        self,
        patterns: Sequence[str] | None = None,
        nearest: int = 240,
        window: float | None = None,
        context: int = 5,
        memory: int = 0,
        refit: bool = True,
    ) -> None:
        for pattern in (p for p in patterns or () if p != OWN_GAPS):
            parse_pattern(pattern)
        if nearest < 4 or min(context, memory) < 0 or (window is not None and window < 0):
            raise ConfigurationError(
                f"Found nearest={nearest}, window={window}, context={context}, memory={memory}: expected at least 4 "
                "observations and no negative time."
            )
        self.patterns = None if patterns is None else tuple(patterns)
        self.nearest = nearest
        self.window = window
        self.context = context
        self.memory = memory
        self.refit = refit
        self.start: Mapping[str, SpaceTimeConstants] = {}
        """Constants of nearly the same record, by variable, from which the next fit walks on; without them it searches."""

    # Fitting

    def fit(self, data: TrainingData, *, seed: int = 0) -> None:
        """Learns mean and spread on training times, constants and calibration on cells hidden from fields.

        A record of less than three years has no validation times that its mean could do without: there the hidden cells
        of all its times are left out of the mean instead.

        Raises:
            DataError: the archive lacks a target or a time axis, or has nothing in it to hide.
        """
        self.seed = seed
        train, validation = tuning_split(data)
        both = np.union1d(train, validation)
        self.short = self.is_short(data)
        self.sd, self.constants, self.spread, self.validation_crps = {}, {}, {}, {}
        self._learn_background(data, both if self.short else train)
        for name in data.targets:
            cases = self._cases(data, name, train, validation, seed)
            if not cases:
                raise DataError(
                    f"Nothing of {name!r} is hidden by the patterns {self.patterns or 'of the archive'}, so no "
                    "covariance can be tuned. Name other patterns."
                )
            levels = int(np.prod(self.background.domains[name].shape[:-2]))
            periodic, begin = self.background.periodic, self.start.get(name)
            constants, fit = search(cases, levels=levels, periodic=periodic, most=self.nearest, start=begin)
            self.constants[name], self.spread[name] = constants, fit.calibration
            self.validation_crps[name] = fit.crps
        times = both if self.short else fitting_times(data, refit=self.refit)
        if not self.short:
            self._learn_background(data, times)
        self._learn_mean_and_sd(data, times)
        self._keep(data, both)

    def remember(self, data: TrainingData, *, before: Any) -> None:
        """Keeps the last `memory` times of the archive before a date in place of the last ones of the fit."""
        if self.memory:
            self._keep(data, np.flatnonzero(data.archive.dataset["time"].values < before))

    def _keep(self, data: TrainingData, times: np.ndarray) -> None:
        """Dates and anomalies of the last `memory` of some times."""
        times = times[times.size - min(self.memory, times.size) :]
        self.past_days = time_days(data.archive.dataset["time"])[times]
        self.past: dict[str, np.ndarray] = {}
        if times.size:
            chosen = data.archive.dataset.isel(time=times)
            self.past = {name: self._anomaly(chosen[name], name).astype(np.float32) for name in data.targets}

    def _cases(
        self, data: TrainingData, name: str, train: np.ndarray, validation: np.ndarray, seed: int
    ) -> list[SpaceTimeCase]:
        """Times of the validation split (of the whole record, where it is short) with gaps."""
        times = np.union1d(train, validation)
        learnt = times if self.short else train
        sums, domain = self._sums(data, name, learnt), self.background.domains[name]
        drawer = CaseDrawer(
            fields=lambda index: self._fields(data, name, index, validation=True),
            sums=sums,
            domain=domain,
            periodic=self.background.periodic,
            days=time_days(data.archive.dataset["time"]),
            times=times,
            scored=times if self.short else validation,
            short=self.short,
            learnt=self.short and data.validation_archive is None,
            context=self.context,
        )
        return drawer.draw(self.patterns or usual_gaps(sums, domain, learnt.size), seed)

    # Reconstructing

    def estimate(self, observations: xr.Dataset, *, members: int, seed: int) -> dict[str, Estimate]:
        """Mean, standard deviation and conditioned draws."""
        return {name: self._estimate(observations, name, members, seed) for name in self.background.targets}

    def estimate_at(self, observations: xr.Dataset, time: int) -> dict[str, Estimate]:
        """Mean and standard deviation of one time of the file, from the observations of all of its times; no members."""
        return {name: self._estimate(observations, name, 0, 0, only=time) for name in self.background.targets}

    def estimate_cells(self, observations: xr.Dataset, name: str, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation of some cells (time, [depth,] lat, lon), from all observations; the others say nothing."""
        estimate = self._estimate(observations, name, 0, 0, wanted=wanted)
        assert estimate.mean is not None
        assert estimate.sd is not None
        return estimate.mean, estimate.sd

    def _first_guess(self, observations: xr.Dataset, only: int | None) -> Mapping[str, Estimate]:
        return super()._first_guess(observations, only) if only is None else self.estimate_at(observations, only)

    def _estimate(
        self,
        observations: xr.Dataset,
        name: str,
        members: int,
        seed: int,
        only: int | None = None,
        wanted: np.ndarray | None = None,
    ) -> Estimate:
        """Of one time or of some cells, where these are named; of those an exact observation is its own answer."""
        field = canonical(observations[name])
        domain = np.broadcast_to(observed_domain(self.background, observations, name), field.shape[1:])
        inside = np.flatnonzero(domain)
        sd = self.sd[name].ravel()[inside]
        places, level = places_of(self.background.domains[name], inside, sd)
        covariance = self.constants[name].covariance
        values, noise, days, stamps = self._observed(observations, name, inside, sd)
        size = int(np.prod(field.shape[1:]))
        draws, errors = self._draws(name, places, days, stamps, inside, size=size, members=members, seed=seed)
        seen = Scattered.of(values, noise, days, draws, errors)
        calibration = self.spread[name].of_rows(level)
        prior = np.full(inside.size, np.sqrt(covariance.variance))
        groups = leaves(covariance.embed(places, np.zeros(inside.size))[-1], _LEAF)
        window = 4 * covariance.days if self.window is None else self.window
        chosen = range(len(field)) if only is None else [only]
        output = np.zeros((2 + members, len(chosen), *field.shape[1:]), dtype=np.float32)
        exact = np.isfinite(values) & (noise == 0) & (wanted is not None)
        for place, t in enumerate(chosen):
            day = days[t]
            near = seen[np.abs(seen.day - day) <= window]
            to_do = ~exact[t] if wanted is None else wanted[t].ravel()[inside] & ~exact[t]
            increments, variance = solve_leaves(
                covariance,
                near,
                places,
                _parts_of(groups, to_do),
                time=t,
                day=day,
                most=self.nearest,
                overlapping=True,
            )
            increments[exact[t], 0] = values[t, exact[t]]
            increments[exact[t], 1:] = (values[t, exact[t]] - draws[:, t, exact[t]]).T
            variance[exact[t]] = 0.0
            spread = np.sqrt(variance)
            factor = calibration.apply(spread, prior) / np.maximum(spread, 1e-6)
            factor[near.cell[near.time == t]] = 1.0
            mean = increments[:, 0]
            drawn = draws[:, t] + increments[:, 1:].T
            flat = output[:, place].reshape(2 + members, -1)
            flat[0, inside] = mean * sd
            flat[1, inside] = spread * factor * sd
            flat[2:, inside] = (mean + (drawn - mean) * factor) * sd
        times = field["time"].isel(time=list(chosen))
        season = self.background.mean(name, times) + self._daily(name, times)
        return Estimate(output[0] + season, output[1], output[2:] + season)

    def _observed(
        self, observations: xr.Dataset, name: str, inside: np.ndarray, sd: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[int]]:
        """Standardised values (NaN where not seen) and error variances (time, cell), dates and their stamps.

        The times of the file come first, those in memory behind them.
        """
        field = canonical(observations[name])
        days, stamps = time_days(field["time"]), time_stamps(field["time"])
        values = self._anomaly(field, name).reshape(len(field), -1)[:, inside] / sd
        errors = stated_errors(observations, name, field.shape).reshape(len(field), -1)[:, inside]
        noise = (errors / sd) ** 2
        if name in self.past:
            # a date that the file has is known from the file alone
            older = np.array([np.abs(days - day).min(initial=np.inf) > 1e-4 for day in self.past_days])
            past = self.past[name].reshape(older.size, -1)[older][:, inside] / sd
            values = np.concatenate([values, past])
            noise = np.concatenate([noise, np.zeros(past.shape)])
            days = np.concatenate([days, self.past_days[older]])
            stamps = stamps + [zlib.crc32(f"past {day:.4f}".encode()) for day in self.past_days[older]]
        return values, noise, days, stamps

    # What is kept

    def _remember(self) -> Remembered:
        arrays, extra = super()._remember()
        arrays = {**arrays, "past_days": self.past_days} | {
            f"past.{name}": fields for name, fields in self.past.items()
        }
        return arrays | {f"cycle.{name}": c.coefficients for name, c in self.cycle.items()}, extra

    def _recall(self, arrays: Mapping[str, np.ndarray], extra: Mapping[str, Any]) -> None:
        super()._recall(arrays, extra)
        self.past_days, self.past = arrays["past_days"], part(arrays, "past.")
        self.cycle = {name: DailyCycle(c) for name, c in part(arrays, "cycle.").items()}


def _parts_of(groups: Sequence[np.ndarray], to_do: np.ndarray) -> list[np.ndarray]:
    """The cells of every group that are to be done; groups without any are left out."""
    parts = [group[to_do[group]] for group in groups]
    return [part for part in parts if part.size]

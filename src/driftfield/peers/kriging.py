"""Kriging of a record as it is: one image, a few dates or years, learnt from its own gappy observations.

    state      z(t, x) = (f(t, x) - m(t, x)) / s(x)     m: a quadratic surface (one image), a smooth mean
                                                        of what was seen (some dates), the seasonal cycle (years)
    observed   y = z(observed) + e,  e ~ N(0, error^2 / s^2)
    estimate   E[z | y], Var[z | y] in every cell that was not seen; an exact observation is kept, another one is analysed
    constants  tuned on hidden blocks as wide as the gaps of the record (`data.masks.alike`), by `gaussian.gradient_tuning`;
               mean and spread are learnt without what is hidden meanwhile
    members    prior draws, conditioned (Matheron)

The neighbourhoods are local, so that a large image costs as many small factors as it has missing cells / 16.
"""

__all__ = ["Kriging"]

from collections.abc import Mapping
from copy import copy
from dataclasses import replace
from typing import Self

import numpy as np
import xarray as xr

from driftfield.data.masks.alike import AlikeGaps
from driftfield.data.sources import GriddedArchive
from driftfield.data.splits import spread_over
from driftfield.errors import ConfigurationError, DataError
from driftfield.gaussian.gradient_tuning import StatedScales, tune
from driftfield.gaussian.hidden_leaves import Task
from driftfield.gaussian.local_kriging import Scattered, solve_leaves
from driftfield.gaussian.space_time_covariance import Places
from driftfield.gaussian.space_time_tuning import SpaceTimeConstants
from driftfield.gaussian.tiled_leaves import cell_km, tiled_leaves
from driftfield.gaussian.tuning import fit_spread
from driftfield.gridded.encodings import time_days
from driftfield.interfaces import TrainingData
from driftfield.peers.background import canonical, observed_domain, stated_errors
from driftfield.peers.base import at_time, time_stamps
from driftfield.peers.quadratic_surface import quadratic_surface
from driftfield.peers.space_time_cases import places_of
from driftfield.peers.space_time_mean import StandardisedPeer
from driftfield.reconstruction.output import Estimate
from driftfield.registry import register

DRAWS = 2
"""How often blocks are hidden from a short record."""


_FEW = 5
"""Dates below which the spread of a single cell is not known: one for the level."""


@register("reconstructor")
class Kriging(StandardisedPeer):
    """Interpolation in space and time that needs no archive but the record itself; covariates are not looked at.

    Arguments:
        length_km: Distance at which the correlation is 1 / e, where it is known; tuned if not given.
        days: Time after which it is, where it is known.
        noise: Standard deviation of the observation error in units of the variable, where the file states none.
        nearest: Observations that speak for one leaf of 16 cells.
        around: Dates before and after that are used.
    """

    method = "kriging"
    abilities = replace(StandardisedPeer.abilities, uses_other_times=True)

    def __init__(
        self,
        length_km: float | None = None,
        days: float | None = None,
        noise: float | None = None,
        nearest: int = 120,
        around: int = 12,
    ) -> None:
        for name, value in (("length_km", length_km), ("days", days), ("noise", noise)):
            if value is not None and not 0 < value < np.inf:
                raise ConfigurationError(f"Found {name}={value}: expected a positive number, or leave it out.")
        if nearest < 4 or around < 0:
            raise ConfigurationError(f"Found nearest={nearest}, around={around}: expected at least 4, and 0 or more.")
        self.length_km, self.days, self.noise = length_km, days, noise
        self.nearest, self.around = nearest, around
        self.start: Mapping[str, SpaceTimeConstants] = {}
        """Constants of nearly the same record, by variable, from which the next fit walks on; without them it searches."""

    # Fitting

    def fit(self, data: TrainingData, *, seed: int = 0) -> None:
        """Tunes the constants on hidden blocks, calibrates the spread on them, then learns mean and spread from everything.

        All times of the training and the validation split are the record; no part of it is spared.

        Raises:
            DataError: a target without time axis, or with too few values to hide any.
        """
        self.seed = seed
        times = np.union1d(data.train, data.validation).astype(int)
        # one draw of blocks is a small sample: a length that it prefers by a twentieth may lose at the next one
        draws = DRAWS if times.size < 60 else 1
        tasks: dict[str, list[Task]] = {name: [] for name in data.targets}
        sds: dict[str, list[np.ndarray]] = {name: [] for name in data.targets}
        for k in range(draws):
            visible, hidden = self._hidden(data, times, seed + 1000 * k)
            self._learn(visible)
            for name in data.targets:
                cases = self._tasks(visible, data, name, hidden[name])
                tasks[name] += cases
                sds[name] += [self.sd[name]] * len(cases)
        self.constants, self.spread, self.validation_crps = {}, {}, {}
        for name in data.targets:
            if not tasks[name]:
                raise DataError(
                    f"{name!r} has too few values to hide some of them. Take more dates, or a larger region."
                )
            levels = int(np.prod(self.background.domains[name].shape[:-2]))
            count = 480 if draws == 1 else 720
            begin = self.start.get(name)
            self.constants[name], _ = tune(
                tasks[name],
                levels=levels,
                stated=self._stated,
                count=count,
                seed=seed,
                start=begin,
                periodic=self.background.periodic,
            )
            self._calibrate(name, tasks[name], sds[name], levels)
        self._learn(data)

    def refitted(self, data: TrainingData, times: np.ndarray, *, seed: int = 0) -> Self:
        """The same constants and calibration, mean and spread from some times of `data` alone."""
        return self.continued(replace(data, train=times, validation=times[:0]))

    def continued(self, data: TrainingData) -> Self:
        """The same constants and calibration, mean and spread from another record on the same grid."""
        other = copy(self)
        other._learn(data)
        return other

    def _learn(self, data: TrainingData) -> None:
        """Mean and spread of a record."""
        times = np.union1d(data.train, data.validation).astype(int)
        self.short, self.sd = self.is_short(data), {}
        self._learn_background(data, times)
        self._learn_mean_and_sd(data, times)
        for name in data.targets:
            if times.size < _FEW:
                self.sd[name] = _level_spread(self._fields(data, name, times), self.background.domains[name].values)
        if times.size == 1:
            for name in data.targets:
                self._learn_image(data, name, int(times[0]))

    @property
    def _stated(self) -> StatedScales:
        return StatedScales(self.length_km, self.days, self.noise is not None)

    def _learn_image(self, data: TrainingData, name: str, time: int) -> None:
        """A quadratic surface for a mean, and one spread per level."""
        field = canonical(data.archive.dataset[name].isel(time=time)).values.astype(np.float64)
        domain = self.background.domains[name].values
        surface = quadratic_surface(np.where(domain, field, np.nan), self.background.lat, self.background.lon)
        self._set_mean(name, surface)
        self.sd[name] = _level_spread((field - surface)[None], domain)

    def _hidden(self, data: TrainingData, times: np.ndarray, seed: int) -> tuple[TrainingData, dict[str, np.ndarray]]:
        """The record without some blocks, and which of its dates (indices into the archive) have cells hidden where."""
        fields, hidden = dict(data.archive.dataset.data_vars), {}
        for name in data.targets:
            field = canonical(data.archive.dataset[name])
            domain = canonical(data.archive.domain(name)).values.astype(bool)
            seen = np.isfinite(field.values[times]) & domain
            gaps = AlikeGaps.of(seen, domain, periodic=bool(data.archive.periodic), seed=seed)
            rng = np.random.default_rng(np.random.SeedSequence([seed, 17]))
            mask = np.zeros(field.shape, dtype=bool)
            near = _near(_to_score(seen, domain), self.around, len(times))
            mask[times[near]] = gaps.hide(seen[near], rng)
            fields[name], hidden[name] = field.where(~mask), mask
        archive = data.archive
        assert isinstance(archive, GriddedArchive)
        return replace(data, archive=replace(archive, dataset=xr.Dataset(fields))), hidden

    def _tasks(self, visible: TrainingData, data: TrainingData, name: str, hidden: np.ndarray) -> list[Task]:
        """Some dates with hidden cells, standardised with what was learnt without these."""
        domain = self.background.domains[name]
        inside = np.flatnonzero(domain.values)
        sd = self.sd[name].ravel()[inside]
        places, _ = places_of(domain, inside, sd)
        days = time_days(data.archive.dataset["time"])
        dates = np.flatnonzero(hidden.reshape(len(hidden), -1)[:, inside].any(axis=1))
        record = np.union1d(data.train, data.validation).astype(int)
        tasks = []
        for t in spread_over(dates, 8):
            near = record[np.abs(np.searchsorted(record, t) - np.arange(record.size)) <= self.around]
            values = self._standardised(visible.archive.dataset, name, near, inside, sd)
            truth = self._standardised(data.archive.dataset, name, np.array([t]), inside, sd)[0]
            when, where = np.nonzero(np.isfinite(values))
            errors = self._errors(data.archive.dataset, name, near, inside, sd)
            cells = np.flatnonzero(hidden[t].ravel()[inside] & np.isfinite(truth))
            if cells.size and when.size:
                seen = Scattered(
                    near[when] - t, where, (days[near] - days[t])[when], values[when, where, None], errors[when, where]
                )
                tasks.append(Task(places, seen, cells, truth[cells]))
        return tasks

    def _calibrate(self, name: str, tasks: list[Task], sds: list[np.ndarray], levels: int, *, most: int = 120) -> None:
        """Spread of hidden cells as their errors show it."""
        covariance = self.constants[name].covariance
        inside = np.flatnonzero(self.background.domains[name].values)
        level = inside // int(np.prod(self.sd[name].shape[-2:]))
        rows = []
        for task, spread in zip(tasks, sds, strict=True):
            sd = spread.ravel()[inside]
            groups = tiled_leaves(
                task.places,
                task.hidden,
                self.constants[name].covariance.embed(task.places, np.zeros(len(task.places)))[-1],
                spacing=self._tile(task.places, len(task.seen)),
            )
            some = [groups[g] for g in spread_over(np.arange(len(groups)), max(8, most * 4 // len(tasks)))]
            increments, variance = solve_leaves(
                covariance, task.seen, task.places, some, time=0, day=0.0, most=self.nearest
            )
            cell = np.concatenate(some)
            truth = np.full(len(task.places), np.nan)
            truth[task.hidden] = task.truth
            error = (increments[cell, 0] - truth[cell]) * sd[cell]
            prior = np.full(cell.size, np.sqrt(covariance.variance)) * sd[cell]
            rows.append(np.stack([level[cell], error, np.sqrt(variance[cell]) * sd[cell], prior]))
        fit = fit_spread({"own": np.concatenate(rows, axis=1)}, levels)
        self.spread[name], self.validation_crps[name] = fit.calibration, fit.crps

    # Reconstructing

    def estimate(self, observations: xr.Dataset, *, members: int, seed: int) -> dict[str, Estimate]:
        """Mean, standard deviation and conditioned draws."""
        return self._estimate(observations, members, seed, slice(None))

    def _first_guess(self, observations: xr.Dataset, only: int | None) -> Mapping[str, Estimate]:
        if only is None:
            return super()._first_guess(observations, only)
        return at_time(self._estimate(observations, 0, 0, slice(only, only + 1)), only)

    def _estimate(self, observations: xr.Dataset, members: int, seed: int, dates: slice) -> dict[str, Estimate]:
        """Of some dates; the others are the mean state."""
        output: dict[str, Estimate] = {}
        for name in self.background.targets:
            field = canonical(observations[name])
            domain = np.broadcast_to(observed_domain(self.background, observations, name), field.shape[1:])
            exact = self._exact(observations, name)
            wanted = np.zeros(field.shape, dtype=bool)
            wanted[dates] = (domain & ~(np.isfinite(field.values) & exact))[dates]
            mean, sd, drawn = self._solve(observations, name, wanted, members=members, seed=seed)
            unchanged = np.isfinite(field.values) & exact & domain
            mean = np.where(unchanged, field.values, mean)
            sd = np.where(unchanged, 0.0, sd)
            output[name] = Estimate(mean, sd, np.where(unchanged, field.values, drawn))
        return output

    def estimate_cells(self, observations: xr.Dataset, name: str, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation of some cells (time, [depth,] lat, lon), from all observations; the others say nothing."""
        mean, sd, _ = self._solve(observations, name, wanted, members=0, seed=0)
        return mean, sd

    def _solve(
        self, observations: xr.Dataset, name: str, wanted: np.ndarray, *, members: int, seed: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Mean, standard deviation, members (member, ...) of the wanted cells; elsewhere the mean state and its spread."""
        field = canonical(observations[name])
        inside = np.flatnonzero(self.background.domains[name].values)
        sd = self.sd[name].ravel()[inside]
        places, level = places_of(self.background.domains[name], inside, sd)
        constants = self.constants[name]
        covariance = constants.covariance
        days, index = time_days(field["time"]), np.arange(len(field))
        values = self._standardised(observations, name, index, inside, sd)
        noise = self._errors(observations, name, index, inside, sd)
        dates = np.flatnonzero(wanted.reshape(len(field), -1)[:, inside].any(axis=1))
        draws, errors = self._draws(
            name,
            places,
            days,
            time_stamps(field["time"]),
            inside,
            size=field[0].size,
            members=members,
            seed=seed,
            waves=512,
        )
        seen = Scattered.of(values, noise, days, draws, errors)
        calibration = self.spread[name].of_rows(level)
        prior = np.full(inside.size, np.sqrt(covariance.variance))
        embedded = covariance.embed(places, np.zeros(len(places)))[-1]
        output = np.zeros((2 + members, len(field), field[0].size), dtype=np.float32)
        output[1][:, inside] = sd
        output[2:, :, inside] = draws * sd
        window = min(4 * covariance.days, np.inf)
        order = np.argsort(np.argsort(days))
        for t in map(int, dates):
            cells = np.flatnonzero(wanted[t].ravel()[inside])
            near = seen[(np.abs(seen.day - days[t]) <= window) & (np.abs(order[seen.time] - order[t]) <= self.around)]
            groups = tiled_leaves(places, cells, embedded, spacing=self._tile(places, len(near)))
            increments, variance = solve_leaves(
                covariance, near, places, groups, time=t, day=days[t], most=self.nearest, overlapping=True
            )
            spread = np.sqrt(variance)
            factor = (calibration.apply(spread, prior) / np.maximum(spread, 1e-6))[cells]
            mean = increments[cells, 0]
            drawn = draws[:, t, cells] + increments[cells, 1:].T
            at = inside[cells]
            output[0, t, at] = mean * sd[cells]
            output[1, t, at] = spread[cells] * factor * sd[cells]
            output[2:, t, at] = (mean + (drawn - mean) * factor) * sd[cells]
        season = self.background.mean(name, field["time"]) + self._daily(name, field["time"])
        shaped = output.reshape(2 + members, *field.shape)
        return shaped[0] + season, shaped[1], shaped[2:] + season

    def _tile(self, places: Places, observations: int) -> float:
        """Edge of the tiles whose cells are solved together, km: small beside the circle that the neighbours of one fill."""
        cell = cell_km(places)
        dates = max(1, 2 * self.around + 1)
        share = min(1.0, observations / (len(places) * dates))
        return cell * float(np.clip(0.5 * np.sqrt(self.nearest / (np.pi * max(share, 1e-3))), 2.0, 12.0))

    def _standardised(
        self, dataset: xr.Dataset, name: str, times: np.ndarray, inside: np.ndarray, sd: np.ndarray
    ) -> np.ndarray:
        """(time, cell), NaN where not seen."""
        field = canonical(dataset[name].isel(time=times))
        return self._anomaly(field, name).reshape(len(field), -1)[:, inside] / sd

    def _errors(
        self, dataset: xr.Dataset, name: str, times: np.ndarray, inside: np.ndarray, sd: np.ndarray
    ) -> np.ndarray:
        """Error variance of observations in standardised units (time, cell): the file's, else the stated noise, else 0."""
        field = canonical(dataset[name])
        stated = stated_errors(dataset, name, field.shape)[times]
        stated = np.where(stated > 0, stated, self.noise or 0.0)
        return (stated.reshape(len(times), -1)[:, inside] / sd) ** 2

    def _exact(self, observations: xr.Dataset, name: str) -> np.ndarray:
        """Whether an observation has no error that is known of: (time, [depth,] lat, lon)."""
        shape = canonical(observations[name]).shape
        return (stated_errors(observations, name, shape) == 0) & (self.noise is None)


def _to_score(seen: np.ndarray, domain: np.ndarray, *, most: int = 8) -> np.ndarray:
    """Dates to hide blocks of: some of those with gaps, for these are what the record asks for; else any with values."""
    flat = seen.reshape(len(seen), -1)[:, domain.ravel()]
    some = np.flatnonzero(flat.any(axis=1) & ~flat.all(axis=1))
    return spread_over(some if some.size else np.flatnonzero(flat.any(axis=1)), most)


def _near(chosen: np.ndarray, around: int, count: int) -> np.ndarray:
    """Indices of all dates of the record that may be used for some dates."""
    reach = np.arange(count)
    return reach[(np.abs(reach[:, None] - chosen) <= around).any(axis=1)] if chosen.size else reach


def _level_spread(fields: np.ndarray, domain: np.ndarray) -> np.ndarray:
    """Standard deviation about the mean of a level, in all of its cells: ([depth,] lat, lon), float32."""
    axes = (0, -2, -1)
    inside = np.where(domain, fields, np.nan)
    with np.errstate(invalid="ignore"):
        count = np.isfinite(inside).sum(axis=axes, keepdims=True)[0]
        mean = np.nansum(inside, axis=axes, keepdims=True)[0] / np.maximum(count, 1)
        variance = np.nansum((inside - mean) ** 2, axis=axes, keepdims=True)[0] / np.maximum(count - 1, 1)
    typical = variance[count > 1].mean() if (count > 1).any() else 1.0
    variance = np.where(count > 1, variance, typical)
    return np.broadcast_to(np.sqrt(np.maximum(variance, 1e-12)), domain.shape).astype(np.float32)

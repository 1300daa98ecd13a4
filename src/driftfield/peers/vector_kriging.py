"""Kriging of both components of a vector at once, so that what was seen of one informs the other.

    state      z(t, x) = ((u, v)(t, x) - m(t, x)) / s(x)       one s for both, so that the covariance stays isotropic
    covariance a streamfunction and a velocity potential (`gaussian.vector_covariance`), constants of greatest likelihood
    estimate   E[z | y], Var[z | y] of each component from the observations of both; spread calibrated on hidden blocks
    members    prior draws of the vector, conditioned (Matheron)

Mean, spread, hidden blocks and neighbourhoods are those of `Kriging`; a target that is no component of a vector is kriged by it.
"""

__all__ = ["VectorKriging"]

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import xarray as xr

from driftfield.conventions import vector_pairs_of
from driftfield.data.splits import spread_over
from driftfield.errors import ConfigurationError, DataError
from driftfield.gaussian.space_time_covariance import Places
from driftfield.gaussian.tiled_leaves import tiled_leaves
from driftfield.gaussian.tuning import SpreadPower, fit_spread
from driftfield.gaussian.vector_covariance import VectorCovariance
from driftfield.gaussian.vector_kriging import SeenComponents, solve_vector_leaves
from driftfield.gaussian.vector_likelihood import StatedByUser, fit_vector_covariance
from driftfield.gridded.encodings import time_days
from driftfield.interfaces import TrainingData
from driftfield.peers.background import canonical
from driftfield.peers.base import Remembered, member_generator, time_stamps
from driftfield.peers.kriging import DRAWS, Kriging
from driftfield.peers.space_time_cases import places_of
from driftfield.registry import register

log = logging.getLogger(__name__)

_SCORED = 4
"""Dates of one draw of hidden blocks that the spread is calibrated on."""


@register("reconstructor")
class VectorKriging(Kriging):
    """Interpolation in space and time of currents or winds, (eastward, northward) together; other targets as by `Kriging`.

    The pairs are those of `data.vector_pairs`, else those that `conventions.vector_pairs_of` knows by name.

    Arguments:
        length_km: Distance at which the mean of the correlations along and across is 1 / e, where it is known.
        days: Time after which it is, where it is known.
        noise: Standard deviation of the observation error in units of the variable, where the file states none.
        nearest: Observations of both components that speak for one leaf of 16 cells.
        around: Dates before and after that are used.
    """

    method = "vector_kriging"
    pairs: tuple[tuple[str, str], ...] = ()

    def __init__(
        self,
        length_km: float | None = None,
        days: float | None = None,
        noise: float | None = None,
        nearest: int = 200,
        around: int = 12,
    ) -> None:
        super().__init__(length_km, days, noise, nearest, around)

    # Fitting

    def fit(self, data: TrainingData, *, seed: int = 0) -> None:
        """Finds the constants of every pair, calibrates the spread on hidden blocks, then learns mean and spread from everything.

        Raises:
            ConfigurationError: a pair without one of its components.
            DataError: a target without time axis, or with too few values to hide any; components on different levels.
        """
        self.pairs = _pairs(data)
        vectors = {name for pair in self.pairs for name in pair}
        alone = tuple(name for name in data.targets if name not in vectors)
        self.constants, self.spread, self.validation_crps = {}, {}, {}
        self.covariances: dict[str, VectorCovariance] = {}
        if alone:
            said = ", ".join(alone)
            log.warning(
                "%s: no component of a vector that is known by name or in data.vector_pairs, kriged alone", said
            )
            super().fit(replace(data, targets=alone), seed=seed)
        self.seed = seed
        times = np.union1d(data.train, data.validation).astype(int)
        for pair in self.pairs:
            self._learn(data)
            self._fit_pair(data, pair, times, seed)
        self._learn(data)

    def _learn(self, data: TrainingData) -> None:
        """Mean and spread of a record; the two of a vector have one spread."""
        super()._learn(data)
        for u, v in self.pairs:
            if u in self.sd and v in self.sd:
                self.sd[u] = self.sd[v] = np.sqrt(0.5 * (self.sd[u] ** 2 + self.sd[v] ** 2))

    def _fit_pair(self, data: TrainingData, pair: tuple[str, str], times: np.ndarray, seed: int) -> None:
        """Constants and calibration of one vector, from draws of hidden blocks."""
        residuals: dict[str, list[np.ndarray]] = {name: [] for name in pair}
        only = replace(data, targets=pair)
        for k in range(DRAWS if times.size < 60 else 1):
            visible, hidden = self._hidden(only, times, seed + 1000 * k)
            self._learn(visible)
            if not k:
                self._tune(visible, pair, times, seed)
            for name in pair:
                residuals[name] += self._residuals(visible, data, name, hidden[name], times)
        levels = int(np.prod(self.background.domains[pair[0]].shape[:-2]))
        for name in pair:
            if not residuals[name]:
                raise DataError(
                    f"{name!r} has too few values to hide some of them. Take more dates, or a larger region."
                )
            fit = fit_spread({"own": np.concatenate(residuals[name], axis=1)}, levels)
            self.spread[name], self.validation_crps[name] = fit.calibration, fit.crps

    def _tune(self, data: TrainingData, pair: tuple[str, str], times: np.ndarray, seed: int) -> None:
        """The covariance of one vector, from all that is visible of it; of fields with depth one for all levels."""
        dataset = data.archive.dataset
        domain = self.background.domains[pair[0]]
        inside, places, level = self._inside(pair)
        values, noise = self._components(dataset, pair, times, inside)
        # of fields with depth the level that saw most
        best = level == np.bincount(level, weights=np.isfinite(values).sum(axis=(0, 1))).argmax()
        none = np.zeros((0, *values[..., best].shape))
        days = time_days(dataset["time"].isel(time=times))
        seen = SeenComponents.of(values[..., best], noise[..., best], days, none, none)
        if not len(seen):
            raise DataError(f"{pair[0]!r} and {pair[1]!r} were seen nowhere in {domain.size} cells. Check the file.")
        stated = StatedByUser(self.length_km, self.days)
        fitted = fit_vector_covariance(seen, places[best], stated=stated, seed=seed)
        if self.noise is not None:
            # what is not smooth is the error that was stated
            fitted = replace(fitted, nugget=min(fitted.nugget, 1e-4 * fitted.sill))
        log.info(
            "%s, %s: length %.0f km, %.1f days, %.0f %% of the variance without curl, %s",
            *pair,
            fitted.reach_km,
            fitted.days,
            100 * fitted.share,
            fitted.kind,
        )
        self.covariances[pair[0]] = self.covariances[pair[1]] = fitted

    def _residuals(
        self, visible: TrainingData, data: TrainingData, name: str, hidden: np.ndarray, times: np.ndarray
    ) -> list[np.ndarray]:
        """(level, error, spread, prior) of hidden cells of some dates, the spread not calibrated yet."""
        truth = canonical(data.archive.dataset[name])
        scored = hidden & np.isfinite(truth.values) & self.background.domains[name].values
        dates = times[scored[times].reshape(len(times), -1).any(axis=1)]
        levels = int(np.prod(scored.shape[1:-2]))
        self.spread[name] = SpreadPower(np.ones(levels), 1.0)
        residuals = []
        for t in spread_over(dates, _SCORED):
            near = times[np.abs(np.searchsorted(times, t) - np.arange(times.size)) <= self.around]
            here = int(np.flatnonzero(near == t)[0])
            wanted = np.zeros((near.size, *scored.shape[1:]), dtype=bool)
            wanted[here] = scored[t]
            mean, sd = self.estimate_cells(visible.archive.dataset.isel(time=near), name, wanted)
            where = scored[t]
            level = np.flatnonzero(where) // int(np.prod(where.shape[-2:]))
            error = mean[here][where] - truth.values[t][where]
            prior = self.sd[name][where] * np.sqrt(self.covariances[name].variance)
            residuals.append(np.stack([level, error, sd[here][where], prior]))
        return residuals

    # Reconstructing

    def _solve(
        self, observations: xr.Dataset, name: str, wanted: np.ndarray, *, members: int, seed: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """See `Kriging`; of a component, from the observations of both."""
        pair = next((pair for pair in self.pairs if name in pair), None)
        if pair is None:
            return super()._solve(observations, name, wanted, members=members, seed=seed)
        field = canonical(observations[name])
        inside, places, level = self._inside(pair)
        sd = self.sd[name].ravel()[inside]
        covariance, days = self.covariances[name], time_days(field["time"])
        values, noise = self._components(observations, pair, np.arange(len(field)), inside)
        draws, errors = self._vector_draws(field, pair, places, inside, members=members, seed=seed)
        seen = SeenComponents.of(values, noise, days, draws, errors)
        northward = pair.index(name)
        calibration = self.spread[name].of_rows(level)
        prior = np.full(inside.size, np.sqrt(covariance.variance))
        output = np.zeros((2 + members, len(field), field[0].size), dtype=np.float32)
        output[1][:, inside] = sd
        output[2:, :, inside] = draws[:, northward] * sd
        order = np.argsort(np.argsort(days))
        for t in map(int, np.flatnonzero(wanted.reshape(len(field), -1)[:, inside].any(axis=1))):
            near = seen[
                (np.abs(seen.day - days[t]) <= 8 * covariance.days)
                & (np.abs(order[seen.time] - order[t]) <= self.around)
            ]
            cells = np.flatnonzero(wanted[t].ravel()[inside])
            increments, variance = self._levels(
                covariance, near, places, level, cells, northward=bool(northward), time=t, day=days[t]
            )
            spread = np.sqrt(variance)
            factor = (calibration.apply(spread, prior) / np.maximum(spread, 1e-6))[cells]
            mean = increments[cells, 0]
            drawn = draws[:, northward, t, cells] + increments[cells, 1:].T
            output[0, t, inside[cells]] = mean * sd[cells]
            output[1, t, inside[cells]] = spread[cells] * factor * sd[cells]
            output[2:, t, inside[cells]] = (mean + (drawn - mean) * factor) * sd[cells]
        season = self.background.mean(name, field["time"]) + self._daily(name, field["time"])
        shaped = output.reshape(2 + members, *field.shape)
        return shaped[0] + season, shaped[1], shaped[2:] + season

    def _levels(
        self,
        covariance: VectorCovariance,
        near: SeenComponents,
        places: Places,
        level: np.ndarray,
        cells: np.ndarray,
        **asked: Any,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Increments and variance at one time, every level from its own observations."""
        increments = np.zeros((len(places), near.innovations.shape[1]))
        variance = np.full(len(places), covariance.variance)
        for this in np.unique(level[cells]):
            mine, some = near[level[near.cell] == this], cells[level[cells] == this]
            groups = tiled_leaves(places, some, places.sphere, spacing=self._tile(places, len(mine) // 2))
            found, spread = solve_vector_leaves(covariance, mine, places, groups, most=self.nearest, **asked)
            increments[some], variance[some] = found[some], spread[some]
        return increments, variance

    def _inside(self, pair: tuple[str, str]) -> tuple[np.ndarray, Places, np.ndarray]:
        """Cells where either component exists, their places and levels."""
        u, v = (self.background.domains[name] for name in pair)
        inside = np.flatnonzero(u.values | v.values)
        places, level = places_of(u, inside, self.sd[pair[0]].ravel()[inside])
        return inside, places, level

    def _components(
        self, dataset: xr.Dataset, pair: tuple[str, str], times: np.ndarray, inside: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Standardised anomalies, NaN where not seen, and their error variances: (component, time, cell)."""
        sd = self.sd[pair[0]].ravel()[inside]
        values = np.stack([self._standardised(dataset, name, times, inside, sd) for name in pair])
        return values, np.stack([self._errors(dataset, name, times, inside, sd) for name in pair])

    def _vector_draws(
        self, field: xr.DataArray, pair: tuple[str, str], places: Places, inside: np.ndarray, *, members: int, seed: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Prior draws and standard normal errors (member, component, time, cell), float32; those of a level by themselves."""
        covariance, days, size = self.covariances[pair[0]], time_days(field["time"]), int(field[0].size)
        draws = np.zeros((members, 2, len(field), inside.size), dtype=np.float32)
        errors = np.zeros_like(draws)
        for m in range(members):
            for depth in np.unique(places.depth):
                here = places.depth == depth
                generator = member_generator(seed, m, 0, f"{' '.join(pair)} waves {depth:g}")
                draws[m][:, :, here] = covariance.draw(places[here], days, generator)
            for k, name in enumerate(pair):
                for t, stamp in enumerate(time_stamps(field["time"])):
                    # for every cell of the grid, so that a member does not depend on the domain of a file
                    generator = member_generator(seed, m, stamp, name)
                    white = generator.standard_normal((2, size), dtype=np.float32)[:, inside]
                    draws[m, k, t] += np.float32(np.sqrt(covariance.nugget)) * white[0]
                    errors[m, k, t] = white[1]
        return draws, errors

    # What is kept

    def _remember(self) -> Remembered:
        arrays, extra = super()._remember()
        vectors = {name: covariance.to_json() for name, covariance in self.covariances.items()}
        return arrays, extra | {"vectors": vectors, "pairs": [list(pair) for pair in self.pairs]}

    def _recall(self, arrays: Mapping[str, np.ndarray], extra: Mapping[str, Any]) -> None:
        super()._recall(arrays, extra)
        self.pairs = tuple((u, v) for u, v in extra["pairs"])
        self.covariances = {name: VectorCovariance(**values) for name, values in extra["vectors"].items()}


def _pairs(data: TrainingData) -> tuple[tuple[str, str], ...]:
    """The vectors among the targets: as stated, else as they are called."""
    pairs = data.vector_pairs or vector_pairs_of(data.archive.dataset[list(data.targets)])
    for pair in pairs:
        lacking = [name for name in pair if name not in data.targets]
        if len(lacking) == 1:
            raise ConfigurationError(
                f"The vector pair {list(pair)} is broken: {lacking[0]!r} is not among the targets. Name both there, or drop "
                "the pair."
            )
        if not lacking and data.archive.levels(pair[0]) != data.archive.levels(pair[1]):
            raise DataError(f"The vector pair {list(pair)} lies on different levels: expected the same of both.")
    return tuple((u, v) for u, v in pairs if u in data.targets)

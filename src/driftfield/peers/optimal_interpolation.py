"""Optimal interpolation of anomalies, multivariate and three-dimensional where the data are.

    state        z_r(x) = (f_r(x) - c_r(x, month)) / s_r(x)      row r: a level of a target, or a surface covariate
    observed     y = z(observed) + e,  e ~ N(0, error^2 / s^2)
    estimate     E[z | y], Var[z | y]                             covariance: `covariance.py`, solver: `conditioning.py`
    members      prior draws, conditioned (Matheron); spread calibrated on validation times (`tuning.py`)

A sea surface that is seen thus speaks for the interior as far as the two went together in training. The constants are
tuned with the patterns of gaps that the recipe names. Past fields that lie within `leave_out_days` of an analysed date
are not used for it, neither in the covariance nor in the seasonal cycle (`departures.py`), so that a date of the
training split is treated like a new one.
"""

__all__ = ["OptimalInterpolation"]

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import asdict, replace
from typing import Any, Self

import numpy as np
import xarray as xr

from driftfield.data.splits import spread_over
from driftfield.gaussian.conditioning import condition
from driftfield.gaussian.covariance import HybridCovariance, ZonalCovariance
from driftfield.gaussian.structure import Constants, Structure
from driftfield.gaussian.tuning import SpreadPower, search
from driftfield.gridded.encodings import time_days
from driftfield.interfaces import TrainingData
from driftfield.peers.background import Background, part
from driftfield.peers.base import Remembered, at_time, fitting_times, member_generator, time_stamps
from driftfield.peers.departures import Departures
from driftfield.peers.state import StatePeer, observed_part
from driftfield.reconstruction.output import Estimate
from driftfield.registry import register


@register("reconstructor")
class OptimalInterpolation(StatePeer):
    """Kriging of anomalies with a covariance learnt from the archive.

    Arguments:
        patterns: Gaps of the targets that it is tuned for (`driftfield.data.masks.parse_pattern`); if not given,
            profiles for fields with depth, random cells and clouds for surfaces.
        covariate_pattern: Gaps of the covariates while tuning.
        samples: Past fields that enter the covariance.
        nearest: Observations that one tile of the grid uses.
        leave_out_days: Past fields so near to an analysed date are not used for it.
        refit: Whether seasonal cycle and past fields come from training and validation, once the constants are chosen.
    """

    method = "optimal_interpolation"
    abilities = replace(StatePeer.abilities, leaves_out_near_times=True)

    def __init__(
        self,
        patterns: Sequence[str] | None = None,
        covariate_pattern: str = "clouds:0.6",
        samples: int = 150,
        nearest: int = 500,
        leave_out_days: float = 0.0,
        refit: bool = True,
    ) -> None:
        super().__init__(patterns, covariate_pattern)
        self.samples = samples
        self.nearest = nearest
        self.leave_out_days = leave_out_days
        self.refit = refit

    def fit(self, data: TrainingData, *, seed: int = 0) -> None:
        """Learns structure on training times, constants and calibration on validation times.

        Without a validation split the last sixth of the training split takes its place while tuning.

        Raises:
            DataError: the archive lacks a variable or a time axis, or has fewer than eight training times.
        """
        train, validation = self._begin(data, seed)
        known = self._known(data.archive, spread_over(train, 400))
        seen = np.isfinite(known)
        structure = Structure.estimate(np.nan_to_num(known), self._domain, self._grid, seen=seen)
        past = self._fields(data, spread_over(train, self.samples))
        cases = self._cases(data, validation, seed)
        sd = self._sd[: self._targets]
        constants, found = search(structure, past, cases, sd, most=self.nearest)
        self.constants, self._tuned_spread, self.validation_crps = constants, found.calibration, found.crps
        self._structure = structure
        self._learn_fields(data, fitting_times(data, refit=self.refit))

    def continued(self, data: TrainingData) -> Self:
        """The same structure, constants and calibration with the seasonal cycle and the past fields of another record.

        Only right after a fit: a run that was loaded has no structure to go on with.
        """
        other = copy(self)
        other._learn_fields(data, np.union1d(data.train, data.validation).astype(int))
        return other

    def _learn_fields(self, data: TrainingData, times: np.ndarray) -> None:
        """Seasonal cycle, covariance and departures of some times; the constants are chosen."""
        if self.refit:
            self.background = Background.fit(data, times, covariates=True)
        chosen = spread_over(times, self.samples)
        self._days = time_days(data.archive.dataset["time"].isel(time=chosen))
        self._covariance = self._structure.covariance(self.constants, self._fields(data, chosen))
        self._departures = Departures.fit(data.archive.dataset["time"], times, lambda index: self._fields(data, index))

    def mean_and_sd(
        self, observations: xr.Dataset, *, leave_out_days: float | None = None
    ) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """The quick deterministic part: per target mean and standard deviation, (time, [depth,] lat, lon), float32.

        On the longitudes of the fit and in their order, whatever the convention of the observations.

        Arguments:
            observations: An observation file, opened.
            leave_out_days: In place of the constructor's.

        Raises:
            DataError: the observations lack a target or lie on another grid.
        """
        observations = self.background.on_own_grid(observations)
        self.background.check(observations)
        estimate = self._solve(observations, members=0, seed=0, leave_out_days=leave_out_days)
        return {name: (e.mean, e.sd) for name, e in estimate.items() if e.mean is not None and e.sd is not None}

    def first_guess(
        self, observations: xr.Dataset, *, only: int | None = None, leave_out_days: float | None = None
    ) -> Mapping[str, Estimate]:
        """Mean and standard deviation, see `Peer.first_guess`."""
        stated = self.mean_and_sd(observations, leave_out_days=leave_out_days)
        return at_time({name: Estimate(mean, sd) for name, (mean, sd) in stated.items()}, only)

    def estimate(self, observations: xr.Dataset, *, members: int, seed: int) -> dict[str, Estimate]:
        """Mean, standard deviation and conditioned draws."""
        return self._solve(observations, members=members, seed=seed)

    def _solve(
        self, observations: xr.Dataset, *, members: int, seed: int, leave_out_days: float | None = None
    ) -> dict[str, Estimate]:
        """All times, one after the other."""
        times = observations[self.background.targets[0]]["time"]
        values, noise = self._standardised(observations)
        wanted = self._wanted(observations)
        rows = np.arange(self._targets)
        n, cells = len(values), values.shape[-1]
        result = np.zeros((2 + members, n, rows.size, cells), dtype=np.float32)
        sd = self._sd[rows]
        months = self.background.climatologies[self.background.targets[0]].weights(times)
        days = self.leave_out_days if leave_out_days is None else leave_out_days
        for t, (day, stamp) in enumerate(zip(time_days(times), time_stamps(times), strict=True)):
            covariance, shift = self._covariance, np.zeros((1, 1), dtype=np.float32)
            if days > 0:
                if (near := np.abs(self._days - day) <= days).any():
                    covariance = covariance.without(~near)
                shift = np.einsum("m,mrx->rx", months[t], self._departures.shift(day, days))
            seen = observed_part(values[t] - shift, noise[t])
            generators = [member_generator(seed, m, stamp) for m in range(members)]
            draws = np.stack([covariance.draw(g) for g in generators]) if members else None
            # drawn for every cell of every row, so that a member does not depend on what else was observed
            errors = [g.standard_normal(values.shape[1:], dtype=np.float32) for g in generators]
            draw_noise = np.stack([e[seen.rows, seen.cells] for e in errors]) if members else None
            mean, variance, drawn = condition(
                covariance, seen, rows=rows, wanted=wanted, draws=draws, draw_noise=draw_noise, most=self.nearest
            )
            spread = np.sqrt(variance)
            factor = self._inflation(seen, spread, np.sqrt(covariance.variance(rows, np.arange(cells))))
            mean = mean + shift[: len(sd)]
            drawn = drawn + shift[: len(sd)]
            result[0, t] = mean * sd
            result[1, t] = spread * factor * sd
            result[2:, t] = (mean + (drawn - mean) * factor) * sd
        return self._per_variable(np.nan_to_num(result), times)

    # What is kept

    def _remember(self) -> Remembered:
        covariance = self._covariance
        arrays = {
            "covariance.loadings": covariance.loadings,
            "covariance.tables": np.stack([mode.table for mode in covariance.modes]),
            "covariance.nugget": covariance.nugget,
            "covariance.samples": covariance.samples,
            "covariance.locality": covariance.locality,
            "days": self._days,
            **{f"departures.{key}": array for key, array in self._departures.to_arrays().items()},
            "sd": self._sd,
            "calibration.scale": self._tuned_spread.scale,
        }
        constants = asdict(replace(self.constants, weight=covariance.weight))
        power = self._tuned_spread.power
        return arrays, {"constants": constants, "validation_crps": self.validation_crps, "power": power}

    def _recall(self, arrays: Mapping[str, np.ndarray], extra: Mapping[str, Any]) -> None:
        self.constants = Constants(**extra["constants"])
        self.validation_crps = dict(extra["validation_crps"])
        self._sd, self._days = arrays["sd"], arrays["days"]
        self._tuned_spread = SpreadPower(arrays["calibration.scale"], float(extra["power"]))
        self._departures = Departures(**part(arrays, "departures."))
        grid = self._grid
        # a shipped run holds these as float16
        tables, samples = (arrays[f"covariance.{key}"].astype(np.float32) for key in ("tables", "samples"))
        self._covariance = HybridCovariance(
            grid=grid,
            loadings=arrays["covariance.loadings"],
            modes=tuple(ZonalCovariance(table, grid.lon.size) for table in tables),
            nugget=arrays["covariance.nugget"],
            samples=samples,
            locality=arrays["covariance.locality"],
            weight=self.constants.weight,
        )

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
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import xarray as xr
from scipy.ndimage import gaussian_filter1d

from driftfield.conventions import error_of
from driftfield.data.masks import parse_pattern
from driftfield.errors import DataError
from driftfield.interfaces import TrainingData
from driftfield.reconstruct.baselines.base import (
    Background,
    Peer,
    canonical,
    fitting_times,
    member_generator,
    observed_domain,
    part,
    time_days,
    time_stamps,
)
from driftfield.reconstruct.baselines.climatology import anomaly_sd
from driftfield.reconstruct.baselines.conditioning import Seen, condition
from driftfield.reconstruct.baselines.covariance import Grid, HybridCovariance, ZonalCovariance
from driftfield.reconstruct.baselines.departures import Departures
from driftfield.reconstruct.baselines.tuning import Calibration, Case, Constants, Structure, search
from driftfield.reconstruct.output import Estimate
from driftfield.registry import register


@register("reconstructor")
class OptimalInterpolation(Peer):
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

    def __init__(
        self,
        patterns: Sequence[str] | None = None,
        covariate_pattern: str = "clouds:0.6",
        samples: int = 150,
        nearest: int = 500,
        leave_out_days: float = 0.0,
        refit: bool = True,
    ) -> None:
        self.patterns = None if patterns is None else tuple(patterns)
        self.covariate_pattern = covariate_pattern
        self.samples = samples
        self.nearest = nearest
        self.leave_out_days = leave_out_days
        self.refit = refit
        for pattern in (*(patterns or ()), covariate_pattern):
            parse_pattern(pattern)

    def fit(self, data: TrainingData, *, seed: int = 0) -> None:
        """Learns structure on training times, constants and calibration on validation times.

        Without a validation split the last sixth of the training split takes its place while tuning.

        Raises:
            DataError: the archive lacks a variable or a time axis, or has fewer than eight training times.
        """
        self.seed = seed
        train, validation = np.asarray(data.train, dtype=int), np.asarray(data.validation, dtype=int)
        if not validation.size:
            cut = max(1, len(train) // 6)
            train, validation = train[:-cut], train[-cut:]
        if len(train) < 8:
            raise DataError(f"{len(train)} training times are too few for a covariance: expected 8 or more.")
        self._learn_background(data, train)
        structure = Structure.estimate(self._fields(data, _spread(train, 400)), self._domain, self._grid)
        past = self._fields(data, _spread(train, self.samples))
        cases = self._cases(data, validation, seed)
        sd = self._sd[: self._targets]
        constants, found = search(structure, past, cases, sd, most=self.nearest)
        self.constants, self.calibration, self.validation_crps = constants, found.calibration, found.crps
        times = fitting_times(data, refit=self.refit)
        if self.refit:
            self.background = Background.fit(data, times, covariates=True)
        chosen = _spread(times, self.samples)
        self._days = time_days(data.archive.dataset["time"].isel(time=chosen))
        self._covariance = structure.covariance(constants, self._fields(data, chosen))
        self._departures = Departures.fit(data.archive.dataset["time"], times, lambda index: self._fields(data, index))

    def mean_and_sd(
        self, observations: xr.Dataset, *, leave_out_days: float | None = None
    ) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """The quick deterministic part: per target mean and standard deviation, (time, [depth,] lat, lon), float32.

        Arguments:
            observations: An observation file, opened.
            leave_out_days: In place of the constructor's.

        Raises:
            DataError: the observations lack a target or lie on another grid.
        """
        self._fitted().check(observations)
        estimate = self._solve(observations, members=0, seed=0, leave_out_days=leave_out_days)
        return {name: (mean, sd) for name, (mean, sd, _) in estimate.items() if mean is not None and sd is not None}

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
            seen = _seen(values[t] - shift, noise[t])
            generators = [member_generator(seed, m, stamp) for m in range(members)]
            draws = np.stack([covariance.draw(g) for g in generators]) if members else None
            # drawn for every cell of every row, so that a member does not depend on what else was observed
            errors = [g.standard_normal(values.shape[1:], dtype=np.float32) for g in generators]
            draw_noise = np.stack([e[seen.rows, seen.cells] for e in errors]) if members else None
            mean, variance, drawn = condition(
                covariance, seen, rows=rows, wanted=wanted, draws=draws, draw_noise=draw_noise, most=self.nearest
            )
            factor = self._inflation(covariance, seen, np.sqrt(variance))
            mean = mean + shift[: len(sd)]
            drawn = drawn + shift[: len(sd)]
            result[0, t] = mean * sd
            result[1, t] = np.sqrt(variance) * factor * sd
            result[2:, t] = (mean + (drawn - mean) * factor) * sd
        return self._per_variable(np.nan_to_num(result), times)

    def _inflation(self, covariance: HybridCovariance, seen: Seen, sd: np.ndarray) -> np.ndarray:
        """Factor on the spread (row, cell); what was measured keeps its own."""
        prior = np.sqrt(covariance.variance(np.arange(len(sd)), np.arange(sd.shape[1])))
        factor = self.calibration.apply(sd, prior) / np.maximum(sd, 1e-6)
        own = seen.rows < len(sd)
        factor[seen.rows[own], seen.cells[own]] = 1.0
        return factor

    def _per_variable(self, result: np.ndarray, times: xr.DataArray) -> dict[str, Estimate]:
        """Splits rows into variables, adds the season: (mean, sd, members) each."""
        output: dict[str, Estimate] = {}
        start = 0
        for name in self.background.targets:
            shape = self.background.domains[name].shape
            count = int(np.prod(shape[:-2]))
            own = result[:, :, start : start + count].reshape(*result.shape[:2], *shape)
            start += count
            season = self.background.mean(name, times)
            output[name] = (own[0] + season, own[1], own[2:] + season if len(own) > 2 else None)
        return output

    # What the rows are

    def _learn_background(self, data: TrainingData, times: np.ndarray) -> None:
        self.background = Background.fit(data, times, covariates=True)
        sds = []
        for name in self.background.variables:
            raw = anomaly_sd(self.background, data, name, times)
            domain = self.background.domains[name].values
            sds.append(
                _smooth_sd(raw, domain, periodic=self.background.periodic).reshape(
                    -1, domain.shape[-2] * domain.shape[-1]
                )
            )
        self._sd = np.concatenate(sds).astype(np.float32)

    @property
    def _grid(self) -> Grid:
        return Grid(self.background.lat, self.background.lon, self.background.periodic)

    @property
    def _targets(self) -> int:
        """Number of target rows."""
        return sum(int(np.prod(self.background.domains[n].shape[:-2])) for n in self.background.targets)

    @property
    def _domain(self) -> np.ndarray:
        """Where the rows exist: (row, cell)."""
        return self._stack({n: d.values[None] for n, d in self.background.domains.items()})[0]

    def _stack(self, fields: Mapping[str, np.ndarray]) -> np.ndarray:
        """(time, [depth,] lat, lon) of every variable -> (time, row, cell)."""
        return np.concatenate(
            [f.reshape(len(f), -1, f.shape[-2] * f.shape[-1]) for f in (fields[n] for n in self.background.variables)],
            axis=1,
        )

    def _fields(self, data: TrainingData, times: np.ndarray) -> np.ndarray:
        """Standardised anomalies of the archive (time, row, cell), 0 where not known."""
        chosen = data.archive.dataset.isel(time=times)
        anomalies = {n: self.background.anomaly(chosen[n], n).astype(np.float32) for n in self.background.variables}
        return np.nan_to_num(self._stack(anomalies) / self._sd)

    def _standardised(self, observations: xr.Dataset) -> tuple[np.ndarray, np.ndarray]:
        """Standardised observations, NaN where not seen, and the variance of their errors: (time, row, cell) each."""
        values, errors = {}, {}
        n_times = observations[self.background.targets[0]].sizes["time"]
        for name in self.background.variables:
            shape = (n_times, *self.background.domains[name].shape)
            error = error_of(observations, name)
            values[name] = (
                np.full(shape, np.nan)
                if name not in observations
                else self.background.anomaly(observations[name], name)
            )
            errors[name] = np.zeros(shape) if error is None else np.broadcast_to(canonical(error).values, shape)
        noise = np.nan_to_num(self._stack(errors) / self._sd) ** 2
        return (self._stack(values) / self._sd).astype(np.float32), noise.astype(np.float32)

    def _wanted(self, observations: xr.Dataset) -> np.ndarray:
        """Cells in which any target exists."""
        names = self.background.targets
        domains = [observed_domain(self.background, observations, n) for n in names]
        return np.any([d.reshape(-1, d.shape[-2] * d.shape[-1]).any(axis=0) for d in domains], axis=0)

    def _cases(self, data: TrainingData, validation: np.ndarray, seed: int) -> list[Case]:
        """Validation times under every pattern; a few tiles of each are enough."""
        deep = any(len(self.background.domains[n].shape) > 2 for n in self.background.targets)
        patterns = self.patterns or (
            ("profiles:0.9", "profiles:0.95") if deep else ("random:0.75", "random:0.95", "clouds:0.75")
        )
        times = _spread(validation, 4)
        fields = self._fields(data, times)
        cases = []
        for p, pattern in enumerate(patterns):
            for t, field in enumerate(fields):
                rng = np.random.default_rng(np.random.SeedSequence([seed, p, t]))
                observed = self._stack({n: self._draw(n, pattern, rng)[None] for n in self.background.variables})[0]
                hidden = self._domain[: self._targets] & ~observed[: self._targets]
                seen = _seen(np.where(observed, field, np.nan), np.zeros_like(field))
                tiles = rng.choice(64, 16, replace=False) if field.shape[-1] > 4000 else None
                cases.append(Case(pattern, seen, field[: self._targets], hidden, tiles))
        return cases

    def _draw(self, name: str, pattern: str, rng: np.random.Generator) -> np.ndarray:
        text = pattern if name in self.background.targets else self.covariate_pattern
        domain = self.background.domains[name].values
        return parse_pattern(text).draw(domain, rng, periodic=self.background.periodic)

    # What is kept

    def _remember(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
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
            "calibration.scale": self.calibration.scale,
        }
        constants = asdict(replace(self.constants, weight=covariance.weight))
        extra = {"constants": constants, "validation_crps": self.validation_crps, "power": self.calibration.power}
        return arrays, extra

    def _recall(self, arrays: Mapping[str, np.ndarray], extra: Mapping[str, Any]) -> None:
        self.constants = Constants(**extra["constants"])
        self.validation_crps = dict(extra["validation_crps"])
        self._sd, self._days = arrays["sd"], arrays["days"]
        self.calibration = Calibration(arrays["calibration.scale"], float(extra["power"]))
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


def _seen(values: np.ndarray, noise: np.ndarray) -> Seen:
    """The observations of one time: (row, cell), NaN where not seen."""
    rows, cells = np.nonzero(np.isfinite(values))
    return Seen(rows, cells, values[rows, cells], noise[rows, cells])


def _spread(times: np.ndarray, count: int) -> np.ndarray:
    """At most `count` of the times, evenly spread."""
    return times[np.unique(np.linspace(0, len(times) - 1, min(count, len(times))).round().astype(int))]


def _smooth_sd(sd: np.ndarray, domain: np.ndarray, *, periodic: bool, width: float = 1.5) -> np.ndarray:
    """A spread that varies smoothly from cell to cell; land has no say, a tenth of the median is the floor."""

    def smooth(field: np.ndarray) -> np.ndarray:
        field = gaussian_filter1d(field, width, axis=-2, mode="constant")
        return gaussian_filter1d(field, width, axis=-1, mode="wrap" if periodic else "constant")

    share = smooth(domain.astype(np.float64))
    variance = smooth(np.where(domain, sd.astype(np.float64) ** 2, 0.0)) / np.maximum(share, 1e-6)
    shape = (-1, domain.shape[-2] * domain.shape[-1])
    rows = zip(sd.reshape(shape), domain.reshape(shape), strict=True)
    median = np.array([np.median(row[inside]) if inside.any() else 1.0 for row, inside in rows])
    median = np.maximum(median, 1e-6).reshape((*domain.shape[:-2], 1, 1))
    return np.where(share > 1e-6, np.sqrt(np.maximum(variance, (0.1 * median) ** 2)), median)

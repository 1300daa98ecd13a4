"""DINEOF as a peer: the observed times stand beside the archive in one matrix with gaps.

    rows         every cell of every level of every variable, targets and covariates; each level over its own spread
    columns      [fields of the training split | observed times], in the order of their dates, centred
    rank         cross-validation: some of the columns with most data are hidden as the observed times are
    gaps         `gappy_svd.py`; what was observed is kept
    spread       `eof_error.py`

The archive may have gaps itself. Anomalies are those from the seasonal cycle where the archive is long enough to know one.
"""

__all__ = ["DINEOF", "borrowed_points"]

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import xarray as xr

from driftfield.data.climatology import MonthlyClimatology, left_out_factor
from driftfield.data.splits import spread_over
from driftfield.errors import ConfigurationError, DataError, suggest
from driftfield.gaussian.eof_error import EofError, fit_error_scale
from driftfield.gaussian.gappy_svd import DineofResult, diffusion_filter, dineof, random_points
from driftfield.gridded.encodings import is_monthly, time_days
from driftfield.interfaces import TrainingData
from driftfield.peers.background import Background, canonical, observed_domain
from driftfield.peers.base import Peer, Remembered, fitting_times, member_generator, time_stamps
from driftfield.reconstruction.output import Estimate
from driftfield.registry import register

ANOMALIES = ("auto", "season", "mean")
CROSS_VALIDATIONS = ("gaps", "random")
MEANS = ("filled", "posterior")
FILTER_STEPS = 3
"""Steps of the filter, as in the example of the original; its strength is what is tuned."""


@register("reconstructor")
class DINEOF(Peer):
    """Data-interpolating empirical orthogonal functions, with a Gaussian ensemble of what they do not know.

    Arguments:
        anomaly: What the fields are departures from: their `season`, or the `mean` of every level (one number, as in the
            original program); `auto` takes the season where the training split spans two years.
        max_rank: The largest number of modes that is tried.
        cross_validation: How points are held out to choose the rank: `gaps` lays the gaps of the observed times over the
            best covered columns, `random` takes single points of the observed times.
        mean: `filled` is the DINEOF field; `posterior` the optimal interpolation with the same modes, which draws
            amplitudes that the observations hardly see towards zero (Beckers et al. 2006).
        filter_strengths: Strengths of the filter of the temporal covariance that are tried, in squares of the shortest
            time step (0 to 0.5; 0 filters nothing); the one with the least cross-validation error is taken.
        samples: Training times that enter the matrix, evenly spread, at most.
        leave_out_days: Training times this near to an observed one are left out; 0 leaves out the same date only.
        refit: Whether the fields of the validation split are used as well; no constant is chosen on it.
    """

    method = "dineof"
    abilities = replace(Peer.abilities, uses_other_times=True, covariates=True)

    def __init__(
        self,
        anomaly: str = "auto",
        max_rank: int = 30,
        cross_validation: str = "gaps",
        mean: str = "filled",
        filter_strengths: Sequence[float] = (0.0, 0.1, 0.3),
        samples: int = 200,
        leave_out_days: float = 0.0,
        refit: bool = True,
    ) -> None:
        self.anomaly = _one_of("anomaly", anomaly, ANOMALIES)
        self.max_rank = max_rank
        self.cross_validation = _one_of("cross_validation", cross_validation, CROSS_VALIDATIONS)
        self.mean = _one_of("mean", mean, MEANS)
        self.filter_strengths = tuple(float(s) for s in filter_strengths)
        self.samples = samples
        self.leave_out_days = leave_out_days
        self.refit = refit
        if max_rank < 1 or samples < 1:
            raise ConfigurationError(f"Found max_rank={max_rank} and samples={samples}: expected 1 or more of both.")
        if not self.filter_strengths or not all(0 <= s <= 0.5 for s in self.filter_strengths):
            raise ConfigurationError(f"Found filter_strengths={filter_strengths}: expected one or more from 0 to 0.5.")

    def fit(self, data: TrainingData, *, seed: int = 0) -> None:
        """Keeps the anomalies of the archive; modes, rank and filter are found together with the observations.

        Raises:
            DataError: the archive lacks a variable or a time axis.
        """
        self.seed = seed
        times = fitting_times(data, refit=self.refit)
        days = time_days(data.archive.dataset["time"].isel(time=times))
        season = self.anomaly == "season" or (self.anomaly == "auto" and np.ptp(days) >= 2 * 365)
        self.background = _background(data, times, season=season)
        chosen = spread_over(times, self.samples)
        fields = data.archive.dataset.isel(time=chosen)
        rows = self._rows({n: self.background.anomaly(fields[n], n) for n in self.background.variables})
        if season:
            dates = data.archive.dataset["time"]
            rows = rows * (left_out_factor(dates, times, chosen) if is_monthly(dates) else np.ones(chosen.size))
        self._scale = self._spread(rows)
        self._archive = (rows / self._scale[:, None]).astype(np.float32)
        self._days = time_days(fields["time"])

    def estimate(self, observations: xr.Dataset, *, members: int, seed: int) -> dict[str, Estimate]:
        """All observed times at once."""
        times = observations[self.background.targets[0]]["time"]
        columns, errors = self._observed(observations)
        days = time_days(times)
        far = np.abs(self._days[:, None] - days).min(axis=1) > self.leave_out_days
        all_days = np.concatenate([self._days[far], days])
        order = np.argsort(all_days, kind="stable")
        position = np.argsort(order)[int(far.sum()) :]
        matrix = np.concatenate([self._archive[:, far], columns], axis=1)[:, order]
        result, model = self._solve(matrix, all_days[order], position)
        drawn = np.zeros((2 + members, *columns.T.shape), dtype=np.float32)
        for t, (p, stamp) in enumerate(zip(position, time_stamps(times), strict=True)):
            seen, noise = np.isfinite(columns[:, t]), errors[:, t]
            amplitude, covariance = model.posterior(seen, columns[:, t] - result.mean, noise**2)
            mean = result.filled[:, p] if self.mean == "filled" else model.loadings @ amplitude + result.mean
            drawn[0, t] = np.where(seen, columns[:, t], mean)
            drawn[1, t] = np.where(seen, noise, np.sqrt(model.variance(covariance)))
            for m in range(members):
                rng = member_generator(seed, m, stamp)
                departure, error = model.draw(covariance, rng), noise * rng.standard_normal(noise.size)
                drawn[2 + m, t] = drawn[0, t] + np.where(seen, error, departure)
        return self._per_variable(drawn * self._scale.astype(np.float32), observations, seed)

    def _solve(self, matrix: np.ndarray, days: np.ndarray, position: np.ndarray) -> tuple[DineofResult, EofError]:
        """Fills the matrix with the best filter and rank, and calibrates its error.

        Raises:
            DataError: nothing was ever seen.
        """
        seen = np.isfinite(matrix)
        if not seen.any():
            raise DataError("Neither the archive nor the observations hold a single value. Give observations.")
        held_out = self._held_out(seen, position)
        known = bool(held_out.any())
        results = [
            dineof(
                matrix,
                seen,
                rank=None if known else 1,
                max_rank=self.max_rank,
                held_out=held_out,
                time_filter=self._filter(days, strength),
            )
            for strength in self.filter_strengths[: None if known else 1]
        ]
        result = min(results, key=lambda r: float(r.cv_curve.min(initial=np.inf)))
        unaided, filled = result.unaided - result.mean, result.filled - result.mean
        before = EofError.of(unaided, seen & ~held_out, result.rank)
        guess = unaided if self.mean == "filled" else None
        inflation, scale = fit_error_scale(before, np.where(seen, filled, 0.0), seen, held_out, guess)
        model = replace(EofError.of(filled, seen, result.rank), inflation=inflation, scale=scale)
        return result, model

    def _held_out(self, seen: np.ndarray, position: np.ndarray) -> np.ndarray:
        """Points of the cross-validation: (row, time)."""
        rng = np.random.default_rng(0)
        if self.cross_validation == "gaps":
            return borrowed_points(seen, position, rng)
        observed = np.zeros_like(seen)
        observed[:, position] = seen[:, position]
        return random_points(observed, rng)

    def _filter(self, days: np.ndarray, strength: float) -> np.ndarray | None:
        """F for a strength in squares of the shortest step; none where there is nothing to filter."""
        step = np.diff(days).min(initial=np.inf)
        if strength == 0 or not 0 < step < np.inf:
            return None
        return diffusion_filter(days, strength=strength * step**2, iterations=FILTER_STEPS)

    # What the rows are

    def _rows(self, fields: Mapping[str, np.ndarray]) -> np.ndarray:
        """(time, [depth,] lat, lon) of every variable -> (row, time), cells of the domain only."""
        domains = self.background.domains
        return np.concatenate([fields[n][:, domains[n].values].T for n in self.background.variables])

    def _levels(self) -> np.ndarray:
        """The level, counted over all variables, that every row is of."""
        numbers, start = [], 0
        for name in self.background.variables:
            domain = self.background.domains[name].values
            flat = domain.reshape(-1, *domain.shape[-2:])
            numbers.append(np.repeat(np.arange(start, start + len(flat)), flat.sum(axis=(1, 2))))
            start += len(flat)
        return np.concatenate(numbers)

    def _spread(self, rows: np.ndarray) -> np.ndarray:
        """Rms anomaly of the level of every row: (row,); 1 where a level was never seen or never differs."""
        levels = self._levels()
        seen = np.isfinite(rows)
        count = np.bincount(levels, weights=seen.sum(axis=1))
        total = np.bincount(levels, weights=np.square(np.where(seen, rows, 0.0)).sum(axis=1))
        spread = np.sqrt(total / np.maximum(count, 1))
        return np.where(spread > 0, spread, 1.0)[levels]

    def _observed(self, observations: xr.Dataset) -> tuple[np.ndarray, np.ndarray]:
        """Standardised observations, NaN where not seen, and their errors, 0 where none is given: (row, time) each."""
        anomalies, errors = self.background.departures(observations)
        scale = self._scale[:, None]
        return (self._rows(anomalies) / scale).astype(np.float32), self._rows(errors) / scale

    def _per_variable(self, result: np.ndarray, observations: xr.Dataset, seed: int) -> dict[str, Estimate]:
        """Mean, spread and members (each, time, row) -> fields with their season."""
        output: dict[str, Estimate] = {}
        start = 0
        for name in self.background.targets:
            domain = self.background.domains[name].values
            rows = slice(start, start + int(domain.sum()))
            start = rows.stop
            fields = np.zeros((*result.shape[:2], *domain.shape), dtype=np.float32)
            fields[:, :, domain] = result[:, :, rows]
            times = observations[name]["time"]
            beyond = observed_domain(self.background, observations, name) & ~domain
            if beyond.any():  # where the archive says nothing: the season, and the spread of the whole variable
                spread = float(np.sqrt(np.mean(self._scale[rows] ** 2)))
                fields[1][:, beyond] = spread
                for t, stamp in enumerate(time_stamps(times)):
                    for m in range(len(fields) - 2):
                        rng = member_generator(seed, m, stamp, name)
                        fields[2 + m, t, beyond] = spread * rng.standard_normal(int(beyond.sum()))
            season = self.background.mean(name, times)
            output[name] = Estimate(fields[0] + season, fields[1], fields[2:] + season)
        return output

    # What is kept

    def _remember(self) -> Remembered:
        return {"archive": self._archive, "days": self._days, "scale": self._scale}, {}

    def _recall(self, arrays: Mapping[str, np.ndarray], extra: Mapping[str, Any]) -> None:
        self._archive, self._days, self._scale = arrays["archive"], arrays["days"], arrays["scale"]


def borrowed_points(
    seen: np.ndarray, observed: np.ndarray, rng: np.random.Generator, *, share: float = 0.1
) -> np.ndarray:
    """Points for a cross-validation: well covered times are hidden as the observed times are.

    The times are those of most data, and the latest of equals: a run of neighbours, none of which gives the other away.

    Arguments:
        seen: Where there are data (space, time), boolean.
        observed: Times whose gaps are lent.
        rng: The only source of chance: who gets whose gaps.
        share: Part of all data that is held out, at most, once one time is hidden.

    Returns:
        Boolean (space, time); as many times as were observed, at most, each of which keeps some of its data.
    """
    held_out = np.zeros_like(seen)
    donors = rng.permutation([t for t in observed if not seen[:, t].all()])
    coverage = seen.sum(axis=0)
    order = np.lexsort((-np.arange(coverage.size), -coverage))
    used = 0
    for t in order:
        points = (seen[:, t] & ~seen[:, d] for d in np.roll(donors, -used))
        fitting = next((p for p in points if 0 < p.sum() < coverage[t]), None)
        if fitting is None:
            continue
        if used == len(observed) or (used and held_out.sum() + fitting.sum() > share * coverage.sum()):
            break
        held_out[:, t] = fitting
        used += 1
    return held_out


def _background(data: TrainingData, times: np.ndarray, *, season: bool) -> Background:
    """Season of every cell, or one number per level."""
    background = Background.fit(data, times, covariates=True)
    if season:
        return background
    levels: dict[str, MonthlyClimatology] = {}
    for name, climatology in background.climatologies.items():
        field = canonical(data.archive.dataset[name].isel(time=times)).where(background.domains[name])
        mean = field.mean(("time", "lat", "lon"), dtype=np.float64).fillna(0.0)
        levels[name] = MonthlyClimatology(
            (xr.zeros_like(climatology.mean) + mean).astype(np.float32).transpose(*climatology.mean.dims), stepwise=True
        )
    return replace(background, climatologies=levels)


def _one_of(name: str, value: str, allowed: tuple[str, ...]) -> str:
    if value not in allowed:
        raise ConfigurationError(f"Unknown {name} {value!r}: {suggest(str(value), allowed)}")
    return value

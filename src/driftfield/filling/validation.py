"""What every method makes of blocks that are hidden from it, and how far it is off.

    hidden     blocks as wide as the gaps of the record (`data.masks.alike`), on dates that have gaps
    error      e = mean - y, spread s, distance d to the nearest visible cell                    one row per hidden cell
    spread     s' = a s, so that 90 % of the errors lie within 1.645 s'; of a method without a spread it is that of errors
               at the same distance

Nothing of what is hidden enters a fit. The scores say how the method does at a gap like those of the record.
"""

__all__ = [
    "Scores",
    "Withheld",
    "choose",
    "refitted",
    "score",
    "validate",
    "withhold",
]

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from driftfield.data.masks.alike import AlikeGaps, deep_gap, distance_to_seen
from driftfield.data.splits import spread_over
from driftfield.errors import DataError
from driftfield.filling.methods import Method
from driftfield.filling.record import Record
from driftfield.filling.spread import BAND, Distances, Factors, Spread
from driftfield.gaussian.tuning import gaussian_crps
from driftfield.interfaces import Reconstructor
from driftfield.peers.kriging import Kriging
from driftfield.peers.optimal_interpolation import OptimalInterpolation
from driftfield.peers.space_time import SpaceTimeOptimalInterpolation
from driftfield.peers.vector_kriging import VectorKriging


@dataclass(frozen=True)
class Withheld:
    """Cells that the methods do not see.

    Arguments:
        visible: The record without them.
        hidden: Boolean (time, [depth,] lat, lon).
        times: Dates that are scored.
        truth: Values of the hidden cells of these dates (cell,), as they are filled.
        distance: To the nearest visible cell of the same date, in cells.
    """

    visible: Record
    hidden: np.ndarray
    times: np.ndarray
    truth: np.ndarray
    distance: np.ndarray

    @property
    def scored(self) -> np.ndarray:
        """The hidden cells of the scored dates: boolean (time, [depth,] lat, lon)."""
        mask = np.zeros_like(self.hidden)
        mask[self.times] = self.hidden[self.times]
        return mask


@dataclass(frozen=True)
class Scores:
    """How a method did on the hidden cells, in the units in which the field is filled.

    Arguments:
        label: Of the method.
        rmse, crps: Mean over the hidden cells.
        coverage: Share of the errors within the 90 % interval.
        error, sd: Of every hidden cell, the spread as it holds.
        spread: How that came about.
        seconds: What it took.
        fitted: The method as it was fitted to the visible cells.
    """

    label: str
    rmse: float
    crps: float
    coverage: float
    error: np.ndarray
    sd: np.ndarray
    spread: Spread
    seconds: float
    fitted: Any


def withhold(record: Record, *, seed: int, share: float = 0.2, most: int = 8, depth: float = 0.0) -> Withheld:
    """Hides blocks on some dates, and on the dates around them.

    Arguments:
        record: What was seen.
        seed: Of what is hidden.
        share: Of the seen cells of a date.
        most: Dates that are scored.
        depth: Radius in cells of a disc that is hidden of every scored date besides.

    Raises:
        DataError: there is too little to hide anything.
    """
    seen = record.seen
    gaps = AlikeGaps.of(seen, record.domain.values, periodic=record.periodic, share=share, seed=seed)
    flat = seen.reshape(len(seen), -1)[:, record.domain.values.ravel()]
    gappy = np.flatnonzero(flat.any(axis=1) & ~flat.all(axis=1))
    times = spread_over(gappy if gappy.size else np.flatnonzero(flat.any(axis=1)), most)
    near = np.arange(len(seen))
    near = near[(np.abs(near[:, None] - times) <= 12).any(axis=1)]
    near = np.intersect1d(near, gappy) if gappy.size else near
    hidden = np.zeros(seen.shape, dtype=bool)
    hidden[near] = gaps.hide(seen[near], np.random.default_rng(np.random.SeedSequence([seed, 5])))
    if depth > 0:
        rng = np.random.default_rng(np.random.SeedSequence([seed, 6]))
        for t in times:
            hidden[t] |= deep_gap(seen[t], depth, rng)
    times = times[hidden[times].reshape(len(times), -1).any(axis=1)]
    if not times.size:
        raise DataError(
            f"{int(seen.sum())} values of {record.name} are too few to hide some and see which method finds them. "
            "Take more dates or a larger region, or name a method with --method."
        )
    visible = record.without(hidden)
    distance = [distance_to_seen(visible.seen[t], periodic=record.periodic)[hidden[t]] for t in times]
    return Withheld(visible, hidden, times, record.field.values[times][hidden[times]], np.concatenate(distance))


def validate(method: Method, folds: Sequence[Withheld], weights: np.ndarray, *, seed: int) -> Scores:
    """Fits a method to the visible cells of every fold and scores it on the hidden ones, which have weights.

    The constants of a method that tunes some are those of the first fold; a dozen numbers know nothing of a hidden cell.
    """
    began = time.perf_counter()
    fitted = method.fitted_to(folds[0].visible, seed=seed)
    parts = [predict(fitted, folds[0], seed=seed)]
    for fold in folds[1:]:
        parts.append(predict(refitted(fitted, method, fold.visible, seed=seed), fold, seed=seed))
    error = np.concatenate([mean - fold.truth for (mean, _), fold in zip(parts, folds, strict=True)])
    spreads = [sd for _, sd in parts if sd is not None]
    sd = np.concatenate(spreads) if len(spreads) == len(parts) else None
    distance = np.concatenate([fold.distance for fold in folds])
    seconds = time.perf_counter() - began
    return score(method.label, error, sd, distance, weights, seconds=seconds, fitted=fitted)


def refitted(fitted: Reconstructor, method: Method, record: Record, *, seed: int) -> Reconstructor:
    """The method on another record of the same grid; constants that were tuned stay."""
    data = record.training(validation=method.validation, vector=method.vector)
    if isinstance(fitted, Kriging | OptimalInterpolation):
        return fitted.continued(data)
    if isinstance(fitted, SpaceTimeOptimalInterpolation):
        return fitted.refitted(data, np.union1d(data.train, data.validation).astype(int), seed=seed)
    return method.fitted_to(record, seed=seed)


def predict(fitted: Reconstructor, withheld: Withheld, *, seed: int) -> tuple[np.ndarray, np.ndarray | None]:
    """Mean and spread of the hidden cells of the scored dates (cell,)."""
    record, times = withheld.visible, withheld.times
    mask = withheld.hidden[times]
    if isinstance(fitted, Kriging | SpaceTimeOptimalInterpolation):
        observations = record.observations(vector=isinstance(fitted, VectorKriging))
        mean, sd = fitted.estimate_cells(observations, record.name, withheld.scored)
        return mean[times][mask], sd[times][mask]
    if fitted.abilities.uses_other_times:
        result = fitted.reconstruct(record.observations(), members=1, seed=seed).isel(time=times)
    else:
        result = fitted.reconstruct(record.observations(times), members=1, seed=seed)
    spread = result.get(f"{record.name}_sd")
    mean = result[record.name].values[mask]
    # what a method leaves empty is filled with the mean of what was seen, and scored so
    if not np.isfinite(mean).all() and record.seen.any():
        mean = np.where(np.isfinite(mean), mean, record.field.values[record.seen].mean())
    return mean, None if spread is None else np.nan_to_num(spread.values[mask])


def score(
    label: str,
    error: np.ndarray,
    sd: np.ndarray | None,
    distance: np.ndarray,
    weights: np.ndarray | None = None,
    *,
    seconds: float = 0.0,
    fitted: Any = None,
) -> Scores:
    """Scores of some errors, once the spread holds; every cell counts as much as the next one if no weights are named."""
    weights = np.ones(error.size) if weights is None else weights
    typical = float(np.sqrt(np.mean(error**2))) or 1e-9
    # a spread that is nothing in some gaps is none
    stated = sd is not None and bool(np.mean(sd > 0.02 * typical) > 0.95)
    distances = None if stated else Distances.fit(error, distance)
    raw = np.maximum(sd if stated else distances(distance), 0.02 * typical)  # type: ignore[misc, arg-type]
    factors = Factors.fit(np.abs(error) / raw, distance, weights)
    holds = np.maximum(factors(distance) * raw, 1e-9)
    return Scores(
        label=label,
        rmse=float(np.sqrt(np.average(error**2, weights=weights))),
        crps=float(np.average(gaussian_crps(error, holds), weights=weights)),
        coverage=float(np.average(np.abs(error) <= BAND * holds, weights=weights)),
        error=error,
        sd=holds,
        spread=Spread(factors, distances),
        seconds=seconds,
        fitted=fitted,
    )


def choose(scores: list[Scores], *, gain: float = 0.04) -> Scores:
    """The method of least CRPS; one that does not know its own spread has to be better by `gain` than those that do."""
    return min(scores, key=lambda s: s.crps * (1.0 if s.spread.distances is None else 1.0 + gain))

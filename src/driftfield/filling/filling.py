"""The main job in one call: hide, try, choose, fit the best to everything, fill.

    record -> withhold -> validate every method -> best (or a blend of two) -> refitted -> mean, spread, members of every date

What was observed without an error stays as it is; every other cell of the domain gets a mean and a spread.
"""

__all__ = ["Filled", "fill_record"]

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import xarray as xr
from scipy.ndimage import gaussian_filter

from driftfield.data.masks.alike import distance_to_seen
from driftfield.errors import DataError, UserError
from driftfield.filling.methods import REFERENCES, Knowledge, Method, methods_for, named
from driftfield.filling.record import Record
from driftfield.filling.validation import Blend, Scores, Spread, Withheld, blend, choose, refitted, validate, withhold
from driftfield.interfaces import Reconstructor
from driftfield.peers.base import member_generator, time_stamps
from driftfield.peers.kriging import Kriging
from driftfield.reconstruction.output import Estimate, assemble

log = logging.getLogger(__name__)

_FEW = 30
"""Hidden values below which scores say little."""

_DEEP = 0.01
"""Share of the missing cells that may lie deeper in a gap than all hidden ones and is not said."""

Progress = Callable[[str, float], None]
"""Is told what is being done, and which share of the whole is done."""


@dataclass(frozen=True)
class Filled:
    """A record with its gaps filled.

    Arguments:
        dataset: `<variable>`, `<variable>_sd`, and `<variable>_member` where asked for; all dates of the record.
        record: What was filled.
        chosen: Label of the method.
        method: The method; of a blend the one with the larger weight.
        scores: Of everything that was tried, the best first.
        failed: Why a method could not be tried, by label.
        lines: What a user should know, one sentence each.
    """

    dataset: xr.Dataset
    record: Record
    chosen: str
    method: Method
    scores: tuple[Scores, ...]
    failed: dict[str, str]
    lines: tuple[str, ...]


def fill_record(
    record: Record,
    *,
    method: str | None = None,
    knowledge: Knowledge | None = None,
    members: int = 0,
    seed: int = 0,
    progress: Progress = lambda what, share: None,
) -> Filled:
    """Fills a record by the method that finds hidden blocks of it best.

    Arguments:
        record: What was seen.
        method: The one to use; the others are tried all the same, for the table. Chosen if not given.
        knowledge: What is known of the covariance.
        members: Size of the ensemble that is written; none by default.
        seed: Of what is hidden and of the members.
        progress: Is told how far it is.

    Raises:
        ConfigurationError: an unknown method.
        DataError: too little was seen, or no method could be fitted.
    """
    knowledge = Knowledge() if knowledge is None else knowledge
    folds = [withhold(record, seed=seed + k) for k in range(3 if record.field.sizes["time"] < 60 else 2)]
    distance = np.concatenate([fold.distance for fold in folds])
    methods = methods_for(record, knowledge)
    asked = None if method is None else named(method, record, knowledge)
    if asked is not None and asked.label not in [m.label for m in methods]:
        methods.append(asked)
    if asked is not None:
        # the references, and what was asked for
        methods = [m for m in methods if m.label in (*REFERENCES, "linear", asked.label)]
    said: set[str] = set()
    with _each_line_once(said):
        scores, failed = _try(methods, folds, seed, progress)
    by_label = {s.label: s for s in scores}
    if not scores or (asked is not None and asked.label not in by_label):
        why = failed.get(asked.label if asked else "", "; ".join(failed.values()))
        raise DataError(f"{asked.label if asked else 'No method'} could not be fitted: {why}")
    pair = None if asked is not None else blend(scores, distance)
    best = pair.scores if pair else by_label[asked.label] if asked else choose(scores)
    known = {m.label: m for m in methods}
    progress(f"filling with {best.label}", 0.8)
    parts = [(pair.first, pair.weight), (pair.second, 1 - pair.weight)] if pair else [(best, 1.0)]
    with _each_line_once(said):
        estimate = _estimate(record, parts, best, known, members, seed)
    dataset = _assembled(record, estimate, best.label, members, seed)
    everything = sorted([*scores, *([pair.scores] if pair else [])], key=lambda s: s.crps)
    leading = max(parts, key=lambda part: part[1])[0]
    lines = (*_lines(record, best, by_label, dataset, pair), *_untested(record, distance))
    progress("done", 1.0)
    return Filled(dataset, record, best.label, known[leading.label], tuple(everything), failed, lines)


@contextmanager
def _each_line_once(said: set[str]) -> Iterator[None]:
    """What the climatology says of the record is said once, however many methods and folds fit it."""

    def is_new(line: logging.LogRecord) -> bool:
        text = line.getMessage()
        new = text not in said
        said.add(text)
        return new

    climatology = logging.getLogger("driftfield.data.climatology")
    climatology.addFilter(is_new)
    try:
        yield
    finally:
        climatology.removeFilter(is_new)


def _try(
    methods: list[Method], folds: list[Withheld], seed: int, progress: Progress
) -> tuple[list[Scores], dict[str, str]]:
    """Scores of all methods that can be fitted, and why the others cannot."""
    scores, failed = [], {}
    # what a method costs, roughly, for the time that is left
    costs = [{"kriging": 10.0, "optimal interpolation": 12.0, "dineof": 4.0}.get(m.label, 1.0) for m in methods]
    for k, method in enumerate(methods):
        progress(f"trying {method.label}", 0.8 * sum(costs[:k]) / sum(costs))
        try:
            scores.append(validate(method, folds, seed=seed))
        except UserError as error:
            failed[method.label] = " ".join(str(error).split())
            log.info("%s: not tried, %s", method.label, failed[method.label])
    return scores, failed


def _estimate(
    record: Record,
    parts: list[tuple[Scores, float]],
    best: Scores,
    known: dict[str, Method],
    members: int,
    seed: int,
) -> Estimate:
    """Weighted mean, spread that holds, and members, as the record is filled."""
    shape = record.field.shape
    mean, sd, variance = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    drawn = np.zeros((members, *shape), dtype=np.float32)
    distance = _distances(record)
    for scores, weight in parts:
        fitted = refitted(scores.fitted, known[scores.label], record, seed=seed)
        m, s, x = _reconstructed(fitted, record, scores.spread, distance, members, seed)
        mean, sd, variance = mean + weight * m, sd + weight * s, variance + (weight * s) ** 2
        drawn += np.float32(weight) * (x - m.astype(np.float32))
    if len(parts) > 1:
        # independent draws of two methods average out: their departures are widened to the spread of the blend
        sd = best.spread(sd, distance)
        drawn *= (sd / np.sqrt(np.maximum(variance, 1e-30))).astype(np.float32)
    kept = record.seen & (_errors(record) == 0) & ~_analysed(parts)
    mean = np.where(kept, record.field.values, mean)
    sd = np.where(kept, 0.0, sd)
    drawn = np.where(kept, 0.0, drawn) + mean.astype(np.float32)
    return Estimate(mean, sd, drawn if members else None)


def _analysed(parts: list[tuple[Scores, float]]) -> bool:
    """Whether the user said that observations have errors, so that they are not kept."""
    return any(isinstance(s.fitted, Kriging) and s.fitted.noise is not None for s, _ in parts)


def _reconstructed(
    fitted: Reconstructor, record: Record, spread: Spread, distance: np.ndarray, members: int, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean, spread that holds and members of all dates with gaps, in the shape of the record; the others are what was seen."""
    shape, name = record.field.shape, record.name
    flat = (record.domain.values & ~record.seen).reshape(len(record.field), -1)
    times = np.flatnonzero(flat.any(axis=1) | (_errors(record) > 0).reshape(len(flat), -1).any(axis=1))
    if isinstance(fitted, Kriging) and fitted.noise is not None:
        times = np.arange(len(flat))
    mean, sd = np.nan_to_num(record.field.values).astype(np.float64), np.zeros(shape)
    drawn = np.zeros((members, *shape), dtype=np.float32) + mean.astype(np.float32)
    if not times.size:
        return mean, sd, drawn
    if fitted.abilities.uses_other_times:
        result = fitted.reconstruct(record.observations(), members=max(1, members), seed=seed).isel(time=times)
    else:
        result = fitted.reconstruct(record.observations(times), members=max(1, members), seed=seed)
    mean[times] = np.nan_to_num(result[name].values)
    stated = np.nan_to_num(result[f"{name}_sd"].values) if f"{name}_sd" in result else None
    sd[times] = spread(stated, distance[times])
    if members:
        ensemble = np.nan_to_num(result[f"{name}_member"].values)
        if len(ensemble) == members and stated is not None and spread.distances is None:
            centre = mean[times].astype(np.float32)
            drawn[:, times] = centre + np.float32(spread.factor) * (ensemble - centre)
        else:
            drawn[:, times] = mean[times] + _noise(record, times, members, seed, distance) * sd[times]
    return mean, sd, drawn


def _noise(record: Record, times: np.ndarray, members: int, seed: int, distance: np.ndarray) -> np.ndarray:
    """Unit fields as smooth as the gaps are wide: members of a method that has none of its own (member, time, ...)."""
    missing = distance[times][(record.domain.values & ~record.seen)[times]]
    width = float(np.clip(np.median(missing) if missing.size else 1.0, 0.5, 30.0))
    stamps = time_stamps(record.field["time"].isel(time=times))
    fields = np.zeros((members, len(times), *record.field.shape[1:]), dtype=np.float32)
    mode = ["reflect", "wrap" if record.periodic else "reflect"]
    for m in range(members):
        for t, stamp in enumerate(stamps):
            white = member_generator(seed, m, stamp, record.name).standard_normal(record.field.shape[1:])
            smooth = gaussian_filter(
                white, (*[0.0] * (white.ndim - 2), width, width), mode=["reflect"] * (white.ndim - 2) + mode
            )
            fields[m, t] = smooth / max(float(smooth.std()), 1e-12)
    return fields


def _distances(record: Record) -> np.ndarray:
    """Of every cell to the nearest one that was seen on its date, in cells."""
    return np.stack([distance_to_seen(seen, periodic=record.periodic) for seen in record.seen])


def _errors(record: Record) -> np.ndarray:
    """Stated observation errors, 0 where none is."""
    if record.error is None:
        return np.zeros(record.field.shape)
    return np.broadcast_to(np.nan_to_num(record.error.values), record.field.shape)


def _assembled(record: Record, estimate: Estimate, label: str, members: int, seed: int) -> xr.Dataset:
    """In units of the file, observed cells exactly as they were."""
    stated = record.quantity.back(estimate)
    assert stated.mean is not None and stated.sd is not None  # noqa: PT018 - every method here states both
    exact = (estimate.sd == 0) & record.seen
    mean = np.where(exact, record.original.values, stated.mean)
    drawn = None if stated.members is None else np.where(exact, record.original.values, stated.members)
    observations = record.original.to_dataset().assign(domain=record.domain)
    result = assemble(
        observations, {record.name: Estimate(mean, stated.sd, drawn)}, method=label, seed=seed, members=members
    )
    return result if record.dated else result.isel(time=0, drop=True)


def _untested(record: Record, hidden: np.ndarray) -> list[str]:
    """What the hidden blocks do not show: too few of them, or missing cells that lie deeper in a gap (distances in cells)."""
    lines = []
    if hidden.size < _FEW:
        lines.append(
            f"only {hidden.size} values were hidden: neither the choice of the method nor its spread is tested by so few"
        )
    missing = _distances(record)[record.domain.values & ~record.seen]
    beyond = missing > hidden.max()
    # a date without any observation is said by a line of its own
    deepest = missing[np.isfinite(missing)].max(initial=0.0)
    if np.isfinite(missing[beyond]).any() and beyond.mean() > _DEEP:
        lines.append(
            f"{beyond.mean():.0%} of the missing cells lie farther from what was seen (up to {deepest:.0f} "
            f"cells) than any that was hidden ({hidden.max():.0f}): neither their values nor their spread is tested"
        )
    return lines


def _lines(
    record: Record, best: Scores, scores: dict[str, Scores], dataset: xr.Dataset, pair: Blend | None
) -> tuple[str, ...]:
    """What a user should know."""
    lines = []
    if pair is not None:
        lines.append(
            f"{best.label} are blended, {pair.weight:.0%} and {1 - pair.weight:.0%}: together they miss less than either"
        )
    for label in REFERENCES:
        if label in scores and label != best.label and scores[label].rmse <= best.rmse:
            lines.append(
                f"{best.label} has no lower error than the {label} on the hidden blocks ({best.rmse:.3g} against "
                f"{scores[label].rmse:.3g}): the observations say little of the gaps, or this is not their method"
            )
    unseen = [k for k, seen in enumerate(record.seen) if not seen.any()]
    if unseen:
        stamps = ", ".join(str(record.field["time"].values[k])[:16] for k in unseen[:5])
        lines.append(f"{len(unseen)} date(s) without any observation are filled from the others: {stamps}")
    kept = int(record.seen.sum()) if record.error is None else 0
    if kept:
        lines.append("what was observed is kept as it is, with spread 0: --noise SD says that it has errors")
    missing = record.domain.values & ~record.seen
    estimated = missing | (np.nan_to_num(dataset[f"{record.name}_sd"].values).reshape(missing.shape) > 0)
    share = float(estimated.sum()) / max(int(record.domain.sum()) * len(record.seen), 1)
    if share:
        lines.append(f"{share:.0%} of the domain is estimated, every cell of it has a value and a spread")
    else:
        lines.append(
            "nothing is missing: the field is written as it came. --domain FILE names cells that are to be filled"
        )
    return tuple(lines)

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

from driftfield.errors import DataError, UserError
from driftfield.filling.depth import alike, deepest, draw_in, missing_distances, shrunk
from driftfield.filling.estimation import errors_of, estimated, without_holes
from driftfield.filling.methods import ANY_FIELD, REFERENCES, Knowledge, Method, methods_for, named
from driftfield.filling.record import Record
from driftfield.filling.remarks import remarks
from driftfield.filling.validation import Scores, Withheld, blend, choose, validate, withhold
from driftfield.reconstruction.output import Estimate, assemble

log = logging.getLogger(__name__)

AS_OBSERVED = "as observed"
"""What the method is called where nothing is to be filled."""

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
    if record.error is None and knowledge.noise is None and record.seen[:, record.domain.values].all():
        return _complete(record, method, knowledge, members, seed)
    try:
        folds, weights = _folds(record, seed)
    except DataError as error:
        if method is not None or knowledge.arguments:
            raise
        return _untried(record, members, seed, str(error))
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
        scores, failed = _try(methods, folds, weights, seed, progress)
    by_label = {s.label: s for s in scores}
    if not scores or (asked is not None and asked.label not in by_label):
        why = failed.get(asked.label if asked else "", "; ".join(failed.values()))
        raise DataError(f"{asked.label if asked else 'No method'} could not be fitted: {why}")
    pair = None if asked is not None else blend(scores, distance, weights)
    best = pair.scores if pair else by_label[asked.label] if asked else choose(scores)
    drawn = None if asked is not None else draw_in(best, by_label, distance, weights)
    known = {m.label: m for m in methods}
    progress(f"filling with {best.label}", 0.8)
    parts = [(pair.first, pair.weight), (pair.second, 1 - pair.weight)] if pair else [(best, 1.0)]
    with _each_line_once(said):
        estimate, empty = without_holes(record, estimated(record, parts, best, known, members, seed), seed)
        if drawn is not None:
            estimate = shrunk(estimate, drawn, record, known[drawn.reference.label], seed)
            best = drawn.scores
    dataset = _assembled(record, estimate, best.label, members, seed)
    everything = [best, *(s for s in scores if s.label != best.label)]
    everything.sort(key=lambda s: s.crps)
    leading = max(parts, key=lambda part: part[1])[0]
    lines = remarks(record, best, by_label, dataset, pair, drawn, distance)
    if empty:
        lines += (f"{best.label} leaves {empty} cells of the domain empty: they are given the mean of what was seen",)
    progress("done", 1.0)
    return Filled(dataset, record, best.label, known[leading.label], tuple(everything), failed, lines)


def _complete(record: Record, method: str | None, knowledge: Knowledge, members: int, seed: int) -> Filled:
    """A record without a gap, and without a word of errors: as it came, and nothing is tried."""
    log.warning("%s has no gap in %s: it is written as it came, no method was tried", record.name, record.source)
    mean, sd = record.field.values.astype(np.float64), np.zeros(record.field.shape)
    drawn = np.zeros((members, *mean.shape), dtype=np.float32) + mean.astype(np.float32) if members else None
    dataset = _assembled(record, Estimate(mean, sd, drawn), AS_OBSERVED, members, seed)
    lines = (
        "nothing is missing: the field is written as it came. --domain FILE names cells that are to be filled, --noise SD "
        "says that what was observed has errors",
    )
    return Filled(dataset, record, AS_OBSERVED, named(method or "kriging", record, knowledge), (), {}, lines)


def _folds(record: Record, seed: int) -> tuple[list[Withheld], np.ndarray]:
    """What is hidden, and the weights of the hidden cells; discs, too, where the gaps of the file are deeper than blocks."""
    count = 3 if record.field.sizes["time"] < 60 else 2
    folds = [withhold(record, seed=seed)]
    missing = missing_distances(record)
    depth = deepest(missing)
    if depth <= 1.2 * deepest(folds[0].distance):
        depth = 0.0
    folds += [withhold(record, seed=seed + k, depth=depth) for k in range(1, count)]
    return folds, alike(np.concatenate([fold.distance for fold in folds]), missing)


def _untried(record: Record, members: int, seed: int, why: str) -> Filled:
    """Too few values to hide some: the network that comes with the package fills the record, and nothing of it is tested."""
    log.warning("%s Filled by shipped:%s, untested.", why, ANY_FIELD.shipped)
    result = ANY_FIELD.build().reconstruct(record.observations(), members=max(2, members), seed=seed)
    mean, sd = (result[label].values.astype(np.float64) for label in (record.name, f"{record.name}_sd"))
    exact = record.seen & (errors_of(record) == 0)
    mean, sd = np.where(exact, record.field.values, mean), np.where(exact, 0.0, sd)
    drawn = np.where(exact, record.field.values, result[f"{record.name}_member"].values)[:members] if members else None
    estimate, _ = without_holes(record, Estimate(mean, sd, drawn), seed)
    dataset = _assembled(record, estimate, ANY_FIELD.label, members, seed)
    line = (
        f"{int(record.seen.sum())} values are too few to hide some and see which method finds them: shipped:{ANY_FIELD.shipped}, "
        "a network that has seen random worlds and nothing of this one, fills the file. Neither values nor spread are tested"
    )
    return Filled(dataset, record, ANY_FIELD.label, ANY_FIELD, (), {}, (line,))


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
    methods: list[Method], folds: list[Withheld], weights: np.ndarray, seed: int, progress: Progress
) -> tuple[list[Scores], dict[str, str]]:
    """Scores of all methods that can be fitted, and why the others cannot."""
    scores, failed = [], {}
    # what a method costs, roughly, for the time that is left
    heavy = {"kriging": 10.0, "optimal interpolation": 12.0, "dineof": 4.0, "space-time interpolation": 30.0}
    costs = [heavy.get(m.label, 1.0) for m in methods]
    for k, method in enumerate(methods):
        progress(f"trying {method.label}", 0.8 * sum(costs[:k]) / sum(costs))
        try:
            scores.append(validate(method, folds, weights, seed=seed))
        except UserError as error:
            failed[method.label] = " ".join(str(error).split())
            log.info("%s: not tried, %s", method.label, failed[method.label])
    return scores, failed


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

"""The main job in one call: hide, try, choose, fit the best to everything, fill.

    record -> withhold -> validate every method -> best (or a blend) -> refitted -> mean, spread, members of every date

What was observed without an error stays as it is; every other cell of the domain gets a mean and a spread.
"""

__all__ = ["Filled", "fill_record"]

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import xarray as xr

from driftfield.errors import DataError
from driftfield.filling.blending import Blend, blend
from driftfield.filling.depth import DrawnIn, alike, deepest, draw_in, missing_distances, shrunk
from driftfield.filling.estimation import errors_of, estimated, without_holes
from driftfield.filling.learning import Learning, Learnt, check_worth_learning, learn
from driftfield.filling.methods import ANY_FIELD, REFERENCES, Knowledge, Method, methods_for, named, said_of_knowledge
from driftfield.filling.record import Record
from driftfield.filling.remarks import remarks
from driftfield.filling.trying import each_line_once, try_all
from driftfield.filling.validation import Scores, Withheld, choose, withhold
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
        method: The method; of a blend the one with the largest weight.
        scores: Of everything that was tried, the best first.
        failed: Why a method could not be tried, by label.
        lines: What a user should know, one sentence each.
        learnt: What came of a training, if there was any.
    """

    dataset: xr.Dataset
    record: Record
    chosen: str
    method: Method
    scores: tuple[Scores, ...]
    failed: dict[str, str]
    lines: tuple[str, ...]
    learnt: Learnt | None = None


def fill_record(
    record: Record,
    *,
    method: str | None = None,
    knowledge: Knowledge | None = None,
    members: int = 0,
    learning: Learning | None = None,
    seed: int = 0,
    progress: Progress = lambda what, share: None,
) -> Filled:
    """Fills a record by the method that finds hidden blocks of it best.

    Arguments:
        record: What was seen.
        method: The one to use; the others are tried all the same, for the table. Chosen if not given.
        knowledge: What is known of the covariance.
        members: Size of the ensemble that is written; none by default.
        learning: How long a network may learn what the chosen method leaves; not at all by default.
        seed: Of what is hidden and of the members.
        progress: Is told how far it is.

    Raises:
        ConfigurationError: an unknown method.
        DataError: too little was seen, or no method could be fitted.
    """
    knowledge = Knowledge() if knowledge is None else knowledge
    whole = record.error is None and knowledge.noise is None and bool(record.seen[:, record.domain.values].all())
    if learning is not None:
        check_worth_learning(record, whole=whole)
    if whole:
        return _complete(record, method, knowledge, members, seed)
    try:
        folds, weights = _folds(record, seed)
    except DataError as error:
        if method is not None or knowledge.arguments or learning is not None:
            raise
        return _untried(record, members, seed, str(error))
    methods, asked = _methods(record, method, knowledge)
    said: set[str] = set()
    with each_line_once(said):
        scores, failed = try_all(methods, folds, weights, seed, progress)
    if not scores or (asked is not None and asked.label not in {s.label for s in scores}):
        why = failed.get(asked.label if asked else "", "; ".join(failed.values()))
        raise DataError(f"{asked.label if asked else 'No method'} could not be fitted: {why}")
    known = {m.label: m for m in methods}
    plan = _planned(scores, folds, weights, asked)
    if learning is not None:
        progress(f"learning what {plan.best.label} leaves, for {learning.minutes:g} minutes", 0.8)
        plan = _taught(plan, record, folds[0], weights, scores, known, learning, seed)
    progress(f"filling with {plan.best.label}", 0.8 if learning is None else 0.95)
    with each_line_once(said):
        estimate, empty = without_holes(
            record, estimated(record, plan.parts, plan.together, known, members, seed), seed
        )
        if plan.drawn is not None:
            estimate = shrunk(estimate, plan.drawn, record, known[plan.drawn.reference.label], seed)
    dataset = _assembled(record, estimate, plan.filled_by.label, members, seed)
    lines = _said(plan, record, scores, dataset, folds, empty)
    if plan.learnt is None or not plan.learnt.wins:
        lines += said_of_knowledge(record, knowledge, [known[s.label] for s, _ in plan.parts])
    progress("done", 1.0)
    leading = plan.learnt.method if plan.learnt and plan.learnt.wins else known[plan.parts[0][0].label]
    return Filled(dataset, record, plan.filled_by.label, leading, plan.table(scores), failed, lines, plan.learnt)


@dataclass(frozen=True)
class _Plan:
    """What fills the record.

    Arguments:
        best: Scores of what was chosen.
        parts: Methods and weights that it consists of.
        together: The blend, if it is one.
        drawn: How it is drawn to a reference far from what was seen, if it is.
        learnt: What came of a training, if there was any.
    """

    best: Scores
    parts: list[tuple[Scores, float]]
    together: Blend | None
    drawn: DrawnIn | None
    learnt: Learnt | None = None

    @property
    def filled_by(self) -> Scores:
        """Scores of what stands in the file."""
        return self.best if self.drawn is None else self.drawn.scores

    def table(self, scores: list[Scores]) -> tuple[Scores, ...]:
        """Of everything that was tried on all hidden cells, the best first; what was trained is not of these."""
        trained = self.learnt is not None and self.learnt.wins
        others = [s for s in scores if trained or s.label != self.filled_by.label]
        return tuple(sorted([*others, *([] if trained else [self.filled_by])], key=lambda s: s.crps))


def _methods(record: Record, method: str | None, knowledge: Knowledge) -> tuple[list[Method], Method | None]:
    """What is tried, and what was asked for; then the references and linear interpolation stand beside it alone."""
    methods = methods_for(record, knowledge)
    if method is None:
        return methods, None
    asked = named(method, record, knowledge)
    if asked.label not in [m.label for m in methods]:
        methods.append(asked)
    return [m for m in methods if m.label in (*REFERENCES, "linear", asked.label)], asked


def _planned(scores: list[Scores], folds: list[Withheld], weights: np.ndarray, asked: Method | None) -> _Plan:
    """The best method, or the best together; what was asked for, if anything was."""
    by_label = {s.label: s for s in scores}
    if asked is not None:
        return _Plan(by_label[asked.label], [(by_label[asked.label], 1.0)], None, None)
    distance = np.concatenate([fold.distance for fold in folds])
    draw = np.repeat(np.arange(len(folds)), [fold.truth.size for fold in folds])
    together = blend(scores, distance, weights, draw)
    best = together.scores if together else choose(scores)
    parts = list(together.parts) if together else [(best, 1.0)]
    date = np.concatenate([np.argwhere(fold.scored)[:, 0] for fold in folds])
    return _Plan(best, parts, together, draw_in(best, by_label, distance, weights, draw, date))


def _taught(
    plan: _Plan,
    record: Record,
    fold: Withheld,
    weights: np.ndarray,
    scores: list[Scores],
    known: dict[str, Method],
    learning: Learning,
    seed: int,
) -> _Plan:
    """The plan, with a network in the place of what was chosen where it misses less of the first draw."""
    candidates = [s for s, _ in plan.parts] + sorted(scores, key=lambda s: s.crps)
    able = [
        s
        for s in candidates
        if not known[s.label].vector and s.fitted.abilities.first_guess and s.fitted.abilities.learns
    ]
    base = able[0] if able else candidates[0]
    learnt = learn(
        record, fold, weights[: fold.truth.size], plan.filled_by, (base, known[base.label]), learning, seed=seed
    )
    if not learnt.wins:
        return replace(plan, learnt=learnt)
    return _Plan(learnt.scores, [(learnt.scores, 1.0)], None, None, learnt)


def _said(
    plan: _Plan, record: Record, scores: list[Scores], dataset: xr.Dataset, folds: list[Withheld], empty: int
) -> tuple[str, ...]:
    """What a user should know."""
    distance = np.concatenate([fold.distance for fold in folds])
    by_label = {s.label: s for s in scores}
    lines = remarks(record, plan.filled_by, by_label, dataset, plan.together, plan.drawn, distance)
    if plan.learnt is not None:
        lines = (plan.learnt.said, *lines)
    if empty:
        lines += (
            f"{plan.filled_by.label} leaves {empty} cells of the domain empty: they are given the mean of what was seen",
        )
    return lines


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
    dates = record.field.sizes["time"]
    # a fold of one image is one gap or two, and costs little
    count = 5 if dates < 4 else 3 if dates < 60 else 2
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

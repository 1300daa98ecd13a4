"""Scores every method on the cells that none of them saw.

    scored = domain & held_out & truth is finite        (the same cells for every method)

    truth, observations, {method: reconstruction}  ->  {method: {variable: {score: value, "levels": {metres: {...}},
                                                                                "whole_domain": {score: value}}}}

The overall scores of a variable pool all its cells. A deterministic answer (one member, or no spread) has the CRPS of
its absolute error and neither a spread-skill ratio nor a coverage: they are null, not zero. `spread_bins` holds the
ratio in five bins of spread; a method that states an interval has `interval_coverage` and `interval_width` too.
`whole_domain` has the same scores over every cell of the domain that the truth knows, observed ones too: what a user of the whole
field gets; null where a method left an observed cell empty.
"""

__all__ = [
    "Evaluation",
    "evaluate",
    "write_scores",
]

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import xarray as xr

from driftfield.conventions import domain_of, held_out_of, require, state_variables
from driftfield.errors import DataError
from driftfield.evaluate.alignment import Aligned, align
from driftfield.evaluate.cells import Picker, ScoredCells, cells_of, level_keys, level_slice
from driftfield.evaluate.intervals import FEW, Interval, block_bootstrap
from driftfield.evaluate.scores import ensembles
from driftfield.evaluate.spectra import box_spectra
from driftfield.evaluate.whole import StructureAsked, structure_scores
from driftfield.files import write_text

VariableScores = dict[str, dict[str, object]]
"""{variable: {score: value}}."""

Scores = dict[str, VariableScores]


@dataclass(frozen=True)
class Evaluation:
    """What `evaluate` found.

    Arguments:
        scores: {method: {variable: {score: value, "levels": {metres: {score: value}}, "whole_domain": {score: value}}}};
            null where a score does not exist.
        units: Units by variable.
        names: Long names by variable.
        times: The scored times.
        held_out: Scored cells by variable, and their share of the domain.
        members: Size of the ensemble by method.
        ranks: Rank histogram (frequencies) by method and variable, where there is an ensemble.
        reliability: Spread and error in five bins of spread (`ensembles.spread_skill_bins`) by method and variable.
        spectra: Power spectra by variable and level, one curve per method and the truth.
        attributes: Attributes of the reconstruction files by method.
        notes: What a reader should know.
        intervals: {method: {variable: {"rmse" or "crps": where it may lie}}}, from three dates on (`evaluate.intervals`).
        area_weighted: Whether cells count by their area.
    """

    scores: Scores
    units: dict[str, str]
    names: dict[str, str]
    times: list[str]
    held_out: dict[str, tuple[int, float]]
    members: dict[str, int]
    ranks: dict[str, dict[str, np.ndarray]] = field(default_factory=dict)
    reliability: dict[str, dict[str, xr.Dataset]] = field(default_factory=dict)
    spectra: dict[str, dict[str, xr.Dataset]] = field(default_factory=dict)
    attributes: dict[str, dict[str, str]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    intervals: dict[str, dict[str, dict[str, Interval]]] = field(default_factory=dict)
    area_weighted: bool = False

    @property
    def methods(self) -> list[str]:
        """Names of the methods, in the order in which they were given."""
        return list(self.scores)

    @property
    def variables(self) -> list[str]:
        """Names of the scored variables."""
        return list(self.held_out)


def evaluate(
    truth: xr.Dataset,
    outputs: Mapping[str, xr.Dataset],
    observations: xr.Dataset,
    *,
    variables: Sequence[str] | None = None,
    area_weighted: bool = False,
    structure: StructureAsked | None = None,
) -> Evaluation:
    """Scores reconstructions on held-out cells.

    Arguments:
        truth: Complete fields, canonical.
        outputs: Reconstructions, canonical; the attribute `method` names them, else the key.
        observations: The observation file of the twin experiment, with `held_out` and, if known, `domain`.
        variables: What to score; by default every variable that a method reconstructs and that has held-out cells.
        area_weighted: Weight cells by the cosine of their latitude.
        structure: Asks for the scores of whole fields too, which look at all cells and not at the held-out ones alone.

    Raises:
        DataError: times or cells do not match, a variable is missing, nothing was held out, or a method left a hole.
    """
    aligned = align(truth, outputs, observations)
    notes = list(aligned.notes)
    chosen = _variables(aligned, variables, notes)
    result = Evaluation(
        scores={method: {} for method in aligned.outputs},
        units={name: str(aligned.truth[name].attrs.get("units", "1")) for name in chosen},
        names={name: str(aligned.truth[name].attrs.get("long_name", name)).replace("_", " ") for name in chosen},
        times=aligned.times,
        held_out={},
        members={method: int(dataset.sizes.get("member", 1)) for method, dataset in aligned.outputs.items()},
        attributes={m: {str(k): str(v) for k, v in d.attrs.items()} for m, d in aligned.outputs.items()},
        notes=notes,
        area_weighted=area_weighted,
    )
    for name in chosen:
        _evaluate_variable(aligned, name, result)
    for method, name, found, note in structure_scores(aligned, structure) if structure is not None else ():
        result.scores[method].get(name, {}).update(found)
        notes += [] if note is None else [note]
    return result


def write_scores(evaluation: Evaluation, path: Path) -> None:
    """Writes the scores as JSON, atomically; what is not a finite number becomes null."""
    write_text(path, json.dumps(evaluation.scores, indent=2, allow_nan=False) + "\n")


def _variables(aligned: Aligned, wanted: Sequence[str] | None, notes: list[str]) -> list[str]:
    """The variables to score; all that is wrong with the choice is said here."""
    found = list(dict.fromkeys(name for dataset in aligned.outputs.values() for name in state_variables(dataset)))
    names = found if wanted is None else list(wanted)
    for method, dataset in aligned.outputs.items():
        if wanted is not None:
            require(dataset, names, f"the reconstruction {method!r}")
        elif lacking := [name for name in names if name not in dataset]:
            notes.append(f"{method} does not reconstruct {', '.join(lacking)}.")
    require(aligned.truth, names, "the truth")
    chosen = [n for n in names if n in aligned.observations and held_out_of(aligned.observations, n) is not None]
    if wanted is not None or not chosen:
        unscored = [name for name in names if name not in chosen]
        if unscored or not chosen:
            raise DataError(
                f"The observation file says of no cell of {unscored} that it was held out: expected the variable "
                "'held_out' or '<variable>_held_out'. Make the observations with `driftfield mask`."
            )
    elif unscored := [name for name in names if name not in chosen]:
        notes.append(f"Nothing was held out of {', '.join(unscored)}: not scored.")
    return chosen


def _evaluate_variable(aligned: Aligned, name: str, result: Evaluation) -> None:
    """Adds the scores, histograms and spectra of one variable to `result`."""
    truth = aligned.truth[name]
    held_out, domain = held_out_of(aligned.observations, name), domain_of(aligned.observations, name)
    assert held_out is not None  # `_variables` chose it so
    if domain is None:
        domain = truth.notnull().any("time")
    domain = domain.load()  # small, and asked for again and again
    levels = level_keys(truth)
    masks = [cells_of(truth, domain & held_out, index) for index in range(len(levels))]
    count = sum(int(mask.sum()) for mask in masks)
    if count == 0:
        raise DataError(
            f"No cell of {name!r} is in the domain, held out and known to the truth at the {len(aligned.times)} times "
            f"of "
            "the reconstructions. Check that the observation file belongs to these times."
        )
    everywhere = [cells_of(truth, domain, index) for index in range(len(levels))]
    existing = sum(int(mask.sum()) for mask in everywhere)
    result.held_out[name] = (count, count / existing)
    for method, output in aligned.outputs.items():
        if name not in output:
            continue
        pick = Picker(truth, output, name, domain, area_weighted=result.area_weighted)
        pooled, places = pick.pool(masks)
        if missing := pooled.holes():
            raise DataError(
                f"{name!r} by {method!r} is NaN in {missing} of the {count} cells to score: a reconstruction must "
                "fill its domain. Reconstruct with the domain of the observation file."
            )
        _score_method(pooled, dict(zip(levels, places, strict=True)), method, name, result)
        dates = np.concatenate([np.nonzero(masks[index])[0] for index in range(len(levels)) if masks[index].any()])
        _add_intervals(pooled, dates, method, name, result)
        del pooled
        _score_whole_domain(pick, everywhere, method, name, result)
    _note_intervals(name, len(aligned.times), result)
    _add_spectra(aligned, name, domain, result)


def _score_method(
    pooled: ScoredCells, places: Mapping[str | None, slice], method: str, name: str, result: Evaluation
) -> None:
    """Adds the scores of one method: pooled, by level, and its histograms."""
    kind = pooled.kind
    levels = {
        key: pooled.at(place).scores(kind)
        for key, place in places.items()
        if key is not None and place.start < place.stop
    }
    result.scores[method][name] = {**pooled.scores(kind), "levels": levels}
    if (bins := pooled.bins(kind)) is not None:
        result.reliability.setdefault(method, {})[name] = bins
    if kind == "ensemble" and pooled.members is not None:
        members, true, weights = pooled.members, pooled.truth, pooled.weights
        histogram = ensembles.rank_histogram(members, true, weights=weights)
        result.ranks.setdefault(method, {})[name] = histogram.values


def _score_whole_domain(
    pick: Picker, everywhere: Sequence[np.ndarray], method: str, name: str, result: Evaluation
) -> None:
    """Adds the scores of one method over all cells of the domain, observed ones too."""
    cells, _ = pick.pool(everywhere)
    if holes := cells.holes():
        result.scores[method][name]["whole_domain"] = None
        result.notes.append(
            f"No scores of {name} by {method} over the whole domain: it is NaN in {holes} of {cells.truth.size} cells, "
            "none of them held out."
        )
        return
    result.scores[method][name]["whole_domain"] = cells.scores(cells.kind)


def _add_intervals(cells: ScoredCells, dates: np.ndarray, method: str, name: str, result: Evaluation) -> None:
    """Where RMSE and CRPS of one method may lie, had other dates been scored."""
    kind, intervals = cells.kind, {}
    labels = np.unique(dates)
    order = np.argsort(dates, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(dates[order])) + 1)
    if labels.size < 3:
        return
    weights = np.array([float(g.size if cells.weights is None else cells.weights[g].sum()) for g in groups])
    for score in ("rmse", "crps"):
        means = np.array([cells.at(group).mean_score(score, kind) for group in groups])
        means = means**2 if score == "rmse" else means
        interval = block_bootstrap(means * weights, weights, root=score == "rmse") if np.isfinite(means).all() else None
        if interval is not None:
            intervals[score] = interval
    if intervals:
        result.intervals.setdefault(method, {})[name] = intervals


def _note_intervals(name: str, dates: int, result: Evaluation) -> None:
    """A line per method, and a word where there are few dates."""
    if dates < 3:
        result.notes.append(f"The scores of {name} rest on {dates} date(s): how sure they are cannot be said.")
        return
    fewest = np.inf
    for method, variables in result.intervals.items():
        if name not in variables:
            continue
        ends = [f"{score.upper()} {i.low:.3g} to {i.high:.3g}" for score, i in variables[name].items()]
        fewest = min(fewest, *(i.independent for i in variables[name].values()))
        result.notes.append(f"{name} by {method}: {', '.join(ends)} (90 % of a block bootstrap over {dates} dates).")
    if fewest < FEW:
        result.notes.append(
            f"The scores of {name} rest on few independent dates, about {max(1, round(fewest))} of {dates}: a difference inside "
            "these intervals says little."
        )


def _add_spectra(aligned: Aligned, name: str, domain: xr.DataArray, result: Evaluation) -> None:
    """Spectra at the first, middle and last level of the domain, where a box is large enough."""
    truth = aligned.truth[name]
    levels = level_keys(truth)
    outputs = {method: output for method, output in aligned.outputs.items() if name in output}
    existing = [index for index in range(len(levels)) if bool(level_slice(domain, index).any())]
    for index in sorted({existing[0], existing[len(existing) // 2], existing[-1]}):
        slices = {"truth": level_slice(truth, index)}
        inside = level_slice(domain, index)
        for method, output in outputs.items():
            slices[f"{method}: mean"] = level_slice(output[name], index)
            members = output.get(f"{name}_member")
            if members is not None and members.sizes["member"] > 1:
                slices[f"{method}: members"] = level_slice(members, index)
        for curve in slices.values():
            inside = inside & curve.notnull().all([d for d in curve.dims if d not in ("lat", "lon")])
        try:
            spectra = box_spectra(slices, inside)
        except DataError as error:
            result.notes.append(f"No spectrum of {name} at level {index + 1} of {len(levels)}: {error}")
            continue
        result.spectra.setdefault(name, {})[levels[index] or "surface"] = spectra

"""Scores of whole fields for an evaluation: what is wet, what a coarse cell is, and which dates follow each other.

aligned files  ->  `WholeFields` of every method and surface variable  ->  every registered score of `fields`
"""

__all__ = ["StructureAsked", "structure_scores"]

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite

import numpy as np
import pandas as pd
import xarray as xr

from driftfield.conventions import held_out_of, state_variables
from driftfield.errors import ConfigurationError, suggest
from driftfield.evaluate.alignment import Aligned
from driftfield.evaluate.scores.score import field_scores
from driftfield.evaluate.scores.whole_fields import Ratio, WholeFields


@dataclass(frozen=True)
class StructureAsked:
    """What scores of whole fields need beside the fields.

    Arguments:
        wet: {variable: from which value on it is wet}, of rain.
        width: Fine cells along the edge of a coarse cell, where something was downscaled.
        coarse_wet: {variable: boolean (time, row, column)}: where the coarse field is wet.
        only: Names of the scores; all of whole fields by default.
    """

    wet: Mapping[str, float] = field(default_factory=dict)
    width: float | None = None
    coarse_wet: Mapping[str, np.ndarray] = field(default_factory=dict)
    only: Sequence[str] | None = None


def structure_scores(
    aligned: Aligned, structure: StructureAsked
) -> Iterator[tuple[str, str, dict[str, float | None], str | None]]:
    """(method, variable, {score: value}, note) of every surface variable; figures that are compared stand beside their ratio.

    Raises:
        ConfigurationError: rain that no file has.
    """
    for name in structure.wet:
        for method, output in aligned.outputs.items():
            if name not in output:
                raise ConfigurationError(
                    f"{method} has no variable {name!r} that could be wet: {suggest(name, state_variables(output))}"
                )
    scores = {n: s for n, s in field_scores().items() if structure.only is None or n in structure.only}
    breaks = _breaks(aligned.times)
    for method, output in aligned.outputs.items():
        for name, fields in _whole_fields(aligned, output, structure, breaks).items():
            by_method: dict[str, float | None] = {}
            for label, score in scores.items():
                assert score.fields is not None  # `field_scores` have it
                by_method[label] = _finite(score.fields(fields))
                if isinstance(score.fields, Ratio) and by_method[label] is not None:
                    by_method[f"{label}_made"] = _finite(score.fields.made(fields))
                    by_method[f"{label}_truth"] = _finite(score.fields.truth(fields))
            count, all_cells = int(fields.cells.sum()), fields.cells.size
            note = f"Structure of {name} by {method}: {count} of {all_cells} cells are known at all dates and count."
            yield method, name, by_method, None if count == all_cells else note


def _whole_fields(
    aligned: Aligned, output: xr.Dataset, structure: StructureAsked, breaks: np.ndarray
) -> dict[str, WholeFields]:
    made, true = {}, {}
    for name in state_variables(output):
        if name not in aligned.truth or "depth" in output[name].dims or held_out_of(aligned.observations, name) is None:
            continue
        drawn = output.get(f"{name}_member")
        fields = output[name].expand_dims("member") if drawn is None else drawn
        made[name] = fields.transpose("member", "time", "lat", "lon").values.astype(np.float64)
        true[name] = aligned.truth[name].transpose("time", "lat", "lon").values.astype(np.float64)
    return {
        name: WholeFields(
            members=members,
            truth=true[name],
            breaks=breaks,
            wet=structure.wet.get(name),
            width=structure.width,
            coarse_wet=structure.coarse_wet.get(name),
            beside=tuple((made[other][0], true[other]) for other in made if other != name),
        )
        for name, members in made.items()
    }


def _breaks(times: Sequence[str]) -> np.ndarray:
    """Dates that do not follow the one before: more than one and a half steps later."""
    stamps = pd.to_datetime(list(times), errors="coerce").to_numpy().astype("datetime64[s]").astype(float)
    steps = np.diff(stamps)
    return np.concatenate([[False], steps > 1.5 * np.median(steps)]) if steps.size else np.zeros(1, dtype=bool)


def _finite(value: float) -> float | None:
    return value if isfinite(value) else None

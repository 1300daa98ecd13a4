"""How space-time interpolation finds its constants: coarsely by factors of two, then downhill on all hidden cells.

coarse     `space_time_tuning.coarse`: which structure, and about which lengths and scales
downhill   `gradient_tuning.refine`: all constants at once by their gradient, where a step by factors sees one at a time
score      of both with all observations (`space_time_tuning.evaluate`), which calibrates the spread; the better one stays
"""

__all__ = ["search"]

from collections.abc import Sequence

import numpy as np

from driftfield.gaussian.gradient_tuning import refine
from driftfield.gaussian.hidden_leaves import Task
from driftfield.gaussian.space_time_tuning import SearchReport, SpaceTimeCase, SpaceTimeConstants, coarse, evaluate
from driftfield.gaussian.tuning import Fit

_MOST = 120
"""Neighbours of a leaf while walking: with 60 other constants are best than with all."""

_LEAF = 16
"""Hidden cells that share their neighbours."""


def search(
    cases: Sequence[SpaceTimeCase], *, levels: int, periodic: bool, most: int, start: SpaceTimeConstants | None = None
) -> tuple[SpaceTimeConstants, Fit]:
    """The constants of least score, and what they make of the cases.

    Arguments:
        cases: What is hidden.
        levels: Depths of the field.
        periodic: Whether longitude wraps.
        most: Observations of a leaf.
        start: Constants of nearly the same record: nothing is sought coarsely.
    """
    report = SearchReport()
    if start is None:
        start = coarse(cases, levels=levels, periodic=periodic, most=most, report=report)
    report.stage = "3 of 3: downhill"
    tasks = [
        Task(case.places, case.seen, cells, case.truth[cells])
        for case, cells in zip(cases, map(_cells, cases), strict=True)
    ]
    refined = refine(start, tasks, levels=levels, periodic=periodic, most=min(most, _MOST), size=_LEAF, report=report)
    fits = {c: evaluate(c.covariance, cases, levels=levels, most=most) for c in (start, refined)}
    best = min(fits, key=lambda c: fits[c].score)
    return best, fits[best]


def _cells(case: SpaceTimeCase) -> np.ndarray:
    return np.concatenate(case.groups)

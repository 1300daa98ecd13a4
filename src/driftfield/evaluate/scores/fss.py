"""Fractions skill score: whether near misses count.

FSS = 1 - <(p - q)^2> / (<p^2> + <q^2>)            p, q: shares of values at or above a threshold in a square of cells

Roberts and Lean (2008), doi:10.1175/2007MWR2123.1. The mean over the members.
"""

__all__ = ["fss"]

import numpy as np
from scipy.ndimage import uniform_filter

from driftfield.evaluate.scores.score import Score
from driftfield.evaluate.scores.whole_fields import WholeFields
from driftfield.registry import register

WINDOW = 5
"""Cells along the square."""


def fss(made: np.ndarray, truth: np.ndarray, threshold: float, window: int = WINDOW) -> float:
    """Of fields (..., row, column); 1 is perfect, NaN where nothing reaches the threshold in either.

    Arguments:
        made, truth: Of one shape; what is NaN is no event.
        threshold: Of an event, units of the fields.
        window: Cells along a square.
    """
    size = (0,) * (made.ndim - 2) + (window, window)
    p, q = (uniform_filter((x >= threshold).astype(np.float64), size, mode="constant") for x in (made, truth))
    worst = float(np.mean(p**2) + np.mean(q**2))
    return 1.0 - float(np.mean((p - q) ** 2)) / worst if worst > 0 else float("nan")


def _of_members(fields: WholeFields, threshold: float | None) -> float:
    if threshold is None or not fields.cells.any():
        return float("nan")
    members, truth = (np.where(fields.cells, x, np.nan) for x in (fields.members, fields.truth))
    found = [fss(member, truth, threshold) for member in members]
    return float(np.nanmean(found)) if np.isfinite(found).any() else float("nan")


def fss_wet(fields: WholeFields) -> float:
    """Of what is wet."""
    return _of_members(fields, fields.wet)


def fss_p95(fields: WholeFields) -> float:
    """Of what is above the 95 % quantile of the truth."""
    return _of_members(fields, float(np.quantile(fields.true, 0.95)) if fields.cells.any() else None)


register("score", "fss_wet")(Score("FSS, wet", 1.0, fields=fss_wet))
register("score", "fss_p95")(Score("FSS, P95", 1.0, fields=fss_p95))

"""How long it stays dry, and wet: the longest spell of each cell, averaged, over that of the truth (CDD and CWD of ETCCDI)."""

__all__ = ["longest_spell"]

import numpy as np

from driftfield.evaluate.scores.score import Score
from driftfield.evaluate.scores.whole_fields import Ratio, WholeFields
from driftfield.registry import register


def longest_spell(event: np.ndarray, breaks: np.ndarray | None = None) -> np.ndarray:
    """Dates of the longest uninterrupted run of an event, per cell.

    Arguments:
        event: Boolean (time, ...).
        breaks: Boolean (time,): a date that does not follow the one before it.
    """
    run, longest = np.zeros(event.shape[1:], dtype=int), np.zeros(event.shape[1:], dtype=int)
    for index, now in enumerate(event):
        if breaks is not None and breaks[index]:
            run = np.zeros_like(run)
        run = np.where(now, run + 1, 0)
        longest = np.maximum(longest, run)
    return longest


def dry_spell(values: np.ndarray, fields: WholeFields) -> float:
    """Dates; NaN where nobody says what is wet."""
    return float("nan") if fields.wet is None else float(longest_spell(values < fields.wet, fields.breaks).mean())


def wet_spell(values: np.ndarray, fields: WholeFields) -> float:
    """Dates; NaN where nobody says what is wet."""
    return float("nan") if fields.wet is None else float(longest_spell(values >= fields.wet, fields.breaks).mean())


register("score", "cdd")(Score("CDD / truth", 1.0, fields=Ratio(dry_spell), ratio=True))
register("score", "cwd")(Score("CWD / truth", 1.0, fields=Ratio(wet_spell), ratio=True))

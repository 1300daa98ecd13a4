"""Whether variables belong together as they should: <|r_made - r_truth|> over the cells, r between two variables in time.

Of the first member, and the mean over all other variables of the file.
"""

__all__ = ["correlation_bias"]

import numpy as np

from driftfield.evaluate.scores.score import Score
from driftfield.evaluate.scores.whole_fields import WholeFields
from driftfield.registry import register


def correlation_bias(made: tuple[np.ndarray, np.ndarray], truth: tuple[np.ndarray, np.ndarray]) -> float:
    """Mean absolute difference of the correlation of two variables in time, over the cells where both vary.

    Arguments:
        made, truth: Both variables, (..., row, column) each; all leading axes count as time.
    """
    apart = np.abs(_correlation(*made) - _correlation(*truth))
    return float(np.nanmean(apart)) if np.isfinite(apart).any() else float("nan")


def _correlation(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    x, y = (v.reshape(-1, *v.shape[-2:]).astype(np.float64) for v in (first, second))
    x, y = x - x.mean(axis=0), y - y.mean(axis=0)
    scale = np.sqrt((x**2).mean(axis=0) * (y**2).mean(axis=0))
    return np.where(scale > 0, (x * y).mean(axis=0) / np.where(scale > 0, scale, 1.0), np.nan)


def _of_fields(fields: WholeFields) -> float:
    if not fields.beside or len(fields.truth) < 3:
        return float("nan")
    found = [correlation_bias((fields.members[0], made), (fields.truth, truth)) for made, truth in fields.beside]
    return float(np.mean(found))


register("score", "correlation_bias")(Score("correlation bias", 0.0, fields=_of_fields))

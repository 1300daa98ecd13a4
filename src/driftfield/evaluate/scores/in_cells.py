"""The climate of each cell: how far its mean and its 95 % quantile over the dates are from the truth's, averaged over cells.

<| m_made - m_truth |>            fields that run freely, which share no weather with the truth, are judged by these
"""

__all__ = ["mean_in_cells", "p95_in_cells"]

import numpy as np

from driftfield.evaluate.scores.score import Score
from driftfield.evaluate.scores.whole_fields import WholeFields
from driftfield.registry import register


def mean_in_cells(fields: WholeFields) -> float:
    """Of the means, in units of the field; all members together."""
    if not fields.cells.any():
        return float("nan")
    return float(np.abs(np.mean(fields.each, axis=(0, 1)) - fields.true.mean(axis=0)).mean())


def p95_in_cells(fields: WholeFields) -> float:
    """Of the 95 % quantiles, in units of the field; all members together."""
    if not fields.cells.any():
        return float("nan")
    made = np.quantile(np.concatenate(fields.each), 0.95, axis=0)
    return float(np.abs(made - np.quantile(fields.true, 0.95, axis=0)).mean())


register("score", "mean_in_cells")(Score("mean in a cell", 0.0, fields=mean_in_cells, in_units=True))
register("score", "p95_in_cells")(Score("P95 in a cell", 0.0, fields=p95_in_cells, in_units=True))

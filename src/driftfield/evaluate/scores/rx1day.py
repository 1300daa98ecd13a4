"""The largest value of each cell, averaged over the cells, over that of the truth (Rx1day of ETCCDI, for daily rain)."""

__all__ = ["rx1day"]

import numpy as np

from driftfield.evaluate.scores.score import Score
from driftfield.evaluate.scores.whole_fields import Ratio, WholeFields
from driftfield.registry import register


def rx1day(values: np.ndarray, fields: WholeFields) -> float:
    """Mean over the cells of the largest value."""
    return float(values.max(axis=0).mean())


register("score", "rx1day")(Score("Rx1day / truth", 1.0, fields=Ratio(rx1day), ratio=True))

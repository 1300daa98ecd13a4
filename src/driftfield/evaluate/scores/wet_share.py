"""How often it rains: the share of values at or above what counts as wet, over that of the truth."""

__all__ = ["wet_share"]

import numpy as np

from driftfield.evaluate.scores.score import Score
from driftfield.evaluate.scores.whole_fields import Ratio, WholeFields
from driftfield.registry import register


def wet_share(values: np.ndarray, fields: WholeFields) -> float:
    """Share of wet values; NaN where nobody says what is wet."""
    return float("nan") if fields.wet is None else float((values >= fields.wet).mean())


register("score", "wet_share")(Score("wet share / truth", 1.0, fields=Ratio(wet_share), ratio=True))

"""How much at most: high quantiles of all values, over those of the truth."""

__all__ = ["high_quantile"]

from functools import partial

import numpy as np

from driftfield.evaluate.scores.score import Score
from driftfield.evaluate.scores.whole_fields import Ratio, WholeFields
from driftfield.registry import register


def high_quantile(values: np.ndarray, fields: WholeFields, *, probability: float) -> float:
    """A quantile of all values."""
    return float(np.quantile(values, probability))


for _name, _probability in (("p95", 0.95), ("p99", 0.99), ("p99_9", 0.999)):
    register("score", _name)(
        Score(
            f"P{100 * _probability:g} / truth",
            1.0,
            fields=Ratio(partial(high_quantile, probability=_probability)),
            ratio=True,
        )
    )

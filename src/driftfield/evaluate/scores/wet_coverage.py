"""Coverage of the truth by the 90 % interval where the coarse field is wet: members of a dry coarse cell have no width.

|x - y| < 1.645 sd (1 + 1/M)^(1/2)            x, sd: mean and standard deviation of M members, as `coverage_90`
"""

__all__ = ["wet_coverage"]

import numpy as np

from driftfield.evaluate.scores.score import Score
from driftfield.evaluate.scores.whole_fields import WholeFields
from driftfield.registry import register


def wet_coverage(fields: WholeFields) -> float:
    """Share of the cells and dates that are wet in the coarse field; NaN without members or such cells."""
    if fields.coarse_wet is None or len(fields.members) < 2:
        return float("nan")
    counted = fields.coarse_wet & fields.cells
    if not counted.any():
        return float("nan")
    mean, sd = fields.members.mean(axis=0), fields.members.std(axis=0, ddof=1)
    inside = np.abs(fields.truth - mean) < 1.645 * sd * np.sqrt(1 + 1 / len(fields.members))
    return float(inside[counted].mean())


register("score", "coverage_90_wet")(Score("90 % coverage where wet", 0.9, fields=wet_coverage))

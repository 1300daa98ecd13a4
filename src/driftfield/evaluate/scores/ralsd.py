"""Radially averaged log spectral distance, dB.

RALSD = ( mean over k of (10 log10( P_truth / P_made ))^2 )^(1/2)

Harris et al. (2022), doi:10.1029/2022MS003120. Of the first member.
"""

__all__ = ["ralsd"]

import numpy as np

from driftfield.evaluate.scores.score import Score
from driftfield.evaluate.scores.whole_fields import WholeFields
from driftfield.evaluate.structure import radial_power
from driftfield.registry import register


def ralsd(made: np.ndarray, truth: np.ndarray) -> float:
    """Of fields (..., row, column), 8 x 8 cells or more, without holes."""
    ratio = radial_power(truth)[1] / radial_power(made)[1]
    return float(np.sqrt(np.mean((10 * np.log10(ratio)) ** 2)))


def _of_fields(fields: WholeFields) -> float:
    if not fields.complete or min(fields.truth.shape[-2:]) < 8:
        return float("nan")
    return ralsd(fields.members[0], fields.truth)


register("score", "ralsd_db")(Score("RALSD [dB]", 0.0, fields=_of_fields))

"""The power of small scales as one number: how much of it a field has that no coarse cell could show.

    mean over k > 1/(2 coarse cell) of log10( P_made(k) / P_truth(k) )            0: right; -3: a thousandth of the power

Of the first member: the mean of an ensemble has none of it, and should not.
"""

__all__ = ["spectrum_beyond"]

import numpy as np

from driftfield.errors import DataError
from driftfield.evaluate.scores.score import Score
from driftfield.evaluate.scores.whole_fields import WholeFields
from driftfield.evaluate.structure import radial_power
from driftfield.registry import register


def spectrum_beyond(made: np.ndarray, truth: np.ndarray, width: float) -> float:
    """Mean log10 ratio of power at wavelengths that a coarse grid does not have.

    Arguments:
        made, truth: (..., row, column).
        width: Fine cells along the edge of a coarse cell.

    Raises:
        DataError: no wavenumber lies beyond the coarse grid.
    """
    k, power = radial_power(made)
    beyond = k >= 1 / (2 * width)
    if width <= 1 or not beyond.any():
        raise DataError(
            f"Found coarse cells of {width:g} fine ones: no wavelength lies beyond them. Name a coarser file."
        )
    return float(np.mean(np.log10(power[beyond] / radial_power(truth)[1][beyond])))


def _of_fields(fields: WholeFields) -> float:
    if fields.width is None or not fields.complete or min(fields.truth.shape[-2:]) < 8 or fields.width <= 1:
        return float("nan")
    return spectrum_beyond(fields.members[0], fields.truth, fields.width)


register("score", "log10_spectrum_beyond")(Score("log10 power beyond the coarse cell", 0.0, fields=_of_fields))

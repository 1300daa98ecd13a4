"""Symmetric mean absolute percentage error, for what is not negative.

SMAPE = 100 % < 2 |x - y| / (|x| + |y|) >            0: perfect; 200: nothing in common; 0 / 0 counts as met
"""

__all__ = ["smape"]

from typing import Unpack

import xarray as xr

from driftfield.evaluate.scores.counted import Counted, Over
from driftfield.evaluate.scores.score import Score
from driftfield.registry import register


def smape(estimate: xr.DataArray, truth: xr.DataArray, **over: Unpack[Over]) -> xr.DataArray:
    """In percent, over the cells that count (Makridakis 1993, doi:10.1016/0169-2070(93)90079-3)."""
    counted = Counted.of(estimate, truth=truth, **over)
    x, y = counted.estimates[0], counted.truth
    size = abs(x) + abs(y)
    share = 2.0 * abs(x - y) / size.where(size != 0, 1.0)
    return 100.0 * counted.mean(share)


register("score", "smape")(Score("SMAPE [%]", 0.0, smape))

"""The share of the truth's variance that a field explains.

R2 = 1 - <(x - y)^2> / <(y - <y>)^2>            1: perfect; 0: as good as the mean of the truth; below: worse
"""

__all__ = ["r2"]

from typing import Unpack

import xarray as xr

from driftfield.evaluate.scores.counted import Counted, Over
from driftfield.evaluate.scores.score import Score
from driftfield.registry import register


def r2(estimate: xr.DataArray, truth: xr.DataArray, **over: Unpack[Over]) -> xr.DataArray:
    """Coefficient of determination over the cells that count; NaN where the truth is constant."""
    counted = Counted.of(estimate, truth=truth, **over)
    y = counted.truth
    variance = counted.mean((y - counted.mean(y)) ** 2)
    return 1.0 - counted.mean((counted.estimates[0] - y) ** 2) / variance.where(variance > 0)


register("score", "r2")(Score("R2", 1.0, r2))

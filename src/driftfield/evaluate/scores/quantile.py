"""The quantile score (pinball loss), for those who act on a quantile rather than on the mean.

    QS_p = 2 < (y - q_p) (p - 1{y < q_p}) >           integrated over p it is the CRPS

Of M members q_p lies at place p (M + 1), as in the quantiles that `reconstruct` writes (Hyndman and Fan 1996, definition 6).
Lowest in the mean for the true quantile, of any distribution (Gneiting and Raftery 2007, doi:10.1198/016214506000001437, sec. 6).
"""

__all__ = ["quantile_score", "quantile_score_gaussian"]

from functools import partial
from statistics import NormalDist
from typing import Unpack

import numpy as np
import xarray as xr

from driftfield.evaluate.scores.counted import MEMBER, Counted, Over
from driftfield.evaluate.scores.score import Score
from driftfield.registry import register


def quantile_score(
    members: xr.DataArray, truth: xr.DataArray, *, probability: float, **over: Unpack[Over]
) -> xr.DataArray:
    """Of the quantile of an ensemble, in the units of the field.

    Arguments:
        members: With the dimension `member`.
        truth: What lies below the quantile with this probability.
        probability: Between 0 and 1.
        over: See `counted.Over`.
    """
    counted = Counted.ensemble(members, truth, **over)
    (quantile,) = counted.by_cell(
        lambda x, y: (x.quantile(probability, MEMBER, method="weibull", skipna=False).drop_vars("quantile"),)
    )
    return _pinball(quantile, probability, counted)


def quantile_score_gaussian(
    mean: xr.DataArray, sd: xr.DataArray, truth: xr.DataArray, *, probability: float, **over: Unpack[Over]
) -> xr.DataArray:
    """Of the quantile of a Gaussian; arguments as of `quantile_score`."""
    counted = Counted.of(mean, sd, truth=truth, **over)
    mean, sd = counted.estimates
    return _pinball(mean + NormalDist().inv_cdf(probability) * sd, probability, counted)


def _pinball(quantile: xr.DataArray, probability: float, counted: Counted) -> xr.DataArray:
    away = counted.truth - quantile
    loss = 2 * xr.where(away < 0, (probability - 1) * away, probability * away)
    return counted.mean(loss.where(np.isfinite(away)))


for _percent in (5, 95):
    register("score", f"quantile_{_percent:02d}")(
        Score(
            f"quantile score {_percent} %",
            0.0,
            ensemble=partial(quantile_score, probability=_percent / 100),
            gaussian=partial(quantile_score_gaussian, probability=_percent / 100),
            in_units=True,
        )
    )

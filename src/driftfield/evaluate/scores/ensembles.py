"""Scores of an ensemble x_1 ... x_M, or of a Gaussian (mean, sd), against the truth y.

    fair CRPS      = <1/M sum_i |x_i - y| - 1/(2 M (M - 1)) sum_ij |x_i - x_j|>
    spread-skill   = ((M + 1)/M <var> / <(mean - y)^2>)^(1/2)                                   var with ddof 1
    coverage       = <|mean - y| < z sd (1 + 1/M)^(1/2)>                                        z = 1.645 for 90 %
    energy score                                                                                 in `energy`

<.> is the masked, weighted mean of `counted`. The factor (M + 1)/M makes a perfect ensemble of any
size have the ratio 1: the truth differs from the mean of M members by the spread *and* by the mean's own sampling
error.
"""

__all__ = [
    "coverage",
    "coverage_gaussian",
    "crps_fair",
    "crps_gaussian",
    "energy_score",
    "rank_histogram",
    "spread_bins",
    "spread_skill",
    "spread_skill_bins",
    "spread_skill_bins_gaussian",
    "spread_skill_gaussian",
]

from statistics import NormalDist
from typing import Unpack

import numpy as np
import xarray as xr
from scipy.special import ndtr

from driftfield.errors import DataError
from driftfield.evaluate.scores.counted import MEMBER, Counted, Over
from driftfield.evaluate.scores.deterministic import mae
from driftfield.evaluate.scores.energy import energy_score
from driftfield.evaluate.scores.reliability import spread_bins, spread_skill_bins, spread_skill_bins_gaussian
from driftfield.evaluate.scores.score import Score
from driftfield.registry import register


def crps_fair(members: xr.DataArray, truth: xr.DataArray, **over: Unpack[Over]) -> xr.DataArray:
    """Fair continuous ranked probability score (Ferro 2014, doi:10.1002/qj.2270), in the units of the field.

    Its expectation does not depend on the number of members. One member is a deterministic answer: the score is its
    absolute error.

    Arguments:
        members: Ensemble with the dimension `member`.
        truth: Field without it.
        over: See `counted.Over`.
    """
    counted = Counted.ensemble(members, truth, **over)
    return counted.mean(*counted.by_cell(_crps_of_cells))


def _crps_of_cells(x: xr.DataArray, y: xr.DataArray) -> tuple[xr.DataArray]:
    size = x.sizes[MEMBER]
    score = abs(x - y).mean(MEMBER, skipna=False)
    if size > 1:
        # sum_ij |x_i - x_j| = 2 sum_i (2 i - M - 1) x_(i) of the sorted members, i = 1 ... M
        ordered = xr.apply_ufunc(
            np.sort,
            x,
            input_core_dims=[[MEMBER]],
            output_core_dims=[[MEMBER]],
            dask="parallelized",
            output_dtypes=[np.float64],
        )
        rank = xr.DataArray(2.0 * np.arange(1, size + 1) - size - 1, dims=MEMBER)
        score = score - (ordered * rank).sum(MEMBER, skipna=False) / (size * (size - 1))
    return (score,)


def crps_gaussian(mean: xr.DataArray, sd: xr.DataArray, truth: xr.DataArray, **over: Unpack[Over]) -> xr.DataArray:
    """CRPS of a Gaussian (Gneiting et al. 2005, eq. 5, doi:10.1175/MWR2904.1); the absolute error where sd = 0."""
    counted = Counted.of(mean, sd, truth=truth, **over)
    mean, sd = counted.estimates
    error = counted.truth - mean
    z = error / sd.where(sd != 0)
    density = np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)
    below = xr.apply_ufunc(ndtr, z, dask="parallelized", output_dtypes=[np.float64])
    score = sd * (z * (2 * below - 1) + 2 * density - 1 / np.sqrt(np.pi))
    return counted.mean(score.where(sd != 0, abs(error)))


def spread_skill(members: xr.DataArray, truth: xr.DataArray, **over: Unpack[Over]) -> xr.DataArray:
    """Spread over skill (Fortin et al. 2014, doi:10.1175/JHM-D-14-0008.1): 1 is perfect, below 1 overconfident.

    Raises:
        DataError: there is one member only.
    """
    counted = Counted.ensemble(members, truth, at_least=2, **over)
    variance, error = counted.by_cell(_variance_and_error)
    return _ratio(variance, error, counted)


def _variance_and_error(x: xr.DataArray, y: xr.DataArray) -> tuple[xr.DataArray, xr.DataArray]:
    """What an honest ensemble has for the variance of its error, and the error of its mean."""
    size = x.sizes[MEMBER]
    return x.var(MEMBER, ddof=1, skipna=False) * (size + 1) / size, x.mean(MEMBER, skipna=False) - y


def spread_skill_gaussian(
    mean: xr.DataArray, sd: xr.DataArray, truth: xr.DataArray, **over: Unpack[Over]
) -> xr.DataArray:
    """Spread over skill of a stated standard deviation; there are no members to correct for."""
    counted = Counted.of(mean, sd, truth=truth, **over)
    mean, sd = counted.estimates
    return _ratio(sd**2, mean - counted.truth, counted)


def coverage(
    members: xr.DataArray, truth: xr.DataArray, *, probability: float = 0.9, **over: Unpack[Over]
) -> xr.DataArray:
    """Share of cells whose truth lies in the central interval of this probability, which is the share of a perfect answer.

    The interval is Gaussian around the mean with the width sd (1 + 1/M)^(1/2). Quantiles of the members would be too
    narrow: those between 5 and 95 % of 16 perfect members hold only 80 % of the truths. What remains is
    the sampling error of the sd (Student's t): 16 perfect members cover 87.7 %, 50 of them 89.3 %.

    Raises:
        DataError: there is one member only.
    """
    counted = Counted.ensemble(members, truth, at_least=2, **over)

    def error_and_sd(x: xr.DataArray, y: xr.DataArray) -> tuple[xr.DataArray, xr.DataArray]:
        sd = x.std(MEMBER, ddof=1, skipna=False) * np.sqrt(1 + 1 / x.sizes[MEMBER])
        return x.mean(MEMBER, skipna=False) - y, sd

    error, sd = counted.by_cell(error_and_sd)
    return _covered(error, sd, probability, counted)


def coverage_gaussian(
    mean: xr.DataArray, sd: xr.DataArray, truth: xr.DataArray, *, probability: float = 0.9, **over: Unpack[Over]
) -> xr.DataArray:
    """`coverage` of a stated standard deviation."""
    counted = Counted.of(mean, sd, truth=truth, **over)
    mean, sd = counted.estimates
    return _covered(mean - counted.truth, sd, probability, counted)


def rank_histogram(members: xr.DataArray, truth: xr.DataArray, *, seed: int = 0, **over: Unpack[Over]) -> xr.DataArray:
    """How often the truth has rank 0 ... M among the members; flat, 1/(M + 1), is perfect.

    Ties are broken at random, the same way for every chunking.

    Returns:
        Frequencies (..., rank) that sum to one.
    """
    counted = Counted.ensemble(members, truth, **over)

    def places(x: xr.DataArray, y: xr.DataArray) -> tuple[xr.DataArray, xr.DataArray, xr.DataArray]:
        return (x < y).sum(MEMBER), (x == y).sum(MEMBER), x.isnull().any(MEMBER) | y.isnull()

    below, equal, missing = counted.by_cell(places)
    lot = below.copy(data=np.random.default_rng(seed).random(below.shape))
    rank = below + np.floor(lot * (equal + 1)).astype(int)
    size = members.sizes[MEMBER]
    counts = [counted.mean((rank == r).astype(np.float64).where(~missing)) for r in range(size + 1)]
    return xr.concat(counts, dim=xr.Variable("rank", np.arange(len(counts)))).transpose(..., "rank")


def _ratio(variance: xr.DataArray, error: xr.DataArray, counted: Counted) -> xr.DataArray:
    spread, skill = counted.mean(variance), counted.mean(error**2)
    return (spread / skill.where(skill != 0)) ** 0.5


def _covered(error: xr.DataArray, sd: xr.DataArray, probability: float, counted: Counted) -> xr.DataArray:
    if not 0 < probability < 1:
        raise DataError(
            f"The probability of an interval is {probability}: expected a number between 0 and 1. Pass 0.9 for 90 %."
        )
    z = NormalDist().inv_cdf(0.5 + probability / 2)
    inside = (abs(error) < z * sd).astype(np.float64).where(error.notnull() & sd.notnull())
    return counted.mean(inside)


for _name, _score in {
    "crps": Score(
        "fair CRPS", 0.0, mae, crps_fair, crps_gaussian, in_units=True, headline=True, by_level=True, short="CRPS"
    ),
    "spread_skill": Score(
        "spread / skill",
        1.0,
        short="spread-skill",
        ensemble=spread_skill,
        gaussian=spread_skill_gaussian,
        ratio=True,
        headline=True,
        by_level=True,
    ),
    "coverage_90": Score(
        "90 % coverage", 0.9, ensemble=coverage, gaussian=coverage_gaussian, headline=True, by_level=True
    ),
}.items():
    register("score", _name)(_score)

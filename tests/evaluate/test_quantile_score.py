"""The quantile score is lowest for the true quantile, and its integral is the CRPS."""

from statistics import NormalDist

import numpy as np
import pytest
import xarray as xr

from driftfield.evaluate.scores.ensembles import crps_gaussian
from driftfield.evaluate.scores.quantile import quantile_score, quantile_score_gaussian
from driftfield.evaluate.scores.score import all_scores

RNG = np.random.default_rng(0)
TRUTH = xr.DataArray(2 + 3 * RNG.standard_normal(200_000), dims="cell")
MEAN, SD = xr.full_like(TRUTH, 2.0), xr.full_like(TRUTH, 3.0)


@pytest.mark.parametrize("p", [0.05, 0.3, 0.95])
def test_the_true_quantile_has_the_lowest_score_which_is_known(p: float) -> None:
    found = {shift: float(quantile_score_gaussian(MEAN + shift, SD, TRUTH, probability=p)) for shift in (-0.5, 0, 0.5)}
    assert min(found, key=found.__getitem__) == 0
    # 2 E[(y - q)(p - 1{y < q})] = 2 sigma phi(z)
    z = NormalDist().inv_cdf(p)
    assert found[0] == pytest.approx(2 * 3 * NormalDist().pdf(z), rel=0.02)


def test_the_integral_over_all_probabilities_is_the_crps() -> None:
    few = slice(0, 2000)
    mean, sd, y = MEAN[few] + 1, SD[few], TRUTH[few]
    levels = (np.arange(200) + 0.5) / 200
    mean_of_scores = np.mean([float(quantile_score_gaussian(mean, sd, y, probability=p)) for p in levels])
    assert mean_of_scores == pytest.approx(float(crps_gaussian(mean, sd, y)), rel=0.01)


def test_the_quantile_of_members_is_the_one_that_files_hold() -> None:
    members = xr.DataArray(RNG.permuted(np.arange(19.0)[:, None] * np.ones(5), axis=0), dims=("member", "cell"))
    y = xr.DataArray(np.array([-1.0, 0, 0, 0, 3]), dims="cell")
    # 19 members: the quantile of 5 % is the lowest, 0
    expected = 2 * np.mean([0.95 * 1, 0, 0, 0, 0.05 * 3])
    assert float(quantile_score(members, y, probability=0.05)) == pytest.approx(expected)
    masked = quantile_score(members, y, probability=0.05, mask=y < 0)
    assert float(masked) == pytest.approx(2 * 0.95)


def test_a_package_of_others_agrees() -> None:
    scores = pytest.importorskip("scores")
    members = xr.DataArray(RNG.standard_normal((9, 50)), dims=("member", "cell"))
    y = xr.DataArray(RNG.standard_normal(50), dims="cell")
    quantile = members.quantile(0.3, "member", method="weibull").drop_vars("quantile")
    theirs = 2 * float(scores.continuous.quantile_score(quantile, y, 0.3))
    assert float(quantile_score(members, y, probability=0.3)) == pytest.approx(theirs)


def test_it_is_in_every_report() -> None:
    assert {"quantile_05", "quantile_95"} <= set(all_scores())
    assert all_scores()["quantile_05"].heading("degC") == "quantile score 5 % [degC]"

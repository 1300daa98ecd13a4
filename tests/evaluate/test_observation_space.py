"""Scores in observation space: known limits, and a perfect forecast of noisy observations."""

import numpy as np
import pytest
import xarray as xr

from driftfield.errors import DataError
from driftfield.evaluate.observation_space import score_observations
from driftfield.evaluate.scores.ensembles import crps_fair


def test_without_errors_it_is_the_score_of_an_ensemble() -> None:
    rng = np.random.default_rng(0)
    members, y = rng.normal(size=(7, 50)), rng.normal(size=50)
    found = score_observations(members, y, np.zeros(50))
    expected = crps_fair(xr.DataArray(members, dims=("member", "n")), xr.DataArray(y, dims="n"))
    assert found.crps == pytest.approx(float(expected), rel=1e-12)
    assert found.bias == pytest.approx((members.mean(0) - y).mean())


def test_crps_is_that_of_the_ensemble_with_drawn_errors() -> None:
    rng = np.random.default_rng(1)
    members, y, error = rng.normal(size=(3, 4)), rng.normal(size=4), np.array([0.1, 0.5, 1.0, 3.0])
    # many draws of the error for each member are an ensemble of the mixture; the pairs within a member are made up for by
    # comparing different members only
    draws = members[:, None] + error * rng.normal(size=(3, 20000, 4))
    away = np.abs(draws - y).mean((0, 1))
    pairs = np.mean([np.abs(draws[i] - rng.permutation(draws[j])).mean(0) for i, j in ((0, 1), (0, 2), (1, 2))], axis=0)
    assert score_observations(members, y, error).crps == pytest.approx((away - pairs / 2).mean(), abs=0.02)


@pytest.mark.parametrize("error", [0.3, 2.0])
def test_a_perfect_ensemble_has_the_right_spread_however_noisy_the_observations(error: float) -> None:
    rng = np.random.default_rng(2)
    centre = rng.normal(size=4000)
    members = centre + rng.normal(size=(40, 4000))
    y = centre + rng.normal(size=4000) + error * rng.normal(size=4000)
    found = score_observations(members, y, np.full(4000, error))
    assert found.spread_skill == pytest.approx(1, abs=0.03)
    assert found.coverage_90 == pytest.approx(0.9, abs=0.02)
    assert score_observations(members, y, np.zeros(4000)).spread_skill < 0.98


def test_one_member_has_no_spread_and_nonsense_is_refused() -> None:
    found = score_observations(np.ones((1, 3)), np.zeros(3), np.zeros(3))
    assert found.crps == pytest.approx(1)
    assert found.rmse == pytest.approx(1)
    assert np.isnan(found.spread_skill)
    assert found.to_json()["spread_skill"] is None
    with pytest.raises(DataError, match=r"expected \(member, n\)"):
        score_observations(np.ones((2, 3)), np.zeros(4), np.zeros(4))
    with pytest.raises(DataError, match="no error negative"):
        score_observations(np.ones((2, 3)), np.zeros(3), -np.ones(3))

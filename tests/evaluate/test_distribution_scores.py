"""R2, SMAPE and the Wasserstein distance against formulas by hand and an independent library."""

import numpy as np
import pytest
import xarray as xr
from scipy.stats import wasserstein_distance

from driftfield.evaluate.scores.r2 import r2
from driftfield.evaluate.scores.score import all_scores
from driftfield.evaluate.scores.smape import smape
from driftfield.evaluate.scores.wasserstein import wasserstein, wasserstein_of_members


@pytest.fixture
def case() -> tuple[xr.DataArray, xr.DataArray, xr.DataArray]:
    rng = np.random.default_rng(0)
    truth = xr.DataArray(rng.gamma(2.0, 1.0, (4, 9)), dims=("time", "cell"))
    members = xr.DataArray(rng.gamma(2.2, 1.0, (5, 4, 9)), dims=("member", "time", "cell"))
    return members, truth, xr.DataArray(rng.uniform(0.2, 2, 9), dims="cell")


def test_r2_is_one_for_the_truth_and_zero_for_its_mean(case: tuple[xr.DataArray, ...]) -> None:
    members, truth, _ = case
    assert float(r2(truth, truth)) == 1.0
    assert float(r2(xr.full_like(truth, float(truth.mean())), truth)) == pytest.approx(0.0, abs=1e-12)
    x, y = members[0].values, truth.values
    assert float(r2(members[0], truth)) == pytest.approx(1 - ((x - y) ** 2).sum() / ((y - y.mean()) ** 2).sum())
    assert np.isnan(float(r2(truth, xr.ones_like(truth))))


def test_smape_by_hand() -> None:
    x, y = (xr.DataArray(np.array(values, dtype=float), dims="cell") for values in ([0, 1, 3, 0], [0, 3, 1, 2]))
    assert float(smape(x, y)) == pytest.approx(100 * (0 + 1 + 1 + 2) / 4)


def test_the_distance_of_distributions_agrees_with_a_library(case: tuple[xr.DataArray, ...]) -> None:
    members, truth, weights = case
    x, y = members.values, truth.values
    assert float(wasserstein(members[0], truth)) == pytest.approx(wasserstein_distance(x[0].ravel(), y.ravel()))
    assert float(wasserstein_of_members(members, truth)) == pytest.approx(wasserstein_distance(x.ravel(), y.ravel()))
    w = np.broadcast_to(weights.values, y.shape).ravel()
    expected = wasserstein_distance(x.ravel(), y.ravel(), np.tile(w, 5), w)
    assert float(wasserstein_of_members(members, truth, weights=weights)) == pytest.approx(expected)
    found = wasserstein_of_members(members, truth, dims="cell")
    assert found.dims == ("time",)
    assert float(found[2]) == pytest.approx(wasserstein_distance(x[:, 2].ravel(), y[2]))
    # places do not matter, the distribution does
    assert float(wasserstein(truth[:, ::-1], truth)) == pytest.approx(0.0, abs=1e-12)
    assert float(wasserstein(truth + 2.0, truth)) == pytest.approx(2.0)
    assert all_scores()["wasserstein"].heading("K") == "Wasserstein [K]"

"""Peers on real sea surface temperature are at least as good as an independent quick implementation (unpublished).

The figures, masks and periods are those of recipes/compare/ersst.yaml: the last twelve months of ERSSTv5 are the test, the twelve
before the validation; RMSE and CRPS in degC over hidden cells, by quick tuned optimal interpolation of anomalies.
"""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from driftfield.compare import Comparison, open_truth, read_comparison, setting_observations
from driftfield.data.prepare import prepare
from driftfield.gaussian.tuning import gaussian_crps
from driftfield.interfaces import TrainingData
from driftfield.peers.linear import LinearInterpolation
from driftfield.peers.optimal_interpolation import OptimalInterpolation

RECIPE = Path(__file__).parents[2] / "recipes" / "compare" / "ersst.yaml"


@pytest.fixture(scope="module")
def comparison(data_folder: Path) -> Comparison:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DRIFTFIELD_DATA", str(data_folder))
        found = read_comparison(RECIPE)
    if not Path(found.truth[0]).exists():
        pytest.skip(f"{found.truth[0]} is not there")
    return found


@pytest.fixture(scope="module")
def training(comparison: Comparison) -> TrainingData:
    return prepare(**comparison.data)


@pytest.fixture(scope="module")
def settings(comparison: Comparison) -> list[tuple[dict[str, dict[str, float]], xr.Dataset, np.ndarray, np.ndarray]]:
    """Figures of others, observations of the test year, hidden cells and truth of every setting."""
    archive = open_truth(comparison)
    found = []
    for setting in comparison.settings:
        seen = setting_observations(comparison, setting, archive)
        truth = archive.dataset["sst"].sel(time=seen["time"]).values
        found.append((setting.reference, seen, seen["held_out"].values, truth))
    assert len(found) == 6
    return found


@pytest.mark.slow
def test_optimal_interpolation_beats_the_reference(training: TrainingData, settings: list) -> None:
    oi = OptimalInterpolation()
    oi.fit(training)
    for figures, observations, hidden, truth in settings:
        mean, sd = oi.mean_and_sd(observations)["sst"]
        error = (mean - truth)[hidden]
        reference = figures["OI, reference"]
        assert np.sqrt(np.mean(error**2)) < reference["rmse"]
        assert gaussian_crps(error, sd[hidden]).mean() < reference["crps"]
        assert 0.8 < np.mean(np.abs(error) < 1.645 * sd[hidden]) < 0.97


@pytest.mark.slow
def test_linear_interpolation_is_that_of_the_reference(training: TrainingData, settings: list) -> None:
    linear = LinearInterpolation()
    linear.fit(training)
    for figures, observations, hidden, truth in settings:
        mean = linear.estimate(observations, members=1, seed=0)["sst"].mean
        assert mean is not None
        assert np.sqrt(np.mean((mean - truth)[hidden] ** 2)) < 1.05 * figures["linear, reference"]["rmse"]

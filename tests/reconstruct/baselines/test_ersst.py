"""Optimal interpolation of real sea surface temperature is at least as good as the reference figures.

The last twelve months of ERSSTv5 (2 degrees, monthly, 2010-2020) are the test, the twelve before the validation.
Reference: quick tuned optimal interpolation of anomalies, RMSE and CRPS in degC over hidden cells.
"""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from driftfield.data.masks import reference_mask
from driftfield.data.sources import open_archive
from driftfield.interfaces import TrainingData
from driftfield.reconstruct.baselines.linear import LinearInterpolation
from driftfield.reconstruct.baselines.optimal_interpolation import OptimalInterpolation
from driftfield.reconstruct.baselines.tuning import gaussian_crps

FILE = "sst/ersstv5_monthly_2010-2020_2deg.nc"
TEST = np.arange(116, 128)
REFERENCE = {
    ("random", 0.5): (0.124, 0.039),
    ("random", 0.75): (0.146, 0.048),
    ("random", 0.95): (0.254, 0.111),
    ("clouds", 0.5): (0.436, 0.207),
    ("clouds", 0.75): (0.491, 0.254),
    ("clouds", 0.95): (0.502, 0.260),
}
LINEAR = {("random", 0.5): 0.146, ("random", 0.75): 0.174, ("random", 0.95): 0.288}
LINEAR |= {("clouds", 0.5): 0.465, ("clouds", 0.75): 0.538, ("clouds", 0.95): 0.587}


@pytest.fixture(scope="module")
def training(data_folder: Path) -> TrainingData:
    if not (data_folder / FILE).exists():
        pytest.skip(f"{FILE} is not there")
    return TrainingData(open_archive(data_folder / FILE, ["sst"]), np.arange(104), np.arange(104, 116), ("sst",))


def hide(training: TrainingData, kind: str, fraction: float) -> tuple[xr.Dataset, np.ndarray, np.ndarray]:
    """Observations of the test year, the hidden cells, the truth. The reference masks were drawn with north on top."""
    domain = training.archive.domain("sst").values
    seen = np.stack([reference_mask(kind, fraction, int(t), domain[::-1])[::-1] for t in TEST])
    truth = training.archive.dataset["sst"].isel(time=TEST)
    observations = truth.where(seen).to_dataset()
    observations["domain"] = training.archive.domain("sst")
    return observations, domain & ~seen, truth.values


@pytest.mark.slow
def test_optimal_interpolation_beats_the_reference(training: TrainingData) -> None:
    oi = OptimalInterpolation()
    oi.fit(training)
    for (kind, fraction), (rmse, crps) in REFERENCE.items():
        observations, hidden, truth = hide(training, kind, fraction)
        mean, sd = oi.mean_and_sd(observations)["sst"]
        error = (mean - truth)[hidden]
        assert np.sqrt(np.mean(error**2)) < rmse, (kind, fraction)
        assert gaussian_crps(error, sd[hidden]).mean() < crps, (kind, fraction)
        assert 0.8 < np.mean(np.abs(error) < 1.645 * sd[hidden]) < 0.97, (kind, fraction)


@pytest.mark.slow
def test_linear_interpolation_is_that_of_the_reference(training: TrainingData) -> None:
    linear = LinearInterpolation()
    linear.fit(training)
    for (kind, fraction), rmse in LINEAR.items():
        observations, hidden, truth = hide(training, kind, fraction)
        mean, _, _ = linear.estimate(observations, members=1, seed=0)["sst"]
        assert mean is not None
        assert np.sqrt(np.mean((mean - truth)[hidden] ** 2)) < 1.05 * rmse, (kind, fraction)

"""Clouds over the Alboran Sea, transplanted from other days: ten real days are enough to learn from, gaps and all.

AVHRR level 3, 0.02 degrees; 38,845 measured cells are held out (`driftfield.data.transplant`). Reference: quick tuned
space-time optimal interpolation 0.285 degC, optimal interpolation 0.338, the nearest observation 0.396.
"""

from pathlib import Path

import numpy as np
import pytest
from fewer_cases import few_cases

from driftfield.data.sources import GriddedArchive, open_fields
from driftfield.data.transplant import hide, transplant_clouds
from driftfield.gaussian.tuning import gaussian_crps
from driftfield.interfaces import TrainingData
from driftfield.peers.space_time import SpaceTimeOptimalInterpolation

REFERENCE = 0.285


@pytest.mark.slow
def test_space_time_interpolation_beats_the_reference(data_folder: Path) -> None:
    file = open_fields(data_folder / "sst" / "avhrr_alboran_L3_10days_clouds.nc").load()
    domain = file["mask"] > 0
    held = transplant_clouds(file["SST"], domain=domain)
    shown = hide(file["SST"], held).to_dataset()
    archive = GriddedArchive(shown, {"SST": domain}, periodic=False)
    method = SpaceTimeOptimalInterpolation()
    with few_cases(9):
        method.fit(TrainingData(archive, np.arange(10), np.array([], dtype=int), ("SST",)), seed=0)
    # what is held out alone: the other cells have no say in the figures
    mean, sd = method.estimate_cells(shown, "SST", held.values)
    error, sd = (mean - file["SST"].values)[held.values], sd[held.values]
    assert error.size == 38_845
    assert np.sqrt(np.mean(error**2)) < REFERENCE
    assert gaussian_crps(error, sd).mean() < 0.15
    assert 0.75 < np.mean(np.abs(error) < 1.645 * sd) < 0.95

"""What every test may ask for: a tiny ocean, and the folder of real data where there is one."""

import os
from pathlib import Path

import pytest
import torch
import xarray as xr

from driftfield.interfaces import TrainingData
from driftfield.testing import tiny_ocean, tiny_training_data

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """Real data: $DRIFTFIELD_DATA, else the folder `shared/data` beside the repository; the test is skipped without it."""
    beside = Path(__file__).parents[2] / "shared" / "data"
    folder = Path(os.environ.get("DRIFTFIELD_DATA", beside))
    if not folder.is_dir():
        pytest.skip(f"no real data: {folder} is no folder (set the environment variable DRIFTFIELD_DATA)")
    return folder


@pytest.fixture
def ocean() -> xr.Dataset:
    """A tiny ocean: thetao and sst, 30 times, 2 depths, 8 x 12 cells."""
    return tiny_ocean()


@pytest.fixture
def training_data() -> TrainingData:
    """The tiny ocean, divided in time."""
    return tiny_training_data()

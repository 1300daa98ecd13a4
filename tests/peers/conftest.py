"""The small Gaussian ocean as fixtures."""

import numpy as np
import pytest
from gaussian_ocean import TinyArchive, tiny_ocean

from driftfield.interfaces import TrainingData


@pytest.fixture(scope="session")
def ocean() -> TinyArchive:
    return tiny_ocean(0, 96)


@pytest.fixture(scope="session")
def training(ocean: TinyArchive) -> TrainingData:
    return TrainingData(ocean, np.arange(72), np.arange(72, 96), ("thetao",), ("sst",))


@pytest.fixture(scope="session")
def test_ocean() -> TinyArchive:
    return tiny_ocean(1, 12, start="2010-01")

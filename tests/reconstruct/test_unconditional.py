"""Draws without observations: members of their own, and runs that have not learnt to see nothing."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from driftfield.errors import ConfigurationError
from driftfield.interfaces import TrainingData
from driftfield.reconstruct import DiffusionReconstructor
from driftfield.reconstruct.unconditional import draw_unconditionally
from driftfield.testing import tiny_ocean, tiny_training_data

NETWORK = {"class": "ResidualUNet", "widths": [4, 8], "depths": [1, 1], "condition_depths": [1, 1], "embedding": 8}


def run_of(data: TrainingData, observe: dict[str, Any], folder: Path) -> DiffusionReconstructor:
    pytest.importorskip("lightning")
    from driftfield.training import LightningTrainer

    sampler = {"class": "DPMSolverPP2M", "evaluations": 3}
    made = DiffusionReconstructor(NETWORK, {"observe": observe}, validation_samples=2, sampler=sampler)
    trainer = LightningTrainer(steps=2, batch_size=2, validate_every=2, loggers=(), accelerator="cpu")
    made.fit(data, seed=1, trainer=trainer, folder=folder)
    return made


@pytest.fixture(scope="module")
def data() -> TrainingData:
    return tiny_training_data(tiny_ocean(times=30))


def test_members_are_their_own(data: TrainingData, tmp_path: Path) -> None:
    run = run_of(data, {"thetao": ["none", "profiles:0.7"], "sst": "none"}, tmp_path)
    found = draw_unconditionally(run, members=5, seed=3, date="2000-07-15")
    grid = data.archive.dataset["thetao"]
    assert found["thetao_member"].dims == ("member", "time", "depth", "lat", "lon")
    assert found["thetao_member"].shape[2:] == grid.shape[1:]
    exists = grid.notnull().any("time").values
    assert (np.isfinite(found["thetao_member"].values) == exists).all()
    again = draw_unconditionally(run, members=3, seed=3, date="2000-07-15", batch_size=2)
    xr.testing.assert_allclose(again["thetao_member"], found["thetao_member"][:3], atol=1e-5)
    other = draw_unconditionally(run, members=3, seed=4, date="2000-07-15")
    assert not np.allclose(other["thetao_member"], again["thetao_member"], equal_nan=True)
    with pytest.raises(ConfigurationError, match="Cannot read the date 'soon'"):
        draw_unconditionally(run, members=1, date="soon")


def test_a_run_that_always_saw_something_is_refused(data: TrainingData, tmp_path: Path) -> None:
    run = run_of(data, {"thetao": "profiles:0.7", "sst": "none"}, tmp_path)
    with pytest.raises(ConfigurationError, match="has not learnt to see nothing"):
        draw_unconditionally(run, members=1)
    with pytest.raises(ConfigurationError, match="draws no samples"):
        draw_unconditionally(object(), members=1)  # type: ignore[arg-type]

"""Settings of a diffusion model reach what they name: one sd for all parts, replacement only where something is exact."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from driftfield.data.twin import observe
from driftfield.diffusion.building import one_sd
from driftfield.errors import ConfigurationError
from driftfield.interfaces import TrainingData
from driftfield.models.diffusion import DiffusionReconstructor
from driftfield.testing import tiny_ocean

pytest.importorskip("lightning")

from driftfield.training import LightningTrainer

NETWORK = {"class": "ResidualUNet", "widths": [4, 8], "depths": [1, 1], "condition_depths": [1, 1], "embedding": 8}
OBSERVE = {"thetao": "profiles:0.7", "sst": "clouds:0.5"}


def fitted(data: TrainingData, folder: Path, **options: Any) -> DiffusionReconstructor:
    method = DiffusionReconstructor(
        NETWORK,
        {"observe": OBSERVE},
        validation_samples=2,
        sampler={"class": "DPMSolverPP2M", "evaluations": 4},
        **options,
    )
    trainer = LightningTrainer(steps=2, batch_size=2, validate_every=2, loggers=(), accelerator="cpu")
    method.fit(data, seed=1, trainer=trainer, folder=folder)
    return method


def test_sd_reaches_every_part_that_has_one(training_data: TrainingData, tmp_path: Path) -> None:
    spec = {"sd": 0.4, "weighting": {"class": "EDMWeighting"}, "parameterization": {"class": "EDMParameterization"}}
    method = fitted(training_data, tmp_path / "work", diffusion=spec)
    method.save(tmp_path / "run")
    for run in (method, DiffusionReconstructor.load(tmp_path / "run")):
        model: Any = run.model
        assert model.weighting.sd == model.preconditioning.parameterization.sd == 0.4


def test_a_part_inside_a_part_has_the_same_sd() -> None:
    learned = one_sd({"sd": 0.4, "weighting": {"class": "LearnedWeighting"}})["weighting"]
    assert learned["base"] == {"class": "EDMWeighting", "sd": 0.4}
    assert one_sd({"sd": 0.4, "weighting": {"class": "MinSNRWeighting"}})["weighting"] == {"class": "MinSNRWeighting"}
    assert one_sd({"weighting": {"class": "EDMWeighting", "sd": 2.0}})["weighting"]["sd"] == 2.0


@pytest.mark.parametrize("kind", ["weighting", "parameterization"])
def test_two_sds_are_refused(kind: str) -> None:
    part = {"weighting": "EDMWeighting", "parameterization": "EDMParameterization"}[kind]
    with pytest.raises(ConfigurationError, match=f"diffusion.sd is 0.4, and diffusion.{kind}"):
        one_sd({"sd": 0.4, kind: {"class": part, "sd": 1.0}})


def observations(error: float) -> xr.Dataset:
    return observe(tiny_ocean().isel(time=[25]), OBSERVE, error={"thetao": error, "sst": 0.0}, seed=2)


def test_replacement_without_an_exact_observation_says_so_and_is_not_recorded(
    training_data: TrainingData, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    method = fitted(training_data, tmp_path, replacement=True)
    exact, inexact = observations(0.0), observations(0.1)
    assert method.reconstruct(exact, members=1).attrs["replacement"] == "true"
    assert "imposes nothing" not in caplog.text
    with caplog.at_level(logging.WARNING):
        found = method.reconstruct(inexact, members=2)
    assert found.attrs["replacement"] == "false"
    assert "imposes nothing" in caplog.text
    method.replacement = False
    np.testing.assert_array_equal(found["thetao_member"], method.reconstruct(inexact, members=2)["thetao_member"])

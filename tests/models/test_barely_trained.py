"""A network that has hardly learnt says so, in the log and in the file; one that has learnt does not."""

import logging
from pathlib import Path

import numpy as np
import pytest
import torch

from driftfield.data.twin import observe
from driftfield.fields import FieldBatch, Seen
from driftfield.models.barely_trained import crps_of_mean_field, said_of_training
from driftfield.registry import build
from driftfield.testing import tiny_ocean, tiny_training_data

NETWORK = {"class": "ResidualUNet", "widths": [4, 8], "depths": [1, 1], "condition_depths": [1, 1]}


def test_the_mean_field_has_the_crps_of_an_ensemble_of_the_climate() -> None:
    rng = np.random.default_rng(0)
    shape = (200, 1, 4, 5)
    target = torch.from_numpy(rng.standard_normal(shape).astype(np.float32))
    every = torch.ones(shape, dtype=torch.bool)
    batch = FieldBatch(
        target=target,
        domain=every,
        seen=Seen(torch.zeros(shape), every, torch.zeros(shape)),
        held_out=every,
        given=Seen.nothing(200, 0, 4, 5),
        presence=torch.zeros(200, 0),
        position=torch.zeros(200, 2),
        date=torch.zeros(200, 2),
    )
    scale = np.full((1, 1, 1), 3.0)
    # fair CRPS of draws from N(0, 3^2) about truths from there: 3 / sqrt(pi); of the mean field alone: 3 sqrt(2 / pi)
    assert crps_of_mean_field(batch, scale, spread=True) == pytest.approx(3 / np.sqrt(np.pi), rel=0.03)
    assert crps_of_mean_field(batch, scale, spread=False) == pytest.approx(3 * np.sqrt(2 / np.pi), rel=0.03)


def test_it_is_said_above_nine_tenths_only() -> None:
    history = [{"step": 1, "validation_loss": 1.0}, {"step": 2, "validation_crps": 0.95}]
    assert "barely trained" in said_of_training(history, 1.0)
    assert not said_of_training([*history, {"step": 3, "validation_crps": 0.89}], 1.0)
    assert not said_of_training(history, None)
    assert not said_of_training([], 1.0)


def test_two_steps_are_said_to_be_few(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    pytest.importorskip("lightning")
    run = build(
        "reconstructor",
        {
            "class": "DiffusionReconstructor",
            "network": NETWORK,
            "normalizer": {"class": "ZScore"},
            "observing": {"observe": {"thetao": "random:0.7", "sst": "random:0.5"}},
            "validation_samples": 4,
            "sampler": {"class": "DPMSolverPP2M", "evaluations": 3},
        },
    )
    trainer = build(
        "trainer",
        {
            "class": "LightningTrainer",
            "steps": 2,
            "batch_size": 4,
            "validate_every": 2,
            "loggers": [],
            "accelerator": "cpu",
        },
    )
    with caplog.at_level(logging.WARNING):
        run.fit(tiny_training_data(), seed=0, trainer=trainer, folder=tmp_path / "training")
    assert "This network is barely trained" in caplog.text
    run.save(tmp_path / "run")
    again = type(run).load(tmp_path / "run")
    seen = observe(tiny_ocean(times=1), {"thetao": "random:0.7", "sst": "random:0.5"}, seed=0)
    assert "barely trained" in again.reconstruct(seen, members=2).attrs["training"]

"""The noise reaches as far as the largest structure of the fields."""

import logging
from pathlib import Path

import pytest
import torch
from torch import Tensor

from driftfield.diffusion.building import diffusion_model
from driftfield.diffusion.model import DiffusionModel
from driftfield.diffusion.noise_range import checked_range, covering, largest_amplitude
from driftfield.interfaces import TrainingData
from driftfield.models.diagnostics import reach
from driftfield.models.diffusion import DiffusionReconstructor

pytest.importorskip("lightning")

from driftfield.training import LightningTrainer

NETWORK = {"class": "ResidualUNet", "widths": [4, 8], "depths": [1, 1], "condition_depths": [1, 1], "embedding": 8}


def drawn(count: int = 200, cells: int = 3000, amplitude: float = 35.0) -> Tensor:
    """Fields with one structure of a known amplitude in white noise of variance 1."""
    generator = torch.Generator().manual_seed(0)
    structure = torch.randn(cells, generator=generator)
    size = amplitude * torch.randn(count, 1, generator=generator)
    return size * structure / structure.norm() + torch.randn(count, cells, generator=generator)


def everywhere(fields: Tensor) -> Tensor:
    return torch.ones_like(fields, dtype=torch.bool)


def test_the_amplitude_of_a_structure_is_found() -> None:
    fields = drawn()
    assert largest_amplitude(fields, everywhere(fields)) == pytest.approx(35.0, rel=0.12)


def test_white_noise_of_many_cells_is_no_structure() -> None:
    """The largest eigenvalue of 200 fields of 3000 cells is 24: a root of 4.9 where the truth is 1."""
    fields = drawn(amplitude=0.0)
    assert largest_amplitude(fields, everywhere(fields)) == pytest.approx(1.0, abs=0.3)


def test_gaps_do_not_make_it_smaller() -> None:
    fields = drawn()
    known = torch.rand(fields.shape, generator=torch.Generator().manual_seed(1)) < 0.4
    garbage = torch.where(known, fields, torch.nan)
    assert largest_amplitude(garbage, known) == pytest.approx(largest_amplitude(fields, everywhere(fields)), rel=0.1)


def test_what_a_recipe_does_not_say_is_derived() -> None:
    filled = covering({}, 35.2)
    assert filled["schedule"] == {"class": "LogLinearSchedule", "s_max": 140.0}
    # a density whose tail of two in a thousand reaches there
    assert filled["noise_levels"]["std"] == pytest.approx(1.98, abs=0.01)
    assert covering({"schedule": {"class": "LogLinearSchedule", "s_max": 80.0}}, 35.2) == {
        "schedule": {"class": "LogLinearSchedule", "s_max": 80.0}
    }
    assert covering({"noise_levels": {"class": "UniformLevels"}}, 1.0)["noise_levels"] == {"class": "UniformLevels"}
    assert covering({}, 1.0)["schedule"]["s_max"] == 20.0


@pytest.mark.parametrize(("amplitude", "s_max", "words"), [(114.0, 80.0, ["s_max 80", "114"]), (20.0, 80.0, [])])
def test_a_range_that_is_too_short_is_said(amplitude: float, s_max: float, words: list[str]) -> None:
    spec = {"schedule": {"class": "LogLinearSchedule", "s_max": s_max}, "noise_levels": {"class": "UniformLevels"}}
    said = " ".join(checked_range(diffusion_model(torch.nn.Identity(), spec), amplitude))
    assert bool(said) == bool(words)
    assert all(word in said for word in words)


def test_training_levels_that_never_reach_it_are_said() -> None:
    spec = {
        "schedule": {"class": "LogLinearSchedule", "s_max": 400.0},
        "noise_levels": {"class": "LogNormalLevels", "mean": -1.2, "std": 1.2},
    }
    said = checked_range(diffusion_model(torch.nn.Identity(), spec), 90.0)
    assert len(said) == 1
    assert "noise_levels" in said[0]


def fitted(data: TrainingData, folder: Path, diffusion: dict[str, object]) -> DiffusionReconstructor:
    method = DiffusionReconstructor(
        NETWORK, {"observe": {"thetao": "profiles:0.7", "sst": "clouds:0.5"}}, validation_samples=2, diffusion=diffusion
    )
    trainer = LightningTrainer(steps=2, batch_size=2, validate_every=2, loggers=(), accelerator="cpu")
    method.fit(data, seed=1, trainer=trainer, folder=folder / "work")
    method.save(folder / "run")
    return method


def test_a_run_keeps_the_range_that_was_derived(training_data: TrainingData, tmp_path: Path) -> None:
    method = fitted(training_data, tmp_path, {})
    amplitude = method.extra["largest_amplitude"]
    assert amplitude > 1
    for run in (method, DiffusionReconstructor.load(tmp_path / "run")):
        assert isinstance(run.model, DiffusionModel)
        assert run.model.schedule.s_max == pytest.approx(max(20.0, 4 * amplitude), rel=0.06)
        assert run.start == "marginal"
        assert run.sampler.evaluations + 2 == 20


def test_a_training_warns_of_a_range_that_is_stated_too_short(
    training_data: TrainingData, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        method = fitted(training_data, tmp_path, {"schedule": {"class": "LogLinearSchedule", "s_max": 1.5}})
    assert isinstance(method.model, DiffusionModel)
    assert method.model.schedule.s_max == 1.5
    assert "s_max 1.5" in caplog.text


def test_a_diagnosis_has_the_amplitude_of_the_training_or_of_the_fields(
    training_data: TrainingData, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    method = fitted(training_data, tmp_path, {})
    truth = training_data.archive.dataset
    caplog.clear()
    assert reach(method, truth) == method.extra.pop("largest_amplitude")
    measured = reach(method, truth)
    assert measured is not None
    assert measured > 1
    assert "unknown" not in caplog.text
    assert reach(method, truth.isel(time=slice(3))) is None
    assert "unknown" in caplog.text

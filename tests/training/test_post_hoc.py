"""The width of the average, chosen after the training, is as if it had been chosen before."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from typer.testing import CliRunner

pytest.importorskip("lightning")

import driftfield.cli  # noqa: F401
from driftfield.checkpoint import amend_run, read_run, write_run
from driftfield.cli.shared import app
from driftfield.data.sources import write_dataset
from driftfield.errors import ConfigurationError, DataError, FileFormatError
from driftfield.testing import tiny_ocean
from driftfield.training.post_hoc import choose_width
from driftfield.training.snapshots import list_snapshots

RECIPE = {
    "seed": 1,
    "data": {
        "archive": "truth.nc",
        "targets": ["thetao"],
        "covariates": ["sst"],
        "split": {"class": "TimeSplit", "validation": 0.2},
    },
    "reconstructor": {
        "class": "DiffusionReconstructor",
        "network": {
            "class": "ResidualUNet",
            "widths": [4, 8],
            "depths": [1, 1],
            "condition_depths": [1, 1],
            "embedding": 8,
        },
        "observing": {"observe": {"thetao": "profiles:0.5-0.9", "sst": "clouds:0.5"}, "error": 0.05},
        "sampler": {"class": "DPMSolverPP2M", "evaluations": 3},
        "diffusion": {"schedule": {"class": "AdaptiveSchedule", "bins": 10}},
        "validation_samples": 2,
    },
    "trainer": {
        "class": "LightningTrainer",
        "steps": 60,
        "batch_size": 2,
        "validate_every": 60,
        "loggers": [],
        "precision": "float32",
        "accelerator": "cpu",
        "learning_rate": {"peak": 5e-3, "warm_up": 5},
    },
}


def trained(folder: Path, name: str, ema: dict[str, object]) -> Path:
    recipe = RECIPE | {"trainer": {**RECIPE["trainer"], "ema": {"class": "PowerEMA", **ema}}}  # type: ignore[dict-item]
    (folder / f"{name}.yaml").write_text(yaml.safe_dump(recipe), encoding="utf-8")
    found = CliRunner().invoke(app, ["train", str(folder / f"{name}.yaml"), "--out", str(folder / name)])
    assert found.exit_code == 0, found.output
    return folder / name


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`run` keeps snapshots of two widths; `direct` tracked the width .15 all along. All else is equal."""
    folder = tmp_path_factory.mktemp("widths")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        write_dataset(tiny_ocean(times=12), folder / "truth.nc")
        trained(folder, "run", {"widths": [0.05, 0.2], "snapshots": 12})
        trained(folder, "direct", {"widths": [0.15], "snapshots": 1})
    return folder


def weights(run: Path) -> np.ndarray:
    arrays = read_run(run).arrays
    return np.concatenate([arrays[name].ravel() for name in sorted(arrays) if name.startswith("weights.network")])


def test_it_is_the_average_that_would_have_been_tracked(folder: Path) -> None:
    """Within 5 % of what the two differ by that were tracked; the profiles agree within 2 %."""
    made = choose_width(folder / "run", folder / "chosen", 0.15)
    assert (made.step, made.snapshots) == (60, 24)
    assert made.error < 0.02
    direct, first = weights(folder / "direct"), weights(folder / "run")
    assert np.abs(weights(folder / "chosen") - direct).max() < 0.05 * np.abs(first - direct).max()
    run = read_run(folder / "chosen")
    assert run.extra["ema"] == {"width": 0.15, "step": 60, "snapshots": 24}
    assert (folder / "chosen" / "recipe.yaml").read_text() == (folder / "run" / "recipe.yaml").read_text()


def test_the_width_that_was_tracked_is_found_again(folder: Path) -> None:
    choose_width(folder / "run", folder / "same", 0.05)
    np.testing.assert_allclose(weights(folder / "same"), weights(folder / "run"), rtol=0, atol=1e-5)


def test_a_run_can_be_taken_at_an_earlier_step(folder: Path) -> None:
    assert choose_width(folder / "run", folder / "early", 0.1, step=30).snapshots == 12
    assert np.abs(weights(folder / "early") - weights(folder / "run")).max() > 1e-3


def test_the_command_makes_a_run_that_reconstructs(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    amend_run(folder / "run", {"calibration": {"spread": 2.0}})
    options = ["ema", "run", "--width", "0.1", "--out", "made"]
    found = CliRunner().invoke(app, options)
    assert found.exit_code == 0, found.output
    assert "width 0.1 at step 60, from 24 snapshots" in found.output
    # it was fitted to the spread of other weights
    assert "calibration" not in read_run(folder / "made").extra
    mask = ["mask", "truth.nc", "obs.nc", "--observe", "thetao=profiles:0.7", "--observe", "sst=clouds:0.5"]
    draw = ["reconstruct", "made", "obs.nc", "--members", "2", "--out", "fields.nc"]
    for command in (mask, draw):
        done = CliRunner().invoke(app, command)
        assert done.exit_code == 0, done.output
    again = CliRunner().invoke(app, options)
    assert "exists" in str(again.exception)


def test_what_makes_no_sense_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="width"):
        choose_width(folder / "run", tmp_path / "out", 0.6)
    with pytest.raises(ConfigurationError, match="up to step 2"):
        choose_width(folder / "run", tmp_path / "out", 0.1, step=2)
    with pytest.raises(FileFormatError, match="is not a run"):
        choose_width(tmp_path / "nothing", tmp_path / "out", 0.1)
    write_run(tmp_path / "plain", "Climatology", {}, {"a": np.zeros(1)}, {})
    with pytest.raises(ConfigurationError, match="PowerEMA"):
        choose_width(tmp_path / "plain", tmp_path / "out", 0.1)
    write_run(tmp_path / "plain" / "snapshots" / "1", "Snapshot", {"step": 1, "width": 0.1}, {"other": np.zeros(1)})
    with pytest.raises(DataError, match="other"):
        choose_width(tmp_path / "plain", tmp_path / "out", 0.1)
    write_run(tmp_path / "plain" / "snapshots" / "1", "Weights", {}, {"other": np.zeros(1)})
    with pytest.raises(FileFormatError, match="no snapshot"):
        choose_width(tmp_path / "plain", tmp_path / "out", 0.1)
    assert not (tmp_path / "out").exists()
    same = CliRunner().invoke(app, ["ema", str(folder / "run"), "--width", "0.1", "--out", str(folder / "run")])
    assert "itself" in str(same.exception)


def test_an_adaptive_schedule_is_kept_with_the_run(folder: Path) -> None:
    """What a recipe names is what was learned: uniform no more, and read back by a reconstruction."""
    arrays = read_run(folder / "run").arrays
    assert arrays["weights.schedule.errors"].std() > 0
    assert (arrays["weights.schedule.doubt"] < 1).any()
    assert list_snapshots(folder / "direct" / "snapshots")[0].name == "00000060-0.15"
    description = json.loads((folder / "run" / "run.json").read_text())
    schedule = description["arguments"]["diffusion"]["schedule"]
    assert schedule == {"class": "AdaptiveSchedule", "bins": 10, "s_max": schedule["s_max"]}
    assert torch.isfinite(torch.from_numpy(arrays["weights.schedule.errors"])).all()

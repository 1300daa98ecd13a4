"""A training on several processes is the training on one, also after a kill, and on another number of them."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from driftfield.checkpoint import read_run
from driftfield.diffusion.batch_part import BatchPart, part_rows, within
from driftfield.errors import ConfigurationError
from driftfield.processes import count_processes, is_helper
from driftfield.recipe import read_recipe
from driftfield.testing import tiny_batch, tiny_ocean, tiny_recipe

pytest.importorskip("lightning")
if sys.platform == "win32":
    pytest.skip("processes are forked", allow_module_level=True)

from training_together import Plan, Uneven, command, history, losses, make_model, train

from driftfield.reconstruction.fitting import fit_recipe
from driftfield.training import LightningTrainer
from driftfield.training.shares import ShareOfBatches, parts_of


def weights(folder: Path, part: str = "best") -> dict[str, np.ndarray]:
    return dict(read_run(folder / "checkpoints" / part).arrays)


def check_same(folder: Path, other: Path, *, tolerance: float = 1e-4) -> None:
    """Losses of all steps, validations, weights."""
    curve, expected = losses(folder), losses(other)
    assert curve.keys() == expected.keys()
    for step, loss in expected.items():
        assert curve[step] == pytest.approx(loss, rel=tolerance), step
    for record, before in zip(history(folder), history(other), strict=True):
        assert record == pytest.approx(before, rel=tolerance)
    # AdamW divides by the size of a gradient: where that is rounding, so is the step
    one, two = weights(folder), weights(other)
    assert one.keys() == two.keys()
    away = sum(float(((one[name] - array) ** 2).sum()) for name, array in two.items())
    assert away <= (10 * tolerance) ** 2 * sum(float((array**2).sum()) for array in two.values())


@pytest.mark.slow
@pytest.mark.parametrize("model", ["diffusion", "ensemble", "regression"])
def test_two_processes_are_one(tmp_path: Path, model: str) -> None:
    """The same batches, of which every process takes its part: the loss of every step, and the weights."""
    assert train(tmp_path / "one", Plan(model)) == [0]
    assert train(tmp_path / "two", Plan(model), processes=2) == [0, 0]
    check_same(tmp_path / "two", tmp_path / "one")
    assert history(tmp_path / "two", rank=1) == history(tmp_path / "two")
    if model == "diffusion":
        assert train(tmp_path / "four", Plan(model, {"accumulate": 4})) == [0]
        check_same(tmp_path / "four", tmp_path / "one")


@pytest.mark.slow
def test_a_training_goes_on_after_a_kill_on_any_number_of_processes(tmp_path: Path) -> None:
    assert train(tmp_path / "one", Plan()) == [0]
    for first, then in ((2, 2), (2, 1)):
        folder = tmp_path / f"{first}-{then}"
        assert any(train(folder, Plan(killed=7), processes=first))
        assert read_run(folder / "checkpoints" / "last").extra["state"]["step"] == 6
        assert train(folder, Plan(resume=True, options={"accumulate": 2}), processes=then) == [0] * then
        check_same(folder, tmp_path / "one")


@pytest.mark.slow
def test_one_of_the_processes_of_a_command_writes(tmp_path: Path) -> None:
    """`driftfield train` with two devices is `driftfield train` with one, its log included."""
    tiny_ocean().to_netcdf(tmp_path / "truth.nc")
    recipe = tiny_recipe(archive="truth.nc", steps=4, validate_every=2)
    recipe["trainer"]["batch_size"] = 4
    (tmp_path / "model.yaml").write_text(yaml.safe_dump(recipe), encoding="utf-8")
    fit_recipe(
        read_recipe(tmp_path / "model.yaml", [f"data.archive={tmp_path / 'truth.nc'}"]), tmp_path / "run1", source=""
    )
    arguments = ["train", "model.yaml", "--raw", "--out", "run2", "--set", "trainer.devices=2"]
    assert command(tmp_path, arguments, processes=2) == [0, 0]
    assert "wrote run2" in (tmp_path / "said-0.txt").read_text()
    assert (tmp_path / "said-1.txt").read_text() == ""
    one, two = (read_run(tmp_path / f"run{devices}") for devices in (1, 2))
    for record, before in zip(two.extra["history"], one.extra["history"], strict=True):
        assert record["validation_loss"] == pytest.approx(before["validation_loss"], rel=1e-4)
    files = [sorted(path.name for path in (tmp_path / f"run{devices}").rglob("*")) for devices in (1, 2)]
    assert files[0] == files[1]
    lines = [next((tmp_path / f"run{devices}").rglob("metrics.csv")).read_text().count("\n") for devices in (1, 2)]
    assert lines[0] == lines[1]


def test_what_learns_from_whole_batches_says_so(tmp_path: Path) -> None:
    trainer = LightningTrainer(steps=1, batch_size=2, accumulate=2, accelerator="cpu", loggers=())
    for kind, said in (
        ("adaptive", "AdaptiveSchedule learns the noise levels"),
        ("noisy", "output_noise counts its scales"),
    ):
        with pytest.raises(ConfigurationError, match=f"{said} from the whole of every batch"):
            trainer.fit(make_model(kind), lambda start: Uneven(start, 2), [], folder=tmp_path, seed=5)


def test_every_sample_is_of_one_process_and_of_its_batch() -> None:
    for processes in (1, 2, 4):
        shares = [list(ShareOfBatches(24, 8, rank, processes)) for rank in range(processes)]
        batches = [[index for share in batch for index in share] for batch in zip(*shares, strict=True)]
        assert batches == [list(range(first, first + 8)) for first in (0, 8, 16)]
    assert list(ShareOfBatches(10, 8)) == [list(range(8)), [8, 9]]


def test_the_noise_of_the_parts_is_that_of_the_whole() -> None:
    def drawn(rows: int) -> torch.Tensor:
        return torch.randn(rows, 3, generator=torch.Generator().manual_seed(4))

    whole = part_rows(16, drawn)  # two rows a sample
    rows = []
    for rank in range(2):
        for batch, part in parts_of(tiny_batch(4), 2, rank, 2):
            assert len(batch) == part.count == 2
            with within(part):
                rows.append(part_rows(4, drawn))
    assert torch.equal(torch.cat(rows), whole)
    with within(BatchPart(0, 8, 8)):
        assert torch.equal(part_rows(16, drawn), whole)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"devices": 3}, "batch_size=16 for 3 processes in 1 parts each: expected a multiple of 3"),
        ({"devices": 2, "nodes": 2, "accumulate": 8}, "expected a multiple of 32"),
        ({"devices": 2, "strategy": "fsdp"}, "Unknown strategy 'fsdp'"),
        ({"devices": 2, "compile": True}, "Found compile: true with batches"),
        ({"devices": "auto"}, "Found devices='auto': expected how many"),
        ({"devices": -1}, "expected how many"),
        ({"devices": []}, "expected how many"),
        ({"devices": True}, "expected how many"),
        ({"nodes": 0}, "nodes"),
        ({"accumulate": 0}, "accumulate"),
    ],
)
def test_what_cannot_be_divided_is_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said.replace("[", r"\[")):
        LightningTrainer(**options)


def test_processes_that_a_recipe_does_not_know_of_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four processes of one recipe would all write into its folder."""
    monkeypatch.setenv("WORLD_SIZE", "4")
    with pytest.raises(ConfigurationError, match="Found 4 processes"):
        LightningTrainer()
    LightningTrainer(devices=2, nodes=2)


def test_a_method_that_trains_more_than_once_is_refused(tmp_path: Path) -> None:
    trainer = LightningTrainer(devices=2)
    trainer.run = tmp_path
    with pytest.raises(ConfigurationError, match="trains more than once"):
        trainer.fit(torch.nn.Linear(1, 1), lambda start: [], [], folder=tmp_path / "fold_1", seed=0)  # type: ignore[arg-type,return-value]


def test_who_helps_is_known_before_anything_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "SLURM_PROCID", "LOCAL_RANK", "NODE_RANK"):
        monkeypatch.delenv(name, raising=False)
    assert not is_helper({"devices": 2})
    for name in ("RANK", "SLURM_PROCID", "LOCAL_RANK", "NODE_RANK"):
        with monkeypatch.context() as patch:
            patch.setenv(name, "1")
            assert is_helper({"devices": [0, 1]})
            assert is_helper({"nodes": 2})
            assert not is_helper({"devices": 1}), "tasks of a job that train alone write what they train"
            assert not is_helper(None)
    assert count_processes([0, 3], 2) == 4

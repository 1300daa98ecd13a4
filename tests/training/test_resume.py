"""A resume goes on with the training that was begun, and with no other."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import Tensor, nn

from driftfield.checkpoint import read_run, write_run
from driftfield.errors import ConfigurationError, FileFormatError
from driftfield.fields import FieldBatch
from driftfield.recipe import as_recipe
from driftfield.testing import tiny_batch, tiny_ocean, tiny_recipe

pytest.importorskip("lightning")

from driftfield.reconstruction.fitting import _made_of, fit_recipe
from driftfield.training import LightningTrainer
from driftfield.training.state import TrainingState

RECIPE = """
seed: 1
data: {archive: truth.nc, targets: [thetao], covariates: [sst]}
reconstructor: {class: DiffusionReconstructor, network: {widths: [4, 8]}}
trainer: {class: LightningTrainer, steps: 10}
"""


class Line(nn.Module):
    """The smallest objective."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))

    def loss(self, batch: FieldBatch, generator: torch.Generator, *, wrap: bool = False) -> Tensor:
        return (self.weight**2).sum()


class Samples(torch.utils.data.Dataset[FieldBatch]):
    """Fails at sample `until`."""

    def __init__(self, count: int, until: int) -> None:
        self.count, self.until = count, until

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> FieldBatch:
        if index >= self.until:
            raise RuntimeError("killed")
        return tiny_batch(1, shape=(8, 8), seed=index)


def fit(
    folder: Path,
    *,
    made_of: dict[str, str] | None = None,
    resume: bool = False,
    until: int = 99,
    steps: int = 4,
    **options: Any,
) -> None:
    settings: dict[str, Any] = {"batch_size": 1, "validate_every": 2, "loggers": (), "precision": "float32"}
    trainer = LightningTrainer(steps=steps, accelerator="cpu", **(settings | options))
    trainer.made_of = made_of or {}
    validation = [tiny_batch(1, shape=(8, 8))]
    trainer.fit(Line(), lambda start: Samples(steps - start, until), validation, folder=folder, seed=0, resume=resume)


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    with caplog.at_level("ERROR", logger="lightning.pytorch"):
        yield


def test_another_recipe_is_refused(tmp_path: Path) -> None:
    made_of = {"seed": "a", "data": "b", "reconstructor": "c"}
    with pytest.raises(RuntimeError, match="killed"):
        fit(tmp_path, made_of=made_of, until=3)
    for part in made_of:
        with pytest.raises(ConfigurationError, match=f"another '{part}' in its recipe"):
            fit(tmp_path, made_of=made_of | {part: "other"}, resume=True)
    fit(tmp_path, made_of=made_of, resume=True, steps=6)
    assert read_run(tmp_path / "checkpoints" / "last").extra["state"]["step"] == 6


def test_states_that_do_not_say_what_they_are_made_of_are_resumed(tmp_path: Path) -> None:
    fit(tmp_path)
    state = read_run(tmp_path / "checkpoints" / "last")
    old = {key: value for key, value in state.extra["state"].items() if key != "made_of"}
    write_run(tmp_path / "checkpoints" / "last", "TrainingState", {}, state.arrays, {"state": old})
    fit(tmp_path, made_of={"seed": "a"}, resume=True, steps=6)


def test_a_new_training_forgets_the_checkpoints_of_an_older_one(tmp_path: Path) -> None:
    fit(tmp_path)
    with pytest.raises(RuntimeError, match="killed"):
        fit(tmp_path, until=1)
    with pytest.raises(FileFormatError, match="is not a run"):
        fit(tmp_path, resume=True)


@pytest.mark.parametrize("state", [None, 7, {"step": 1, "colour": "blue"}])
def test_what_is_no_state_is_refused(tmp_path: Path, state: object) -> None:
    fit(tmp_path)
    last = tmp_path / "checkpoints" / "last"
    write_run(last, "TrainingState", {}, read_run(last).arrays, {"state": state})
    with pytest.raises(FileFormatError, match="no state of a training"):
        fit(tmp_path, resume=True)
    write_run(last, "Weights", {}, read_run(last).arrays, {"state": vars(TrainingState())})
    with pytest.raises(FileFormatError, match="holds a Weights"):
        fit(tmp_path, resume=True)


def test_a_recipe_may_move_its_files_and_train_longer() -> None:
    def made_of(**changes: object) -> dict[str, str]:
        content = yaml.safe_load(RECIPE)
        for path, value in changes.items():
            section, _, key = path.partition("__")
            content[section] = content[section] | {key: value} if key else value
        return _made_of(as_recipe(content, Path("recipe.yaml")))

    same = made_of()
    assert made_of(data__archive="elsewhere.nc", data__domain="mask.nc", trainer__steps=99) == same
    assert made_of(seed=2)["seed"] != same["seed"]
    assert made_of(data__covariates=[])["data"] != same["data"]
    assert made_of(reconstructor__validation_samples=4)["reconstructor"] != same["reconstructor"]


def test_another_batch_size_is_refused(tmp_path: Path) -> None:
    """What is learnt from next is counted in batches: another size would skip samples, or repeat some."""
    with pytest.raises(RuntimeError, match="killed"):
        fit(tmp_path, until=3)
    with pytest.raises(ConfigurationError, match="batch_size=1 and cannot go on with 2"):
        fit(tmp_path, resume=True, batch_size=2)


CHANGES: dict[str, dict[str, Any]] = {
    "learning_rate": {"learning_rate": {"peak": 0.1, "warm_up": 0, "plan": "constant"}},
    "weight_decay": {"weight_decay": 0.9, "learning_rate": {"peak": 0.1, "warm_up": 0, "plan": "constant"}},
    "ema": {"ema": 0.0},
}


@pytest.mark.parametrize("name", CHANGES)
def test_another_way_to_train_is_taken_from_here_on_with_a_line(
    tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    weights = {}
    before = {"learning_rate": CHANGES[name]["learning_rate"]} if name == "weight_decay" else {}
    for change in ({}, CHANGES[name]):
        folder = tmp_path / str(len(weights))
        with pytest.raises(RuntimeError, match="killed"):
            fit(folder, until=3, **before)
        caplog.clear()
        with caplog.at_level(logging.WARNING, logger="driftfield"):
            fit(folder, resume=True, **(before | change))
        assert (f"goes on with {name}=" in caplog.text) == bool(change)
        weights[bool(change)] = read_run(folder / "checkpoints" / "best").arrays["weight"]
    assert weights[False] != weights[True]


def test_the_recipe_is_there_from_the_start(tmp_path: Path) -> None:
    """A training that was killed, or is still at work, can be read; a run that is whole keeps its own until the next one is."""
    tiny_ocean().to_netcdf(tmp_path / "truth.nc")
    content = tiny_recipe(archive=str(tmp_path / "truth.nc"), steps=2)
    found = tmp_path / "run" / "recipe.yaml"

    class Stopped(Exception):
        pass

    def stop(*_: Any, **__: Any) -> None:
        raise Stopped(yaml.safe_load(found.read_text()) if found.exists() else None)

    recipe = as_recipe(content, Path("recipe.yaml"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LightningTrainer, "fit", stop)
        with pytest.raises(Stopped) as stopped:
            fit_recipe(recipe, tmp_path / "run", source="recipe")
    assert stopped.value.args[0] == content
    fit_recipe(recipe, tmp_path / "run", source="recipe")
    other = as_recipe({**content, "seed": 5}, Path("recipe.yaml"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LightningTrainer, "fit", stop)
        with pytest.raises(Stopped) as stopped:
            fit_recipe(other, tmp_path / "run", source="recipe")
    assert stopped.value.args[0] == content

"""Every figure is logged at its own step, once, also after an interruption; pictures reach the logs that show them."""

import csv
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from driftfield.errors import ConfigurationError
from driftfield.fields import FieldBatch
from driftfield.testing import tiny_batch

pytest.importorskip("lightning")

from driftfield.training import LightningTrainer, lightning_module
from driftfield.training.logs import check_logs, open_logs
from driftfield.training.logs.csv_log import CsvLog

VALIDATION = [tiny_batch(1, shape=(8, 8))]


class Line(nn.Module):
    """The smallest objective."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))

    def loss(self, batch: FieldBatch, generator: torch.Generator, *, wrap: bool = False) -> Tensor:
        return (self.weight**2).sum()


class Samples(torch.utils.data.Dataset[FieldBatch]):
    """Fails at sample `until`."""

    def __init__(self, start: int, stop: int, until: int) -> None:
        self.start, self.stop, self.until = start, stop, until

    def __len__(self) -> int:
        return self.stop - self.start

    def __getitem__(self, index: int) -> FieldBatch:
        if self.start + index >= self.until:
            raise RuntimeError("killed")
        return tiny_batch(1, shape=(8, 8), seed=self.start + index)


def picture(path: Path, title: str) -> None:
    from matplotlib.figure import Figure

    path.parent.mkdir(parents=True, exist_ok=True)
    Figure(figsize=(1, 1)).savefig(path, dpi=20)


def train(folder: Path, *, steps: int = 8, resume: bool = False, until: int = 99, **options: Any) -> None:
    settings: dict[str, Any] = {"validate_every": 3, "loggers": ("csv", "tensorboard"), "previews": 1} | options
    trainer = LightningTrainer(steps=steps, batch_size=1, precision="float32", accelerator="cpu", **settings)
    trainer.fit(
        Line(),
        lambda start: Samples(start, steps, until),
        VALIDATION,
        folder=folder,
        seed=0,
        resume=resume,
        preview=picture,
    )


def table(folder: Path) -> list[dict[str, str]]:
    with (folder / "logs" / "csv" / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def scalars(folder: Path, name: str) -> list[int]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder / "logs" / "tensorboard"))
    events.Reload()
    return [event.step for event in (events.Images if name == "preview" else events.Scalars)(name)]


def test_every_validation_is_logged_at_its_step(tmp_path: Path) -> None:
    """A training of fewer steps than lie between two entries of the loss loses none."""
    train(tmp_path)
    rows = table(tmp_path)
    assert [row["step"] for row in rows] == ["3", "6", "8"]
    assert all(row["validation_loss"] and row["loss"] and row["learning_rate"] for row in rows)
    assert scalars(tmp_path, "validation_loss") == scalars(tmp_path, "preview") == [3, 6, 8]


def test_the_loss_is_logged_between_validations(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lightning_module, "LOG_EVERY", 2)
    train(tmp_path)
    assert [row["step"] for row in table(tmp_path)] == ["2", "3", "4", "6", "8"]
    assert [row["step"] for row in table(tmp_path) if row["validation_loss"]] == ["3", "6", "8"]


def test_a_resumed_training_goes_on_with_its_logs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed after step 4 with its last state at step 3: what was logged beyond it is logged once more, not twice."""
    monkeypatch.setattr(lightning_module, "LOG_EVERY", 2)
    with pytest.raises(RuntimeError, match="killed"):
        train(tmp_path / "killed", until=5)
    assert [row["step"] for row in table(tmp_path / "killed")] == ["2", "3", "4"]
    train(tmp_path / "killed", resume=True)
    train(tmp_path / "whole")
    names = ("step", "loss", "learning_rate", "validation_loss")
    killed, whole = ([[row[name] for name in names] for row in table(tmp_path / part)] for part in ("killed", "whole"))
    assert killed == whole
    for name in ("loss", "validation_loss", "preview"):
        assert scalars(tmp_path / "killed", name) == scalars(tmp_path / "whole", name)


def test_a_new_training_does_not_go_on_with_the_logs_of_an_old_one(tmp_path: Path) -> None:
    train(tmp_path, steps=6)
    train(tmp_path, steps=3)
    assert [row["step"] for row in table(tmp_path)] == ["3"]
    assert scalars(tmp_path, "validation_loss") == [3]


def test_a_figure_that_comes_later_adds_a_column(tmp_path: Path) -> None:
    log = CsvLog(tmp_path, 0)
    log.write(1, {"loss": 0.5})
    log.write(2, {"loss": 0.25, "crps": 1.0})
    log.write(3, {"loss": 0.125})
    assert [(row["loss"], row["crps"]) for row in table(tmp_path)] == [("0.5", ""), ("0.25", "1.0"), ("0.125", "")]


class FakeWandb(ModuleType):
    """What is called of W&B."""

    def __init__(self) -> None:
        super().__init__("wandb")
        self.begun: list[dict[str, Any]] = []
        self.logged: list[tuple[int, dict[str, Any]]] = []
        self.Image = lambda path: f"image of {Path(path).name}"

    def init(self, **options: Any) -> Any:
        self.begun.append(options)
        log = lambda figures, step: self.logged.append((step, figures))  # noqa: E731
        return SimpleNamespace(id=options["id"] or "new", log=log, finish=lambda: None)


def test_weights_and_biases_has_its_options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Project, entity, name and pictures; a resumed training goes on with the run that it began."""
    fake = FakeWandb()
    monkeypatch.setitem(sys.modules, "wandb", fake)
    spec = {"class": "wandb", "project": "seas", "entity": "group", "name": "first"}
    train(tmp_path / "run", steps=3, loggers=[spec])
    train(tmp_path / "run", steps=6, resume=True, loggers=[spec | {"images": False}])
    assert [(one["project"], one["entity"], one["name"], one["id"]) for one in fake.begun] == [
        ("seas", "group", "first", None),
        ("seas", "group", "first", "new"),
    ]
    pictures = [(step, figures["preview"]) for step, figures in fake.logged if "preview" in figures]
    assert pictures == [(3, "image of step_000003.png")]
    assert [step for step, figures in fake.logged if "validation_loss" in figures] == [3, 6]
    open_logs(["wandb"], tmp_path / "named", 0)
    assert (fake.begun[-1]["project"], fake.begun[-1]["name"]) == ("driftfield", "named")


@pytest.mark.parametrize(
    ("loggers", "message"),
    [
        (["csvv"], "csv"),
        ([{"class": "wandb", "projekt": "a"}], "projekt.*Did you mean 'project'"),
        ([{"class": "csv", "folder": "a"}], "folder"),
        ([{"project": "a"}], "Unknown logger None"),
    ],
)
def test_a_log_that_nobody_knows_is_refused(loggers: list[Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        check_logs(loggers)


def test_one_device_may_be_named() -> None:
    assert LightningTrainer(devices=[1]).devices == [1]

"""Callbacks see a training as it is, change nothing of it, and end it where they say; compiling changes nothing but the time."""

import logging
from collections.abc import Mapping
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest
import torch
from test_trainer import VALIDATION, Samples, make_model, make_trainer
from torch import nn

from driftfield import registry
from driftfield.errors import ConfigurationError
from driftfield.fields import FieldBatch
from driftfield.registry import build, names
from driftfield.training.callbacks import TrainingCallback
from driftfield.training.compiled import Compiled


class Seen(TrainingCallback):
    """Remembers all, and draws from the generator that training shares."""

    def __init__(self, until: int | None = None, at: str = "validation") -> None:
        self.begun: list[int] = []
        self.steps: list[tuple[int, float]] = []
        self.validations: list[tuple[int, dict[str, float]]] = []
        self.training: list[bool] = []
        self.weights: dict[str, torch.Tensor] = {}
        self.until, self.at = until, at

    def begin(self, step: int) -> None:
        self.begun.append(step)

    def after_step(self, step: int, loss: float) -> bool:
        torch.rand(7)
        self.steps.append((step, loss))
        return self.at == "step" and step == self.until

    def after_validation(self, step: int, figures: Mapping[str, float], model: nn.Module, folder: Path) -> bool:
        assert folder.is_dir()
        torch.rand(7)
        self.validations.append((step, dict(figures)))
        self.training.append(model.training)
        self.weights = {name: value.clone() for name, value in model.state_dict().items()}
        return self.at == "validation" and step == self.until


def trained(folder: Path, *, resume: bool = False, **options: Any) -> tuple[nn.Module, list[dict[str, float]]]:
    model = make_model()
    trainer = make_trainer(**options)
    history = trainer.fit(model, lambda start: Samples(start, 12), VALIDATION, folder=folder, seed=0, resume=resume)
    return model, history


def same(a: nn.Module, b: nn.Module) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


def test_a_callback_sees_the_training_and_changes_nothing(tmp_path: Path) -> None:
    plain, history = trained(tmp_path / "plain")
    seen = Seen()
    watched, _ = trained(tmp_path / "watched", callbacks=[seen])
    assert same(plain, watched)
    assert seen.begun == [0]
    assert [step for step, _ in seen.steps] == [1, 2, 3, 4, 5, 6]
    assert [step for step, _ in seen.validations] == [3, 6]
    assert [figures["validation_loss"] for _, figures in seen.validations] == [
        one["validation_loss"] for one in history
    ]
    assert seen.training == [False, False]
    # the averaged weights, which the run ends with when the last validation is the best
    if history[-1]["validation_loss"] <= history[0]["validation_loss"]:
        assert all(torch.equal(value, watched.state_dict()[name]) for name, value in seen.weights.items())


@pytest.mark.parametrize(("at", "until", "validated"), [("validation", 3, [3]), ("step", 4, [3, 4])])
def test_a_callback_ends_a_training_that_can_be_resumed(
    tmp_path: Path, at: str, until: int, validated: list[int]
) -> None:
    whole, _ = trained(tmp_path / "whole")
    _, history = trained(tmp_path / "parts", callbacks=[Seen(until, at)])
    assert [int(record["step"]) for record in history] == validated
    seen = Seen()
    resumed, history = trained(tmp_path / "parts", resume=True, callbacks=[seen])
    assert seen.begun == [until]
    assert int(history[-1]["step"]) == 6
    if at == "validation":  # one more validation may keep other weights as the best
        assert same(whole, resumed)


def test_a_time_limit_ends_at_a_validation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from driftfield.training.callbacks import time_limit

    now = iter(range(0, 10**6, 3000))
    monkeypatch.setattr(time_limit.time, "monotonic", lambda: float(next(now)))
    limit = build("callback", {"class": "TimeLimit", "hours": 1})
    limit.begin(0)
    ends = [limit.after_validation(step, {}, nn.Identity(), tmp_path) for step in (1, 2)]
    assert ends == [False, True]


def test_a_limit_may_end_a_training_at_once(tmp_path: Path) -> None:
    limit = build("callback", {"class": "TimeLimit", "hours": 1e-9, "at_once": True})
    _, history = trained(tmp_path, callbacks=[limit])
    assert [row["step"] for row in history] == [1]  # validated where it ended
    assert not build("callback", {"class": "TimeLimit", "hours": 1e-9}).after_step(1, 0.0)


def test_a_limit_may_count_what_was_prepared(monkeypatch: pytest.MonkeyPatch) -> None:
    from driftfield.training.callbacks import time_limit

    now = iter([0.0, 3000.0, 4000.0, 0.0, 4000.0])  # made, begun, after a step; made, after a step
    monkeypatch.setattr(time_limit.time, "monotonic", lambda: next(now))
    for preparing in (False, True):
        limit = build("callback", {"class": "TimeLimit", "hours": 1, "at_once": True, "preparing": preparing})
        limit.begin(0)
        assert limit.after_step(1, 0.0) == preparing


REFUSED: dict[str, tuple[Any, str]] = {
    "no list": ("TimeLimit", "expected a list"),
    "unknown": ([{"class": "TimeLimits", "hours": 1}], "Unknown callback 'TimeLimits'.*TimeLimit"),
    "a path": (["os.system"], "Unknown callback 'os.system'"),
    "argument": ([{"class": "TimeLimit", "minutes": 1}], "no argument 'minutes'"),
    "value": ([{"class": "TimeLimit", "hours": 0}], "hours=0"),
    "missing": (["TimeLimit"], "needs the argument"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_makes_no_sense_is_refused_before_training(case: str) -> None:
    callbacks, message = REFUSED[case]
    with pytest.raises(ConfigurationError, match=message):
        make_trainer(callbacks=callbacks)


def test_an_installed_package_adds_members_by_its_entry_point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "somebodys_members.py").write_text(
        "from driftfield.registry import register\nfrom driftfield.training.callbacks import TrainingCallback\n\n"
        "@register('callback')\nclass Somebodys(TrainingCallback):\n    def __init__(self, often: int = 1): self.often = often\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(registry, "_KINDS", {kind: dict(found) for kind, found in registry._KINDS.items()})
    monkeypatch.setattr(registry, "_DISCOVERED", set(registry._DISCOVERED) - {registry.PLUGINS})
    point = EntryPoint("somebodys", "somebodys_members", "driftfield")
    monkeypatch.setattr(registry, "entry_points", lambda group: [point] if group == "driftfield" else [])
    assert "Somebodys" in names("callback")
    made = make_trainer(callbacks=[{"class": "Somebodys", "often": 3}]).called
    assert made[0].often == 3  # type: ignore[attr-defined]
    registry._DISCOVERED.discard(registry.PLUGINS)
    broken = EntryPoint("broken", "no_such_module_of_anybody", "driftfield")
    monkeypatch.setattr(registry, "entry_points", lambda group: [broken])
    with pytest.raises(ConfigurationError, match=r"entry point 'broken'.*cannot be loaded"):
        names("callback")


def test_a_loss_that_cannot_be_compiled_goes_on_plainly(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The numbers are those of the plain loss, whatever the failed attempt had drawn."""

    def no_compiler(loss: Any) -> Any:
        def fails(batch: Any, generator: torch.Generator, **options: Any) -> Any:
            torch.rand(3, generator=generator)
            raise RuntimeError("\nno compiler was found\nat all")

        return fails

    def loss(batch: torch.Tensor, generator: torch.Generator, *, wrap: bool) -> torch.Tensor:
        if batch.numel() == 0:
            raise RuntimeError("an empty batch")
        return batch.sum() + torch.rand(1, generator=generator)[0]

    monkeypatch.setattr(torch, "compile", no_compiler)
    built = Compiled(loss)
    generators = [torch.Generator().manual_seed(3) for _ in range(2)]
    with pytest.raises(RuntimeError, match="an empty batch"):
        built(torch.ones(0), generators[0], wrap=False)
    generators[0].manual_seed(3)
    with caplog.at_level(logging.WARNING):
        found = [float(built(torch.ones(2), generators[0], wrap=False)) for _ in range(2)]
    assert found == [float(loss(torch.ones(2), generators[1], wrap=False)) for _ in range(2)]
    assert caplog.text.count("torch.compile does not work here") == 1
    assert "no compiler was found" in caplog.text


class Line(nn.Module):
    """The smallest objective: compiling a network takes a minute."""

    def __init__(self) -> None:
        super().__init__()
        self.slope, self.offset = nn.Parameter(torch.tensor(0.3)), nn.Parameter(torch.tensor(0.1))

    def loss(self, batch: FieldBatch, generator: torch.Generator, *, wrap: bool = False) -> torch.Tensor:
        return ((self.slope * batch.target.roll(1, -1) + self.offset - batch.target) ** 2).mean()


@pytest.mark.slow
def test_a_compiled_training_is_the_plain_one_to_rounding(tmp_path: Path) -> None:
    """Where a compiler is; elsewhere the line is there, and the training is the very same."""
    found = []
    for compiled in (False, True):
        model = Line()
        trainer = make_trainer(compile=compiled)
        samples, folder = Samples(0, 12), tmp_path / str(compiled)
        trainer.fit(model, samples, VALIDATION, folder=folder, seed=0)
        found.append((float(model.slope.detach()), float(model.offset.detach())))
    assert found[0] == pytest.approx(found[1], rel=1e-4)
    assert found[0][0] != pytest.approx(0.3, abs=1e-3)

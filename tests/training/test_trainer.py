"""Training repeats itself exactly, also in two parts, and says where it diverged."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import driftfield.networks  # noqa: F401
from driftfield.checkpoint import read_run, write_run
from driftfield.diffusion.learned_weighting import LearnedWeighting
from driftfield.diffusion.model import DiffusionModel
from driftfield.diffusion.noise_levels import LogNormalLevels, ScheduleLevels
from driftfield.diffusion.parameterization import EDMParameterization
from driftfield.diffusion.schedule import LogLinearSchedule, Schedule
from driftfield.diffusion.tabulated_schedules import AdaptiveSchedule
from driftfield.diffusion.weighting import EDMWeighting
from driftfield.errors import ConfigurationError, DivergenceError, FileFormatError
from driftfield.fields import FieldBatch
from driftfield.registry import build
from driftfield.testing import tiny_batch

pytest.importorskip("lightning")

from driftfield.training import LightningTrainer
from driftfield.training.lightning_trainer import take_weights
from driftfield.training.snapshots import list_snapshots, read_snapshot

SHAPE = (8, 8)
VALIDATION = [tiny_batch(4, shape=SHAPE, seed=100), tiny_batch(4, shape=SHAPE, seed=101)]


class Samples(torch.utils.data.Dataset[FieldBatch]):
    """Sample i is a function of its number; the process is killed at sample `until`."""

    def __init__(self, start: int, stop: int, until: int | None = None) -> None:
        self.start, self.stop, self.until = start, stop, until

    def __len__(self) -> int:
        return self.stop - self.start

    def __getitem__(self, index: int) -> FieldBatch:
        if self.until is not None and self.start + index >= self.until:
            raise RuntimeError("killed")
        return tiny_batch(1, shape=SHAPE, seed=self.start + index)


def make_model(
    *, seed: int = 0, dropout: float = 0.1, schedule: Schedule | None = None, **parts: object
) -> DiffusionModel:
    torch.manual_seed(seed)
    spec = {"class": "ResidualUNet", "widths": [4, 8], "depths": [1, 1], "condition_depths": [1, 1], "embedding": 8}
    usual = {"parameterization": EDMParameterization(), "noise_levels": LogNormalLevels(), "weighting": EDMWeighting()}
    network = build("network", {**spec, "channels": 2, "covariates": 1, "dropout": dropout})
    return DiffusionModel(network, schedule or LogLinearSchedule(), **(usual | parts))  # type: ignore[arg-type]


def make_learning_model(*, seed: int = 0) -> DiffusionModel:
    """All that is learned beside the network: where to draw, and how to weigh."""
    weighting = LearnedWeighting({"class": "GaussianEDMWeighting", "mean": 0.0, "std": 3.4}, features=8)
    return make_model(seed=seed, schedule=AdaptiveSchedule(bins=10), noise_levels=ScheduleLevels(), weighting=weighting)


def make_trainer(**options: object) -> LightningTrainer:
    defaults: dict[str, object] = {
        "steps": 6,
        "batch_size": 2,
        "validate_every": 3,
        "learning_rate": {"peak": 1e-2, "warm_up": 2},
        "precision": "float32",
        "accelerator": "cpu",
        "loggers": (),
        "ema": 0.9,
    }
    return LightningTrainer(**(defaults | options))  # type: ignore[arg-type]


def fit(
    model: nn.Module,
    folder: Path,
    *,
    trainer: LightningTrainer | None = None,
    until: int | None = None,
    resume: bool = False,
) -> list[dict[str, float]]:
    trainer = trainer or make_trainer()
    stop = trainer.steps * trainer.batch_size
    return trainer.fit(
        model,
        lambda start: Samples(start, stop, until),
        VALIDATION,
        folder=folder,
        seed=5,
        resume=resume,
    )


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    logger = logging.getLogger("lightning.pytorch")
    before = logger.level
    logger.setLevel(logging.ERROR)
    yield
    logger.setLevel(before)


def weights(folder: Path, part: str) -> dict[str, Tensor]:
    return {
        name: torch.from_numpy(array.copy()) for name, array in read_run(folder / "checkpoints" / part).arrays.items()
    }


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("learning", [False, True], ids=["", "learned levels"])
@pytest.mark.parametrize("ema", [0.9, {"class": "PowerEMA", "widths": [0.2, 0.1], "snapshots": 6}], ids=["", "power"])
def test_a_resumed_training_is_the_uninterrupted_one(tmp_path: Path, learning: bool, ema: object) -> None:
    """Six steps, and six steps killed after the third: the same weights, averages, moments and history, bit by bit."""
    make, trainer = make_learning_model if learning else make_model, make_trainer(ema=ema)
    whole = fit(make(), tmp_path / "whole", trainer=trainer)
    with pytest.raises(RuntimeError, match="killed"):
        fit(make(), tmp_path / "parts", until=9, trainer=trainer)
    assert read_run(tmp_path / "parts" / "checkpoints" / "last").extra["state"]["step"] == 3
    other = make(seed=9)
    parts = fit(other, tmp_path / "parts", resume=True, trainer=trainer)
    for part in ("last", "best"):
        assert same(weights(tmp_path / "whole", part), weights(tmp_path / "parts", part))
    changing = ("samples_per_second",)
    for one, two in zip(whole, parts, strict=True):
        assert {k: v for k, v in one.items() if k not in changing} == {
            k: v for k, v in two.items() if k not in changing
        }
    kept = [list_snapshots(tmp_path / name / "snapshots") for name in ("whole", "parts")]
    assert len(kept[0]) == len(kept[1]) == (0 if isinstance(ema, float) else 12)
    for one, two in zip(*kept, strict=True):
        assert same(dict(read_snapshot(one).weights), dict(read_snapshot(two).weights))


def test_what_is_learned_about_noise_levels_is_kept(tmp_path: Path) -> None:
    """The density and the weights move; the run ends with what belongs to its best weights."""
    model = make_learning_model()
    gamma = torch.linspace(model.schedule.gamma_min + 0.1, model.schedule.gamma_max - 0.1, 50)
    assert float(model.schedule.density(gamma).diff().abs().max()) < 1e-6
    fit(model, tmp_path, trainer=make_trainer(steps=30, validate_every=10))
    density = model.schedule.density(gamma)
    assert float(density.max()) > 2 * float(density.min())
    assert float(model.weighting.weight.detach().abs().max()) > 0.01  # type: ignore[arg-type]
    history = read_run(tmp_path / "checkpoints" / "last").extra["state"]["history"]
    assert history[-1]["training_log_s_std"] != history[0]["training_log_s_std"]
    best, last = weights(tmp_path, "best"), weights(tmp_path, "last")
    for name in ("schedule.errors", "schedule.doubt", "weighting.weight", "weighting.frequencies"):
        assert torch.equal(dict(model.named_parameters())[name].detach(), best[name])
        assert {f"weights.{name}", f"ema.{name}"} <= set(last)


def test_equal_seeds_train_equal_weights_and_validate_alike(tmp_path: Path) -> None:
    records = [fit(make_model(), tmp_path / name) for name in ("a", "b")]
    assert records[0][0]["validation_loss"] == records[1][0]["validation_loss"]
    assert same(weights(tmp_path / "a", "last"), weights(tmp_path / "b", "last"))


def test_validation_of_the_same_weights_gives_the_same_loss(tmp_path: Path) -> None:
    """No learning: every validation sees the same masks, levels and noise, with dropout asleep."""
    trainer = make_trainer(learning_rate={"peak": 0.0}, weight_decay=0.0, validate_every=1)
    losses = [record["validation_loss"] for record in fit(make_model(dropout=0.5), tmp_path, trainer=trainer)]
    assert len(losses) == 6
    assert len(set(losses)) == 1


def test_training_ends_with_the_averages_of_the_best_validation(tmp_path: Path) -> None:
    model = make_model()
    history = fit(model, tmp_path)
    best = read_run(tmp_path / "checkpoints" / "best")
    assert best.extra["loss"] == min(record["validation_loss"] for record in history)
    for name, parameter in model.named_parameters():
        assert torch.equal(parameter.detach(), torch.from_numpy(best.arrays[name]))


def test_training_learns(tmp_path: Path) -> None:
    trainer = make_trainer(steps=40, validate_every=20, learning_rate={"peak": 1e-2, "warm_up": 5})
    history = fit(make_model(), tmp_path, trainer=trainer)
    assert history[-1]["validation_loss"] < history[0]["validation_loss"]
    assert [record["step"] for record in history] == [20, 40]


def test_the_best_weights_are_those_of_the_monitored_score(tmp_path: Path) -> None:
    """A score that rises while the loss falls keeps the first weights."""
    for number, monitor in enumerate(("validation_crps", "validation_loss")):
        rising = iter([1.0, 2.0, 3.0])
        make_trainer(steps=9, monitor=monitor).fit(
            make_model(),
            lambda start: Samples(start, 18),
            VALIDATION,
            folder=tmp_path / monitor,
            seed=1,
            diagnose=lambda scores=rising: {"validation_crps": next(scores)},  # type: ignore[misc]
        )
        best = read_run(tmp_path / monitor / "checkpoints" / "best").extra["step"]
        assert (best == 3) == (number == 0)


def test_a_training_starts_from_the_weights_of_another_run(tmp_path: Path) -> None:
    other = make_model(seed=7)
    arrays = {f"weights.{name}": value.detach().numpy() for name, value in other.named_parameters()}
    head = next(name for name in arrays if "head.weight" in name)
    arrays[head] = arrays[head][:1]  # a run with another number of channels
    write_run(tmp_path / "other", "DiffusionReconstructor", {}, arrays, {})
    model = make_model(seed=8)
    own = dict(model.named_parameters())[head.removeprefix("weights.")].detach().clone()
    assert take_weights(model, tmp_path / "other") == len(arrays) - 1
    for name, value in model.named_parameters():
        assert torch.equal(value, own if f"weights.{name}" == head else dict(other.named_parameters())[name])
    write_run(tmp_path / "none", "Climatology", {}, {"a": own.numpy()}, {})
    with pytest.raises(ConfigurationError, match="No weights"):
        take_weights(model, tmp_path / "none")


def test_a_resumed_training_that_is_done_does_nothing(tmp_path: Path) -> None:
    history = fit(make_model(), tmp_path)
    before = weights(tmp_path, "last")
    assert fit(make_model(), tmp_path, resume=True) == history
    assert same(before, weights(tmp_path, "last"))


def test_a_loss_that_is_not_finite_stops_the_training(tmp_path: Path) -> None:
    class Diverging(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.ones(1))
            self.calls = 0

        def loss(self, batch: FieldBatch, generator: torch.Generator, *, wrap: bool = False) -> Tensor:
            self.calls += 1
            return self.weight.sum() * (torch.nan if self.calls == 3 else 1.0)

    with pytest.raises(DivergenceError, match="step 2"):
        fit(Diverging(), tmp_path)


def test_early_stopping(tmp_path: Path) -> None:
    class Worsening(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(1))

        def loss(self, batch: FieldBatch, generator: torch.Generator, *, wrap: bool = False) -> Tensor:
            return -self.weight.sum() if self.training else self.weight.sum()

    trainer = make_trainer(
        steps=50, validate_every=1, early_stopping=3, learning_rate={"peak": 0.1, "plan": "constant"}
    )
    history = fit(Worsening(), tmp_path, trainer=trainer)
    assert len(history) == 4


class Improving(nn.Module):
    """Its loss falls for ever."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))

    def loss(self, batch: FieldBatch, generator: torch.Generator, *, wrap: bool = False) -> Tensor:
        return self.weight.sum()


@pytest.mark.parametrize("killed", [False, True])
def test_early_stopping_looks_at_what_is_monitored(tmp_path: Path, killed: bool) -> None:
    # the third has none, and its loss, below every score here, must not stand in for it
    crps = iter([3.0, 2.0, None, 4.0, 5.0, 1.0, 0.0])
    options: dict[str, Any] = {"steps": 50, "batch_size": 1, "validate_every": 1, "early_stopping": 3}
    trainer = make_trainer(**options, monitor="validation_crps", learning_rate={"peak": 0.1, "plan": "constant"})

    def diagnose() -> dict[str, float]:
        score = next(crps)
        return {} if score is None else {"validation_crps": score}

    def run(until: int | None = None, *, resume: bool = False) -> list[dict[str, float]]:
        samples = lambda start: Samples(start, 50, until)  # noqa: E731
        given: dict[str, Any] = {"folder": tmp_path, "seed": 5, "resume": resume, "diagnose": diagnose}
        return trainer.fit(Improving(), samples, VALIDATION, **given)

    if killed:
        with pytest.raises(RuntimeError, match="killed"):
            run(3)
    history = run(resume=killed)
    assert [record.get("validation_crps") for record in history] == [3.0, 2.0, None, 4.0, 5.0]
    assert history[-1]["validation_loss"] < history[0]["validation_loss"]
    assert read_run(tmp_path / "checkpoints" / "best").extra["step"] == 2


def test_the_loss_decides_where_no_score_was_ever_found(tmp_path: Path) -> None:
    trainer = make_trainer(steps=3, batch_size=1, validate_every=1, monitor="validation_crps")
    fit(Improving(), tmp_path, trainer=trainer)
    assert read_run(tmp_path / "checkpoints" / "best").extra["step"] == 3


def test_resuming_another_network_is_refused(tmp_path: Path) -> None:
    fit(make_model(), tmp_path)
    other = make_model()
    other.further = nn.Linear(2, 2)
    with pytest.raises(ConfigurationError, match="another network"):
        fit(other, tmp_path, resume=True)


def test_resuming_with_another_kind_of_average_is_refused(tmp_path: Path) -> None:
    fit(make_model(), tmp_path)
    for ema in ({"class": "PowerEMA"}, {"class": "PowerEMA", "widths": [0.07]}):
        with pytest.raises(ConfigurationError, match="kind of average"):
            fit(make_model(), tmp_path, resume=True, trainer=make_trainer(ema=ema, steps=9))


def test_a_new_training_forgets_the_snapshots_of_an_older_one(tmp_path: Path) -> None:
    fit(make_model(), tmp_path, trainer=make_trainer(ema={"class": "PowerEMA", "snapshots": 2}))
    assert [path.name for path in list_snapshots(tmp_path / "snapshots")] == [
        "00000003-0.05",
        "00000003-0.1",
        "00000006-0.05",
        "00000006-0.1",
    ]
    fit(make_model(), tmp_path)
    assert list_snapshots(tmp_path / "snapshots") == []


@pytest.mark.parametrize(
    ("ema", "message"),
    [
        (1.5, "ema=1.5"),
        ("fast", "ema='fast'"),
        ({"class": "EMA", "decay": True}, "ema=True"),
        ({"widths": [0.1]}, "'class'"),
        ({"class": "SlowEMA"}, "PowerEMA"),
        ({"class": "PowerEMA", "widths": []}, "widths"),
        ({"class": "PowerEMA", "widths": [0.1, 0.1]}, "different"),
        ({"class": "PowerEMA", "widths": [0.5]}, "0.28"),
        ({"class": "PowerEMA", "snapshots": -1}, "snapshots"),
        ({"class": "PowerEMA", "width": 0.1}, "widths"),
    ],
)
def test_impossible_averages_are_refused(ema: object, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        make_trainer(ema=ema)


def test_resuming_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match="not a run"):
        fit(make_model(), tmp_path / "nothing", resume=True)


@pytest.mark.parametrize(
    ("options", "message"), [({"precision": "half"}, "bfloat16"), ({"loggers": ("csvv",)}, "tensorboard")]
)
def test_impossible_options_are_refused(tmp_path: Path, options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        fit(make_model(), tmp_path, trainer=make_trainer(**options))


@pytest.mark.slow
def test_every_logger_writes(tmp_path: Path) -> None:
    fit(make_model(), tmp_path, trainer=make_trainer(steps=50, validate_every=50, loggers=("csv", "tensorboard")))
    (table,) = tmp_path.rglob("metrics.csv")
    assert {"loss", "learning_rate", "validation_loss"} <= set(table.read_text().splitlines()[0].split(","))
    assert list(tmp_path.rglob("events.out.tfevents*"))

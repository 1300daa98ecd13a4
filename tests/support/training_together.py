"""One tiny training on any number of processes that are forked from one which has imported everything."""

__all__ = ["Plan", "Uneven", "command", "history", "losses", "make_model", "train"]

import contextlib
import json
import multiprocessing
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from driftfield.fields import FieldBatch
from driftfield.testing import tiny_batch

SHAPE = (8, 8)
_HEAVY = ["torch", "lightning", "driftfield.training", "driftfield.networks", "driftfield.testing", __name__]
_HEAVY += ["driftfield.cli.train", "driftfield.reconstruction.fitting"]


@dataclass(frozen=True)
class Plan:
    """What is trained, and how.

    Arguments:
        model: Of `make_model`.
        options: Of the trainer.
        resume: Whether it goes on.
        killed: The first process kills itself once the step of this number was taken; the others are killed then.
    """

    model: str = "diffusion"
    options: dict[str, Any] = field(default_factory=dict)
    resume: bool = False
    killed: int | None = None


class Uneven(torch.utils.data.Dataset[FieldBatch]):
    """Sample i is a function of its number, and so is how much of it is known: parts of a batch weigh differently."""

    def __init__(self, start: int, stop: int) -> None:
        self.start, self.stop = start, stop

    def __len__(self) -> int:
        return self.stop - self.start

    def __getitem__(self, index: int) -> FieldBatch:
        number = self.start + index
        sample = tiny_batch(1, shape=SHAPE, seed=number)
        rows = number % (SHAPE[0] - 1)
        for mask in (sample.domain, sample.seen.where, sample.held_out):
            mask[..., :rows, :] = False
        return sample


def train(folder: Path, plan: Plan, processes: int = 1) -> list[int]:
    """The exit codes of all processes, the first one first; what came of it is told by `losses` and `history`."""
    return _together(_work, (str(folder), plan), processes)


def command(folder: Path, arguments: list[str], processes: int) -> list[int]:
    """`driftfield ARGUMENTS` in a folder, as torchrun would start it; the exit codes, the first process first."""
    return _together(_command, (str(folder), arguments), processes)


def _together(work: Callable[..., None], arguments: tuple[Any, ...], processes: int) -> list[int]:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_HEAVY)
    port = _free_port()
    started = [
        context.Process(target=_start, args=(work, arguments, rank, processes, port)) for rank in range(processes)
    ]
    for process in started:
        process.start()
    while any(process.is_alive() for process in started):
        if any(process.exitcode not in (None, 0) for process in started):
            for process in started:
                process.kill()
        time.sleep(0.02)
    return [process.exitcode or 0 for process in started]


def losses(folder: Path) -> dict[int, float]:
    """Of every step, as the last process that took it wrote it."""
    lines = (line.split() for line in (folder / "losses.txt").read_text().splitlines())
    return {int(step): float(loss) for step, loss in lines}


def history(folder: Path, rank: int = 0) -> list[dict[str, float]]:
    """The validations, without what depends on the clock."""
    records = json.loads((folder / f"history-{rank}.json").read_text())
    return [{key: value for key, value in record.items() if key != "samples_per_second"} for record in records]


def _start(work: Callable[..., None], arguments: tuple[Any, ...], rank: int, processes: int, port: int) -> None:
    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)
    if processes > 1:  # as torchrun says it
        os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(processes), "GROUP_RANK": "0"}
        os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "TORCHELASTIC_RUN_ID": "test"}
        os.environ["LOCAL_WORLD_SIZE"] = str(processes)
    work(*arguments, rank, processes)


def _command(folder: str, arguments: list[str], rank: int, processes: int) -> None:
    from driftfield.cli import main

    os.chdir(folder)
    sys.argv = ["driftfield", *arguments]
    with open(f"said-{rank}.txt", "w", encoding="utf-8") as said, contextlib.redirect_stdout(said):
        try:
            main()
        except SystemExit as end:
            if end.code:
                raise


def _work(folder: str, plan: Plan, rank: int, processes: int) -> None:
    from driftfield.training import LightningTrainer

    written = _Losses(Path(folder), plan.killed)
    usual: dict[str, Any] = {
        "steps": 12,
        "batch_size": 8,
        "validate_every": 3,
        "learning_rate": {"peak": 1e-2, "warm_up": 2},
        "precision": "float32",
        "accelerator": "cpu",
        "devices": processes,
        "loggers": (),
        "ema": 0.9,
        "callbacks": [written],
    }
    trainer = LightningTrainer(**(usual | plan.options))
    validation = [tiny_batch(4, shape=SHAPE, seed=1000)]
    history = trainer.fit(
        make_model(plan.model),
        lambda start: Uneven(start, trainer.steps * trainer.batch_size),
        validation,
        folder=Path(folder),
        seed=5,
        resume=plan.resume,
    )
    (Path(folder) / f"history-{rank}.json").write_text(json.dumps(history))


def make_model(kind: str) -> Any:
    """A tiny "diffusion", "adaptive", "ensemble", "regression" or "noisy" (regression with output noise)."""
    from driftfield.diffusion.ensemble_model import EnsembleModel
    from driftfield.diffusion.model import DiffusionModel, RegressionModel
    from driftfield.diffusion.noise_levels import LogNormalLevels, ScheduleLevels
    from driftfield.diffusion.parameterization import EDMParameterization
    from driftfield.diffusion.schedule import LogLinearSchedule
    from driftfield.diffusion.tabulated_schedules import AdaptiveSchedule
    from driftfield.diffusion.weighting import EDMWeighting
    from driftfield.models.noisy_regression import NoisyRegressionModel
    from driftfield.networks.codecs import GaussianNoise
    from driftfield.registry import build

    torch.manual_seed(0)
    spec = {"class": "ResidualUNet", "widths": [4, 8], "depths": [1, 1], "condition_depths": [1, 1], "embedding": 8}
    spec |= {"channels": 2, "covariates": 1, "dropout": 0.0}
    if kind == "ensemble":
        return EnsembleModel(build("network", {**spec, "latent": 4}), 4)
    network = build("network", spec)
    if kind == "regression":
        return RegressionModel(network)
    if kind == "noisy":
        return NoisyRegressionModel(network, GaussianNoise(2), GaussianNoise(2))
    if kind == "adaptive":
        from driftfield.diffusion.learned_weighting import LearnedWeighting

        weighting = LearnedWeighting({"class": "GaussianEDMWeighting", "mean": 0.0, "std": 3.4}, features=8)
        parts: dict[str, Any] = {"noise_levels": ScheduleLevels(), "weighting": weighting}
        return DiffusionModel(network, AdaptiveSchedule(bins=10), parameterization=EDMParameterization(), **parts)
    parts = {"noise_levels": LogNormalLevels(), "weighting": EDMWeighting()}
    return DiffusionModel(network, LogLinearSchedule(), parameterization=EDMParameterization(), **parts)


class _Losses:
    """Made a callback where Lightning is imported; writes the loss of every step, and kills where the plan says so."""

    def __new__(cls, folder: Path, killed: int | None) -> Any:
        from driftfield.training.callbacks import TrainingCallback

        class LossFile(TrainingCallback):
            def after_step(self, step: int, loss: float) -> bool:
                with open(folder / "losses.txt", "a") as file:
                    file.write(f"{step} {loss!r}\n")
                if step == killed:
                    os.kill(os.getpid(), signal.SIGKILL)
                return False

        folder.mkdir(parents=True, exist_ok=True)
        return LossFile()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])

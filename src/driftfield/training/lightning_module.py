"""One training as Lightning sees it: a step, a validation with the averaged weights, and what is kept after them."""

__all__ = ["CheckpointKeeper", "Progress", "TrainingModule"]

import json
import logging
import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback, TQDMProgressBar
from torch import Tensor, nn

from driftfield.checkpoint import write_run
from driftfield.diffusion.batch_part import BatchPart, within
from driftfield.errors import DivergenceError
from driftfield.fields import FieldBatch
from driftfield.plain import Spec
from driftfield.training.callbacks import TrainingCallback
from driftfield.training.compiled import Compiled
from driftfield.training.ema import make_average
from driftfield.training.learning_rate import LearningRate
from driftfield.training.logs import TrainingLog
from driftfield.training.shares import ShareOfBatches, parts_of, weight_of
from driftfield.training.snapshots import write_snapshot
from driftfield.training.state import TrainingState, write_state

log = logging.getLogger(__name__)

LOG_EVERY = 50
"""Steps between two entries of the training loss; every validation has one of its own."""


class Options(Protocol):
    """What a module asks of its trainer's arguments."""

    steps: int
    batch_size: int
    accumulate: int
    workers: int
    clip: float
    learning_rate: Mapping[str, Any]
    weight_decay: float
    ema: float | Spec
    compile: bool
    validate_every: int
    early_stopping: int | None
    previews: int

    @property
    def monitor(self) -> str:
        """What the best weights have least of."""
        ...

    @property
    def called(self) -> Sequence[TrainingCallback]:
        """What else is done on the way."""
        ...


@runtime_checkable
class Watched(Protocol):
    """A model that has learnt something about its training, for the log."""

    def watch(self) -> dict[str, float]:
        """Figures by name."""
        ...


class TrainingModule(L.LightningModule):
    """The seam to Lightning: one training step, one optimizer, our own learning-rate plan."""

    def __init__(
        self,
        options: Options,
        model: nn.Module,
        validation: Sequence[FieldBatch],
        folder: Path,
        seed: int,
        wrap: bool,
        diagnose: Callable[[], dict[str, float]] | None,
        preview: Callable[[Path, str], None] | None = None,
        samples: "torch.utils.data.Dataset[FieldBatch] | None" = None,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False  # parts of a batch count as many cells as they have
        self.samples = samples
        self.model: Any = model
        self.options, self.fixed = options, list(validation)
        self.folder, self.seed, self.wrap, self.diagnose = folder, seed, wrap, diagnose
        self.preview = preview
        self.ema = make_average(model, options.ema)
        self.plan = LearningRate(**options.learning_rate)
        self.optimizer = torch.optim.AdamW(model.parameters(), lr=self.plan.peak, weight_decay=options.weight_decay)
        self.state = TrainingState()
        self.built: Any = Compiled(self.model.loss) if options.compile else self.model.loss
        self.began, self.began_step = time.monotonic(), 0
        self.logs: list[TrainingLog] = []
        self.enough = False

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return self.optimizer

    def on_fit_start(self) -> None:
        self.ema.to(self.device)
        self.began, self.began_step = time.monotonic(), self.state.step

    def transfer_batch_to_device(self, batch: FieldBatch, device: torch.device, dataloader_idx: int) -> FieldBatch:
        return batch.to(device)

    def train_dataloader(self) -> "torch.utils.data.DataLoader[FieldBatch]":
        """This process's samples; asked for once the processes know each other."""
        samples: Any = self.samples
        share = ShareOfBatches(len(samples), self.options.batch_size, self.global_rank, self.processes)
        return torch.utils.data.DataLoader(
            samples,
            batch_sampler=share,
            collate_fn=FieldBatch.stack,
            num_workers=self.options.workers,
            persistent_workers=self.options.workers > 0,
        )

    @property
    def processes(self) -> int:
        """How many train together."""
        return int(self.trainer.world_size)

    def training_step(self, batch: FieldBatch, batch_idx: int) -> Tensor:
        step, optimizer = self.state.step, self.optimizers()
        for group in self.optimizer.param_groups:
            group["lr"] = self.plan.at(step, self.options.steps, self.state.losses)
        optimizer.zero_grad()  # type: ignore[union-attr]
        parts = parts_of(batch, self.options.accumulate, self.global_rank, self.processes)
        # dropout draws from the global generator: tie it to the step, so that a resume repeats it
        torch.manual_seed(mix(self.seed + 7 * self.global_rank, step))
        if len(parts) == self.processes == 1:
            loss = self._look(batch, step)
            self._check_finite(loss, step)
            self.manual_backward(loss)
        else:
            loss = self._look_in_parts(parts, step)
            self._check_finite(loss, step)
        self.clip_gradients(self.optimizer, gradient_clip_val=self.options.clip)
        optimizer.step()  # type: ignore[union-attr]
        self.log("loss", loss, prog_bar=True)
        return loss.detach()

    def _look_in_parts(self, parts: Sequence[tuple[FieldBatch, BatchPart]], step: int) -> Tensor:
        """Gradients of the mean over the whole batch, whatever share of its cells lies in each part; and that mean."""
        weights = [weight_of(self.model, part) for part, _ in parts]
        everything = self._summed(torch.stack(weights).sum()).clamp(min=1)
        mean = torch.zeros((), dtype=torch.float64, device=everything.device)
        for (part, place), weight in zip(parts, weights, strict=True):
            with within(place):
                share = self._look(part, step) * (weight / everything).float()
            self.manual_backward(share * self.processes)  # gradients are averaged over the processes
            mean += share.detach().double()
        return self._summed(mean).float()

    def _look(self, batch: FieldBatch, step: int) -> Tensor:
        loss: Tensor = self.built(batch, torch.Generator().manual_seed(mix(self.seed + 1, step)), wrap=self.wrap)
        return loss

    def _check_finite(self, loss: Tensor, step: int) -> None:
        if not torch.isfinite(loss):
            raise DivergenceError(
                f"The loss is {loss.item()} at step {step}. Lower learning_rate.peak, or raise warm_up; "
                f"the last good state is in {self.folder / 'checkpoints' / 'last'}."
            )

    def _summed(self, number: Tensor) -> Tensor:
        """Over all processes."""
        return self.trainer.strategy.reduce(number, reduce_op="sum") if self.processes > 1 else number

    def after_step(self, loss: float) -> None:
        """Average, validate, keep and log, on our own count of steps."""
        self.ema.update(self.state.step)
        self.state.step += 1
        if self.global_rank == 0:
            for snapshot in self.ema.due(self.state.step, self.options.steps):
                write_snapshot(self.folder / "snapshots", snapshot)
            for callback in self.options.called:
                self.enough |= bool(callback.after_step(self.state.step, loss))
        if self.options.called:
            self._follow_first()
        due = self.state.step % self.options.validate_every == 0 or self.state.step == self.options.steps
        due = due or self.enough  # or what was learnt since the last validation would be lost
        figures = self.validate() if due and self.global_rank == 0 else {}
        if due:
            self._follow_first()
        if due or self.state.step % LOG_EVERY == 0:
            figures = {"loss": loss, "learning_rate": self.optimizer.param_groups[0]["lr"], **figures}
            for training_log in self.logs:
                training_log.write(self.state.step, figures)

    def _follow_first(self) -> None:
        """What the first process has decided and found, to all: learning rates, early stops and best weights go by it."""
        if self.processes == 1:
            return
        state = self.state
        found = json.dumps([self.enough, state.losses, state.history, state.best])
        self.enough, state.losses, state.history, state.best = json.loads(self.trainer.strategy.broadcast(found))

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """Fixed batches, levels and noise, with the averaged weights; the figures for the log."""
        state = self.state
        with self.ema.applied():
            self.model.eval()
            losses = [
                float(self.built(batch.to(self.device), torch.Generator().manual_seed(mix(17, number)), wrap=self.wrap))
                for number, batch in enumerate(self.fixed)
            ]
            figures = self.diagnose() if self.diagnose is not None else {}
            figures |= self.model.watch() if isinstance(self.model, Watched) else {}
            self._draw_preview()
            self._tell(math.fsum(losses) / max(len(losses), 1), figures)
            self.model.train()
        loss = math.fsum(losses) / max(len(losses), 1)
        state.losses.append(loss)
        rate = (state.step - self.began_step) * self.options.batch_size / max(time.monotonic() - self.began, 1e-9)
        record = {"step": float(state.step), "validation_loss": loss, "samples_per_second": rate, **figures}
        state.history.append(record)
        log.info("%s", "  ".join(f"{key} {value:.4g}" for key, value in record.items()))
        *before, score = state.scores(self.options.monitor)
        if not before or score <= min(before):
            state.best = score
            arrays = {name: value.cpu().numpy() for name, value in self.ema.average.items()}
            write_run(self.folder / "checkpoints" / "best", "Weights", {}, arrays, {"step": state.step, "loss": loss})
        write_state(self.folder / "checkpoints" / "last", state, self.model, self.ema, self.optimizer)
        return {key: value for key, value in record.items() if key != "step"}

    def _tell(self, loss: float, figures: Mapping[str, float]) -> None:
        """Callbacks, with the averaged weights in place."""
        for callback in self.options.called:
            known = {"validation_loss": loss, **figures}
            self.enough |= bool(callback.after_validation(self.state.step, known, self.model, self.folder))

    def _draw_preview(self) -> None:
        """A picture at every few validations, and at the last one."""
        step, every = self.state.step, self.options.previews
        due = every > 0 and ((len(self.state.history) + 1) % every == 0 or step == self.options.steps)
        if due and self.preview is not None:
            path = self.folder / "previews" / f"step_{step:06d}.png"
            self.preview(path, f"step {step}")
            for training_log in self.logs:
                training_log.picture(step, path)

    def finished(self) -> bool:
        """Whether a callback or early stopping asks to end."""
        if self.enough:
            log.info("a callback ends the training after step %d of %d", self.state.step, self.options.steps)
            return True
        patience, scores = self.options.early_stopping, self.state.scores(self.options.monitor)
        return patience is not None and len(scores) > patience and min(scores[-patience:]) > min(scores[:-patience])


class CheckpointKeeper(Callback):
    """Averages, validates and checkpoints after each optimizer step."""

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        assert isinstance(pl_module, TrainingModule)
        pl_module.after_step(float(outputs["loss"]))
        if pl_module.finished():
            trainer.should_stop = True


class Progress(TQDMProgressBar):
    """Steps, time left and loss on one line; quiet where nobody watches."""

    def __init__(self) -> None:
        super().__init__(refresh_rate=10 if os.isatty(2) else 500)


def mix(seed: int, step: int) -> int:
    """One seed of 63 bits for (seed, step)."""
    return (seed * 0x9E3779B97F4A7C15 + step * 0xBF58476D1CE4E5B9) % 2**63

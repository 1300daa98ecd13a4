"""Training with Lightning: warm-up, clipping, EMA, mixed precision, deterministic validation, exact resume.

folder/checkpoints/last     everything that a resume needs (training.state)
folder/checkpoints/best     the averaged weights with the lowest validation loss
folder/logs                 CSV and TensorBoard
"""

__all__ = ["LightningTrainer"]

import logging
import math
import os
import shutil
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, cast

import torch
from torch import Tensor, nn

from driftfield.checkpoint import read_run, write_run
from driftfield.errors import ConfigurationError, DivergenceError, MissingExtraError, suggest
from driftfield.fields import FieldBatch
from driftfield.registry import build, register
from driftfield.training.ema import EMA
from driftfield.training.learning_rate import LearningRate
from driftfield.training.state import TrainingState, read_state, write_state

try:
    import lightning as L
    from lightning.pytorch.callbacks import Callback, TQDMProgressBar
    from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
    from lightning.pytorch.utilities.exceptions import MisconfigurationException
except ImportError as error:  # pragma: no cover - needs an environment without the extra
    raise MissingExtraError("Training needs Lightning. Install it with: pip install 'driftfield[train]'.") from error

log = logging.getLogger(__name__)

MONITORS = ("validation_loss", "validation_crps", "validation_rmse", "validation_mae")
Precision = Literal["auto", "float32", "bfloat16"]


class Objective(Protocol):
    """A module that knows its loss."""

    def loss(self, batch: FieldBatch, generator: torch.Generator, *, wrap: bool = False) -> Tensor:
        """Scalar with a graph; all its randomness comes from `generator`."""
        ...


@register("trainer")
@dataclass
class LightningTrainer:
    """How to train.

    Arguments:
        steps: Optimizer steps.
        batch_size: Samples per step.
        learning_rate: Arguments of `LearningRate`.
        weight_decay: Of AdamW.
        clip: Largest gradient norm.
        ema: Decay of the averaged weights.
        precision: "bfloat16" (autocast), "float32", or "auto": bfloat16 where the device computes it natively.
        compile: Whether torch.compile builds the network.
        validate_every: Steps between validations.
        early_stopping: Validations without improvement after which training ends; None never.
        workers: Processes that prepare samples.
        loggers: Of "csv", "tensorboard", "wandb".
        accelerator: Lightning's: auto, cpu, gpu, mps.
        devices: Lightning's number of devices.
        monitor: What the best weights have least of: "validation_loss", or of a small ensemble drawn at each validation
            "validation_crps", "validation_rmse" or "validation_mae" (where data are few, the loss falls on while these rise).
        initial: A run whose weights are the start (pre-training); those of another shape stay as they are.
    """

    steps: int = 2000
    batch_size: int = 16
    learning_rate: dict[str, Any] = field(default_factory=dict)
    weight_decay: float = 1e-4
    clip: float = 1.0
    ema: float = 0.999
    precision: Precision = "auto"
    compile: bool = False
    validate_every: int = 500
    early_stopping: int | None = None
    workers: int = 0
    loggers: Sequence[str] = ("csv", "tensorboard")
    accelerator: str = "auto"
    devices: int | str = 1
    initial: str | None = None
    monitor: Literal["validation_loss", "validation_crps", "validation_rmse", "validation_mae"] = "validation_loss"

    made_of: dict[str, str] = field(default_factory=dict, init=False, repr=False)
    """What a resumed training must have in common with its beginning; the caller says so."""

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "validate_every"):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise ConfigurationError(f"Found {name}={value!r}: expected a whole number, 1 or more.")
        for name, most in (("weight_decay", math.inf), ("clip", math.inf), ("ema", 1.0)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most:
                raise ConfigurationError(f"Found {name}={value!r}: expected a number from 0 to {most:g}.")
        for name, optional in (("workers", False), ("early_stopping", True)):
            value = getattr(self, name)
            if not (optional and value is None) and (type(value) is not int or value < int(optional)):
                raise ConfigurationError(f"Found {name}={value!r}: expected a whole number, {int(optional)} or more.")
        if isinstance(self.loggers, str) or not isinstance(self.loggers, Sequence):
            raise ConfigurationError(f"Found loggers={self.loggers!r}: expected a list such as [csv, tensorboard].")
        if not isinstance(self.learning_rate, Mapping):
            raise ConfigurationError(
                f"Found learning_rate={self.learning_rate!r}: expected a mapping such as {{peak: 5e-4}}."
            )
        if self.monitor not in MONITORS:
            raise ConfigurationError(f"Unknown monitor {self.monitor!r}: {suggest(str(self.monitor), MONITORS)}")
        # a wrong key is found before hours of work, not after
        build("learning_rate", {"class": "LearningRate", **self.learning_rate})

    def fit(
        self,
        model: nn.Module,
        samples: "torch.utils.data.Dataset[FieldBatch] | Callable[[int], torch.utils.data.Dataset[FieldBatch]]",
        validation: Sequence[FieldBatch],
        *,
        folder: Path,
        seed: int,
        resume: bool = False,
        wrap: bool = False,
        diagnose: Callable[[], dict[str, float]] | None = None,
    ) -> list[dict[str, float]]:
        """Trains `model` in place; it ends with the averaged weights of its best validation.

        Arguments:
            model: An `Objective`.
            samples: From the index of its first sample, a data set of single samples whose length is what is left to do.
            validation: Fixed batches; their levels and noise are fixed too.
            folder: Where checkpoints and logs go.
            seed: Of weights' randomness during training.
            resume: Go on from `folder/checkpoints/last`.
            wrap: Whether windows go round the globe.
            diagnose: Called at every validation with the averaged weights in place; its figures are logged.

        Returns:
            One record per validation.

        Raises:
            DivergenceError: the loss stopped being finite.
        """
        if self.initial is not None and not resume:
            take_weights(model, Path(self.initial))
        module = _Module(self, model, validation, Path(folder), seed, wrap, diagnose)
        last = Path(folder) / "checkpoints" / "last"
        if resume:
            module.state = read_state(last, model, module.ema, module.optimizer)
            self._check_same(module.state.made_of, Path(folder))
        module.state.made_of = dict(self.made_of)
        if module.state.step < self.steps:
            dataset = samples(module.state.step * self.batch_size) if callable(samples) else samples
            self._run(module, dataset, Path(folder))
        best = Path(folder) / "checkpoints" / "best"
        weights = read_run(best).arrays
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                parameter.copy_(torch.from_numpy(weights[name]))
        return module.state.history

    def _check_same(self, before: Mapping[str, str], folder: Path) -> None:
        for part, found in self.made_of.items():
            if part in before and before[part] != found:
                raise ConfigurationError(
                    f"{folder} was begun with another {part!r} in its recipe. Resume with the recipe that it was begun with, "
                    "or start again with --overwrite and without --resume."
                )

    def _run(self, module: "_Module", dataset: "torch.utils.data.Dataset[FieldBatch]", folder: Path) -> None:
        loader = torch.utils.data.DataLoader(
            dataset,
            batch_size=self.batch_size,
            collate_fn=FieldBatch.stack,
            num_workers=self.workers,
            persistent_workers=self.workers > 0,
        )
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*does not have many workers.*")
            warnings.filterwarnings("ignore", ".*isinstance.*LeafSpec.*")
            trainer = self._trainer(self.steps - module.state.step, folder)
            if module.state.step == 0:  # what an older training left would be resumed in place of this one
                shutil.rmtree(folder / "checkpoints", ignore_errors=True)
            trainer.fit(module, loader)
        if trainer.interrupted:
            raise KeyboardInterrupt

    def _trainer(self, steps: int, folder: Path) -> L.Trainer:
        precision, loggers = self._lightning_precision(), self._loggers(folder)
        try:
            return L.Trainer(
                max_steps=steps,
                max_epochs=1,
                accelerator=self.accelerator,
                devices=self.devices,
                precision=precision,
                gradient_clip_val=self.clip,
                enable_checkpointing=False,
                enable_model_summary=False,
                logger=loggers,
                log_every_n_steps=50,
                callbacks=[_Progress(), _Keeper()],
                num_sanity_val_steps=0,
            )
        except (MisconfigurationException, ValueError, TypeError) as error:
            raise ConfigurationError(
                f"Lightning refuses accelerator={self.accelerator!r} with devices={self.devices!r}: {error} "
                "Leave both out to take what is there."
            ) from error

    def _lightning_precision(self) -> Literal["bf16-mixed", "32-true"]:
        if self.precision not in ("auto", "float32", "bfloat16"):
            raise ConfigurationError(
                f"Unknown precision {self.precision!r}: expected one of ('auto', 'bfloat16', 'float32')."
            )
        fast = self.precision == "bfloat16" or (self.precision == "auto" and has_fast_bfloat16())
        return "bf16-mixed" if fast else "32-true"

    def _loggers(self, folder: Path) -> list[Any]:
        made: list[Any] = []
        for name in self.loggers:
            if name == "csv":
                made.append(CSVLogger(folder, name="logs", version="csv"))
            elif name == "tensorboard":
                made.append(TensorBoardLogger(folder, name="logs", version="tensorboard"))
            elif name == "wandb":
                try:
                    from lightning.pytorch.loggers import WandbLogger

                    made.append(WandbLogger(save_dir=folder, project="driftfield"))
                except ImportError as error:
                    raise MissingExtraError("The logger 'wandb' needs: pip install 'driftfield[wandb]'.") from error
            else:
                raise ConfigurationError(f"Unknown logger {name!r}: expected one of ('csv', 'tensorboard', 'wandb').")
        return made


def take_weights(model: nn.Module, folder: Path) -> int:
    """Copies the weights of a run into `model` where name and shape agree.

    Returns:
        How many arrays were taken.

    Raises:
        ConfigurationError: none fits.
    """
    stored = read_run(folder).arrays
    taken = 0
    named = dict(model.named_parameters())
    with torch.no_grad():
        for name, parameter in named.items():
            array = stored.get(f"weights.{name}")
            if array is not None and array.shape == tuple(parameter.shape):
                parameter.copy_(torch.from_numpy(array.astype("float32")))
                taken += 1
    if not taken:
        raise ConfigurationError(
            f"No weights of {folder} fit this network: name a run of the same class of network, or leave out 'initial'."
        )
    log.info("%d of %d arrays of weights start as in %s", taken, len(named), folder)
    return taken


def has_fast_bfloat16() -> bool:
    """Whether the device multiplies bfloat16 natively: a recent GPU, or a processor with AVX512-BF16 or AMX."""
    if torch.cuda.is_available():
        return torch.cuda.is_bf16_supported()
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags


class _Module(L.LightningModule):
    """The seam to Lightning: one training step, one optimizer, our own learning-rate plan."""

    def __init__(
        self,
        trainer: LightningTrainer,
        model: nn.Module,
        validation: Sequence[FieldBatch],
        folder: Path,
        seed: int,
        wrap: bool,
        diagnose: Callable[[], dict[str, float]] | None,
    ) -> None:
        super().__init__()
        self.model: Any = model
        self.options, self.fixed = trainer, list(validation)
        self.folder, self.seed, self.wrap, self.diagnose = folder, seed, wrap, diagnose
        self.ema = EMA(model, trainer.ema)
        self.plan = LearningRate(**trainer.learning_rate)
        self.optimizer = torch.optim.AdamW(model.parameters(), lr=self.plan.peak, weight_decay=trainer.weight_decay)
        self.state = TrainingState()
        self.built: Any = torch.compile(cast(Any, self.model.loss)) if trainer.compile else self.model.loss
        self.began, self.began_step = time.monotonic(), 0

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return self.optimizer

    def on_fit_start(self) -> None:
        self.ema.average = {name: value.to(self.device) for name, value in self.ema.average.items()}
        self.began, self.began_step = time.monotonic(), self.state.step

    def transfer_batch_to_device(self, batch: FieldBatch, device: torch.device, dataloader_idx: int) -> FieldBatch:
        return batch.to(device)

    def training_step(self, batch: FieldBatch, batch_idx: int) -> Tensor:
        step = self.state.step
        for group in self.optimizer.param_groups:
            group["lr"] = self.plan.at(step, self.options.steps, self.state.losses)
        # dropout draws from the global generator: tie it to the step, so that a resume repeats it
        torch.manual_seed(_mix(self.seed, step))
        generator = torch.Generator().manual_seed(_mix(self.seed + 1, step))
        loss = self.built(batch, generator, wrap=self.wrap)
        if not torch.isfinite(loss):
            raise DivergenceError(
                f"The loss is {loss.item()} at step {step}. Lower learning_rate.peak, or raise warm_up; "
                f"the last good state is in {self.folder / 'checkpoints' / 'last'}."
            )
        self.log("loss", loss, prog_bar=True)
        self.log("learning_rate", self.optimizer.param_groups[0]["lr"])
        return loss

    def after_step(self) -> None:
        """Average, validate and keep, on our own count of steps."""
        self.ema.update(self.state.step)
        self.state.step += 1
        if self.state.step % self.options.validate_every == 0 or self.state.step == self.options.steps:
            self.validate()

    @torch.no_grad()
    def validate(self) -> None:
        """Fixed batches, levels and noise, with the averaged weights."""
        state = self.state
        with self.ema.applied():
            self.model.eval()
            losses = [
                float(
                    self.built(batch.to(self.device), torch.Generator().manual_seed(_mix(17, number)), wrap=self.wrap)
                )
                for number, batch in enumerate(self.fixed)
            ]
            figures = self.diagnose() if self.diagnose is not None else {}
            self.model.train()
        loss = math.fsum(losses) / max(len(losses), 1)
        state.losses.append(loss)
        rate = (state.step - self.began_step) * self.options.batch_size / max(time.monotonic() - self.began, 1e-9)
        record = {"step": float(state.step), "validation_loss": loss, "samples_per_second": rate, **figures}
        state.history.append(record)
        self.log_dict({key: value for key, value in record.items() if key != "step"})
        log.info("%s", "  ".join(f"{key} {value:.4g}" for key, value in record.items()))
        score = record.get(self.options.monitor, loss)
        if state.best is None or score <= state.best:
            state.best = score
            arrays = {name: value.cpu().numpy() for name, value in self.ema.average.items()}
            write_run(self.folder / "checkpoints" / "best", "Weights", {}, arrays, {"step": state.step, "loss": loss})
        write_state(self.folder / "checkpoints" / "last", state, self.model, self.ema, self.optimizer)

    def finished(self) -> bool:
        """Whether early stopping asks to end."""
        patience, losses = self.options.early_stopping, self.state.losses
        return patience is not None and len(losses) > patience and min(losses[-patience:]) > min(losses[:-patience])


class _Keeper(Callback):
    """Averages, validates and checkpoints after each optimizer step."""

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        assert isinstance(pl_module, _Module)
        pl_module.after_step()
        if pl_module.finished():
            trainer.should_stop = True


class _Progress(TQDMProgressBar):
    """Steps, time left and loss on one line; quiet where nobody watches."""

    def __init__(self) -> None:
        super().__init__(refresh_rate=10 if os.isatty(2) else 500)


def _mix(seed: int, step: int) -> int:
    """One seed of 63 bits for (seed, step)."""
    return (seed * 0x9E3779B97F4A7C15 + step * 0xBF58476D1CE4E5B9) % 2**63

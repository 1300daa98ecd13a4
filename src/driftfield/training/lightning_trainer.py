"""Training with Lightning: warm-up, clipping, EMA, mixed precision, deterministic validation, exact resume.

folder/checkpoints/last     everything that a resume needs (training.state)
folder/checkpoints/best     the averaged weights with the lowest validation loss, or other `monitor`
folder/snapshots            averaged weights on the way, where the average keeps some
folder/previews             pictures of one validation sample, where asked for
folder/logs                 CSV and TensorBoard
"""

__all__ = ["LightningTrainer"]

import logging
import math
import shutil
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal, Protocol

import torch
from torch import Tensor, nn

from driftfield.checkpoint import find_run, read_run
from driftfield.errors import ConfigurationError, FileFormatError, MissingExtraError, suggest, whole_number
from driftfield.fields import FieldBatch
from driftfield.networks.weights import copy_weights
from driftfield.plain import JSONObject, Spec
from driftfield.processes import count_processes, is_helper
from driftfield.registry import build, register
from driftfield.training.callbacks import TrainingCallback, make_callbacks
from driftfield.training.ema import make_average
from driftfield.training.logs import check_logs, open_logs
from driftfield.training.shares import check_division
from driftfield.training.state import read_state

try:
    import lightning as L
    from lightning.pytorch.strategies import DDPStrategy
    from lightning.pytorch.utilities.exceptions import MisconfigurationException

    from driftfield.training.lightning_module import CheckpointKeeper, Progress, TrainingModule
except ImportError as error:  # pragma: no cover - needs an environment without the extra
    raise MissingExtraError("Training needs Lightning. Install it with: pip install 'driftfield[train]'.") from error

log = logging.getLogger(__name__)

MONITORS = ("validation_loss", "validation_crps", "validation_rmse", "validation_mae")
Strategy = Literal["auto", "ddp", "ddp_find_unused_parameters_true"]
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
        batch_size: Samples per step, of all processes together.
        accumulate: Parts in which each process takes its samples of a step, one after the other, where memory is short.
        learning_rate: Arguments of `LearningRate`.
        weight_decay: Of AdamW.
        clip: Largest gradient norm.
        ema: Decay of the averaged weights, or class and arguments of another average: {class: PowerEMA, widths: [0.05, 0.1],
            snapshots: 16} lets the width be chosen afterwards (`training.post_hoc`).
        precision: "bfloat16" (autocast), "float32", or "auto": bfloat16 where the device computes it natively.
        compile: Whether torch.compile builds the network.
        validate_every: Steps between validations.
        early_stopping: Validations without improvement of what `monitor` names after which training ends; None never.
        workers: Processes that prepare samples.
        loggers: Of "csv", "tensorboard", "wandb"; or class and options, such as {class: wandb, project: ocean, images: false}
            (`training.logs`).
        accelerator: Lightning's: auto, cpu, gpu, mps.
        devices: How many of each node, a process for each, or a list of their numbers.
        nodes: Machines; each starts its own processes (torchrun, srun).
        strategy: Lightning's: "ddp" for several processes ("auto" takes it), or "ddp_find_unused_parameters_true" for a network
            of which a step may leave out a part.
        monitor: What the best weights have least of: "validation_loss", or of a small ensemble drawn at each validation
            "validation_crps", "validation_rmse" or "validation_mae" (where data are few, the loss falls on while these rise).
        initial: A run whose weights are the start (pre-training); those of another shape stay as they are.
        previews: Validations from one picture of a fixed validation sample to the next, 1 for one at each; 0 draws none.
        preview_depth: Metres: pictures show the level that is nearest to it; None shows the first one.
        callbacks: What else is done on the way (`training.callbacks`): names, or class and arguments, such as
            {class: TimeLimit, hours: 10}; in Python also objects.
    """

    steps: int = 2000
    batch_size: int = 16
    accumulate: int = 1
    learning_rate: Mapping[str, Any] = field(default_factory=dict)
    weight_decay: float = 1e-4
    clip: float = 1.0
    ema: float | Spec = 0.999
    precision: Precision = "auto"
    compile: bool = False
    validate_every: int = 500
    early_stopping: int | None = None
    workers: int = 0
    loggers: Sequence[str | Spec] = ("csv", "tensorboard")
    accelerator: str = "auto"
    devices: int | list[int] = 1
    nodes: int = 1
    strategy: Strategy = "auto"
    initial: str | None = None
    monitor: Literal["validation_loss", "validation_crps", "validation_rmse", "validation_mae"] = "validation_loss"
    previews: int = 0
    preview_depth: float | None = None
    callbacks: Sequence[str | Spec | TrainingCallback] = ()

    made_of: dict[str, str] = field(default_factory=dict, init=False, repr=False)
    """What a resumed training must have in common with its beginning; the caller says so."""
    run: Path | None = field(default=None, init=False, repr=False)
    """The folder of the run that a recipe is fitted to; the caller says so."""

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "accumulate", "nodes", "validate_every"):
            whole_number(name, getattr(self, name))
        for name, most in (("weight_decay", math.inf), ("clip", math.inf)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most:
                raise ConfigurationError(f"Found {name}={value!r}: expected a number from 0 to {most:g}.")
        for name, optional in (("workers", False), ("previews", False), ("early_stopping", True)):
            value = getattr(self, name)
            if not (optional and value is None):
                whole_number(name, value, int(optional))
        self._check_preview_depth()
        if isinstance(self.loggers, str) or not isinstance(self.loggers, Sequence):
            raise ConfigurationError(f"Found loggers={self.loggers!r}: expected a list such as [csv, tensorboard].")
        check_logs(self.loggers)
        check_division(self)
        if not isinstance(self.learning_rate, Mapping):
            raise ConfigurationError(
                f"Found learning_rate={self.learning_rate!r}: expected a mapping such as {{peak: 5e-4}}."
            )
        if self.monitor not in MONITORS:
            raise ConfigurationError(f"Unknown monitor {self.monitor!r}: {suggest(str(self.monitor), MONITORS)}")
        # a wrong key is found before hours of work, not after
        self.called = make_callbacks(self.callbacks)
        build("learning_rate", {"class": "LearningRate", **self.learning_rate})
        make_average(nn.Module(), self.ema)

    def _check_preview_depth(self) -> None:
        depth = self.preview_depth
        if depth is None:
            return
        if isinstance(depth, bool) or not isinstance(depth, int | float) or not 0 <= depth < math.inf:
            raise ConfigurationError(f"Found preview_depth={depth!r}: expected metres, 0 or more.")
        if not self.previews:
            raise ConfigurationError(
                f"Found preview_depth={depth!r} without previews, which has no effect: expected both. Add previews: 1."
            )

    @property
    def processes(self) -> int:
        """How many train together."""
        return count_processes(self.devices, self.nodes)

    @property
    def helps(self) -> bool:
        """Whether this is one of several processes, and not the first: it trains, and writes nothing."""
        return is_helper({"devices": self.devices, "nodes": self.nodes})

    def starting_from(self, run: Path) -> "LightningTrainer":
        """The same trainer, whose training starts with the weights of a run."""
        return replace(self, initial=str(run))

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
        preview: Callable[[Path, str], None] | None = None,
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
            preview: Writes a picture with a title to a path; called where `previews` asks for it, averaged weights in place.

        Returns:
            One record per validation.

        Raises:
            DivergenceError: the loss stopped being finite.
        """
        if self.processes > 1 and self.run is not None and Path(folder) != self.run:
            raise ConfigurationError(
                f"This method trains more than once (now {folder}), which is done on one process: found {self.processes}. "
                "Leave out trainer.devices and trainer.nodes."
            )
        if self.initial is not None and not resume:
            take_weights(model, find_run(self.initial))
        if self.previews and preview is None:
            log.warning("There is no picture of a %s: 'previews' has no effect", type(model).__name__)
        module = TrainingModule(self, model, validation, Path(folder), seed, wrap, diagnose, preview)
        last = Path(folder) / "checkpoints" / "last"
        if resume:
            module.state = read_state(last, model, module.ema, module.optimizer)
            self._check_same(module.state.made_of, Path(folder))
            self._say_changes(module.state.settings, Path(folder))
        module.state.made_of, module.state.settings = dict(self.made_of), self._settings()
        if module.state.step < self.steps:
            module.samples = samples(module.state.step * self.batch_size) if callable(samples) else samples
            self._run(module, Path(folder))
        best = Path(folder) / "checkpoints" / "best"
        if missing := copy_weights(model, read_run(best).arrays, prefix=""):
            raise FileFormatError(f"{best} has no weights {missing[0]}. Start again without --resume.")
        return module.state.history

    def _check_same(self, before: Mapping[str, str], folder: Path) -> None:
        for part, now in self.made_of.items():
            if part in before and before[part] != now and part.startswith("content of "):
                raise ConfigurationError(
                    f"{folder} was begun with another {part}: what lies under this name has changed since ({before[part]} then, "
                    f"{now} now). Put back what it was begun with, or start again with --overwrite and without --resume."
                )
            if part in before and before[part] != now:
                raise ConfigurationError(
                    f"{folder} was begun with another {part!r} in its recipe. Resume with the recipe that it was begun with, "
                    "or start again with --overwrite and without --resume."
                )

    def _settings(self) -> JSONObject:
        """What the weights depend on."""
        names = ("batch_size", "learning_rate", "weight_decay", "clip", "ema", "precision", "steps")
        return {name: getattr(self, name) for name in names}

    def _say_changes(self, before: Mapping[str, Any], folder: Path) -> None:
        """A resumed training may go on otherwise than it began, but never in silence.

        Raises:
            ConfigurationError: another batch size: what is learnt from next is counted in batches.
        """
        for name, value in self._settings().items():
            if name not in before or before[name] == value:
                continue
            if name == "batch_size":
                raise ConfigurationError(
                    f"{folder} was begun with batch_size={before[name]} and cannot go on with {value}: the next samples are "
                    "counted in batches. Resume with the former, or start again with --overwrite and without --resume."
                )
            log.warning("the training goes on with %s=%r in place of %r", name, value, before[name])

    def _run(self, module: "TrainingModule", folder: Path) -> None:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*does not have many workers.*")
            warnings.filterwarnings("ignore", ".*isinstance.*LeafSpec.*")
            trainer = self._trainer(self.steps - module.state.step)
            if not self.helps:
                self._begin(module, folder)
            try:
                trainer.fit(module)
            finally:
                for training_log in module.logs:
                    training_log.close()
        if trainer.interrupted:
            raise KeyboardInterrupt

    def _begin(self, module: "TrainingModule", folder: Path) -> None:
        if module.state.step == 0:  # what an older training left would be resumed in place of this one
            for part in ("checkpoints", "snapshots", "previews"):
                shutil.rmtree(folder / part, ignore_errors=True)
        folder.mkdir(parents=True, exist_ok=True)
        module.logs = open_logs(self.loggers, folder, module.state.step)
        for callback in self.called:
            callback.begin(module.state.step)

    def _trainer(self, steps: int) -> L.Trainer:
        precision = self._lightning_precision()
        try:
            return L.Trainer(
                max_steps=steps,
                max_epochs=1,
                accelerator=self.accelerator,
                devices=self.devices,
                num_nodes=self.nodes,
                strategy=self._lightning_strategy(),
                use_distributed_sampler=False,
                precision=precision,
                enable_checkpointing=False,
                enable_model_summary=False,
                # its loggers count from 0 after a resume, and drop what is logged between their steps: `training.logs`
                logger=False,
                callbacks=[Progress(), CheckpointKeeper()],
                num_sanity_val_steps=0,
            )
        except (MisconfigurationException, ValueError, TypeError) as error:
            raise ConfigurationError(
                f"Lightning refuses accelerator={self.accelerator!r} with devices={self.devices!r}: {error} "
                "Leave both out to take what is there."
            ) from error

    def _lightning_strategy(self) -> Any:
        if self.processes == 1:
            return "auto"
        # the others wait while the first one validates, which may draw ensembles
        return DDPStrategy(find_unused_parameters=self.strategy.endswith("true"), timeout=timedelta(hours=12))

    def _lightning_precision(self) -> Literal["bf16-mixed", "32-true"]:
        if self.precision not in ("auto", "float32", "bfloat16"):
            raise ConfigurationError(
                f"Unknown precision {self.precision!r}: expected one of ('auto', 'bfloat16', 'float32')."
            )
        fast = self.precision == "bfloat16" or (self.precision == "auto" and has_fast_bfloat16())
        return "bf16-mixed" if fast else "32-true"


def take_weights(model: nn.Module, folder: Path) -> int:
    """Copies the weights of a run into `model` where name and shape agree.

    Returns:
        How many arrays were taken.

    Raises:
        ConfigurationError: none fits.
    """
    count = len(list(model.parameters()))
    taken = count - len(copy_weights(model, read_run(folder).arrays))
    if not taken:
        raise ConfigurationError(
            f"No weights of {folder} fit this network: name a run of the same class of network, or leave out 'initial'."
        )
    log.info("%d of %d arrays of weights start as in %s", taken, count, folder)
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

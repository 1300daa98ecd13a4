"""What a training needs to go on exactly: weights, averages, optimizer moments, step and history, as safetensors + JSON.

Everything random in a step is a function of (seed, step), so no generator state is kept.
"""

__all__ = ["TrainingState", "read_state", "write_state"]

import math
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from driftfield.checkpoint import read_run, write_run
from driftfield.errors import ConfigurationError, FileFormatError
from driftfield.plain import JSONObject
from driftfield.training.ema import WeightAverage


@dataclass
class TrainingState:
    """How far a training has come.

    Arguments:
        step: Optimizer steps done.
        losses: Validation losses so far.
        history: One record per validation.
        best: Lowest of the scores that are monitored.
        made_of: What may not change in between, such as hashes of parts of the recipe.
        settings: What the weights depend on besides: how they were trained.
    """

    step: int = 0
    losses: list[float] = field(default_factory=list)
    history: list[dict[str, float]] = field(default_factory=list)
    best: float | None = None
    made_of: dict[str, str] = field(default_factory=dict)
    settings: JSONObject = field(default_factory=dict)

    def scores(self, monitor: str) -> list[float]:
        """What is monitored, one number per validation; never compared with a loss, unless it is always missing.

        Arguments:
            monitor: A key of the records, such as "validation_crps".

        Returns:
            Infinite where this validation had no such score; the losses where none ever had.
        """
        scores = [record.get(monitor) for record in self.history]
        if all(score is None for score in scores):
            return list(self.losses)
        return [math.inf if score is None else score for score in scores]


def write_state(
    folder: Path, state: TrainingState, model: nn.Module, ema: WeightAverage, optimizer: torch.optim.Optimizer
) -> None:
    """Writes the folder; weights and step belong together, wherever the process is killed (see `checkpoint`)."""
    tensors: dict[str, Tensor] = {f"weights.{name}": value for name, value in model.named_parameters()}
    tensors |= {f"ema.{name}": value for name, value in ema.tensors().items()}
    for name, parameter in model.named_parameters():
        for key, value in optimizer.state.get(parameter, {}).items():
            tensors[f"optimizer.{key}.{name}"] = value
    arrays = {name: value.detach().cpu().numpy() for name, value in tensors.items()}
    write_run(folder, "TrainingState", {}, arrays, {"state": vars(state)})


def read_state(folder: Path, model: nn.Module, ema: WeightAverage, optimizer: torch.optim.Optimizer) -> TrainingState:
    """Puts weights, averages and moments back in place.

    Raises:
        FileFormatError: the folder cannot be read, or is no training state.
        ConfigurationError: it belongs to another network.
    """
    run = read_run(folder)
    state = run.extra.get("state")
    if run.class_name != "TrainingState" or not isinstance(state, dict) or not set(state) <= set(vars(TrainingState())):
        raise FileFormatError(
            f"{folder} holds a {run.class_name}, no state of a training. Start again without --resume."
        )
    tensors = {name: torch.from_numpy(array.copy()) for name, array in run.arrays.items()}
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            weights = tensors.get(f"weights.{name}")
            if weights is None or weights.shape != parameter.shape:
                raise ConfigurationError(
                    f"{folder} belongs to another network: it has no {name} of shape {tuple(parameter.shape)}. "
                    "Resume with the recipe that it was started with."
                )
            parameter.copy_(weights)
            moments = {
                key.split(".", 2)[1]: value
                for key, value in tensors.items()
                if key.startswith("optimizer.") and key.split(".", 2)[2] == name
            }
            if moments:
                optimizer.state[parameter] = {
                    key: value if key == "step" else value.to(parameter.device) for key, value in moments.items()
                }
        for name, average in ema.tensors().items():
            if f"ema.{name}" not in tensors:
                raise ConfigurationError(
                    f"{folder} was begun with another network or another kind of average: it has no 'ema.{name}'. "
                    "Resume with the recipe that it was started with."
                )
            average.copy_(tensors[f"ema.{name}"])
    return TrainingState(**state)

"""What a training needs to go on exactly: weights, averages, optimizer moments, step and history, as safetensors + JSON.

Everything random in a step is a function of (seed, step), so no generator state is kept.
"""

__all__ = ["TrainingState", "read_state", "write_state"]

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from driftfield.checkpoint import read_run, write_run
from driftfield.errors import ConfigurationError
from driftfield.files import replacing
from driftfield.training.ema import EMA


@dataclass
class TrainingState:
    """How far a training has come.

    Arguments:
        step: Optimizer steps done.
        losses: Validation losses so far.
        history: One record per validation.
        best: Lowest validation loss.
    """

    step: int = 0
    losses: list[float] = field(default_factory=list)
    history: list[dict[str, float]] = field(default_factory=list)
    best: float | None = None


def write_state(
    folder: Path, state: TrainingState, model: nn.Module, ema: EMA, optimizer: torch.optim.Optimizer
) -> None:
    """Writes the folder in one piece: weights and step belong together."""
    tensors: dict[str, Tensor] = {f"weights.{name}": value for name, value in model.named_parameters()}
    tensors |= {f"ema.{name}": value for name, value in ema.average.items()}
    for name, parameter in model.named_parameters():
        for key, value in optimizer.state.get(parameter, {}).items():
            tensors[f"optimizer.{key}.{name}"] = value
    arrays = {name: value.detach().cpu().numpy() for name, value in tensors.items()}
    with replacing(folder, overwrite=True) as temporary:
        write_run(temporary, "TrainingState", {}, arrays, {"state": vars(state)})


def read_state(folder: Path, model: nn.Module, ema: EMA, optimizer: torch.optim.Optimizer) -> TrainingState:
    """Puts weights, averages and moments back in place.

    Raises:
        FileFormatError: the folder cannot be read.
        ConfigurationError: it belongs to another network.
    """
    run = read_run(folder)
    found: dict[str, Any] = {name: torch.from_numpy(array.copy()) for name, array in run.arrays.items()}
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            weights = found.get(f"weights.{name}")
            if weights is None or weights.shape != parameter.shape:
                raise ConfigurationError(
                    f"{folder} belongs to another network: it has no {name} of shape {tuple(parameter.shape)}. "
                    "Resume with the recipe that it was started with."
                )
            parameter.copy_(weights)
            ema.average[name].copy_(found[f"ema.{name}"])
            moments = {
                key.split(".", 2)[1]: value
                for key, value in found.items()
                if key.startswith("optimizer.") and key.split(".", 2)[2] == name
            }
            if moments:
                optimizer.state[parameter] = {
                    key: value if key == "step" else value.to(parameter.device) for key, value in moments.items()
                }
    return TrainingState(**run.extra["state"])

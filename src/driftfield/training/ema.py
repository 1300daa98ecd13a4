"""Averages of the weights over the training; the plain one is exponential.

    ema <- d ema + (1 - d) weights,    d = min(decay, (1 + step) / (10 + step))

The ramp keeps the random first weights from lingering. `power_ema` has the average whose width is chosen afterwards.
"""

__all__ = ["EMA", "WeightAverage", "make_average"]

import copy
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from driftfield.errors import ConfigurationError
from driftfield.registry import build, register
from driftfield.training.snapshots import Snapshot


class WeightAverage(ABC):
    """One or more averages of a module's parameters; the first is the one that validates and that the run keeps.

    Arguments:
        module: Whose parameters are averaged.
        count: How many averages.
    """

    def __init__(self, module: nn.Module, count: int = 1) -> None:
        self.module = module
        start = {name: parameter.detach() for name, parameter in module.named_parameters()}
        self.averages = [{name: value.clone() for name, value in start.items()} for _ in range(count)]

    @property
    def average(self) -> dict[str, Tensor]:
        """The first average, by name of the parameter."""
        return self.averages[0]

    @abstractmethod
    def shares(self, step: int) -> list[float]:
        """How much of every average the optimizer's step number `step` (from 0) replaces."""

    def tensors(self) -> dict[str, Tensor]:
        """All that a resume needs, under names that no other kind of average has; the live tensors."""
        return dict(self.average)

    def due(self, step: int, steps: int) -> list[Snapshot]:
        """The snapshots to keep after `step` steps of `steps`: none, but of a kind that is made from them afterwards."""
        return []

    @torch.no_grad()
    def update(self, step: int) -> None:
        """After the optimizer's step number `step` (from 0)."""
        names, parameters = zip(*self.module.named_parameters(), strict=True)
        weights = [parameter.detach() for parameter in parameters]
        for average, share in zip(self.averages, self.shares(step), strict=True):
            torch._foreach_lerp_([average[name] for name in names], weights, share)

    def to(self, device: torch.device) -> None:
        """Moves the averages."""
        self.averages = [{name: value.to(device) for name, value in average.items()} for average in self.averages]

    @contextmanager
    def applied(self) -> Iterator[nn.Module]:
        """The module with the averaged weights inside the block."""
        kept = {name: parameter.detach().clone() for name, parameter in self.module.named_parameters()}
        self._assign(self.average)
        try:
            yield self.module
        finally:
            self._assign(kept)

    def copy(self) -> dict[str, Tensor]:
        """The first average, detached from further updates."""
        return copy.deepcopy(self.average)

    @torch.no_grad()
    def _assign(self, values: dict[str, Tensor]) -> None:
        for name, parameter in self.module.named_parameters():
            parameter.copy_(values[name])


@register("ema")
class EMA(WeightAverage):
    """The exponential average.

    Arguments:
        module: Whose parameters are averaged.
        decay: Share of the old average that stays at each step.
    """

    def __init__(self, module: nn.Module, decay: float = 0.999) -> None:
        if isinstance(decay, bool) or not isinstance(decay, int | float) or not 0 <= decay <= 1:
            raise ConfigurationError(f"Found ema={decay!r}: expected a number from 0 to 1.")
        super().__init__(module)
        self.decay = decay

    def shares(self, step: int) -> list[float]:
        return [1 - min(self.decay, (1 + step) / (10 + step))]


def make_average(module: nn.Module, ema: float | Mapping[str, Any]) -> WeightAverage:
    """The average that a recipe names: a decay, or class and arguments."""
    made: WeightAverage = build(
        "ema", ema if isinstance(ema, Mapping) else {"class": "EMA", "decay": ema}, module=module
    )
    return made

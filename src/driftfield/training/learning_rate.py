"""Learning rates as functions of the step: linear warm-up, then one of

cosine     rate (1 + cos(pi p)) / 2, p the share of the training that has passed, down to `final`
plateau    rate times `factor` each time the validation loss has not improved for `patience` validations
constant
"""

__all__ = ["LearningRate"]

import math
from dataclasses import dataclass
from typing import Literal

from driftfield.errors import ConfigurationError
from driftfield.registry import register


@register("learning_rate")
@dataclass
class LearningRate:
    """A learning-rate plan.

    Arguments:
        peak: Highest rate.
        plan: "cosine", "plateau" or "constant".
        warm_up: Steps of linear rise.
        final: Share of `peak` that cosine ends at.
        factor, patience: Of the plateau.
    """

    peak: float = 5e-4
    plan: Literal["cosine", "plateau", "constant"] = "cosine"
    warm_up: int = 200
    final: float = 0.01
    factor: float = 0.5
    patience: int = 4

    def __post_init__(self) -> None:
        if self.plan not in ("cosine", "plateau", "constant"):
            raise ConfigurationError(f"Unknown plan {self.plan!r}: expected one of ('constant', 'cosine', 'plateau').")
        for name, least in (("peak", 0.0), ("warm_up", 0), ("final", 0.0), ("factor", 0.0), ("patience", 1)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value < math.inf:
                raise ConfigurationError(f"Found learning_rate.{name}={value!r}: expected a number, {least:g} or more.")

    def at(self, step: int, steps: int, losses: list[float]) -> float:
        """The rate of one step, given the validation losses so far."""
        rise = min(1.0, (step + 1) / max(self.warm_up, 1))
        if self.plan == "cosine":
            passed = min(1.0, max(0.0, (step - self.warm_up) / max(steps - self.warm_up, 1)))
            return self.peak * rise * (self.final + (1 - self.final) * (1 + math.cos(math.pi * passed)) / 2)
        if self.plan == "plateau":
            return self.peak * rise * self.factor ** self._drops(losses)
        return self.peak * rise

    def _drops(self, losses: list[float]) -> int:
        best, since, drops = math.inf, 0, 0
        for loss in losses:
            best, since = (loss, 0) if loss < best else (best, since + 1)
            if since >= self.patience:
                drops, since = drops + 1, 0
        return drops

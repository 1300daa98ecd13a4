"""Ends a training in time: a machine that is lent for ten hours leaves a checkpoint and a run, and --resume goes on."""

__all__ = ["TimeLimit"]

import math
import time
from collections.abc import Mapping
from pathlib import Path

from torch import nn

from driftfield.errors import ConfigurationError
from driftfield.registry import register
from driftfield.training.callbacks.base import TrainingCallback


@register("callback")
class TimeLimit(TrainingCallback):
    """Ends at the first validation after so many hours, or at once.

    Arguments:
        hours: Since the training began, or was resumed.
        at_once: Whether the step is the last one that is under way then; it is validated.
        preparing: Whether what is done before the first step, such as first guesses, counts, too.
    """

    def __init__(self, hours: float, at_once: bool = False, preparing: bool = False) -> None:
        if isinstance(hours, bool) or not isinstance(hours, int | float) or not 0 < hours < math.inf:
            raise ConfigurationError(f"Found hours={hours!r}: expected a number above 0.")
        self.hours, self.at_once, self.preparing = hours, at_once, preparing
        self._began = time.monotonic()

    def begin(self, step: int) -> None:
        if not self.preparing:
            self._began = time.monotonic()

    def after_step(self, step: int, loss: float) -> bool:
        return self.at_once and self._over()

    def after_validation(self, step: int, figures: Mapping[str, float], model: nn.Module, folder: Path) -> bool:
        return self._over()

    def _over(self) -> bool:
        return time.monotonic() - self._began >= 3600 * self.hours

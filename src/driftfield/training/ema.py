"""Exponential moving average of the weights.

    ema <- d ema + (1 - d) weights,    d = min(decay, (1 + step) / (10 + step))

The ramp keeps the random first weights from lingering.
"""

__all__ = ["EMA"]

import copy
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class EMA:
    """Averaged copies of a module's parameters.

    Arguments:
        module: Whose parameters are averaged.
        decay: Share of the old average that stays at each step.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.module, self.decay = module, decay
        self.average = {name: parameter.detach().clone() for name, parameter in module.named_parameters()}

    @torch.no_grad()
    def update(self, step: int) -> None:
        """After the optimizer's step number `step` (from 0)."""
        decay = min(self.decay, (1 + step) / (10 + step))
        names, parameters = zip(*self.module.named_parameters(), strict=True)
        averages = [self.average[name] for name in names]
        torch._foreach_lerp_(averages, [parameter.detach() for parameter in parameters], 1 - decay)

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
        """The averages, detached from further updates."""
        return copy.deepcopy(self.average)

    @torch.no_grad()
    def _assign(self, values: dict[str, Tensor]) -> None:
        for name, parameter in self.module.named_parameters():
            parameter.copy_(values[name])

"""Which noise levels training sees: a density p over gamma, drawn with low discrepancy over the batch.

Stratified draws (one per batch-th of the probability) lower the variance of the loss at no cost (Kingma et al. 2021).
"""

__all__ = ["LogNormalLevels", "NoiseLevels", "ScheduleLevels", "stratified"]

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor

from driftfield.diffusion.schedule import Schedule
from driftfield.registry import register


def stratified(count: int, generator: torch.Generator) -> Tensor:
    """(count,) numbers in [0, 1), one in each of `count` equal parts, in random order."""
    parts = torch.randperm(count, generator=generator)
    # 15 + (1 - 2^-24) rounds to 16: keep the last draw below 1
    return ((parts + torch.rand(count, generator=generator)) / count).clamp(max=1 - 2**-24)


class NoiseLevels(ABC):
    """A distribution of training noise levels, truncated to the range of the schedule."""

    @abstractmethod
    def gamma(self, u: Tensor, schedule: Schedule) -> Tensor:
        """The quantile function: u uniform in [0, 1) -> gamma."""

    @abstractmethod
    def density(self, gamma: Tensor, schedule: Schedule) -> Tensor:
        """p(gamma), integrating to 1 over the range of the schedule."""


@register("noise_levels")
class ScheduleLevels(NoiseLevels):
    """t uniform: the schedule's own density."""

    def gamma(self, u: Tensor, schedule: Schedule) -> Tensor:
        return schedule.gamma(u)

    def density(self, gamma: Tensor, schedule: Schedule) -> Tensor:
        return schedule.density(gamma)


@register("noise_levels")
class LogNormalLevels(NoiseLevels):
    """ln s ~ N(mean, std^2) (Karras et al. 2022); their mean -1.2 and std 1.2 are for images.

    Fields have long tails: the density must still cover s_max, where the largest structures are decided.
    """

    def __init__(self, mean: float = 0.0, std: float = 1.7) -> None:
        self.mean, self.std = mean, std

    def _limits(self, schedule: Schedule) -> tuple[float, float]:
        low, high = ((math.log(s) - self.mean) / self.std for s in (schedule.s_min, schedule.s_max))
        return _normal_cdf(low), _normal_cdf(high)

    def gamma(self, u: Tensor, schedule: Schedule) -> Tensor:
        low, high = self._limits(schedule)
        log_s = self.mean + self.std * torch.special.ndtri(low + (high - low) * u.double())
        return (-2 * log_s).clamp(schedule.gamma_min, schedule.gamma_max).to(u.dtype)

    def density(self, gamma: Tensor, schedule: Schedule) -> Tensor:
        low, high = self._limits(schedule)
        z = (-gamma / 2 - self.mean) / self.std
        inside = (gamma >= schedule.gamma_min) & (gamma <= schedule.gamma_max)
        # d ln s / d gamma = 1/2
        return inside * torch.exp(-(z**2) / 2) / (math.sqrt(2 * math.pi) * self.std * 2 * (high - low))


def _normal_cdf(x: float) -> float:
    return 0.5 * (1 + math.erf(x / math.sqrt(2)))

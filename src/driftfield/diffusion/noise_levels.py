"""Which noise levels training sees: a density p over gamma, drawn with low discrepancy over the batch.

Stratified draws (one per batch-th of the probability) lower the variance of the loss at no cost (Kingma et al. 2021).
"""

__all__ = ["LogNormalLevels", "NoiseLevels", "ScheduleLevels", "UniformLevels", "stratified"]

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from driftfield.diffusion.schedule import LogLinearSchedule, LogNormalSchedule, Schedule
from driftfield.errors import ConfigurationError
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
class UniformLevels(NoiseLevels):
    """gamma uniform between the ends of the schedule, whatever its own density."""

    def gamma(self, u: Tensor, schedule: Schedule) -> Tensor:
        return _uniform(schedule).gamma(u)

    def density(self, gamma: Tensor, schedule: Schedule) -> Tensor:
        return _uniform(schedule).density(gamma)


@register("noise_levels")
class LogNormalLevels(NoiseLevels):
    """ln s ~ N(mean, std^2) (Karras et al. 2022); their mean -1.2 and std 1.2 are for images.

    The same as `ScheduleLevels` on a `LogNormalSchedule`, beside any other schedule. Fields have long tails: the density must
    still cover s_max, where the largest structures are decided.

    Arguments:
        mean, std: Of the logarithm of the noise level.
    """

    def __init__(self, mean: float = 0.0, std: float = 1.7) -> None:
        if not std > 0:
            raise ConfigurationError(f"Found std {std}: expected a positive number.")
        self.mean, self.std = mean, std

    def _on(self, schedule: Schedule) -> LogNormalSchedule:
        return LogNormalSchedule(schedule.s_min, schedule.s_max, self.mean, self.std)

    def gamma(self, u: Tensor, schedule: Schedule) -> Tensor:
        return self._on(schedule).gamma(u)

    def density(self, gamma: Tensor, schedule: Schedule) -> Tensor:
        return self._on(schedule).density(gamma)


def _uniform(schedule: Schedule) -> LogLinearSchedule:
    return LogLinearSchedule(schedule.s_min, schedule.s_max)

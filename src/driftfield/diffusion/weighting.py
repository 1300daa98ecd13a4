"""Weightings: the factor of the eps-equivalent squared error at each noise level.

    loss = E over gamma ~ p of factor(gamma) |eps-equivalent error|^2,   eps-equivalent error = (x_hat - x) / s

A weighting w(gamma) of the integral over gamma needs factor = w / p; members whose density is cancelled say so.
"""

__all__ = ["EDMWeighting", "ELBOWeighting", "MinSNRWeighting", "SigmoidWeighting", "Weighting"]

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from driftfield.diffusion.schedule import noise_level
from driftfield.registry import register


class Weighting(ABC):
    """`factor(gamma, p)` multiplies the eps-equivalent squared error of levels drawn with density p."""

    @abstractmethod
    def factor(self, gamma: Tensor, p: Tensor) -> Tensor:
        """Shape of gamma."""


@register("weighting")
class EDMWeighting(Weighting):
    """(s^2 + sd^2) / (s sd)^2 on the error of the clean field, whatever the density (Karras et al. 2022): F has unit weight."""

    def __init__(self, sd: float = 1.0) -> None:
        self.sd = sd

    def factor(self, gamma: Tensor, p: Tensor) -> Tensor:
        return (noise_level(gamma) ** 2 + self.sd**2) / self.sd**2


@register("weighting")
class ELBOWeighting(Weighting):
    """w = 1: the variational bound (Kingma et al. 2021)."""

    def factor(self, gamma: Tensor, p: Tensor) -> Tensor:
        return 1 / p


@register("weighting")
class SigmoidWeighting(Weighting):
    """w = sigmoid(-gamma + shift) (Hoogeboom et al. 2024)."""

    def __init__(self, shift: float = 2.0) -> None:
        self.shift = shift

    def factor(self, gamma: Tensor, p: Tensor) -> Tensor:
        return torch.sigmoid(self.shift - gamma) / p


@register("weighting")
class MinSNRWeighting(Weighting):
    """w = p min(1, k / SNR) on the eps-equivalent error (Hang et al. 2023, k = 5)."""

    def __init__(self, k: float = 5.0) -> None:
        self.k = k

    def factor(self, gamma: Tensor, p: Tensor) -> Tensor:
        return torch.clamp(self.k * torch.exp(-gamma), max=1.0)

"""Weightings: the factor of the eps-equivalent squared error at each noise level.

    loss = E over gamma ~ p of factor(gamma) |eps-equivalent error|^2,   eps-equivalent error = (x_hat - x) / s

A weighting w(gamma) of the integral over gamma has factor = w / p, so that the loss is the same whatever levels are drawn:

    ELBO            w = 1
    exponential     w = exp(-gamma / 2 - shift)
    sigmoid         w = sigmoid(-gamma + shift)
    Gaussian EDM    w = N(gamma; 2.4, 2.4^2) (s^2 + sd^2) / sd^2

Others cancel the density, and what they train for depends on the levels that are drawn:

    EDM             factor = (s^2 + sd^2) / sd^2
    min-SNR         factor = min(1, k exp(-gamma))
"""

__all__ = [
    "EDMWeighting",
    "ELBOWeighting",
    "ExponentialWeighting",
    "GaussianEDMWeighting",
    "IntegralWeighting",
    "MinSNRWeighting",
    "SigmoidWeighting",
    "Weighting",
]

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor

from driftfield.diffusion.schedule import noise_level
from driftfield.errors import ConfigurationError
from driftfield.registry import register


class Weighting(ABC):
    """`factor(gamma, p)` multiplies the eps-equivalent squared error of levels drawn with density p."""

    @abstractmethod
    def factor(self, gamma: Tensor, p: Tensor) -> Tensor:
        """Shape of gamma."""

    def w(self, gamma: Tensor) -> Tensor:
        """The weight in the integral over gamma, shape of gamma.

        Raises:
            ConfigurationError: the density is cancelled, so that there is none.
        """
        raise ConfigurationError(
            f"{type(self).__name__} weighs levels as they are drawn and has no w(gamma) of its own, which an adaptive schedule "
            "needs. Choose one that has, such as GaussianEDMWeighting or SigmoidWeighting."
        )

    def offset(self, gamma: Tensor) -> Tensor | None:
        """What is added to the weighted error, shape of gamma; nothing, but where the weight is learned."""
        return None


class IntegralWeighting(Weighting):
    """A weighting w(gamma) of the integral over gamma, whatever levels are drawn."""

    @abstractmethod
    def w(self, gamma: Tensor) -> Tensor:
        """The weight in the integral over gamma, shape of gamma."""

    def factor(self, gamma: Tensor, p: Tensor) -> Tensor:
        return self.w(gamma) / p


@register("weighting")
class ELBOWeighting(IntegralWeighting):
    """w = 1: the variational bound (Kingma et al. 2021)."""

    def w(self, gamma: Tensor) -> Tensor:
        return torch.ones_like(gamma)


@register("weighting")
class SigmoidWeighting(IntegralWeighting):
    """w = sigmoid(-gamma + shift) (Hoogeboom et al. 2024).

    Arguments:
        shift: Log SNR at which the weight is a half.
    """

    def __init__(self, shift: float = 2.0) -> None:
        self.shift = shift

    def w(self, gamma: Tensor) -> Tensor:
        return torch.sigmoid(self.shift - gamma)


@register("weighting")
class ExponentialWeighting(IntegralWeighting):
    """w = exp(-gamma / 2 - shift) = s exp(-shift): the more, the noisier.

    Arguments:
        shift: Logarithm of the noise level at which the weight is 1.
    """

    def __init__(self, shift: float = 0.0) -> None:
        self.shift = shift

    def w(self, gamma: Tensor) -> Tensor:
        return torch.exp(-gamma / 2 - self.shift)


@register("weighting")
class GaussianEDMWeighting(IntegralWeighting):
    """What EDM trains for, written as an integral: w = N(gamma; mean, std^2) (s^2 + sd^2) / sd^2 (Kingma & Gao 2023).

    With `LogNormalLevels(mean=-mean / 2, std=std / 2)` it is `EDMWeighting`, but for the truncation; with others, the same
    objective by other draws.

    Arguments:
        mean, std: Of gamma; 2.4 and 2.4 are for images.
        sd: Standard deviation of the (normalised) data.
    """

    def __init__(self, mean: float = 2.4, std: float = 2.4, sd: float = 1.0) -> None:
        if not (std > 0 and sd > 0):
            raise ConfigurationError(f"Found std {std} and sd {sd}: expected positive numbers.")
        self.mean, self.std, self.sd = mean, std, sd

    def w(self, gamma: Tensor) -> Tensor:
        normal = torch.exp(-(((gamma - self.mean) / self.std) ** 2) / 2) / (math.sqrt(2 * math.pi) * self.std)
        return normal * (noise_level(gamma) ** 2 + self.sd**2) / self.sd**2


@register("weighting")
class EDMWeighting(Weighting):
    """(s^2 + sd^2) / (s sd)^2 on the error of the clean field, whatever the density (Karras et al. 2022): F has unit weight.

    Arguments:
        sd: Standard deviation of the normalised fields.
    """

    def __init__(self, sd: float = 1.0) -> None:
        self.sd = sd

    def factor(self, gamma: Tensor, p: Tensor) -> Tensor:
        return (noise_level(gamma) ** 2 + self.sd**2) / self.sd**2


@register("weighting")
class MinSNRWeighting(Weighting):
    """w = p min(1, k / SNR) on the eps-equivalent error (Hang et al. 2023, k = 5).

    Arguments:
        k: SNR above which the weight falls.
    """

    def __init__(self, k: float = 5.0) -> None:
        self.k = k

    def factor(self, gamma: Tensor, p: Tensor) -> Tensor:
        return torch.clamp(self.k * torch.exp(-gamma), max=1.0)

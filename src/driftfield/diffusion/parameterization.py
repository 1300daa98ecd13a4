"""What the network predicts: a linear combination of the clean field and the noise, and the way back.

    x_t = alpha x + sigma eps,    s = sigma / alpha

    data      x                        noise     eps                     score    -eps / sigma
    velocity  alpha eps - sigma x      flow      x - eps
    edm       F with x = c_skip x_t/alpha + c_out F,  c_skip = sd^2 / (s^2 + sd^2),  c_out = s sd / sqrt(s^2 + sd^2)

Each error of the prediction is a multiple of the error of the clean field: `clean_error_scale` says of which.
"""

__all__ = [
    "DataParameterization",
    "EDMParameterization",
    "FlowParameterization",
    "NoiseParameterization",
    "Parameterization",
    "ScoreParameterization",
    "VelocityParameterization",
]

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from driftfield.registry import register


class Parameterization(ABC):
    """To network space and back; `alpha` and `sigma` broadcast against the fields."""

    @abstractmethod
    def target(self, x: Tensor, eps: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        """What the network should predict."""

    @abstractmethod
    def clean(self, prediction: Tensor, x_t: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        """The clean field that the prediction stands for."""

    @abstractmethod
    def clean_error_scale(self, alpha: Tensor, sigma: Tensor) -> Tensor:
        """|error of the clean field| per unit of error of the prediction."""


@register("parameterization")
class DataParameterization(Parameterization):
    """The clean field itself."""

    def target(self, x: Tensor, eps: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        return x

    def clean(self, prediction: Tensor, x_t: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        return prediction

    def clean_error_scale(self, alpha: Tensor, sigma: Tensor) -> Tensor:
        return torch.ones_like(sigma)


@register("parameterization")
class NoiseParameterization(Parameterization):
    """eps (Ho et al. 2020)."""

    def target(self, x: Tensor, eps: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        return eps

    def clean(self, prediction: Tensor, x_t: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        return (x_t - sigma * prediction) / alpha

    def clean_error_scale(self, alpha: Tensor, sigma: Tensor) -> Tensor:
        return sigma / alpha


@register("parameterization")
class ScoreParameterization(Parameterization):
    """-eps / sigma, the gradient of the log density of x_t (Song et al. 2021)."""

    def target(self, x: Tensor, eps: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        return -eps / sigma

    def clean(self, prediction: Tensor, x_t: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        return (x_t + sigma**2 * prediction) / alpha

    def clean_error_scale(self, alpha: Tensor, sigma: Tensor) -> Tensor:
        return sigma**2 / alpha


@register("parameterization")
class VelocityParameterization(Parameterization):
    """alpha eps - sigma x (Salimans & Ho 2022), here for any alpha and sigma."""

    def target(self, x: Tensor, eps: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        return alpha * eps - sigma * x

    def clean(self, prediction: Tensor, x_t: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        # alpha x_t - sigma v = (alpha^2 + sigma^2) x; the bracket is 1 only where variance is preserved
        return (alpha * x_t - sigma * prediction) / (alpha**2 + sigma**2)

    def clean_error_scale(self, alpha: Tensor, sigma: Tensor) -> Tensor:
        return sigma / (alpha**2 + sigma**2)


@register("parameterization")
class FlowParameterization(Parameterization):
    """x - eps, the speed of the straight path from noise to data (Lipman et al. 2023)."""

    def target(self, x: Tensor, eps: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        return x - eps

    def clean(self, prediction: Tensor, x_t: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        return (x_t + sigma * prediction) / (alpha + sigma)

    def clean_error_scale(self, alpha: Tensor, sigma: Tensor) -> Tensor:
        return sigma / (alpha + sigma)


@register("parameterization")
class EDMParameterization(Parameterization):
    """F of Karras et al. (2022), table 1: unit variance at every noise level.

    Arguments:
        sd: Standard deviation of the (normalised) data.
    """

    def __init__(self, sd: float = 1.0) -> None:
        self.sd = sd

    def target(self, x: Tensor, eps: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        # (x - c_skip (x + s eps)) / c_out without its cancellation: (s x - sd^2 eps) / (sd sqrt(s^2 + sd^2))
        s = sigma / alpha
        return (s * x - self.sd**2 * eps) / (self.sd * torch.sqrt(s**2 + self.sd**2))

    def clean(self, prediction: Tensor, x_t: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        signal = self.sd * alpha
        total = torch.hypot(signal, sigma)
        # in place, since a new field costs three passes over an old one; the prediction first, whose layout in memory the walk
        # then keeps
        return (self.sd * sigma / total * prediction).addcmul_(self.sd * signal / total**2, x_t)

    def clean_error_scale(self, alpha: Tensor, sigma: Tensor) -> Tensor:
        s = sigma / alpha
        return s * self.sd / torch.sqrt(s**2 + self.sd**2)

"""Schedules: t in [0, 1] -> log SNR gamma(t), falling from gamma_max (clean) to gamma_min (noise).

    gamma = log(alpha^2 / sigma^2),    s = sigma / alpha = exp(-gamma / 2)

Three conventions fix alpha and sigma from gamma; they agree through x_t / alpha = x + s eps:

    variance_preserving   alpha^2 = sigmoid(gamma)     sigma^2 = sigmoid(-gamma)
    edm                   alpha = 1                    sigma = s
    flow                  alpha = 1 / (1 + s)          sigma = s / (1 + s)

A schedule also is a density of training levels: t uniform on [0, 1] gives p(gamma) = |dt / dgamma|.
"""

__all__ = [
    "Convention",
    "CosineSchedule",
    "FlowSchedule",
    "KarrasSchedule",
    "LogLinearSchedule",
    "LogNormalSchedule",
    "Schedule",
    "TransformedSchedule",
    "noise_level",
]

import math
from abc import ABC, abstractmethod
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import logsigmoid

from driftfield.errors import ConfigurationError
from driftfield.registry import register

Convention = Literal["variance_preserving", "edm", "flow"]


def noise_level(gamma: Tensor) -> Tensor:
    """s = exp(-gamma / 2), the noise standard deviation relative to the signal."""
    return torch.exp(-0.5 * gamma)


class Schedule(ABC):
    """One object for training and sampling, so that they cannot disagree.

    Arguments:
        s_min: Smallest noise level, at t = 0.
        s_max: Largest noise level, at t = 1; at least twice the square root of the largest eigenvalue of the
            covariance of the (normalised) fields.
        convention: How gamma fixes alpha and sigma.
    """

    def __init__(self, s_min: float, s_max: float, convention: Convention) -> None:
        if not 0 < s_min < s_max < math.inf:
            raise ConfigurationError(f"Found s_min {s_min} and s_max {s_max}: expected 0 < s_min < s_max.")
        if convention not in ("variance_preserving", "edm", "flow"):
            raise ConfigurationError(
                f"Unknown convention {convention!r}: expected one of ('variance_preserving', 'edm', 'flow')."
            )
        self.s_min, self.s_max, self.convention = s_min, s_max, convention
        self.gamma_max, self.gamma_min = -2 * math.log(s_min), -2 * math.log(s_max)

    @abstractmethod
    def gamma(self, t: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """Log SNR at time t, within [gamma_min, gamma_max]."""

    @abstractmethod
    def t(self, gamma: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """Time at which the log SNR is gamma."""

    @abstractmethod
    def density(self, gamma: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """p(gamma) of t uniform on [0, 1]; integrates to 1 over [gamma_min, gamma_max]."""

    def alpha_sigma(self, t: Float[Tensor, "*shape"]) -> tuple[Float[Tensor, "*shape"], Float[Tensor, "*shape"]]:
        """Scale of the signal and standard deviation of the noise at time t."""
        gamma = self.gamma(t)
        if self.convention == "variance_preserving":
            return torch.exp(logsigmoid(gamma) / 2), torch.exp(logsigmoid(-gamma) / 2)
        s = noise_level(gamma)
        if self.convention == "edm":
            return torch.ones_like(s), s
        return 1 / (1 + s), s / (1 + s)


@register("schedule")
class LogLinearSchedule(Schedule):
    """gamma linear in t: equal steps in the logarithm of the noise level. The default."""

    def __init__(self, s_min: float = 0.01, s_max: float = 80.0, convention: Convention = "edm") -> None:
        super().__init__(s_min, s_max, convention)

    def gamma(self, t: Tensor) -> Tensor:
        # clamp: rounding may not leave the range, outside which the density is 0
        return (self.gamma_max + (self.gamma_min - self.gamma_max) * t).clamp(self.gamma_min, self.gamma_max)

    def t(self, gamma: Tensor) -> Tensor:
        return (self.gamma_max - gamma) / (self.gamma_max - self.gamma_min)

    def density(self, gamma: Tensor) -> Tensor:
        inside = (gamma >= self.gamma_min) & (gamma <= self.gamma_max)
        return inside.to(gamma) / (self.gamma_max - self.gamma_min)


class TransformedSchedule(Schedule):
    """gamma(t) = -2 ln s(u), u linear between u(s_min) and u(s_max): the truncation lives here and nowhere else."""

    @abstractmethod
    def _s(self, u: Tensor) -> Tensor:
        """Noise level of the untruncated schedule."""

    @abstractmethod
    def _u(self, s: Tensor) -> Tensor:
        """Its inverse, rising."""

    @abstractmethod
    def _du_dlog_s(self, s: Tensor) -> Tensor:
        """Derivative of u with respect to ln s."""

    def _ends(self, like: Tensor) -> tuple[Tensor, Tensor]:
        limits = torch.tensor([self.s_min, self.s_max], dtype=torch.float64, device=like.device)
        low, high = self._u(limits).to(torch.promote_types(like.dtype, torch.float32))
        return low, high

    def gamma(self, t: Tensor) -> Tensor:
        low, high = self._ends(t)
        return (-2 * torch.log(self._s(low + (high - low) * t))).clamp(self.gamma_min, self.gamma_max)

    def t(self, gamma: Tensor) -> Tensor:
        low, high = self._ends(gamma)
        return (self._u(noise_level(gamma)) - low) / (high - low)

    def density(self, gamma: Tensor) -> Tensor:
        low, high = self._ends(gamma)
        inside = (gamma >= self.gamma_min) & (gamma <= self.gamma_max)
        # ln s = -gamma / 2, so |du / dgamma| is half of du / dln s
        return inside.to(gamma) * self._du_dlog_s(noise_level(gamma)) / 2 / (high - low)


@register("schedule")
class KarrasSchedule(TransformedSchedule):
    """s^(1/rho) linear in t (Karras et al. 2022, equation 5); rho = 7 crowds the steps at small noise.

    Arguments:
        rho: Exponent: the larger, the more steps at small noise; 1 is linear in s.
    """

    def __init__(
        self, s_min: float = 0.002, s_max: float = 80.0, rho: float = 7.0, convention: Convention = "edm"
    ) -> None:
        self.rho = rho
        super().__init__(s_min, s_max, convention)

    def _s(self, u: Tensor) -> Tensor:
        return u**self.rho

    def _u(self, s: Tensor) -> Tensor:
        return s ** (1 / self.rho)

    def _du_dlog_s(self, s: Tensor) -> Tensor:
        return s ** (1 / self.rho) / self.rho


@register("schedule")
class CosineSchedule(TransformedSchedule):
    """s = tan(pi u / 2) exp(-shift): gamma = -2 ln tan(pi u / 2) + 2 shift (Nichol & Dhariwal 2021; Kingma & Gao 2023).

    Arguments:
        shift: Of half the log SNR: above 0 less noise at every t.
    """

    def __init__(
        self,
        s_min: float = 0.01,
        s_max: float = 80.0,
        shift: float = 0.0,
        convention: Convention = "variance_preserving",
    ) -> None:
        self.shift = shift
        super().__init__(s_min, s_max, convention)

    def _s(self, u: Tensor) -> Tensor:
        return torch.tan(math.pi / 2 * u) * math.exp(-self.shift)

    def _u(self, s: Tensor) -> Tensor:
        return 2 / math.pi * torch.atan(s * math.exp(self.shift))

    def _du_dlog_s(self, s: Tensor) -> Tensor:
        scaled = s * math.exp(self.shift)
        return 2 / math.pi * scaled / (1 + scaled**2)


@register("schedule")
class FlowSchedule(TransformedSchedule):
    """s = u / (1 - u): straight paths x_t = (1 - t) x + t eps (Lipman et al. 2023), gamma = 2 ln((1 - u) / u)."""

    def __init__(self, s_min: float = 0.01, s_max: float = 80.0, convention: Convention = "flow") -> None:
        super().__init__(s_min, s_max, convention)

    def _s(self, u: Tensor) -> Tensor:
        return u / (1 - u)

    def _u(self, s: Tensor) -> Tensor:
        return s / (1 + s)

    def _du_dlog_s(self, s: Tensor) -> Tensor:
        return s / (1 + s) ** 2


@register("schedule")
class LogNormalSchedule(Schedule):
    """ln s normally distributed in t: the training levels of EDM as a schedule, gamma ~ N(2.4, 2.4^2) for their images.

    Arguments:
        s_min, s_max, convention: See `Schedule`.
        mean, std: Of ln s, cut off at the ends.
    """

    def __init__(
        self,
        s_min: float = 0.002,
        s_max: float = 80.0,
        mean: float = -1.2,
        std: float = 1.2,
        convention: Convention = "edm",
    ) -> None:
        if not std > 0:
            raise ConfigurationError(f"Found std {std}: expected a positive number.")
        super().__init__(s_min, s_max, convention)
        self.mean, self.std = mean, std
        # double precision throughout: the cumulative probability is flat in the tails
        self._low, self._high = (_normal_cdf((math.log(s) - mean) / std) for s in (s_min, s_max))
        if not self._low < self._high:
            raise ConfigurationError(
                f"Found mean {mean} and std {std} of ln s: nothing of it lies between s_min {s_min} and s_max {s_max}."
            )

    def gamma(self, t: Tensor) -> Tensor:
        log_s = self.mean + self.std * torch.special.ndtri(self._low + (self._high - self._low) * t.double())
        return (-2 * log_s).clamp(self.gamma_min, self.gamma_max).to(t.dtype)

    def t(self, gamma: Tensor) -> Tensor:
        passed = torch.special.ndtr((-gamma.double() / 2 - self.mean) / self.std)
        return ((passed - self._low) / (self._high - self._low)).to(gamma.dtype)

    def density(self, gamma: Tensor) -> Tensor:
        z = (-gamma / 2 - self.mean) / self.std
        inside = (gamma >= self.gamma_min) & (gamma <= self.gamma_max)
        # d ln s / d gamma = 1/2
        return inside * torch.exp(-(z**2) / 2) / (math.sqrt(2 * math.pi) * self.std * 2 * (self._high - self._low))


def _normal_cdf(x: float) -> float:
    return 0.5 * (1 + math.erf(x / math.sqrt(2)))

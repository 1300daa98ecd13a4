r"""Variance-preserving schedules given by a rate of noising beta, as continuous objects with their discrete tables.

    dx = -beta(u) / 2 x du + sqrt(beta(u)) dW,     alpha^2(u) = exp(-B(u)),   B(u) = int_0^u beta,   s^2 = e^B - 1

    linear       beta = b0 + (b1 - b0) u                              (Ho et al. 2020; Song et al. 2021)
    quadratic    beta = (sqrt b0 + (sqrt b1 - sqrt b0) u)^2           (Ho et al. 2020, their code)
    sigmoid      beta = b0 + (b1 - b0) sigmoid(12 u - 6)              (Xu et al. 2022)
    cosine       alpha^2 = cos^2(pi/2 (u + k)/(1 + k)) / cos^2(pi/2 k/(1 + k)),   k = .008    (Nichol & Dhariwal 2021)

The table of N steps is beta_i = beta(i / (N - 1)) / N for the first three; for the cosine it is
1 - alpha^2(i/N) / alpha^2((i - 1)/N), at most .999. The usual ends of 1e-4 and .02 at N = 1000 are b0 = .1 and b1 = 20.
"""

__all__ = [
    "CosineBetaSchedule",
    "LinearBetaSchedule",
    "QuadraticBetaSchedule",
    "SigmoidBetaSchedule",
]

import math
from abc import abstractmethod

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import softplus

from driftfield.diffusion.schedule import Convention, TransformedSchedule
from driftfield.errors import ConfigurationError
from driftfield.registry import register


class BetaSchedule(TransformedSchedule):
    """gamma(u) = -ln(e^B(u) - 1), u between the times of s_min and s_max."""

    @abstractmethod
    def beta(self, u: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """Rate of noising at the time u of the whole schedule, per unit of time."""

    @abstractmethod
    def integral(self, u: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """B(u) = -ln alpha^2(u)."""

    @abstractmethod
    def inverse_integral(self, total: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """The time u at which B is `total`."""

    def betas(self, steps: int = 1000) -> Float[Tensor, " steps"]:
        """The discrete table, float64: x_i = sqrt(1 - beta_i) x_(i-1) + sqrt(beta_i) eps."""
        if steps < 2:
            raise ConfigurationError(f"Found steps={steps}: a table of betas needs 2 or more.")
        return self.beta(torch.linspace(0, 1, steps, dtype=torch.float64)) / steps

    def _s(self, u: Tensor) -> Tensor:
        return torch.sqrt(torch.expm1(self.integral(u)))

    def _u(self, s: Tensor) -> Tensor:
        return self.inverse_integral(torch.log1p(s**2))

    def _du_dlog_s(self, s: Tensor) -> Tensor:
        # dB / dln s = 2 s^2 / (1 + s^2), and dB / du = beta
        return 2 * s**2 / (1 + s**2) / self.beta(self._u(s))


class _Ramp(BetaSchedule):
    """A rate that rises from b0 to b1.

    Arguments:
        s_min, s_max, convention: See `Schedule`; s_max is where the schedule ends, u = 1, or less; more continues its rate.
        b0, b1: First and last rate per unit of time: N times the first and last entry of a table of N steps.
    """

    def __init__(
        self,
        s_min: float = 0.01,
        s_max: float | None = None,
        b0: float = 0.1,
        b1: float = 20.0,
        convention: Convention = "variance_preserving",
    ) -> None:
        if not 0 < b0 < b1 < math.inf:
            raise ConfigurationError(f"Found b0 {b0} and b1 {b1}: expected 0 < b0 < b1.")
        self.b0, self.b1 = b0, b1
        last = math.sqrt(math.expm1(float(self.integral(torch.tensor(1.0, dtype=torch.float64)))))
        super().__init__(s_min, last if s_max is None else s_max, convention)


@register("schedule")
class LinearBetaSchedule(_Ramp):
    """The rate of DDPM."""

    def beta(self, u: Tensor) -> Tensor:
        return self.b0 + (self.b1 - self.b0) * u

    def integral(self, u: Tensor) -> Tensor:
        return self.b0 * u + (self.b1 - self.b0) * u**2 / 2

    def inverse_integral(self, total: Tensor) -> Tensor:
        # the root without cancellation: 2 B / (b0 + sqrt(b0^2 + 2 (b1 - b0) B))
        return 2 * total / (self.b0 + torch.sqrt(self.b0**2 + 2 * (self.b1 - self.b0) * total))


@register("schedule")
class QuadraticBetaSchedule(_Ramp):
    """The square root of the rate is linear: little noise for longer."""

    @property
    def _roots(self) -> tuple[float, float]:
        return math.sqrt(self.b0), math.sqrt(self.b1) - math.sqrt(self.b0)

    def beta(self, u: Tensor) -> Tensor:
        first, rise = self._roots
        return (first + rise * u) ** 2

    def integral(self, u: Tensor) -> Tensor:
        first, rise = self._roots
        return u * (first**2 + first * rise * u + (rise * u) ** 2 / 3)

    def inverse_integral(self, total: Tensor) -> Tensor:
        first, rise = self._roots
        cube = first**3 + 3 * rise * total
        root = cube.sign() * cube.abs() ** (1 / 3)
        # (root - first) / rise, rationalised
        return 3 * total / (root**2 + root * first + first**2)


@register("schedule")
class SigmoidBetaSchedule(_Ramp):
    """The rate rises as a sigmoid over -6 to 6."""

    _STEEPNESS = 12.0

    def beta(self, u: Tensor) -> Tensor:
        return self.b0 + (self.b1 - self.b0) * torch.sigmoid(self._STEEPNESS * (u - 0.5))

    def integral(self, u: Tensor) -> Tensor:
        k = self._STEEPNESS
        rise = (softplus(k * (u - 0.5)) - softplus(torch.full_like(u, -k / 2))) / k
        return self.b0 * u + (self.b1 - self.b0) * rise

    def inverse_integral(self, total: Tensor) -> Tensor:
        """No closed form; B rises and is convex, so that Newton from the right of the root falls on it."""
        exact = total.double()
        one = torch.ones_like(exact)
        u = one + (exact - self.integral(one)).clamp(min=0) / self.beta(one)
        for _ in range(40):
            u = (u - (self.integral(u) - exact) / self.beta(u)).clamp(min=0)
        return u.to(total.dtype)


@register("schedule")
class CosineBetaSchedule(BetaSchedule):
    """The cosine schedule of Nichol & Dhariwal (2021) with their offset; alpha vanishes at its end, so s_max cuts it.

    Arguments:
        s_min, s_max, convention: See `Schedule`.
        offset: k, which keeps the first steps from being too small.
    """

    def __init__(
        self,
        s_min: float = 0.01,
        s_max: float = 80.0,
        offset: float = 0.008,
        convention: Convention = "variance_preserving",
    ) -> None:
        if not 0 <= offset < 1:
            raise ConfigurationError(f"Found offset {offset}: expected a number in [0, 1).")
        self.offset = offset
        super().__init__(s_min, s_max, convention)

    def _angle(self, u: Tensor) -> Tensor:
        return math.pi / 2 * (u + self.offset) / (1 + self.offset)

    @property
    def _start(self) -> float:
        return math.pi / 2 * self.offset / (1 + self.offset)

    def beta(self, u: Tensor) -> Tensor:
        return math.pi / (1 + self.offset) * torch.tan(self._angle(u))

    def integral(self, u: Tensor) -> Tensor:
        # ln cos^2 = ln(1 - sin^2): near u = 0 the cosine is 1 to all digits
        return math.log1p(-(math.sin(self._start) ** 2)) - torch.log1p(-(torch.sin(self._angle(u)) ** 2))

    def inverse_integral(self, total: Tensor) -> Tensor:
        # cos^2 = cos^2(start) e^-B, written with the tangent for the same reason
        tangent = torch.sqrt(torch.expm1(total) + math.tan(self._start) ** 2 * torch.exp(total))
        return torch.atan(tangent) * 2 / math.pi * (1 + self.offset) - self.offset

    def betas(self, steps: int = 1000) -> Tensor:
        if steps < 2:
            raise ConfigurationError(f"Found steps={steps}: a table of betas needs 2 or more.")
        kept = torch.cos(self._angle(torch.linspace(0, 1, steps + 1, dtype=torch.float64))) ** 2
        return (1 - kept[1:] / kept[:-1]).clamp(max=0.999)

"""Two symmetric distributions of location m and scale s, cut off at bounds where the quantity has bounds.

    x = m + s u        y = clamp(x, lower, upper)         with u standard normal or standard Laplace

    between the bounds       -ln p(y) = ln s - ln p(u),              u = (y - m) / s
    at a bound               -ln P(y = lower) = -ln F((lower - m) / s),  and alike above

so that density and the two point masses together weigh one (a censored distribution, Tobin 1958). With the excesses
e1(a) = E (u - a)+ and e2(a) = E (u - a)+^2, a and b the bounds in units of s seen from m,

    E[y] = lower + s (e1(a) - e1(b))
    E[(y - lower)^2] = s^2 (e2(a) - e2(b) - 2 (b - a) e1(b))

The scale that fits best has a closed form: the root mean square of y - m (normal), its mean absolute value (Laplace). Of a
value at a bound only the side is known; `beyond` is what |x - m|^p is to be expected there.
"""

__all__ = ["Laplace", "Normal", "StandardNoise", "clamped_moments"]

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor

_FAR = 40.0  # scales from the location, beyond which nothing is left in double precision


class StandardNoise(ABC):
    """A symmetric distribution of location 0 and scale 1; all functions are elementwise and let a gradient through."""

    power: int
    """p of the moment E |x - m|^p that gives the scale."""
    std: float
    """Standard deviation in units of the scale."""

    @abstractmethod
    def log_density(self, u: Tensor) -> Tensor:
        """ln p(u)."""

    @abstractmethod
    def log_cdf(self, u: Tensor) -> Tensor:
        """ln P(U < u); the upper tail is log_cdf(-u)."""

    @abstractmethod
    def excess(self, u: Tensor) -> Tensor:
        """E (U - u)+."""

    @abstractmethod
    def squared_excess(self, u: Tensor) -> Tensor:
        """E (U - u)+^2."""

    @abstractmethod
    def beyond(self, u: Tensor) -> Tensor:
        """E[|U|^p | U < u]."""

    @abstractmethod
    def from_normal(self, eps: Tensor) -> Tensor:
        """Standard normal noise as noise of this distribution, each number by itself."""


class Normal(StandardNoise):
    """p(u) = exp(-u^2 / 2) / sqrt(2 pi)."""

    power, std = 2, 1.0

    def log_density(self, u: Tensor) -> Tensor:
        """ln p(u)."""
        return -0.5 * u.square() - 0.5 * math.log(2 * math.pi)

    def log_cdf(self, u: Tensor) -> Tensor:
        """ln P(U < u)."""
        return torch.special.log_ndtr(u)

    def excess(self, u: Tensor) -> Tensor:
        """p(u) - u P(U > u)."""
        return self.log_density(u).exp() - u * torch.special.ndtr(-u)

    def squared_excess(self, u: Tensor) -> Tensor:
        """(1 + u^2) P(U > u) - u p(u)."""
        return (1 + u.square()) * torch.special.ndtr(-u) - u * self.log_density(u).exp()

    def beyond(self, u: Tensor) -> Tensor:
        """1 - u p(u) / P(U < u)."""
        return 1 - u * (self.log_density(u) - self.log_cdf(u)).exp()

    def from_normal(self, eps: Tensor) -> Tensor:
        """Itself."""
        return eps


class Laplace(StandardNoise):
    """p(u) = exp(-|u|) / 2."""

    power, std = 1, math.sqrt(2)

    def log_density(self, u: Tensor) -> Tensor:
        """ln p(u)."""
        return -u.abs() - math.log(2)

    def log_cdf(self, u: Tensor) -> Tensor:
        """ln P(U < u)."""
        return torch.where(u < 0, -u.abs() - math.log(2), torch.log1p(-0.5 * (-u.abs()).exp()))

    def excess(self, u: Tensor) -> Tensor:
        """(-u)+ + exp(-|u|) / 2."""
        return (-u).clamp(min=0) + 0.5 * (-u.abs()).exp()

    def squared_excess(self, u: Tensor) -> Tensor:
        """exp(-u) above 0; below, the variance and the square of u without the tail on the other side."""
        tail = (-u.abs()).exp()
        return torch.where(u < 0, 2 + u.square() - tail, tail)

    def beyond(self, u: Tensor) -> Tensor:
        """1 - u in the tail; above the location (1 - exp(-u) (1 + u) / 2) / (1 - exp(-u) / 2)."""
        half = 0.5 * (-u.abs()).exp()
        return torch.where(u < 0, 1 - u, (1 - half * (1 + u)) / (1 - half))

    def from_normal(self, eps: Tensor) -> Tensor:
        """The quantile of P(N < eps), from the tail on its own side so that none is lost to rounding."""
        return -eps.sign() * (math.log(2) + torch.special.log_ndtr(-eps.abs()))


def clamped_moments(
    standard: StandardNoise, location: Tensor, scale: Tensor, lower: Tensor | None, upper: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of clamp(location + scale u, lower, upper), in closed form.

    Arguments:
        standard: The distribution of u.
        location, scale: Of the distribution before it is cut off.
        lower, upper: Bounds, broadcast to the location; infinite or None where there is none.
    """
    if lower is None and upper is None:
        return location, (standard.std * scale).expand_as(location)
    # fp64: the squared excess of a far bound is a small difference of large numbers
    m, s = location.double(), scale.double()
    a = m.new_full((), -_FAR) if lower is None else ((lower - m) / s).clamp(min=-_FAR)
    b = m.new_full((), _FAR) if upper is None else ((upper - m) / s).clamp(max=_FAR)
    b = torch.maximum(a, b)  # a location far below the lower bound
    near, far = standard.excess(a), standard.excess(b)
    first = near - far
    second = standard.squared_excess(a) - standard.squared_excess(b) - 2 * (b - a) * far
    mean, std = m + s * (a + first), s * (second - first.square()).clamp(min=0).sqrt()
    return mean.clamp(lower, upper).to(location.dtype), std.expand_as(mean).to(location.dtype)

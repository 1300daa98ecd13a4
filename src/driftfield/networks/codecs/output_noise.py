"""How far a prediction may be off: noise of one scale per channel, learned by counting instead of by gradient.

    residual r = target - location      scale = (A / N)^(1/p)      A <- d A + (1 - d) <m |r|^p>,   N <- d N + (1 - d) <m>

<> is the mean over a batch and m its mask, so that A / N is the running mean of |r|^p over the cells that teach, p = 2 for normal
and p = 1 for Laplace noise: the scale of least negative log-likelihood in closed form. No gradient has to find it, and none can
blow it up. A batch without a cell changes nothing, and nothing is left of the start once a cell was seen.

Of a value at a bound only the side is known. With b scale^p what is to be expected of |r|^p beyond the bound, a step of
expectation-maximisation counts it as b scale^p in one cell; we take min(b, 1) of a cell of residual `scale` off both sums. That
has the same fixed point and gets there sooner: a cell that tells nothing (b = 1, far beyond the bound) weighs nothing.

A and N are parameters without a gradient: they are kept, averaged and resumed as the weights are. Bounds are handed over with
every call, in the units of the target, since a bound of an anomaly moves with its climatology.
"""

__all__ = ["GaussianNoise", "LaplaceNoise", "NoisePerVariable", "OutputNoise", "TrackedNoise"]

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from driftfield.errors import ConfigurationError
from driftfield.networks.codecs.distributions import Laplace, Normal, StandardNoise, clamped_moments

Field = Float[Tensor, "batch channel lat lon"]
Mask = Bool[Tensor, "batch channel lat lon"]


class OutputNoise(nn.Module, ABC):
    """The distribution of a field about its location; bounds are fields of the location's shape, or None.

    What lies under the mask is never looked at: it may be NaN, and no gradient comes back from it.
    """

    @property
    @abstractmethod
    def scale(self) -> Float[Tensor, "channel 1 1"]:
        """Of every channel, in the units of the target."""

    @abstractmethod
    def update(
        self, target: Field, location: Field, mask: Mask, *, lower: Field | None = None, upper: Field | None = None
    ) -> None:
        """Counts the residuals of one training batch."""

    @abstractmethod
    def cell_nll(
        self, target: Field, location: Field, mask: Mask, *, lower: Field | None = None, upper: Field | None = None
    ) -> Field:
        """Negative log-likelihood of every cell, a density between the bounds and a mass on them; 0 outside the mask."""

    @abstractmethod
    def moments(
        self, location: Field, *, lower: Field | None = None, upper: Field | None = None
    ) -> tuple[Field, Field]:
        """Mean and standard deviation of the field between its bounds."""

    @abstractmethod
    def sample(self, location: Field, eps: Field, *, lower: Field | None = None, upper: Field | None = None) -> Field:
        """One field per standard normal field `eps`, between the bounds; the noise of a cell is independent of the others'."""

    def nll(
        self, target: Field, location: Field, mask: Mask, *, lower: Field | None = None, upper: Field | None = None
    ) -> Float[Tensor, ""]:
        """Mean negative log-likelihood over the mask; 0 with a graph for an empty one."""
        return self.cell_nll(target, location, mask, lower=lower, upper=upper).sum() / mask.sum().clamp(min=1)


class TrackedNoise(OutputNoise):
    """One distribution for all channels, each with its own tracked scale.

    Arguments:
        channels: How many.
        decay: d, the share of the old that stays at each batch.
        start: The scale before the first batch.
    """

    standard: ClassVar[StandardNoise]

    def __init__(self, channels: int, *, decay: float = 0.99, start: float = 1.0) -> None:
        super().__init__()
        if isinstance(decay, bool) or not isinstance(decay, int | float) or not 0 <= decay < 1:
            raise ConfigurationError(f"Found decay={decay!r} of the output noise: expected 0 to below 1, such as 0.99.")
        if isinstance(start, bool) or not isinstance(start, int | float) or not 0 < start < float("inf"):
            raise ConfigurationError(f"Found start={start!r} of the output noise: expected a scale above 0.")
        self.decay, self.start = float(decay), float(start)
        self.total = nn.Parameter(torch.zeros(channels), requires_grad=False)
        self.cells = nn.Parameter(torch.zeros(channels), requires_grad=False)

    @property
    def scale(self) -> Float[Tensor, "channel 1 1"]:
        """Closed form; `start` for a channel that never taught."""
        mean = (self.total / self.cells.clamp(min=1e-30)).clamp(min=1e-12) ** (1 / self.standard.power)
        return torch.where(self.cells > 0, mean, self.start)[:, None, None]

    @torch.no_grad()
    def update(
        self, target: Field, location: Field, mask: Mask, *, lower: Field | None = None, upper: Field | None = None
    ) -> None:
        """Counts |r|^p of the cells under the mask; of those at a bound, what they tell."""
        target, location = _under(mask, target, location)
        scale, p = self.scale, self.standard.power
        size = (target - location).abs() ** p
        weight = torch.ones_like(size)
        for at_bound, u in _censored(target, location, scale, lower, upper):
            excess = self.standard.beyond(u) - 1
            size = torch.where(at_bound, scale**p * excess.clamp(min=0), size)
            weight = torch.where(at_bound, (-excess).clamp(min=0), weight)
        dims = [axis for axis in range(size.ndim) if axis != size.ndim - 3]
        for kept, new in ((self.total, size), (self.cells, weight)):
            kept.mul_(self.decay).add_(torch.where(mask, new, 0).mean(dims), alpha=1 - self.decay)

    def cell_nll(
        self, target: Field, location: Field, mask: Mask, *, lower: Field | None = None, upper: Field | None = None
    ) -> Field:
        """As `OutputNoise` says; a gradient flows to the location only."""
        target, location = _under(mask, target, location)
        scale = self.scale
        nll = scale.log() - self.standard.log_density((target - location) / scale)
        for at_bound, u in _censored(target, location, scale, lower, upper):
            nll = torch.where(at_bound, -self.standard.log_cdf(u), nll)
        return torch.where(mask, nll, 0)

    def moments(
        self, location: Field, *, lower: Field | None = None, upper: Field | None = None
    ) -> tuple[Field, Field]:
        """Closed form (`clamped_moments`)."""
        return clamped_moments(self.standard, location, self.scale, lower, upper)

    def sample(self, location: Field, eps: Field, *, lower: Field | None = None, upper: Field | None = None) -> Field:
        """location + scale times noise, clamped."""
        drawn = location + self.scale * self.standard.from_normal(eps)
        return drawn if lower is None and upper is None else drawn.clamp(lower, upper)


class GaussianNoise(TrackedNoise):
    """Normal noise: its location is the mean, its scale the root mean square of the residuals."""

    standard: ClassVar[StandardNoise] = Normal()


class LaplaceNoise(TrackedNoise):
    """Laplace noise: its location is the median, its scale the mean absolute residual."""

    standard: ClassVar[StandardNoise] = Laplace()


class NoisePerVariable(OutputNoise):
    """Each variable with noise of its own; the channels of the variables follow each other.

    Arguments:
        parts: The noise of every variable, in the order of the channels.
    """

    def __init__(self, parts: Sequence[TrackedNoise]) -> None:
        super().__init__()
        self.parts = nn.ModuleList(parts)
        self.sizes = [part.total.numel() for part in parts]

    @property
    def scale(self) -> Float[Tensor, "channel 1 1"]:
        """Of every channel of every variable."""
        return torch.cat([part.scale for part in self._noises])

    def update(
        self, target: Field, location: Field, mask: Mask, *, lower: Field | None = None, upper: Field | None = None
    ) -> None:
        """Each variable counts its own residuals."""
        for part, (y, m, seen, low, high) in self._split(target, location, mask, lower, upper):
            part.update(y, m, seen, lower=low, upper=high)

    def cell_nll(
        self, target: Field, location: Field, mask: Mask, *, lower: Field | None = None, upper: Field | None = None
    ) -> Field:
        """As `OutputNoise` says."""
        split = self._split(target, location, mask, lower, upper)
        return torch.cat([part.cell_nll(y, m, s, lower=low, upper=up) for part, (y, m, s, low, up) in split], dim=-3)

    def moments(
        self, location: Field, *, lower: Field | None = None, upper: Field | None = None
    ) -> tuple[Field, Field]:
        """As `OutputNoise` says."""
        found = [part.moments(m, lower=low, upper=up) for part, (m, low, up) in self._split(location, lower, upper)]
        means, stds = zip(*found, strict=True)
        return torch.cat(means, dim=-3), torch.cat(stds, dim=-3)

    def sample(self, location: Field, eps: Field, *, lower: Field | None = None, upper: Field | None = None) -> Field:
        """As `OutputNoise` says."""
        split = self._split(location, eps, lower, upper)
        return torch.cat([part.sample(m, e, lower=low, upper=up) for part, (m, e, low, up) in split], dim=-3)

    @property
    def _noises(self) -> list[TrackedNoise]:
        return list(self.parts)  # type: ignore[arg-type]

    def _split(self, *fields: Tensor | None) -> list[tuple[TrackedNoise, tuple]]:
        """(noise, its channels of every field) of every variable."""
        divided = [[None] * len(self.sizes) if f is None else f.split(self.sizes, dim=-3) for f in fields]
        return list(zip(self._noises, zip(*divided, strict=True), strict=True))


def _under(mask: Mask, target: Field, location: Field) -> tuple[Field, Field]:
    """Both with 0 outside the mask; where, not a product: NaN times 0 is NaN, and so is its gradient."""
    location = (
        location.float() if location.dtype in (torch.bfloat16, torch.float16) else location
    )  # many scales squared
    return torch.where(mask, target, 0).to(location.dtype), torch.where(mask, location, 0)


def _censored(
    target: Field, location: Field, scale: Tensor, lower: Field | None, upper: Field | None
) -> list[tuple[Mask, Field]]:
    """For each bound: where the target lies on it, and the distance u, in scales, to which the tail reaches up to it."""
    parts = []
    for bound, sign in ((lower, 1), (upper, -1)):
        if bound is not None:
            at_bound = sign * target <= sign * bound
            # a bound at infinity must not meet the gradient, not even under a where
            u = sign * (torch.where(at_bound, bound, location.detach()) - location) / scale
            parts.append((at_bound, u))
    return parts

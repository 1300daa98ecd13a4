"""Weighted draws: what particles end as."""

__all__ = ["ParticleCloud"]

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor


@dataclass(frozen=True)
class ParticleCloud:
    """Weighted draws of the posterior.

    Arguments:
        fields: (particle, channel, *space).
        weights: (particle,), summing to 1.
        log_evidence: Estimate of ln p(y).
        least_effective: Smallest effective number of particles on the way.
    """

    fields: Float[Tensor, "particle channel *space"]
    weights: Float[Tensor, " particle"]
    log_evidence: float
    least_effective: float

    def mean(self) -> Float[Tensor, "channel *space"]:
        """Of the posterior."""
        return torch.einsum("p,p...->...", self.weights.to(self.fields), self.fields)

    def sd(self) -> Float[Tensor, "channel *space"]:
        """Of the posterior, cell by cell."""
        return torch.einsum("p,p...->...", self.weights.to(self.fields), (self.fields - self.mean()) ** 2).sqrt()

    @property
    def effective(self) -> float:
        """How many draws of equal weight it is worth, 1 / sum of squared weights."""
        return float(1 / self.weights.square().sum())

    def chosen(self, quantiles: Sequence[float]) -> Int[Tensor, " n"]:
        """Particles by weight.

        Arguments:
            quantiles: Numbers in [0, 1), one for each: uniform ones make unweighted draws of the posterior.
        """
        edges = torch.cumsum(self.weights.double(), 0)
        points = torch.as_tensor(quantiles, dtype=torch.float64)
        return torch.searchsorted(edges / edges[-1], points, right=True).clamp(max=len(edges) - 1)

"""Denoisers whose answer is known: the touchstones of every sampler and every guidance method.

With z = x_t / alpha = x + s eps:

    Gaussian    x ~ N(mu, C)              E[x | z] = mu + C (C + s^2 I)^-1 (z - mu)
    mixture     x ~ sum_k w_k N(mu_k, C_k)     the Gaussian answers, weighted by  w_k N(z; mu_k, C_k + s^2 I)
    empirical   x one of the data x_i     E[x | z] = sum_i softmax_i(-|z - x_i|^2 / 2 s^2) x_i
"""

__all__ = ["EmpiricalDenoiser", "GaussianDenoiser", "MixtureDenoiser"]

import math
from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from driftfield.errors import ConfigurationError
from driftfield.interfaces import Schedule
from driftfield.linalg.covariance import Covariance, DenseCovariance, DiagonalCovariance


class GaussianDenoiser:
    """The exact denoiser of a Gaussian field.

    Arguments:
        schedule: The schedule that x_t follows.
        mean: (cells,) or a scalar.
        covariance: A `Covariance`, or (cells, cells), or (cells,) for a diagonal one, or a scalar variance.
    """

    def __init__(self, schedule: Schedule, mean: Tensor, covariance: Tensor | Covariance) -> None:
        self.schedule, self.mean = schedule, mean
        self.covariance = _covariance(covariance)

    def __call__(self, x_t: Float[Tensor, "batch *cells"], t: Float[Tensor, " batch"]) -> Float[Tensor, "batch *cells"]:
        z, s = _scaled(self.schedule, x_t, t)
        return (self.mean + self._covariance(z).shrink(z - self.mean, s**2)).view(x_t.shape)

    def log_density(self, z: Float[Tensor, "batch cells"], s: Float[Tensor, "batch 1"]) -> Float[Tensor, " batch"]:
        """ln N(z; mean, C + s^2 I)."""
        departure, covariance = z - self.mean, self._covariance(z)
        square = (departure * covariance.solve(departure, s**2)).sum(-1)
        return -(square + covariance.log_determinant(s**2) + z.shape[-1] * math.log(2 * math.pi)) / 2

    def _covariance(self, z: Float[Tensor, "batch cells"]) -> Covariance:
        """A scalar variance learns here how many cells there are."""
        if isinstance(self.covariance, Covariance):
            return self.covariance
        return DiagonalCovariance(self.covariance.expand(z.shape[-1]))


class MixtureDenoiser:
    """The exact denoiser of a mixture of Gaussians.

    Arguments:
        schedule: The schedule that x_t follows.
        weights: (mode,), positive; they are normalised.
        means: (mode, cells).
        covariances: One per mode: as of `GaussianDenoiser`.
    """

    def __init__(
        self,
        schedule: Schedule,
        weights: Float[Tensor, " mode"],
        means: Float[Tensor, "mode cells"],
        covariances: Sequence[Tensor | Covariance],
    ) -> None:
        if not len(weights) == len(means) == len(covariances) or not (weights > 0).all():
            raise ConfigurationError(
                f"Found {len(weights)} weights, {len(means)} means and {len(covariances)} covariances: expected one of each "
                "per mode, the weights positive."
            )
        self.schedule, self.weights = schedule, weights / weights.sum()
        self.modes = [GaussianDenoiser(schedule, mean, c) for mean, c in zip(means, covariances, strict=True)]

    def __call__(self, x_t: Float[Tensor, "batch *cells"], t: Float[Tensor, " batch"]) -> Float[Tensor, "batch *cells"]:
        flat = x_t.flatten(1)
        weights = self.responsibilities(flat, t)
        means = torch.stack([mode(flat, t) for mode in self.modes])
        return torch.einsum("bk,kbc->bc", weights.to(means), means).view(x_t.shape)

    def responsibilities(
        self, x_t: Float[Tensor, "batch *cells"], t: Float[Tensor, " batch"]
    ) -> Float[Tensor, "batch mode"]:
        """P(mode | x_t)."""
        z, s = _scaled(self.schedule, x_t, t)
        logits = torch.stack([mode.log_density(z, s) for mode in self.modes], dim=1)
        return torch.softmax(logits + torch.log(self.weights).to(logits), dim=1)


class EmpiricalDenoiser:
    """The optimal denoiser of a finite data set: a mean of the data, weighted by how near they are.

    The data pass in portions with a running softmax, so that memory grows with batch x portion and not with batch x data.

    Arguments:
        schedule: The schedule that x_t follows.
        data: (sample, *cells).
        mask: (*cells), one for all samples: True where cells count. Elsewhere anything may lie, also NaN, and the answer is 0.
        portion: Data at a time.
    """

    def __init__(
        self,
        schedule: Schedule,
        data: Float[Tensor, "sample *cells"],
        mask: Bool[Tensor, "*cells"] | None = None,
        *,
        portion: int = 4096,
    ) -> None:
        if not len(data) or portion < 1:
            raise ConfigurationError(f"Found {len(data)} data in portions of {portion}: expected one or more of both.")
        self.schedule, self.portion = schedule, portion
        self.mask = torch.ones(data.shape[1:], dtype=torch.bool, device=data.device) if mask is None else mask
        self.data = torch.where(self.mask, data, 0).flatten(1)
        self.squares = (self.data**2).sum(1)

    def __call__(self, x_t: Float[Tensor, "batch *cells"], t: Float[Tensor, " batch"]) -> Float[Tensor, "batch *cells"]:
        z, s = _scaled(self.schedule, torch.where(self.mask, x_t, 0), t)
        top = z.new_full((len(z), 1), -math.inf)
        total, weighted = torch.zeros_like(top), torch.zeros_like(z)
        for start in range(0, len(self.data), self.portion):
            data = self.data[start : start + self.portion].to(z)
            squares = self.squares[start : start + self.portion].to(z)
            # |z - x|^2 without the part that all data share
            logits = (z @ data.mT - squares / 2) / s**2
            higher = torch.maximum(top, logits.amax(1, keepdim=True))
            weights, rescale = torch.exp(logits - higher), torch.exp(top - higher)
            total = total * rescale + weights.sum(1, keepdim=True)
            weighted = weighted * rescale + weights @ data
            top = higher
        return (weighted / total).view(x_t.shape)


def _covariance(stated: Tensor | Covariance) -> Tensor | Covariance:
    """A `Covariance`; a scalar variance stays one until a field comes."""
    if isinstance(stated, Covariance) or stated.ndim == 0:
        return stated
    return DenseCovariance(stated) if stated.ndim == 2 else DiagonalCovariance(stated)


def _scaled(schedule: Schedule, x_t: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
    """(batch, cells) z = x_t / alpha and (batch, 1) s = sigma / alpha."""
    alpha, sigma = (part.view(-1, 1) for part in schedule.alpha_sigma(t))
    return x_t.flatten(1) / alpha, sigma / alpha

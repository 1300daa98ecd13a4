"""Denoisers whose answer is known: the touchstones of every sampler and every guidance method.

Gaussian: x ~ N(mu, C), x_t / alpha = x + s eps

    E[x | x_t] = mu + C (C + s^2 I)^-1 (x_t / alpha - mu)
"""

__all__ = ["GaussianDenoiser"]

import torch
from jaxtyping import Float
from torch import Tensor

from driftfield.diffusion.schedule import Schedule


class GaussianDenoiser:
    """The exact denoiser of a Gaussian field.

    Arguments:
        schedule: The schedule that x_t follows.
        mean: (cells,) or a scalar.
        covariance: (cells, cells), or (cells,) for a diagonal one, or a scalar variance.
    """

    def __init__(self, schedule: Schedule, mean: Tensor, covariance: Tensor) -> None:
        self.schedule = schedule
        self.mean = mean
        if covariance.ndim == 2:
            self.variances, self.basis = torch.linalg.eigh(covariance)
        else:
            self.variances, self.basis = covariance, None

    def __call__(self, x_t: Float[Tensor, "batch *cells"], t: Float[Tensor, " batch"]) -> Float[Tensor, "batch *cells"]:
        alpha, sigma = (part.view(-1, 1) for part in self.schedule.alpha_sigma(t))
        s = sigma / alpha
        departure = x_t.flatten(1) / alpha - self.mean
        if self.basis is not None:
            departure = departure @ self.basis
        departure = departure * self.variances / (self.variances + s**2)
        if self.basis is not None:
            departure = departure @ self.basis.T
        return (self.mean + departure).view(x_t.shape)

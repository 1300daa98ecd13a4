"""Replacement: observed cells are set to what the forward process would have made of them, at the right noise level.

An observation y = x + r e already carries noise of standard deviation r. At noise level s >= r

    z_observed = y + sqrt(s^2 - r^2) eps

has exactly the noise level s; below r the observation has nothing more to say and the cell is left to the denoiser. (RePaint's
"known region" of Lugmayr et al. 2022, equation 8a, with an observation error.)
"""

__all__ = ["ReplacementDenoiser"]

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from driftfield.interfaces import Denoiser


class ReplacementDenoiser:
    """Has a denoiser and is a denoiser; knows grid-cell observations.

    Arguments:
        denoiser: The prior.
        y: Observed values in network units, anything where not observed.
        observed: Where.
        error_std: Standard deviation r of the observation error, network units.
        eps: The walk's own starting noise, so that a member keeps its stream.
    """

    def __init__(
        self,
        denoiser: Denoiser,
        y: Float[Tensor, "batch channel *space"],
        observed: Bool[Tensor, "batch channel *space"],
        error_std: Float[Tensor, "batch channel *space"],
        eps: Float[Tensor, "batch channel *space"],
    ) -> None:
        self.schedule = denoiser.schedule
        self.denoiser, self.y, self.observed, self.error_std, self.eps = denoiser, y, observed, error_std, eps

    def __call__(
        self, x_t: Float[Tensor, "batch channel *space"], t: Float[Tensor, " batch"]
    ) -> Float[Tensor, "batch channel *space"]:
        alpha, sigma = (part.view(-1, *[1] * (x_t.ndim - 1)) for part in self.schedule.alpha_sigma(t))
        excess = (sigma / alpha) ** 2 - self.error_std**2
        active = self.observed & (excess >= 0)
        known = alpha * (self.y + torch.sqrt(excess.clamp(min=0)) * self.eps)
        clean = self.denoiser(torch.where(active, known, x_t), t)
        # an exact observation is the clean field; one with error is for the denoiser to weigh
        return torch.where(self.observed & (self.error_std == 0), self.y, clean)

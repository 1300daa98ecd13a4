"""The one loss of every diffusion model: a masked weighted mean of the squared error of the clean field.

loss = sum_cells m f(gamma) ((x_hat - x) / s)^2 / sum_cells m
"""

__all__ = ["masked_mean", "diffusion_loss", "loss_mask"]

from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from driftfield.diffusion.noise_levels import NoiseLevels
from driftfield.diffusion.schedule import Schedule, noise_level
from driftfield.diffusion.weighting import Weighting
from driftfield.errors import ConfigurationError

Where = Literal["domain", "unobserved"]


def masked_mean(values: Float[Tensor, "*shape"], mask: Bool[Tensor, "*shape"]) -> Float[Tensor, ""]:
    """Mean over the True cells; an empty mask gives 0 with a graph, so that a batch of land trains nothing and breaks nothing."""
    # where, not a product: what lies under the mask may be anything, also NaN
    return torch.where(mask, values, 0).sum() / mask.sum().clamp(min=1)


def loss_mask(
    domain: Bool[Tensor, "*shape"], observed: Bool[Tensor, "*shape"], where: Where = "domain"
) -> Bool[Tensor, "*shape"]:
    """Which cells teach: all of the domain, or those of it that were not observed."""
    if where == "domain":
        return domain
    if where == "unobserved":
        return domain & ~observed
    raise ConfigurationError(f"Unknown loss mask {where!r}: expected one of ('domain', 'unobserved').")


def diffusion_loss(
    x_hat: Float[Tensor, "batch channel *space"],
    x: Float[Tensor, "batch channel *space"],
    gamma: Float[Tensor, " batch"],
    *,
    mask: Bool[Tensor, "batch channel *space"],
    schedule: Schedule,
    noise_levels: NoiseLevels,
    weighting: Weighting,
) -> Float[Tensor, ""]:
    """The masked weighted loss of a denoised field."""
    factor = weighting.factor(gamma, noise_levels.density(gamma, schedule)) / noise_level(gamma) ** 2
    return masked_mean(factor.view(-1, *[1] * (x.ndim - 1)) * (x_hat - x) ** 2, mask)

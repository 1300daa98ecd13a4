"""The one loss of every diffusion model: a masked weighted mean of the squared error of the clean field.

loss = sum_cells m f(gamma) ((x_hat - x) / s)^2 / sum_cells m          (+ the mean of u(gamma), where the weight is learned)

No complete field is needed (Daras et al. 2023, arXiv 2305.19256). Let the clean field be known in A only. What the network sees
of it, y in O and x_t in B, is a further drop: O, B within A; the loss is over A. Where the gaps do not depend on the values of
the field, the least loss over all networks is that of

    E[x | y, O, x_t in B, B]

in every cell, also in those outside of A, since each of them is in the A of other samples. Where x_t is not in B it is 0 and a
mask says so: a zero taken for data is what goes wrong where that mask is forgotten. In a cell outside of B the noise
level is in effect infinite, and its squared error has the weight 1 / sd^2, the limit of Karras's weighting.
"""

__all__ = ["check_where", "masked_mean", "diffusion_loss", "level_errors", "loss_mask"]

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
    check_where(where)
    return domain if where == "domain" else domain & ~observed


def check_where(where: str) -> None:
    """Raises `ConfigurationError` unless it says which cells teach."""
    if where not in ("domain", "unobserved"):
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
    visible: Bool[Tensor, "batch channel *space"] | None = None,
    sd: float = 1.0,
    exponent: float = 1.0,
) -> Float[Tensor, ""]:
    """The masked weighted loss of a denoised field.

    Arguments:
        x_hat: Denoised field.
        x: Clean field; anything outside of `mask`.
        gamma: Noise level of every sample.
        mask: Cells that teach: where x is known.
        schedule, noise_levels, weighting: Of the model.
        visible: Where the network saw x_t; everywhere if not given.
        sd: Standard deviation of the data.
        exponent: Of every weighted squared error, 1 for the mean; less lets rare large errors count less, and what is learnt
            is no mean any more but lies towards the median.
    """
    factor = weighting.factor(gamma, noise_levels.density(gamma, schedule)) / noise_level(gamma) ** 2
    factor = factor.view(-1, *[1] * (x.ndim - 1))
    if visible is not None:
        factor = torch.where(visible, factor, sd**-2)
    errors = factor * (x_hat - x) ** 2
    if exponent != 1.0:
        errors = (errors + 1e-12) ** exponent  # the slope of a root is infinite at 0
    loss = masked_mean(errors, mask)
    offset = weighting.offset(gamma)
    if offset is None:
        return loss
    everywhere = offset.view(-1, *[1] * (x.ndim - 1)).expand_as(x)
    return loss + masked_mean(everywhere if visible is None else torch.where(visible, everywhere, 0), mask)


def level_errors(
    x_hat: Float[Tensor, "batch channel *space"],
    x: Float[Tensor, "batch channel *space"],
    gamma: Float[Tensor, " batch"],
    mask: Bool[Tensor, "batch channel *space"],
) -> Float[Tensor, " batch"]:
    """Mean eps-equivalent squared error of every sample, ((x_hat - x) / s)^2; NaN where its mask is empty."""
    errors = torch.where(mask, (x_hat - x) ** 2, 0).flatten(1).sum(1) / mask.flatten(1).sum(1)
    return errors / noise_level(gamma) ** 2

"""A one-step ensemble: a network that turns random numbers into members, trained on the almost fair CRPS.

    x_m = network(e_m, z_m; condition)             z_m: 32 numbers through the FiLM layers; e_m: white noise in every cell
    loss = mean over cells of  1/M sum_m |x_m - x| - (1 - eps) / (2 M (M - 1)) sum_{j, k} |x_j - x_k|,   eps = (1 - level) / M

The fair CRPS (level 1) is least for members drawn from p(x | condition), however few they are; a level below 1 takes away what
lets all but one member run off (Lang et al. 2024, AIFS-CRPS, arXiv 2412.15832, eq. 4).
"""

__all__ = ["NOISES", "EnsembleModel", "almost_fair_crps"]

from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from driftfield.diffusion.batch_part import part_rows
from driftfield.diffusion.loss import Where, loss_mask, masked_mean
from driftfield.diffusion.model import known_cells, to_residual
from driftfield.fields import FieldBatch

NOISES = ("both", "film", "field")
"""Through the FiLM layers, as white noise in every cell, or both."""


def almost_fair_crps(
    members: Float[Tensor, "batch member *cells"],
    truth: Float[Tensor, "batch *cells"],
    mask: Bool[Tensor, "batch *cells"],
    level: float = 0.95,
) -> Float[Tensor, ""]:
    """Mean over the True cells.

    Arguments:
        members: Two or more.
        truth: What they are held against.
        mask: Where it is known.
        level: 1 for the fair CRPS, 0 for that of the members as they are.
    """
    count = members.shape[1]
    skill = (members - truth.unsqueeze(1)).abs().mean(dim=1)
    # sum over pairs j < k of |x_j - x_k| by the sorted members: x_(i) is above i of them and below M - 1 - i
    weights = 2.0 * torch.arange(count, dtype=members.dtype, device=members.device) - (count - 1)
    ordered = members.sort(dim=1).values
    pairs = (ordered * weights.view(-1, *[1] * (members.ndim - 2))).sum(dim=1)
    spread = (1 - (1 - level) / count) * pairs / (count * (count - 1))
    return masked_mean(skill - spread, mask)


class EnsembleModel(nn.Module):
    """p(x | observations) by one look per member.

    Arguments:
        network: `encode(batch, wrap=...)` and `network(field, numbers, encoded)`, built with `latent`.
        latent: How many numbers steer a member.
        members: Of every sample in training, two to four.
        level: Of the almost fair CRPS.
        noise: Of `NOISES`.
        loss_over: Cells that teach: "domain" or "unobserved".
    """

    def __init__(
        self,
        network: nn.Module,
        latent: int,
        *,
        members: int = 2,
        level: float = 0.95,
        noise: str = "both",
        loss_over: Where = "domain",
    ) -> None:
        super().__init__()
        self.network: Any = network
        self.latent, self.members, self.level, self.noise, self.loss_over = latent, members, level, noise, loss_over

    def forward(
        self,
        batch: FieldBatch,
        z: Float[Tensor, "drawn latent"],
        eps: Float[Tensor, "drawn channel lat lon"],
        *,
        wrap: bool = False,
    ) -> Float[Tensor, "drawn channel lat lon"]:
        """Members of every sample in a row, as many as there are numbers for; 0 outside the domain."""
        times = len(z) // len(batch)
        encoded = self.network.encode(batch, wrap=wrap).repeat(times)
        domain = batch.domain.repeat_interleave(times, dim=0)
        field = torch.where(domain, eps, 0) if self.noise != "film" else torch.zeros_like(eps)
        numbers = z if self.noise != "field" else torch.zeros_like(z)
        return torch.where(domain, self.network(field, numbers, encoded).float(), 0)

    def loss(self, batch: FieldBatch, generator: torch.Generator, *, wrap: bool = False) -> Float[Tensor, ""]:
        """Masked almost fair CRPS of a few members; `generator` is on the CPU, so that devices agree."""
        x = to_residual(batch, batch.target)
        count = len(batch) * self.members
        z = part_rows(count, lambda rows: torch.randn(rows, self.latent, generator=generator)).to(x.device)
        eps = part_rows(count, lambda rows: torch.randn(rows, *x.shape[1:], generator=generator)).to(x.device)
        drawn = self(batch, z, eps, wrap=wrap).unflatten(0, (len(batch), self.members))
        return almost_fair_crps(drawn, x, self.teaching_cells(batch), self.level)

    def teaching_cells(self, batch: FieldBatch) -> Bool[Tensor, "batch channel lat lon"]:
        """The cells over which the loss is a mean."""
        return loss_mask(known_cells(batch), batch.seen.where, self.loss_over)

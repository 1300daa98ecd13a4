"""Numbers that steer a whole window: noise level, position, date, presence of covariates.

position   unit_sphere  (cos phi cos lambda, cos phi sin lambda, sin phi)
date       (sin, cos) of the year's and of the day's fraction, and of twice the year's
"""

__all__ = ["ContextEmbedding", "NoiseEmbedding"]

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F


class NoiseEmbedding(nn.Module):
    """Sines and cosines of c_noise = ln(s) / 4 at frequencies from 1/4 to 16 cycles per unit, then an MLP."""

    def __init__(self, embedding: int, frequencies: int = 16) -> None:
        super().__init__()
        self.frequencies: Tensor
        self.register_buffer("frequencies", 2 * math.pi * torch.logspace(-2, 4, frequencies, base=2), persistent=False)
        self.mlp = nn.Sequential(nn.Linear(2 * frequencies, embedding), nn.SiLU(), nn.Linear(embedding, embedding))

    def forward(self, c_noise: Float[Tensor, " batch"]) -> Float[Tensor, "batch embedding"]:
        # fp32: high frequencies of a half-precision phase are noise
        phase = c_noise.float()[:, None] * self.frequencies
        return self.mlp(torch.cat([phase.sin(), phase.cos()], dim=1))


class ContextEmbedding(nn.Module):
    """Position, date and presence flags fused by an MLP."""

    def __init__(self, embedding: int, covariates: int) -> None:
        super().__init__()
        self.mlp = nn.Sequential(nn.Linear(9 + covariates, embedding), nn.SiLU(), nn.Linear(embedding, embedding))

    def forward(
        self,
        position: Float[Tensor, "batch 2"],
        date: Float[Tensor, "batch 2"],
        presence: Float[Tensor, "batch covariate"],
    ) -> Float[Tensor, "batch embedding"]:
        lat, lon = torch.deg2rad(position.float()).unbind(1)
        year, day = (2 * math.pi * date.float()).unbind(1)
        features = [
            lat.cos() * lon.cos(),
            lat.cos() * lon.sin(),
            lat.sin(),
            year.sin(),
            year.cos(),
            (2 * year).sin(),
            (2 * year).cos(),
            day.sin(),
            day.cos(),
        ]
        return F.silu(self.mlp(torch.cat([torch.stack(features, dim=1), presence.float()], dim=1)))

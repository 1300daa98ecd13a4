"""Numbers that steer a whole window: noise level, position, date, presence of covariates, class labels.

position   unit_sphere  (cos phi cos lambda, cos phi sin lambda, sin phi)
           sincos       (sin phi, cos phi, sin lambda, cos lambda)
           raw          (phi / 90, lambda / 180)
           none         nothing: the network does not know where it is
date       (sin, cos) of the year's and of the day's fraction, and of twice the year's
"""

__all__ = ["LabelEmbedding", "LatentEmbedding", "NoiseEmbedding", "PlaceDateEmbedding"]

import math
from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float, Integer
from torch import Tensor, nn
from torch.nn import functional as F

from driftfield.errors import ConfigurationError, suggest

POSITIONS: dict[str, tuple[Callable[[Tensor, Tensor], list[Tensor]], int]] = {
    "unit_sphere": (lambda lat, lon: [lat.cos() * lon.cos(), lat.cos() * lon.sin(), lat.sin()], 3),
    "sincos": (lambda lat, lon: [lat.sin(), lat.cos(), lon.sin(), lon.cos()], 4),
    "raw": (lambda lat, lon: [lat / (math.pi / 2), torch.remainder(lon / math.pi + 1, 2) - 1], 2),
    "none": (lambda lat, lon: [], 0),
}
"""Name -> encoding of latitude and longitude in radians, number of components."""


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


class LatentEmbedding(nn.Module):
    """Random numbers of a member through an MLP: what makes its FiLM layers its own.

    Arguments:
        latent: How many.
        embedding: Length of the result.
    """

    def __init__(self, latent: int, embedding: int) -> None:
        super().__init__()
        self.mlp = nn.Sequential(nn.Linear(latent, embedding), nn.SiLU(), nn.Linear(embedding, embedding))

    def forward(self, z: Float[Tensor, "batch latent"]) -> Float[Tensor, "batch embedding"]:
        return self.mlp(z)


class PlaceDateEmbedding(nn.Module):
    """Position, date and presence flags fused by an MLP.

    Arguments:
        embedding: Length of the result.
        covariates: Number of presence flags.
        position: Encoding of the window's centre: "unit_sphere", "sincos" or "raw"; "none" leaves it out.
        date: Whether season and hour are part of it.
    """

    def __init__(self, embedding: int, covariates: int, position: str = "unit_sphere", date: bool = True) -> None:
        super().__init__()
        if position not in POSITIONS:
            raise ConfigurationError(f"Unknown position encoding {position!r}: {suggest(position, POSITIONS)}")
        self.encode_position, length = POSITIONS[position]
        self.date = date
        length += (6 if date else 0) + covariates
        self.nothing = length == 0
        self.mlp = nn.Sequential(nn.Linear(max(length, 1), embedding), nn.SiLU(), nn.Linear(embedding, embedding))

    def forward(
        self,
        position: Float[Tensor, "batch 2"],
        date: Float[Tensor, "batch 2"],
        presence: Float[Tensor, "batch covariate"],
    ) -> Float[Tensor, "batch embedding"]:
        lat, lon = torch.deg2rad(position.float()).unbind(1)
        year, day = (2 * math.pi * date.float()).unbind(1)
        features = self.encode_position(lat, lon)
        if self.date:
            features += [year.sin(), year.cos(), (2 * year).sin(), (2 * year).cos(), day.sin(), day.cos()]
        if self.nothing:
            features = [torch.zeros_like(lat)]
        stacked = [torch.stack(features, dim=1)] if features else []
        return F.silu(self.mlp(torch.cat([*stacked, presence.float()], dim=1)))


class LabelEmbedding(nn.Module):
    """A learnt vector for every class of every label; the vectors of a sample are added. All are 0 at first.

    Arguments:
        embedding: Length of the result.
        classes: How many classes each label has.
    """

    def __init__(self, embedding: int, classes: Sequence[int]) -> None:
        super().__init__()
        self.tables = nn.ModuleList(nn.Embedding(count, embedding) for count in classes)
        for table in self.tables:
            nn.init.zeros_(table.weight)  # type: ignore[arg-type]

    def forward(self, labels: Integer[Tensor, "batch label"] | None) -> Float[Tensor, "batch embedding"]:
        held = 0 if labels is None else labels.shape[1]
        if labels is None or held != len(self.tables):
            raise ConfigurationError(
                f"This network was built for {len(self.tables)} class labels, the batch holds {held}."
            )
        return torch.stack([table(labels[:, number]) for number, table in enumerate(self.tables)]).sum(dim=0)

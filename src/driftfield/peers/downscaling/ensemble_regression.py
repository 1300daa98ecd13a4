"""Fine ensembles by one look of a network per member, trained on the almost fair CRPS (`diffusion.ensemble_model`).

The mean is that of `draws` members, asked for or not: an evaluation each, where a walk costs sixteen.
"""

__all__ = ["EnsembleRegression"]

from collections.abc import Mapping
from typing import Any, Unpack

import numpy as np
import torch
from torch import nn

from driftfield.diffusion.ensemble_model import NOISES, EnsembleModel
from driftfield.diffusion.noise import CellNoise
from driftfield.errors import ConfigurationError, suggest, whole_number
from driftfield.fields import FieldBatch
from driftfield.peers.downscaling.networked import NetworkAnswer, SharedSettings
from driftfield.peers.downscaling.widening import WidenedDownscaler
from driftfield.plain import JSONObject
from driftfield.registry import register

BATCH_SIZE = 16
"""Members at a time."""


@register("downscaler")
class EnsembleRegression(WidenedDownscaler):
    """A one-step ensemble, all targets together.

    Arguments:
        network, shared: See `NetworkDownscaler`.
        members: Of every date in training, 2 to 4.
        latent: Random numbers that steer a member.
        noise: Where a member's randomness enters: film (its numbers, through the FiLM layers), field (white noise) or both.
        level: Of the almost fair CRPS: 1 is fair, 0 that of the members as they are.
        draws: Members that the mean is taken of.
        calibrate: Whether members are widened as the validation dates ask for.
    """

    method = "one-step ensemble"

    def __init__(
        self,
        network: Mapping[str, Any],
        *,
        members: int = 2,
        latent: int = 32,
        noise: str = "both",
        level: float = 0.95,
        draws: int = 32,
        calibrate: bool = True,
        **shared: Unpack[SharedSettings],
    ) -> None:
        super().__init__(network, calibrate, **shared)
        check_ensemble(members, latent, noise, level)
        self.members, self.latent, self.noise, self.level = members, latent, noise, level
        self.draws = whole_number("draws", draws, 2)

    def of_network(self) -> JSONObject:
        """The length of a member's numbers."""
        return {"latent": self.latent}

    def objective(self, network: nn.Module) -> EnsembleModel:
        """Members at once."""
        return EnsembleModel(network, self.latent, members=self.members, level=self.level, noise=self.noise)

    def drawn(self, batch: FieldBatch, members: int, seed: int, stamp: int) -> NetworkAnswer:
        """Members, and the mean of as many as `draws` says."""
        parts = []
        for first in range(0, max(members, self.draws), BATCH_SIZE):
            numbers = range(first, first + BATCH_SIZE)
            z = CellNoise(seed, numbers, [stamp] * BATCH_SIZE, ["latent"], np.arange(1), np.arange(self.latent))(0)
            parts.append(self.model(batch, z[:, 0, 0].float(), self.cell_noise(seed, numbers, stamp)(0).float()))
        fields = torch.cat(parts)
        draws = fields[: self.draws]
        return NetworkAnswer(draws.mean(dim=0), fields[:members], draws)


def check_ensemble(members: int, latent: int, noise: str, level: float) -> None:
    """Refuses what makes no ensemble.

    Raises:
        ConfigurationError: fewer than 2 or more than 4 members in training, no numbers, an unknown way in, a level beyond 0 to 1.
    """
    if whole_number("members", members, 2) > 4:
        raise ConfigurationError(
            f"Found members={members}: expected 2 to 4 in training; more cost time and teach no more."
        )
    whole_number("latent", latent)
    if noise not in NOISES:
        raise ConfigurationError(f"Found noise={noise!r}: {suggest(str(noise), NOISES)}")
    if isinstance(level, bool) or not isinstance(level, int | float) or not 0 <= level <= 1:
        raise ConfigurationError(f"Found level={level!r}: expected a number from 0 to 1.")

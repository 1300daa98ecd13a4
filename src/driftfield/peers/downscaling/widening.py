"""Members that are as wide as the errors are: a factor on their departures from the mean, from the validation dates.

    z' = mu + c (z - mu)          c^2 = mean (z_true - mu)^2 / mean (z - mu)^2      over cells and validation dates, by target

mu does not depend on how many members are asked for, so that a member depends on the seed, its number and the date alone.
"""

__all__ = ["WidenedDownscaler"]

import logging
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Unpack

import numpy as np
import torch
from torch import Tensor

from driftfield.data.splits import spread_over
from driftfield.diffusion.noise import CellNoise
from driftfield.fields import FieldBatch
from driftfield.interfaces import Cannot
from driftfield.peers.downscaling.base import SPREADS
from driftfield.peers.downscaling.networked import NetworkAnswer, NetworkDownscaler, SharedSettings

log = logging.getLogger(__name__)

DATES, MEMBERS = 48, 6
"""Validation dates that are looked at, and members of each."""
NARROWEST, WIDEST = 0.5, 2.0


class WidenedDownscaler(NetworkDownscaler):
    """A network that draws members; their width is fitted on the validation dates.

    Arguments:
        network, shared: See `NetworkDownscaler`.
        calibrate: Whether members are widened.
    """

    abilities = replace(
        SPREADS,
        needs_training=True,
        calibration=Cannot("is widened on the validation dates while it is trained (calibrate)"),
    )

    def __init__(self, network: Mapping[str, Any], calibrate: bool = True, **shared: Unpack[SharedSettings]) -> None:
        super().__init__(network, **shared)
        self.calibrate = calibrate

    @abstractmethod
    def drawn(self, batch: FieldBatch, members: int, seed: int, stamp: int) -> NetworkAnswer:
        """Members of one date as the network draws them, and their mean."""

    def cell_noise(self, seed: int, members: Sequence[int], stamp: int) -> CellNoise:
        """Of the whole fine grid, a stream for each target."""
        rows, columns = (np.arange(size) for size in self.grids.regridding.fine.shape)
        return CellNoise(seed, members, [stamp] * len(members), self.grids.targets, rows, columns)

    def answer(self, batch: FieldBatch, members: int, seed: int, stamp: int) -> NetworkAnswer:
        """Members, widened."""
        raw = self.drawn(batch, members, seed, stamp)
        widening = self.extra.get("widening", {})
        factors = torch.tensor([float(widening.get(name, 1.0)) for name in self.grids.targets]).view(-1, 1, 1)

        def wide(z: Tensor | None) -> Tensor | None:
            return None if z is None else raw.mean + factors * (z - raw.mean)

        return NetworkAnswer(raw.mean, wide(raw.members), wide(raw.draws))

    @torch.no_grad()
    def look_back(self, validation: FieldBatch, seed: int) -> None:
        """Fits the factors."""
        if not self.calibrate or len(validation) == 0:
            return
        error = torch.zeros(len(self.grids.targets), dtype=torch.float64)
        spread = torch.zeros_like(error)
        for index in spread_over(np.arange(len(validation)), DATES):
            batch = validation[int(index) : int(index) + 1]
            answer, known = self.drawn(batch, MEMBERS, seed, int(index)), batch.held_out[0]
            assert answer.members is not None
            error += torch.where(known, (batch.target[0] - answer.mean) ** 2, 0).double().sum(dim=(-2, -1))
            spread += torch.where(known, (answer.members - answer.mean) ** 2, 0).double().mean(dim=0).sum(dim=(-2, -1))
        factors = (error / spread.clamp_min(1e-30)).sqrt().clamp(NARROWEST, WIDEST)
        self.extra["widening"] = dict(zip(self.grids.targets, factors.tolist(), strict=True))
        for name, factor in self.extra["widening"].items():
            log.info(
                "%r: members are %.3f times as wide as drawn, for the errors of the validation dates", name, factor
            )

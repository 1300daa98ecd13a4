"""Fine ensembles drawn by a conditional diffusion model: of the field itself, or of what an anchor leaves.

    D(z_t, t; condition) ~ E[z | z_t, y]           trained on the fields, or the residuals, of training dates (`networked`)
    member  = mu + c (walk - mu)                   c: the widening that makes members as wide as the errors of validation dates
    mu      = D(D(0, 1), 1)                        the mean of the condition, by two looks at the last noise level

Direct: Rampal et al., CORDEX ML-Bench (2026); residual: Mardani et al. (2025), arXiv 2309.15214, whose regression is any
downscaler here, out of fold. At the last noise level a mode of variance c and mean mu has D(z) = mu + k (z - mu) with
k = c / (c + s^2): one look at 0 is short of the mean by k, two are by k^2.
"""

__all__ = ["DiffusionDownscaler"]

import logging
from collections.abc import Mapping
from functools import partial
from typing import Any, Unpack

import torch
from torch import Tensor, nn

from driftfield.diffusion.building import diffusion_model, one_sd
from driftfield.diffusion.model import DiffusionModel
from driftfield.diffusion.noise_range import checked_range, covering, largest_amplitude
from driftfield.errors import ConfigurationError
from driftfield.fields import FieldBatch
from driftfield.interfaces import Denoiser
from driftfield.peers.downscaling.networked import NetworkAnswer, SharedSettings
from driftfield.peers.downscaling.widening import WidenedDownscaler
from driftfield.registry import build, register
from driftfield.sampling.base import Sampler
from driftfield.sampling.starting import start_named

log = logging.getLogger(__name__)

BATCH_SIZE = 16
"""Members at a time."""
EVALUATIONS = 16
"""Of the network for a member, with those of the start, unless a sampler is named."""


@register("downscaler")
class DiffusionDownscaler(WidenedDownscaler):
    """An ensemble by diffusion, all targets together.

    Arguments:
        network, shared: See `NetworkDownscaler`.
        diffusion: `schedule`, `parameterization`, `noise_levels`, `weighting` (class and arguments each), `sd`,
            `loss_exponent`; a range that is not stated is derived from the training dates.
        sampler: Class and arguments; by default 16 evaluations together with those of the start.
        start: Where a walk begins (`sampling.starting`).
        calibrate: Whether members are widened as the validation dates ask for.
    """

    method = "diffusion downscaling"

    def __init__(
        self,
        network: Mapping[str, Any],
        *,
        diffusion: Mapping[str, Any] | None = None,
        sampler: Mapping[str, Any] | None = None,
        start: str = "marginal",
        calibrate: bool = True,
        **shared: Unpack[SharedSettings],
    ) -> None:
        super().__init__(network, calibrate, **shared)
        self.diffusion = one_sd(dict(diffusion or {}))
        if "loss_over" in self.diffusion:
            raise ConfigurationError("Found diffusion.loss_over: a downscaler observes no fine cell. Leave it out.")
        self.start, self._start = start, start_named(start)
        default = {"class": "DPMSolverPP2M", "evaluations": EVALUATIONS - self._start.evaluations}
        self.sampler = dict(sampler or default)
        self._sampler: Sampler = build("sampler", self.sampler)
        # a wrong key is found before anything is read
        diffusion_model(nn.Identity(), self.diffusion).noise.refuse(type(self).__name__)

    def objective(self, network: nn.Module) -> DiffusionModel:
        """Denoising."""
        return diffusion_model(network, self.diffusion)

    def look_at(self, batch: FieldBatch) -> None:
        """A range of noise that covers what is learnt."""
        chosen = batch[:: max(1, len(batch) // 64)]
        amplitude = largest_amplitude(chosen.target, chosen.held_out)
        self.diffusion = covering(self.diffusion, amplitude)
        self.model = diffusion_model(self.model.network, self.diffusion)
        for sentence in checked_range(self.model, amplitude):
            log.warning(sentence)
        self.extra["largest_amplitude"] = amplitude

    def drawn(self, batch: FieldBatch, members: int, seed: int, stamp: int) -> NetworkAnswer:
        """Walks of one date, and its mean."""
        denoiser_of = partial(self.model.denoiser, batch)
        parts = []
        for first in range(0, members, BATCH_SIZE):
            numbers = range(first, min(first + BATCH_SIZE, members))
            noise = self.cell_noise(seed, numbers, stamp)
            denoiser: Denoiser = denoiser_of(members=len(numbers))
            parts.append(self._sampler.sample(denoiser, noise, initial=self._start.beyond_noise(denoiser, noise(0))))
        return NetworkAnswer(_conditional_mean(denoiser_of(), torch.zeros_like(batch.target))[0], torch.cat(parts))


def _conditional_mean(denoiser: Denoiser, nothing: Tensor) -> Tensor:
    """mu of one condition: two looks at t = 1."""
    t = torch.ones(len(nothing))
    alpha = denoiser.schedule.alpha_sigma(t)[0].view(-1, 1, 1, 1)
    return denoiser(alpha * denoiser(nothing, t), t)

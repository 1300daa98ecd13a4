"""Who draws the increment: a diffusion model, or its deterministic peer of the same size.

DiffusionEmulator        z ~ p(z | x_t)      members part also where the state does not determine its successor
DeterministicEmulator    z = E[z | x_t]      members part only because they started apart
"""

__all__ = ["DeterministicEmulator", "DiffusionEmulator"]

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from driftfield.diffusion.building import diffusion_model, one_sd
from driftfield.diffusion.model import DiffusionModel, RegressionModel, from_residual
from driftfield.fields import FieldBatch
from driftfield.interfaces import TrainingData
from driftfield.models.diffusion import cover
from driftfield.models.teaching import Teaching
from driftfield.plain import JSONObject
from driftfield.registry import build, register
from driftfield.sampling.base import Noise, Sampler
from driftfield.sampling.starting import Start, start_named
from driftfield.trajectories.emulator import Emulator
from driftfield.trajectories.transitions import TransitionDataset


@register("emulator")
class DiffusionEmulator(Emulator):
    """A conditional diffusion model of the increment.

    Arguments:
        network, normalizer, validation_samples: See `Emulator`.
        diffusion: As of `DiffusionReconstructor`.
        sampler: Class and arguments. The increment is known but for a little, so that few evaluations suffice.
        start: As of `DiffusionReconstructor`; its looks come on top.
    """

    method: ClassVar[str] = "diffusion emulator"
    abilities = replace(Emulator.abilities, sampler=True)

    def __init__(
        self,
        network: Mapping[str, Any],
        normalizer: Mapping[str, Any] | None = None,
        validation_samples: int = 256,
        diffusion: Mapping[str, Any] | None = None,
        sampler: Mapping[str, Any] | None = None,
        start: str | None = None,
    ) -> None:
        super().__init__(network, normalizer, validation_samples)
        self.diffusion = dict(diffusion or {})
        self.sampler_spec = dict(sampler or {"class": "DPMSolverPP2M", "evaluations": 5})
        self.sampler: Sampler = build("sampler", self.sampler_spec)
        self.begin(start)

    def arguments(self) -> JSONObject:
        stated = {} if self.start is None else {"start": self.start}
        return super().arguments() | {"diffusion": self.diffusion, "sampler": self.sampler_spec, **stated}

    def begin(self, start: str | None) -> None:
        """Sets where walks begin.

        Raises:
            ConfigurationError: there is no start of this name.
        """
        self.start = start
        self._start: Start = start_named(start or "mean")

    def learn(self, data: TrainingData, teaching: Teaching) -> None:
        """See `Emulator.learn`."""
        self.diffusion = one_sd(self.diffusion)
        if self.start is None:
            self.begin("marginal")
        super().learn(data, teaching)

    def objective(self, network: nn.Module) -> DiffusionModel:
        model = diffusion_model(network, self.diffusion)
        model.noise.refuse("an emulator")
        return model

    def look_at(self, pairs: TransitionDataset) -> None:
        """See `DiffusionReconstructor.look_at`."""
        self.diffusion = cover(self.learner, self.diffusion, pairs)

    def step(self, batch: FieldBatch, noise: Noise) -> Tensor:
        assert isinstance(self.model, DiffusionModel)
        denoiser = self.model.denoiser(batch, wrap=self.codec.grid.periodic)
        z = self.sampler.sample(denoiser, noise, initial=self._start.beyond_noise(denoiser, noise(0)))
        return from_residual(batch, torch.where(batch.domain, z, 0))

    def provenance(self) -> JSONObject:
        return super().provenance() | {
            "sampler": type(self.sampler).__name__,
            "network_evaluations": self.sampler.evaluations + self._start.evaluations,
        }


@register("emulator")
class DeterministicEmulator(Emulator):
    """The same network, trained to give the mean increment at once; the arguments are those of `Emulator`."""

    method: ClassVar[str] = "deterministic emulator"

    def objective(self, network: nn.Module) -> RegressionModel:
        return RegressionModel(network)

    def step(self, batch: FieldBatch, noise: Noise) -> Tensor:
        assert isinstance(self.model, RegressionModel)
        return from_residual(batch, self.model(batch, wrap=self.codec.grid.periodic))

"""The schedulers of the diffusers library as samplers: their steps, our denoiser, our noise levels.

A scheduler of theirs walks down a table of training steps. Here the table is the grid itself, one training step per noise level,
so that theirs and ours are compared at the same levels:

    alphas_cumprod_i = 1 / (1 + s_i^2)            from the smallest level (i = 0) to the largest

They keep their sample in one of two units, x_t = z / sqrt(1 + s^2) (DDIM, DDPM, DPM-Solver) or z itself (Euler, Heun), and
`scale_model_input` turns either into x_t. After the last level each of them goes to s = 0, where it returns the clean estimate.

    equal to ours: DDIM (any eta; bound 0), Euler, Heun, DPM-Solver++ 2M ("midpoint"); DDPM (bound 0) with other random numbers
"""

__all__ = ["DiffusersSampler"]

import inspect
import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from driftfield.errors import ConfigurationError, need, suggest
from driftfield.registry import register
from driftfield.sampling.ancestral import DDIMSampler, DDPMSampler
from driftfield.sampling.base import Noise, Sampler, _Walk
from driftfield.sampling.brownian import BrownianPath
from driftfield.sampling.ode import DPMSolverPP2M, EulerSampler, HeunSampler

PEERS: dict[str, type[Sampler]] = {
    "DDIMScheduler": DDIMSampler,
    "DDPMScheduler": DDPMSampler,
    "DPMSolverMultistepScheduler": DPMSolverPP2M,
    "EulerDiscreteScheduler": EulerSampler,
    "HeunDiscreteScheduler": HeunSampler,
}
"""Scheduler -> the sampler of ours whose default grid it shares."""

_OURS = ("num_train_timesteps", "trained_betas", "prediction_type", "timestep_spacing", "steps_offset")


@register("sampler")
class DiffusersSampler(Sampler):
    """A scheduler of the diffusers library.

    Arguments:
        scheduler: Name of its class, such as "DPMSolverMultistepScheduler".
        evaluations, grid: See `Sampler`; the default grid is that of our own sampler of that method.
        config: Arguments of that class that do not touch the noise levels, such as {solver_type: heun}.
        eta: Share of new noise, 0 to 1, where the scheduler knows it (DDIM).

    Raises:
        MissingExtraError: diffusers is not installed.
        ConfigurationError: an unknown scheduler or argument, or one that the grid decides.
    """

    def __init__(
        self,
        scheduler: str = "DPMSolverMultistepScheduler",
        evaluations: int = 20,
        grid: dict[str, object] | None = None,
        config: Mapping[str, Any] | None = None,
        eta: float = 0.0,
    ) -> None:
        if scheduler not in PEERS:
            raise ConfigurationError(f"Unknown scheduler {scheduler!r} of diffusers: {suggest(str(scheduler), PEERS)}")
        if not 0 <= eta <= 1:
            raise ConfigurationError(f"Found eta={eta}: expected a number between 0 (DDIM) and 1 (DDPM).")
        self.scheduler, self.eta = scheduler, eta
        self.theirs: Any = getattr(need("diffusers", "diffusers", f"The sampler {scheduler}"), scheduler)
        self.config = {"clip_sample": False, **(config or {})}
        parameters = inspect.signature(self.theirs).parameters
        for key in config or {}:
            if key in _OURS or key.startswith(("beta_", "use_")):
                raise ConfigurationError(f"Found {key!r} in the config of {scheduler}: the grid decides. Leave it out.")
            if key not in parameters:
                raise ConfigurationError(f"{scheduler} has no argument {key!r}: {suggest(key, parameters)}")
        self.config = {key: value for key, value in self.config.items() if key in parameters}
        # Heun's knows no other way to be told the clean estimate
        self._prediction = "epsilon" if scheduler == "HeunDiscreteScheduler" else "sample"
        self.calls_per_step = self.theirs.order
        super().__init__(evaluations, grid or PEERS[scheduler].default_grid)

    def walk(self, walk: _Walk, z: Tensor, noise: Noise) -> Tensor:
        rising = torch.tensor(walk.noise_levels[::-1], dtype=torch.float64)
        scheduler = self._scheduler(rising)
        options = self._options(scheduler, noise, walk)
        # in x_t or in z? what the scheduler makes of 1 at the first level says which
        s, first = walk.noise_levels[0], scheduler.timesteps[0]
        sample = z / (math.hypot(1, s) * float(scheduler.scale_model_input(torch.ones(()), first)))
        for step, index in enumerate(scheduler.timesteps):
            s = walk.noise_levels[len(walk.noise_levels) - 1 - int(index)]
            z = math.hypot(1, s) * scheduler.scale_model_input(sample, index)
            clean = walk.denoise(z, s, step // self.calls_per_step)
            if self._prediction == "epsilon":
                clean = (z - clean) / s
            given = {name: option(s) for name, option in options.items()}
            sample = scheduler.step(clean, index, sample, return_dict=False, **given)[0]
        return sample

    def _scheduler(self, rising: Tensor) -> Any:
        """A scheduler whose training steps are the noise levels."""
        alphas_squared = 1 / (1 + rising**2)
        betas = 1 - alphas_squared / torch.cat([torch.ones(1, dtype=torch.float64), alphas_squared[:-1]])
        scheduler = self.theirs(
            num_train_timesteps=len(rising),
            trained_betas=betas.numpy(),
            prediction_type=self._prediction,
            **self.config,
        )
        # float64: 1 - alphas_cumprod in single precision would move the smallest level
        scheduler.alphas_cumprod = alphas_squared
        if "timesteps" in inspect.signature(scheduler.set_timesteps).parameters:
            scheduler.set_timesteps(timesteps=list(range(len(rising)))[::-1])
        else:
            scheduler.set_timesteps(len(rising))
        return scheduler

    def _options(self, scheduler: Any, noise: Noise, walk: _Walk) -> dict[str, Callable[[float], Any]]:
        """Arguments of a step, by noise level: eta, and random numbers that belong to the member."""
        known = inspect.signature(scheduler.step).parameters
        options: dict[str, Callable[[float], Any]] = {}
        if "eta" in known:
            options["eta"] = lambda s: self.eta
        if "variance_noise" in known:
            path = BrownianPath(noise, walk.noise_levels)
            below = dict(zip(walk.noise_levels, walk.noise_levels[1:], strict=False))
            # the last step goes to s = 0 and adds nothing
            options["variance_noise"] = lambda s: (
                path.increment(s, below[s]).float() if s in below else noise(0).float()
            )
        elif self.scheduler == "DDPMScheduler":
            # it takes no noise, only generators: one per member, seeded by the bits of a number of its own
            seeds = noise(1).flatten(1)[:, 0].double().view(torch.int64).tolist()
            generators = [torch.Generator().manual_seed(seed & (2**63 - 1)) for seed in seeds]
            options["generator"] = lambda s: generators
        return options

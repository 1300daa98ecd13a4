"""Samplers walk from noise to data along a grid of times.

Every step is written in z = x_t / alpha and s = sigma / alpha, in which all conventions are one (x_t / alpha = x + s eps) and
the probability-flow equation reads

    dz / ds = (z - D(z, s)) / s

The last evaluation is at the smallest noise level and returns the clean estimate D itself, so a grid of N times costs at
least N evaluations.
"""

__all__ = ["FIRST_ORDER_GRID", "Noise", "Sampler", "Watcher", "keep"]

import json
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from driftfield.errors import ConfigurationError, DivergenceError
from driftfield.interfaces import Denoiser, Schedule
from driftfield.registry import build

Noise = Callable[[int], Tensor]
"""draw number -> standard normals of the shape of x_t; draw 0 starts the walk."""

Watcher = Callable[[Tensor, float, Tensor], bool | None]
"""Sees (x_t, t, clean estimate) after every evaluation on the grid; True ends the walk with that estimate."""


FIRST_ORDER_GRID: dict[str, object] = {"class": "LogNormalSchedule", "mean": -1.0, "std": 3.0}
"""Steps crowd around the noise level of the data; see docs/decisions/0004-sampler-and-grid.md."""


class Sampler(ABC):
    """A time grid and one step; stateless.

    Arguments:
        evaluations: Network evaluations that one draw may cost, at most.
        grid: Spacing of the times: a schedule's name and arguments, whose noise levels are taken at equal steps of its own t,
            between the ends of the schedule that the denoiser knows; None is this sampler's tested default.
    """

    default_grid: ClassVar[dict[str, object]] = {"class": "LogLinearSchedule"}
    calls_per_step = 1

    def __init__(self, evaluations: int = 20, grid: dict[str, object] | None = None) -> None:
        least = self.calls_per_step + 1
        if evaluations < least:
            raise ConfigurationError(
                f"Found evaluations={evaluations}: {type(self).__name__} needs at least {least}, one step and a last look."
            )
        self.evaluations, self.grid = evaluations, dict(grid or self.default_grid)

    @property
    def points(self) -> int:
        """Times on the grid; the last one is only denoised."""
        return (self.evaluations - 1) // self.calls_per_step + 1

    def noise_levels(self, schedule: Schedule, start: float = 1.0) -> Float[Tensor, " points"]:
        """Falling noise levels s of the grid, float64, from time `start` of the schedule to its end at t = 0."""
        if not 0 < start <= 1:
            raise ConfigurationError(f"Found start={start}: expected a time above 0 (clean) and up to 1 (noise).")
        ends = torch.exp(-schedule.gamma(torch.tensor([0.0, start], dtype=torch.float64)) / 2)
        grid = json.dumps(self.grid, sort_keys=True)
        return torch.tensor(_noise_levels(grid, float(ends[0]), float(ends[1]), self.points), dtype=torch.float64)

    def sample(
        self,
        denoiser: Denoiser,
        noise: Noise,
        *,
        initial: Float[Tensor, "batch channel *space"] | None = None,
        start: float = 1.0,
        watcher: Watcher | None = None,
    ) -> Float[Tensor, "batch channel *space"]:
        """Draws clean fields.

        Arguments:
            denoiser: E[x | x_t].
            noise: Random draws by number.
            initial: A clean first guess to diffuse up to `start` and to bring back (partial denoising); 0 by default.
            start: Time at which the walk begins.
            watcher: Is shown x_t, t and the clean estimate, and may end the walk.

        Raises:
            DivergenceError: numbers stopped being finite; names the sampler and the step.
        """
        walk = _Walk(denoiser, self.noise_levels(denoiser.schedule, start), watcher, type(self).__name__)
        z = walk.noise_levels[0] * noise(0)
        z = z if initial is None else z + initial
        try:
            return self.walk(walk, z.float(), noise)
        except _Enough as stopped:
            return stopped.clean

    @abstractmethod
    def walk(self, walk: "_Walk", z: Tensor, noise: Noise) -> Tensor:
        """From z at the first level to the clean field."""


@lru_cache(maxsize=64)
def _noise_levels(grid: str, s_min: float, s_max: float, points: int) -> tuple[float, ...]:
    """Falling noise levels; kept, since some schedules are slow to invert and every draw asks for the same."""
    spacing = build("schedule", json.loads(grid), s_min=s_min, s_max=s_max)
    return tuple(torch.exp(-spacing.gamma(torch.linspace(1, 0, points, dtype=torch.float64)) / 2).tolist())


def keep(clean: Tensor, z: Tensor, share: float) -> Tensor:
    """D + share (z - D): what is left of the noise. One pass over memory, which is what a step costs."""
    return torch.lerp(clean, z.to(clean), share)


class _Walk:
    """The levels of one draw and the denoiser seen as D(z, s)."""

    def __init__(self, denoiser: Denoiser, levels: Tensor, watcher: Watcher | None, name: str) -> None:
        self.denoiser, self.watcher, self.name = denoiser, watcher, name
        self.noise_levels = [float(s) for s in levels]
        # all at once and as plain numbers: between two network calls there is little else to wait for
        self._known = dict(zip(self.noise_levels, self._times(self.noise_levels), strict=True))

    def _times(self, levels: Sequence[float]) -> list[tuple[float, float]]:
        """(t, alpha) at noise levels."""
        schedule = self.denoiser.schedule
        t = schedule.t(-2 * torch.log(torch.tensor(levels, dtype=torch.float64))).clamp(0, 1)
        return list(zip(t.tolist(), schedule.alpha_sigma(t)[0].tolist(), strict=True))

    def denoise(self, z: Tensor, s: float, step: int) -> Tensor:
        t, alpha = self._known.get(s) or self._times([s])[0]
        x_t = z if alpha == 1 else alpha * z
        clean = self.denoiser(x_t, torch.full((z.shape[0],), t, device=z.device))
        # one number that is not finite makes the sum so
        if not math.isfinite(float(clean.sum())) and not torch.isfinite(clean).all():
            raise DivergenceError(
                f"{self.name} met numbers that are not finite at step {step + 1} of {len(self.noise_levels)} "
                f"(noise level {s:.3g}). Use more evaluations, or check the checkpoint and the units of the observations."
            )
        if self.watcher is not None and self.watcher(x_t, t, clean):
            raise _Enough(clean)
        return clean


class _Enough(Exception):
    """The watcher has seen enough."""

    def __init__(self, clean: Tensor) -> None:
        super().__init__()
        self.clean = clean

"""Samplers of the reverse diffusion as a stochastic equation: new noise at every step corrects what earlier steps got wrong.

DPM-Solver++ 2M SDE   (Lu et al. 2022, "DPM-Solver++", appendix on SDE-DPM-Solver++), r = lower / s:

    z' = r^2 z + (1 - r^2) D* + lower sqrt(1 - r^2) noise,      D* = D extrapolated from two levels

predictor-corrector   (Song et al. 2021, algorithm 1) a step down, then at the level it reached some of the noise is redrawn:

    z' = D + sqrt(1 - q^2) (z - D) + q lower noise,        1 - q^2 = (1 - refresh)^h,  h = ln(s / lower)

which is a Langevin step of size q^2 lower^2 / 2 that leaves a point mass exactly, and a Gaussian up to q^4, as it was. Since
q^2 is proportional to h, that error goes with the steps; an equal share in every step, as is often seen, leaves one that grows.
The D that the first correction needs also is the second slope of a Heun step, which therefore costs nothing more.
"""

__all__ = ["DPMSolverPP2MSDE", "PredictorCorrector"]

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor

from driftfield.errors import ConfigurationError
from driftfield.registry import register
from driftfield.sampling.base import Noise, Sampler, _Walk, keep
from driftfield.sampling.brownian import BrownianPath
from driftfield.sampling.ode import heun


@register("sampler")
class DPMSolverPP2MSDE(Sampler):
    """Second order in the drift, one evaluation a step; all noise is new."""

    def __init__(self, evaluations: int = 64, grid: dict[str, object] | None = None) -> None:
        super().__init__(evaluations, grid)

    def walk(self, walk: _Walk, z: Tensor, noise: Noise) -> Tensor:
        path = BrownianPath(noise, walk.noise_levels)
        before: Tensor | None = None
        before_step = 0.0
        for step, (s, lower) in enumerate(pairwise(walk.noise_levels)):
            clean = walk.denoise(z, s, step)
            h, retained = math.log(s / lower), (lower / s) ** 2
            ahead = clean if before is None else torch.lerp(before, clean, 1 + h / (2 * before_step))
            z = keep(ahead, z, retained) + lower * math.sqrt(1 - retained) * path.increment(s, lower).to(z)
            before, before_step = clean, h
        return walk.denoise(z, walk.noise_levels[-1], len(walk.noise_levels) - 1)


@register("sampler")
class PredictorCorrector(Sampler):
    """Heun steps, each followed by Langevin corrections at its level; the first of them shares an evaluation with its step.

    Arguments:
        evaluations, grid: See `Sampler`.
        corrections: Langevin steps per level.
        refresh: Share of the variance of the noise that they draw anew while ln s falls by 1, between 0 and 1.
    """

    def __init__(
        self, evaluations: int = 129, grid: dict[str, object] | None = None, corrections: int = 1, refresh: float = 0.5
    ) -> None:
        if corrections < 1 or not 0 < refresh < 1:
            raise ConfigurationError(
                f"Found corrections={corrections} and refresh={refresh}: expected 1 or more, and a share between 0 and 1."
            )
        self.corrections, self.refresh = corrections, refresh
        self.calls_per_step = 1 + corrections
        super().__init__(evaluations, grid)

    def walk(self, walk: _Walk, z: Tensor, noise: Noise) -> Tensor:
        path = BrownianPath(noise, [walk.noise_levels[0], *self._parts(walk.noise_levels)])
        for step, (s, lower) in enumerate(pairwise(walk.noise_levels)):
            above = walk.denoise(z, s, step)
            guess = keep(above, z, lower / s)
            clean = walk.denoise(guess, lower, step)
            z = heun(guess, above, clean, s, lower)
            retained = (1 - self.refresh) ** (math.log(s / lower) / self.corrections)
            for number, (before, after) in enumerate(pairwise([s, *self._parts([s, lower])])):
                if number:
                    clean = walk.denoise(z, lower, step)
                new = lower * math.sqrt(1 - retained) * path.increment(before, after).to(z)
                z = keep(clean, z, math.sqrt(retained)) + new
        return walk.denoise(z, walk.noise_levels[-1], len(walk.noise_levels) - 1)

    def _parts(self, levels: Sequence[float]) -> list[float]:
        """Where on the Brownian path each correction ends: equal parts of every step in ln s."""
        parts: list[float] = []
        for s, lower in pairwise(levels):
            parts += [s * (lower / s) ** (k / self.corrections) for k in range(1, self.corrections)] + [lower]
        return parts

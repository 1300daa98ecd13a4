"""Samplers of the reverse diffusion as a stochastic equation: new noise at every step corrects what earlier steps got wrong.

DPM-Solver++ 2M SDE   (Lu et al. 2022, "DPM-Solver++", appendix on SDE-DPM-Solver++), r = lower / s:

    z' = r^2 z + (1 - r^2) D* + lower sqrt(1 - r^2) noise,      D* = D extrapolated from two levels

predictor-corrector   (Song et al. 2021, algorithm 1) an Euler step, then at the level it reached some of the noise is redrawn:

    z' = D + sqrt(1 - q^2) (z - D) + q lower noise

which is a Langevin step of size q^2 lower^2 / 2 that leaves a point mass exactly, and a Gaussian up to q^4, as it was.
"""

__all__ = ["DPMSolverPP2MSDE", "PredictorCorrector"]

import math
from itertools import pairwise

from torch import Tensor

from driftfield.errors import ConfigurationError
from driftfield.registry import register
from driftfield.sampling.base import Noise, Sampler, _Walk
from driftfield.sampling.brownian import BrownianPath


@register("sampler")
class DPMSolverPP2MSDE(Sampler):
    """Second order in the drift, one evaluation a step; all noise is new."""

    def __init__(self, evaluations: int = 64, grid: dict[str, object] | None = None) -> None:
        super().__init__(evaluations, grid)

    def walk(self, walk: _Walk, z: Tensor, noise: Noise) -> Tensor:
        path = BrownianPath(noise, walk.levels)
        before: Tensor | None = None
        before_step = 0.0
        for step, (s, lower) in enumerate(pairwise(walk.levels)):
            clean = walk.denoise(z, s, step)
            h, kept = math.log(s / lower), (lower / s) ** 2
            ahead = clean if before is None else clean + h / (2 * before_step) * (clean - before)
            z = kept * z + (1 - kept) * ahead + lower * math.sqrt(1 - kept) * path.increment(s, lower).to(z)
            before, before_step = clean, h
        return walk.denoise(z, walk.levels[-1], len(walk.levels) - 1)


@register("sampler")
class PredictorCorrector(Sampler):
    """Euler steps, each followed by Langevin corrections at its level.

    Arguments:
        evaluations, grid: See `Sampler`.
        corrections: Langevin steps per level.
        refresh: Share q of the noise that each of them draws anew, 0 to 1.
    """

    def __init__(
        self,
        evaluations: int = 129,
        grid: dict[str, object] | None = None,
        corrections: int = 1,
        refresh: float = 0.5,
    ) -> None:
        if corrections < 1 or not 0 < refresh <= 1:
            raise ConfigurationError(
                f"Found corrections={corrections} and refresh={refresh}: expected 1 or more, and a share in (0, 1]."
            )
        self.corrections, self.refresh = corrections, refresh
        self.calls_per_step = 1 + corrections
        super().__init__(evaluations, grid)

    def walk(self, walk: _Walk, z: Tensor, noise: Noise) -> Tensor:
        number = 0
        kept = math.sqrt(1 - self.refresh**2)
        for step, (s, lower) in enumerate(pairwise(walk.levels)):
            clean = walk.denoise(z, s, step)
            z = clean + lower / s * (z - clean)
            for _ in range(self.corrections):
                number += 1
                clean = walk.denoise(z, lower, step)
                z = clean + kept * (z - clean) + self.refresh * lower * noise(number).to(z)
        return walk.denoise(z, walk.levels[-1], len(walk.levels) - 1)

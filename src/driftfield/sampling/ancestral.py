"""DDPM and DDIM: each step draws from q(x_s' | x_s, x = D), with a share eta of its noise new.

In z and s, with v = s'^2 (1 - s'^2 / s^2) the variance of that distribution:

    z' = D + sqrt(s'^2 - eta^2 v) (z - D) / s + eta sqrt(v) noise

eta = 1 is DDPM (Ho et al. 2020), eta = 0 the deterministic DDIM (Song et al. 2021).
"""

__all__ = ["DDIMSampler", "DDPMSampler"]

import math
from itertools import pairwise
from typing import ClassVar

from torch import Tensor

from driftfield.errors import ConfigurationError
from driftfield.registry import register
from driftfield.sampling.base import FIRST_ORDER_GRID, Noise, Sampler, _Walk, keep
from driftfield.sampling.brownian import BrownianPath


@register("sampler")
class DDIMSampler(Sampler):
    """DDIM.

    Arguments:
        eta: Share of new noise, 0 (deterministic) to 1 (DDPM).
    """

    default_grid: ClassVar[dict[str, object]] = FIRST_ORDER_GRID

    def __init__(self, evaluations: int = 50, grid: dict[str, object] | None = None, eta: float = 0.0) -> None:
        super().__init__(evaluations, grid)
        if not 0 <= eta <= 1:
            raise ConfigurationError(f"Found eta={eta}: expected a number between 0 (DDIM) and 1 (DDPM).")
        self.eta = eta

    def walk(self, walk: _Walk, z: Tensor, noise: Noise) -> Tensor:
        path = BrownianPath(noise, walk.levels)
        for step, (s, lower) in enumerate(pairwise(walk.levels)):
            clean = walk.denoise(z, s, step)
            variance = self.eta**2 * lower**2 * (1 - lower**2 / s**2)
            z = keep(clean, z, math.sqrt(lower**2 - variance) / s)
            if variance > 0:
                z = z + math.sqrt(variance) * path.increment(s, lower).to(z)
        return walk.denoise(z, walk.levels[-1], len(walk.levels) - 1)


@register("sampler")
class DDPMSampler(DDIMSampler):
    """DDPM: DDIM whose noise is all new; wants many evaluations."""

    def __init__(self, evaluations: int = 256, grid: dict[str, object] | None = None) -> None:
        super().__init__(evaluations, grid, eta=1.0)

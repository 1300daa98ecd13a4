"""DDPM and DDIM: each step draws from q(x_s' | x_s, x = D), with a share eta of its noise new.

In z and s, with v = s'^2 (1 - s'^2 / s^2) the variance of that distribution:

    z' = D + sqrt(s'^2 - eta^2 v) (z - D) / s + eta (s / s')^b sqrt(v) noise

eta = 1 is DDPM (Ho et al. 2020), eta = 0 the deterministic DDIM (Song et al. 2021). At eta = 1 the mean is that of x_s' given
x_s, whatever the data; the variance is not, since x is not D:

    Var[x_s' | x_s] = v + (1 - s'^2 / s^2)^2 Var[x | x_s]       from v (x is one point, b = 0) to (s / s')^2 v (pure noise, b = 1)

A Gaussian of variance c goes from the one to the other as s falls past sqrt(c). Half way between their logarithms, b = 1/2, is
too much before and too little after; on equal steps in ln s the two cancel to first order, whatever c is.
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
        evaluations, grid: See `Sampler`.
        eta: Share of new noise, 0 (deterministic) to 1 (DDPM).
        bound: b, where the variance of new noise lies between its two bounds (Ho et al. 2020, section 3.2), in the logarithm
            (Nichol & Dhariwal 2021, equation 15): 0 the lower, which most programs take and which leaves ensembles short of
            spread, to 1 the upper.
    """

    default_grid: ClassVar[dict[str, object]] = FIRST_ORDER_GRID

    def __init__(
        self, evaluations: int = 50, grid: dict[str, object] | None = None, eta: float = 0.0, bound: float = 0.5
    ) -> None:
        super().__init__(evaluations, grid)
        if not 0 <= eta <= 1:
            raise ConfigurationError(f"Found eta={eta}: expected a number between 0 (DDIM) and 1 (DDPM).")
        if not 0 <= bound <= 1:
            raise ConfigurationError(f"Found bound={bound}: expected a number between 0 (lower) and 1 (upper bound).")
        self.eta, self.bound = eta, bound

    def walk(self, walk: _Walk, z: Tensor, noise: Noise) -> Tensor:
        path = BrownianPath(noise, walk.noise_levels)
        for step, (s, lower) in enumerate(pairwise(walk.noise_levels)):
            clean = walk.denoise(z, s, step)
            variance = self.eta**2 * lower**2 * (1 - lower**2 / s**2)
            z = keep(clean, z, math.sqrt(lower**2 - variance) / s)
            if variance > 0:
                z = z + (s / lower) ** self.bound * math.sqrt(variance) * path.increment(s, lower).to(z)
        return walk.denoise(z, walk.noise_levels[-1], len(walk.noise_levels) - 1)


@register("sampler")
class DDPMSampler(DDIMSampler):
    """DDPM: DDIM whose noise is all new.

    Arguments:
        evaluations, grid, bound: See `DDIMSampler`.
    """

    def __init__(self, evaluations: int = 256, grid: dict[str, object] | None = None, bound: float = 0.5) -> None:
        super().__init__(evaluations, grid, eta=1.0, bound=bound)

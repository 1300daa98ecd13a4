"""RePaint: an ancestral walk that goes back and forth at every level (Lugmayr et al. 2022, algorithm 1, jumps of one step).

    down   z' = r² z + (1 - r²) D + s' √(1 - r²) noise,      r = s' / s
    up     z  = z' + √(s² - s'²) noise                                           `resamplings` - 1 times, then on

D is y where a cell was observed (`ReplacementDenoiser` with eps=None), so that observed cells of z are y plus noise of the right
level, drawn anew in every pass, and the others are brought into harmony with them: each pass lets what is not observed see
another noisy copy of what is. It knows grid cells only, needs no derivative, and costs `resamplings` evaluations a step.
"""

__all__ = ["RePaintSampler", "RePaint"]

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

from torch import Tensor

from driftfield.errors import ConfigurationError, whole_number
from driftfield.interfaces import Denoiser
from driftfield.linalg.operators import Observed
from driftfield.registry import register
from driftfield.sampling.base import FIRST_ORDER_GRID, Noise, Sampler, _Walk
from driftfield.sampling.guidance.methods import DrawPrior, GuidanceMethod
from driftfield.sampling.guidance.replacement import ReplacementDenoiser
from driftfield.sampling.guidance.single_cells import single_cells


class RePaintSampler(Sampler):
    """DDPM with resampling, for a `ReplacementDenoiser`.

    Arguments:
        evaluations, grid: See `Sampler`.
        resamplings: Passes through every step, 1 or more; 1 is DDPM.
    """

    default_grid: ClassVar[dict[str, object]] = FIRST_ORDER_GRID

    def __init__(self, evaluations: int = 641, grid: dict[str, object] | None = None, *, resamplings: int = 10) -> None:
        if isinstance(resamplings, bool) or resamplings < 1:
            raise ConfigurationError(f"Found resamplings={resamplings}: expected 1 (DDPM) or more, 10 to begin with.")
        self.resamplings = self.calls_per_step = resamplings
        super().__init__(evaluations, grid)

    def walk(self, walk: _Walk, z: Tensor, noise: Noise) -> Tensor:
        number = 0
        for step, (s, lower) in enumerate(pairwise(walk.noise_levels)):
            kept = (lower / s) ** 2
            for again in range(self.resamplings):
                if again:
                    number += 1
                    z = z + math.sqrt(s**2 - lower**2) * noise(number).to(z)
                clean = walk.denoise(z, s, step)
                number += 1
                z = kept * z + (1 - kept) * clean + lower * math.sqrt(1 - kept) * noise(number).to(z)
        return walk.denoise(z, walk.noise_levels[-1], len(walk.noise_levels) - 1)


@register("guidance", "repaint")
@dataclass(frozen=True)
class RePaint(GuidanceMethod):
    """RePaint by its name in recipes.

    Arguments:
        resamplings: Passes through every step, 1 or more; 1 is DDPM.
        evaluations: Of the network, in all.
    """

    resamplings: int = 10
    evaluations: int = 641
    products = 0

    def __post_init__(self) -> None:
        whole_number("method.resamplings", self.resamplings, 1)
        whole_number("method.evaluations", self.evaluations, 2)

    def guide(self, denoiser: Denoiser, observed: Observed, eps: Tensor, prior: DrawPrior) -> Denoiser:
        y, seen, error = single_cells(observed, eps)
        return ReplacementDenoiser(denoiser, y, seen, error, None)

    def sampler(self, given: Sampler) -> Sampler:
        return RePaintSampler(self.evaluations, resamplings=self.resamplings)

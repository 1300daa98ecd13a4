"""Diffusion posterior sampling (DPS: Chung et al. 2023, arXiv:2209.14687).

The clean field is taken as known once x_t is: p(x | x_t) ≈ δ(x - x̂), so that no uncertainty of x̂ tempers the observations, and
the likelihood score J' H' R⁻¹ (y - H x̂) is far too strong while there is noise. The paper therefore keeps its direction and
gives it a length of its own, a constant zeta divided by the misfit. So here, with m the root mean square of R^(-½) (y - H x̂),
r the geometric mean of the error standard deviations and h² = tr H H' / n (1 where cells are observed):

    D = x̂ + zeta s (r / (h m)) (dx̂/dz)' H' R⁻¹ (y - H x̂),                          z = x_t / α

An observed cell is moved by about zeta s, whatever the units. (The paper moves x_t by zeta in each ancestral step, however long,
so that its answer depends on the number of steps; in proportion to the noise it does not.) zeta is a constant to be tuned, and
nothing makes the spread right.
"""

__all__ = ["DPSDenoiser", "DPS"]

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from driftfield.errors import ConfigurationError, above_zero
from driftfield.interfaces import Denoiser, Observation
from driftfield.registry import register
from driftfield.sampling.guidance.base import GuidedDenoiser
from driftfield.sampling.guidance.guard import DivergenceGuard, observed_size
from driftfield.sampling.guidance.look import Look
from driftfield.sampling.guidance.methods import ByNumbers


class DPSDenoiser(GuidedDenoiser):
    """Guidance by the normalised gradient of the misfit.

    Arguments:
        denoiser, observation, guard: See `GuidedDenoiser`; every observation needs an error above 0.
        zeta: Length of the correction of an observed cell, in noise levels.
    """

    name = "dps"
    advice = "Lower zeta, or use more evaluations"

    def __init__(
        self, denoiser: Denoiser, observation: Observation, *, zeta: float = 3.0, guard: DivergenceGuard | None = None
    ) -> None:
        super().__init__(denoiser, observation, guard=guard)
        self.zeta = above_zero("zeta", zeta, "a number above 0, 3 to begin with")

    def correction(self, look: Look) -> Float[Tensor, "batch channel *space"]:
        errors, n = self.observation.covariance, look.misfit.shape[-1]
        weighed = errors.solve(look.misfit)
        m = (look.misfit * weighed).mean(-1, keepdim=True).clamp(min=0).sqrt()
        r = torch.exp(errors.log_determinant() / (2 * n)).to(m)
        if not r > 0:
            raise ConfigurationError(
                "Found an observation without error: DPS needs errors above 0. Give it one, or use the method mmps."
            )
        h = observed_size(look)[:, None]
        # spread is s² (dx̂/dz)'
        return look.spread(look.adjoint(self.zeta * r / (h * look.s * m).clamp(min=1e-12) * weighed))


@register("guidance", "dps")
@dataclass(frozen=True)
class DPS(ByNumbers):
    """`dps` in recipes and on the command line, with the constants that a user may set.

    Arguments:
        zeta: Length of the correction of an observed cell, in noise levels.
    """

    zeta: float = 3.0
    denoiser = DPSDenoiser

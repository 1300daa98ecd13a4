"""Score-based data assimilation (SDA: Rozet and Louppe 2023, arXiv:2306.10574, section 3.2).

    V = sda_scale s² I
    D = x̂ + (σ²/α) J' H' (R + sda_scale s² H H')⁻¹ (y - H x̂)

For observed cells H H' = I, and this is the paper's Γ = γ I, whose constant is called sda_scale here (γ is the log SNR); written
with H H' the constant means the same for averages and for any units. It is a constant to be tuned, and it has a cliff: with r the
error, between the noise levels r / √sda_scale and the prior's own standard deviation the correction is 1/sda_scale times the
misfit, and a step from s to s' overshoots, and grows, when

    (1 - s'/s) / sda_scale > 2

So the smallest constant that holds depends on the number of steps, and the error decides how long the walk stays in danger.
`DivergenceGuard` watches. A larger constant is safe, and makes the ensemble too wide.
"""

__all__ = ["SDADenoiser", "SDA"]

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from driftfield.errors import above_zero
from driftfield.interfaces import Denoiser, Observation
from driftfield.registry import register
from driftfield.sampling.guidance.guard import DivergenceGuard
from driftfield.sampling.guidance.methods import ByNumbers
from driftfield.sampling.guidance.pseudo_inverse import PseudoInverseDenoiser


class SDADenoiser(PseudoInverseDenoiser):
    """Guidance by a multiple of the noise variance.

    Arguments:
        denoiser, observation, guard: See `GuidedDenoiser`.
        sda_scale: Variance of a clean cell in units of the noise variance; .3 holds at 16 evaluations.
    """

    name = "sda"

    def __init__(
        self,
        denoiser: Denoiser,
        observation: Observation,
        *,
        sda_scale: float = 0.3,
        guard: DivergenceGuard | None = None,
    ) -> None:
        super().__init__(denoiser, observation, guard=guard)
        self.sda_scale = above_zero("sda_scale", sda_scale, "a number above 0, .3 to begin with")
        self.advice = (
            f"Raise sda_scale (found {sda_scale:g}), use more evaluations, or mmps, which has no such constant"
        )

    def variance(self, s: Float[Tensor, "batch 1"]) -> Float[Tensor, "batch 1"]:
        return self.sda_scale * s**2


@register("guidance", "sda")
@dataclass(frozen=True)
class SDA(ByNumbers):
    """`sda` in recipes and on the command line, with the constants that a user may set.

    Arguments:
        sda_scale: Variance of a clean cell in units of the noise variance; .3 holds at 16 evaluations.
    """

    sda_scale: float = 0.3
    denoiser = SDADenoiser

"""Pseudo-inverse guidance (PiGDM: Song et al. 2023, "Pseudoinverse-guided diffusion models for inverse problems").

    V = v I,      v = s² sd² / (s² + sd²)
    D = x̂ + (σ²/α) J' H' (R + v H H')⁻¹ (y - H x̂)

p(x | x_t) is as wide as if every cell were Gaussian with standard deviation sd and independent of the others. The Jacobian
brings the correlations of the prior in, but the weight of the observations does not know about them: on smooth fields, whose
noise is averaged away by the neighbours, v is too large, and the observations count too little until the noise has gone.
For exact observations of everything R = 0 and (H H')⁻¹ H is the pseudo-inverse that gave the method its name.
"""

__all__ = ["PseudoInverseDenoiser", "PseudoInverse"]

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from driftfield.errors import above_zero
from driftfield.interfaces import Denoiser, Observation
from driftfield.linalg.solvers import ConjugateGradients
from driftfield.registry import register
from driftfield.sampling.guidance.base import GuidedDenoiser
from driftfield.sampling.guidance.guard import DivergenceGuard
from driftfield.sampling.guidance.look import Look
from driftfield.sampling.guidance.methods import ByNumbers


class PseudoInverseDenoiser(GuidedDenoiser):
    """Guidance by one number for the uncertainty of every cell.

    Arguments:
        denoiser, observation, guard: See `GuidedDenoiser`.
        sd: Standard deviation of a cell of the prior.
    """

    name = "pseudo_inverse"
    advice = "Raise sd, or use more evaluations"

    def __init__(
        self, denoiser: Denoiser, observation: Observation, *, sd: float = 1.0, guard: DivergenceGuard | None = None
    ) -> None:
        super().__init__(denoiser, observation, guard=guard)
        self.sd = above_zero("sd", sd, "the standard deviation of a cell, above 0")
        # without the network in it a product is cheap: one for every observation if need be
        self.solver = ConjugateGradients(iterations=100, tolerance=1e-5)

    def variance(self, s: Float[Tensor, "batch 1"]) -> Float[Tensor, "batch 1"]:
        """Of a cell, given its noisy value."""
        return s**2 * self.sd**2 / (s**2 + self.sd**2)

    def correction(self, look: Look) -> Float[Tensor, "batch channel *space"]:
        v = self.variance(look.s).view(-1, *[1] * (look.clean.ndim - 1)).to(look.clean)
        u, _ = self.solver.solve(look.system(lambda field: v * field), look.misfit)
        return look.spread(look.adjoint(u))


@register("guidance", "pseudo_inverse")
@dataclass(frozen=True)
class PseudoInverse(ByNumbers):
    """`pseudo_inverse` in recipes and on the command line, with the constants that a user may set.

    Arguments:
        sd: Standard deviation of a cell of the prior, in normalised units.
    """

    sd: float = 1.0
    denoiser = PseudoInverseDenoiser

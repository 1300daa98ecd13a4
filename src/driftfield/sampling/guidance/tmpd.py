"""Tweedie moment projection (TMPD: Boys et al. 2023, arXiv:2310.06721, section 4), in its form for large problems.

    D = x̂ + (σ²/α) J' H' (R + diag(d))⁻¹ (y - H x̂),            d = H V H' 1,    V = (σ²/α) J

As in `mmps` V is Tweedie's covariance, but H V H' is replaced by the diagonal matrix of its row sums: one product with the
Jacobian instead of one for each iteration of a solver. It is exact where observations do not share structures of the prior; where
they do, a row sum counts the neighbours' covariance as the observation's own, the observations weigh too little, and the
ensemble is too wide. Row sums of several kinds of observations mix their units: give them in the same.
"""

__all__ = ["TMPDDenoiser", "TMPD"]

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from driftfield.interfaces import Denoiser
from driftfield.linalg.operators import Observed
from driftfield.linalg.solvers import ConjugateGradients
from driftfield.registry import register
from driftfield.sampling.guidance.base import GuidedDenoiser
from driftfield.sampling.guidance.look import Look
from driftfield.sampling.guidance.methods import DrawPrior, GuidanceMethod


class TMPDDenoiser(GuidedDenoiser):
    """Guidance by the row sums of the network's own covariance.

    Arguments:
        denoiser, observation, guard: See `GuidedDenoiser`.
    """

    name = "tmpd"

    @property
    def evaluations(self) -> int:
        return 5

    def correction(self, look: Look) -> Float[Tensor, "batch channel *space"]:
        ones = torch.ones_like(look.misfit)
        # a row sum may be negative where the prior has negative correlations: no variance is
        d = look.forward(look.spread(look.adjoint(ones))).clamp(min=0)
        errors = self.observation.covariance
        typical = errors.matmul(ones).abs().mean(-1, keepdim=True)
        u, _ = ConjugateGradients(100, 1e-5).solve(
            lambda p: (errors.matmul(p) + d * p, p), look.misfit, precondition=lambda r: r / (d + typical)
        )
        return look.spread(look.adjoint(u))


@register("guidance", "tmpd")
@dataclass(frozen=True)
class TMPD(GuidanceMethod):
    """`tmpd` in recipes and on the command line, with the constants that a user may set."""

    starts_at_posterior = True
    products = 2

    def guide(self, denoiser: Denoiser, observed: Observed, eps: Tensor, prior: DrawPrior) -> Denoiser:
        return TMPDDenoiser(denoiser, observed)

"""Moment matching posterior sampling (MMPS: Rozet et al. 2024, arXiv:2405.13712, section 4).

    p(x | x_t) ≈ N(x̂, V),      V = Cov[x | x_t] = (σ²/α) dx̂ / dx_t
    E[x | x_t, y] = x̂ + V H' (R + H V H')⁻¹ (y - H x̂)

V is what the network itself knows, by products with its Jacobian; the system is solved with a few iterations. Where the prior is
Gaussian and H linear this is the posterior, exactly, as the iterations grow. J is symmetric where the network is ideal, so J' v
serves as J v. An iteration costs one such product (2 evaluations), and V H' u comes out of the solver for nothing.

A covariance of the prior, if there is one, makes iterations count: with the V of `prior_covariance` the matrix is nearly
R + H V H', its inverse preconditions the system, and one or two iterations do the work of many.

A network that was trained briefly has a Jacobian with negative eigenvalues (-.3 where the true ones are 0 to 1, for a prior of
trajectories of Lorenz-96), and no iteration can be trusted with them. V + damping s² I is positive again; the ensemble becomes a
little wider.
"""

__all__ = ["DIRECT", "MMPSDenoiser", "MMPS"]

import logging
from dataclasses import dataclass
from typing import Literal

from jaxtyping import Float
from torch import Tensor

from driftfield.errors import ConfigurationError, whole_number
from driftfield.interfaces import Denoiser, Observation
from driftfield.linalg.covariance import Covariance
from driftfield.linalg.operators import Observed
from driftfield.linalg.prior_covariance import eof_covariance
from driftfield.linalg.solvers import GMRES, ConjugateGradients, Solver
from driftfield.registry import register
from driftfield.sampling.guidance.base import GuidedDenoiser
from driftfield.sampling.guidance.guard import DivergenceGuard
from driftfield.sampling.guidance.look import Look
from driftfield.sampling.guidance.methods import DrawPrior, GuidanceMethod, number_option
from driftfield.sampling.guidance.prior_covariance import PriorSystem

DIRECT = 1024
"""Observations whose matrix is still written down: a covariance of the prior preconditions so many, and no more."""


class MMPSDenoiser(GuidedDenoiser):
    """Guidance by the covariance that the network itself implies; the default of this package.

    Arguments:
        denoiser, observation, guard: See `GuidedDenoiser`.
        solver: Conjugate gradients by default, 5 iterations, or 2 with a prior; `GMRES` for a network whose Jacobian is far from
            symmetric.
        prior: Covariance of the fields in network units, to save iterations; used where H is linear.
        direct: Largest number of observations with which it is used, `DIRECT` by default.
        damping: Multiple of s² I that is added to V; about the size of the most negative eigenvalue of the Jacobian.

    Raises:
        ConfigurationError: the damping is negative.
    """

    name = "mmps"
    advice = (
        "Raise damping (.3 to begin with), take the solver gmres, fewer iterations, or more evaluations; check that observation "
        "errors are not far too small"
    )

    def __init__(
        self,
        denoiser: Denoiser,
        observation: Observation,
        *,
        solver: Solver | None = None,
        prior: Covariance | None = None,
        direct: int = DIRECT,
        damping: float = 0.0,
        guard: DivergenceGuard | None = None,
    ) -> None:
        super().__init__(denoiser, observation, guard=guard)
        if not damping >= 0:
            raise ConfigurationError(f"Found damping={damping}: expected 0 or more, .3 to begin with.")
        self.damping = damping
        usable = observation.linear and observation.y.shape[-1] <= direct
        self.prior = prior if usable else None
        self.solver = ConjugateGradients(5 if self.prior is None else 2) if solver is None else solver

    @property
    def evaluations(self) -> int:
        return 1 + 2 * self.solver.iterations

    def correction(self, look: Look) -> Float[Tensor, "batch channel *space"]:
        precondition = None
        if self.prior is not None:
            system = PriorSystem(look, self.prior, self.observation)
            if system.is_direct(look.misfit.shape[-1]):
                precondition = system.invert

        def spread(v: Tensor) -> Tensor:
            own = look.spread(v)
            return own + self.damping * look.s.view(-1, *[1] * (v.ndim - 1)) ** 2 * v if self.damping else own

        return self.solver.solve(look.system(spread), look.misfit, precondition)[1]


log = logging.getLogger(__name__)


@register("guidance", "mmps")
@dataclass(frozen=True)
class MMPS(GuidanceMethod):
    """`mmps` in recipes and on the command line, with the constants that a user may set.

    Arguments:
        iterations: Of the solver; 2 do with `prior_samples`.
        solver: "cg", or "gmres" for a network whose Jacobian is far from symmetric.
        damping: Makes up for a Jacobian with negative eigenvalues, as briefly trained networks have; 0 to about .3.
        prior_samples: Unguided draws of the same dates whose covariance preconditions the system, 96 for example; 0 for none.
            A third as many EOFs are kept, 32 at most.
    """

    iterations: int = 5
    solver: Literal["cg", "gmres"] = "cg"
    damping: float = 0.0
    prior_samples: int = 0
    starts_at_posterior = True

    def __post_init__(self) -> None:
        whole_number("method.iterations", self.iterations, 1)
        if not 0 <= number_option("damping", self.damping) < float("inf"):
            raise ConfigurationError(f"Found method.damping={self.damping!r}: expected 0 or more, .1 to begin with.")
        whole_number("method.prior_samples", self.prior_samples, 0)
        if 0 < self.prior_samples < 6:
            raise ConfigurationError(f"Found method.prior_samples={self.prior_samples}: expected 0, or 6 or more.")
        if self.solver not in ("cg", "gmres"):
            raise ConfigurationError(f"Found method.solver={self.solver!r}: expected 'cg' or 'gmres'.")

    @property
    def products(self) -> int:
        return self.iterations

    def guide(self, denoiser: Denoiser, observed: Observed, eps: Tensor, prior: DrawPrior) -> Denoiser:
        solver = {"cg": ConjugateGradients, "gmres": GMRES}[self.solver](self.iterations)
        return MMPSDenoiser(denoiser, observed, solver=solver, prior=self._prior(observed, prior), damping=self.damping)

    def _prior(self, observed: Observed, prior: DrawPrior) -> Covariance | None:
        """What preconditions; nothing is drawn where it could not be used."""
        if not self.prior_samples:
            return None
        if not observed.linear or observed.y.numel() > DIRECT:
            log.warning(
                "prior_samples=%d is of use for up to %d observations: %d are solved for without",
                self.prior_samples,
                DIRECT,
                observed.y.numel(),
            )
            return None
        return eof_covariance(prior(self.prior_samples), min(32, self.prior_samples // 3))

"""Moment matching without a Jacobian: Cov[x | x_t] from a covariance of the prior, learned from the archive.

    V = (C⁻¹ + I / s²)⁻¹ = s² C (C + s² I)⁻¹
    D = x̂ + V H' (R + H V H')⁻¹ (y - H x̂)

C is what the fields' second moments are: EOFs and a remainder, a spectrum, or a matrix (`diffusion.prior_covariance` learns the
first two). x̂ still comes from the network, so that the mean knows all that the network knows, but how far an observation
reaches does not depend on the state. Where the prior is Gaussian with this C it is exact. A call costs one network evaluation,
and nothing is differentiated. Where H is linear all members share one matrix, which is small and factorised if there are few
observations; else the system is solved by iteration, as far as need be.
"""

__all__ = ["PriorCovarianceDenoiser", "PriorSystem", "PriorCovariance"]

from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor

from driftfield.errors import ConfigurationError, whole_number
from driftfield.interfaces import Denoiser, Observation
from driftfield.linalg.covariance import Covariance
from driftfield.linalg.operators import Observed
from driftfield.linalg.prior_covariance import eof_covariance, spectral_covariance
from driftfield.linalg.solvers import ConjugateGradients, Product, Solver
from driftfield.registry import register
from driftfield.sampling.guidance.base import GuidedDenoiser
from driftfield.sampling.guidance.guard import DivergenceGuard
from driftfield.sampling.guidance.look import Look
from driftfield.sampling.guidance.methods import DrawPrior, GuidanceMethod

_COLUMNS = 256
"""Columns of H V H' made at a time: memory is this many fields."""


class PriorSystem:
    """R + H V H' of one look, with the V of a covariance of the prior.

    Arguments:
        look: What the network answered.
        covariance: C, of a field with its axes run together.
        observation: y, H and R.

    Raises:
        ConfigurationError: C is not of the size of a field.
    """

    def __init__(self, look: Look, covariance: Covariance, observation: Observation) -> None:
        cells = look.clean[0].numel()
        if covariance.size != cells:
            raise ConfigurationError(
                f"Found a covariance of {covariance.size} cells for fields of {tuple(look.clean.shape[1:])}, "
                f"which have {cells}. Learn it from fields of that shape."
            )
        s = look.s.to(look.clean)
        self._alike = bool((s == s[0]).all())
        # one noise level for all members needs one factorisation in the covariance, not one for each
        self._variance = (s[:1] if self._alike else s) ** 2
        self._look, self._covariance, self._observation = look, covariance, observation
        self.product: Product = look.system(self.spread)

    def spread(self, field: Float[Tensor, "batch channel *space"]) -> Float[Tensor, "batch channel *space"]:
        """V x."""
        shrunk = self._covariance.shrink(field.flatten(1), self._variance)
        return (self._variance * shrunk).view(field.shape).to(field)

    def is_direct(self, most: int) -> bool:
        """Whether one matrix serves all members, and is no larger than `most`."""
        return self._observation.linear and self._alike and self._look.misfit.shape[-1] <= most

    def invert(self, r: Float[Tensor, "batch n"]) -> Float[Tensor, "batch n"]:
        """(R + H V H')⁻¹ r, by the eigenvectors of the matrix."""
        values, vectors = self._eigen
        # R may be 0, and observations may repeat each other
        usable = values > 1e-7 * values[-1]
        weights = torch.where(usable, 1 / torch.where(usable, values, 1), 0)
        return (((r.double() @ vectors) * weights) @ vectors.mT).to(r)

    @cached_property
    def _eigen(self) -> tuple[Tensor, Tensor]:
        misfit = self._look.misfit
        eye = torch.eye(misfit.shape[-1], dtype=misfit.dtype, device=misfit.device)
        matrix = torch.cat([self.product(part)[0] for part in eye.split(_COLUMNS)]).double()
        values, vectors = torch.linalg.eigh((matrix + matrix.mT) / 2)
        return values, vectors


class PriorCovarianceDenoiser(GuidedDenoiser):
    """Guidance by a covariance that does not depend on the state.

    Arguments:
        denoiser, observation, guard: See `GuidedDenoiser`.
        covariance: C, of a field in network units with its axes run together, (channel * space).
        solver: For many or nonlinear observations; 200 iterations of conjugate gradients by default.
        direct: Largest number of linear observations for which the matrix is written down.
    """

    name = "prior_covariance"
    differentiates = False
    advice = "Check that the covariance is in network units, or use more evaluations"

    def __init__(
        self,
        denoiser: Denoiser,
        observation: Observation,
        covariance: Covariance,
        *,
        solver: Solver | None = None,
        direct: int = 1024,
        guard: DivergenceGuard | None = None,
    ) -> None:
        super().__init__(denoiser, observation, guard=guard)
        self.covariance, self.direct = covariance, direct
        self.solver = ConjugateGradients(200, 1e-5) if solver is None else solver

    def correction(self, look: Look) -> Float[Tensor, "batch channel *space"]:
        system = PriorSystem(look, self.covariance, self.observation)
        if system.is_direct(self.direct):
            return system.spread(look.adjoint(system.invert(look.misfit)))
        return self.solver.solve(system.product, look.misfit)[1]


@register("guidance", "prior_covariance")
@dataclass(frozen=True)
class PriorCovariance(GuidanceMethod):
    """`prior_covariance` in recipes; the covariance being that of unguided draws on the same date.

    Arguments:
        samples: How many draws it is learned from.
        rank: EOFs to keep; 0 takes a spectrum, in which channels are independent.
    """

    samples: int = 96
    rank: int = 32
    starts_at_posterior = True
    products = 0

    def __post_init__(self) -> None:
        whole_number("method.samples", self.samples, 2)
        whole_number("method.rank", self.rank, 0)
        if self.rank >= self.samples:
            raise ConfigurationError(
                f"Found method.rank={self.rank} with method.samples={self.samples}: expected fewer EOFs than samples."
            )

    def guide(self, denoiser: Denoiser, observed: Observed, eps: Tensor, prior: DrawPrior) -> Denoiser:
        return PriorCovarianceDenoiser(denoiser, observed, self._covariance(prior(self.samples)))

    def _covariance(self, fields: Tensor) -> Covariance:
        return eof_covariance(fields, self.rank) if self.rank else spectral_covariance(fields)

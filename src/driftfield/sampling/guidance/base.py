"""Guidance: an unconditional prior and y = H(x) + e, e ~ N(0, R), become a denoiser of the posterior.

    E[x | x_t, y] = x̂ + (σ²/α) ∇ log p(y | x_t),                                     x̂ = E[x | x_t]

which is Tweedie's formula for p(x_t | y), whose score is that of p(x_t) plus that of the likelihood of the noisy field. With
p(x | x_t) taken as a Gaussian of covariance V around x̂ (moment matching), H linear or linearised at x̂,

    (σ²/α) ∇ log p(y | x_t) = (σ²/α) J' H' (R + H V H')⁻¹ (y - H x̂),                     J = dx̂ / dx_t

Methods differ in the V that they believe in, and in what they solve the system with. The truth is V = (σ²/α) J.
Cost is counted in network evaluations: the denoiser 1, a product with J' (backwards through the network) 2.
"""

__all__ = ["GuidedDenoiser"]

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from driftfield.errors import ConfigurationError
from driftfield.interfaces import Denoiser, Observation
from driftfield.sampling.guidance.guard import DivergenceGuard
from driftfield.sampling.guidance.look import Look


class GuidedDenoiser(ABC):
    """Has a denoiser (conditional or not) and an observation, and is a denoiser of the posterior of both.

    Arguments:
        denoiser: The prior, which has not seen y.
        observation: y, H and R; x is in network units, y and R in those of the observation.
        guard: Watches that the walk does not run away; `None` is the default guard.
    """

    differentiates: ClassVar[bool] = True
    """Whether products with the Jacobian of the denoiser are taken."""

    name: ClassVar[str] = "guidance"
    """What users call the method."""

    advice: str = "Use more evaluations"
    """What to change when this method diverges."""

    def __init__(self, denoiser: Denoiser, observation: Observation, *, guard: DivergenceGuard | None = None) -> None:
        self.schedule = denoiser.schedule
        self.denoiser, self.observation = denoiser, observation
        self.guard = DivergenceGuard() if guard is None else guard

    @property
    def evaluations(self) -> int:
        """Network evaluations of one call, at most; by default one product with the Jacobian, where any is taken."""
        return 3 if self.differentiates else 1

    @abstractmethod
    def correction(self, look: Look) -> Float[Tensor, "batch channel *space"]:
        """E[x | x_t, y] - E[x | x_t]."""

    def __call__(
        self, x_t: Float[Tensor, "batch channel *space"], t: Float[Tensor, " batch"]
    ) -> Float[Tensor, "batch channel *space"]:
        alpha, sigma = (part.view(-1, *[1] * (x_t.ndim - 1)) for part in self.schedule.alpha_sigma(t))
        # a field that was made in inference mode cannot be differentiated, a copy can
        with torch.inference_mode(False), torch.set_grad_enabled(self.differentiates):
            x_t = x_t.detach().clone().requires_grad_(self.differentiates)
            clean = self.denoiser(x_t, t)
        if self.differentiates and not clean.requires_grad:
            raise ConfigurationError(
                f"The method {self.name} needs the derivative of its denoiser, and {type(self.denoiser).__name__} has none. "
                "Guide the prior itself, by all observations at once (Stack them), or use the method prior_covariance."
            )
        look = Look(clean, x_t, sigma**2 / alpha, (sigma / alpha).view(-1, 1), self.observation)
        if not look.misfit.numel():
            return look.clean
        guided = look.clean + self.correction(look)
        self.guard.check(self, look, guided)
        return guided

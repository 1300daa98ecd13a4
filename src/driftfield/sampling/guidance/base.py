"""Guidance: an unconditional prior and y = H(x) + e, e ~ N(0, R), become a denoiser of the posterior.

    E[x | x_t, y] = x̂ + (σ²/α) ∇ log p(y | x_t),                                     x̂ = E[x | x_t]

which is Tweedie's formula for p(x_t | y), whose score is that of p(x_t) plus that of the likelihood of the noisy field. With
p(x | x_t) taken as a Gaussian of covariance V around x̂ (moment matching), H linear or linearised at x̂,

    (σ²/α) ∇ log p(y | x_t) = (σ²/α) J' H' (R + H V H')⁻¹ (y - H x̂),                     J = dx̂ / dx_t

Methods differ in the V that they believe in, and in what they solve the system with. The truth is V = (σ²/α) J.
Cost is counted in network evaluations: the denoiser 1, a product with J' (backwards through the network) 2.
"""

__all__ = ["GuidedDenoiser", "Look"]

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from driftfield.errors import ConfigurationError
from driftfield.interfaces import Denoiser, Observation
from driftfield.sampling.guidance.guard import DivergenceGuard


class Look:
    """What the prior answers at one x_t, and everything a guidance method may ask about it.

    Arguments:
        clean: x̂ with its graph, if there is one.
        x_t: What it was asked at, (batch, channel, *space).
        scale: σ²/α, (batch, 1, ...).
        s: Noise level σ/α, (batch, 1).
        observation: y, H and R.
    """

    def __init__(self, clean: Tensor, x_t: Tensor, scale: Tensor, s: Tensor, observation: Observation) -> None:
        self._graph, self._x_t, self._scale, self._observation = clean, x_t, scale, observation
        self.clean, self.s = clean.detach(), s
        with torch.enable_grad():
            self._at = self.clean.clone().requires_grad_(not observation.linear)
            self._seen = observation.apply(self._at)
        self.misfit: Float[Tensor, "batch n"] = observation.y.to(self.clean) - self._seen.detach()

    def spread(self, v: Float[Tensor, "batch channel *space"]) -> Float[Tensor, "batch channel *space"]:
        """(σ²/α) J' v: Cov[x | x_t] v, as the network has it. Two evaluations."""
        (product,) = torch.autograd.grad(self._graph, self._x_t, v.to(self._graph), retain_graph=True)
        return (self._scale * product).to(self.clean)

    def forward(self, v: Float[Tensor, "batch channel *space"]) -> Float[Tensor, "batch n"]:
        """H v, or the derivative of H at x̂ in the direction v."""
        if self._observation.linear:
            return self._observation.apply(v)
        # the derivative of u -> <H'(x̂)' u, v>, which is linear in u: backward mode twice, where forward mode may be missing
        with torch.enable_grad():
            u = torch.zeros_like(self._seen, requires_grad=True)
            (back,) = torch.autograd.grad(self._seen, self._at, u, create_graph=True)
            (product,) = torch.autograd.grad(back, u, v.to(back))
        return product

    def adjoint(self, u: Float[Tensor, "batch n"]) -> Float[Tensor, "batch channel *space"]:
        """H' u, or the transpose of the derivative of H at x̂."""
        return self._observation.adjoint(u, None if self._observation.linear else self.clean).to(self.clean)

    def system(self, covariance: Callable[[Tensor], Tensor]) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
        """p -> ((R + H V H') p, V H' p), for the `covariance` V of p(x | x_t)."""

        def product(p: Tensor) -> tuple[Tensor, Tensor]:
            w = covariance(self.adjoint(p))
            return self._observation.covariance.matmul(p) + self.forward(w), w

        return product


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
    @abstractmethod
    def evaluations(self) -> int:
        """Network evaluations of one call, at most."""

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

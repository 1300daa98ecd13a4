"""What a prior answers at one noisy field, and the products with Jacobian and observation operator that guidance asks for."""

__all__ = ["Look"]

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from driftfield.interfaces import Observation


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

"""Iterative solvers of A u = b, one system per sample of a batch, for an A that is only known by its products.

    conjugate gradients   u_k minimises the error (u - u*)' A (u - u*) over the Krylov space span(b, A b, ..., A^(k-1) b)
    GMRES                 u_k minimises the residual |b - A u| over the same space; A need not be symmetric

With A = R + H V H' every product passes through w = V H' p. As u is a sum of such p, the field V H' u that a guidance method is
after is the same sum of the fields w: it comes out of the solver, and costs no product of its own.

Iterations belong to a sample and never to a batch: each sample stops by itself, so that a member does not depend on who is
drawn beside it.
"""

__all__ = ["GMRES", "ConjugateGradients", "Preconditioner", "Product", "Solver"]

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from driftfield.errors import ConfigurationError

Product = Callable[[Tensor], tuple[Tensor, Tensor]]
"""p (batch, n) -> (A p, w): the product, and a field (batch, ...) linear in p that is gathered alongside."""

Preconditioner = Callable[[Tensor], Tensor]
"""r (batch, n) -> M⁻¹ r, of an M that is symmetric, positive and like A: the nearer to it, the fewer iterations."""


class Solver(ABC):
    """Solves A u = b from u = 0.

    Arguments:
        iterations: Products with A, at most.
        tolerance: A sample has arrived when |b - A u| <= tolerance |b|.
    """

    def __init__(self, iterations: int = 5, tolerance: float = 1e-6) -> None:
        if isinstance(iterations, bool) or iterations < 1 or not tolerance >= 0:
            raise ConfigurationError(
                f"Found iterations={iterations} and tolerance={tolerance}: {type(self).__name__} needs 1 or more "
                "iterations, and a tolerance of 0 or more."
            )
        self.iterations, self.tolerance = iterations, tolerance

    @abstractmethod
    def solve(
        self, product: Product, b: Float[Tensor, "batch n"], precondition: Preconditioner | None = None
    ) -> tuple[Float[Tensor, "batch n"], Float[Tensor, "batch ..."]]:
        """u, and the field that belongs to it.

        Arguments:
            product: A, see `Product`.
            b: Right-hand sides.
            precondition: See `Preconditioner`; none by default.
        """


class ConjugateGradients(Solver):
    """For symmetric positive A; a sample whose A is found not to be positive stops where it is."""

    def solve(self, product: Product, b: Tensor, precondition: Preconditioner | None = None) -> tuple[Tensor, Tensor]:
        precondition = precondition or _unchanged
        u, r = torch.zeros_like(b), b
        z = precondition(r)
        p, rz = z, _dot(r, z)
        enough = self.tolerance**2 * _dot(b, b)
        going = _dot(b, b) > 0
        field: Tensor | None = None
        for _ in range(self.iterations):
            ap, w = product(p)
            curvature = _dot(p, ap)
            going = going & (curvature > 0)
            a = torch.where(going, rz / torch.where(going, curvature, 1), 0)
            u, r = u + a * p, r - a * ap
            field = (0 if field is None else field) + _wide(a, w) * w
            going = going & (_dot(r, r) > enough)
            if not going.any():
                break
            z = precondition(r)
            before, rz = rz, _dot(r, z)
            p = z + torch.where(going, rz / torch.where(going, before, 1), 0) * p
        assert field is not None
        return u, field


class GMRES(Solver):
    """For any A: a trained network's Jacobian is symmetric only in the ideal (Saad and Schultz 1986; no restarts)."""

    def solve(self, product: Product, b: Tensor, precondition: Preconditioner | None = None) -> tuple[Tensor, Tensor]:
        precondition = precondition or _unchanged
        # from the right, A M⁻¹ (M u) = b: the residual stays that of the system itself
        size = _dot(b, b).sqrt()
        basis, fields = [b / torch.where(size > 0, size, 1)], []
        columns: list[list[Tensor]] = []
        directions: list[Tensor] = []
        for _ in range(self.iterations):
            directions.append(precondition(basis[-1]))
            ap, w = product(directions[-1])
            fields.append(w)
            column = []
            for q in basis:
                column.append(_dot(q, ap))
                ap = ap - column[-1] * q
            norm = _dot(ap, ap).sqrt()
            columns.append([*column, norm])
            # a space that A maps into itself holds the answer: what follows is 0, and the pseudo-inverse passes it over
            closed = norm <= self.tolerance * torch.stack(column).norm(dim=0)
            basis.append(torch.where(closed, 0, ap / torch.where(closed, 1, norm)))
            if closed.all():
                break
        k = len(columns)
        small = b.new_zeros(len(b), k + 1, k)
        for j, entries in enumerate(columns):
            small[:, : j + 2, j] = torch.cat(entries, dim=-1)
        weights = size * torch.linalg.pinv(small)[:, :, 0]
        u = sum((weights[:, j : j + 1] * p for j, p in enumerate(directions)), start=torch.zeros_like(b))
        field = sum(
            (_wide(weights[:, j : j + 1], w) * w for j, w in enumerate(fields)), start=torch.zeros_like(fields[0])
        )
        return u, field


def _unchanged(r: Tensor) -> Tensor:
    return r


def _dot(a: Tensor, b: Tensor) -> Tensor:
    """(batch, 1)."""
    return (a * b).sum(-1, keepdim=True)


def _wide(a: Tensor, like: Tensor) -> Tensor:
    """(batch, 1) with as many axes as a field."""
    return a.view(-1, *[1] * (like.ndim - 1))

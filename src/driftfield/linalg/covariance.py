"""Covariances as small objects: of exact priors, and of observation errors.

    diagonal      C = B diag(v) B'            B an orthonormal basis (a matrix, or a transform and its inverse), or none
    dense         C = B diag(v) B'            by its eigenvectors
    low rank      C = U U' + diag(d)          solved with Woodbury's identity, in the rank and not in the cells
    block         C = diag(C_1, C_2, ...)     one small dense matrix per block, such as one satellite pass
    along track   C_ij = share r_i r_j exp(-|a_i - a_j| / length) + (1 - share) r_i^2 [i = j]    a block per track

All of them act on the last axis of a tensor (..., n), with an optional multiple of the identity added: C + shift I.
"""

__all__ = [
    "BlockCovariance",
    "Covariance",
    "DenseCovariance",
    "DiagonalCovariance",
    "LowRankCovariance",
    "along_track",
]

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from driftfield.errors import ConfigurationError

Shift = float | Tensor
"""A number, or one per row: (..., 1)."""


class Covariance(ABC):
    """A symmetric positive (semi-)definite matrix that is never written down where it need not be."""

    @property
    @abstractmethod
    def size(self) -> int:
        """n, of the (n, n) matrix."""

    @abstractmethod
    def matmul(self, x: Float[Tensor, "*batch n"]) -> Float[Tensor, "*batch n"]:
        """C x."""

    @abstractmethod
    def solve(self, x: Float[Tensor, "*batch n"], shift: Shift = 0.0) -> Float[Tensor, "*batch n"]:
        """(C + shift I)^-1 x."""

    @abstractmethod
    def sample(self, noise: Float[Tensor, "*batch n"]) -> Float[Tensor, "*batch n"]:
        """A draw of N(0, C) from independent standard normals; linear in them."""

    @abstractmethod
    def log_determinant(self, shift: Shift = 0.0) -> Float[Tensor, "*batch"]:
        """ln det (C + shift I); one per row where the shift is."""

    def shrink(self, x: Float[Tensor, "*batch n"], shift: Shift) -> Float[Tensor, "*batch n"]:
        """C (C + shift I)^-1 x: what a measurement x with error variance `shift` leaves of itself."""
        return self.matmul(self.solve(x, shift))

    def dense(self, *, dtype: torch.dtype = torch.float64) -> Float[Tensor, "n n"]:
        """The matrix itself, for small problems."""
        return self.matmul(torch.eye(self.size, dtype=dtype))


class DiagonalCovariance(Covariance):
    """Independent amplitudes along an orthonormal basis.

    Arguments:
        variances: (n,), 0 or more.
        basis: None for the cells themselves, a matrix (n, n) whose columns are the basis, or a pair of functions on (..., n):
            to the amplitudes and back (an orthonormal cosine transform, for instance).
    """

    def __init__(
        self,
        variances: Float[Tensor, " n"],
        basis: Tensor | tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]] | None = None,
    ) -> None:
        if variances.ndim != 1 or not (variances >= 0).all():
            raise ConfigurationError(
                f"Found variances of shape {tuple(variances.shape)}, smallest {float(variances.min()):g}: expected (n,), "
                "0 or more."
            )
        self.variances = variances
        if isinstance(basis, Tensor):
            matrix = basis
            self._to: Callable[[Tensor], Tensor] = lambda x: x @ matrix.to(x)
            self._back: Callable[[Tensor], Tensor] = lambda x: x @ matrix.to(x).mT
        elif basis is not None:
            self._to, self._back = basis
        else:
            self._to = self._back = lambda x: x

    @property
    def size(self) -> int:
        return len(self.variances)

    def _scaled(self, x: Tensor, factor: Tensor) -> Tensor:
        return self._back(self._to(x) * factor.to(x))

    def matmul(self, x: Tensor) -> Tensor:
        return self._scaled(x, self.variances)

    def solve(self, x: Tensor, shift: Shift = 0.0) -> Tensor:
        return self._scaled(x, 1 / (self.variances.to(x) + shift))

    def sample(self, noise: Tensor) -> Tensor:
        return self._back(noise * self.variances.sqrt().to(noise))

    def log_determinant(self, shift: Shift = 0.0) -> Tensor:
        return torch.log(self.variances + shift).sum(-1)

    def shrink(self, x: Tensor, shift: Shift) -> Tensor:
        variances = self.variances.to(x)
        return self._scaled(x, variances / (variances + shift))


class DenseCovariance(DiagonalCovariance):
    """Any matrix, by its eigenvectors.

    Arguments:
        matrix: (n, n), symmetric and positive semi-definite up to rounding.

    Raises:
        ConfigurationError: it is not square or symmetric, or an eigenvalue is clearly negative.
    """

    def __init__(self, matrix: Float[Tensor, "n n"]) -> None:
        if matrix.ndim != 2 or not torch.allclose(matrix, matrix.mT, atol=1e-6 * float(matrix.abs().max())):
            raise ConfigurationError(f"Found a covariance of shape {tuple(matrix.shape)}: expected symmetric (n, n).")
        values, vectors = torch.linalg.eigh(matrix)
        if values.min() < -1e-5 * values.max().abs():
            raise ConfigurationError(
                f"This matrix is no covariance: its smallest eigenvalue is {float(values.min()):g}."
            )
        super().__init__(values.clamp(min=0), vectors)


class LowRankCovariance(Covariance):
    """A few patterns and independent noise in every cell.

    Arguments:
        factors: U (n, rank): patterns times their standard deviation.
        diagonal: d (n,), positive.
    """

    def __init__(self, factors: Float[Tensor, "n rank"], diagonal: Float[Tensor, " n"]) -> None:
        if factors.ndim != 2 or diagonal.shape != factors.shape[:1] or not (diagonal > 0).all():
            raise ConfigurationError(
                f"Found factors {tuple(factors.shape)} and a diagonal {tuple(diagonal.shape)}: expected (n, rank) and "
                "(n,), the diagonal positive."
            )
        self.factors, self.diagonal = factors, diagonal

    @property
    def size(self) -> int:
        return len(self.diagonal)

    def matmul(self, x: Tensor) -> Tensor:
        factors = self.factors.to(x)
        return (x @ factors) @ factors.mT + self.diagonal.to(x) * x

    def solve(self, x: Tensor, shift: Shift = 0.0) -> Tensor:
        # Woodbury: (D + U U')^-1 = D^-1 - D^-1 U (I + U' D^-1 U)^-1 U' D^-1
        factors, inverse = self.factors.to(x), 1 / (self.diagonal.to(x) + shift)
        scaled = inverse * x
        small = self._capacitance(inverse, factors)
        inner = torch.linalg.solve(small, (scaled @ factors).unsqueeze(-1)).squeeze(-1)
        return scaled - inverse * (inner @ factors.mT)

    def sample(self, noise: Tensor) -> Tensor:
        """One normal per cell is enough: the square root of C is applied, not the factors."""
        values, vectors = self._spectrum
        root, rest = vectors.to(noise), self.diagonal.sqrt().to(noise)
        inner = noise @ root
        return rest * (noise + (inner * (values.to(noise).add(1).sqrt() - 1)) @ root.mT)

    @property
    def _spectrum(self) -> tuple[Tensor, Tensor]:
        """Of D^-1/2 U U' D^-1/2: C = D^1/2 (I + V diag(values) V') D^1/2."""
        vectors, singular, _ = torch.linalg.svd(self.factors / self.diagonal.sqrt()[:, None], full_matrices=False)
        return singular**2, vectors

    def log_determinant(self, shift: Shift = 0.0) -> Tensor:
        diagonal = self.diagonal + shift
        small = self._capacitance(1 / diagonal, self.factors)
        return torch.log(diagonal).sum(-1) + torch.linalg.slogdet(small).logabsdet

    @staticmethod
    def _capacitance(inverse: Tensor, factors: Tensor) -> Tensor:
        """I + U' D^-1 U, (..., rank, rank)."""
        eye = torch.eye(factors.shape[1], dtype=factors.dtype, device=factors.device)
        return eye + torch.einsum("nr,...n,nq->...rq", factors, inverse, factors)


class BlockCovariance(Covariance):
    """Independent blocks, such as the passes of a satellite.

    Arguments:
        blocks: Covariances of consecutive parts.
        order: (n,) which entry lies at each place of these parts; None where they follow each other already.
    """

    def __init__(self, blocks: Sequence[Covariance], order: Int[Tensor, " n"] | None = None) -> None:
        if not blocks:
            raise ConfigurationError("A BlockCovariance needs one block or more, found none.")
        self.blocks = list(blocks)
        self._sizes = [block.size for block in self.blocks]
        if order is not None and not torch.equal(order.sort().values.cpu(), torch.arange(self.size)):
            raise ConfigurationError(
                f"Found an order of {len(order)} entries: expected each of 0 to {self.size - 1} once."
            )
        self._order = order
        self._back = None if order is None else order.argsort()

    @property
    def size(self) -> int:
        return sum(self._sizes)

    def _each(self, x: Tensor, apply: Callable[[Covariance, Tensor], Tensor]) -> Tensor:
        parts = torch.split(x if self._order is None else x[..., self._order], self._sizes, dim=-1)
        joined = torch.cat([apply(block, part) for block, part in zip(self.blocks, parts, strict=True)], dim=-1)
        return joined if self._back is None else joined[..., self._back]

    def matmul(self, x: Tensor) -> Tensor:
        return self._each(x, lambda block, part: block.matmul(part))

    def solve(self, x: Tensor, shift: Shift = 0.0) -> Tensor:
        return self._each(x, lambda block, part: block.solve(part, shift))

    def sample(self, noise: Tensor) -> Tensor:
        return self._each(noise, lambda block, part: block.sample(part))

    def log_determinant(self, shift: Shift = 0.0) -> Tensor:
        return sum((block.log_determinant(shift) for block in self.blocks), start=torch.zeros(()))


def along_track(
    error_std: Float[Tensor, " n"],
    track: Int[Tensor, " n"],
    along: Float[Tensor, " n"],
    *,
    length: float,
    share: float = 0.5,
    longest: int = 500,
) -> Covariance:
    """Errors that hang together along each track, such as those of an orbit or of the atmosphere above it.

    Arguments:
        error_std: Standard deviation r of each error, positive.
        track: Which track each belongs to, in any order; different tracks are independent.
        along: Where it lies on its track, in the units of `length`.
        length: Over which the correlation falls by e.
        share: Of the variance that is correlated, in [0, 1); the rest is white, so that C can be inverted.
        longest: A track with more observations is cut into pieces of at most so many, which are taken as independent: the
            price of a piece is the cube of its size.

    Raises:
        ConfigurationError: shapes that differ, or numbers that give no covariance.
    """
    if not error_std.shape == track.shape == along.shape or error_std.ndim != 1 or not (error_std > 0).all():
        raise ConfigurationError(
            f"Found errors {tuple(error_std.shape)}, tracks {tuple(track.shape)} and places {tuple(along.shape)}: expected "
            "(n,) of each, the errors positive."
        )
    if not (length > 0 and 0 <= share < 1 and longest >= 1):
        raise ConfigurationError(
            f"Found length={length}, share={share}, longest={longest}: expected a length above 0, a share from 0 to below 1, "
            "and pieces of 1 or more."
        )
    by_place = torch.argsort(along, stable=True)
    order = by_place[torch.argsort(track[by_place], stable=True)]
    _, sizes = torch.unique_consecutive(track[order], return_counts=True)
    pieces = [
        piece for part in torch.split(order, sizes.tolist()) for piece in torch.chunk(part, -(-len(part) // longest))
    ]
    of_size: dict[int, list[Tensor]] = {}
    for piece in pieces:
        of_size.setdefault(len(piece), []).append(piece)
    blocks: list[Covariance] = []
    for equal in of_size.values():  # one batch of matrices, or there would be as many products as pieces
        at = torch.stack(equal)
        r, a = error_std[at].double(), along[at].double()
        correlation = share * torch.exp(-(a[:, :, None] - a[:, None]).abs() / length)
        correlation += (1 - share) * torch.eye(at.shape[1], dtype=r.dtype, device=r.device)
        blocks.append(_dense_pieces((r[:, :, None] * correlation * r[:, None]), error_std.dtype))
    return BlockCovariance(blocks, torch.cat([torch.cat(equal) for equal in of_size.values()]))


def _dense_pieces(matrices: Float[Tensor, "piece m m"], dtype: torch.dtype) -> Covariance:
    """Matrices of one size behind each other, by their eigenvectors in one batch."""
    values, vectors = torch.linalg.eigh(matrices)
    vectors = vectors.to(dtype)

    def turned(x: Tensor, by: Tensor) -> Tensor:
        return torch.einsum("...pm,pmk->...pk", x.unflatten(-1, by.shape[:2]), by.to(x)).flatten(-2)

    basis = (lambda x: turned(x, vectors), lambda x: turned(x, vectors.mT))
    return DiagonalCovariance(values.clamp(min=0).flatten().to(dtype), basis)

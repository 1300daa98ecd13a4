"""Fewer points on a torus, direction by direction: y = R x C', with a matrix for the rows and one for the columns.

    truncation   the waves below the Nyquist wavenumber of the few points, and nothing else: nothing folds back (anti-aliased)
    sampling     every n-th point: what is finer than the few points can hold is read as coarser waves

The truncation of an axis of N points to n is the matrix D_m(2 pi (j / n - i / N)) / N with Dirichlet's kernel
D_m(a) = 1 + 2 (cos a + ... + cos m a), m = (n - 1) // 2 waves. On fields that have no others the two are the same, and the
truncation of a truncation is the truncation at once.
"""

__all__ = ["SeparableOperator", "sampling", "truncation"]

from collections.abc import Callable, Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from driftfield.errors import ConfigurationError
from driftfield.linalg.operators import Operator


class SeparableOperator(Operator):
    """H x = R x C' in every channel.

    Arguments:
        rows: R (n, rows of the field).
        columns: C (m, columns of the field).
        channels: Of the fields.
    """

    def __init__(self, rows: Float[Tensor, "n rows"], columns: Float[Tensor, "m columns"], channels: int = 1) -> None:
        self.rows, self.columns = rows, columns
        self.coarse = (channels, rows.shape[0], columns.shape[0])
        shape = (channels, rows.shape[1], columns.shape[1])
        super().__init__(shape, channels * rows.shape[0] * columns.shape[0], linear=True)

    def _apply(self, x: Tensor) -> Tensor:
        return (self.rows.to(x) @ x @ self.columns.to(x).mT).flatten(1)

    def adjoint(self, y: Tensor, x: Tensor | None = None) -> Tensor:
        return self.rows.to(y).mT @ y.view(len(y), *self.coarse) @ self.columns.to(y)

    def apply_array(self, x: Float[np.ndarray, "*batch rows columns"]) -> Float[np.ndarray, "*batch n m"]:
        """The same of an array, without channels."""
        return np.asarray(self.rows.numpy() @ x @ self.columns.numpy().T)


def truncation(shape: Sequence[int], coarse: Sequence[int], channels: int = 1) -> SeparableOperator:
    """The waves that `coarse` points can hold, of a field of `shape` points.

    Raises:
        ConfigurationError: more points than the field has.
    """
    return _separable(_dirichlet, shape, coarse, channels)


def sampling(shape: Sequence[int], coarse: Sequence[int], channels: int = 1) -> SeparableOperator:
    """Every n-th point of a field.

    Raises:
        ConfigurationError: `coarse` does not divide `shape`.
    """
    if any(few < 1 or many % few for many, few in zip(shape, coarse, strict=True)):
        raise ConfigurationError(
            f"Found {tuple(coarse)} points to sample out of {tuple(shape)}: expected numbers that divide them. Truncate instead."
        )
    return _separable(lambda many, few: np.eye(many)[:: many // few], shape, coarse, channels)


def _separable(
    matrix: Callable[[int, int], np.ndarray], shape: Sequence[int], coarse: Sequence[int], channels: int
) -> SeparableOperator:
    if any(not 1 <= few <= many for many, few in zip(shape, coarse, strict=True)):
        raise ConfigurationError(f"Found {tuple(coarse)} points out of {tuple(shape)}: expected fewer.")
    rows, columns = (torch.from_numpy(matrix(many, few).copy()) for many, few in zip(shape, coarse, strict=True))
    return SeparableOperator(rows, columns, channels)


def _dirichlet(many: int, few: int) -> Float[np.ndarray, "few many"]:
    """The truncation of one axis; all points as they are where none is lost."""
    if few == many:
        return np.eye(many)
    angle = 2 * np.pi * (np.arange(few)[:, None] / few - np.arange(many)[None, :] / many)
    waves = np.arange(1, (few - 1) // 2 + 1)
    return (1 + 2 * np.cos(angle[..., None] * waves).sum(-1)) / many

"""Observation operators: a field in, a vector of observations out, and back.

    H : x (batch, channel, *space) -> (batch, n)            H' : y (batch, n) -> (batch, channel, *space)
    <H x, y> = <x, H' y>,   or of a nonlinear H            <dH(x) v, y> = <v, dH(x)' y>

A sparse H holds w_ij = weight of cell j in observation i, twice: by rows (compressed) for H and by columns for H'. Both cost one
pass over the weights, and sum in a fixed order: a member of an ensemble is the same whatever the size of the batch.
"""

__all__ = ["FunctionOperator", "MatrixOperator", "Observed", "Operator", "SparseOperator"]

import math
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from driftfield.errors import ConfigurationError
from driftfield.interfaces import ErrorCovariance


class Operator(ABC):
    """A differentiable map from fields of one shape to n numbers.

    Arguments:
        shape: (channel, *space) of the fields.
        size: n.
        linear: Whether H(a x + b z) = a H(x) + b H(z).

    Raises:
        ConfigurationError: when called with a field of another shape.
    """

    def __init__(self, shape: Sequence[int], size: int, *, linear: bool) -> None:
        self.shape, self.size, self.linear = tuple(shape), int(size), linear

    def __call__(self, x: Float[Tensor, "batch *shape"]) -> Float[Tensor, "batch n"]:
        """H(x)."""
        if tuple(x.shape[1:]) != self.shape:
            raise ConfigurationError(
                f"{type(self).__name__} got a field of shape {tuple(x.shape)}: expected (batch, "
                f"{', '.join(map(str, self.shape))}). Build it for the grid of this field."
            )
        return self._apply(x)

    @abstractmethod
    def _apply(self, x: Tensor) -> Tensor:
        """H(x) of a field of the right shape."""

    def adjoint(
        self, y: Float[Tensor, "batch n"], x: Float[Tensor, "batch *shape"] | None = None
    ) -> Float[Tensor, "batch *shape"]:
        """H' y; of a nonlinear operator the transpose of its derivative at x. By automatic differentiation unless overridden.

        Arguments:
            y: One vector per sample.
            x: Where the derivative is taken; a linear operator needs none.

        Raises:
            ConfigurationError: x is missing and the operator is not linear.
        """
        if x is None:
            if not self.linear:
                raise ConfigurationError(
                    f"The adjoint of {type(self).__name__} depends on the field: pass adjoint(y, x)."
                )
            x = y.new_zeros(len(y), *self.shape)
        with torch.inference_mode(False), torch.enable_grad():
            at = x.detach().clone().requires_grad_()
            # tensors made under inference_mode cannot be saved for a gradient, copies of them can
            return torch.autograd.grad(self(at), at, y.clone(), create_graph=y.requires_grad)[0]


class MatrixOperator(Operator):
    """H x = A x, of fields laid out in one row.

    Arguments:
        matrix: A (n, cells).
        shape: Of the fields, cells = product; default (cells,).
    """

    def __init__(self, matrix: Float[Tensor, "n cells"], shape: Sequence[int] | None = None) -> None:
        shape = matrix.shape[1:] if shape is None else shape
        if matrix.ndim != 2 or math.prod(shape) != matrix.shape[1]:
            raise ConfigurationError(
                f"Found a matrix of shape {tuple(matrix.shape)} for fields {tuple(shape)}: expected (n, {math.prod(shape)})."
            )
        super().__init__(shape, matrix.shape[0], linear=True)
        self.matrix = matrix

    def _apply(self, x: Tensor) -> Tensor:
        return x.flatten(1) @ self.matrix.to(x).mT

    def adjoint(self, y: Tensor, x: Tensor | None = None) -> Tensor:
        return (y @ self.matrix.to(y)).view(len(y), *self.shape)


class SparseOperator(Operator):
    """H x = sum of weights times cells, a few for each observation.

    Arguments:
        rows: Which observation (weight,), 0 to size - 1, in any order.
        columns: Which cell of the flattened field (weight,); the weights of the same pair add up.
        weights: (weight,), stored in float64; those that are 0 are left out.
        size: Number of observations.
        shape: (channel, *space) of the fields.

    Raises:
        ConfigurationError: an index outside, or weights that are not finite.
    """

    def __init__(
        self, rows: np.ndarray, columns: np.ndarray, weights: np.ndarray, *, size: int, shape: Sequence[int]
    ) -> None:
        super().__init__(shape, size, linear=True)
        rows, columns, weights = np.asarray(rows), np.asarray(columns), np.asarray(weights, dtype=np.float64)
        cells = math.prod(self.shape)
        for what, index, limit in (("rows", rows, size), ("columns", columns, cells)):
            if index.shape != weights.shape or (index.size and not 0 <= index.min() <= index.max() < limit):
                raise ConfigurationError(
                    f"Found {what} of shape {index.shape} with {weights.size} weights: expected one each, 0 to {limit - 1}."
                )
        if not np.isfinite(weights).all():
            raise ConfigurationError("A weight of an observation is not finite: expected numbers. Leave that row out.")
        pair, inverse = np.unique(rows.astype(np.int64) * cells + columns, return_inverse=True)
        total = np.bincount(inverse, weights, minlength=pair.size)
        pair, total = pair[total != 0], total[total != 0]
        self.rows, self.columns = torch.from_numpy(pair // max(cells, 1)), torch.from_numpy(pair % max(cells, 1))
        self.weights = torch.from_numpy(total)
        self._matrices: dict[tuple[Any, ...], Tensor] = {}

    @property
    def weights_per_observation(self) -> float:
        """Mean number of cells that an observation sees."""
        return self.weights.numel() / max(self.size, 1)

    def _apply(self, x: Tensor) -> Tensor:
        return _Product.apply(x.flatten(1), self, False)

    def adjoint(self, y: Tensor, x: Tensor | None = None) -> Tensor:
        return _Product.apply(y, self, True).view(len(y), *self.shape)

    def scaled(self, by_row: np.ndarray | float = 1.0, by_cell: np.ndarray | float = 1.0) -> "SparseOperator":
        """diag(by_row) H diag(by_cell).

        Arguments:
            by_row: (n,) or a number: units of the observations.
            by_cell: Of the shape of a field, or broadcast to it: units of the field.
        """
        rows, columns = self.rows.numpy(), self.columns.numpy()
        row = np.broadcast_to(np.asarray(by_row, dtype=np.float64), (self.size,))
        cell = np.broadcast_to(np.asarray(by_cell, dtype=np.float64), self.shape).reshape(-1)
        weights = self.weights.numpy() * row[rows] * cell[columns]
        return SparseOperator(rows, columns, weights, size=self.size, shape=self.shape)

    def product(self, x: Tensor, *, transposed: bool) -> Tensor:
        """(batch, cells) -> (batch, n), or back; without a gradient of its own."""
        key = (x.dtype, x.device, transposed)
        if key not in self._matrices:
            self._matrices[key] = self._compressed(x, transposed)
        return (self._matrices[key] @ x.mT).mT.contiguous()

    def _compressed(self, like: Tensor, transposed: bool) -> Tensor:
        """H or H' in compressed rows, in the precision of a tensor and where it lies."""
        cells, of, by, weights = math.prod(self.shape), self.rows, self.columns, self.weights
        height, width = self.size, cells
        if transposed:
            order = torch.argsort(by, stable=True)
            of, by, weights, height, width = by[order], of[order], weights[order], cells, self.size
        ends = torch.cumsum(torch.bincount(of, minlength=height), 0)
        with torch.inference_mode(False), warnings.catch_warnings():
            # torch calls its compressed rows beta; what we ask of them is tested
            warnings.simplefilter("ignore", UserWarning)
            starts = torch.cat([torch.zeros(1, dtype=ends.dtype), ends])
            matrix = torch.sparse_csr_tensor(starts, by, weights.to(like.dtype), (height, width), check_invariants=True)
            return matrix.to(like.device)


class _Product(torch.autograd.Function):
    """H x or H' y; each is the gradient of the other, so that derivatives of any order exist."""

    @staticmethod
    def forward(x: Tensor, operator: SparseOperator, transposed: bool) -> Tensor:
        return operator.product(x.detach(), transposed=transposed)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        _, ctx.operator, ctx.transposed = inputs

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        return _Product.apply(gradients[0], ctx.operator, not ctx.transposed), None, None

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor, *_: Any) -> Tensor:
        return _Product.apply(tangent, ctx.operator, ctx.transposed)


class FunctionOperator(Operator):
    """Any differentiable function of a field.

    Arguments:
        function: (batch, *shape) -> (batch, n), written with torch; samples must not meet in it.
        shape: (channel, *space) of the fields.
        linear: Whether it is linear.

    Raises:
        ConfigurationError: it does not return (batch, n).
    """

    def __init__(self, function: Callable[[Tensor], Tensor], shape: Sequence[int], *, linear: bool = False) -> None:
        output_shape = function(torch.zeros(2, *shape)).shape
        if len(output_shape) != 2 or output_shape[0] != 2:
            raise ConfigurationError(
                f"The function returned the shape {tuple(output_shape)} for 2 fields: expected (2, n). Flatten what it returns."
            )
        super().__init__(shape, output_shape[1], linear=linear)
        self.function = function

    def _apply(self, x: Tensor) -> Tensor:
        return self.function(x)


class Observed:
    """y = H(x) + e, e ~ N(0, R): an operator with what it saw. Is an `interfaces.Observation`.

    Arguments:
        operator: H.
        y: (n,), finite.
        covariance: R of size n, in the units of y.

    Raises:
        ConfigurationError: sizes that differ, or values that are not finite.
    """

    def __init__(self, operator: Operator, y: Float[Tensor, " n"], covariance: ErrorCovariance) -> None:
        if tuple(y.shape) != (operator.size,) or covariance.size != operator.size:
            raise ConfigurationError(
                f"Found {tuple(y.shape)} values and a covariance of size {covariance.size} for an operator with "
                f"{operator.size} observations: expected as many of each."
            )
        if not torch.isfinite(y).all():
            raise ConfigurationError("Found observed values that are not finite: leave them out of y, H and R.")
        self.operator, self.y, self.covariance = operator, y, covariance

    @property
    def linear(self) -> bool:
        """Whether H is linear."""
        return self.operator.linear

    def apply(self, x: Float[Tensor, "batch *shape"]) -> Float[Tensor, "batch n"]:
        """H(x)."""
        return self.operator(x)

    def adjoint(
        self, y: Float[Tensor, "batch n"], x: Float[Tensor, "batch *shape"] | None = None
    ) -> Float[Tensor, "batch *shape"]:
        """H' y, see `Operator.adjoint`."""
        return self.operator.adjoint(y, x)

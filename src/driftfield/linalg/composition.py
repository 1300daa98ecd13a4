"""Operators made of operators.

Stack      x -> (H_1 x, H_2 x, ...)                one y of several instruments
Composed   x -> G(H x)                             a function of what is seen at the points: speed, density
Scaled     x -> a H x + b                          other units of the observations
Rescaled   x -> H(offset + scale x)                other units of the field: a normalised one
Decoded    x -> H(D(x))                            any differentiable decoder, such as that of a latent space
Preceded   u -> H(A u)                             a linear map of fields, such as the colour of a noise
"""

__all__ = ["Composed", "Decoded", "Preceded", "Rescaled", "Stack", "in_network_units"]

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from driftfield.errors import ConfigurationError
from driftfield.linalg.operators import Observed, Operator


class Stack(Operator):
    """Several operators on the same field, one behind the other.

    Arguments:
        operators: One or more, of the same shape.
    """

    def __init__(self, operators: Sequence[Operator]) -> None:
        shapes = {operator.shape for operator in operators}
        if len(shapes) != 1:
            raise ConfigurationError(
                f"Found operators on fields of the shapes {sorted(shapes)}: expected one shape. Build them on one grid."
            )
        linear = all(operator.linear for operator in operators)
        super().__init__(shapes.pop(), sum(operator.size for operator in operators), linear=linear)
        self.operators = list(operators)

    def _apply(self, x: Tensor) -> Tensor:
        return torch.cat([operator(x) for operator in self.operators], dim=1)

    def adjoint(self, y: Tensor, x: Tensor | None = None) -> Tensor:
        parts = torch.split(y, [operator.size for operator in self.operators], dim=1)
        pairs = zip(self.operators, parts, strict=True)
        return torch.stack([operator.adjoint(part, x) for operator, part in pairs]).sum(0)


class Composed(Operator):
    """G(H x).

    Arguments:
        outer: G, on vectors (batch, m).
        inner: H, with m observations.
    """

    def __init__(self, outer: Operator, inner: Operator) -> None:
        if outer.shape != (inner.size,):
            raise ConfigurationError(
                f"The outer operator takes {outer.shape}, the inner one gives ({inner.size},): expected the same."
            )
        super().__init__(inner.shape, outer.size, linear=outer.linear and inner.linear)
        self.outer, self.inner = outer, inner

    def _apply(self, x: Tensor) -> Tensor:
        return self.outer(self.inner(x))

    def adjoint(self, y: Tensor, x: Tensor | None = None) -> Tensor:
        seen = None if x is None else self.inner(x)
        return self.inner.adjoint(self.outer.adjoint(y, seen), x)


class Rescaled(Operator):
    """H(offset + scale x): x is normalised, H works on physical units.

    Arguments:
        operator: H.
        scale: Broadcast to the shape of the field; 0 where the field cannot move.
        offset: The same; None for none, which keeps a linear operator linear.
    """

    def __init__(self, operator: Operator, scale: Tensor, offset: Tensor | None = None) -> None:
        super().__init__(operator.shape, operator.size, linear=operator.linear and offset is None)
        self.operator = operator
        # the sums of large numbers are taken in the precision of x, the constants keep theirs until then
        self.scale = torch.broadcast_to(scale, self.shape)
        self.offset = None if offset is None else torch.broadcast_to(offset, self.shape)

    def physical(self, x: Tensor) -> Tensor:
        """The field in the units that H works on."""
        scaled = self.scale.to(x) * x
        return scaled if self.offset is None else self.offset.to(x) + scaled

    def _apply(self, x: Tensor) -> Tensor:
        return self.operator(self.physical(x))

    def adjoint(self, y: Tensor, x: Tensor | None = None) -> Tensor:
        return self.scale.to(y) * self.operator.adjoint(y, None if x is None else self.physical(x))


class Decoded(Operator):
    """H(D(x)) with any differentiable decoder.

    Arguments:
        operator: H.
        decode: D, (batch, *shape) -> (batch, *operator.shape).
        shape: (channel, *space) of what is decoded.
    """

    def __init__(self, operator: Operator, decode: Callable[[Tensor], Tensor], shape: Sequence[int]) -> None:
        super().__init__(shape, operator.size, linear=False)
        self.operator, self.decode = operator, decode

    def _apply(self, x: Tensor) -> Tensor:
        return self.operator(self.decode(x))


class Preceded(Operator):
    """H(A u) with a linear map A of fields onto fields of the same shape.

    Arguments:
        operator: H.
        before: A, (batch, *shape) -> (batch, *shape).
        before_adjoint: A'.
    """

    def __init__(
        self, operator: Operator, before: Callable[[Tensor], Tensor], before_adjoint: Callable[[Tensor], Tensor]
    ) -> None:
        super().__init__(operator.shape, operator.size, linear=operator.linear)
        self.operator, self.before, self.before_adjoint = operator, before, before_adjoint

    def _apply(self, x: Tensor) -> Tensor:
        return self.operator(self.before(x))

    def adjoint(self, y: Tensor, x: Tensor | None = None) -> Tensor:
        return self.before_adjoint(self.operator.adjoint(y, None if x is None else self.before(x)))


def in_network_units(observation: Observed, scale: Tensor, offset: Tensor) -> Observed:
    """The same observation of a normalised field x, where the physical one is offset + scale x.

    Of a linear H the offset is taken off the values, y - H(offset), so that what is left is linear in x, and small numbers
    are not lost beside large ones.

    Arguments:
        observation: Of a field in physical units.
        scale: Standard deviation of a network unit; broadcast to (channel, *space).
        offset: What network unit 0 stands for, the same.
    """
    operator = observation.operator
    if not operator.linear:
        return Observed(Rescaled(operator, scale, offset), observation.y, observation.covariance)
    base = operator(torch.broadcast_to(offset, operator.shape)[None].double())[0]
    y = (observation.y.double() - base).to(observation.y.dtype)
    return Observed(Rescaled(operator, scale), y, observation.covariance)

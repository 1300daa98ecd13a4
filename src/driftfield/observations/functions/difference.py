"""Difference of two variables: what is known of one relative to the other, such as sea and air temperature.

f(a, b) = a - b
"""

__all__ = ["Difference"]

from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from driftfield.observations.functions.base import FunctionOfVariables
from driftfield.registry import register


@register("function", "difference")
class Difference(FunctionOfVariables):
    """`--function contrast=difference:sst,t2m`: the first less the second."""

    most: ClassVar[int] = 2
    relative: ClassVar[bool] = True
    linear: ClassVar[bool] = True

    def __call__(self, values: Float[Tensor, "batch n argument"]) -> Float[Tensor, "batch n"]:
        return values[..., 0] - values[..., 1]

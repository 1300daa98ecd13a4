"""Speed: the length of a vector of two or three components, as scatterometers and anemometers without a vane report it.

f(u, v) = sqrt(u² + v²),       its derivative at rest taken as 0
"""

__all__ = ["Speed"]

from jaxtyping import Float
from torch import Tensor

from driftfield.observations.functions.base import FunctionOfVariables
from driftfield.registry import register


@register("function", "speed")
class Speed(FunctionOfVariables):
    """`--function speed=u,v`: of the components of wind, of a current, of ice drift."""

    def __call__(self, values: Float[Tensor, "batch n argument"]) -> Float[Tensor, "batch n"]:
        squares = values.square().sum(-1)
        moving = squares > 0
        # the root of 0 has no derivative: what is at rest passes on none
        return squares.where(moving, 1.0).sqrt().where(moving, 0.0)

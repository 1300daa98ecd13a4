"""A function of variables: values of each at one place -> the number that was observed there."""

__all__ = ["FunctionOfVariables"]

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from driftfield.errors import ConfigurationError
from driftfield.gridded.units import same_units


class FunctionOfVariables(ABC):
    """One member of the family: stateless, written with torch so that guidance can differentiate it."""

    least: ClassVar[int] = 2
    """Variables that it takes, at the least."""

    most: ClassVar[int] = 3
    """Variables that it takes, at the most."""

    relative: ClassVar[bool] = False
    """Whether the result is a difference, whose units convert without an offset: 1 K is 1 degC then."""

    linear: ClassVar[bool] = False
    """Whether f(a x + b z) = a f(x) + b f(z)."""

    @abstractmethod
    def __call__(self, values: Float[Tensor, "batch n argument"]) -> Float[Tensor, "batch n"]:
        """The number at each place, of the values of its arguments there."""

    def units(self, arguments: Sequence[str]) -> str:
        """Units of the result, of those of the arguments: by default all have the same, and so has the result.

        Raises:
            ConfigurationError: arguments in different units.
        """
        stated = [unit for unit in arguments if unit]
        if stated and not all(same_units(unit, stated[0]) for unit in stated):
            raise ConfigurationError(
                f"{type(self).__name__} is of variables in one unit: found {', '.join(stated)}. Name others."
            )
        return stated[0] if stated else ""

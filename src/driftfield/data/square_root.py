"""Square root of what is not negative, such as rain: less skewed, and 0 stays 0."""

__all__ = ["SquareRoot"]

from collections.abc import Mapping
from typing import Any

from driftfield.data.transformed import Transformed
from driftfield.errors import above_zero
from driftfield.plain import JSONObject
from driftfield.registry import register


@register("normalizer")
class SquareRoot(Transformed):
    """x^(1/2) around another normaliser; x = max(z, 0)^2.

    Arguments:
        of: Class and arguments of what normalises the root; `Standard` by default, each cell by itself.
        least: Below which value an observation error is taken as if it lay there, units of the variable: the root of 0 has no
            slope.
    """

    word = "square root"

    def __init__(self, of: Mapping[str, Any] | None = None, least: float = 0.01) -> None:
        super().__init__(of or {"class": "Standard"})
        self.least = self.tolerance = above_zero("least", least, "a number above 0, in units of the variable")

    def forward(self, values: Any) -> Any:
        """x^(1/2)."""
        return values.clip(min=0.0) ** 0.5

    def inverse(self, values: Any) -> Any:
        """z^2, 0 below 0."""
        return values.clip(min=0.0) ** 2

    def derivative(self, values: Any) -> Any:
        """2 x^(1/2)."""
        return 2.0 * values.clip(min=self.least) ** 0.5

    def describe(self) -> JSONObject:
        """Class and arguments, as a recipe names them."""
        return super().describe() | {"least": self.least}

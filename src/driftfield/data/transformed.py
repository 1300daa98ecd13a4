"""Normalisers of functions of what is positive: their inverse is not affine.

LogTransform    one of the others, of ln(x + floor):  decode(z) = e^(z std + mean_at) - floor
SquareRoot      one of the others, of x^(1/2) (`square_root`)
"""

__all__ = ["LogTransform", "Transformed"]

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np
import xarray as xr

from driftfield.data.normalise import Index, Normalizer, Times, extremes
from driftfield.errors import ConfigurationError, DataError, above_zero
from driftfield.plain import JSONObject
from driftfield.registry import build, register


class Transformed(Normalizer):
    """Another normaliser, of a function of what is not negative; its inverse is not affine.

    Arguments:
        of: Class and arguments of what normalises the transformed values.
    """

    affine = False
    lowest = 0.0
    word: ClassVar[str]
    """What messages call the transform."""
    tolerance: float
    """How far below 0 a training value may lie."""

    def __init__(self, of: Mapping[str, Any]) -> None:
        inner: Normalizer = build("normalizer", of)
        if not inner.affine:
            raise ConfigurationError(
                f"{type(self).__name__} of {type(inner).__name__}: expected one {self.word}. Drop the inner one."
            )
        super().__init__(inner.std_floor)
        self.of = inner

    @abstractmethod
    def forward(self, values: Any) -> Any:
        """The function; values below 0 count as 0.

        Arguments:
            values: Physical units, an array or a tensor.
        """

    @abstractmethod
    def inverse(self, values: Any) -> Any:
        """Its inverse, 0 or above."""

    @abstractmethod
    def derivative(self, values: Any) -> Any:
        """Physical units in a unit of the function.

        Arguments:
            values: Physical units, where it is asked for.
        """

    def fit(self, array: xr.DataArray, domain: xr.DataArray, time_indices: Times, *, vector: bool = False) -> Self:
        """Learns offset and scale of the transformed values; returns itself.

        Raises:
            ConfigurationError: a component of a vector, which has two signs.
            DataError: values too far below 0, or a level without a finite value.
        """
        if vector:
            raise ConfigurationError(f"{array.name!r} is part of a vector pair: it has two signs, and no {self.word}.")
        inside = array.isel(time=np.asarray(time_indices, dtype=int)).where(domain)
        # packing leaves a little less than 0 of a 0
        if (low := float(extremes(inside.transpose("time", ..., "lat", "lon"))[0].min())) < -self.tolerance:
            raise DataError(
                f"{array.name!r} falls to {low:g} in the training split: a {self.word} needs 0 and above. Normalise it by "
                "ZScore or ClimatologicalAnomaly, or correct the archive."
            )
        self.of.fit(array.copy(data=self.forward(array.data)), domain, time_indices)
        self.shape, self.std = self.of.shape, self.of.std
        return self

    def _fit_mean(self, array: xr.DataArray) -> None:
        raise NotImplementedError  # the inner normaliser is fitted as a whole

    def mean_at(self, times: Any, rows: Index = slice(None), cols: Index = slice(None)) -> np.ndarray:
        """The offset of the transformed values."""
        return self.of.mean_at(times, rows, cols)

    def scale_at(self, times: Any, rows: Index = slice(None), cols: Index = slice(None)) -> np.ndarray:
        """The scale of the transformed values."""
        return self.of.scale_at(times, rows, cols)

    def encode(self, values: Any, mean: Any, scale: Any = None) -> Any:
        """Physical -> network units; what errors have brought below 0 counts as 0."""
        return self.of.encode(self.forward(values), mean, scale)

    def decode(self, values: Any, mean: Any, scale: Any = None) -> Any:
        """Network -> physical units, 0 or above; the inverse of `encode` for the same `mean` and `scale`."""
        return self.inverse(self.of.decode(values, mean, scale))

    def slope(self, values: Any, scale: Any = None) -> Any:
        """Physical units in a network unit at given physical values (the delta method)."""
        return self.derivative(values) * self.of.slope(values, scale)

    def describe(self) -> JSONObject:
        """Class and arguments, as a recipe names them."""
        return {"class": type(self).__name__, "of": self.of.describe()}

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Plain numbers for safetensors."""
        return self.of.to_arrays()

    def _restore(self, arrays: Mapping[str, np.ndarray]) -> None:
        super()._restore(arrays)
        self.of._restore(arrays)


@register("normalizer")
class LogTransform(Transformed):
    """Logarithm of a positive variable, such as chlorophyll or precipitation, around another normaliser.

    ln(x + floor) is a logarithm well above the floor and linear well below it, so that 0 has a place of its own. Its inverse is
    not affine: the mean of a decoded ensemble is not the decoded mean.

    Arguments:
        floor: Where the logarithm ends, units of the variable: about the smallest value that can be told from 0.
        of: Class and arguments of what normalises the logarithm; `ClimatologicalAnomaly` by default.
    """

    word = "logarithm"

    def __init__(self, floor: float, of: Mapping[str, Any] | None = None) -> None:
        super().__init__(of or {"class": "ClimatologicalAnomaly"})
        self.floor = self.tolerance = above_zero("floor", floor, "a number above 0, in units of the variable")

    def forward(self, values: Any) -> Any:
        """ln(x + floor)."""
        lifted = values.clip(min=0.0) + self.floor
        return np.log(lifted) if isinstance(lifted, np.ndarray | np.generic | float) else lifted.log()

    def inverse(self, values: Any) -> Any:
        """e^z - floor."""
        # fp32: the exponential of an untrained network's answer overflows beyond 88
        logarithm = values.clip(max=80.0)
        lifted = np.exp(logarithm) if isinstance(logarithm, np.ndarray) else logarithm.exp()
        return (lifted - self.floor).clip(min=0.0)

    def derivative(self, values: Any) -> Any:
        """x + floor."""
        return values.clip(min=0.0) + self.floor

    def describe(self) -> JSONObject:
        """Class and arguments, as a recipe names them."""
        return super().describe() | {"floor": self.floor}

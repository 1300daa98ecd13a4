"""Physical units <-> network units, variable by variable and level by level.

    encode(x) = (x - mean_at(t, rows, cols)) / scale_at(t, rows, cols)        decode(z) = z scale_at + mean_at

    ZScore                    mean_at = mean of the level
    ClimatologicalAnomaly     mean_at = monthly climatology of the cell (or of the domain)
    Bounded                   mean_at, std = middle and half of the range of the level, so that z lies in [-1, 1]
    Standard                  mean_at, scale_at = mean and sd of each cell, of all, or of land and sea, by month (`standard`)
    LogTransform              one of these, of ln(x + floor), for what is positive (`transformed`)
    SquareRoot                one of these, of x^(1/2) (`square_root`)

The two components of a vector have no offset that is the same in every cell, and one scale (of both together), so that a
symmetry of the flow is the same one in network units: (u, v) -> (-v, u) commutes with the coding.

Fitted on training times and domain cells only, area-weighted (cos lat), block by block. The scale is std, a constant per channel,
but of `Standard`: encoding and decoding are plain arithmetic, the same for numpy and torch and inside guidance. An error e
of a value x is e / slope(x) in network units, slope = dx / dz: the scale where the coding is affine, (x + floor) times it of a
logarithm.
"""

__all__ = ["Bounded", "ClimatologicalAnomaly", "Normalizer", "ZScore", "normalizer_from_arrays"]

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Literal, Self

import numpy as np
import xarray as xr

from driftfield.conventions import cell_area, ever_finite
from driftfield.data.climatology import Index, MonthlyClimatology
from driftfield.errors import ConfigurationError, DataError
from driftfield.gridded.encodings import as_dates
from driftfield.gridded.lazy import dates_at_once
from driftfield.plain import JSONObject
from driftfield.registry import build, register

Times = np.ndarray | Sequence[int]
"""Indices along the time axis of an archive."""


class Normalizer(ABC):
    """Offset and scale of one variable; a surface field has one channel, others one per level.

    Arguments:
        std_floor: Smallest standard deviation, as a part of that of the most variable level: a level that never varies
            (water under ice) is not blown up.
    """

    affine: ClassVar[bool] = True
    """Whether physical units are std times network units and an offset, so that means and spreads decode as fields do."""
    lowest: ClassVar[float] = -np.inf
    """What no decoded value falls below."""
    std_floor: float
    std: np.ndarray
    """(channel, 1, 1), float32; of a logarithm in its units."""
    shape: tuple[int, int]
    """Rows and columns of the fitted grid."""

    def __init__(self, std_floor: float = 1e-3) -> None:
        if not 0.0 <= std_floor <= 1.0:
            raise ConfigurationError(f"std_floor is {std_floor}: expected a part from 0 to 1, such as 0.001.")
        self.std_floor = float(std_floor)

    def fit(self, array: xr.DataArray, domain: xr.DataArray, time_indices: Times, *, vector: bool = False) -> Self:
        """Learns offset and scale; returns itself.

        Arguments:
            array: (time, [depth,] lat, lon).
            domain: Where the variable exists: boolean ([depth,] lat, lon).
            time_indices: Times of the training split.
            vector: Whether it is a component of a vector; `share_scale` then joins it with the other.

        Raises:
            DataError: a level without a finite value in the training split.
        """
        array = array.isel(time=np.asarray(time_indices, dtype=int)).where(domain)
        array = array.transpose("time", ..., "lat", "lon")
        self.shape = (array.sizes["lat"], array.sizes["lon"])
        self._fit_mean(array)
        if vector:
            self._drop_uniform_offset()
        scale = self._fit_scale(array)
        floor = max(self.std_floor * float(scale.max(initial=0.0)), 1e-6)
        self.std = np.maximum(scale, floor).astype(np.float32)[:, None, None]
        return self

    def share_scale(self, other: Self) -> None:
        """Gives two fitted components of a vector the scale of both together."""
        self.std = other.std = self._joint(self.std, other.std)

    @abstractmethod
    def _fit_mean(self, array: xr.DataArray) -> None: ...

    def _drop_uniform_offset(self) -> None:
        """Sets what is the same in every cell to 0; where each cell has an offset of its own, the departure from it turns."""
        return

    def _joint(self, one: np.ndarray, other: np.ndarray) -> np.ndarray:
        return np.sqrt(0.5 * (one**2 + other**2))

    def _fit_scale(self, array: xr.DataArray) -> np.ndarray:
        """Standard deviation (channel,) about the mean."""
        return np.sqrt(_moments(array, centre=self._centre)[1])

    def _centre(self, dates: xr.DataArray) -> np.ndarray:
        return self.mean_at(dates)

    @abstractmethod
    def mean_at(self, times: Any, rows: Index = slice(None), cols: Index = slice(None)) -> np.ndarray:
        """The offset on given dates and cells.

        Arguments:
            times: Dates (time,): DataArray, datetime64 or cftime.
            rows: Which latitudes of the fitted grid.
            cols: Which longitudes of the fitted grid.

        Returns:
            (time, channel, lat, lon), float32, finite.
        """

    def scale_at(self, times: Any, rows: Index = slice(None), cols: Index = slice(None)) -> np.ndarray:
        """The scale on given dates and cells, (time, channel, lat, lon) or broadcast to it; arguments as of `mean_at`."""
        return self.std

    def encode(self, values: Any, mean: Any, scale: Any = None) -> Any:
        """Physical -> network units; numpy or torch, (..., channel, lat, lon).

        Arguments:
            values: Physical values.
            mean: From `mean_at`.
            scale: From `scale_at`; std if not given.
        """
        return (values - mean) / self._scale_like(values, scale)

    def decode(self, values: Any, mean: Any, scale: Any = None) -> Any:
        """Network -> physical units; the inverse of `encode` for the same `mean` and `scale`."""
        return values * self._scale_like(values, scale) + mean

    def slope(self, values: Any, scale: Any = None) -> Any:
        """Physical units in a network unit at given physical values, (..., channel, lat, lon) or broadcast to it."""
        return self._scale_like(values, scale)

    def describe(self) -> JSONObject:
        """Class and arguments, as a recipe names them."""
        return {"class": type(self).__name__, "std_floor": self.std_floor}

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Plain numbers for safetensors."""
        return {"std": self.std, "shape": np.array(self.shape)}

    def _restore(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Takes over what `to_arrays` wrote."""
        self.std = np.asarray(arrays["std"])
        self.shape = (int(arrays["shape"][0]), int(arrays["shape"][1]))

    def _scale_like(self, values: Any, scale: Any) -> Any:
        scale = self.std if scale is None else scale
        if isinstance(values, np.ndarray) or not isinstance(scale, np.ndarray):
            return scale
        return values.new_tensor(scale)  # torch, without importing it


class _Constant(Normalizer):
    """Offset is one number per level."""

    level_mean: np.ndarray

    def _drop_uniform_offset(self) -> None:
        self.level_mean = np.zeros_like(self.level_mean)

    def mean_at(self, times: Any, rows: Index = slice(None), cols: Index = slice(None)) -> np.ndarray:
        """The offset of the level, everywhere and at any time (a view, not to be written to)."""
        height, width = (np.arange(size)[index].size for size, index in zip(self.shape, (rows, cols), strict=True))
        shape = (as_dates(times).size, self.level_mean.size, height, width)
        return np.broadcast_to(self.level_mean[None, :, None, None], shape)

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Plain numbers for safetensors."""
        return super().to_arrays() | {"level_mean": self.level_mean}

    def _restore(self, arrays: Mapping[str, np.ndarray]) -> None:
        super()._restore(arrays)
        self.level_mean = np.asarray(arrays["level_mean"])


@register("normalizer")
class ZScore(_Constant):
    """Mean and standard deviation of each level."""

    def _fit_mean(self, array: xr.DataArray) -> None:
        self.level_mean = _moments(array)[0].astype(np.float32)


@register("normalizer")
class Bounded(_Constant):
    """Middle and half of the range of each level: training values lie in [-1, 1]."""

    def _fit_mean(self, array: xr.DataArray) -> None:
        self._low, self._high = extremes(array)
        self.level_mean = self._middle()

    def _middle(self) -> np.ndarray:
        return np.asarray(0.5 * (self._low + self._high), dtype=np.float32)

    def _fit_scale(self, array: xr.DataArray) -> np.ndarray:
        # of a component of a vector, whose middle is 0, the range about it
        return 0.5 * (self._high - self._low) + np.abs(self._middle() - self.level_mean)

    def _joint(self, one: np.ndarray, other: np.ndarray) -> np.ndarray:
        return np.maximum(one, other)


@register("normalizer")
class ClimatologicalAnomaly(Normalizer):
    """Departure from the monthly climatology.

    Arguments:
        per: The climatology of each "cell", or one of the whole "domain" for each level.
        std_floor: As for every normaliser.
    """

    climatology: MonthlyClimatology

    def __init__(self, per: Literal["cell", "domain"] = "cell", std_floor: float = 1e-3) -> None:
        super().__init__(std_floor)
        if per not in ("cell", "domain"):
            raise ConfigurationError(f"per is {per!r}: expected 'cell' or 'domain'.")
        self.per = per

    def _fit_mean(self, array: xr.DataArray) -> None:
        climatology = MonthlyClimatology.fit(array)
        if self.per == "domain":
            existing = ever_finite(array).compute()
            weight = existing * cell_area(array)
            mean = climatology.mean.weighted(weight).mean(["lat", "lon"]).astype(np.float32).fillna(0.0)
            mean = mean.broadcast_like(climatology.mean).transpose(*climatology.mean.dims)
            climatology = replace(climatology, mean=mean, pooled=False)
        self.climatology = climatology

    def _drop_uniform_offset(self) -> None:
        if self.per == "domain":
            self.climatology = replace(self.climatology, mean=xr.zeros_like(self.climatology.mean), trend=None)

    def mean_at(self, times: Any, rows: Index = slice(None), cols: Index = slice(None)) -> np.ndarray:
        at = self.climatology.values_at(times, rows, cols)
        return at if at.ndim == 4 else at[:, None]

    def describe(self) -> JSONObject:
        """Class and arguments, as a recipe names them."""
        return super().describe() | {"per": self.per}

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Plain numbers for safetensors."""
        own = {f"climatology.{key}": value for key, value in self.climatology.to_arrays().items()}
        return super().to_arrays() | own

    def _restore(self, arrays: Mapping[str, np.ndarray]) -> None:
        super()._restore(arrays)
        own = {key.partition(".")[2]: value for key, value in arrays.items() if key.startswith("climatology.")}
        self.climatology = MonthlyClimatology.from_arrays(own)


def normalizer_from_arrays(description: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Normalizer:
    """The fitted normaliser that `describe` and `to_arrays` wrote.

    Raises:
        ConfigurationError: a class or an argument that does not exist.
    """
    normalizer: Normalizer = build("normalizer", description)
    normalizer._restore(arrays)
    return normalizer


def _blocks(array: xr.DataArray) -> Iterator[tuple[xr.DataArray, np.ndarray]]:
    """Dates and values (time, channel, lat, lon) in float64, some times at once."""
    size = dates_at_once(array)
    for start in range(0, array.sizes["time"], size):
        part = array.isel(time=slice(start, start + size))
        values = np.asarray(part.values, dtype=np.float64)
        yield part["time"], values if values.ndim == 4 else values[:, None]


def _moments(array: xr.DataArray, *, centre: Any = None) -> tuple[np.ndarray, np.ndarray]:
    """Area-weighted mean and variance (channel,); the second moment about `centre(dates)` if given.

    Raises:
        DataError: a level without a finite value.
    """
    area = cell_area(array).values.reshape(array.sizes["lat"], -1)
    weight = first = second = np.zeros(1)
    for dates, values in _blocks(array):
        if centre is not None:
            values = values - centre(dates)
        seen = np.isfinite(values)
        w, x = seen * area, np.where(seen, values, 0.0)
        weight, first, second = (
            total + part.sum(axis=(0, 2, 3)) for total, part in ((weight, w), (first, w * x), (second, w * x * x))
        )
    if not np.all(weight > 0):
        lacking = int(np.argmin(weight > 0))
        level = (
            f" at the depth {float(array['depth'][lacking]):g} m" if "depth" in array.coords and weight.size > 1 else ""
        )
        advice = "Leave the level out (data.levels), or give" if level else "Give"
        raise DataError(
            f"{array.name!r} has no finite value{level} in the training split: expected one or more. {advice} the training "
            "split dates or cells that hold some."
        )
    mean = first / weight
    return mean, second / weight if centre is not None else second / weight - mean**2


def extremes(array: xr.DataArray) -> tuple[np.ndarray, np.ndarray]:
    """Smallest and largest value of every level (channel,), of the finite ones.

    Raises:
        DataError: a level without any.
    """
    low: np.ndarray | float = np.inf
    high: np.ndarray | float = -np.inf
    for _, values in _blocks(array):
        low = np.minimum(low, np.where(np.isfinite(values), values, np.inf).min(axis=(0, 2, 3)))
        high = np.maximum(high, np.where(np.isfinite(values), values, -np.inf).max(axis=(0, 2, 3)))
    if not np.all(np.isfinite(low)):
        raise DataError(f"{array.name!r} has a level without a finite value in the training split. Drop that level.")
    return np.asarray(low), np.asarray(high)

"""Mean and standard deviation of each cell, of all, or of land and sea, by groups of dates.

    z = (x - mean_g,c) / sd_g,c            per: cell | domain | land            by: none | hour | month | season

Fitted on training times and domain cells alone, area-weighted. A group of dates that training did not have is an error that
says which, not a guess.
"""

__all__ = ["Standard"]

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from driftfield.conventions import cell_area
from driftfield.data.date_groups import check_by, groups_of, refuse_untrained
from driftfield.data.group_scaling import PER
from driftfield.data.normalise import Index, Normalizer, Times
from driftfield.data.statics import read_land
from driftfield.errors import ConfigurationError, DataError, suggest
from driftfield.gridded.encodings import as_dates
from driftfield.plain import JSONObject
from driftfield.registry import register


@register("normalizer")
class Standard(Normalizer):
    """Offset and scale of a cell, of the domain, or of land and sea; of all dates, or of each hour, month or season.

    Arguments:
        per: Cells that share their numbers: cell, domain, or land (land and sea).
        by: Dates that have numbers of their own: none, hour, month or season.
        land: File with the share of land on any grid that covers the archive, `FILE` or `FILE:VARIABLE`; for per: land.
        std_floor: As for every normaliser, of cells: one of which training shows one value has no variance of its own.
    """

    means: np.ndarray
    """(group, channel, lat, lon)"""
    sds: np.ndarray
    groups: np.ndarray

    def __init__(self, per: str = "cell", by: str = "none", land: str | None = None, std_floor: float = 0.05) -> None:
        super().__init__(std_floor)
        if per not in PER:
            raise ConfigurationError(f"per is {per!r}: {suggest(str(per), PER)}")
        if (land is None) == (per == "land"):
            raise ConfigurationError(
                f"Found per: {per} and land: {land!r}: expected a file under 'land' with per: land, and with nothing else."
            )
        self.per, self.by, self.land = per, check_by(by), land

    def fit(
        self, array: xr.DataArray, domain: xr.DataArray, time_indices: Times, *, vector: bool = False
    ) -> "Standard":
        """Learns the numbers; returns itself.

        Raises:
            DataError: a level without a finite value in the training split, or a land file that does not cover the grid.
        """
        array = array.isel(time=np.asarray(time_indices, dtype=int)).where(domain).transpose("time", ..., "lat", "lon")
        self.shape = (array.sizes["lat"], array.sizes["lon"])
        classes = self._classes(array)
        group = groups_of(as_dates(array["time"]), self.by)
        self.groups = np.unique(group)
        area = cell_area(array).values.reshape(array.sizes["lat"], -1) * np.ones(self.shape)
        weight, total = self._summed(array, group, area, None)
        lacking = np.flatnonzero(weight.sum(axis=(0, 2, 3)) == 0)
        if lacking.size:
            raise DataError(
                f"{array.name!r} has no finite value in {lacking.size} level(s) of the training split: expected one or more. "
                "Leave the level out (data.levels), or give the training split dates or cells that hold some."
            )
        weight, total = (_pooled(part, classes) for part in (weight, total))
        known = weight > 0
        means = np.where(known, total / np.where(known, weight, 1.0), 0.0)
        level = means.sum(axis=(0, 2, 3)) / known.sum(axis=(0, 2, 3))
        self.means = np.where(known, means, level[:, None, None]).astype(np.float32)
        if vector and self.per != "cell":
            self.means = np.zeros_like(self.means)
        _, square = self._summed(array, group, area, self.means)
        variance = np.where(known, _pooled(square, classes) / np.where(known, weight, 1.0), np.nan)
        self._set_scale(np.sqrt(variance))
        return self

    def _set_scale(self, sds: np.ndarray) -> None:
        """Of (group, channel, lat, lon); a cell that hardly varies has the floor, one that is NaN the scale of its level."""
        typical = np.sqrt(np.nanmean(sds**2, axis=(0, 2, 3)))
        sds = np.where(np.isfinite(sds), sds, typical[:, None, None])
        # many cells together vary; land must not have a say in what the sea is divided by
        part = self.std_floor if self.per == "cell" else 0.0
        floor = max(part * float(typical.max(initial=0.0)), 1e-6)
        self.sds = np.maximum(sds, floor).astype(np.float32)
        self.std = np.maximum(typical, floor).astype(np.float32)[:, None, None]

    def _fit_mean(self, array: xr.DataArray) -> None:
        raise NotImplementedError  # offset and scale are fitted together

    def _classes(self, array: xr.DataArray) -> np.ndarray:
        """Number of the class of every cell (lat, lon)."""
        if self.per == "cell":
            return np.arange(self.shape[0] * self.shape[1]).reshape(self.shape)
        if self.per == "domain":
            return np.zeros(self.shape, dtype=int)
        return read_land(str(self.land), array.to_dataset(name="field")).astype(int)

    def _summed(
        self, array: xr.DataArray, group: np.ndarray, area: np.ndarray, means: np.ndarray | None, size: int = 64
    ) -> tuple[np.ndarray, np.ndarray]:
        """Weights and weighted sums by group (group, channel, lat, lon): of values, or of squared departures."""
        channels = array.sizes.get("depth", 1)
        weight, total = np.zeros((2, self.groups.size, channels, *self.shape))
        for start in range(0, group.size, size):
            values = np.asarray(array.isel(time=slice(start, start + size)).values, dtype=np.float64)
            values = values.reshape(len(values), channels, *self.shape)
            for place, number in enumerate(self.groups):
                part = values[group[start : start + size] == number]
                known = np.isfinite(part)
                x = np.where(known, part if means is None else (part - means[place]) ** 2, 0.0)
                weight[place] += known.sum(axis=0) * area
                total[place] += x.sum(axis=0) * area
        return weight, total

    def share_scale(self, other: Normalizer) -> None:
        """Gives two fitted components of a vector the scale of both together, cell by cell."""
        if not isinstance(other, Standard):
            raise ConfigurationError("The components of a vector need one normaliser: name Standard for both.")
        joint = np.sqrt(0.5 * (self.sds**2 + other.sds**2))
        self._set_scale(joint)
        other._set_scale(joint)

    def _places(self, times: Any) -> np.ndarray:
        numbers = groups_of(as_dates(times), self.by)
        return np.array(
            [refuse_untrained(int(n), self.groups, self.by, type(self).__name__) for n in numbers], dtype=int
        )

    def mean_at(self, times: Any, rows: Index = slice(None), cols: Index = slice(None)) -> np.ndarray:
        """The offset (time, channel, lat, lon).

        Raises:
            DataError: a date of an hour, month or season that training did not have.
        """
        return self.means[self._places(times)][:, :, rows][:, :, :, cols]

    def scale_at(self, times: Any, rows: Index = slice(None), cols: Index = slice(None)) -> np.ndarray:
        """The scale (time, channel, lat, lon); raises as `mean_at`."""
        return self.sds[self._places(times)][:, :, rows][:, :, :, cols]

    def describe(self) -> JSONObject:
        """Class and arguments, as a recipe names them."""
        return super().describe() | {"per": self.per, "by": self.by, "land": self.land}

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Plain numbers for safetensors."""
        return super().to_arrays() | {"means": self.means, "sds": self.sds, "groups": self.groups.astype(np.int64)}

    def _restore(self, arrays: Mapping[str, np.ndarray]) -> None:
        super()._restore(arrays)
        self.means, self.sds, self.groups = (np.asarray(arrays[key]) for key in ("means", "sds", "groups"))


def _pooled(sums: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Sums (group, channel, lat, lon) over all cells of a class, in every one of them."""
    flat = sums.reshape(-1, classes.size)
    numbers = classes.ravel()
    if numbers.size == numbers.max() + 1 and np.array_equal(numbers, np.arange(numbers.size)):
        return sums
    return np.stack([np.bincount(numbers, row)[numbers] for row in flat]).reshape(sums.shape)

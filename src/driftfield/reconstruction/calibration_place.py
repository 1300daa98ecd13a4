"""Where on the map a method errs by more, or less, than it says: a factor of the spread for every cell of a level.

    A(x)^2 = (sum K e^2 / s + k u) / (sum K (1 + 1/M) s + k u)          s' = A s

e is the error of a hidden cell and s its stated spread; the sums run over the hidden cells of all validation dates, with a
Gaussian kernel K of a cell or two around x; u is the median over cells of what one date adds to the denominator, so that k
counts dates that say "as stated". A covariance, or a network's idea of one, is much the same from place to place; errors at an
ice edge, along a coast or in a strait are not, and a few such cells can hold most of the squared error of an ocean.

k and the width of K are chosen by the Gaussian log score of dates that were left out; the map is left out altogether unless it is
better there by more than chance.
"""

__all__ = ["Choice", "PlaceMap", "PlaceSums", "choose_place", "place_folds"]

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from scipy.ndimage import gaussian_filter

from driftfield.plain import JSONObject

DATES = (3.0, 10.0, 30.0)
"""Candidates for k."""
WIDTHS = (0.7, 2.0)
"""Candidates for the standard deviation of K, cells."""
MOST = 8.0
"""Largest factor, and 1 / MOST the smallest."""
FOLDS, LEAST = 4, 6
"""Parts that the dates are cut into, and how many dates there have to be."""
DOUBT = 2.0
"""Standard errors over dates by which a map must be better than none."""

Choice = tuple[float, float]
"""k and the width of K."""


@dataclass(frozen=True)
class PlaceSums:
    """What the hidden cells of the validation dates add up to at one level.

    Arguments:
        error: e^2 / s (date, lat, lon); 0 where nothing was hidden.
        stated: (1 + 1/M) s (date, lat, lon).
        time: Which date (date), integers.
        periodic: Whether longitude wraps.
    """

    error: np.ndarray
    stated: np.ndarray
    time: np.ndarray
    periodic: bool

    @classmethod
    def of(
        cls, error: np.ndarray, sd: np.ndarray, judged: np.ndarray, *, size: int, time: int, periodic: bool
    ) -> "PlaceSums":
        """Of one date.

        Arguments:
            error, sd: Truth less mean, and what is stated of it (lat, lon), physical units.
            judged: Which cells were hidden (lat, lon).
            size: How many members made the mean, 0 where it does not come from members.
            time, periodic: As of the class.
        """
        judged = judged & (sd > 0)
        s = np.where(judged, sd, 1.0)
        over = np.where(judged, error**2 / s, 0.0)
        stated = np.where(judged, (1 + (1 / size if size else 0)) * s, 0.0)
        return cls(over[None].astype(np.float32), stated[None].astype(np.float32), np.array([time]), periodic)

    @classmethod
    def join(cls, parts: "Sequence[PlaceSums]") -> "PlaceSums":
        """All dates in one."""
        error, stated, time = (
            np.concatenate([getattr(part, n) for part in parts]) for n in ("error", "stated", "time")
        )
        return cls(error, stated, time, parts[0].periodic)

    def at(self, dates: np.ndarray) -> "PlaceSums":
        """A part of the dates, by mask or index."""
        return PlaceSums(self.error[dates], self.stated[dates], self.time[dates], self.periodic)

    def factor(self, choice: Choice | None) -> np.ndarray:
        """A (lat, lon); 1 everywhere without a choice."""
        if choice is None or not self.stated.any():
            return np.ones(self.error.shape[1:])
        dates, width = choice
        error, stated = (self._around(part, width) for part in (self.error, self.stated))
        unit = dates * np.median(stated[self.stated.any(axis=0)]) / len(self.time)
        return np.sqrt(np.clip((error + unit) / (stated + unit), MOST**-2, MOST**2))

    def log_score(self, factor: np.ndarray) -> np.ndarray:
        """log A + e^2 / (2 (1 + 1/M) A^2 s^2) over the hidden cells, a mean a date (date)."""
        hidden = self.stated > 0
        # error and stated are e^2 / s and (1 + 1/M) s: their ratio is the square of the standardised error
        squares = np.divide(self.error, self.stated, out=np.zeros_like(self.error), where=hidden)
        score = np.where(hidden, np.log(factor) + squares / (2 * factor**2), 0.0)
        return score.sum(axis=(1, 2)) / np.maximum(hidden.sum(axis=(1, 2)), 1)

    def _around(self, sums: np.ndarray, width: float) -> np.ndarray:
        """K * sums over all dates."""
        modes = ("constant", "wrap" if self.periodic else "constant")
        return gaussian_filter(sums.sum(axis=0, dtype=np.float64), width, mode=modes)


def choose_place(levels: "Sequence[PlaceSums]") -> Choice | None:
    """k and width of a variable, by dates that were left out; None where no map is better than none by more than chance.

    Arguments:
        levels: What its levels add up to.
    """
    dates = np.unique(np.concatenate([sums.time for sums in levels]))
    if len(dates) < LEAST:
        return None
    none = _left_out(levels, None, dates)
    best: Choice | None = None
    least = none
    for choice in [(k, width) for k in DATES for width in WIDTHS]:
        score = _left_out(levels, choice, dates)
        if score.mean() < least.mean():
            best, least = choice, score
    better = none - least
    return best if better.mean() > DOUBT * better.std(ddof=1) / np.sqrt(len(dates)) else None


def place_folds(dates: np.ndarray) -> list[np.ndarray]:
    """Blocks of dates that are left out in turn."""
    return np.array_split(np.unique(dates), min(FOLDS, len(np.unique(dates))))


def _left_out(levels: "Sequence[PlaceSums]", choice: Choice | None, dates: np.ndarray) -> np.ndarray:
    """Log score of every date under the map of the other blocks of dates, a mean over the levels (date)."""
    total, seen = np.zeros(len(dates)), np.zeros(len(dates))
    for sums in levels:
        for fold in place_folds(dates):
            out = np.isin(sums.time, fold)
            if out.all() or not out.any():
                continue
            here = np.searchsorted(dates, sums.time[out])
            np.add.at(total, here, sums.at(out).log_score(sums.at(~out).factor(choice)))
            np.add.at(seen, here, 1)
    return total / np.maximum(seen, 1)


@dataclass(frozen=True, eq=False)
class PlaceMap:
    """The factors of one variable.

    Arguments:
        factor: A ([depth,] lat, lon), with the coordinates of the run.
        dates: k.
        width: Of K, cells.
    """

    factor: xr.DataArray
    dates: float
    width: float

    def on(self, field: xr.DataArray) -> xr.DataArray:
        """A on the cells of a field ([depth,] lat, lon); 1 where the run has no such cell."""
        factor = self.factor
        for name in (dim for dim in factor.dims if dim in field.dims):
            known, wanted = factor[name].values, field[name].values
            if known.shape == wanted.shape and np.allclose(known, wanted):
                factor = factor.assign_coords({name: wanted})
                continue
            step = np.abs(np.diff(known)).min() if known.size > 1 else 1.0
            factor = factor.sortby(name).reindex(
                {name: wanted}, method="nearest", tolerance=0.01 * step, fill_value=1.0
            )
        return factor.transpose(*(dim for dim in field.dims if dim in factor.dims))

    def __eq__(self, other: object) -> bool:
        """The same factors on the same cells."""
        return isinstance(other, PlaceMap) and self.facts() == other.facts() and self.factor.identical(other.factor)

    def level(self, index: int) -> np.ndarray:
        """A of one level (lat, lon)."""
        return self.factor.values[index] if "depth" in self.factor.dims else self.factor.values

    def facts(self) -> JSONObject:
        """What `run.json` says of it."""
        return {"dates": self.dates, "width": self.width, "dims": [str(dim) for dim in self.factor.dims]}

    def arrays(self, name: str) -> dict[str, np.ndarray]:
        """Factor and coordinates, by their names in a run."""
        coordinates = {f"place.{name}.{dim}": np.asarray(self.factor[dim].values, float) for dim in self.factor.dims}
        return coordinates | {f"place.{name}": self.factor.values.astype(np.float32)}

    @classmethod
    def of_run(cls, facts: Mapping[str, Any], arrays: Mapping[str, np.ndarray], name: str) -> "PlaceMap":
        """What `facts` and `arrays` gave; raises KeyError where a part is missing."""
        coordinates = {dim: arrays[f"place.{name}.{dim}"] for dim in facts["dims"]}
        factor = xr.DataArray(arrays[f"place.{name}"].astype(np.float64), coordinates, tuple(facts["dims"]))
        return cls(factor, float(facts["dates"]), float(facts["width"]))

"""Where on the map a method errs by more than it says: a variance for every cell of a level that it does not know of.

    s'^2 = s^2 + v(x) / c          v(x) = max(0, sum_y K(x - y) n_y v_y) / (k + sum_y K(x - y) n_y)
                                   v_y = sum_t w (e^2 - c s^2) / sum_t w          w = (c s^2 + v)^-2, c = 1 + 1/M

e is the error of a cell y that was hidden at n_y validation dates t, s its stated spread, M the size of the ensemble that made
its mean, K a Gaussian kernel of a cell or two, k a number of dates that find nothing. v_y is the moment estimate of a variance
that is added, weighted as Gaussian errors want it.

A covariance, or a network's idea of one, is much the same from place to place; what it cannot resolve at an ice edge, along a
coast or in a strait is not, and a few such cells can hold most of the squared error of an ocean. A factor in place of a variance
made spreads too large wherever little is seen.

k and the width of K have the least CRPS of a normal error at dates that were left out. There is no map at all where the stated
spread has less, or where the map's log score is not better by more than chance.
"""

__all__ = [
    "ARRAYS",
    "Choice",
    "PlaceMap",
    "PlaceRecord",
    "PlaceSums",
    "choose_place",
    "of_size",
    "place_folds",
    "widened",
]

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from scipy.ndimage import gaussian_filter

from driftfield.gaussian.tuning import gaussian_crps
from driftfield.plain import JSONObject

DATES = (1.0, 3.0, 10.0, 30.0)
"""Candidates for k."""
WIDTHS = (0.5, 0.7, 1.5)
"""Candidates for the standard deviation of K, cells."""
MOST = 8.0
"""Largest factor by which a spread is widened: members, too, are moved apart by it."""
TURNS = 4
"""Rounds of weights and variance."""
FOLDS, LEAST = 4, 6
"""Parts that the dates are cut into, and how many dates there have to be."""
DOUBT = 2.0
"""Standard errors over dates by which a map must be better than none."""

ARRAYS = "place."
"""How the arrays of a run begin that are of its maps."""

Choice = tuple[float, float]
"""k and the width of K."""


@dataclass(frozen=True)
class PlaceSums:
    """Errors and spreads of the hidden cells of the validation dates at one level.

    Arguments:
        error: e^2 (date, lat, lon); 0 where nothing was hidden.
        stated: c s^2 (date, lat, lon); 0 there, too.
        time: Which date (date), integers.
        size: How many members made the mean, 0 where it does not come from members.
        periodic: Whether longitude wraps.
    """

    error: np.ndarray
    stated: np.ndarray
    time: np.ndarray
    size: int
    periodic: bool

    @classmethod
    def of(
        cls, error: np.ndarray, sd: np.ndarray, judged: np.ndarray, *, size: int, time: int, periodic: bool
    ) -> "PlaceSums":
        """Of one date.

        Arguments:
            error, sd: Truth less mean, and what is stated of it (lat, lon), physical units.
            judged: Which cells were hidden (lat, lon).
            size, time, periodic: As of the class.
        """
        judged = judged & (sd > 0)
        error, stated = (np.where(judged, part, 0.0).astype(np.float32) for part in (error**2, of_size(size) * sd**2))
        return cls(error[None], stated[None], np.array([time]), size, periodic)

    def at(self, dates: np.ndarray) -> "PlaceSums":
        """A part of the dates, by mask or index."""
        return replace(self, error=self.error[dates], stated=self.stated[dates], time=self.time[dates])

    def variance(self, choice: Choice | None) -> np.ndarray:
        """v / c (lat, lon), which is added to s^2; 0 everywhere without a choice."""
        judged = self.stated > 0
        variance = np.zeros(self.error.shape[1:])
        if choice is None or not judged.any():
            return variance
        dates, width = choice
        floor = 1e-3 * float(np.median(self.stated[judged]))
        count = judged.sum(axis=0)
        around = self._around(count, width)
        share = np.divide(1.0, around + dates, out=np.zeros_like(around), where=around > 0)
        for _ in range(TURNS):
            weight = np.where(judged, (self.stated + variance + floor) ** -2.0, 0.0)
            excess, total = ((weight * part).sum(axis=0, dtype=np.float64) for part in (self.error - self.stated, 1.0))
            # of every cell by itself first: weights of different cells would let the quiet ones speak for their neighbours
            of_cells = count * np.divide(excess, total, out=np.zeros_like(total), where=count > 0)
            variance = np.maximum(share * self._around(of_cells, width), 0)
        return variance / of_size(self.size)

    def scores(self, variance: np.ndarray) -> np.ndarray:
        """CRPS and log score of N(0, c (s^2 + v)) at the hidden cells, means a date (score, date)."""
        hidden = self.stated > 0
        stated = np.sqrt(np.where(hidden, self.stated, 1.0))
        sd = stated * widened(stated / np.sqrt(of_size(self.size)), variance)
        both = np.stack([gaussian_crps(np.sqrt(self.error), sd), np.log(sd) + self.error / sd**2 / 2])
        return np.where(hidden, both, 0.0).sum(axis=(2, 3)) / np.maximum(hidden.sum(axis=(1, 2)), 1)

    def _around(self, part: np.ndarray, width: float) -> np.ndarray:
        """K * part."""
        modes = ("constant", "wrap" if self.periodic else "constant")
        return gaussian_filter(part.astype(np.float64), width, mode=modes)


class PlaceRecord:
    """The sums of one level, on disk date by date, so that the levels of a large ocean need not be in memory together.

    Arguments:
        folder: Where its two files grow, which is somebody else's to remove.
        name: Of the files.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self.files = {part: folder / f"{name}.{part}" for part in ("error", "stated")}
        self.times: list[int] = []
        self.last: PlaceSums | None = None

    def add(self, sums: PlaceSums) -> None:
        """Of one date more."""
        for part, file in self.files.items():
            with file.open("ab") as stream:
                vars(sums)[part].astype(np.float32).tofile(stream)
        self.times += sums.time.tolist()
        self.last = replace(sums, error=sums.error[:0], stated=sums.stated[:0])

    def read(self) -> PlaceSums:
        """All dates; what is not looked at stays on disk."""
        assert self.last is not None
        shape = (len(self.times), *self.last.error.shape[1:])
        error, stated = (np.memmap(file, np.float32, "r", shape=shape) for file in self.files.values())
        return replace(self.last, error=error, stated=stated, time=np.array(self.times))


def widened(sd: np.ndarray, variance: np.ndarray) -> np.ndarray:
    """A = (1 + v / s^2)^(1/2), at most `MOST`; 1 where there is no spread: what is known stays known."""
    known = ~(sd > 0)
    return np.where(known, 1.0, np.minimum(np.sqrt(1 + variance / np.where(known, 1.0, sd) ** 2), MOST))


def of_size(size: int) -> float:
    """c = 1 + 1/M: squared error over variance of an honest ensemble; 1 where the mean does not come from members."""
    return 1 + (1 / size if size else 0.0)


def choose_place(levels: "Collection[PlaceSums]") -> Choice | None:
    """k and width of a variable, by dates that were left out; None where no map is better than none by more than chance.

    Arguments:
        levels: What its levels add up to.
    """
    dates = np.unique(np.concatenate([sums.time for sums in levels]))
    if len(dates) < LEAST:
        return None
    none = _left_out(levels, None, dates)
    maps = {choice: _left_out(levels, choice, dates) for choice in product(DATES, WIDTHS)}
    best = min(maps, key=lambda choice: maps[choice][0].mean())
    crps, better = maps[best][0].mean() - none[0].mean(), none[1] - maps[best][1]
    clear = better.mean() > DOUBT * better.std(ddof=1) / np.sqrt(len(dates))
    return best if crps < 0 and clear else None


def place_folds(dates: np.ndarray) -> list[np.ndarray]:
    """Blocks of dates that are left out in turn."""
    return np.array_split(np.unique(dates), min(FOLDS, len(np.unique(dates))))


def _left_out(levels: "Collection[PlaceSums]", choice: Choice | None, dates: np.ndarray) -> np.ndarray:
    """Scores of every date under the map of the other blocks of dates, a mean over the levels (score, date)."""
    total, seen = np.zeros((2, len(dates))), np.zeros(len(dates))
    for sums in levels:
        # levels of another size count alike
        scale = np.array([[np.sqrt(sums.stated[sums.stated > 0].mean())], [1.0]]) if sums.stated.any() else 1.0
        for fold in place_folds(dates):
            out = np.isin(sums.time, fold)
            if out.all() or not out.any():
                continue
            here = np.searchsorted(dates, sums.time[out])
            np.add.at(total.T, here, (sums.at(out).scores(sums.at(~out).variance(choice)) / scale).T)
            np.add.at(seen, here, 1)
    return total / np.maximum(seen, 1)


@dataclass(frozen=True, eq=False)
class PlaceMap:
    """The variances of one variable.

    Arguments:
        variance: v ([depth,] lat, lon), with the coordinates of the run, units squared.
        dates: k.
        width: Of K, cells.
    """

    variance: xr.DataArray
    dates: float
    width: float

    def on(self, field: xr.DataArray) -> xr.DataArray:
        """v on the cells of a field ([depth,] lat, lon); 0 where the run has no such cell."""
        variance = self.variance
        for name in (dim for dim in variance.dims if dim in field.dims):
            known, wanted = variance[name].values, field[name].values
            if known.shape == wanted.shape and np.allclose(known, wanted):
                variance = variance.assign_coords({name: wanted})
                continue
            step = np.abs(np.diff(known)).min() if known.size > 1 else 1.0
            variance = variance.sortby(name).reindex(
                {name: wanted}, method="nearest", tolerance=0.01 * step, fill_value=0.0
            )
        return variance.transpose(*(dim for dim in field.dims if dim in variance.dims))

    def __eq__(self, other: object) -> bool:
        """The same variances on the same cells."""
        return isinstance(other, PlaceMap) and self.facts() == other.facts() and self.variance.identical(other.variance)

    def level(self, index: int) -> np.ndarray:
        """v of one level (lat, lon)."""
        return self.variance.values[index] if "depth" in self.variance.dims else self.variance.values

    def facts(self) -> JSONObject:
        """What `run.json` says of it."""
        return {"dates": self.dates, "width": self.width, "dims": [str(dim) for dim in self.variance.dims]}

    def arrays(self, name: str) -> dict[str, np.ndarray]:
        """Variance and coordinates, by their names in a run."""
        coordinates = {
            f"{ARRAYS}{name}.{dim}": np.asarray(self.variance[dim].values, float) for dim in self.variance.dims
        }
        return coordinates | {f"{ARRAYS}{name}": self.variance.values.astype(np.float32)}

    @classmethod
    def of_run(cls, facts: Mapping[str, Any], arrays: Mapping[str, np.ndarray], name: str) -> "PlaceMap":
        """What `facts` and `arrays` gave; raises KeyError where a part is missing."""
        coordinates = {dim: arrays[f"{ARRAYS}{name}.{dim}"] for dim in facts["dims"]}
        variance = xr.DataArray(arrays[f"{ARRAYS}{name}"].astype(np.float64), coordinates, tuple(facts["dims"]))
        return cls(variance, float(facts["dates"]), float(facts["width"]))

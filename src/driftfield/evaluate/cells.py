"""The cells that count, gathered flat: from (member, time, depth, lat, lon) with masks to (member, cell) without.

    truth, mean, sd, members, area, similarity   --level by level, only the scored cells-->   ScoredCells   -->  {score:
    value}

Only scored cells stay in memory, once, and some dates of one level are read at a time, so that a large file is never loaded
whole.
"""

__all__ = ["ScoredCells", "Picker", "cells_of", "level_key", "level_keys", "level_slice"]

from collections.abc import Sequence
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import Any

import numpy as np
import xarray as xr

from driftfield.conventions import cell_area
from driftfield.evaluate.scores import deterministic, ensembles
from driftfield.evaluate.scores.counted import masked_mean
from driftfield.evaluate.scores.score import Score, all_scores

AT_A_TIME = 2**26
"""Bytes of a variable that are read at a time."""


def level_key(depth: float) -> str:
    """A depth in metres as it appears in score files: "5", "120.5"."""
    return f"{depth:.3f}".rstrip("0").rstrip(".")


def level_keys(field: xr.DataArray) -> list[str | None]:
    """The keys of a field's levels; a surface field has the one level None."""
    return [level_key(float(depth)) for depth in field["depth"]] if "depth" in field.dims else [None]


def level_slice(array: xr.DataArray, index: int) -> xr.DataArray:
    """One level of an array, or the array itself where it has none, as (..., time, lat, lon)."""
    array = array.isel(depth=index, drop=True) if "depth" in array.dims else array
    return array.transpose(..., "time", "lat", "lon", missing_dims="ignore")


def cells_of(truth: xr.DataArray, where: xr.DataArray, index: int) -> np.ndarray:
    """Cells of one level that are in `where` and known to the truth: (time, lat, lon)."""
    known = level_slice(truth, index).notnull()
    return (level_slice(where, index) & known).transpose("time", "lat", "lon").values


@dataclass(frozen=True)
class ScoredCells:
    """The scored cells of one method and one variable.

    Arguments:
        truth: (cell).
        mean: (cell).
        similarity: Local structural similarity (cell).
        weights: (cell), or None where all count alike.
        members: (member, cell), or None where there is one only.
        sd: (cell), or None where the file has none.
        lower, upper: Ends of a stated interval (cell), or None where the file has none.
    """

    truth: xr.DataArray
    mean: xr.DataArray
    similarity: xr.DataArray
    weights: xr.DataArray | None
    members: xr.DataArray | None
    sd: xr.DataArray | None
    lower: xr.DataArray | None = None
    upper: xr.DataArray | None = None

    def at(self, chosen: np.ndarray | slice) -> "ScoredCells":
        """Some of the cells, by index or mask; those of a slice are not copied."""
        picked: dict[str, Any] = {}
        for column in fields(self):
            value = getattr(self, column.name)
            picked[column.name] = None if value is None else value.isel(cell=chosen)
        return ScoredCells(**picked)

    def mean_score(self, name: str, kind: str) -> float:
        """One score of these cells; NaN where the answer has none."""
        value = self._value(name, all_scores()[name], kind)
        return float("nan") if value is None else float(value)

    @property
    def kind(self) -> str:
        """What the answer is: an "ensemble", a "gaussian" (mean and sd), or "deterministic"."""
        if self.members is not None and bool((self.members != self.members.isel(member=0)).any()):
            return "ensemble"
        if self.members is None and self.sd is not None and bool((self.sd > 0).any()):
            return "gaussian"
        return "deterministic"

    def holes(self) -> int:
        """How many cells lack their mean, a member, or (without members) their sd."""
        missing = self.mean.isnull()
        if self.members is not None:
            missing = missing | self.members.isnull().any("member")
        elif self.sd is not None:
            missing = missing | self.sd.isnull()
        return int(missing.sum())

    def scores(self, kind: str) -> dict[str, object]:
        """Every score as JSON knows it: a finite float or None, and `n`."""
        of_cells = {name: score for name, score in all_scores().items() if score.kinds != ("fields",)}
        found = {name: self._value(name, score, kind) for name, score in of_cells.items()}
        numbers: dict[str, object] = {
            name: float(value) if value is not None and np.isfinite(value) else None for name, value in found.items()
        }
        return {**numbers, **self._interval(), "n": int(self.truth.size), "spread_bins": self._spread_bins(kind)}

    def _value(self, name: str, score: Score, kind: str) -> xr.DataArray | None:
        """One score; None where the answer is of a kind that has none."""
        w = self.weights
        if name == "ssim":  # cells have lost their neighbours: gathered beside them
            return masked_mean(self.similarity, self.truth.notnull(), weights=w)
        if kind == "ensemble" and self.members is not None and score.ensemble is not None:
            return score.ensemble(self.members, self.truth, weights=w)
        if kind == "gaussian" and self.sd is not None and score.gaussian is not None:
            return score.gaussian(self.mean, self.sd, self.truth, weights=w)
        return None if score.deterministic is None else score.deterministic(self.mean, self.truth, weights=w)

    def bins(self, kind: str) -> xr.Dataset | None:
        """Spread and error in five bins of spread, None without a spread."""
        if kind == "ensemble" and self.members is not None:
            return ensembles.spread_skill_bins(self.members, self.truth, weights=self.weights)
        if kind == "gaussian" and self.sd is not None:
            return ensembles.spread_skill_bins_gaussian(self.mean, self.sd, self.truth, weights=self.weights)
        return None

    def _spread_bins(self, kind: str) -> dict[str, list[float | None]] | None:
        """`bins` as JSON knows them."""
        table = self.bins(kind)
        if table is None:
            return None
        return {str(c): [float(v) if np.isfinite(v) else None for v in table[c].values] for c in table}

    def _interval(self) -> dict[str, object]:
        """How often a stated interval holds the truth, and how wide it is; nothing where none is stated."""
        if self.lower is None or self.upper is None:
            return {}
        known = self.truth.notnull()
        inside = ((self.truth >= self.lower) & (self.truth <= self.upper)).astype(np.float64)
        return {
            "interval_coverage": float(masked_mean(inside, known, weights=self.weights)),
            "interval_width": float(masked_mean(self.upper - self.lower, known, weights=self.weights)),
        }


class Picker:
    """Gathers the cells of one reconstruction, level by level.

    Arguments:
        truth: (time, [depth,] lat, lon).
        output: The reconstruction, on the same coordinates.
        name: The variable.
        domain: ([depth,] lat, lon).
        area_weighted: Whether cells get the cosine of their latitude as weight.
    """

    def __init__(
        self, truth: xr.DataArray, output: xr.Dataset, name: str, domain: xr.DataArray, *, area_weighted: bool
    ) -> None:
        self.truth, self.output, self.name, self.domain = truth, output, name, domain
        self.area_weighted = area_weighted

    def pool(self, masks: Sequence[np.ndarray]) -> tuple[ScoredCells, list[slice]]:
        """The cells of all levels in one, and where those of each level lie: an ensemble is in memory once.

        Arguments:
            masks: (time, lat, lon) of every level.
        """
        ends = np.cumsum([0, *(int(mask.sum()) for mask in masks)])
        places = [slice(int(first), int(last)) for first, last in pairwise(ends)]
        whole: dict[str, Any] = {}
        for index, place in enumerate(places):
            if place.start == place.stop:
                continue
            part = self(index, masks[index])
            if place.stop - place.start == ends[-1]:  # the only level: nothing to join
                return part, places
            for column in fields(part):
                value = getattr(part, column.name)
                if value is None:
                    whole[column.name] = None
                    continue
                if column.name not in whole:
                    room = np.empty((*value.shape[:-1], ends[-1]), value.dtype)
                    whole[column.name] = xr.DataArray(room, dims=value.dims)
                whole[column.name].values[..., place] = value.values
        return ScoredCells(**whole), places

    def __call__(self, index: int, mask: np.ndarray) -> ScoredCells:
        """The cells of `mask` (time, lat, lon) at one level."""

        def flat(array: xr.DataArray) -> xr.DataArray:
            picked = _picked(level_slice(array, index), mask)
            return xr.DataArray(picked, dims=("member", "cell")[-picked.ndim :])

        true = level_slice(self.truth, index).load()
        mean = level_slice(self.output[self.name], index).load()
        inside = level_slice(self.domain, index) & true.notnull() & mean.notnull()
        members, sd, lower, upper = (
            self.output.get(f"{self.name}_{part}") for part in ("member", "sd", "lower", "upper")
        )
        area = cell_area(true).broadcast_like(true)
        return ScoredCells(
            truth=flat(true),
            mean=flat(mean),
            similarity=flat(deterministic.ssim_map(mean, true, domain=inside)),
            weights=flat(area.transpose(*true.dims)) if self.area_weighted else None,
            members=flat(members) if members is not None and members.sizes["member"] > 1 else None,
            sd=flat(sd) if sd is not None else None,
            lower=flat(lower) if lower is not None else None,
            upper=flat(upper) if upper is not None else None,
        )


def _picked(array: xr.DataArray, mask: np.ndarray) -> np.ndarray:
    """(..., time, lat, lon) -> (..., cell), some dates at a time, so that what is not scored is never all in memory."""
    size = array.size * array.dtype.itemsize // max(1, array.sizes["time"])
    step = max(1, AT_A_TIME // max(1, size))
    if step >= array.sizes["time"]:
        return np.asarray(array.values[..., mask])
    ends = np.cumsum([0, *mask.sum(axis=(1, 2))])
    picked = np.empty((*array.shape[:-3], ends[-1]), array.dtype)
    for first in range(0, len(mask), step):
        some = slice(first, first + step)
        here = ends[first], ends[min(first + step, len(mask))]
        picked[..., here[0] : here[1]] = array.isel(time=some).values[..., mask[some]]
    return picked

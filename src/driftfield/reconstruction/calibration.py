"""Spread and bias as the validation split shows them to be, level by level; and intervals with a stated coverage.

    place     s = A s_m                       A^2 = 1 + v(x) / s_m^2: the map of `calibration_place`, 1 where there is none
    centre    m' = m + b w(s)                 w(s) = min(1, s / s_low): no shift where the method is certain, at observed cells
    spread    s' = a g(s) s                   g(s) = (s / s_0)^(p - 1), s held between its 2 and 98 % quantiles
    members   x' = m' + a g(s) A (x - m)      every member keeps its shape where p = 1 and there is no map
    interval  m - q s ... m + q s             q: conformal quantile of |y - m| / s

m and s_m are mean and standard deviation of a cell as the method gave them; bias b, inflation a, power p and q are fitted by
`calibration_fit`.
"""

__all__ = ["Calibration", "CalibrationCells", "LevelMap", "bend", "write_calibration"]

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import xarray as xr

from driftfield.checkpoint import Run, read_run, write_run
from driftfield.conventions import state_variables
from driftfield.errors import DataError, FileFormatError
from driftfield.plain import JSONObject
from driftfield.reconstruction.calibration_place import ARRAYS, PlaceMap, widened

VERSIONS = (1, 2)
"""Of calibrations: since the second one a run may have maps, and a mean follows members that are clamped."""


@dataclass(frozen=True)
class CalibrationCells:
    """Hidden cells of one level with their truth.

    Arguments:
        truth, mean, sd: (cell), physical units.
        time: Which date a cell is of (cell), integers.
        members: (member, cell), or None for a method that states mean and standard deviation only.
        place: Which cell of the map, row times columns plus column (cell), or None where it is not needed.
    """

    truth: np.ndarray
    mean: np.ndarray
    sd: np.ndarray
    time: np.ndarray
    members: np.ndarray | None = None
    place: np.ndarray | None = None

    @classmethod
    def join(cls, parts: "Sequence[CalibrationCells]") -> "CalibrationCells":
        """All of them in one."""

        def joined(name: str) -> np.ndarray:
            return np.concatenate([getattr(part, name) for part in parts], axis=-1)

        members, place = (
            joined(name) if all(getattr(part, name) is not None for part in parts) else None
            for name in ("members", "place")
        )
        return cls(joined("truth"), joined("mean"), joined("sd"), joined("time"), members, place)

    def __len__(self) -> int:
        return self.truth.size

    def at(self, chosen: np.ndarray) -> "CalibrationCells":
        """A part of the cells, by mask or index."""
        members = None if self.members is None else self.members[:, chosen]
        place = None if self.place is None else self.place[chosen]
        return CalibrationCells(
            self.truth[chosen], self.mean[chosen], self.sd[chosen], self.time[chosen], members, place
        )

    def by_place(self, variance: np.ndarray) -> "CalibrationCells":
        """The same with the spread of every cell widened by the variance of its place.

        Arguments:
            variance: (lat, lon).
        """
        if self.place is None:
            return self
        here = widened(self.sd, variance.reshape(-1)[self.place])
        members = None if self.members is None else self.mean + here * (self.members - self.mean)
        return replace(self, sd=here * self.sd, members=members)

    def in_spreads(self) -> "CalibrationCells":
        """The same, divided by the root mean square of the standard deviation."""
        scale = float(np.sqrt((self.sd**2).mean())) or 1.0
        members = None if self.members is None else self.members / scale
        return replace(self, truth=self.truth / scale, mean=self.mean / scale, sd=self.sd / scale, members=members)

    @property
    def sampled(self) -> bool:
        """Whether the standard deviation is that of the members, and not one that the method states beside them."""
        if self.members is None or len(self.members) < 2:
            return False
        return bool(np.allclose(self.members.std(axis=0, ddof=1), self.sd, rtol=1e-2, atol=1e-12))


@dataclass(frozen=True)
class LevelMap:
    """What becomes of mean and spread at one level.

    Arguments:
        depth: Metres, None for a surface field.
        bias: b, physical units: what is added to the mean.
        inflation: a.
        power: p.
        low, middle, high: 2 % quantile, median and 98 % quantile of the spread of hidden cells.
        cells: How many it was fitted to; 0 where the level took what its variable has as a whole.
        quantile: q of the conformal interval, None without one.
    """

    depth: float | None
    bias: float
    inflation: float
    power: float
    low: float
    middle: float
    high: float
    cells: int
    quantile: float | None = None

    def factor(self, sd: np.ndarray) -> np.ndarray:
        """What a spread is multiplied by: smooth in it, and constant outside the range that was seen."""
        return self.inflation * bend(sd, self.power, self.low, self.middle, self.high)

    def shift(self, sd: np.ndarray) -> np.ndarray:
        """What is added to the mean, fading to nothing where the spread does."""
        return self.bias * np.minimum(1.0, sd / self.low) if self.low > 0 else self.bias * (sd > 0)

    def __call__(self, cells: CalibrationCells) -> CalibrationCells:
        """Calibrated cells."""
        mean, factor = cells.mean + self.shift(cells.sd), self.factor(cells.sd)
        members = None if cells.members is None else mean + factor * (cells.members - cells.mean)
        return replace(cells, mean=mean, sd=factor * cells.sd, members=members)


@dataclass(frozen=True)
class Calibration:
    """The maps of all variables and levels, and where they come from.

    Arguments:
        levels: Per variable one map per level.
        places: Per variable the variances of its cells, where there are any.
        version: One of `VERSIONS`, the last one but for older runs.
        coverage: Of the conformal intervals, None without them.
        about: Plain facts for whoever reads `run.json`: cases, members, seed, patterns, scores before and after.
    """

    levels: dict[str, tuple[LevelMap, ...]]
    coverage: float | None
    about: JSONObject
    places: Mapping[str, PlaceMap] = field(default_factory=dict)
    version: int = VERSIONS[-1]

    def apply(self, result: xr.Dataset) -> xr.Dataset:
        """A reconstruction with calibrated mean, spread and members; the global attribute `calibration` says so.

        A variable without spread (one member) stays as it is: how far it may be off is not known. Land stays NaN and a
        cell without spread keeps its value.

        Arguments:
            result: As `reconstruct.output.assemble` made it, with all members of its times.

        Raises:
            DataError: it lies on levels that were not calibrated.
        """
        output, done = result.copy(), []
        for name in state_variables(result):
            if name not in self.levels or f"{name}_sd" not in result:
                continue
            done.append(name)
            mean, sd = result[name], result[f"{name}_sd"]
            maps = self._maps(name, mean)
            spread = np.asarray(sd.values, dtype=np.float64)
            here = self._widened(name, mean, spread)
            spread = here * spread
            factor = _by_level(maps, mean, [level.factor for level in maps], spread)
            shift = _by_level(maps, mean, [level.shift for level in maps], spread)
            centre = mean.values + shift
            output[name] = _like(mean, centre)
            output[f"{name}_sd"] = _like(sd, factor * spread)
            if (ensemble := result.get(f"{name}_member")) is not None:
                output[f"{name}_member"] = _like(ensemble, centre + factor * here * (ensemble.values - mean.values))
            if self.coverage is not None:
                self._add_interval(output, mean, spread.astype(sd.dtype), maps)
        facts = ", ".join(f"{self.about[key]} {key}" for key in ("cases", "members") if key in self.about)
        said = f"spread and bias of the validation split ({facts})" if done else "not applied: no spread"
        return output.assign_attrs(calibration=said)

    def _widened(self, name: str, field: xr.DataArray, spread: np.ndarray) -> np.ndarray:
        """A of the cells of a field, in its order of dimensions; 1 where there is no map."""
        if name not in self.places:
            return np.ones(1)
        variance = self.places[name].on(field).broadcast_like(field).transpose(*field.dims)
        return widened(spread, variance.values)

    def _maps(self, name: str, field: xr.DataArray) -> list[LevelMap]:
        """The maps of the levels of a field, in its order."""
        maps = []
        for depth in field["depth"].values if "depth" in field.dims else [None]:
            near = [level for level in self.levels[name] if _same_level(level.depth, depth)]
            if not near:
                known = [level.depth for level in self.levels[name]]
                raise DataError(
                    f"{name!r} at {depth} m was not calibrated: expected the levels {known} m. "
                    "Reconstruct on the levels of the run, or with --raw."
                )
            maps.append(near[0])
        return maps

    def _add_interval(self, output: xr.Dataset, mean: xr.DataArray, spread: np.ndarray, maps: list[LevelMap]) -> None:
        """`<variable>_lower` and `<variable>_upper`, from the mean as the method gave it and the spread by place."""
        width = _by_level(maps, mean, [lambda s, q=level.quantile: q * s for level in maps], spread)
        says = f"conformal interval that holds {100 * (self.coverage or 0):g} % of the hidden cells"
        for label, sign in (("lower", -1), ("upper", 1)):
            bound = _like(mean, mean.values + sign * width)
            bound.attrs = {k: v for k, v in mean.attrs.items() if k in ("units", "standard_name")}
            output[f"{mean.name}_{label}"] = bound.assign_attrs(
                long_name=f"{label} end of the {says}", coverage=self.coverage
            )

    def kept(self) -> tuple[JSONObject, dict[str, np.ndarray]]:
        """Plain numbers for `run.json`, and arrays for the file beside it."""
        levels = {name: [asdict(level) for level in maps] for name, maps in self.levels.items()}
        places: JSONObject = {name: place.facts() for name, place in self.places.items()}
        arrays = {key: array for name, place in self.places.items() for key, array in place.arrays(name).items()}
        content: JSONObject = {
            "coverage": self.coverage,
            "levels": levels,
            "about": self.about,
            "version": self.version,
        }
        if places:
            content["places"] = places
        return content, arrays

    @classmethod
    def of_run(cls, run: Run) -> Self | None:
        """What `kept` gave; None for a run that has no calibration.

        Raises:
            FileFormatError: it is of a newer version, or damaged.
        """
        content = run.extra.get("calibration")
        if content is None:
            return None
        version = content.get("version")
        if version not in VERSIONS:
            raise FileFormatError(
                f"The calibration of the run has version {version!r}: this driftfield reads {VERSIONS[0]} and {VERSIONS[1]}. "
                "Calibrate the run again, or install a newer driftfield."
            )
        try:
            levels = {name: tuple(LevelMap(**level) for level in maps) for name, maps in content["levels"].items()}
            places = {n: PlaceMap.of_run(facts, run.arrays, n) for n, facts in content.get("places", {}).items()}
            return cls(levels, content["coverage"], dict(content["about"]), places, version)
        except (KeyError, TypeError, AttributeError) as error:
            raise FileFormatError(
                f"The calibration in run.json is damaged: {error}. Calibrate the run again."
            ) from error


def write_calibration(folder: Path, calibration: Calibration) -> None:
    """Puts a calibration into a run, in place of the one that it has.

    Raises:
        FileFormatError: the folder is no run.
    """
    run = read_run(folder)
    content, arrays = calibration.kept()
    rest = {name: array for name, array in run.arrays.items() if not name.startswith(ARRAYS)}
    write_run(folder, run.class_name, run.arguments, rest | arrays, {**run.extra, "calibration": content})


def bend(sd: np.ndarray, power: float, low: float, middle: float, high: float) -> np.ndarray:
    """g(s) = (s / s_0)^(p - 1), constant below `low` and above `high`."""
    if power == 1.0:
        return np.ones_like(sd, dtype=np.float64)
    return (np.clip(sd, low, high) / middle) ** (power - 1.0)


def _by_level(maps: Sequence[LevelMap], like: xr.DataArray, functions: Sequence[Any], spread: np.ndarray) -> np.ndarray:
    """Each level's own function of the spread, in the shape of the field."""
    if "depth" not in like.dims:
        return functions[0](spread)
    axis = like.dims.index("depth")
    parts = [function(np.take(spread, k, axis=axis)) for k, function in enumerate(functions)]
    return np.stack(parts, axis=axis)


def _same_level(known: float | None, stated: float | None) -> bool:
    if known is None or stated is None:
        return known is stated
    return abs(float(stated) - known) <= 0.01 * max(abs(known), 1.0)


def _like(field: xr.DataArray, values: np.ndarray) -> xr.DataArray:
    """Other values with the same coordinates, attributes, type and chunks in the file."""
    made = field.copy(data=np.asarray(values, dtype=field.dtype))
    made.encoding = dict(field.encoding)
    return made

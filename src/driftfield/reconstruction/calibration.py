"""Spread and bias as the validation split shows them to be, level by level; and intervals with a stated coverage.

    centre    m' = m + b w(s)             w(s) = min(1, s / s_low): no shift where the method is certain, at observed cells
    spread    s' = a g(s) s               g(s) = (s / s_0)^(p - 1), s held between its 2 and 98 % quantiles
    members   x' = m' + a g(s) (x - m)    every member keeps its shape where p = 1
    interval  m - q s ... m + q s         q: conformal quantile of |y - m| / s

m and s are mean and standard deviation of a cell as the method gave them; bias b, inflation a, power p and q are fitted by
`calibration_fit`.
"""

__all__ = ["Calibration", "CalibrationCells", "LevelMap", "bend"]

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

import numpy as np
import xarray as xr

from driftfield.conventions import state_variables
from driftfield.errors import DataError, FileFormatError
from driftfield.plain import JSONObject

VERSION = 1


@dataclass(frozen=True)
class CalibrationCells:
    """Hidden cells of one level with their truth.

    Arguments:
        truth, mean, sd: (cell), physical units.
        time: Which date a cell is of (cell), integers.
        members: (member, cell), or None for a method that states mean and standard deviation only.
    """

    truth: np.ndarray
    mean: np.ndarray
    sd: np.ndarray
    time: np.ndarray
    members: np.ndarray | None = None

    @classmethod
    def join(cls, parts: "Sequence[CalibrationCells]") -> "CalibrationCells":
        """All of them in one."""

        def joined(name: str) -> np.ndarray:
            return np.concatenate([getattr(part, name) for part in parts], axis=-1)

        members = joined("members") if all(part.members is not None for part in parts) else None
        return cls(joined("truth"), joined("mean"), joined("sd"), joined("time"), members)

    def __len__(self) -> int:
        return self.truth.size

    def at(self, chosen: np.ndarray) -> "CalibrationCells":
        """A part of the cells, by mask or index."""
        members = None if self.members is None else self.members[:, chosen]
        return CalibrationCells(self.truth[chosen], self.mean[chosen], self.sd[chosen], self.time[chosen], members)

    def in_spreads(self) -> "CalibrationCells":
        """The same, divided by the root mean square of the standard deviation."""
        scale = float(np.sqrt((self.sd**2).mean())) or 1.0
        members = None if self.members is None else self.members / scale
        return CalibrationCells(self.truth / scale, self.mean / scale, self.sd / scale, self.time, members)

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
        coverage: Of the conformal intervals, None without them.
        about: Plain facts for whoever reads `run.json`: cases, members, seed, patterns, scores before and after.
    """

    levels: dict[str, tuple[LevelMap, ...]]
    coverage: float | None
    about: JSONObject

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
            factor = _by_level(maps, mean, [one.factor for one in maps], spread)
            shift = _by_level(maps, mean, [one.shift for one in maps], spread)
            centre = mean.values + shift
            output[name] = _like(mean, centre)
            output[f"{name}_sd"] = _like(sd, factor * spread)
            if (ensemble := result.get(f"{name}_member")) is not None:
                output[f"{name}_member"] = _like(ensemble, centre + factor * (ensemble.values - mean.values))
            if self.coverage is not None:
                self._add_interval(output, mean, sd, maps)
        facts = ", ".join(f"{self.about[key]} {key}" for key in ("cases", "members") if key in self.about)
        said = f"spread and bias of the validation split ({facts})" if done else "not applied: no spread"
        return output.assign_attrs(calibration=said)

    def _maps(self, name: str, field: xr.DataArray) -> list[LevelMap]:
        """The maps of the levels of a field, in its order."""
        maps = []
        for depth in field["depth"].values if "depth" in field.dims else [None]:
            near = [one for one in self.levels[name] if _same_level(one.depth, depth)]
            if not near:
                known = [one.depth for one in self.levels[name]]
                raise DataError(
                    f"{name!r} at {depth} m was not calibrated: expected the levels {known} m. "
                    "Reconstruct on the levels of the run, or with --raw."
                )
            maps.append(near[0])
        return maps

    def _add_interval(self, output: xr.Dataset, mean: xr.DataArray, sd: xr.DataArray, maps: list[LevelMap]) -> None:
        """`<variable>_lower` and `<variable>_upper`, from mean and spread as the method gave them."""
        width = _by_level(maps, mean, [lambda s, q=one.quantile: q * s for one in maps], sd.values)
        says = f"conformal interval that holds {100 * (self.coverage or 0):g} % of the hidden cells"
        for label, sign in (("lower", -1), ("upper", 1)):
            bound = _like(mean, mean.values + sign * width)
            bound.attrs = {k: v for k, v in mean.attrs.items() if k in ("units", "standard_name")}
            output[f"{mean.name}_{label}"] = bound.assign_attrs(
                long_name=f"{label} end of the {says}", coverage=self.coverage
            )

    def to_json(self) -> JSONObject:
        """Plain numbers for `run.json`."""
        levels = {name: [asdict(one) for one in maps] for name, maps in self.levels.items()}
        return {"version": VERSION, "coverage": self.coverage, "levels": levels, "about": self.about}

    @classmethod
    def from_json(cls, content: Mapping[str, Any] | None) -> Self | None:
        """The inverse; None for a run that has no calibration.

        Raises:
            FileFormatError: it is of a newer version, or damaged.
        """
        if content is None:
            return None
        version = content.get("version")
        if version != VERSION:
            raise FileFormatError(
                f"The calibration of the run has version {version!r}: this driftfield reads {VERSION}. "
                "Calibrate the run again, or install a newer driftfield."
            )
        try:
            levels = {name: tuple(LevelMap(**one) for one in maps) for name, maps in content["levels"].items()}
            return cls(levels, content["coverage"], dict(content["about"]))
        except (KeyError, TypeError, AttributeError) as error:
            raise FileFormatError(
                f"The calibration in run.json is damaged: {error}. Calibrate the run again."
            ) from error


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

"""What the peers that downscale share: the same checks, the same output, the same files; date by date.

    coarse y (row, column) of one date  --estimate-->  fine mean, spread and members of that date

A method says what it learns of one variable (`learn`: plain arrays by name) and what it makes of one date (`estimate`). Dates are
answered one by one, so a member depends on (seed, member, date) and on nothing else, to the bit.
"""

__all__ = ["Date", "Downscaler", "Samples", "stacked"]

import logging
import os
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import xarray as xr

from driftfield.checkpoint import read_run_of, write_run
from driftfield.data.pairing import Pair, require_pair
from driftfield.errors import ConfigurationError, DataError, once_fitted
from driftfield.gridded.encodings import as_dates
from driftfield.gridded.measures import Measures
from driftfield.interfaces import Abilities, Ability, Cannot, TrainingData
from driftfield.linalg.regridding import Regridding
from driftfield.peers.background import part
from driftfield.peers.base import member_generator, time_stamps
from driftfield.peers.downscaling.grids import PairGrids
from driftfield.reconstruction.bounds import bounded
from driftfield.reconstruction.output import Estimate, assemble
from driftfield.registry import parameters_of

log = logging.getLogger(__name__)

Fitted = Mapping[str, np.ndarray]
"""What was learnt of one variable."""


@dataclass(frozen=True)
class Samples:
    """Training fields of one variable.

    Arguments:
        name: Of the variable.
        fine: (time, row, column), NaN outside the domain and where unknown.
        coarse: (time, row, column); gaps have the value of the nearest known cell.
        dates, coarse_dates: Of both; the same, unless the pair has no common times.
        places: Of the fine fields among the training times.
        beside: Coarse fields of the other targets on the same dates, as `coarse`; NaN on dates without any.
        times: How many training times there are.
    """

    name: str
    fine: np.ndarray
    coarse: np.ndarray
    dates: xr.DataArray
    coarse_dates: xr.DataArray
    places: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=int))
    beside: Mapping[str, np.ndarray] = field(default_factory=dict)
    times: int = 0


@dataclass(frozen=True)
class Date:
    """One coarse field.

    Arguments:
        coarse: (row, column), gaps filled.
        asked: The same with NaN where it was missing, or beyond the domain: no mean is asked for there.
        time: Its date (a scalar).
        stamp: An integer of the date, for random numbers.
        seed, members: Of the ensemble.
        name: Of the variable.
        beside: The coarse fields of the other targets, as `coarse`.
    """

    coarse: np.ndarray
    asked: np.ndarray
    time: xr.DataArray
    stamp: int
    seed: int
    members: int
    name: str
    beside: Mapping[str, np.ndarray] = field(default_factory=dict)

    def random(self, member: int, stream: str = "") -> np.random.Generator:
        """The random numbers of one member."""
        return member_generator(self.seed, member, self.stamp, f"{self.name}{stream}")


def _plane(fields: xr.DataArray) -> np.ndarray:
    return np.asarray(fields.transpose("time", "lat", "lon").values, dtype=np.float64)


class Downscaler(ABC):
    """A `Reconstructor` whose observations are coarse fields on a grid of their own."""

    method: ClassVar[str]
    needs_pairs: ClassVar[bool] = True
    """Whether it needs fine and coarse fields of the same times."""
    leaves_out: ClassVar[bool] = False
    """Whether one fit tells its fields of the training dates out of fold too, `left_out`, and takes `folds`."""
    follows_shifts: ClassVar[Ability] = True
    """Whether a coarse field that is 5 K warmer everywhere gives fine fields that are 5 K warmer, and nothing else."""
    abilities: ClassVar[Abilities] = Abilities(
        first_guess=Cannot("starts from coarse fields"),
        spreads=Cannot("gives one field"),
        calibration=Cannot("starts from coarse fields: its spread is learnt out of fold where it has any"),
        covariates=Cannot("looks at the coarse fields of the targets alone"),
    )
    seed: int = 0
    _grids: PairGrids | None = None
    fitted: dict[str, dict[str, np.ndarray]]

    def learn(self, samples: Samples, regridding: Regridding, grids: PairGrids) -> dict[str, np.ndarray]:
        """What is kept of the training fields of one variable; nothing, for a method that learns nothing."""
        return {}

    def left_out(self, name: str) -> np.ndarray:
        """Of a method that was just fitted and `leaves_out`: fields (training time, row, column) out of fold, in its units."""
        raise NotImplementedError

    @abstractmethod
    def estimate(self, date: Date, fitted: Fitted, regridding: Regridding, grids: PairGrids) -> Estimate:
        """Mean, standard deviation and members of one date: ([member,] row, column)."""

    # As a reconstructor

    @property
    def grids(self) -> PairGrids:
        """What it knows of its pair, once it is fitted."""
        return once_fitted(self, self._grids)

    @property
    def measures(self) -> Measures:
        """What the variables of the run are measured in."""
        return self.grids.measures

    def fit(self, data: TrainingData, *, seed: int = 0) -> None:
        """Learns from the training times.

        Raises:
            ConfigurationError: the data have no coarse fields, or none of the same times where the method needs them.
            DataError: a grid too large for the memory.
        """
        pair = require_pair(data, type(self).__name__)
        if self.needs_pairs and not pair.paired:
            raise ConfigurationError(
                f"{type(self).__name__} needs fine and coarse fields of the same times: found data.coarse.paired: false. Use "
                "QuantileMapping."
            )
        check_memory(
            len(data.train) * int(np.prod(pair.regridding.fine.shape)) * 8 * 4,
            type(self).__name__,
            "of the training fields",
        )
        self.seed = seed
        self._grids = PairGrids.fit(data, pair)
        self.prepare(pair)
        self.fitted = {}
        for name in data.targets:
            self.fitted[name] = self.learn(self._samples(data, pair, name), self.grids.map_of(name), self.grids)

    def prepare(self, pair: Pair) -> None:  # noqa: B027
        """Looks at the pair before anything is learnt; nothing, for most methods."""

    def _samples(self, data: TrainingData, pair: Pair, name: str) -> Samples:
        grids = self.grids
        truth = data.archive.dataset[name].isel(time=data.train).transpose("time", "lat", "lon")
        coarse = pair.coarse[name].isel(time=data.train) if pair.paired else pair.coarse[name]
        fine = np.where(grids.domains[name], truth.values.astype(np.float64), np.nan)
        values = grids.regridding.fill_coarse(coarse.transpose("time", "lat", "lon").values)
        usable = np.isfinite(values).all(axis=(1, 2))
        if pair.paired:
            usable = usable & np.isfinite(fine).any(axis=(1, 2))
        if not usable.any():
            raise DataError(
                f"No training time has both fine and coarse values of {name!r}. Check data.split and data.coarse."
            )
        self._say_left(name, usable, coarse.values, pair)
        chosen = np.flatnonzero(usable)
        places = chosen if pair.paired else np.flatnonzero(np.isfinite(fine).any(axis=(1, 2)))
        dates = as_dates(truth["time"])[places], as_dates(coarse["time"])[chosen]
        times = data.train if pair.paired else slice(None)
        beside = {
            other: grids.map_of(other).fill_coarse(_plane(pair.coarse[other].isel(time=times)))[chosen]
            for other in data.targets
            if other != name
        }
        return Samples(name, fine[places], values[chosen], *dates, places=places, beside=beside, times=len(data.train))

    def _say_left(self, name: str, usable: np.ndarray, coarse: np.ndarray, pair: Pair) -> None:
        """One line each for training times that are left out, and for coarse cells that are filled."""
        if (left := int((~usable).sum())) > 0:
            which = "fine or no coarse" if pair.paired else "coarse"
            log.warning("%r: %d of %d training times have no %s values: left out", name, left, usable.size, which)
        known = self.grids.known[name]
        if gaps := int(np.isnan(coarse[usable][:, known]).sum()):
            size = int(usable.sum()) * int(known.sum())
            log.warning(
                "%r: %d of %d coarse cells and training times are missing: taken from the nearest ones",
                name,
                gaps,
                size,
            )

    def check(self, coarse: xr.Dataset, source: str = "the coarse file") -> None:
        """Looks at a whole coarse file before its dates are taken one by one.

        Raises:
            DataError: it is not one of the run (`PairGrids.place`).
        """
        self.grids.place(coarse, source)

    def reconstruct(self, observations: xr.Dataset, *, members: int, seed: int = 0) -> xr.Dataset:
        """Fine fields from coarse ones; see `driftfield.interfaces.Reconstructor`.

        Raises:
            ConfigurationError: not fitted yet, or fewer than one member.
            DataError: the coarse fields are not those of the run (`PairGrids.place`), or the grid is too large for the memory.
        """
        if members < 1:
            raise ConfigurationError(f"{members} members were asked for: expected 1 or more.")
        grids = self.grids
        coarse = grids.place(observations)
        size = int(np.prod(grids.regridding.fine.shape)) * coarse.sizes["time"]
        check_memory(size * (members + 2) * 4 * 3 * len(grids.targets), type(self).__name__, f"of {members} members")
        estimates = self.estimates(coarse, members, seed)
        inside = {name: bounded(estimates[name], *ends) for name, ends in grids.bounds.items() if name in estimates}
        return assemble(
            grids.template(coarse["time"]), estimates | inside, method=self.method, seed=seed, members=members,
            domains=grids.domain_arrays,
        )  # fmt: skip

    def estimates(self, coarse: xr.Dataset, members: int, seed: int) -> dict[str, Estimate]:
        """Of every target and date of coarse fields on the grid of the run."""
        return {name: self._all_dates(coarse, name, members, seed) for name in self.grids.targets}

    def _all_dates(self, coarse: xr.Dataset, name: str, members: int, seed: int) -> Estimate:
        grids = self.grids
        regridding, values = grids.map_of(name), coarse[name].values
        filled = regridding.fill_coarse(values)
        others = {
            other: grids.map_of(other).fill_coarse(coarse[other].values) for other in grids.targets if other != name
        }
        known = grids.known[name]
        parts: list[Estimate] = []
        dates = as_dates(coarse["time"])
        for index, stamp in enumerate(time_stamps(coarse["time"])):
            asked = np.where(known, values[index], np.nan)
            date = Date(
                filled[index],
                asked,
                dates[index],
                stamp,
                seed,
                members,
                name,
                {other: fields[index] for other, fields in others.items()},
            )
            found = self.estimate(date, self.fitted[name], regridding, grids)
            parts.append(found.by_part(lambda array, axis: np.asarray(array, dtype=np.float32)))
        return stacked(parts)

    # What is kept

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Fitted numbers: arrays, and what JSON holds."""
        return {f"fitted.{name}.{key}": v for name, found in self.fitted.items() for key, v in found.items()}, {}

    def take(self, arrays: Mapping[str, np.ndarray], extra: Mapping[str, Any], grids: PairGrids) -> None:
        """Takes back what `state` gave."""
        self._grids = grids
        self.fitted = {name: part(arrays, f"fitted.{name}.") for name in grids.targets}

    def save(self, folder: Path) -> None:
        """Writes run.json and arrays.safetensors into `folder`."""
        arrays, extra = self.state()
        extra |= {"grids": self.grids.to_json(), "seed": self.seed, "method": self.method}
        write_run(Path(folder), type(self).__name__, self.arguments(), arrays | self.grids.to_arrays(), extra)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Reads what `save` wrote.

        Raises:
            FileFormatError: the folder holds no run, or one of another class.
        """
        run = read_run_of(cls.__name__, Path(folder))
        method = cls(**run.arguments)
        method.seed = int(run.extra["seed"])
        method.take(run.arrays, run.extra, PairGrids.from_run(run.arrays, run.extra["grids"]))
        return method

    def arguments(self) -> dict[str, Any]:
        """The constructor is the configuration: every argument is kept under its own name."""
        return {name: getattr(self, name) for name in parameters_of(type(self))}


SPREADS = Abilities(
    first_guess=Downscaler.abilities.first_guess,
    calibration=Downscaler.abilities.calibration,
    covariates=Downscaler.abilities.covariates,
)
"""Abilities of the methods whose members differ."""


def check_memory(needed: int, method: str, what: str) -> None:
    """Refuses what would not fit into the memory of this machine.

    Raises:
        DataError: it would not.
    """
    have = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else 2**34
    if needed > 0.7 * have:
        raise DataError(
            f"{method} would need about {needed / 2**30:.0f} GiB for the arrays {what}, and this machine has "
            f"{have / 2**30:.0f}: expected "
            "a smaller grid. Cut it with data.region or --region, take fewer members, or downscale parts of the period."
        )


def stacked(parts: Sequence[Estimate]) -> Estimate:
    """The estimates of all dates, with a time axis."""
    return Estimate(
        _stack([part.mean for part in parts], 0),
        _stack([part.sd for part in parts], 0),
        _stack([part.members for part in parts], 1),
    )


def _stack(parts: list[np.ndarray | None], axis: int) -> np.ndarray | None:
    arrays = [array for array in parts if array is not None]
    return np.stack(arrays, axis=axis) if arrays else None

"""What the peers share: they reconstruct *anomalies* from the seasonal cycle, on the grid that they were fitted on.

    y'(t, x) = y(t, x) - c(month of t, x)          reconstruct y'          add c again

`Background` holds c and the domain of every variable; `Peer` is the part of a `Reconstructor` that all of them have alike:
the same checks, the same output, the same files.
"""

__all__ = ["Patterns", "Peer", "Remembered", "member_generator", "time_stamps"]

import inspect
import logging
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Self, TypeAlias

import numpy as np
import xarray as xr

from driftfield.checkpoint import Arrays, read_run_of, write_run
from driftfield.data.codec import bounds_from_json, bounds_to_json
from driftfield.data.observation_files import complete_errors
from driftfield.data.placing import GridPlacer
from driftfield.errors import ConfigurationError, once_fitted
from driftfield.gridded.measures import Measures
from driftfield.interfaces import Abilities, Cannot, TrainingData
from driftfield.peers.background import Background
from driftfield.plain import JSONObject
from driftfield.reconstruction.bounds import bounded, calibrated
from driftfield.reconstruction.calibration import Calibration
from driftfield.reconstruction.output import Estimate, assemble
from driftfield.reconstruction.settings import uncalibrated
from driftfield.registry import shown

log = logging.getLogger(__name__)


Remembered: TypeAlias = tuple[Arrays, JSONObject]
"""Fitted numbers of a peer: its arrays, and what `run.json` holds of them."""


Patterns: TypeAlias = Sequence[str] | None
"""Gaps of the targets that constants are chosen for; the usual ones of the data if None."""


class Peer(ABC):
    """A `Reconstructor` of anomalies; a method says how it is fitted, how it estimates, and what it remembers."""

    method: ClassVar[str]
    abilities: ClassVar[Abilities] = Abilities(first_guess=True, covariates=Cannot("looks at the targets alone"))
    seed: int = 0
    _placing: tuple[Background, GridPlacer] | None = None
    refit: bool = False
    """Whether the validation split was learnt from too, once the constants were chosen on it."""
    patterns: tuple[str, ...] | None = None
    """See `Patterns`."""
    covariate_pattern: str | None = None
    """Gaps of the covariates meanwhile."""
    calibration: Calibration | None = None
    """Applied to every reconstruction; `reconstruction.calibration_cases.calibrate` fits it."""
    _background: Background | None = None

    @abstractmethod
    def fit(self, data: TrainingData, *, seed: int = 0) -> None:
        """Learns from the training split; constants are chosen on the validation split."""

    @abstractmethod
    def estimate(self, observations: xr.Dataset, *, members: int, seed: int) -> dict[str, Estimate]:
        """Per target mean, standard deviation and members, in physical units; the observations are checked already."""

    def _remember(self) -> Remembered:
        """Fitted numbers beyond the background: arrays, and what JSON holds."""
        return {}, {}

    def _recall(self, arrays: Mapping[str, np.ndarray], extra: Mapping[str, Any]) -> None:  # noqa: B027
        """Takes back what `_remember` gave; nothing, where there is nothing beyond the background."""

    def reconstruct(self, observations: xr.Dataset, *, members: int, seed: int = 0) -> xr.Dataset:
        """Completes the fields; see `driftfield.interfaces.Reconstructor`. The file may hold a part
        of the grid of the fit, or more than it.

        Raises:
            ConfigurationError: not fitted yet, or fewer than one member.
            DataError: the observations lack a target or lie on another grid.
        """
        background = self.background
        if members < 1:
            raise ConfigurationError(f"{members} members were asked for: expected 1 or more.")
        observations = complete_errors(background.measures.brought(observations), "the file of observations")
        placed = self._placer().place(observations)
        observations = placed.dataset
        background.check(observations)
        estimate = self.estimate(observations, members=members, seed=seed)
        inside = {name: bounded(estimate[name], *ends) for name, ends in background.bounds.items()}
        result = assemble(
            observations, estimate | inside, method=self.method, seed=seed, members=members, domains=background.domains
        )
        return placed.cut(calibrated(result, self.calibration, background.bounds))

    def _placer(self) -> GridPlacer:
        """Lays observations out on the grid of the fit."""
        background = self.background
        if self._placing is None or self._placing[0] is not background:
            masks = {name: domain.values for name, domain in background.domains.items()}
            levelled = {name: mask if mask.ndim == 3 else mask[None] for name, mask in masks.items()}
            self._placing = background, GridPlacer(background.lat, background.lon, levelled, background.positions)
        return self._placing[1]

    # As the first guess of a network

    def first_guess(
        self, observations: xr.Dataset, *, only: int | None = None, leave_out_days: float | None = None
    ) -> Mapping[str, Estimate]:
        """Mean and standard deviation, without members where the method can do without them.

        Arguments:
            observations: An observation file, opened; the answer is on the longitudes of the fit and in their order.
            only: The one time of the file that is asked for; all of them if not given.
            leave_out_days: Fields so near to an analysed date are not used, by a method that `leaves_out_near_times`.

        Raises:
            DataError: the observations lack a target or lie on another grid.
        """
        observations = self.background.on_own_grid(observations)
        self.background.check(observations)
        return self._first_guess(observations, only)

    def _first_guess(self, observations: xr.Dataset, only: int | None) -> Mapping[str, Estimate]:
        return at_time(self.estimate(observations, members=1, seed=0), only)

    def is_short(self, data: TrainingData) -> bool:
        """Whether the record is so short that the mean of a date goes with the days around it, whatever their split."""
        return False

    def refitted(self, data: TrainingData, times: np.ndarray, *, seed: int = 0) -> Self:
        """A twin that has learnt from these times of `data`, and nothing from the validation split."""
        arguments = self._arguments()
        twin = type(self)(**(arguments | {key: False for key in arguments if key == "refit"}))
        twin.fit(replace(data, train=times), seed=seed)
        return twin

    def remember(self, data: TrainingData, *, before: Any) -> None:  # noqa: B027
        """Takes the fields before a date as seen, where the method has a memory; nothing, where it has none."""

    # As one that is calibrated

    def expected_observations(
        self, data: TrainingData
    ) -> tuple[dict[str, list[str]], dict[str, float | Sequence[float]]]:
        """Patterns that it was tuned for, where it says so; the errors are not its business."""
        targets = {name: list(self.patterns) for name in data.targets if self.patterns}
        return targets | {name: [self.covariate_pattern] for name in data.covariates if self.covariate_pattern}, {}

    def unseen(self, data: TrainingData) -> Self:
        """The method without its calibration; one that has learnt from the validation split has a twin fitted without."""
        if not self.refit:
            return uncalibrated(self)
        log.info("%s has seen the validation split: fitting its twin on the training split", type(self).__name__)
        twin = type(self)(**(self._arguments() | {"refit": False}))
        twin.fit(data, seed=self.seed)
        return twin

    # What is kept

    def save(self, folder: Path) -> None:
        """Writes run.json and arrays.safetensors into `folder`."""
        background = self.background
        arrays, extra = self._remember()
        extra |= {"variables": list(background.variables), "targets": list(background.targets)}
        extra |= {"periodic": background.periodic, "seed": self.seed, "method": self.method}
        if background.measures:
            extra["measures"] = background.measures.to_json()
        if background.bounds:
            extra["bounds"] = bounds_to_json(background.bounds)
        if self.calibration is not None:
            extra["calibration"], maps = self.calibration.kept()
            arrays |= maps
        write_run(Path(folder), type(self).__name__, self._arguments(), background.to_arrays() | arrays, extra)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Reads what `save` wrote; raises `FileFormatError` where the folder holds no run of this class."""
        run = read_run_of(cls.__name__, Path(folder))
        peer = cls(**run.arguments)
        peer.seed = int(run.extra["seed"])
        names = {key: run.extra[key] for key in ("variables", "targets", "periodic")}
        bounds = bounds_from_json(run.extra.get("bounds", {}))
        measures = Measures.from_json(run.extra.get("measures"))
        peer.background = Background.from_arrays(run.arrays, **names, bounds=bounds, measures=measures)
        peer.calibration = Calibration.of_run(run)
        peer._recall(run.arrays, run.extra)
        return peer

    @property
    def measures(self) -> Measures:
        """What the variables of the run are measured in."""
        return self.background.measures

    @property
    def background(self) -> Background:
        """Seasonal cycle and domain, once it is fitted."""
        return once_fitted(self, self._background)

    @background.setter
    def background(self, background: Background) -> None:
        self._background = background

    def __repr__(self) -> str:
        """Its arguments but the defaults, and what it is fitted to."""
        known = self._background
        if known is None:
            return shown(self, self._arguments(), "not fitted")
        beside = [name for name in known.variables if name not in known.targets]
        state = f"fitted to {', '.join(known.targets)}" + (f" with {', '.join(beside)}" if beside else "")
        return shown(self, self._arguments(), f"{state}; {known.lat.size} x {known.lon.size} cells")

    def _arguments(self) -> JSONObject:
        """The constructor is the configuration: every argument is kept under its own name."""
        values = {name: getattr(self, name) for name in inspect.signature(type(self)).parameters}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}


def at_time(estimate: Mapping[str, Estimate], time: int | None) -> Mapping[str, Estimate]:
    """One time of an estimate; members have theirs on the second axis."""
    if time is None:
        return estimate
    return {name: e.by_part(lambda array, axis: np.take(array, [time], axis=axis)) for name, e in estimate.items()}


def white_members(
    mean: np.ndarray, sd: np.ndarray, times: xr.DataArray, name: str, members: int, seed: int
) -> np.ndarray:
    """Members (member, time, [depth,] lat, lon) whose cells depart from the mean one without the other."""
    drawn = np.empty((members, *mean.shape), dtype=np.float32)
    for t, stamp in enumerate(time_stamps(times)):
        for m in range(members):
            noise = member_generator(seed, m, stamp, name).standard_normal(mean.shape[1:], dtype=np.float32)
            drawn[m, t] = mean[t] + sd[t] * noise
    return drawn


def fitting_times(data: TrainingData, *, refit: bool) -> np.ndarray:
    """Time indices for the last fit: training alone, or training and validation once the constants are chosen."""
    return np.union1d(data.train, data.validation).astype(int) if refit else np.asarray(data.train, dtype=int)


def time_blocks(times: np.ndarray, block: int = 64) -> Iterator[np.ndarray]:
    """The same indices in handsome portions, so that an archive is never loaded whole."""
    for start in range(0, len(times), block):
        yield times[start : start + block]


def time_stamps(times: xr.DataArray) -> list[int]:
    """One integer per date, the same on every machine, for any calendar."""
    return [zlib.crc32(str(text).encode()) for text in times.dt.strftime("%Y-%m-%dT%H:%M:%S").values]


def member_generator(seed: int, member: int, stamp: int, stream: str = "") -> np.random.Generator:
    """The random numbers of one member at one time (and of one variable); they depend on nothing else."""
    return np.random.default_rng(np.random.SeedSequence([seed, member, stamp, zlib.crc32(stream.encode())]))

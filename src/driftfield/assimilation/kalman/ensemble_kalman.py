"""Ensemble Kalman filters and smoothers as a peer: an observation file in, one course of an ensemble through all its dates out.

    archive --fit--> season c, anomalies a_k            x_m = c + a_k(m) at the first date, k(m) drawn without repetition
    file --> y, r, cells of every date --walk--> members given what was seen up to `lag` dates later

The dynamics are equations by their name, or a run of an emulator. An ensemble is one thing: whoever asks for fewer members than
it has gets the first of them, beside mean and spread of all; who asks for more gets those of further ensembles, which never met.
"""

__all__ = ["EnsembleKalman"]

import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import xarray as xr

from driftfield.assimilation.kalman.emulator_dynamics import EmulatorDynamics
from driftfield.assimilation.kalman.ensemble_filter import Observing
from driftfield.assimilation.kalman.named_filters import named_filter
from driftfield.assimilation.kalman.smoother import Sighting, walk
from driftfield.checkpoint import hash_run
from driftfield.data.splits import spread_over
from driftfield.errors import ConfigurationError, DataError, whole_number
from driftfield.gridded.encodings import as_dates
from driftfield.interfaces import Dynamics, TrainingData
from driftfield.peers.background import Background, canonical, observed_domain, part, stated_errors
from driftfield.peers.base import Peer, Remembered, time_blocks
from driftfield.reconstruction.output import Estimate
from driftfield.registry import build, register
from driftfield.trajectories.courses import LEAST_ERROR, state_numbers
from driftfield.trajectories.emulator import Emulator, load_emulator
from driftfield.trajectories.whole_states import check_whole_grid
from driftfield.worlds import lorenz  # noqa: F401  its worlds become known as dynamics

log = logging.getLogger(__name__)


@register("reconstructor")
class EnsembleKalman(Peer):
    """A filter, or a smoother with a fixed lag, that steps with known equations or with a learned step.

    Arguments:
        dynamics: {class: NAME, arguments} of registered dynamics, such as {class: Lorenz96}, or {run: FOLDER} of an emulator. The
            run keeps a copy of the emulator.
        filter: "etkf" (square root, with random rotations), "letkf" (the same for every variable by itself, from the observations
            around it) or "enkf" (stochastic).
        members: Size of the ensemble, whatever is asked for.
        inflation: Factor on the departures from the mean after every update.
        localisation_km: c of Gaspari and Cohn: no covariance reaches beyond twice that; for "letkf" and "enkf".
        lag: How many later dates of the file a field learns from; 0 is the filter.
        states: Training states that are kept at most, for ensembles to begin with.

    Raises:
        ConfigurationError: dynamics or a filter that nobody knows, or numbers that make no sense.
    """

    method: ClassVar[str] = "ensemble_kalman"
    abilities = replace(Peer.abilities, uses_other_times=True)

    def __init__(
        self,
        dynamics: Mapping[str, Any],
        filter: str = "etkf",
        members: int = 40,
        inflation: float = 1.02,
        localisation_km: float | None = None,
        lag: int = 0,
        states: int = 512,
    ) -> None:
        for name, value, least in (("members", members, 2), ("lag", lag, 0), ("states", states, 2)):
            whole_number(name, value, least)
        if states < members:
            raise ConfigurationError(f"Found states={states} for {members} members: expected one for each, or more.")
        if not isinstance(dynamics, Mapping) or ("class" in dynamics) == ("run" in dynamics):
            raise ConfigurationError(
                f"Found dynamics={dynamics!r}: expected {{class: NAME}}, such as {{class: Lorenz96}}, or {{run: FOLDER}} of an "
                "emulator."
            )
        self.dynamics, self.filter, self.members, self.inflation = dict(dynamics), filter, members, inflation
        self.localisation_km, self.lag, self.states = localisation_km, lag, states
        self.update = named_filter(filter, inflation, localisation_km)
        self._world: Any = build("dynamics", dynamics) if "class" in dynamics else None
        self._emulator: Emulator | None = None
        self.anomalies: dict[str, np.ndarray] = {}
        """Training states (state, [depth,] lat, lon) about the season, 0 where the archive has a gap."""

    # -- learning ------------------------------------------------------------------------------------------------------

    def fit(self, data: TrainingData, *, seed: int = 0) -> None:
        """Keeps training states, evenly spread over the training split; covariates are not looked at.

        Raises:
            ConfigurationError: fewer training dates than members, windows in space, or dynamics of another number of variables.
            DataError: dates that are not whole steps of the dynamics apart, or an emulator of other fields.
        """
        if data.covariates:
            log.warning("an ensemble filter knows no covariates: %s are left out", ", ".join(data.covariates))
        check_whole_grid(data, "an ensemble filter")
        if self._world is None:
            self._emulator = load_emulator(Path(self.dynamics["run"]))
        self.seed = seed
        self.background = Background.fit(data, data.train)
        self._check_dynamics(data.archive.dataset["time"])
        chosen = spread_over(np.sort(np.asarray(data.train)), self.states)
        if len(chosen) < self.members:
            raise ConfigurationError(
                f"Found {len(chosen)} training dates for {self.members} members: every member begins with the state of another "
                "one. Ask for fewer members, or train on a longer archive."
            )
        for name in data.targets:
            field = data.archive.dataset[name]
            parts = [self.background.anomaly(field.isel(time=some), name) for some in time_blocks(chosen)]
            self.anomalies[name] = np.nan_to_num(np.concatenate(parts)).astype(np.float32)

    def _check_dynamics(self, times: xr.DataArray) -> None:
        """Whether the dynamics step what the archive knows."""
        background, cells = self.background, int(self._domain.sum())
        self._numbers(times, "the archive")
        if self._emulator is None:
            if self._world.size != cells:
                raise ConfigurationError(
                    f"{self.dynamics['class']} steps states of {self._world.size} variables, and the archive has {cells} cells: "
                    "expected one for each. Give the number that the archive has; where a part of the state is hidden, train an "
                    "emulator of what is seen and name its run."
                )
            return
        codec = self._emulator.codec
        domain = np.concatenate([codec.domains[name] for name in codec.targets])
        grids = ((codec.grid.lat, background.lat), (codec.grid.lon, background.lon))
        same = codec.targets == background.targets and all(
            a.shape == b.shape and np.allclose(a, b, atol=1e-3) for a, b in grids
        )
        if not same or domain.shape != self._domain.shape or (domain != self._domain).any():
            raise DataError(
                f"The emulator in {self.dynamics['run']} steps {list(codec.targets)} on {domain.sum()} cells, and the archive "
                f"has {list(background.targets)} on {cells}, or other cells: expected the same. Train both on one archive."
            )

    # -- reconstructing ------------------------------------------------------------------------------------------------

    def estimate(self, observations: xr.Dataset, *, members: int, seed: int) -> dict[str, Estimate]:
        """One course through all dates; steps of the dynamics between them are made, and not returned."""
        numbers = self._numbers(observations["time"], "the observations")
        order = np.argsort(numbers)
        looks = self.looks(observations, numbers)
        start = observations["time"].values[order[0]]
        blocks = -(-members // self.members)
        found = [self._course(looks, start, _seed_of(seed, block)) for block in range(blocks)]
        # (member, date, variable), dates as in the file
        drawn = np.concatenate(found)[:, np.argsort(order)]
        mean, sd = drawn.mean(0), drawn.std(0, ddof=1)
        return {
            name: Estimate(own[0], own[1], own[2:])
            for name, own in self._fields(np.concatenate([mean[None], sd[None], drawn[:members]])).items()
        }

    def _course(self, looks: list[Sighting], start: Any, seed: int) -> np.ndarray:
        """(member, date, variable) of one ensemble, every date given all that its lag allows."""
        final: list[np.ndarray] = []
        analyses: list[np.ndarray] = []
        for analyses in walk(
            self.stepping(start, seed), self.update, self.start(start, seed), looks, lag=self.lag, seed=seed
        ):
            if len(analyses) > self.lag:
                final.append(analyses[0])
        # the latest dates have fewer than `lag` after them
        final.extend(analyses[1:] if len(analyses) > self.lag else analyses)
        return np.stack(final, axis=1)

    def start(self, date: Any, seed: int) -> np.ndarray:
        """The ensemble before anything is seen, (member, variable): anomalies of training dates about the season of this one."""
        states = len(next(iter(self.anomalies.values())))
        chosen = np.random.default_rng(seed).choice(states, self.members, replace=False)
        fields = {
            name: self.background.mean(name, as_dates(np.array([date]))) + kept[chosen]
            for name, kept in self.anomalies.items()
        }
        return self._vector(fields)

    def stepping(self, date: Any, seed: int) -> Dynamics:
        """The dynamics, their clock set to a date."""
        if self._emulator is None:
            world: Dynamics = self._world
            return world
        return EmulatorDynamics(self._emulator, date, seed=seed)

    def looks(self, observations: xr.Dataset, numbers: np.ndarray) -> list[Sighting]:
        """What the file shows on its dates, in the order of their numbers."""
        background = self.background
        y, seen, error = {}, {}, {}
        for name in background.targets:
            y[name] = canonical(observations[name]).values.astype(np.float64)
            seen[name] = np.isfinite(y[name]) & observed_domain(background, observations, name)
            least = LEAST_ERROR * max(float(self.anomalies[name].std()), 1e-12)
            error[name] = np.maximum(stated_errors(observations, name, y[name].shape), least)
        values, there, errors = self._vector(y), self._vector(seen), self._vector(error)
        places = self._places() if self.localisation_km is not None else None
        sightings = []
        before = 0
        for date in np.argsort(numbers):
            cells = np.flatnonzero(there[date])
            where = None if places is None else places[cells]
            observing = Observing(_StateCells(cells), errors[date, cells], where, places)
            sightings.append(Sighting(int(numbers[date]) - before, values[date, cells], observing))
            before = int(numbers[date])
        return sightings

    def _numbers(self, times: xr.DataArray, what: str) -> np.ndarray:
        """How many steps of the dynamics each date lies after the earliest.

        Raises:
            DataError: one lies between two steps, or twice on the same.
        """
        days = self._world.step_days if self._emulator is None else self._emulator.codec.step_days
        try:
            return state_numbers(times, days)
        except DataError as error:
            raise DataError(
                f"The dates of {what} are not whole steps of {days:g} days apart, which the dynamics take, or one is there "
                "twice. Bring them to these steps, leave out those between, or take dynamics of another step."
            ) from error

    # -- states --------------------------------------------------------------------------------------------------------

    @property
    def _domain(self) -> np.ndarray:
        """(channel, lat, lon): the cells that make a state, targets one after the other."""
        masks = [domain.values for domain in self.background.target_domains]
        return np.concatenate([mask.reshape(-1, *mask.shape[-2:]) for mask in masks])

    def _vector(self, fields: Mapping[str, np.ndarray]) -> np.ndarray:
        """Per target (n, [depth,] lat, lon) -> (n, variable)."""
        parts = [fields[name][:, self.background.domains[name].values] for name in self.background.targets]
        return np.concatenate(parts, axis=1)

    def _fields(self, states: np.ndarray) -> dict[str, np.ndarray]:
        """(..., variable) -> per target (..., [depth,] lat, lon), NaN outside the domain."""
        fields, first = {}, 0
        for name in self.background.targets:
            mask = self.background.domains[name].values
            fields[name] = np.full((*states.shape[:-1], *mask.shape), np.nan)
            fields[name][..., mask] = states[..., first : first + mask.sum()]
            first += mask.sum()
        return fields

    def _places(self) -> np.ndarray:
        """Where the variables lie on the sphere, km: (variable, 3); levels lie above each other."""
        points = self.background.grid.points.reshape(*self.background.grid.shape, 3)
        return np.concatenate([points[mask] for mask in self._domain])

    # -- keeping -------------------------------------------------------------------------------------------------------

    def save(self, folder: Path) -> None:
        """Writes the run, and the emulator in a folder of it."""
        if self._background is not None and self._emulator is not None:
            self._emulator.save(Path(folder) / "emulator")
            self._hash = hash_run(Path(folder) / "emulator")
        super().save(folder)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Reads what `save` wrote.

        Raises:
            FileFormatError: the folder holds no run, or one of another class, or its emulator is missing.
        """
        loaded = super().load(folder)
        if loaded._world is None:
            loaded._emulator = load_emulator(Path(folder) / "emulator")
        return loaded

    def _remember(self) -> Remembered:
        arrays = {f"anomalies.{name}": kept for name, kept in self.anomalies.items()}
        # two runs that step differently are not the same run
        return arrays, {} if self._emulator is None else {"emulator": self._hash}

    def _recall(self, arrays: Mapping[str, np.ndarray], extra: Mapping[str, Any]) -> None:
        self.anomalies = part(arrays, "anomalies.")


class _StateCells:
    """H of observed cells: the state there."""

    def __init__(self, cells: np.ndarray) -> None:
        self.cells = cells

    def __call__(self, x: np.ndarray) -> np.ndarray:
        chosen: np.ndarray = x[..., self.cells]
        return chosen


def _seed_of(seed: int, block: int) -> int:
    """Of one ensemble: the seed itself for the first, so that it is what the plain functions make of it."""
    return seed if block == 0 else int(np.random.SeedSequence([seed, block]).generate_state(1, np.uint32)[0])

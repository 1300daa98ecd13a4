"""A peer's estimate as the first guess of a network: the network learns what the peer leaves, in units of the peer's error.

    r = (x - g) / d,    g the peer's mean, d its standard deviation (floored; the RMS of its residuals where it has none)

The residuals that teach must be those of a peer that has not seen the answer, or the spread collapses: a peer that can do so
leaves out the fields near the analysed date (`leave_out_days`), any other is fitted again without each of `folds` blocks of
training times; a network is trained again, but for one that has learnt elsewhere (`network_guess.py`). Training needs the
guess of many masks: these are computed once, kept beside the run, and drawn from.
"""

__all__ = ["FirstGuess"]

import copy
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np
import xarray as xr

from driftfield.checkpoint import find_run, hash_run, is_borrowed, read_run
from driftfield.data.codec import FieldCodec
from driftfield.errors import ConfigurationError, suggest
from driftfield.interfaces import Reconstructor, TrainingData
from driftfield.models.dates_around import among_others
from driftfield.models.network_guess import has_learnt_from, without_times
from driftfield.models.teaching import Teaching
from driftfield.reconstruction.output import Estimate
from driftfield.reconstruction.settings import check_ability
from driftfield.registry import lookup

log = logging.getLogger(__name__)

FLOOR = 0.02
"""Smallest error scale in network units: an observed cell has an error too."""

Encoded = tuple[np.ndarray, np.ndarray]
"""Guess and error scale (channel, lat, lon) of one time, network units."""

_KEYS = ("run", "pool", "leave_out_days", "folds", "around")


class Guessing(Reconstructor, Protocol):
    """A fitted method that says `abilities.first_guess`."""

    refit: bool
    """Whether it has learnt from the validation split."""

    def first_guess(
        self, observations: xr.Dataset, *, only: int | None = None, leave_out_days: float | None = None
    ) -> Mapping[str, Estimate]:
        """Per target mean and standard deviation, physical units, of all times or of one."""
        ...

    def is_short(self, data: TrainingData) -> bool:
        """Whether the mean of a date goes with the days around it, whatever their split."""
        ...

    def refitted(self, data: TrainingData, times: np.ndarray, *, seed: int = 0) -> Self:
        """A twin that has learnt from these times, and nothing from the validation split."""
        ...

    def remember(self, data: TrainingData, *, before: Any) -> None:
        """Takes the fields before a date as seen, where the method has a memory."""
        ...

    def unseen(self, data: TrainingData) -> Self:
        """The method without knowledge of the validation split."""
        ...


class FirstGuess:
    """A fitted peer, with what turns its answers into network units.

    Arguments:
        peer: The fitted method.
        leave_out_days: In training a peer that can may not use fields this near to the analysed date.
        folds: (time indices, peer that has not seen them), for a peer that cannot.
        unseen: The peer for the validation split, where `folds` are used.
        scale: Error in network units per channel, for a peer that states none.
        data: In training, from where a peer with a memory has the fields before the observations.
        made_of: Hash of the run, so that samples computed beforehand never meet another one.
        around: Dates before and after that a peer in space and time is shown in training, beside those of the sample.
    """

    def __init__(
        self,
        peer: Guessing,
        *,
        leave_out_days: float = 400.0,
        folds: Sequence[tuple[np.ndarray, Guessing]] = (),
        unseen: Guessing | None = None,
        scale: Sequence[float] | None = None,
        data: TrainingData | None = None,
        made_of: str = "",
        around: int = 0,
    ) -> None:
        self.data, self.made_of, self.around = data, made_of, around
        self.peer, self.leave_out_days, self.folds, self.unseen = peer, leave_out_days, list(folds), unseen
        self.scale = None if scale is None else np.asarray(scale, dtype=np.float32)
        self._kept: tuple[xr.Dataset, dict[int, Encoded]] | None = None

    @classmethod
    def open(
        cls, spec: Mapping[str, Any], data: TrainingData, *, seed: int = 0, teaching: Teaching | None = None
    ) -> Self:
        """From a recipe's {run: FOLDER or shipped:NAME, folds: K}; fits the folds.

        Arguments:
            spec: Of the recipe.
            data: Archive and splits.
            seed: Of what is fitted.
            teaching: Who trains the folds of a network.

        Raises:
            ConfigurationError: no `run`, or the run's method cannot leave out what it would be scored on.
        """
        if "run" not in spec:
            raise ConfigurationError(f"first_guess needs the key 'run' (a fitted peer), found {dict(spec)}.")
        folder = find_run(spec["run"])
        guess = cls.load(folder, spec)
        guess.data = data
        count = spec.get("folds", 0)
        # the mean of a short record goes with its days: each needs those before and after, whatever their split
        times = (
            np.union1d(data.train, data.validation) if guess.peer.is_short(data) else np.sort(np.asarray(data.train))
        )
        if type(count) is not int or count < 0 or count == 1 or count > len(times):
            raise ConfigurationError(
                f"Found first_guess.folds={count!r}: expected 0, or 2 to {len(times)} blocks of training times."
            )
        name = type(guess.peer).__name__
        able, borrowed = guess.peer.abilities, is_borrowed(spec["run"])
        trained = able.needs_training
        elsewhere = not able.learns or (trained and (borrowed or not has_learnt_from(folder, data)))
        if count and elsewhere:
            raise ConfigurationError(
                f"Found first_guess.folds={count} for {spec['run']}, a {name} that has learnt nothing from this archive: "
                "there is nothing to leave out. Leave 'folds' out."
            )
        if count:
            guess._leave_out(data, np.array_split(times, count), seed, teaching if trained else None)
        elif not elsewhere and not able.leaves_out_near_times:
            cost = " (it is trained five times more, by the trainer of the recipe)" if trained else ""
            raise ConfigurationError(
                f"{name} as first guess would be learnt from where it has seen the answer: add 'folds: 5' under "
                f"first_guess{cost}."
            )
        return guess

    def _leave_out(
        self, data: TrainingData, blocks: Sequence[np.ndarray], seed: int, teaching: Teaching | None
    ) -> None:
        """Fits the folds, and the peer of the validation split; a network, for which weights were chosen there, by `teaching`."""
        times = np.concatenate(blocks)
        for number, left_out in enumerate(blocks):
            log.info("first guess: fold %d of %d", number + 1, len(blocks))
            others = np.setdiff1d(times, left_out)
            if teaching is None:
                self.folds.append((left_out, self.peer.refitted(data, others, seed=seed)))
            else:
                twin: Any = without_times(self.peer, data, others, teaching, label=f"fold_{number + 1}")  # type: ignore[arg-type]
                self.folds.append((left_out, twin))
        if teaching is None and np.setdiff1d(data.validation, times).size:
            self.unseen = self.peer.refitted(data, np.asarray(data.train), seed=seed)

    @classmethod
    def load(cls, folder: Path, spec: Mapping[str, Any], *, scale: Sequence[float] | None = None) -> Self:
        """Reads the peer's run.

        Raises:
            ConfigurationError: it is of no peer that gives a mean.
        """
        peer: Guessing = lookup("reconstructor", read_run(folder).class_name).load(folder)
        check_ability(peer, "first_guess")
        days, around = float(spec.get("leave_out_days", 400.0)), spec.get("around", 0)
        if type(around) is not int or around < 0:
            raise ConfigurationError(f"Found first_guess.around={around!r}: expected a number of dates, 0 or more.")
        if around and not peer.abilities.uses_other_times:
            raise ConfigurationError(
                f"Found first_guess.around={around} for {type(peer).__name__}, which looks at one date alone. Leave it out."
            )
        return cls(peer, leave_out_days=days, scale=scale, made_of=hash_run(folder), around=around)

    def save(self, folder: Path) -> None:
        """The peer's run, so that a network's run is complete in itself."""
        self.peer.save(folder)

    def estimate(
        self, observations: xr.Dataset, *, training: int | None = None, only: int | None = None
    ) -> Mapping[str, Estimate]:
        """Mean and standard deviation in physical units, on the longitudes of the peer's own grid and in their order.

        Arguments:
            observations: An observation data set.
            training: The time index of the archive that is analysed, in training.
            only: The one time of the data set that is asked for; all of them if not given.
        """
        if training is None:
            return self.peer.first_guess(observations, only=only)
        if self.around and self.data is not None and only is not None:
            observations, only = among_others(observations, only, self.data, training, self.around)
        if not self.folds:
            return self.peer.first_guess(observations, only=only, leave_out_days=self.leave_out_days)
        unseen = next((peer for times, peer in self.folds if training in times), self.unseen or self.peer)
        if self.data is not None:
            unseen.remember(self.data, before=observations["time"].values.min())
        return unseen.first_guess(observations, only=only)

    @property
    def uses_other_times(self) -> bool:
        """Whether the guess of a date depends on the observations of other dates."""
        return self.peer.abilities.uses_other_times

    def without_validation(self, data: TrainingData) -> Self:
        """The same, of a peer that has seen nothing of the validation split."""
        if not self.peer.refit:
            return self
        guess = copy.copy(self)
        guess.peer = self.peer.unseen(data)
        guess.forget()
        return guess

    def encoded(self, observations: xr.Dataset, times: Sequence[int], codec: FieldCodec) -> dict[int, Encoded]:
        """Guess and scale by time index, on the columns of the observations; of a peer that looks at all times, found once."""
        if not self.uses_other_times:
            return dict(zip(times, self._encoded(observations.isel(time=list(times)), codec), strict=True))
        if self._kept is None or self._kept[0] is not observations:
            self._kept = (observations, dict(enumerate(self._encoded(observations, codec))))
        return self._kept[1]

    def forget(self) -> None:
        """Drops what was found for the last observations."""
        self._kept = None

    def _encoded(self, observations: xr.Dataset, codec: FieldCodec) -> list[Encoded]:
        guess, scale = self.encode(self.estimate(observations), codec, observations["time"].values)
        _, columns = codec.grid.cells(observations)
        return list(zip(guess[..., columns], scale[..., columns], strict=True))

    def encode(self, estimate: Mapping[str, Estimate], codec: FieldCodec, times: Any) -> tuple[np.ndarray, np.ndarray]:
        """Guess and scale (time, channel, lat, lon) in network units, finite everywhere, on the whole grid."""
        rows, columns = np.arange(codec.grid.lat.size), np.arange(codec.grid.lon.size)
        guesses, scales = [], []
        first = 0
        for name in codec.targets:
            mean, sd = estimate[name].mean, estimate[name].sd
            if mean is None:
                members = estimate[name].members
                assert members is not None
                mean = members.mean(axis=0)
            mean = mean if mean.ndim == 4 else mean[:, None]
            inside = codec.domains[name] & np.isfinite(mean)
            guesses.append(np.where(inside, codec.encode(name, mean, times, rows, columns), 0))
            part = slice(first, first + mean.shape[1])
            first = part.stop
            slope = codec.slope(name, mean, times, rows, columns)
            scales.append(np.where(inside, np.maximum(self._error(sd, slope, mean, part), FLOOR), 1))
        return np.concatenate(guesses, axis=1).astype(np.float32), np.concatenate(scales, axis=1).astype(np.float32)

    def _error(self, sd: np.ndarray | None, slope: np.ndarray, mean: np.ndarray, part: slice) -> np.ndarray:
        """The peer's error in network units: its own, or the one of its residuals, or 1 while that is being found."""
        if sd is not None and np.isfinite(sd).any():
            sd = sd if sd.ndim == 4 else sd[:, None]
            error: np.ndarray = np.where(np.isfinite(sd), sd, 0) / slope
            return error
        scale = np.ones((mean.shape[1], 1, 1)) if self.scale is None else self.scale[part, None, None]
        return np.broadcast_to(scale, mean.shape)

    def states_error(self, estimate: Mapping[str, Estimate]) -> bool:
        """Whether the peer gives a standard deviation."""
        return all(e.sd is not None and bool(np.isfinite(e.sd).any()) for e in estimate.values())


def check_keys(spec: Mapping[str, Any]) -> None:
    """Raises `ConfigurationError` for a key that `first_guess` has not."""
    for key in spec:
        if key not in _KEYS:
            raise ConfigurationError(f"Unknown key {key!r} under 'first_guess': {suggest(key, _KEYS)}")

"""A learned time step as the forward model of an ensemble filter: no equations anywhere.

    states (member, variable), physical units --fields--> network units --Emulator.roll_out--> --vector--> some steps later

`variable` counts the cells where the fields exist: targets one after the other, in each its levels, rows and columns. The
emulator learned p(x_(t+1) | x_t) from an archive. A filter or smoother that steps with it knows of the world what the archive
told, and its members part at every step by what the emulator cannot know: model error that was learned, not tuned.
"""

__all__ = ["EmulatorDynamics"]

from typing import Any

import numpy as np

from driftfield.errors import ConfigurationError
from driftfield.trajectories.emulator import Emulator


class EmulatorDynamics:
    """Has an emulator and is an `interfaces.Dynamics`; it has a clock, which every call of `advance` moves on.

    The draws of a call depend on (seed, date on the clock, number of the member) and on that member's state, so that the same
    calls give the same states at any batch size, and members part at every date in another way.

    Arguments:
        emulator: A run, stochastic or deterministic.
        start: Date of the first states, datetime64 or cftime.
        seed: Of every draw.
        batch_size: Members that the network sees at a time; does not change them.
    """

    def __init__(self, emulator: Emulator, start: Any, *, seed: int = 0, batch_size: int = 512) -> None:
        codec = emulator.codec
        self.emulator, self.seed, self.batch_size = emulator, seed, batch_size
        self.date = start
        """Date of the states that the next call expects."""
        self.domain = np.concatenate([codec.domains[name] for name in codec.targets])
        """(channel, lat, lon): where the fields exist."""
        self._places = np.arange(codec.grid.lat.size), np.arange(codec.grid.lon.size)

    @property
    def variables(self) -> int:
        """Length of a state."""
        return int(self.domain.sum())

    def advance(self, state: np.ndarray, steps: int = 1) -> np.ndarray:
        """States (..., variable) at the date on the clock -> the same, `steps` time steps later; the clock goes on.

        Raises:
            ConfigurationError: states of another length, or fewer than 0 steps.
            DivergenceError: numbers stopped being finite.
        """
        if state.shape[-1] != self.variables or steps < 0:
            raise ConfigurationError(
                f"Found states of {state.shape[-1]} variables and steps={steps}: expected {self.variables} variables, one per "
                "cell of the domain of the run, and 0 steps or more. See EmulatorDynamics.vector for their order."
            )
        if not steps:
            return state.copy()
        fields = self.fields(state.reshape(-1, self.variables))
        count, dates = len(fields), self.emulator.valid_dates(self.date, steps)
        walked = self.emulator.roll_out(
            self._through("encode", fields, self.date),
            [self.date] * count,
            range(count),
            steps=steps,
            seed=self.seed,
            batch_size=self.batch_size,
        )
        self.date = dates[-1]
        return self.vector(self._through("decode", walked[:, -1], self.date)).reshape(state.shape)

    def fields(self, state: np.ndarray) -> np.ndarray:
        """(..., variable) -> (..., channel, lat, lon), NaN outside the domain; units stay."""
        physical = np.full((*state.shape[:-1], *self.domain.shape), np.nan)
        physical[..., self.domain] = state
        return physical

    def vector(self, fields: np.ndarray) -> np.ndarray:
        """(..., channel, lat, lon) -> (..., variable), float64; units stay."""
        chosen: np.ndarray = fields[..., self.domain].astype(np.float64)
        return chosen

    def _through(self, way: str, fields: np.ndarray, date: Any) -> np.ndarray:
        """Physical units -> network units ("encode") or back ("decode"), (member, channel, lat, lon)."""
        codec, parts, first = self.emulator.codec, [], 0
        for name in codec.targets:
            last = first + len(codec.grid.levels[name])
            parts.append(getattr(codec, way)(name, fields[:, first:last], np.array([date]), *self._places))
            first = last
        return np.concatenate(parts, axis=1)

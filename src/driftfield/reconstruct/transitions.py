"""Pairs of states one time step apart: what an emulator of p(x_(t+1) | x_t) learns from.

    archive --codec--> states (time, channel, lat, lon) --> pairs (t, t+1) inside the split --> FieldBatch

    target = x_(t+1)      first_guess = x_t + mean increment      first_guess_scale = standard deviation of the increments

so that what a network is asked for, (target - first_guess) / first_guess_scale, is the normalised increment. A sample is a
function of (seed, index) alone. States are small where emulators are trained on a laptop: they are held in memory as float32.
"""

__all__ = ["TransitionDataset", "encoded_states", "successors", "transition_batch"]

from collections.abc import Sequence

import numpy as np
import torch

from driftfield.data.codec import FieldCodec, with_levels
from driftfield.data.context import time_step
from driftfield.data.encodings import time_days
from driftfield.data.patches import centre
from driftfield.data.sources import GriddedArchive
from driftfield.errors import DataError
from driftfield.fields import FieldBatch
from driftfield.networks.codecs import IncrementCodec


def encoded_states(archive: GriddedArchive, codec: FieldCodec) -> np.ndarray:
    """All states of an archive, (time, channel, lat, lon) in network units, NaN where unknown."""
    rows, columns = np.arange(codec.grid.lat.size), np.arange(codec.grid.lon.size)
    times = archive.times.values
    parts = [codec.encode(n, with_levels(archive.dataset[n]), times, rows, columns) for n in codec.targets]
    exists = np.concatenate([codec.domains[name] for name in codec.targets])
    return np.where(exists, np.concatenate(parts, axis=1), np.nan)


def successors(archive: GriddedArchive, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Time indices (first, second) of the pairs of a split that lie one step of the archive apart.

    Raises:
        DataError: there is no such pair.
    """
    days = time_days(archive.times)
    step = time_step(days)
    ordered = np.asarray(times)[np.argsort(days[np.asarray(times)])]
    follows = np.abs(np.diff(days[ordered]) - step) < 0.5 * step
    if not follows.any():
        raise DataError(
            f"No two of {len(ordered)} dates lie one step ({step:g} days) apart. An emulator needs a split into periods."
        )
    return ordered[:-1][follows], ordered[1:][follows]


class TransitionDataset(torch.utils.data.Dataset[FieldBatch]):
    """Random pairs of consecutive states.

    Arguments:
        states: All states (time, channel, lat, lon) in network units, NaN where unknown.
        pairs: Time indices (first, second).
        codec: Knows the grid.
        increments: Fitted to training pairs.
        dates: (time, 2) fractions of the year and of the day.
        samples: Length of the data set.
        seed: Of every draw.
    """

    def __init__(
        self,
        states: np.ndarray,
        pairs: tuple[np.ndarray, np.ndarray],
        codec: FieldCodec,
        increments: IncrementCodec,
        *,
        dates: np.ndarray,
        samples: int,
        seed: int,
    ) -> None:
        self.states, self.pairs, self.codec, self.increments = states, pairs, codec, increments
        self.dates, self.samples, self.seed = dates, samples, seed
        self.start = 0
        """Index of the first sample (a resumed training)."""

    def __len__(self) -> int:
        return self.samples - self.start

    def __getitem__(self, index: int) -> FieldBatch:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[int]) -> list[FieldBatch]:
        """One batch of all samples at once: small states would spend their time in being joined one by one."""
        draws = (np.random.default_rng((self.seed, self.start + index)) for index in indices)
        chosen = np.array([rng.integers(len(self.pairs[0])) for rng in draws])
        now, then = (self.states[part[chosen]] for part in self.pairs)
        return [transition_batch(self.codec, self.increments, now, self.dates[self.pairs[1][chosen]], then)]


def transition_batch(
    codec: FieldCodec, increments: IncrementCodec, now: np.ndarray, dates: np.ndarray, then: np.ndarray | None = None
) -> FieldBatch:
    """States and, where they are known, those one step later, as a batch whose first guess is the former.

    Arguments:
        codec: Knows grid and domain.
        increments: Mean and scale of the increments.
        now: x_t (batch, channel, lat, lon), network units; NaN where unknown.
        dates: (batch, 2) fractions of the year and of the day of x_(t+1).
        then: x_(t+1), as `now`; none while forecasting.
    """
    exists = np.concatenate([codec.domains[name] for name in codec.targets])
    domain = np.broadcast_to(exists, now.shape) & np.isfinite(now)
    known = np.zeros(now.shape, bool) if then is None else domain & np.isfinite(then)
    mean, std = (np.float32(part[:, None, None]) for part in (increments.mean, increments.std))
    nothing = torch.zeros(now.shape)
    given = torch.zeros(len(now), 0, *now.shape[2:])
    return FieldBatch(
        target=torch.from_numpy(np.where(known, now if then is None else then, 0)).float(),
        observations=nothing,
        observed=nothing.bool(),
        error_std=nothing,
        domain=torch.from_numpy(domain),
        held_out=torch.from_numpy(known),
        covariates=given,
        covariates_observed=given.bool(),
        covariates_error_std=given,
        presence=given[:, :, 0, 0],
        position=torch.tensor([centre(codec.grid.lat, codec.grid.lon)], dtype=torch.float32).repeat(len(now), 1),
        date=torch.from_numpy(dates).float(),
        first_guess=torch.from_numpy(np.where(domain, now + mean, 0)).float(),
        first_guess_scale=torch.from_numpy(np.broadcast_to(std, now.shape).copy()),
    )

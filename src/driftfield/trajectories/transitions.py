"""Pairs of states one time step apart: what an emulator of p(x_(t+1) | x_t) learns from.

    archive --codec--> states (time, channel, lat, lon) --> pairs (t, t+1) inside the split --> FieldBatch

    target = x_(t+1)      first_guess = x_t + mean increment      first_guess_scale = standard deviation of the increments

so that what a network is asked for, (target - first_guess) / first_guess_scale, is the normalised increment. A sample is a
function of (seed, index) alone. States are small where emulators are trained on a laptop: they are held in memory as float32.
"""

__all__ = ["TransitionDataset", "successors", "transition_batch"]

from dataclasses import replace

import numpy as np
import torch

from driftfield.data.codec import FieldCodec
from driftfield.errors import DataError
from driftfield.fields import FieldBatch, Guess
from driftfield.interfaces import Archive
from driftfield.networks.codecs import IncrementCodec
from driftfield.trajectories.whole_states import WholeStates, blank_batch, consecutive


def successors(archive: Archive, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Time indices (first, second) of the pairs of a split that lie one step of the archive apart.

    Raises:
        DataError: there is no such pair.
    """
    ordered, follows, step = consecutive(archive, times)
    if not follows.any():
        raise DataError(
            f"No two of {len(ordered)} dates lie one step ({step:g} days) apart. An emulator needs a split into periods."
        )
    return ordered[:-1][follows], ordered[1:][follows]


class TransitionDataset(WholeStates):
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
        super().__init__(len(pairs[0]), samples=samples, seed=seed)
        self.states, self.pairs, self.codec, self.increments = states, pairs, codec, increments
        self.dates = dates

    def batch(self, chosen: np.ndarray) -> FieldBatch:
        """These pairs."""
        now, then = (self.states[part[chosen]] for part in self.pairs)
        return transition_batch(self.codec, self.increments, now, self.dates[self.pairs[1][chosen]], then)


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
    mean, std = (np.float32(part[:, None, None]) for part in (increments.mean, increments.std))
    cells = np.arange(now.shape[-2]), np.arange(now.shape[-1])
    return replace(
        blank_batch(codec, domain, dates, *cells, target=then),
        guess=Guess(
            torch.from_numpy(np.where(domain, now + mean, 0)).float(),
            torch.from_numpy(np.broadcast_to(std, now.shape).copy()),
        ),
    )

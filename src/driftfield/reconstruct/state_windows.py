"""Windows of consecutive states: what a prior of trajectories learns from.

    archive --codec--> states (time, channel, lat, lon) --> runs of 2k+1 dates inside the split --> FieldBatch

The states of a window lie one after the other along the channels, and nothing of them is observed: the model learns what their
course is, not what follows from observations. A sample is a function of (seed, index) alone.
"""

__all__ = ["StateWindows", "blank_batch", "check_whole_grid", "runs"]

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from driftfield.data.codec import FieldCodec
from driftfield.data.context import time_step
from driftfield.data.encodings import time_days
from driftfield.data.patches import centre
from driftfield.data.sources import GriddedArchive
from driftfield.errors import ConfigurationError, DataError
from driftfield.fields import FieldBatch
from driftfield.interfaces import TrainingData


def runs(archive: GriddedArchive, times: np.ndarray, states: int) -> np.ndarray:
    """Time indices (window, states) of all runs of dates of a split that follow each other one step of the archive apart.

    Raises:
        DataError: there is none.
    """
    days = time_days(archive.times)
    step = time_step(days)
    ordered = np.asarray(times)[np.argsort(days[np.asarray(times)])]
    follows = np.abs(np.diff(days[ordered]) - step) < 0.5 * step
    starts = np.arange(len(ordered) - states + 1)
    # the number of steps that are not one step long, up to each date
    broken = np.concatenate([[0], np.cumsum(~follows)])
    whole = starts[broken[starts + states - 1] == broken[starts]] if len(starts) else starts
    if not len(whole):
        raise DataError(
            f"No {states} of {len(ordered)} dates follow each other in steps of {step:g} days. Take fewer states in a window, "
            "or a split into periods."
        )
    return ordered[whole[:, None] + np.arange(states)]


class StateWindows(torch.utils.data.Dataset[FieldBatch]):
    """Random windows of consecutive states.

    Arguments:
        fields: All states (time, channel, lat, lon) in network units, NaN where unknown.
        windows: Time indices (window, states).
        codec: Knows the grid.
        dates: (time, 2) fractions of the year and of the day.
        samples: Length of the data set.
        seed: Of every draw.
    """

    def __init__(
        self,
        fields: np.ndarray,
        windows: np.ndarray,
        codec: FieldCodec,
        *,
        dates: np.ndarray,
        samples: int,
        seed: int,
    ) -> None:
        self.fields, self.windows, self.codec = fields, windows, codec
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
        chosen = self.windows[[rng.integers(len(self.windows)) for rng in draws]]
        x = self.fields[chosen]
        target = x.reshape(len(x), -1, *x.shape[3:])
        middle = self.dates[chosen[:, chosen.shape[1] // 2]]
        exists = np.concatenate([self.codec.domains[name] for name in self.codec.targets])
        domain = np.broadcast_to(np.tile(exists, (chosen.shape[1], 1, 1)), target.shape)
        where = np.arange(target.shape[-2]), np.arange(target.shape[-1])
        return [blank_batch(self.codec, domain, middle, *where, target=target)]


def blank_batch(
    codec: FieldCodec,
    domain: np.ndarray,
    dates: np.ndarray,
    rows: np.ndarray,
    columns: np.ndarray,
    *,
    target: np.ndarray | None = None,
) -> FieldBatch:
    """Windows of which nothing is observed.

    Arguments:
        codec: Knows the grid.
        domain: (batch, channel, lat, lon) where the states exist, the channels of all states of a window.
        dates: (batch, 2) fractions of the year and of the day of the middle states.
        rows, columns: Indices on the grid of the run.
        target: The clean states in network units, NaN where unknown; none while drawing.
    """
    known = np.zeros(domain.shape, bool) if target is None else domain & np.isfinite(target)
    clean = np.zeros(domain.shape, np.float32) if target is None else np.where(known, target, 0)
    nothing = torch.zeros(domain.shape)
    given = torch.zeros(len(domain), 0, *domain.shape[2:])
    place = centre(codec.grid.lat[rows], codec.grid.lon[columns])
    return FieldBatch(
        target=torch.from_numpy(clean).float(),
        observations=nothing,
        observed=nothing.bool(),
        error_std=nothing,
        domain=torch.from_numpy(np.ascontiguousarray(domain)),
        held_out=torch.from_numpy(known),
        covariates=given,
        covariates_observed=given.bool(),
        covariates_error_std=given,
        presence=given[:, :, 0, 0],
        position=torch.tensor([place], dtype=torch.float32).repeat(len(domain), 1),
        date=torch.from_numpy(dates).float(),
    )


def check_whole_grid(data: TrainingData) -> None:
    """Refuses windows in space.

    Raises:
        ConfigurationError: a window that is not the whole grid.
    """
    archive: Any = data.archive
    sizes = archive.dataset.sizes
    for window in (*data.train_windows, *data.validation_windows):
        if (window.height, window.width) != (sizes["lat"], sizes["lon"]):
            raise ConfigurationError(
                f"Found windows of {window.height} x {window.width} cells: a prior of trajectories learns from the whole grid. "
                "Leave out 'windows', and take a split in time."
            )

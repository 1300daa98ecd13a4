"""States of an archive as whole grids in memory: what those learn from who know how states follow each other.

archive --codec--> states (time, channel, lat, lon) --> which dates follow each other --> samples, all of a batch at once
"""

__all__ = ["WholeStates", "blank_batch", "check_whole_grid", "consecutive", "encoded_states"]

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
import torch

from driftfield.data.codec import FieldCodec, with_levels
from driftfield.data.context import time_step
from driftfield.errors import ConfigurationError
from driftfield.fields import FieldBatch, Seen
from driftfield.gridded.encodings import time_days
from driftfield.interfaces import Archive, TrainingData


def encoded_states(archive: Archive, codec: FieldCodec) -> np.ndarray:
    """All states of an archive, (time, channel, lat, lon) in network units, NaN where unknown."""
    rows, columns = np.arange(codec.grid.lat.size), np.arange(codec.grid.lon.size)
    times = archive.times.values
    parts = [codec.encode(n, with_levels(archive.dataset[n]), times, rows, columns) for n in codec.targets]
    exists = np.concatenate([codec.domains[name] for name in codec.targets])
    return np.where(exists, np.concatenate(parts, axis=1), np.nan)


def consecutive(archive: Archive, times: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """The dates of a split in order, whether each is followed one step of the archive later, and that step in days.

    Arguments:
        archive: Of the states.
        times: Time indices.

    Returns:
        Time indices (n,), a flag for all but the last (n - 1,), days.
    """
    days = time_days(archive.times)
    step = time_step(days)
    ordered = np.asarray(times)[np.argsort(days[np.asarray(times)])]
    return ordered, np.abs(np.diff(days[ordered]) - step) < 0.5 * step, step


class WholeStates(torch.utils.data.Dataset[FieldBatch], ABC):
    """Random items, drawn a batch at a time: small states would spend their time in being joined one by one.

    A sample is a function of (seed, index) alone.

    Arguments:
        items: How many there are to draw from.
        samples: Length of the data set.
        seed: Of every draw.
    """

    def __init__(self, items: int, *, samples: int, seed: int) -> None:
        self.items, self.samples, self.seed = items, samples, seed
        self.start = 0
        """Index of the first sample (a resumed training)."""

    @abstractmethod
    def batch(self, chosen: np.ndarray) -> FieldBatch:
        """The items of these numbers."""

    def __len__(self) -> int:
        return self.samples - self.start

    def __getitem__(self, index: int) -> FieldBatch:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[int]) -> list[FieldBatch]:
        draws = (np.random.default_rng((self.seed, self.start + index)) for index in indices)
        return [self.batch(np.array([rng.integers(self.items) for rng in draws]))]


def blank_batch(
    codec: FieldCodec,
    domain: np.ndarray,
    dates: np.ndarray,
    rows: np.ndarray,
    columns: np.ndarray,
    *,
    target: np.ndarray | None = None,
) -> FieldBatch:
    """States, or windows of them, of which nothing is observed.

    Arguments:
        codec: Knows the grid.
        domain: (batch, channel, lat, lon) where the states exist, the channels of all states of a window one after the other.
        dates: (batch, 2) fractions of the year and of the day of the middle states.
        rows, columns: Indices on the grid of the run.
        target: The clean states in network units, NaN where unknown; none while drawing.
    """
    known = np.zeros(domain.shape, bool) if target is None else domain & np.isfinite(target)
    clean = np.zeros(domain.shape, np.float32) if target is None else np.where(known, target, 0)
    place = codec.grid.middle(rows, columns)
    return FieldBatch(
        target=torch.from_numpy(clean).float(),
        seen=Seen.nothing(*domain.shape),
        domain=torch.from_numpy(np.ascontiguousarray(domain)),
        held_out=torch.from_numpy(known),
        given=Seen.nothing(len(domain), 0, *domain.shape[2:]),
        presence=torch.zeros(len(domain), 0),
        position=torch.tensor([place], dtype=torch.float32).repeat(len(domain), 1),
        date=torch.from_numpy(dates).float(),
    )


def check_whole_grid(data: TrainingData, learner: str) -> None:
    """Refuses windows in space.

    Arguments:
        data: To learn from.
        learner: Who learns, as the message says it.

    Raises:
        ConfigurationError: a window that is not the whole grid.
    """
    archive = data.archive
    sizes = archive.dataset.sizes
    for window in (*data.train_windows, *data.validation_windows):
        if (window.height, window.width) != (sizes["lat"], sizes["lon"]):
            raise ConfigurationError(
                f"Found windows of {window.height} x {window.width} cells: {learner} works on the whole grid. "
                "Leave out 'windows', and take a split in time."
            )

"""What a network that completes fields learns from.

training      sample = f(seed, index), so that a resume goes on where it was: those of index start, start + 1, ...
validation    the same few samples every time
first guess   samples come from a pool, whose guesses were computed beforehand
"""

__all__ = ["TrainingSamples"]

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from driftfield.data.codec import FieldCodec
from driftfield.data.dataset import ObservingSystem, TwinDataset
from driftfield.data.patches import Window
from driftfield.fields import FieldBatch
from driftfield.interfaces import TrainingData
from driftfield.models.first_guess import FirstGuess
from driftfield.models.first_guess_pool import first_guess_pool
from driftfield.models.teaching import remaining

if TYPE_CHECKING:
    pass


@dataclass(frozen=True)
class TrainingSamples:
    """Draws the samples of both splits.

    Arguments:
        data: Archive and splits.
        codec: To network units.
        observing: What is seen.
        augment: Further arguments of `TwinDataset`.
        guess: Whose residual is learnt.
        pool: Training samples whose first guess is computed beforehand.
        folder: Where these are kept.
        keep: Whether they are; one of several processes keeps them for all.
        seed: Of every draw.
    """

    data: TrainingData
    codec: FieldCodec
    observing: ObservingSystem
    augment: Mapping[str, Any]
    guess: FirstGuess | None
    pool: int
    folder: Path
    seed: int
    keep: bool = True

    @property
    def wraps(self) -> bool:
        """Whether every window goes round the globe."""
        windows = (*self._windows("train"), *self._windows("validation"))
        return self.codec.grid.periodic and all(window.width == self.codec.grid.lon.size for window in windows)

    def training(self, count: int) -> Callable[[int], TwinDataset]:
        """From the index of its first sample, a data set of what is left of `count`."""
        return remaining(self._draw("train", self.data.train, count, self.seed, self.pool))

    def validation(self, count: int, batch_size: int) -> list[FieldBatch]:
        """Fixed batches of `count` samples together."""
        checked = self._draw("validation", self.data.validation, count, self.seed + 1_000_003, count)
        size = min(batch_size, count)
        return [
            FieldBatch.stack([checked[i] for i in range(start, min(start + size, count))])
            for start in range(0, count, size)
        ]

    def _windows(self, part: str) -> tuple[Window, ...]:
        whole = Window(0, 0, self.codec.grid.lat.size, self.codec.grid.lon.size)
        return getattr(self.data, f"{part}_windows") or (whole,)

    def _draw(self, part: str, times: np.ndarray, count: int, seed: int, pool: int) -> TwinDataset:
        archive = self.data.archive if part == "train" else self.data.to_validate
        windows, training = self._windows(part), part == "train"
        samples = partial(TwinDataset, archive, self.codec, self.observing, times=times, windows=windows, samples=count)
        samples = partial(samples, seed=seed, training=training)
        drawn = samples(**self.augment)
        if self.guess is None:
            return drawn
        kept = first_guess_pool(self.guess, drawn, pool, self.folder / f"first_guess_{part}", keep=self.keep)
        # bounds are those of the pool's fields: none of a mix, scaled where the fields are
        mixed = {name: bool(self.augment.get(name, False)) for name in ("mix", "out_of_fold")}
        return samples(**mixed, pool=kept)

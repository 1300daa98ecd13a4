"""Counter-based noise: a standard normal number is a function of (seed, member, time stamp, draw, channel, row, column).

So a member is the same at any batch size, on any device, for any subset of times, and two tiles that share a cell share its
noise. Philox and Box-Muller (`gaussian.counter_noise`) turn counter and key into normals.
"""

__all__ = ["CellNoise"]

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from driftfield.gaussian.counter_noise import key_of, philox, standard_normal, word_of


class CellNoise:
    """The noise of a batch of windows; calling it with a draw number gives that draw.

    Arguments:
        seed: The user's seed.
        members: Member number of each sample in the batch.
        stamps: Time stamp of each sample: an integer or a date as text that names its time.
        channels: Names of the channels, so that a channel keeps its noise when others join.
        rows, columns: Global grid indices of the window.
        device: Where the tensors are wanted.
    """

    def __init__(
        self,
        seed: int,
        members: Sequence[int],
        stamps: Sequence[int | str],
        channels: Sequence[str],
        rows: np.ndarray,
        columns: np.ndarray,
        device: str | torch.device = "cpu",
    ) -> None:
        self.keys = [key_of(seed, member, stamp) for member, stamp in zip(members, stamps, strict=True)]
        self.channels = np.array([word_of(name) for name in channels], dtype=np.uint64)[:, None, None]
        self.rows = np.asarray(rows, dtype=np.uint64)[None, :, None]
        self.columns = np.asarray(columns, dtype=np.uint64)[None, None, :]
        self.device = device

    def __call__(self, draw: int) -> Tensor:
        """(batch, channel, lat, lon) standard normals, the same for the same `draw`."""
        fields = [
            standard_normal(philox((self.columns, self.rows, self.channels, np.uint64(draw)), key)) for key in self.keys
        ]
        return torch.from_numpy(np.stack(fields)).to(self.device)

"""Counter-based noise: a standard normal number is a function of (seed, member, time stamp, draw, channel, row, column).

So a member is the same at any batch size, on any device, for any subset of times, and two tiles that share a cell share its
noise. Philox 4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3") turns counter and key into 128 random
bits; Box-Muller turns two of its words into a normal.
"""

__all__ = ["CellNoise", "philox", "standard_normal"]

import hashlib
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

_MASK = np.uint64(0xFFFFFFFF)
_MULTIPLIERS = (np.uint64(0xD2511F53), np.uint64(0xCD9E8D57))
_WEYL = (0x9E3779B9, 0xBB67AE85)


def philox(counter: Sequence[np.ndarray | np.uint64], key: tuple[int, int]) -> list[np.ndarray]:
    """Philox 4x32-10: four counter words (uint64 arrays below 2^32, broadcast) and two key words -> four random words."""
    # not broadcast yet: in the first rounds rows, columns and channels have not met
    c0, c1, c2, c3 = (np.asarray(word, dtype=np.uint64) for word in counter)
    k0, k1 = key
    for _ in range(10):
        product0, product1 = _MULTIPLIERS[0] * c0, _MULTIPLIERS[1] * c2
        c0, c1, c2, c3 = (
            (product1 >> np.uint64(32)) ^ c1 ^ np.uint64(k0),
            product1 & _MASK,
            (product0 >> np.uint64(32)) ^ c3 ^ np.uint64(k1),
            product0 & _MASK,
        )
        k0, k1 = (k0 + _WEYL[0]) & 0xFFFFFFFF, (k1 + _WEYL[1]) & 0xFFFFFFFF
    return [c0, c1, c2, c3]


def standard_normal(words: Sequence[np.ndarray]) -> np.ndarray:
    """Box-Muller: two random 32-bit words -> a normal (float32); the second one, by the sine, is not made."""
    # + 1/2 keeps the logarithm finite
    u1, u2 = ((word.astype(np.float64) + 0.5) / 2**32 for word in words[:2])
    return (np.sqrt(-2 * np.log(u1)) * np.cos(2 * np.pi * u2)).astype(np.float32)


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
        self.keys = [_key(seed, member, stamp) for member, stamp in zip(members, stamps, strict=True)]
        self.channels = np.array([_word(name) for name in channels], dtype=np.uint64)[:, None, None]
        self.rows = np.asarray(rows, dtype=np.uint64)[None, :, None]
        self.columns = np.asarray(columns, dtype=np.uint64)[None, None, :]
        self.device = device

    def __call__(self, draw: int) -> Tensor:
        """(batch, channel, lat, lon) standard normals, the same for the same `draw`."""
        fields = [
            standard_normal(philox((self.columns, self.rows, self.channels, np.uint64(draw)), key)) for key in self.keys
        ]
        return torch.from_numpy(np.stack(fields)).to(self.device)


def _word(name: str) -> int:
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=4).digest(), "little")


def _key(seed: int, member: int, stamp: int | str) -> tuple[int, int]:
    digest = hashlib.blake2b(f"{seed}/{member}/{stamp}".encode(), digest_size=8).digest()
    return int.from_bytes(digest[:4], "little"), int.from_bytes(digest[4:], "little")

"""Random numbers as a function and not as a stream: Philox 4x32-10 turns a counter and a key into 128 random bits.

Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3". Box-Muller turns two words into two normals. The key says whose
number it is (seed, member, time stamp), the counter where it is: of a cell, or of a wavenumber.
"""

__all__ = ["key_of", "philox", "standard_normal", "standard_normals", "word_of"]

import hashlib
from collections.abc import Sequence

import numpy as np

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
    radius, angle = _polar(words)
    return (radius * np.cos(angle)).astype(np.float32)


def standard_normals(words: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Box-Muller: two random 32-bit words -> two independent normals, float64."""
    radius, angle = _polar(words)
    return radius * np.cos(angle), radius * np.sin(angle)


def _polar(words: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    # + 1/2 keeps the logarithm finite
    u1, u2 = ((word.astype(np.float64) + 0.5) / 2**32 for word in words[:2])
    return np.sqrt(-2 * np.log(u1)), 2 * np.pi * u2


def word_of(name: str) -> int:
    """A name as one word of a counter."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=4).digest(), "little")


def key_of(seed: int, member: int, stamp: int | str) -> tuple[int, int]:
    """The two key words of a member at a time."""
    digest = hashlib.blake2b(f"{seed}/{member}/{stamp}".encode(), digest_size=8).digest()
    return int.from_bytes(digest[:4], "little"), int.from_bytes(digest[4:], "little")

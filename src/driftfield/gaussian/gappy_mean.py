"""Mean and spread of every cell from a short and gappy record, where a seasonal cycle cannot be known.

    S = sum of y        Q = sum of y^2        n = number of values                    per cell, over what was seen
    m0 = G S / G n                            G a wide Gaussian
    m1 = m0 + g (S - n m0) / (g n + kappa)    g a narrow Gaussian
    m  = m1 + (S - n m1) / (n + kappa)        few values say little of a cell: kappa draws it to its neighbourhood
    s^2 = g (Q - 2 m S + n m^2) / g n         and a tenth of the median is the floor

The sums are additive: what is hidden for a test is subtracted, without reading the record again.
"""

__all__ = ["RunningSums", "smooth_mean_and_sd"]

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from driftfield.gaussian.smoothing import gaussian_sum


@dataclass(frozen=True)
class RunningSums:
    """Sums over time of what was seen, each ([depth,] lat, lon).

    Arguments:
        total: Sum of values.
        squares: Sum of squares.
        count: Number of values.
    """

    total: np.ndarray
    squares: np.ndarray
    count: np.ndarray

    @classmethod
    def of(cls, blocks: Iterable[np.ndarray]) -> "RunningSums":
        """Adds up blocks (time, [depth,] lat, lon), NaN where not seen."""
        sums: np.ndarray | None = None
        for block in blocks:
            seen = np.isfinite(block)
            values = np.where(seen, block, 0.0).astype(np.float64)
            part = np.stack([values.sum(axis=0), (values**2).sum(axis=0), seen.sum(axis=0).astype(np.float64)])
            sums = part if sums is None else sums + part
        if sums is None:
            raise ValueError("No block was given.")
        return cls(*sums)

    def __sub__(self, other: "RunningSums") -> "RunningSums":
        return RunningSums(self.total - other.total, self.squares - other.squares, self.count - other.count)


def smooth_mean_and_sd(
    sums: RunningSums,
    domain: np.ndarray,
    *,
    periodic: bool,
    kappa: float = 20.0,
    wide: float = 0.125,
    narrow: float = 1.5,
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation, finite everywhere, ([depth,] lat, lon).

    Arguments:
        sums: Of the record.
        domain: Boolean ([depth,] lat, lon); land has no say.
        periodic: Whether longitude wraps.
        kappa: Number of values at which a cell's own mean has half the say.
        wide: Width of G as a part of the longer edge.
        narrow: Width of g in cells.
    """

    def smooth(field: np.ndarray, width: float) -> np.ndarray:
        return gaussian_sum(field, width, periodic=periodic)

    n = np.where(domain, sums.count, 0.0)
    shift = _level(np.where(domain, sums.total, 0.0), n)
    # departures from the level's mean: squares of large numbers cancel badly
    total = np.where(domain, sums.total - n * shift, 0.0)
    squares = np.where(domain, sums.squares - 2 * shift * sums.total + n * shift**2, 0.0)
    broad = wide * max(domain.shape[-2:])
    weight = smooth(n, broad)
    trend = smooth(total, broad) / np.maximum(weight, 1e-6)
    mean = trend + smooth(total - n * trend, narrow) / (smooth(n, narrow) + kappa)
    mean = mean + (total - n * mean) / (n + kappa)
    rest = np.maximum(squares - 2 * mean * total + n * mean**2, 0.0)
    level = _level(rest, n)
    # ten values' worth of the level's variance steadies a cell that was hardly seen
    variance = (smooth(rest, narrow) + 10 * level) / (smooth(n, narrow) + 10)
    return mean + shift, np.sqrt(np.maximum(variance, 0.01 * level) + 1e-12)


def _level(total: np.ndarray, count: np.ndarray) -> np.ndarray:
    """Mean of every level: ([depth,] 1, 1)."""
    axes = (-2, -1)
    return total.sum(axis=axes, keepdims=True) / np.maximum(count.sum(axis=axes, keepdims=True), 1)

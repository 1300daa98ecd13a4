"""How sure a score is: dates that follow each other say the same twice, and a mean over them is less sure than their number says.

    interval   5 and 95 % quantile of the score over resampled records: blocks of successive dates, drawn with replacement, around
               the end                                                              (circular block bootstrap)
    block      L = max(n^(1/3), 1 + 4 r / (1 - r)) dates,   r: correlation of the error of successive dates
               widened by (1 - L / n)^(-1/2): blocks of a short record overlap
    dates that are as good as independent      n (1 - r) / (1 + r)

Politis and Romano (1992), "A circular block-resampling procedure for stationary data".
"""

__all__ = ["FEW", "Interval", "block_bootstrap", "independent_dates"]

from dataclasses import dataclass

import numpy as np

FEW = 10
"""Independent dates below which a reader is warned."""


@dataclass(frozen=True)
class Interval:
    """Where a score may lie.

    Arguments:
        low, high: Ends of the interval that holds 90 % of the resampled scores.
        dates: How many were scored.
        independent: How many of them are as good as independent.
    """

    low: float
    high: float
    dates: int
    independent: float


def independent_dates(means: np.ndarray) -> float:
    """How many independent dates say as much as these, from the mean error of each (date,)."""
    return means.size * (1 - _persistence(means)) / (1 + _persistence(means))


def block_bootstrap(
    sums: np.ndarray, weights: np.ndarray, *, root: bool = False, draws: int = 999, seed: int = 0
) -> Interval | None:
    """The interval of sum(sums) / sum(weights), or of its square root.

    Arguments:
        sums: Error of every date in the order of the dates, summed over its cells (date,).
        weights: Summed weights of these cells (date,).
        root: Whether the score is a root of the mean, as the RMSE is.
        draws: Resampled records.
        seed: Of the draws.

    Returns:
        None for fewer than three dates, of which nothing can be drawn.
    """
    count = sums.size
    if count < 3:
        return None
    means = sums / np.maximum(weights, 1e-30)
    r = _persistence(means)
    length = int(min(np.ceil(max(count ** (1 / 3), 1 + 4 * r / (1 - r))), max(1, count // 2)))
    rng = np.random.default_rng(seed)
    starts = rng.integers(0, count, (draws, -(-count // length)))
    index = ((starts[:, :, None] + np.arange(length)) % count).reshape(draws, -1)[:, :count]
    drawn = sums[index].sum(axis=1) / np.maximum(weights[index].sum(axis=1), 1e-30)
    # blocks of a short record overlap: their means differ by less than those of other records
    centre = sums.sum() / max(float(weights.sum()), 1e-30)
    drawn = np.maximum(centre + (drawn - centre) / np.sqrt(1 - length / count), 0.0)
    low, high = np.quantile(np.sqrt(drawn) if root else drawn, [0.05, 0.95])
    return Interval(float(low), float(high), count, independent_dates(means))


def _persistence(means: np.ndarray) -> float:
    """Correlation of successive dates, from 0 to 0.95; nothing can be said of fewer than four."""
    departure = means - means.mean()
    variance = float((departure**2).sum())
    if means.size < 4 or variance == 0:
        return 0.0
    return float(np.clip((departure[1:] * departure[:-1]).sum() / variance, 0.0, 0.95))

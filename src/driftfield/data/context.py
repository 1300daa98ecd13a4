"""Time context: what was seen shortly before and after helps to see now.

    offsets -2, -1, +1, +2   ->   the frames nearest to   t + k step,   each with its own mask;   none within half a step: absent

`step` is the archive's own time step, so that a run trained on daily fields looks for the neighbouring days in any file.
"""

__all__ = ["check_offsets", "neighbours", "time_step"]

from collections.abc import Sequence

import numpy as np

from driftfield.errors import ConfigurationError


def check_offsets(offsets: Sequence[int]) -> tuple[int, ...]:
    """The offsets of a recipe, in order.

    Raises:
        ConfigurationError: not whole numbers, zero, or one of them twice.
    """
    steps = list(offsets) if isinstance(offsets, Sequence) and not isinstance(offsets, str) else None
    if steps is None or any(type(one) is not int or one == 0 for one in steps) or len(set(steps)) < len(steps):
        raise ConfigurationError(
            f"Found context={offsets!r}: expected a list of different time offsets in steps of the archive, without 0, "
            "such as [-1, 1]."
        )
    return tuple(sorted(steps))


def time_step(days: np.ndarray) -> float:
    """The median time step in days; 1 where there is one date only."""
    return float(np.median(np.diff(np.unique(days)))) if len(np.unique(days)) > 1 else 1.0


def neighbours(days: np.ndarray, index: int, offsets: Sequence[int], step: float) -> list[int | None]:
    """Which dates stand for the frames around one date.

    Arguments:
        days: Dates as days, (time,), in any order.
        index: The date in the middle.
        offsets: In steps.
        step: Days.

    Returns:
        Per offset the index of the date nearest to days[index] + offset step, None where none is within half a step.
    """
    indices: list[int | None] = []
    for offset in offsets:
        distance = np.abs(days - (days[index] + offset * step))
        nearest = int(distance.argmin())
        indices.append(nearest if distance[nearest] < 0.5 * step and nearest != index else None)
    return indices

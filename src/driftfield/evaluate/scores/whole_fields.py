"""Fields as a whole, for scores that look at neighbours, at the order of dates, or at two variables.

made (member, time, row, column)  <->  truth (time, row, column)        at the cells that both know at all dates
"""

__all__ = ["Ratio", "WholeFields"]

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np


@dataclass(frozen=True)
class WholeFields:
    """One variable of one method beside the truth.

    Arguments:
        members: (member, time, row, column), NaN where unknown.
        truth: (time, row, column).
        breaks: Boolean (time,): a date that does not follow the one before it.
        wet: From which value on it is wet, units of the field; None where it is no rain.
        width: Fine cells along the edge of a coarse cell; None where nothing was downscaled.
        coarse_wet: Boolean (time, row, column): where the coarse field is wet.
        beside: The first member and the truth of every other variable, as of this one.
    """

    members: np.ndarray
    truth: np.ndarray
    breaks: np.ndarray | None = None
    wet: float | None = None
    width: float | None = None
    coarse_wet: np.ndarray | None = None
    beside: tuple[tuple[np.ndarray, np.ndarray], ...] = field(default=())

    @cached_property
    def cells(self) -> np.ndarray:
        """Boolean (row, column): known at all dates by all members and the truth."""
        return np.asarray(np.isfinite(self.truth).all(axis=0) & np.isfinite(self.members).all(axis=(0, 1)))

    @property
    def complete(self) -> bool:
        """Whether there is no hole at all."""
        return bool(self.cells.all())

    @property
    def each(self) -> tuple[np.ndarray, ...]:
        """Every member at the cells: (time, cell)."""
        return tuple(member[:, self.cells] for member in self.members)

    @property
    def true(self) -> np.ndarray:
        """The truth at the cells: (time, cell)."""
        return self.truth[:, self.cells]


@dataclass(frozen=True)
class Ratio:
    """A figure of the made fields over that of the truth; NaN where that is 0.

    Arguments:
        figure: Of all values together: arrays (time, cell) of the members, or the truth, and the fields they belong to.
    """

    figure: Callable[[np.ndarray, WholeFields], float]

    def made(self, fields: WholeFields) -> float:
        """The figure, the mean over the members."""
        return float(np.mean([self.figure(member, fields) for member in fields.each]))

    def truth(self, fields: WholeFields) -> float:
        """The figure of the truth."""
        return float(self.figure(fields.true, fields))

    def __call__(self, fields: WholeFields) -> float:
        if not fields.cells.any():
            return float("nan")
        true = self.truth(fields)
        return self.made(fields) / true if true != 0 else float("nan")

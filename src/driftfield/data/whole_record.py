"""The split of a record that is to be filled, not learnt from for later: every date trains, and nothing is spared."""

__all__ = ["WholeRecord"]

from collections.abc import Sequence
from typing import Any

import numpy as np

from driftfield.data.patches import Window
from driftfield.data.splits import Part, Split, Splits
from driftfield.gridded.encodings import as_dates
from driftfield.registry import register


@register("split")
class WholeRecord(Split):
    """For methods that hide a part of what they learn from by themselves, such as `Kriging`."""

    validates = False

    def divide(self, times: Any, windows: Sequence[Window] = (), grid: tuple[int, int] | None = None) -> Splits:
        """All dates train."""
        every = np.arange(as_dates(times).size)
        return Splits(Part(every, tuple(windows)), Part(every[:0], tuple(windows)), Part(every[:0], tuple(windows)))

"""Nearest neighbour: every cell takes the anomaly of the nearest observation of its level.

    f'(x) = y_i,    i = argmin |p(x) - p_i|        p on the sphere, |.| the chord

Where several observations are equally near, which on a grid is common, their mean is taken, so that the answer does not
depend on the order of the cells.
"""

__all__ = ["Nearest"]

import numpy as np

from driftfield.peers.levels import LevelInterpolation
from driftfield.registry import register


@register("reconstructor")
class Nearest(LevelInterpolation):
    """The nearest observation of the same level and time, one member, no spread; `refit` as of `LevelInterpolation`."""

    method = "nearest"

    def interpolate(self, values: np.ndarray, observed: np.ndarray, wanted: np.ndarray) -> np.ndarray:
        """The anomaly of the nearest observation."""
        return self.nearest(values, observed, wanted)

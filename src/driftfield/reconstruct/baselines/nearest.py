"""Nearest neighbour: every cell takes the anomaly of the nearest observation of its level.

    f'(x) = y_i,    i = argmin |p(x) - p_i|        p on the sphere, |.| the chord

Where several observations are equally near, which on a grid is common, their mean is taken, so that the answer does not
depend on the order of the cells.
"""

__all__ = ["Nearest"]

import numpy as np
from scipy.spatial import KDTree

from driftfield.reconstruct.baselines.levels import LevelInterpolation
from driftfield.registry import register

TIE = 1e-6
"""Distances that differ by less than this share are equal."""


@register("reconstructor")
class Nearest(LevelInterpolation):
    """The nearest observation of the same level and time; deterministic, one member, no spread.

    Arguments:
        refit: Whether the seasonal cycle is learnt from the validation split as well.
    """

    method = "nearest"

    def interpolate(self, values: np.ndarray, observed: np.ndarray, wanted: np.ndarray) -> np.ndarray:
        """The anomaly of the nearest observation, the mean of equally near ones."""
        # four neighbours of a cell can be equally near
        count = min(4, len(values))
        distance, index = KDTree(self.points[observed]).query(self.points[wanted], k=np.arange(1, count + 1))
        weight = distance <= (1 + TIE) * distance[:, :1]
        return (weight * values[index]).sum(axis=1) / weight.sum(axis=1)

"""Linear interpolation of anomalies between the observations of the same level and time.

    triangles (Delaunay) between the observed cells         inside: the plane through the three corners
                                                            outside the hull: the nearest observation
    a section (grid of one row)                             straight lines between neighbours
    nothing observed at this level                          anomaly 0

Longitude is scaled by the cosine of the middle latitude; where it is periodic, the observations are repeated on both
sides.
"""

__all__ = ["LinearInterpolation"]

import numpy as np
from scipy.interpolate import LinearNDInterpolator
from scipy.spatial import KDTree, QhullError

from driftfield.reconstruct.baselines.levels import LevelInterpolation, Plane
from driftfield.registry import register


@register("reconstructor")
class LinearInterpolation(LevelInterpolation):
    """Joins the observed anomalies by planes; deterministic, one member, no spread.

    Arguments:
        refit: Whether the seasonal cycle is learnt from the validation split as well.
    """

    method = "linear"

    def interpolate(self, values: np.ndarray, observed: np.ndarray, wanted: np.ndarray) -> np.ndarray:
        """The planes inside, the nearest observation outside."""
        plane = Plane.of(self.background, values, observed, wanted)
        if (line := plane.line()) is not None:
            places, along, targets = line
            return np.interp(targets, places, along)
        nearest = plane.values[KDTree(plane.points).query(plane.targets)[1]]
        if len(plane.points) < 3:
            return nearest
        try:
            flat = LinearNDInterpolator(plane.points, plane.values)(plane.targets)
        except QhullError:
            # all observations on one line: no triangle, the nearest one decides
            return nearest
        return np.where(np.isfinite(flat), flat, nearest)

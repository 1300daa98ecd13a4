"""Linear interpolation of anomalies between the observations of the same level and time.

triangles (`triangles.py`)      inside: the plane through the three corners; outside the hull: the nearest observation
a section (grid of one row)     straight lines between neighbours
nothing observed at this level  anomaly 0
"""

__all__ = ["LinearInterpolation"]

import numpy as np
from scipy.interpolate import LinearNDInterpolator
from scipy.spatial import Delaunay

from driftfield.peers.triangles import ScaledPlane, TriangleInterpolation
from driftfield.registry import register


@register("reconstructor")
class LinearInterpolation(TriangleInterpolation):
    """Joins the observed anomalies by planes; deterministic, one member, no spread; `refit` as of `LevelInterpolation`."""

    method = "linear"

    def within(self, triangles: Delaunay, plane: ScaledPlane) -> np.ndarray:
        """Planes."""
        return np.asarray(LinearNDInterpolator(triangles, plane.values)(plane.targets))

    def along(self, places: np.ndarray, values: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """Straight lines."""
        return np.interp(targets, places, values)

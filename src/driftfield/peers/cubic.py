"""Cubic interpolation of anomalies between the observations of the same level and time.

    triangles (`triangles.py`)      inside: a cubic on each, with continuous slopes (Clough and Tocher), kept within the
                                    values of the three corners; outside the hull: the nearest observation
    a section (grid of one row)     monotone cubics between neighbours (Fritsch and Carlson)

Without the limit a slope at the edge of a wide gap is carried on across it: on monthly sea surface temperature with half
of the ocean under clouds the error is twice as large. Alfeld (1984), doi:10.1016/0167-8396(84)90029-3; Nielson
(1983), doi:10.1216/RMJ-1983-13-1-177 (slopes of least curvature); Fritsch and Carlson (1980), doi:10.1137/0717021.
"""

__all__ = ["Cubic"]

import numpy as np
from scipy.interpolate import CloughTocher2DInterpolator, PchipInterpolator
from scipy.spatial import Delaunay

from driftfield.peers.triangles import ScaledPlane, TriangleInterpolation
from driftfield.registry import register


@register("reconstructor")
class Cubic(TriangleInterpolation):
    """Joins the observed anomalies by smooth cubics; deterministic, one member, no spread.

    Arguments:
        refit: Whether the seasonal cycle is learnt from the validation split as well.
    """

    method = "cubic"

    def within(self, triangles: Delaunay, plane: ScaledPlane) -> np.ndarray:
        """Cubics, kept within the corners."""
        smooth = CloughTocher2DInterpolator(triangles, plane.values, tol=1e-4, maxiter=50)(plane.targets)
        return np.clip(smooth, *_corners(triangles, plane))

    def along(self, places: np.ndarray, values: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """Monotone cubics."""
        return PchipInterpolator(places, values)(targets) if places.size > 1 else np.full(len(targets), values[0])


def _corners(triangles: Delaunay, plane: ScaledPlane) -> tuple[np.ndarray, np.ndarray]:
    """Least and greatest value among the corners of the triangle around every target; any values outside the hull."""
    around = triangles.find_simplex(plane.targets)
    transform = triangles.transform[around]
    two = np.einsum("mij,mj->mi", transform[:, :2], plane.targets - transform[:, 2])
    weights = np.column_stack([two, 1 - two.sum(axis=1)])
    values = plane.values[triangles.simplices[around]]
    # a target on an edge belongs to two triangles: the corners that they do not share have no say
    shared = weights > 1e-9
    return np.where(shared, values, np.inf).min(axis=1), np.where(shared, values, -np.inf).max(axis=1)

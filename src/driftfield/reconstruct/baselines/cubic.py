"""Cubic interpolation of anomalies between the observations of the same level and time.

    triangles (Delaunay) between the observed cells    inside: a cubic on each, with continuous slopes (Clough and Tocher),
                                                       kept within the values of the three corners
                                                       outside the hull: the nearest observation
    a section (grid of one row)                        monotone cubics between neighbours (Fritsch and Carlson)

Without the limit a slope at the edge of a wide gap is carried on across it: on monthly sea surface temperature with half
of the ocean under clouds the error is twice as large. Alfeld (1984), doi:10.1016/0167-8396(84)90029-3; Nielson
(1983), doi:10.1216/RMJ-1983-13-1-177 (slopes of least curvature); Fritsch and Carlson (1980), doi:10.1137/0717021.
"""

__all__ = ["Cubic"]

import numpy as np
from scipy.interpolate import CloughTocher2DInterpolator, PchipInterpolator
from scipy.spatial import Delaunay, KDTree, QhullError

from driftfield.reconstruct.baselines.levels import LevelInterpolation, Plane
from driftfield.registry import register


@register("reconstructor")
class Cubic(LevelInterpolation):
    """Joins the observed anomalies by smooth cubics; deterministic, one member, no spread.

    Arguments:
        refit: Whether the seasonal cycle is learnt from the validation split as well.
    """

    method = "cubic"

    def interpolate(self, values: np.ndarray, observed: np.ndarray, wanted: np.ndarray) -> np.ndarray:
        """The cubics inside, the nearest observation outside."""
        plane = Plane.of(self.background, values, observed, wanted)
        if (line := plane.line()) is not None:
            places, along, targets = line
            return PchipInterpolator(places, along)(targets) if places.size > 1 else np.full(len(targets), along[0])
        filled = values[KDTree(self.points[observed]).query(self.points[wanted])[1]]
        if len(plane.points) < 3:
            return filled
        try:
            triangles = Delaunay(plane.points)
        except QhullError:
            # all observations on one line: no triangle, the nearest one decides
            return filled
        smooth = CloughTocher2DInterpolator(triangles, plane.values, tol=1e-4, maxiter=50)(plane.targets)
        low, high = _corners(triangles, plane)
        return np.where(np.isfinite(smooth), np.clip(smooth, low, high), filled)


def _corners(triangles: Delaunay, plane: Plane) -> tuple[np.ndarray, np.ndarray]:
    """Least and greatest value among the corners of the triangle around every target; any values outside the hull."""
    around = triangles.find_simplex(plane.targets)
    transform = triangles.transform[around]
    two = np.einsum("mij,mj->mi", transform[:, :2], plane.targets - transform[:, 2])
    weights = np.column_stack([two, 1 - two.sum(axis=1)])
    values = plane.values[triangles.simplices[around]]
    # a target on an edge belongs to two triangles: the corners that they do not share have no say
    shared = weights > 1e-9
    return np.where(shared, values, np.inf).min(axis=1), np.where(shared, values, -np.inf).max(axis=1)

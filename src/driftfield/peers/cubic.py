"""Cubic interpolation of anomalies between the observations of the same level and time.

    triangles (`triangles.py`)      inside: a cubic on each, with continuous slopes (Clough and Tocher), kept within the
                                    values of the three corners; outside the hull: the nearest observation
    a section (grid of one row)     monotone cubics between neighbours (Fritsch and Carlson)

Without the limit a slope at the edge of a wide gap is carried on across it: on monthly sea surface temperature with half
of the ocean under clouds the error is twice as large. Alfeld (1984), doi:10.1016/0167-8396(84)90029-3; Nielson
(1983), doi:10.1216/RMJ-1983-13-1-177 (slopes of least curvature); Fritsch and Carlson (1980), doi:10.1137/0717021.
"""

__all__ = ["Cubic"]

from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy.interpolate import CloughTocher2DInterpolator, PchipInterpolator
from scipy.spatial import Delaunay

from driftfield.interfaces import TrainingData
from driftfield.peers.base import Remembered, fitting_times
from driftfield.peers.triangles import ScaledPlane, TriangleInterpolation
from driftfield.registry import register

OVERSHOOT = 0.25
"""On a smooth image a fifth of the error is the limit itself; on anomalies from a season the limit halves it."""


@register("reconstructor")
class Cubic(TriangleInterpolation):
    """Joins the observed anomalies by smooth cubics; deterministic, one member, no spread.

    Arguments:
        refit: Whether the seasonal cycle is learnt from the validation split as well.
    """

    method = "cubic"
    overshoot = 0.0
    """How far a value may leave those of the corners, as a part of their range."""

    def fit(self, data: TrainingData, *, seed: int = 0) -> None:
        """Learns the seasonal cycle; of one image one number per level, whose departures are smooth and may overshoot."""
        super().fit(data, seed=seed)
        self.overshoot = OVERSHOOT if fitting_times(data, refit=self.refit).size == 1 else 0.0

    def within(self, triangles: Delaunay, plane: ScaledPlane) -> np.ndarray:
        """Cubics, kept within the corners."""
        smooth = CloughTocher2DInterpolator(triangles, plane.values, tol=1e-4, maxiter=50)(plane.targets)
        return np.clip(smooth, *_corners(triangles, plane, self.overshoot))

    def _remember(self) -> Remembered:
        return {}, {"overshoot": self.overshoot} if self.overshoot else {}

    def _recall(self, arrays: Mapping[str, np.ndarray], extra: Mapping[str, Any]) -> None:
        self.overshoot = float(extra.get("overshoot", 0.0))

    def along(self, places: np.ndarray, values: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """Monotone cubics."""
        return PchipInterpolator(places, values)(targets) if places.size > 1 else np.full(len(targets), values[0])


def _corners(triangles: Delaunay, plane: ScaledPlane, overshoot: float) -> tuple[np.ndarray, np.ndarray]:
    """Least and greatest value among the corners of the triangle around every target, and a part of their range beyond.

    Any values outside the hull.
    """
    around = triangles.find_simplex(plane.targets)
    transform = triangles.transform[around]
    two = np.einsum("mij,mj->mi", transform[:, :2], plane.targets - transform[:, 2])
    weights = np.column_stack([two, 1 - two.sum(axis=1)])
    values = plane.values[triangles.simplices[around]]
    # a target on an edge belongs to two triangles: the corners that they do not share have no say
    shared = weights > 1e-9
    low, high = np.where(shared, values, np.inf).min(axis=1), np.where(shared, values, -np.inf).max(axis=1)
    beyond = overshoot * np.where(high > low, high - low, 0.0)
    return low - beyond, high + beyond

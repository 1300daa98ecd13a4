"""Interpolation over triangles (Delaunay) between the observed cells of one level.

    inside a triangle             whatever the method makes of its corners
    outside the hull              the nearest observation, on the sphere; so too where there is no triangle
    a section (grid of one row)   along the line, from neighbour to neighbour; beyond the ends the last value

Longitude is scaled by the cosine of the middle latitude; where it is periodic, the observations are repeated on both sides. A
grid with positions lies in the plane of equal areas around its middle (Lambert), one that goes round by its rows and columns.
"""

__all__ = ["ScaledPlane", "TriangleInterpolation"]

from abc import abstractmethod
from dataclasses import dataclass
from typing import Self

import numpy as np
from scipy.spatial import Delaunay, QhullError

from driftfield.earth import EARTH_RADIUS_KM
from driftfield.geometry import distance_along
from driftfield.peers.background import Background
from driftfield.peers.levels import LevelInterpolation

SHEAR = 0.01
"""Degrees east per degree north, for the planes."""


class TriangleInterpolation(LevelInterpolation):
    """A method says what it does within triangles and along lines."""

    @abstractmethod
    def within(self, triangles: Delaunay, plane: "ScaledPlane") -> np.ndarray:
        """Values at the targets of the plane (m,); NaN outside the hull."""

    @abstractmethod
    def along(self, places: np.ndarray, values: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """Values at the targets (m,) from those at ascending places (n,), n at least 1; no target lies beyond the ends."""

    def interpolate(self, values: np.ndarray, observed: np.ndarray, wanted: np.ndarray) -> np.ndarray:
        """The triangles inside, the nearest observation outside."""
        plane = ScaledPlane.of(self.background, values, observed, wanted)
        if (line := plane.line()) is not None:
            return self.along(*line)
        nearest = self.nearest(values, observed, wanted)
        if len(plane.points) < 3:
            return nearest
        try:
            triangles = Delaunay(plane.points)
        except QhullError:
            # all observations on one line: no triangle
            return nearest
        inside = self.within(triangles, plane)
        return np.where(np.isfinite(inside), inside, nearest)


@dataclass(frozen=True)
class ScaledPlane:
    """Observations and wanted cells as points (latitude, scaled longitude).

    Arguments:
        points: Of the observations, repeated on both sides where longitude is periodic: (n or 3 n, 2).
        values: At these points.
        targets: Of the wanted cells: (m, 2).
    """

    points: np.ndarray
    values: np.ndarray
    targets: np.ndarray

    @classmethod
    def of(cls, background: Background, values: np.ndarray, observed: np.ndarray, wanted: np.ndarray) -> Self:
        """The points of some cells of the grid; arguments as of `LevelInterpolation.interpolate`."""
        lat, lon, scale = _flat(background)
        # points of a grid lie on common circles, and which triangles they form would be left to rounding: a shear decides
        places = np.stack([lat, scale * lon + SHEAR * (lat - lat[0, 0])], axis=-1)
        points = places[observed]
        if background.periodic:
            turn = np.array([0.0, 360.0 * scale])
            points, values = np.concatenate([points - turn, points, points + turn]), np.tile(values, 3)
        return cls(points, values, places[wanted])

    def line(self) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
        """Places, values and targets along the one line of a grid of one row or one column (a section), else None.

        The observations are sorted; what lies outside them takes the value of the nearest end.
        """
        everything = np.concatenate([self.points, self.targets])
        flat = np.ptp(everything, axis=0) == 0
        if not flat.any():
            return None
        axis = int(np.argmin(flat))
        places, first = np.unique(self.points[:, axis], return_index=True)
        return places, self.values[first], np.clip(self.targets[:, axis], places[0], places[-1])


def _flat(background: Background) -> tuple[np.ndarray, np.ndarray, float]:
    """Coordinates of all cells in a plane, degrees (lat, lon) twice, the second still to be scaled, and that scale."""
    positions = background.positions
    if positions is None:
        lat, lon = np.meshgrid(background.lat, background.lon, indexing="ij")
        return lat, lon, float(np.cos(np.radians(0.5 * (background.lat[0] + background.lat[-1]))))
    degree = np.radians(EARTH_RADIUS_KM)
    rows = np.concatenate([[0.0], np.cumsum(positions.row_step)]) / degree
    if positions.shape[0] == 1:
        return np.zeros(positions.shape), distance_along(positions.points[0])[None] / degree, 1.0
    if background.periodic:
        lat, lon = np.meshgrid(rows, np.arange(positions.shape[1]) * 360.0 / positions.shape[1], indexing="ij")
        return lat, lon, float(np.median(positions.column_step) * positions.shape[1] / (360.0 * degree))
    north, east = positions.plane
    return north / degree, east / degree, 1.0

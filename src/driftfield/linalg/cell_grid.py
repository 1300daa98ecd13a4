"""Cells of a grid on the sphere: their corners, centres and areas.

rectilinear    corners at every pair of a latitude edge and a longitude edge       area = dlon (sin lat_north - sin lat_south)
curvilinear    corners anywhere, row by row: rotated poles, ocean models           area of the polygon, equal-area projected
"""

__all__ = ["CellGrid"]

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from driftfield.errors import DataError


@dataclass(frozen=True)
class CellGrid:
    """Cells (row, column) between corners.

    Arguments:
        lat, lon: Degrees, of the corners: (row + 1,) and (column + 1,) of a rectilinear grid, both (row + 1, column + 1) of
            a curvilinear one. Longitude does not jump from one corner to the next.

    Raises:
        DataError: shapes that do not fit, edges of a rectilinear grid that do not rise, or latitudes beyond the poles.
    """

    lat: np.ndarray
    lon: np.ndarray

    def __post_init__(self) -> None:
        if self.lat.ndim == 1 == self.lon.ndim:
            for name, edges in (("latitude", self.lat), ("longitude", self.lon)):
                if edges.size < 2 or not (np.diff(edges) > 0).all():
                    raise DataError(f"The {name} edges of the cells do not rise. Sort the axis.")
        elif self.lat.ndim != 2 or self.lat.shape != self.lon.shape or min(self.lat.shape) < 2:
            raise DataError(
                f"Found corners of the shapes {self.lat.shape} and {self.lon.shape}: expected two axes, or two fields "
                "of one shape."
            )
        if np.abs(self.lat).max() > 90 + 1e-9:
            raise DataError(
                f"Found corners at latitude {self.lat.min():g} to {self.lat.max():g}: expected -90 to 90 degrees."
            )

    @classmethod
    def around(cls, lat: np.ndarray, lon: np.ndarray) -> "CellGrid":
        """Cells around given centres: corners halfway between them, half a step beyond the outermost.

        Arguments:
            lat, lon: Degrees: (row,) and (column,) of a rectilinear grid, rising; (row, column) of a curvilinear one.
        """
        if lat.ndim == 1:
            return cls(np.clip(_edges(lat), -90.0, 90.0), _edges(lon))
        turned = np.rad2deg(np.unwrap(np.unwrap(np.deg2rad(lon), axis=0), axis=1))
        corners = [_edges(_edges(values, axis=0), axis=1) for values in (lat, turned)]
        return cls(np.clip(corners[0], -90.0, 90.0), corners[1])

    @property
    def rectilinear(self) -> bool:
        """Whether latitude depends on the row alone and longitude on the column alone."""
        return self.lat.ndim == 1

    @property
    def shape(self) -> tuple[int, int]:
        """(row, column)."""
        return self.lat.shape[0] - 1, self.lon.shape[-1] - 1

    @cached_property
    def area(self) -> np.ndarray:
        """(row, column), in units of the squared radius."""
        if self.rectilinear:
            height = np.diff(np.sin(np.deg2rad(self.lat)))
            return np.outer(height, np.deg2rad(np.diff(self.lon)))
        return np.array([polygon_area(polygon) for polygon in self.local_polygons()]).reshape(self.shape)

    @cached_property
    def centres(self) -> np.ndarray:
        """Unit vectors (row, column, 3) to the means of the corners."""
        corners = unit_vectors(*self.corners)
        middle = corners[:-1, :-1] + corners[1:, :-1] + corners[:-1, 1:] + corners[1:, 1:]
        return middle / np.linalg.norm(middle, axis=-1, keepdims=True)

    @property
    def corners(self) -> tuple[np.ndarray, np.ndarray]:
        """Latitude and longitude (row + 1, column + 1)."""
        if self.rectilinear:
            lat, lon = np.meshgrid(self.lat, self.lon, indexing="ij")
            return lat, lon
        return self.lat, self.lon

    def rings(self, parts: int = 1) -> np.ndarray:
        """Unit vectors (cell, 4 parts, 3) around each cell, in order.

        Arguments:
            parts: Pieces of each edge; points between two corners lie on the parallel and the meridian.
        """
        lat, lon = (np.stack([c[:-1, :-1], c[:-1, 1:], c[1:, 1:], c[1:, :-1]], axis=2) for c in self.corners)
        shares = np.arange(parts) / parts
        along = [
            (a[..., None] + shares * (np.roll(a, -1, axis=2) - a)[..., None]).reshape(-1, 4 * parts) for a in (lat, lon)
        ]
        return unit_vectors(*along)

    def local_polygons(self) -> list[np.ndarray]:
        """Each cell in the equal-area plane around its own centre: (4, 2)."""
        centres = self.centres.reshape(-1, 3)
        return [equal_area(ring, centre) for ring, centre in zip(self.rings(), centres, strict=True)]


def unit_vectors(lat: np.ndarray, lon: np.ndarray) -> np.ndarray:
    """Degrees -> (..., 3)."""
    phi, lam = np.deg2rad(lat), np.deg2rad(lon)
    return np.stack([np.cos(phi) * np.cos(lam), np.cos(phi) * np.sin(lam), np.sin(phi)], axis=-1)


def equal_area(points: np.ndarray, centre: np.ndarray) -> np.ndarray:
    """Lambert's azimuthal projection around a centre: unit vectors (n, 3) -> (n, 2), units of the radius."""
    pole = np.array([0.0, 0.0, 1.0]) if abs(centre[2]) < 0.9 else np.array([1.0, 0.0, 0.0])
    east = np.cross(pole, centre)
    east /= np.linalg.norm(east)
    north = np.cross(centre, east)
    scale = np.sqrt(2.0 / np.maximum(1.0 + points @ centre, 1e-12))
    return np.stack([scale * (points @ east), scale * (points @ north)], axis=-1)


def polygon_area(polygon: np.ndarray) -> float:
    """Of the corners (n, 2) in order; positive either way round."""
    x, y = polygon.T
    return 0.5 * abs(float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))))


def _edges(centres: np.ndarray, axis: int = 0) -> np.ndarray:
    """Halfway between neighbours along an axis, half a step beyond the ends; one centre alone gets a width of 1."""
    values = np.moveaxis(np.asarray(centres, dtype=np.float64), axis, 0)
    if len(values) == 1:
        return np.moveaxis(np.concatenate([values - 0.5, values + 0.5]), 0, axis)
    middle = 0.5 * (values[:-1] + values[1:])
    first, last = values[:1] - (middle[:1] - values[:1]), values[-1:] + (values[-1:] - middle[-1:])
    return np.moveaxis(np.concatenate([first, middle, last]), 0, axis)

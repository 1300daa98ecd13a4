"""How much of one grid's cells lies in another's: areas of intersection, as a sparse matrix.

rectilinear x rectilinear    overlap of latitude bands (in sin lat) x overlap of longitudes (round the globe): exact
otherwise                    convex polygons clipped in the equal-area plane around each cell of the coarser grid
                             (Sutherland and Hodgman 1974); edges are straight there, which is right to (cell size)^3
"""

__all__ = ["overlap_areas"]

import numpy as np
from scipy import sparse
from scipy.spatial import cKDTree

from driftfield.linalg.cell_grid import CellGrid, equal_area, polygon_area

PARTS = 8
"""Pieces of an edge of a coarse cell."""


def overlap_areas(fine: CellGrid, coarse: CellGrid) -> sparse.csr_matrix:
    """Areas (coarse cell, fine cell) of the intersections, in units of the squared radius.

    Arguments:
        fine, coarse: Any two grids.
    """
    if fine.rectilinear and coarse.rectilinear:
        height = _interval_overlap(np.sin(np.deg2rad(fine.lat)), np.sin(np.deg2rad(coarse.lat)))
        width = sum(
            _interval_overlap(np.deg2rad(fine.lon + turn), np.deg2rad(coarse.lon)) for turn in (-360.0, 0.0, 360.0)
        )
        return sparse.csr_matrix(sparse.kron(height, width))
    return _clipped(fine, coarse)


def _interval_overlap(fine: np.ndarray, coarse: np.ndarray) -> sparse.csr_matrix:
    """Lengths (coarse interval, fine interval) of the intersections of intervals between rising edges."""
    low = np.maximum(coarse[:-1, None], fine[None, :-1])
    high = np.minimum(coarse[1:, None], fine[None, 1:])
    return sparse.csr_matrix(np.maximum(high - low, 0.0))


def _clipped(fine: CellGrid, coarse: CellGrid) -> sparse.csr_matrix:
    fine_rings, coarse_rings = fine.rings(), coarse.rings(PARTS)
    fine_centres, coarse_centres = fine.centres.reshape(-1, 3), coarse.centres.reshape(-1, 3)
    reach = _reach(fine_rings, fine_centres).max() + _reach(coarse_rings, coarse_centres)
    tree = cKDTree(fine_centres)
    rows, columns, areas = [], [], []
    for number, (ring, centre) in enumerate(zip(coarse_rings, coarse_centres, strict=True)):
        cell = equal_area(ring, centre)
        for candidate in tree.query_ball_point(centre, reach[number] * 1.01):
            part = clip(cell, _counterclockwise(equal_area(fine_rings[candidate], centre)))
            if len(part) >= 3 and (area := polygon_area(part)) > 0:
                rows.append(number)
                columns.append(candidate)
                areas.append(area)
    return sparse.csr_matrix((areas, (rows, columns)), shape=(len(coarse_rings), len(fine_rings)))


def clip(polygon: np.ndarray, window: np.ndarray) -> np.ndarray:
    """The part of a polygon (n, 2) inside a convex window (m, 2), whose corners run counterclockwise."""
    for start, end in zip(window, np.roll(window, -1, axis=0), strict=True):
        if len(polygon) == 0:
            break
        along = end - start
        side = along[0] * (polygon[:, 1] - start[1]) - along[1] * (polygon[:, 0] - start[0])
        corners = []
        for here in range(len(polygon)):
            before = here - 1
            if (side[here] >= 0) != (side[before] >= 0):
                share = side[before] / (side[before] - side[here])
                corners.append(polygon[before] + share * (polygon[here] - polygon[before]))
            if side[here] >= 0:
                corners.append(polygon[here])
        polygon = np.array(corners).reshape(-1, 2)
    return polygon


def _counterclockwise(polygon: np.ndarray) -> np.ndarray:
    x, y = polygon.T
    turns = np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))
    return polygon if turns >= 0 else polygon[::-1]


def _reach(rings: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Largest distance (cell,) of a corner from the centre, straight through the Earth."""
    return np.linalg.norm(rings - centres[:, None], axis=-1).max(axis=1)

"""Which cells of a grid lie in a box of latitude and longitude, with which share of it: what a coarser product is a mean of.

w_ij = area of (cell j in box i) / area of the cells in box i
axes of latitude and longitude     overlap in sin(latitude) x overlap in longitude: exact
any other grid                     polygons (`linalg.overlap`)
"""

__all__ = ["COVER", "weights_in_boxes"]

import numpy as np
from scipy import sparse

from driftfield.geometry import Geometry
from driftfield.linalg.cell_grid import CellGrid
from driftfield.linalg.overlap import overlap_areas
from driftfield.observations.grid import StateGrid

COVER = 0.99
"""Least share of a box that the cells of a grid cover."""


def weights_in_boxes(
    grid: StateGrid, lat: np.ndarray, lon: np.ndarray, width: np.ndarray, height: np.ndarray
) -> tuple[sparse.csr_matrix, np.ndarray]:
    """Weights of the cells of a plane in boxes.

    Arguments:
        grid: The state.
        lat, lon: Degrees, the middles of the boxes (n,).
        width, height: Degrees of longitude and latitude (n,).

    Returns:
        Weights (n, cell), rows that sum to 1; and the share of each box that the grid covers (n,). A box that is not covered has
        an empty row, and a place or a side that is no number is not covered.
    """
    sides = np.stack(
        [np.clip(lat - height / 2, -90, 90), np.clip(lat + height / 2, -90, 90), lon - width / 2, lon + width / 2]
    )
    good = np.isfinite(sides).all(0) & (width > 0) & (height > 0)
    # a box of many dates and levels is one box
    corners, box = np.unique(np.where(good, sides, 0.0).round(9), axis=1, return_inverse=True)
    areas = _on_axes(grid, corners) if grid.positions is None else _on_positions(grid.positions, corners)
    total = np.asarray(areas.sum(axis=1)).ravel()
    whole = np.diff(np.sin(np.deg2rad(corners[:2])), axis=0)[0] * np.deg2rad(corners[3] - corners[2])
    weights = sparse.csr_matrix(sparse.diags(1.0 / np.where(total > 0, total, np.inf)) @ areas)
    return weights[box.ravel()], (total / np.where(whole > 0, whole, np.inf))[box.ravel()]


def _on_axes(grid: StateGrid, corners: np.ndarray) -> sparse.csr_matrix:
    """Areas (box, cell) of corners (south, north, west, east), which are sorted by the first two."""
    fine = CellGrid.around(grid.lat, grid.lon)
    height = _common(np.sin(np.deg2rad(fine.lat)), *np.sin(np.deg2rad(corners[:2])))
    turned = [_common(np.deg2rad(fine.lon + turn), *np.deg2rad(corners[2:])) for turn in (-720, -360, 0, 360, 720)]
    width = np.sum(turned, axis=0)
    bands = np.flatnonzero(np.diff(corners[:2], axis=1).any(0)) + 1
    parts = [
        sparse.kron(sparse.csr_matrix(height[band[:1]]), sparse.csr_matrix(width[band]), format="csr")
        for band in np.split(np.arange(corners.shape[1]), bands)
        if band.size
    ]
    return sparse.vstack([sparse.csr_matrix((0, grid.lat.size * grid.lon.size)), *parts], format="csr")


def _common(edges: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Length that each interval (n,) and each step between edges have in common, (n, step)."""
    return np.maximum(np.minimum(high[:, None], edges[None, 1:]) - np.maximum(low[:, None], edges[None, :-1]), 0.0)


def _on_positions(positions: Geometry, corners: np.ndarray) -> sparse.csr_matrix:
    """The same on a grid with positions, box by box."""
    fine = CellGrid.around(positions.latitude, positions.longitude)
    empty = sparse.csr_matrix((1, positions.latitude.size))
    parts = [
        overlap_areas(fine, CellGrid(np.array([south, north]), np.array([west, east])))
        if north > south and east > west
        else empty
        for south, north, west, east in corners.T
    ]
    return sparse.vstack([empty[:0], *parts], format="csr")

"""Leaves of some cells of a grid, within tiles in degrees: the same observations are near to all cells of a leaf."""

__all__ = ["cell_km", "tiled_leaves"]

import numpy as np

from driftfield.gaussian.neighbours import leaves
from driftfield.gaussian.space_time_covariance import Places

_LEAF = 16
"""Cells of a leaf."""


def tiled_leaves(places: Places, cells: np.ndarray, embedded: np.ndarray, *, spacing: float) -> list[np.ndarray]:
    """Groups of some cells that are solved together: near to each other, so that the same observations are near to all.

    Arguments:
        places: All cells.
        cells: Those to solve.
        embedded: All cells where distances are taken: (cell, axis).
        spacing: Edge of the tiles that a group may not leave, km.
    """
    degrees = spacing / 111.2
    row = np.floor(places.lat[cells] / degrees).astype(int)
    shrunk = np.cos(np.radians((row + 0.5) * degrees)).clip(0.05)
    column = np.floor(places.lon[cells] * shrunk / degrees).astype(int)
    _, tile = np.unique(np.stack([row, column, np.round(places.depth[cells], 3)]), axis=1, return_inverse=True)
    order = np.argsort(tile.ravel(), kind="stable")
    groups = np.split(cells[order], np.flatnonzero(np.diff(tile.ravel()[order])) + 1)
    return [group[part] for group in groups for part in leaves(embedded[group], _LEAF)]


def cell_km(places: Places) -> float:
    """Edge of a cell, from the area that the cells cover: km."""
    rows = np.unique(places.lat)
    step = float(np.median(np.diff(rows))) if rows.size > 1 else float(np.median(np.diff(np.unique(places.lon))))
    return 111.2 * max(step, 1e-6)

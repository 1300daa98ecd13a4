"""Interpolation between the centres of two grids' cells, as sparse matrices.

    nearest      the cell whose centre is nearest
    bilinear     linear in each axis; on curvilinear grids linear on triangles of centres
    bicubic      Keys (1981) in each axis, a = -1/2 (third order) unless another constant is stated; curvilinear grids have none

Beyond the outermost centres a field goes on as it is there.
"""

__all__ = ["interpolation_matrix"]

import numpy as np
from scipy import sparse
from scipy.spatial import Delaunay, cKDTree

from driftfield.errors import ConfigurationError
from driftfield.linalg.cell_grid import CellGrid, equal_area

KINDS = ("nearest", "bilinear", "bicubic")
KEYS = -0.5
"""The constant of the cubic kernel that is of third order; torch and OpenCV have -0.75."""


def interpolation_matrix(source: CellGrid, target: CellGrid, kind: str, *, constant: float = KEYS) -> sparse.csr_matrix:
    """(target cell, source cell), rows that sum to 1.

    Arguments:
        source, target: The grids.
        kind: nearest, bilinear or bicubic.
        constant: The slope a of the cubic kernel at its first zero.

    Raises:
        ConfigurationError: an unknown kind, or bicubic on a curvilinear grid.
    """
    if kind not in KINDS:
        raise ConfigurationError(f"Unknown interpolation {kind!r}: expected one of {KINDS}.")
    if source.rectilinear and target.rectilinear:
        lat = axis_matrix(_middle(source.lat), _middle(target.lat), kind, constant=constant)
        lon = axis_matrix(_middle(source.lon), _turned(_middle(target.lon), source.lon), kind, constant=constant)
        return sparse.csr_matrix(sparse.kron(lat, lon))
    if kind == "nearest":
        nearest = cKDTree(source.centres.reshape(-1, 3)).query(target.centres.reshape(-1, 3))[1]
        return _selection(nearest, source.shape[0] * source.shape[1])
    if kind == "bicubic":
        raise ConfigurationError("Bicubic interpolation needs rectilinear grids: use bilinear.")
    return _on_triangles(source, target)


def axis_matrix(source: np.ndarray, target: np.ndarray, kind: str, *, constant: float = KEYS) -> sparse.csr_matrix:
    """(target, source) along one axis of rising centres."""
    if source.size == 1:
        return sparse.csr_matrix(np.ones((target.size, 1)))
    place = np.interp(target, source, np.arange(source.size))  # in cells of the source, held at the ends
    if kind == "nearest":
        return _selection(np.minimum(np.floor(place + 0.5), source.size - 1).astype(int), source.size)
    if kind == "bilinear":
        first = np.minimum(np.floor(place).astype(int), source.size - 2)
        share = place - first
        offsets: tuple[int, ...] = (0, 1)
        weights = np.stack([1 - share, share])
    else:
        # the field, not the place, is held at the ends: half a cell beyond the last centre the cubic still bends
        place = place + np.minimum(target - source[0], 0) / (source[1] - source[0])
        place = place + np.maximum(target - source[-1], 0) / (source[-1] - source[-2])
        first = np.floor(place).astype(int)
        share = place - first
        offsets = (-1, 0, 1, 2)
        weights = _keys(np.stack([share + 1, share, 1 - share, 2 - share]), constant)
    rows = np.tile(np.arange(target.size), len(offsets))
    columns = np.concatenate([np.clip(first + offset, 0, source.size - 1) for offset in offsets])
    return sparse.csr_matrix((weights.ravel(), (rows, columns)), shape=(target.size, source.size))


def _keys(distance: np.ndarray, a: float) -> np.ndarray:
    """Keys' cubic kernel of distances 0 to 2."""
    near = (a + 2) * distance**3 - (a + 3) * distance**2 + 1
    far = a * distance**3 - 5 * a * distance**2 + 8 * a * distance - 4 * a
    return np.where(distance <= 1, near, far)


def _on_triangles(source: CellGrid, target: CellGrid) -> sparse.csr_matrix:
    """Barycentric weights in the equal-area plane around the middle of the source; the nearest centre outside."""
    centres, wanted = source.centres.reshape(-1, 3), target.centres.reshape(-1, 3)
    middle = centres.mean(axis=0)
    middle /= np.linalg.norm(middle)
    flat, points = equal_area(centres, middle), equal_area(wanted, middle)
    triangles = Delaunay(flat)
    triangle = triangles.find_simplex(points)
    inside = np.flatnonzero(triangle >= 0)
    affine = triangles.transform[triangle[inside]]
    two = np.einsum("nij,nj->ni", affine[:, :2], points[inside] - affine[:, 2])
    weights = np.column_stack([two, 1 - two.sum(axis=1)])
    outside = np.flatnonzero(triangle < 0)
    nearest = cKDTree(centres).query(wanted[outside])[1] if outside.size else np.zeros(0, dtype=int)
    rows = np.concatenate([np.repeat(inside, 3), outside])
    columns = np.concatenate([triangles.simplices[triangle[inside]].ravel(), nearest])
    values = np.concatenate([weights.ravel(), np.ones(outside.size)])
    return sparse.csr_matrix((values, (rows, columns)), shape=(len(wanted), len(centres)))


def _selection(columns: np.ndarray, size: int) -> sparse.csr_matrix:
    return sparse.csr_matrix((np.ones(columns.size), (np.arange(columns.size), columns)), shape=(columns.size, size))


def _middle(edges: np.ndarray) -> np.ndarray:
    return 0.5 * (edges[:-1] + edges[1:])


def _turned(lon: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Longitudes in the convention of other edges."""
    centre = 0.5 * (edges[0] + edges[-1])
    return centre + (lon - centre + 180.0) % 360.0 - 180.0

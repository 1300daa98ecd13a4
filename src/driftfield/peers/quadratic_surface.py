"""The large-scale mean of one image: a quadratic surface, a plane or one number through what was seen of every level.

m(x)    = b_0 + b_1 u + b_2 v + b_3 u^2 + b_4 v^2 + b_5 u v        u, v: longitude and latitude in [-1, 1]
b       least squares with a ridge on all but b_0
terms   6, 3 or 1: those that miss least of tiles left out, and six values for every coefficient

A surface that fits what was seen bends away in a gap at the edge of the image. The tiles at the edge show it; and nowhere is the
mean beyond the values that were seen.
"""

__all__ = ["quadratic_surface"]

import numpy as np

_TILES = 4
"""Along each side of the image."""

_GAIN = 0.98
"""Share of the squared error that more terms have to come down to."""


def quadratic_surface(field: np.ndarray, lat: np.ndarray, lon: np.ndarray, *, ridge: float = 1e-3) -> np.ndarray:
    """The surface at all cells, of the shape of `field`: ([depth,] lat, lon), NaN where not seen.

    A level that was not seen takes the mean of all levels.
    """
    v, u = (np.interp(axis, [axis.min(), max(axis.max(), axis.min() + 1e-9)], [-1.0, 1.0]) for axis in (lat, lon))
    v, u = (grid.ravel() for grid in np.meshgrid(v, u, indexing="ij"))
    terms = np.stack([np.ones_like(u), u, v, u * u, v * v, u * v], axis=-1)
    tile = _tile(v) * _TILES + _tile(u)
    surface = np.full(field.shape, np.nanmean(field) if np.isfinite(field).any() else 0.0)
    for level in np.ndindex(field.shape[:-2]):
        values = field[level].ravel()
        seen = np.isfinite(values)
        if not seen.any():
            continue
        y, centre = values[seen], values[seen].mean()
        count = _terms(terms[seen], y - centre, tile[seen], ridge)
        b = _solved(terms[seen][:, :count], y - centre, ridge)
        fitted = np.clip(centre + terms[:, :count] @ b, y.min(), y.max())
        surface[level] = fitted.reshape(field.shape[-2:])
    return surface


def _tile(axis: np.ndarray) -> np.ndarray:
    """Index of the tile of coordinates in [-1, 1]."""
    return np.minimum((0.5 * (axis + 1) * _TILES).astype(int), _TILES - 1)


def _terms(a: np.ndarray, y: np.ndarray, tile: np.ndarray, ridge: float) -> int:
    """How many terms find the values of left-out tiles best."""
    best, least = 1, np.inf
    for count in (1, 3, 6):
        if len(y) < 6 * count and count > 1:
            break
        squares = 0.0
        for k in np.unique(tile):
            out = tile == k
            if out.all():
                return 6 if len(y) >= 36 else 3 if len(y) >= 18 else 1
            b = _solved(a[~out][:, :count], y[~out], ridge)
            squares += float(((y[out] - a[out][:, :count] @ b) ** 2).sum())
        if squares < _GAIN * least:
            best, least = count, squares
    return best


def _solved(a: np.ndarray, y: np.ndarray, ridge: float) -> np.ndarray:
    """Coefficients; the penalty is of the mean square of the terms, and none on the mean itself."""
    penalty = ridge * len(y) * np.diag([0.0, *[1.0] * (a.shape[1] - 1)])
    return np.asarray(np.linalg.solve(a.T @ a + penalty, a.T @ y))

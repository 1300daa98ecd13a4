"""The large-scale mean of one image: a quadratic surface through what was seen of every level.

m(x) = b_0 + b_1 u + b_2 v + b_3 u^2 + b_4 v^2 + b_5 u v        u, v: longitude and latitude in [-1, 1]
b      least squares with a ridge on all but b_0; six values for every coefficient, else a plane, else the mean
"""

__all__ = ["quadratic_surface"]

import numpy as np


def quadratic_surface(field: np.ndarray, lat: np.ndarray, lon: np.ndarray, *, ridge: float = 1e-3) -> np.ndarray:
    """The surface at all cells, of the shape of `field`: ([depth,] lat, lon), NaN where not seen.

    A level that was not seen takes the mean of all levels.
    """
    v, u = (np.interp(axis, [axis.min(), max(axis.max(), axis.min() + 1e-9)], [-1.0, 1.0]) for axis in (lat, lon))
    v, u = np.meshgrid(v, u, indexing="ij")
    terms = np.stack([np.ones_like(u), u, v, u * u, v * v, u * v], axis=-1).reshape(-1, 6)
    surface = np.full(field.shape, np.nanmean(field) if np.isfinite(field).any() else 0.0)
    for level in np.ndindex(field.shape[:-2]):
        values = field[level].ravel()
        seen = np.isfinite(values)
        count = next((k for k in (6, 3, 1) if seen.sum() >= 6 * k), 1 if seen.any() else 0)
        if count == 0:
            continue
        a = terms[:, :count]
        # of the mean square of the terms, and none on the mean itself
        penalty = ridge * seen.sum() * np.diag([0.0, *[1.0] * (count - 1)])
        centre = values[seen].mean()
        b = np.linalg.solve(a[seen].T @ a[seen] + penalty, a[seen].T @ (values[seen] - centre))
        surface[level] = (centre + a @ b).reshape(field.shape[-2:])
    return surface

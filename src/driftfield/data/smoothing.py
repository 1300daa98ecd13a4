"""Smoothing that stays in the water.

    s(x) = sum_y k(x - y) d(y) f(y) / sum_y k(x - y) d(y)        d = 1 in the domain, 0 elsewhere; k Gaussian

The weights of every cell sum to one over the domain, so that a constant stays constant up to the coast, and land never
mixes into it.
"""

__all__ = ["smooth"]

import numpy as np

from driftfield.errors import ConfigurationError
from driftfield.gaussian.smoothing import gaussian_sum


def smooth(values: np.ndarray, domain: np.ndarray, sigma: float, *, periodic: bool = False) -> np.ndarray:
    """Smooths horizontally over domain cells only.

    Arguments:
        values: (..., lat, lon); NaN does not enter.
        domain: Boolean, broadcastable to `values`.
        sigma: Standard deviation of the kernel in cells; 0 leaves the field as it is.
        periodic: Whether longitude wraps.

    Returns:
        Same shape, NaN outside the domain.

    Raises:
        ConfigurationError: a negative sigma.
    """
    if not 0.0 <= sigma < np.inf:
        raise ConfigurationError(f"Cannot smooth with sigma = {sigma} cells: expected 0 or more.")
    known = np.broadcast_to(domain, values.shape) & np.isfinite(values)
    if sigma == 0.0:
        return np.where(known, values, np.nan).astype(values.dtype)
    weight = gaussian_sum(known.astype(np.float64), sigma, periodic=periodic)
    total = gaussian_sum(np.where(known, values, 0.0).astype(np.float64), sigma, periodic=periodic)
    # only the domain is written, and a known cell always weighs itself
    return np.where(known, total / np.where(known, weight, 1.0), np.nan).astype(values.dtype)

"""The one kernel that smooths fields: a Gaussian in cells, over the last two axes, round where longitude is.

domain-aware:   smooth(where known, else 0) / smooth(known)          land has no say
"""

__all__ = ["gaussian_sum"]

import numpy as np
from scipy.ndimage import gaussian_filter1d


def gaussian_sum(field: np.ndarray, sigma: float, *, periodic: bool) -> np.ndarray:
    """Sums (..., lat, lon) with Gaussian weights; what lies beyond the edge counts as 0.

    Arguments:
        field: 0 where nothing is known.
        sigma: Standard deviation of the weights in cells.
        periodic: Whether longitude wraps.
    """
    rows = gaussian_filter1d(field, sigma, axis=-2, mode="constant")
    return gaussian_filter1d(rows, sigma, axis=-1, mode="wrap" if periodic else "constant")

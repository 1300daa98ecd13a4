"""The masks of the reference benchmark, cell by cell, so that figures of others can be compared with."""

__all__ = ["reference_mask"]

import numpy as np
from scipy.ndimage import gaussian_filter

from driftfield.data.masks.pattern import hide
from driftfield.errors import ConfigurationError, suggest


def reference_mask(kind: str, fraction: float, t: int, domain: np.ndarray, *, north_first: bool = False) -> np.ndarray:
    """The masks of the reference benchmark: observed cells at the absolute time index `t`.

    Arguments:
        kind: `random` or `clouds`.
        fraction: Hidden share of the domain.
        domain: Boolean (lat, lon), latitude ascending.
        north_first: The masks were defined on the file's own rows, and these run from north to south (ERSSTv5).

    Raises:
        ConfigurationError: another kind.
    """
    if north_first:
        return reference_mask(kind, fraction, t, domain[::-1])[::-1]
    if kind not in ("random", "clouds"):
        raise ConfigurationError(f"Unknown reference mask {kind!r}: {suggest(kind, ('random', 'clouds'))}")
    rng = np.random.default_rng(100_000 * round(100 * fraction) + t + (7_000_000 if kind == "clouds" else 0))
    cells = np.flatnonzero(domain)
    if kind == "random":
        return hide(domain, rng.choice(cells, round(fraction * cells.size), replace=False))
    noise = rng.standard_normal(domain.shape)
    noise = gaussian_filter(noise, sigma=max(2, min(domain.shape) / 12), mode="wrap")
    return domain & (noise >= np.quantile(noise[domain], fraction))

r"""Temperature of a water column that the flow has displaced and the atmosphere has mixed.

    interior   T_i(z) = T_deep(z') + J(c) (1 - tanh((z' - z_c) / w)) / 2 + warm cap(z')
    displaced  logit(z' / D) = logit(z / D) - h            so that eta = z - z' is about h z (1 - z / D)
    mixed      T(z) = T_i(m(z)) + S exp(-(m(z) - M) / d)    m(z) = M + delta log(1 + exp((z - M) / delta))

h is the flow's first baroclinic mode in units of the displacement it causes, c the share of warm-side water, M the
depth of the mixed layer and S what the season adds at the surface. z' and m rise with z and both parts of T fall with
them, hence the column is stably stratified whatever the flow does; and T, a sharp thermocline moved up and down, is no
linear function of h.
"""

__all__ = ["displaced_depth", "interior_temperature", "mixed_depth", "temperature"]

import numpy as np

FLOOR = 2000.0
"""Depth D below which the flow displaces nothing, m."""

_THERMOCLINE = 350.0  # z_c, m
_SHARPNESS = 105.0  # w, m
_CAP = 140.0  # decay depth of the warm cap, m
_SEASONAL = 22.0  # decay depth d of the seasonal thermocline, m


def displaced_depth(z: np.ndarray, h: np.ndarray) -> np.ndarray:
    """Depth z' from which the water at z came, m; rising in z, and z itself at the surface, at h = 0 and below `FLOOR`.

    Arguments:
        z: Depth, m, positive down.
        h: Displacement in logits, positive where the thermocline is deep; broadcasts against z.
    """
    inside = np.clip(z / FLOOR, 0.0, 1.0)
    shrunk = inside * np.exp(-h)
    return np.where(z < FLOOR, FLOOR * shrunk / (1.0 - inside + shrunk), z)


def interior_temperature(z: np.ndarray, h: np.ndarray, c: np.ndarray) -> np.ndarray:
    """Temperature below the reach of the atmosphere, degC.

    Arguments:
        z: Depth, m, positive down.
        h: Displacement, as in `displaced_depth`.
        c: Share of warm-side water, 0 to 1.
    """
    source = displaced_depth(z, h)
    deep = 3.2 + 3.2 * np.exp(-source / 900.0)
    jump = 5.5 + 6.5 * c
    cap = (0.5 + 1.5 * c) * np.exp(-source / _CAP)
    return deep + 0.5 * jump * (1.0 - np.tanh((source - _THERMOCLINE) / _SHARPNESS)) + cap


def mixed_depth(z: np.ndarray, mixed_layer: np.ndarray) -> np.ndarray:
    """m(z), m: about M within the mixed layer and z below it, rising in z."""
    delta = 0.2 * mixed_layer
    return mixed_layer + delta * np.logaddexp(0.0, (z - mixed_layer) / delta)


def temperature(
    z: np.ndarray, *, h: np.ndarray, c: np.ndarray, mixed_layer: np.ndarray, warming: np.ndarray
) -> np.ndarray:
    """Temperature, degC, falling with z.

    Arguments:
        z: Depth, m, positive down; all arguments broadcast against each other.
        h: Displacement, as in `displaced_depth`.
        c: Share of warm-side water, 0 to 1.
        mixed_layer: M, m.
        warming: S, degC, not negative.
    """
    depth = mixed_depth(z, mixed_layer)
    return interior_temperature(depth, h, c) + warming * np.exp(-(depth - mixed_layer) / _SEASONAL)

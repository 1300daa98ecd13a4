"""A random field for latitudes and longitudes: lengths in km, or degrees of a great circle, at this border and nowhere else.

"window"     a region: cells as wide as in its middle row; by circulant embedding
"periodic"   columns and rows that wrap, such as a channel drawn as a torus
"neumann"    a region without flux through its borders; the variance doubles there
"sphere"     the globe
"""

__all__ = ["BOUNDARIES", "field_at", "in_km"]

import logging
from collections.abc import Callable

import numpy as np
from jaxtyping import Float

from driftfield.earth import KM_PER_DEGREE
from driftfield.errors import ConfigurationError
from driftfield.gaussian.random_fields.base import RandomField, checked_shape
from driftfield.gaussian.random_fields.kernels import Kernel
from driftfield.gaussian.random_fields.neumann import NeumannField
from driftfield.gaussian.random_fields.periodic import PeriodicField
from driftfield.gaussian.random_fields.sphere import SphereField
from driftfield.gaussian.random_fields.window import WindowField

log = logging.getLogger(__name__)

Axis = Float[np.ndarray, " n"]
BOUNDARIES = ("neumann", "periodic", "sphere", "window")


def in_km(length: float, unit: str = "km") -> float:
    """A length in kilometres.

    Raises:
        ConfigurationError: the unit is neither "km" nor "degrees".
    """
    if unit not in ("km", "degrees"):
        raise ConfigurationError(f"Found a length in {unit!r}: expected 'km' or 'degrees' (of a great circle).")
    return length * KM_PER_DEGREE if unit == "degrees" else length


def field_at(kernel: Kernel, latitude: Axis, longitude: Axis, *, boundary: str = "window") -> RandomField:
    """The random field of a kernel on a grid of the Earth.

    Arguments:
        kernel: Length in km (`in_km`).
        latitude, longitude: Degrees, of rows and columns, evenly spaced.
        boundary: One of the module's table.

    Raises:
        ConfigurationError: an unknown boundary, or a grid that is not evenly spaced.
    """
    if boundary not in BOUNDARIES:
        raise ConfigurationError(f"Found boundary={boundary!r}: expected one of {BOUNDARIES}.")
    if boundary == "sphere":
        return SphereField(kernel, latitude, longitude)
    shape = checked_shape((len(latitude), len(longitude)))
    spacing = (_step(latitude, "latitude") * KM_PER_DEGREE, _width(latitude, longitude))
    if boundary == "window":
        return WindowField(kernel, shape, spacing)
    make: Callable[..., RandomField] = PeriodicField if boundary == "periodic" else NeumannField
    return make(kernel, shape, [n * step for n, step in zip(shape, spacing, strict=True)])


def _step(axis: Axis, name: str) -> float:
    steps = np.abs(np.diff(np.asarray(axis, dtype=np.float64)))
    if not steps.min() > 0 or steps.max() > 1.05 * steps.min():
        raise ConfigurationError(
            f"Found {name} in steps of {steps.min():g} to {steps.max():g} degrees: expected equal steps. Regrid first."
        )
    return float(steps.mean())


def _width(latitude: Axis, longitude: Axis) -> float:
    """Kilometres from a column to the next in the middle; says how much that changes over the rows."""
    cosines = np.cos(np.deg2rad(latitude))
    middle = float(np.cos(np.deg2rad(np.mean(latitude))))
    if not middle > 0 or cosines.max() > 1.25 * cosines.min():
        log.warning(
            "the cells of this region are %.2f to %.2f times as wide as in its middle: the length of the random field along the "
            "rows changes as much; a boundary 'sphere' has none of it, on the whole globe",
            cosines.min() / middle,
            cosines.max() / middle,
        )
    return _step(longitude, "longitude") * KM_PER_DEGREE * middle

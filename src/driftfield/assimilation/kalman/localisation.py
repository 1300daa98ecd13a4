r"""Localisation: a small ensemble imagines correlations between places that have none; they are faded out by distance.

    C = rho o P,      rho(d) Gaspari and Cohn's fifth-order piecewise rational function, 1 at d = 0, 0 beyond 2 c

(Gaspari and Cohn 1999, equation 4.10). On a circle d is the chord, so that rho is positive semi-definite for every radius: the
length of the arc would leave that property as soon as 2 c passes half the circle.
"""

__all__ = ["Localisation", "gaspari_cohn"]

from dataclasses import dataclass

import numpy as np

from driftfield.errors import ConfigurationError


def gaspari_cohn(distance: np.ndarray) -> np.ndarray:
    """The correlation at a distance in units of c, any shape; like a bell of standard deviation .55, and 0 from 2 on."""
    r = np.abs(distance)
    near = 1 + r**2 * (-5 / 3 + r * (5 / 8 + r * (1 / 2 - r / 4)))
    # 2 / (3 r) must not be formed at r = 0, where the near branch answers
    s = np.maximum(r, 1.0)
    far = 4 + s * (-5 + s * (5 / 3 + s * (5 / 8 + s * (-1 / 2 + s / 12)))) - 2 / (3 * s)
    return np.where(r <= 1, near, np.where(r < 2, np.maximum(far, 0), 0))


@dataclass(frozen=True)
class Localisation:
    """How much two places may have to do with each other.

    Arguments:
        radius: c, in the units of the places; nothing reaches beyond 2 c.
        period: Circumference, where the places lie on a circle.

    Raises:
        ConfigurationError: a length is not above 0.
    """

    radius: float
    period: float | None = None

    def __post_init__(self) -> None:
        for name, value in (("radius", self.radius), ("period", self.period)):
            if value is not None and not value > 0:
                raise ConfigurationError(f"Found {name}={value!r}: expected a length above 0.")

    def weights(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """rho between places a (n,) and b (m,), or (n, axis) and (m, axis) in space: (n, m), between 0 and 1.

        Raises:
            ConfigurationError: places in space and a period, which belongs to places along a circle.
        """
        a, b = np.asarray(a), np.asarray(b)
        if a.ndim == 2:
            if self.period is not None:
                raise ConfigurationError(
                    f"Found period={self.period:g} for places in space: the chord is in them already. Leave it out."
                )
            return gaspari_cohn(np.linalg.norm(a[:, None] - b[None], axis=-1) / self.radius)
        distance = np.abs(a[:, None] - b[None, :])
        if self.period is not None:
            distance = self.period / np.pi * np.abs(np.sin(np.pi * distance / self.period))
        return gaspari_cohn(distance / self.radius)

"""Fields on a globe: x = sum over l, m of sqrt(C_l) z_lm Y_lm, with C_l ~ S(l (l + 1) / R^2) and sum (2 l + 1) C_l / 4 pi = 1.

By the addition theorem the variance is 1 in every cell, at the poles too. Draws nest: a larger degree adds numbers and
changes none. The grid must hold the harmonics: degrees up to half the number of latitudes, so that their analysis (least
squares in each order) gives back what the synthesis was given. The field has fewer degrees of freedom than cells; its
density is that of its amplitudes.
"""

__all__ = ["SphereField"]

import math

import numpy as np
from jaxtyping import Float
from scipy import fft

from driftfield.earth import EARTH_RADIUS_KM
from driftfield.errors import ConfigurationError, DataError, whole_number
from driftfield.gaussian.random_fields.base import Cells, RandomField
from driftfield.gaussian.random_fields.kernels import Kernel
from driftfield.gaussian.random_fields.legendre import legendre, synthesis
from driftfield.gaussian.random_fields.modes import harmonic_noise


class SphereField(RandomField):
    """A random field on the whole globe.

    Arguments:
        kernel: Its length is in the units of `radius`.
        latitude: Degrees, one per row.
        longitude: Degrees, evenly spaced round the globe.
        largest: Degree of the finest harmonics; half the number of rows less one by default, or what the columns hold.
        radius: Kilometres.
        scale: C_l / S; by default the one that gives unit variance.

    Raises:
        ConfigurationError: longitudes that do not go round evenly; a degree that the grid does not hold.
    """

    def __init__(
        self,
        kernel: Kernel,
        latitude: Float[np.ndarray, " row"],
        longitude: Float[np.ndarray, " column"],
        *,
        largest: int | None = None,
        radius: float = EARTH_RADIUS_KM,
        scale: float | None = None,
    ) -> None:
        self.kernel, self.radius = kernel, radius
        self.latitude, self.longitude = (np.asarray(part, dtype=np.float64) for part in (latitude, longitude))
        step = np.diff(self.longitude)
        if len(step) < 2 or np.abs(step - 360 / len(self.longitude)).max() > 1e-3 * 360 / len(self.longitude):
            raise ConfigurationError(
                "A field on the sphere needs longitudes that go round the globe eastwards in equal steps. Use a window for a "
                "region."
            )
        holds = min(len(self.latitude) // 2, (len(self.longitude) - 1) // 2)
        self.largest = holds - 1 if largest is None else whole_number("largest", largest)
        if not 1 <= self.largest <= holds:
            raise ConfigurationError(
                f"Found the degree {self.largest} on {len(self.latitude)} x {len(self.longitude)} cells: expected 1 to {holds}, "
                "half the number of rows and less than half the number of columns."
            )
        degree = np.arange(self.largest + 1)
        density = kernel.density(degree * (degree + 1) / radius**2)
        self.scale = 4 * math.pi / float(((2 * degree + 1) * density).sum()) if scale is None else scale
        self.by_degree: Float[np.ndarray, " degree"] = self.scale * density
        """C_l."""
        self._variances = np.repeat(self.by_degree, 2 * degree + 1)
        self._tables = legendre(self.largest, self.latitude)

    @property
    def shape(self) -> tuple[int, int]:
        return len(self.latitude), len(self.longitude)

    @property
    def noise_shape(self) -> tuple[int]:
        return ((self.largest + 1) ** 2,)

    def correlation(self, angle: Float[np.ndarray, "*d"]) -> Float[np.ndarray, "*d"]:
        """The covariance of two places at an angle in radians: sum (2 l + 1) / 4 pi C_l P_l(cos angle)."""
        weights = (2 * np.arange(self.largest + 1) + 1) / (4 * math.pi) * self.by_degree
        return np.polynomial.legendre.legval(np.cos(angle), weights)

    def color(self, z: Float[np.ndarray, "*batch harmonic"]) -> Cells:
        if z.shape[-1:] != self.noise_shape:
            raise DataError(
                f"Found {z.shape[-1:]} amplitudes: expected {self.noise_shape}, of every harmonic up to degree {self.largest}."
            )
        amplitudes = np.sqrt(self._variances) * z
        return synthesis(amplitudes, self._tables, len(self.longitude), float(self.longitude[0]))

    def whiten(self, x: Cells) -> Float[np.ndarray, "*batch harmonic"]:
        self._check_cells(x)
        if self._variances.min() <= 1e-8 * self._variances.max():
            raise ConfigurationError(
                f"This field is too smooth for degree {self.largest}: its finest harmonics have less than 1e-8 of the "
                "variance of the largest. Choose a rougher kernel, a shorter length or a smaller degree."
            )
        half = fft.rfft(x) / len(self.longitude)
        z = np.zeros((*x.shape[:-2], *self.noise_shape))
        for m, table in enumerate(self._tables):
            turned = half[..., m] * np.exp(-1j * m * np.deg2rad(self.longitude[0]))
            wave = turned @ np.linalg.pinv(table)
            degree = np.arange(m, self.largest + 1)
            if m == 0:
                z[..., degree * (degree + 1)] = wave.real
            else:
                z[..., degree * (degree + 1) + m] = math.sqrt(2) * wave.real
                z[..., degree * (degree + 1) - m] = -math.sqrt(2) * wave.imag
        return z / np.sqrt(self._variances)

    def log_density(self, x: Cells) -> Float[np.ndarray, "*batch"]:
        """ln p of the amplitudes of x; what x has beyond the largest degree is not looked at."""
        z = self.whiten(x)
        return -0.5 * ((z * z).sum(-1) + np.log(self._variances).sum() + z.shape[-1] * math.log(2 * math.pi))

    def variance(self) -> Float[np.ndarray, "rows columns"]:
        of_rows = sum(
            (1 if m == 0 else 2) * (self.by_degree[m:, None] * table**2).sum(axis=0)
            for m, table in enumerate(self._tables)
        )
        return np.tile(np.asarray(of_rows)[:, None], (1, len(self.longitude)))

    def keyed_noise(self, key: tuple[int, int], channel: int, draw: int) -> Float[np.ndarray, " harmonic"]:
        return harmonic_noise(self.largest, key, channel, draw)

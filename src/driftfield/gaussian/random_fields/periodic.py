"""Fields on a torus: C = F' diag(lambda) F, with F the orthonormal Fourier transform.

    lambda(k) = N p(k),     p(k) = S(2 pi k / L) / sum of S over the waves of the grid,     x = F' sqrt(lambda) F z

so every cell has variance 1, to rounding. Point j lies at j L / n. p belongs to the field and not to the grid: `on` gives
the same field on another grid, whose draws agree with it below the smaller Nyquist wavenumber, and whose variance is 1 plus
what finer waves add.
"""

__all__ = ["PeriodicField"]

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from scipy import fft

from driftfield.gaussian.random_fields.base import Cells, Spectral, drawn_on_torus
from driftfield.gaussian.random_fields.kernels import Kernel
from driftfield.gaussian.random_fields.modes import wave_noise


class PeriodicField(Spectral):
    """A random field that is periodic in both directions.

    Arguments:
        kernel, shape, size: As of `Spectral`.
        scale: p / S; by default the one that gives unit variance.

    Raises:
        ConfigurationError: a shape or a size that makes no sense.
    """

    def __init__(
        self,
        kernel: Kernel,
        shape: Sequence[int],
        size: Sequence[float] = (1.0, 1.0),
        *,
        scale: float | None = None,
    ) -> None:
        super().__init__(kernel, shape, size)
        rows, columns = self._shape
        ky = 2 * np.pi * fft.fftfreq(rows, self.size[0] / rows)[:, None]
        kx = 2 * np.pi * fft.rfftfreq(columns, self.size[1] / columns)[None, :]
        density = kernel.density(ky**2 + kx**2)
        # the half spectrum stands for -kx too
        self._counts = np.full(density.shape[-1], 2.0)
        self._counts[0] = 1.0
        if columns % 2 == 0:
            self._counts[-1] = 1.0
        self.scale = 1 / float((density * self._counts).sum()) if scale is None else scale
        self.eigenvalues: Float[np.ndarray, "rows half"] = rows * columns * self.scale * density

    def on(self, shape: Sequence[int]) -> "PeriodicField":
        """The same field on another grid of the same torus."""
        return PeriodicField(self.kernel, shape, self.size, scale=self.scale)

    def correlation_table(self) -> Float[np.ndarray, "rows columns"]:
        """The covariance with the first cell, by offset."""
        return np.asarray(fft.irfft2(self.eigenvalues, s=self._shape))

    def variance(self) -> Float[np.ndarray, "rows columns"]:
        return np.full(self._shape, float(self.correlation_table()[0, 0]))

    def keyed_noise(self, key: tuple[int, int], channel: int, draw: int) -> Float[np.ndarray, "rows columns"]:
        return wave_noise(self._shape, key, channel, draw)

    def sample(
        self, rng: np.random.Generator, count: int = 1, *, single: bool = False
    ) -> Float[np.ndarray, "count rows columns"]:
        return drawn_on_torus(self.eigenvalues, self.shape, rng, count, single=single)

    def _scaled(self, x: Cells, factor: np.ndarray) -> Cells:
        return np.asarray(fft.irfft2(fft.rfft2(x) * factor.astype(x.dtype, copy=False), s=self._shape))

    def _log_determinant(self) -> float:
        return math.fsum((np.log(self.eigenvalues) * self._counts).sum(axis=0))

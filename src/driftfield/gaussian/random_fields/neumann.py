"""Fields in a box without flux through its borders: C = D' diag(lambda) D, with D the orthonormal cosine transform (DCT-II).

    cov(x, y) = r(x - y) + r(x + y)       in each direction, borders at 0 and L: the field and its mirror image

The scale is that of the torus of twice the size, which the mirror makes: variance 1 far from the borders, **2 at an edge, 4
in a corner**, falling to 1 within about a length; `variance` states it cell by cell. Dividing by it would leave a
correlation that is not the kernel's. Where a window of a larger region is wanted, `WindowField` has none of this.
"""

__all__ = ["NeumannField"]

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from scipy import fft

from driftfield.gaussian.random_fields.base import Cells, Spectral
from driftfield.gaussian.random_fields.kernels import Kernel
from driftfield.gaussian.random_fields.modes import cosine_noise
from driftfield.gaussian.random_fields.periodic import PeriodicField


class NeumannField(Spectral):
    """A random field by cosines; cells are centred at (i + 1/2) L / n.

    Arguments:
        kernel, shape, size: As of `Spectral`.
        scale: As of the torus of twice the size.

    Raises:
        ConfigurationError: a shape or a size that makes no sense.
    """

    def __init__(
        self, kernel: Kernel, shape: Sequence[int], size: Sequence[float] = (1.0, 1.0), *, scale: float | None = None
    ) -> None:
        super().__init__(kernel, shape, size)
        rows, columns = self._shape
        mirrored = PeriodicField(kernel, (2 * rows, 2 * columns), [2 * extent for extent in self.size], scale=scale)
        self.scale = mirrored.scale
        ky, kx = (np.pi * np.arange(n) / extent for n, extent in zip(self._shape, self.size, strict=True))
        density = kernel.density(ky[:, None] ** 2 + kx[None, :] ** 2)
        self.eigenvalues: Float[np.ndarray, "rows columns"] = 4 * rows * columns * self.scale * density

    def on(self, shape: Sequence[int]) -> "NeumannField":
        """The same field on another grid of the same box."""
        return NeumannField(self.kernel, shape, self.size, scale=self.scale)

    def variance(self) -> Float[np.ndarray, "rows columns"]:
        squares = [fft.idct(np.eye(n), norm="ortho", axis=0) ** 2 for n in self._shape]
        return np.asarray(squares[0] @ self.eigenvalues @ squares[1].T)

    def keyed_noise(self, key: tuple[int, int], channel: int, draw: int) -> Float[np.ndarray, "rows columns"]:
        return cosine_noise(self._shape, key, channel, draw)

    def _scaled(self, x: Cells, factor: np.ndarray) -> Cells:
        axes = (-2, -1)
        scaled = fft.dctn(x, axes=axes, norm="ortho") * factor.astype(x.dtype, copy=False)
        return np.asarray(fft.idctn(scaled, axes=axes, norm="ortho"))

    def _log_determinant(self) -> float:
        return math.fsum(np.log(self.eigenvalues).sum(axis=0))

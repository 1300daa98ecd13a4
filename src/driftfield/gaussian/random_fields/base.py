"""What every random field can do: colour white noise, whiten a field, and say how likely one is."""

__all__ = ["Cells", "RandomField", "Spectral", "checked_shape", "checked_size", "drawn_on_torus"]

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from scipy import fft

from driftfield.errors import ConfigurationError, DataError, whole_number
from driftfield.gaussian.random_fields.kernels import Kernel

WORST_CONDITION = 1e8
"""Ratio of the largest eigenvalue to the smallest beyond which whitening amplifies rounding into the field."""

Cells = Float[np.ndarray, "*batch rows columns"]


class RandomField(ABC):
    """N(0, C) on a grid of cells, where C = A A' and a draw is A z."""

    @property
    @abstractmethod
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the grid."""

    @property
    def noise_shape(self) -> tuple[int, ...]:
        """Of z; that of the grid unless a transform needs more or fewer numbers."""
        return self.shape

    @abstractmethod
    def color(self, z: Float[np.ndarray, "..."]) -> Cells:
        """A z, a field from white noise of `noise_shape`."""

    @abstractmethod
    def whiten(self, x: Cells) -> Float[np.ndarray, "..."]:
        """The z whose colour is x.

        Raises:
            ConfigurationError: this covariance cannot be inverted; the message says what can.
        """

    @abstractmethod
    def log_density(self, x: Cells) -> Float[np.ndarray, "*batch"]:
        """ln p(x).

        Raises:
            ConfigurationError: this covariance cannot be inverted; the message says what can.
        """

    @abstractmethod
    def variance(self) -> Float[np.ndarray, "rows columns"]:
        """Of every cell, as the transform makes it."""

    @abstractmethod
    def keyed_noise(self, key: tuple[int, int], channel: int, draw: int) -> Float[np.ndarray, "..."]:
        """z of `noise_shape` as a function of (key, channel, draw, wavenumber) and of nothing else, so that resolutions nest."""

    def sample(
        self, rng: np.random.Generator, count: int = 1, *, single: bool = False
    ) -> Float[np.ndarray, "count rows columns"]:
        """Independent draws, in double precision unless `single`."""
        dtype = np.float32 if single else np.float64
        return self.color(rng.standard_normal((whole_number("count", count), *self.noise_shape), dtype=dtype))

    def _check_cells(self, x: np.ndarray) -> None:
        if x.shape[-2:] != self.shape:
            raise DataError(
                f"Found a field of {x.shape[-2:]} cells: expected {self.shape}, the grid of this random field."
            )


class Spectral(RandomField):
    """A field whose covariance is diagonal in an orthonormal basis: C = T' diag(eigenvalues) T, A its symmetric root.

    Arguments:
        kernel: Its length is in the units of `size`.
        shape: Rows and columns.
        size: Extent across the rows and the columns.

    Raises:
        ConfigurationError: a shape or a size that makes no sense.
    """

    eigenvalues: Float[np.ndarray, "..."]

    def __init__(self, kernel: Kernel, shape: Sequence[int], size: Sequence[float]) -> None:
        self.kernel, self._shape, self.size = kernel, checked_shape(shape), checked_size(size)

    @property
    def shape(self) -> tuple[int, int]:
        return self._shape

    @abstractmethod
    def _scaled(self, x: Cells, factor: np.ndarray) -> Cells:
        """T' diag(factor) T x."""

    @abstractmethod
    def _log_determinant(self) -> float:
        """ln det C."""

    def color(self, z: Cells) -> Cells:
        self._check_cells(z)
        return self._scaled(z, np.sqrt(self.eigenvalues))

    def whiten(self, x: Cells) -> Cells:
        self._check_cells(x)
        self.check_condition()
        return self._scaled(x, 1 / np.sqrt(self.eigenvalues))

    def log_density(self, x: Cells) -> Float[np.ndarray, "*batch"]:
        z = self.whiten(x)
        cells = math.prod(self.shape)
        return -0.5 * ((z * z).sum((-2, -1)) + self._log_determinant() + cells * math.log(2 * math.pi))

    @property
    def condition(self) -> float:
        """Largest eigenvalue over the smallest; infinite where one is 0."""
        least = float(self.eigenvalues.min())
        return float(self.eigenvalues.max()) / least if least > 0 else math.inf

    def check_condition(self) -> None:
        """Refuses to whiten where rounding would grow into the field; raises `ConfigurationError`."""
        if not self.condition <= WORST_CONDITION:
            raise ConfigurationError(
                f"This field is too smooth for its grid to be whitened: its covariance has the condition {self.condition:.1e}, "
                f"expected {WORST_CONDITION:.0e} at most. Choose a rougher kernel (Matern in place of SquaredExponential), a "
                "shorter length or a coarser grid."
            )


def drawn_on_torus(
    eigenvalues: Float[np.ndarray, "rows half"],
    shape: tuple[int, int],
    rng: np.random.Generator,
    count: int,
    *,
    single: bool,
) -> Float[np.ndarray, "count rows columns"]:
    """Draws by their waves: as many normal numbers as colouring white noise takes, and one transform in place of two.

    A column of the half spectrum that is its own mirror image has complex numbers that are not; the transform takes the real part
    of what they make, which has half their power.
    """
    rows, columns = shape
    dtype = np.float32 if single else np.float64
    normals = rng.standard_normal((whole_number("count", count), rows, 2 * eigenvalues.shape[1]), dtype=dtype)
    waves = normals.view(np.complex64 if single else np.complex128)
    root = np.sqrt(eigenvalues / 2)
    root[:, [0] if columns % 2 else [0, -1]] *= math.sqrt(2)
    np.multiply(waves, root.astype(dtype), out=waves)
    return np.asarray(fft.irfft2(waves, s=shape, norm="ortho", overwrite_x=True))


def checked_shape(shape: Sequence[int]) -> tuple[int, int]:
    """Rows and columns of a grid of the plane: two or more of each.

    Raises:
        ConfigurationError: it is something else.
    """
    if len(shape) != 2 or any(type(n) is not int or n < 2 for n in shape):
        raise ConfigurationError(
            f"Found a grid of shape {tuple(shape)}: expected rows and columns, 2 or more of each, since the kernels are those of "
            "two dimensions."
        )
    return shape[0], shape[1]


def checked_size(size: Sequence[float]) -> tuple[float, float]:
    """Extent of a grid along rows and columns, above 0.

    Raises:
        ConfigurationError: it is something else.
    """
    if len(size) != 2 or not all(0 < extent < math.inf for extent in size):
        raise ConfigurationError(
            f"Found the size {tuple(size)}: expected two numbers above 0, across the rows and the columns."
        )
    return float(size[0]), float(size[1])

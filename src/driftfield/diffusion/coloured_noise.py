"""Noise that is a Gaussian random field: as rough as the data, so that all waves drown at about the same noise level.

    C = A A' = T' diag(lambda) T,    A u = T' sqrt(lambda) T u,    A^-1 x = T' (1 / sqrt(lambda)) T x

T is the orthonormal Fourier transform on a torus ("periodic"), or the cosine transform in a box without flux through its
borders ("neumann", whose variance doubles at an edge). A is symmetric. Lengths are shares of the longer side of the grid, whose
cells count as square, so that the same noise belongs to any resolution; draws are keyed by wavenumber, and those of two
resolutions are one field (`gaussian.random_fields.modes`).

A window of the plane and the sphere are no noise of a diffusion: their fields cannot be whitened cell by cell.
"""

__all__ = ["MaternNoise", "PowerLawNoise", "RandomFieldNoise", "SquaredExponentialNoise"]

from collections.abc import Sequence

import numpy as np
import torch
from scipy.fft import dct
from torch import Tensor

from driftfield.diffusion.noise import DiffusionNoise, NoiseDraws, NoiseKeys
from driftfield.errors import ConfigurationError
from driftfield.gaussian.counter_noise import key_of, word_of
from driftfield.gaussian.random_fields import Kernel, Matern, NeumannField, PeriodicField, PowerLaw, SquaredExponential
from driftfield.linalg.composition import Preceded
from driftfield.linalg.operators import Observed
from driftfield.registry import register

_FINE = 512
"""Points along the longer side of the grid on which the noise has variance 1: a coarser one lacks what finer waves add, so that
the noise is one field at all resolutions."""
_FIELDS: dict[str, type[PeriodicField] | type[NeumannField]] = {"neumann": NeumannField, "periodic": PeriodicField}


class RandomFieldNoise(DiffusionNoise):
    """Noise with the covariance of a kernel.

    Arguments:
        kernel: Its length is a share of the longer side of the grid.
        boundary: "periodic" or "neumann".

    Raises:
        ConfigurationError: another boundary.
    """

    coloured = True

    def __init__(self, kernel: Kernel, boundary: str) -> None:
        if boundary not in _FIELDS:
            raise ConfigurationError(
                f"Found diffusion.noise.boundary={boundary!r}: expected one of {tuple(_FIELDS)}. Fields in a window or on a "
                "sphere cannot be whitened cell by cell."
            )
        self.kernel, self.boundary = kernel, boundary
        self._known: dict[tuple[int, int], PeriodicField | NeumannField] = {}
        self._cosines: dict[int, Tensor] = {}

    def field(self, shape: Sequence[int]) -> PeriodicField | NeumannField:
        """The random field on a grid of some rows and columns."""
        rows, columns = int(shape[-2]), int(shape[-1])
        if (rows, columns) not in self._known:
            side = max(rows, columns)
            size = (rows / side, columns / side)
            kind, fine = _FIELDS[self.boundary], [max(2, round(_FINE * extent)) for extent in size]
            scale = kind(self.kernel, fine, size).scale
            self._known[rows, columns] = kind(self.kernel, (rows, columns), size, scale=scale)
        return self._known[rows, columns]

    def color(self, u: Tensor) -> Tensor:
        return self._scaled(u, np.sqrt(self.field(u.shape).eigenvalues))

    def whiten(self, x: Tensor) -> Tensor:
        field = self.field(x.shape)
        field.check_condition()
        return self._scaled(x, 1 / np.sqrt(field.eigenvalues))

    def observed(self, observed: Observed) -> Observed:
        # A is its own adjoint
        return Observed(Preceded(observed.operator, self.color, self.color), observed.y, observed.covariance)

    def draws(self, keys: NoiseKeys) -> NoiseDraws:
        field = self.field((len(keys.rows), len(keys.columns)))
        samples = [key_of(keys.seed, member, stamp) for member, stamp in zip(keys.members, keys.stamps, strict=True)]
        words = [word_of(name) for name in keys.channels]

        def white(draw: int) -> Tensor:
            waves = [[field.keyed_noise(key, word, draw) for word in words] for key in samples]
            return torch.from_numpy(np.array(waves, dtype=np.float32)).to(keys.device)

        return white

    def check(self, known: Tensor, grid: Sequence[int]) -> None:
        shape = (known.shape[-2], known.shape[-1])
        if shape != tuple(grid):
            raise ConfigurationError(
                f"Found windows of {shape} cells of a grid of {tuple(grid)}: {type(self).__name__} is noise of the whole "
                "grid. Leave out data.windows, or use white noise."
            )
        if missing := int((~known).sum()):
            raise ConfigurationError(
                f"Found {missing} of {known.numel()} cells on land or in gaps: the waves of {type(self).__name__} need complete "
                "fields. Use white noise, or fill the fields first."
            )

    def _scaled(self, x: Tensor, factor: np.ndarray) -> Tensor:
        """T' diag(factor) T x; half precision has no transform."""
        wide = x if x.dtype == torch.float64 else x.float()
        scale = torch.from_numpy(factor).to(wide)
        if self.boundary == "periodic":
            return torch.fft.irfft2(torch.fft.rfft2(wide) * scale, s=wide.shape[-2:]).to(x.dtype)
        rows, columns = (self._transform(n).to(wide) for n in wide.shape[-2:])
        return (rows.mT @ (rows @ wide @ columns.mT * scale) @ columns).to(x.dtype)

    def _transform(self, n: int) -> Tensor:
        """The orthonormal cosine transform of n cells as a matrix."""
        if n not in self._cosines:
            self._cosines[n] = torch.from_numpy(dct(np.eye(n), axis=0, norm="ortho"))
        return self._cosines[n]


@register("noise", "Matern")
class MaternNoise(RandomFieldNoise):
    """A Matern field: .5 is the exponential covariance, 1.5 has one derivative.

    Arguments:
        length: Share of the longer side of the grid.
        smoothness: nu.
        boundary: See `RandomFieldNoise`.
    """

    def __init__(self, length: float = 0.05, smoothness: float = 1.5, boundary: str = "periodic") -> None:
        super().__init__(Matern(length, smoothness), boundary)


@register("noise", "PowerLaw")
class PowerLawNoise(RandomFieldNoise):
    """Covariance (-Laplacian + length^-2)^-alpha.

    Arguments:
        length: Share of the longer side of the grid.
        alpha: k^(-2 alpha) beyond 1 / length.
        boundary: See `RandomFieldNoise`.
    """

    def __init__(self, length: float = 0.05, alpha: float = 2.0, boundary: str = "periodic") -> None:
        super().__init__(PowerLaw(length, alpha), boundary)


@register("noise", "SquaredExponential")
class SquaredExponentialNoise(RandomFieldNoise):
    """exp(-d^2 / (2 length^2)): for data that are as smooth, else refused.

    Arguments:
        length: Share of the longer side of the grid.
        boundary: See `RandomFieldNoise`.
    """

    def __init__(self, length: float = 0.05, boundary: str = "periodic") -> None:
        super().__init__(SquaredExponential(length), boundary)

"""Fields in a window of the plane by circulant embedding (Dietrich and Newsam 1997; Wood and Chan 1994).

The covariance between the cells of a window is part of a circulant matrix on a torus at least twice as large, whose
eigenvalues are the Fourier transform of the kernel at the shortest way round. Where none is negative the draw on the torus,
cut to the window, has exactly the covariance of the formula: variance 1 in every cell, no borders to be seen. The torus
grows until the negative ones amount to less than `CLIPPED` of the variance; they are then taken as 0, and `clipped` says how
much that was.
"""

__all__ = ["WindowField"]

import math
from collections.abc import Sequence
from functools import cached_property

import numpy as np
from jaxtyping import Float
from scipy import fft
from scipy.linalg import cholesky, solve_triangular

from driftfield.errors import ConfigurationError, DataError
from driftfield.gaussian.random_fields.base import Cells, RandomField, checked_shape, checked_size, drawn_on_torus
from driftfield.gaussian.random_fields.kernels import Kernel
from driftfield.gaussian.random_fields.modes import wave_noise

CLIPPED = 1e-6
"""Share of the variance that negative eigenvalues may have."""
LARGEST = 8
"""Sides of the torus in sides of the window, at most."""
DENSE = 4096
"""Cells whose covariance is still written down, for the density."""


class WindowField(RandomField):
    """A random field in a rectangle.

    Arguments:
        kernel: Its length is in the units of `spacing`.
        shape: Rows and columns.
        spacing: From a row to the next, and from a column to the next.
        torus: Rows and columns of the torus; found by itself if not given.

    Raises:
        ConfigurationError: a shape or spacing that makes no sense; a kernel that is too long for its window.
    """

    def __init__(
        self,
        kernel: Kernel,
        shape: Sequence[int],
        spacing: Sequence[float] = (1.0, 1.0),
        *,
        torus: Sequence[int] | None = None,
    ) -> None:
        self.kernel, self._shape, self.spacing = kernel, checked_shape(shape), checked_size(spacing)
        if torus is not None and any(m < 2 * n - 1 for m, n in zip(torus, self._shape, strict=True)):
            raise ConfigurationError(
                f"Found a torus of {tuple(torus)} around {self._shape} cells: expected twice as many, or more."
            )
        sides = [self._torus(factor) for factor in (2, 3, 4, 6, LARGEST)] if torus is None else [checked_shape(torus)]
        for side in sides:
            values = self._embedded(side)
            self.clipped = float(-values[values < 0].sum() / values[values > 0].sum())
            if self.clipped <= CLIPPED:
                self.torus, self.eigenvalues = side, np.maximum(values, 0)
                return
        raise ConfigurationError(
            f"The kernel of length {kernel.length:g} is too long for a window of {self._extent()}: negative eigenvalues are "
            f"{self.clipped:.1e} of the variance on a torus of {sides[-1]} cells, expected {CLIPPED:g} at most. Choose a shorter "
            "length (up to about the side of the window), or a periodic field."
        )

    def _torus(self, factor: int) -> tuple[int, int]:
        rows, columns = (int(fft.next_fast_len(factor * n, real=True)) for n in self._shape)
        return rows, columns

    def _extent(self) -> str:
        return " x ".join(f"{n * step:g}" for n, step in zip(self._shape, self.spacing, strict=True))

    def _embedded(self, torus: tuple[int, int]) -> Float[np.ndarray, "rows half"]:
        """Eigenvalues of the circulant: the transform of the kernel at the shortest way round."""
        away = [np.minimum(np.arange(m), m - np.arange(m)) * step for m, step in zip(torus, self.spacing, strict=True)]
        return np.asarray(fft.rfft2(self.kernel.correlation(np.hypot(away[0][:, None], away[1][None, :]))).real)

    @property
    def shape(self) -> tuple[int, int]:
        return self._shape

    @property
    def noise_shape(self) -> tuple[int, int]:
        return self.torus

    def on(self, factor: int) -> "WindowField":
        """The same window with cells `factor` times as fine, embedded in the same torus.

        Keyed draws of a smooth kernel agree with those of the coarse one at the wavenumbers of both; those of a rough one do
        not: the points of the coarse grid see what is finer than they are.
        """
        shape, torus = ([factor * n for n in sides] for sides in (self._shape, self.torus))
        return WindowField(self.kernel, shape, [step / factor for step in self.spacing], torus=torus)

    def on_torus(self, z: Float[np.ndarray, "*batch rows columns"]) -> Float[np.ndarray, "*batch rows columns"]:
        """The draw on the whole torus, before the window is cut out."""
        if z.shape[-2:] != self.torus:
            raise DataError(
                f"Found noise of {z.shape[-2:]} cells: expected {self.torus}, the torus around this window."
            )
        return np.asarray(
            fft.irfft2(fft.rfft2(z) * np.sqrt(self.eigenvalues).astype(z.dtype, copy=False), s=self.torus)
        )

    def color(self, z: Float[np.ndarray, "*batch rows columns"]) -> Cells:
        return self.on_torus(z)[..., : self._shape[0], : self._shape[1]]

    def sample(
        self, rng: np.random.Generator, count: int = 1, *, single: bool = False
    ) -> Float[np.ndarray, "count rows columns"]:
        return drawn_on_torus(self.eigenvalues, self.torus, rng, count, single=single)[
            :, : self._shape[0], : self._shape[1]
        ]

    def whiten(self, x: Cells) -> Cells:
        raise ConfigurationError(
            "A draw in a window cannot be whitened to the noise that it came from: the torus around it has more cells than the "
            "window. Use a periodic or a Neumann field, or `log_density`, which whitens by the covariance of the cells."
        )

    def variance(self) -> Float[np.ndarray, "rows columns"]:
        return np.full(self._shape, float(fft.irfft2(self.eigenvalues, s=self.torus)[0, 0]))

    def keyed_noise(self, key: tuple[int, int], channel: int, draw: int) -> Float[np.ndarray, "rows columns"]:
        return wave_noise(self.torus, key, channel, draw)

    @cached_property
    def _cholesky(self) -> Float[np.ndarray, "cells cells"]:
        cells = math.prod(self._shape)
        if cells > DENSE:
            raise ConfigurationError(
                f"The density of a window needs its dense covariance: found {cells} cells, expected {DENSE} at most. Cut the "
                "window, or use a periodic field."
            )
        places = [part.ravel() for part in np.indices(self._shape)]
        away = [np.abs(part[:, None] - part[None, :]) for part in places]
        table = fft.irfft2(self.eigenvalues, s=self.torus)
        try:
            return np.asarray(cholesky(table[away[0], away[1]], lower=True))
        except np.linalg.LinAlgError as error:
            raise ConfigurationError(
                "This field is too smooth for its grid: its covariance cannot be inverted to rounding. Choose a rougher kernel, "
                "a shorter length or a coarser grid."
            ) from error

    def log_density(self, x: Cells) -> Float[np.ndarray, "*batch"]:
        self._check_cells(x)
        root = self._cholesky
        flat = x.reshape(*x.shape[:-2], -1)
        z = solve_triangular(root, flat.reshape(-1, len(root)).T, lower=True).T.reshape(flat.shape)
        constant = 2 * np.log(np.diag(root)).sum() + len(root) * math.log(2 * math.pi)
        return np.asarray(-0.5 * ((z * z).sum(-1) + constant))

"""White noise by wavenumber: the number that belongs to a wave is the same on every grid that can hold the wave.

    g(k) = (u + i v) / sqrt(2),     u, v normals of (key, channel, draw, k),     g(-k) = conj g(k)
    z    = F' g                     white on the cells: one number per cell, as many as there are waves

Of k and -k the one with kx > 0, or kx = 0 and ky > 0, says the numbers. At the Nyquist wavenumber of an even grid k and -k
are the same wave, whose number is real; grids of two resolutions agree below the Nyquist wavenumber of the coarser one.
"""

__all__ = ["cosine_noise", "harmonic_noise", "wave_noise"]

import numpy as np
from jaxtyping import Float
from scipy import fft

from driftfield.gaussian.counter_noise import philox, standard_normals

_MODULUS = 2**32


def _normals(
    y: np.ndarray, x: np.ndarray, key: tuple[int, int], channel: int, draw: int
) -> tuple[np.ndarray, np.ndarray]:
    """Two normals for every pair of signed whole numbers."""
    words = [np.asarray(part % _MODULUS, dtype=np.uint64) for part in (x, y)]
    return standard_normals(philox((*words, np.uint64(channel), np.uint64(draw)), key))


def wave_noise(
    shape: tuple[int, int], key: tuple[int, int], channel: int, draw: int
) -> Float[np.ndarray, "rows columns"]:
    """White noise on a torus."""
    rows, columns = shape
    ky = np.round(fft.fftfreq(rows) * rows).astype(np.int64)[:, None]
    kx = np.arange(columns // 2 + 1)[None, :]
    u, v = _normals(ky, kx, key, channel, draw)
    g = (u + 1j * v) / np.sqrt(2)
    own_conjugates = [0] if columns % 2 else [0, columns // 2]
    for column in own_conjugates:
        half = g[1 : (rows + 1) // 2, column]
        g[rows - len(half) :, column] = half[::-1].conj()
        real = [0] if rows % 2 else [0, rows // 2]
        g[real, column] = u[real, column]
    return np.asarray(fft.irfft2(g, s=shape, norm="ortho"))


def cosine_noise(
    shape: tuple[int, int], key: tuple[int, int], channel: int, draw: int
) -> Float[np.ndarray, "rows columns"]:
    """White noise in a box, by its cosines."""
    waves = _normals(np.arange(shape[0])[:, None], np.arange(shape[1])[None, :], key, channel, draw)[0]
    return np.asarray(fft.idctn(waves, norm="ortho"))


def harmonic_noise(largest: int, key: tuple[int, int], channel: int, draw: int) -> Float[np.ndarray, " harmonic"]:
    """A normal for every spherical harmonic up to a degree, at l (l + 1) + m."""
    degree = np.repeat(np.arange(largest + 1), 2 * np.arange(largest + 1) + 1)
    order = np.arange(len(degree)) - degree * (degree + 1)
    return _normals(degree, order, key, channel, draw)[0]

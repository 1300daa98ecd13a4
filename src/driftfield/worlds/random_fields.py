r"""Gaussian random fields of known covariance on a grid of cells, drawn in batches by the fast Fourier transform.

    S(k) = (1 + (2 pi l)^2 |A k|^2 / (2 nu))^-(nu + 1)      Matern in two dimensions (Whittle 1954; Stein 1999)
    z    = F^-1 [ sqrt(S / mean S) F white ]                variance 1 on a torus that is larger than the piece kept
    c    = F^-1 [ S / mean S ]                              so the covariance on the grid is known to rounding

l is the correlation length in cells, nu the smoothness; A turns by an angle and stretches one axis against the other.
Large nu is the squared exponential; large l at small nu is a power law, |k|^-(2 nu + 2), over all wavelengths of the grid.
"""

__all__ = ["MaternFields", "draw_fields", "draw_frames", "grid_covariance", "torus_of"]

from dataclasses import dataclass

import numpy as np
from scipy import fft


@dataclass(frozen=True)
class MaternFields:
    """Parameters of a batch of fields; every array is (batch,).

    Arguments:
        length: Correlation length l, cells: the geometric mean of both axes.
        smoothness: nu; 0.5 is the exponential covariance.
        stretch: Length along the first axis over the geometric mean; 1 is isotropic.
        angle: Direction of the first axis against the rows' direction (y), radians.
    """

    length: np.ndarray
    smoothness: np.ndarray
    stretch: np.ndarray
    angle: np.ndarray

    def __len__(self) -> int:
        return len(self.length)

    @classmethod
    def single(cls, length: float, smoothness: float, stretch: float = 1.0, angle: float = 0.0) -> "MaternFields":
        """The parameters of one field."""
        return cls(*(np.array([value], dtype=np.float64) for value in (length, smoothness, stretch, angle)))

    @classmethod
    def draw(
        cls, rng: np.random.Generator, count: int, *, lengths: tuple[float, float], isotropic: float = 0.5
    ) -> "MaternFields":
        """Random parameters: log-uniform lengths and smoothness, anisotropic up to 1 : 4 unless isotropic.

        Arguments:
            rng: The only source of chance.
            count: Number of fields.
            lengths: Shortest and longest correlation length, cells.
            isotropic: Share of isotropic fields.
        """
        stretch = np.exp(rng.uniform(-0.7, 0.7, count))
        return cls(
            length=np.exp(rng.uniform(np.log(lengths[0]), np.log(lengths[1]), count)),
            smoothness=np.exp(rng.uniform(np.log(0.3), np.log(5.0), count)),
            stretch=np.where(rng.random(count) < isotropic, 1.0, stretch),
            angle=rng.uniform(0.0, np.pi, count),
        )

    def spectrum(self, torus: tuple[int, int], dtype: type[np.floating] = np.float32) -> np.ndarray:
        """S(k) of each field with mean 1 over the wave numbers of the torus: (batch, rows, columns // 2 + 1)."""
        k = fft.fftfreq(torus[0]).astype(dtype)[:, None]
        m = fft.rfftfreq(torus[1]).astype(dtype)[None, :]
        # |A k|^2 as a quadratic form: a k^2 + 2 b k m + c m^2
        cosine, sine, stretch = np.cos(self.angle), np.sin(self.angle), self.stretch**2
        form = (
            cosine**2 * stretch + sine**2 / stretch,
            sine * cosine * (stretch - 1 / stretch),
            sine**2 * stretch + cosine**2 / stretch,
        )
        scale = (2 * np.pi * self.length) ** 2 / (2 * self.smoothness)
        a, b, c = ((part * scale).astype(dtype)[:, None, None] for part in form)
        density = a * (k * k) + (2 * b) * (k * m) + c * (m * m)
        np.log1p(density, out=density)
        density *= -(self.smoothness + 1).astype(dtype)[:, None, None]
        np.exp(density, out=density)
        twice = np.full(density.shape[-1], 2.0, dtype=dtype)
        twice[0] = 1.0
        if torus[1] % 2 == 0:
            twice[-1] = 1.0
        mean = (density * twice).sum(axis=(1, 2), keepdims=True) / (torus[0] * torus[1])
        density /= mean
        return np.asarray(density, dtype=dtype)


def torus_of(shape: tuple[int, int], *, periodic: bool = False) -> tuple[int, int]:
    """The torus on which fields of `shape` are drawn: twice as large, but for columns that wrap."""
    rows, columns = shape
    return int(fft.next_fast_len(2 * rows)), columns if periodic else int(fft.next_fast_len(2 * columns, real=True))


def draw_fields(
    rng: np.random.Generator, matern: MaternFields, shape: tuple[int, int], *, periodic: bool = False
) -> np.ndarray:
    """Fields of mean 0 and variance 1: (batch, rows, columns), float32.

    Arguments:
        rng: The only source of chance.
        matern: Parameters of each field.
        shape: Rows and columns.
        periodic: Whether the columns wrap.
    """
    torus = torus_of(shape, periodic=periodic)
    white = rng.standard_normal((len(matern), *torus), dtype=np.float32)
    coefficients = fft.rfft2(white) * np.sqrt(matern.spectrum(torus))
    return np.ascontiguousarray(fft.irfft2(coefficients, s=torus)[:, : shape[0], : shape[1]])


def draw_frames(
    rng: np.random.Generator,
    matern: MaternFields,
    shape: tuple[int, int],
    *,
    decay: np.ndarray,
    displacement: np.ndarray,
    count: int,
    periodic: bool = False,
) -> np.ndarray:
    """Successive frames of each field, which decays and is carried along: (frame, batch, rows, columns), float32.

        z_{n+1}(x) = decay z_n(x - displacement) + sqrt(1 - decay^2) w_n(x)

    Arguments:
        rng: The only source of chance.
        matern: Parameters of each field.
        shape: Rows and columns.
        decay: Correlation from one frame to the next in the moving frame of reference (batch,).
        displacement: Cells per frame (batch, 2): rows, columns.
        count: Number of frames.
        periodic: Whether the columns wrap.
    """
    torus = torus_of(shape, periodic=periodic)
    root = np.sqrt(matern.spectrum(torus))
    k, m = fft.fftfreq(torus[0])[:, None], fft.rfftfreq(torus[1])[None, :]
    rows, columns = (part[:, None, None] for part in displacement.T)
    shift = np.exp(-2j * np.pi * (k * rows + m * columns)).astype(np.complex64)
    rho = decay[:, None, None].astype(np.float32)
    state, frames = None, []
    for _ in range(count):
        white = fft.rfft2(rng.standard_normal((len(matern), *torus), dtype=np.float32)) * root
        state = white if state is None else rho * shift * state + np.sqrt(1 - rho**2) * white
        frames.append(fft.irfft2(state, s=torus)[:, : shape[0], : shape[1]])
    return np.stack(frames)


def grid_covariance(matern: MaternFields, shape: tuple[int, int], *, periodic: bool = False) -> np.ndarray:
    """The exact covariance of `draw_fields` against the cell in the corner, by offset: (batch, *torus), float64.

    The covariance of cells (i, j) and (p, q) stands at [(p - i) modulo rows of the torus, (q - j) modulo its columns].
    """
    torus = torus_of(shape, periodic=periodic)
    return np.asarray(fft.irfft2(matern.spectrum(torus, np.float64), s=torus))

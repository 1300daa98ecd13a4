"""Does a noise cover the data, wave by wave? A diffusion starts as noise and ends as data: both at every wavenumber.

    s_k = sqrt(S_k / lambda_k)          the noise level at which wave k has as much noise as signal
    s_max >= 2 s_k                      at the beginning it is drowned
    s_min <= s_k / 2                    at the end it is free of noise

S_k is the power of the data and lambda_k that of noise at s = 1, means over the shell k - 1/2 <= |k| < k + 1/2, below the
Nyquist wavenumber; for white noise lambda_k is 1. Noise much smoother than the data needs a range of levels, from s_max to s_min,
that no schedule walks through. Fields that are not periodic are taken apart by cosines, whose waves go up by halves.
"""

__all__ = ["NoiseCover", "noise_cover"]

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy import fft

from driftfield.errors import ConfigurationError, DataError
from driftfield.gaussian.random_fields.neumann import NeumannField
from driftfield.gaussian.random_fields.periodic import PeriodicField

MARGIN = 2.0
WIDEST = 300.0
"""Largest ratio of the noise levels at which the first wave and the last are as large as the noise; about 20 for white noise and
two-dimensional turbulence."""


@dataclass(frozen=True)
class NoiseCover:
    """Powers of signal and noise by shell.

    Arguments:
        wavenumber: Of the shells, from 1 on: cycles across the field.
        signal, noise: S_k and lambda_k, mean power of a wave in units of white noise of variance 1.
    """

    wavenumber: Float[np.ndarray, " shell"]
    signal: Float[np.ndarray, " shell"]
    noise: Float[np.ndarray, " shell"]

    @property
    def equal(self) -> Float[np.ndarray, " shell"]:
        """s_k."""
        return np.sqrt(self.signal / self.noise)

    @property
    def s_max(self) -> float:
        """The smallest that drowns every shell."""
        return float(MARGIN * self.equal.max())

    @property
    def s_min(self) -> float:
        """The largest that leaves every shell free of noise."""
        return float(self.equal.min() / MARGIN)

    def covered(self, s_min: float, s_max: float) -> Bool[np.ndarray, " shell"]:
        """Which shells are drowned at s_max and free of noise at s_min."""
        return (s_max >= MARGIN * self.equal) & (s_min <= self.equal / MARGIN)

    def table(self) -> str:
        """For people: every shell."""
        lines = ["| wave | signal | noise at s = 1 | s where they are equal |", "|---|---|---|---|"]
        parts = zip(self.wavenumber, np.sqrt(self.signal), np.sqrt(self.noise), self.equal, strict=True)
        return "\n".join(lines + [f"| {k:g} | {s:.3g} | {n:.3g} | {e:.3g} |" for k, s, n, e in parts])

    def check_width(self) -> None:
        """Refuses a noise so unlike the data that no walk leads from one to the other.

        Raises:
            ConfigurationError: the levels at which waves are as large as the noise span more than `WIDEST`.
        """
        low, high = float(self.equal.min()), float(self.equal.max())
        if high > WIDEST * low:
            slow, fast = self.wavenumber[int(self.equal.argmax())], self.wavenumber[int(self.equal.argmin())]
            smoother = "smoother" if slow > fast else "rougher"
            raise ConfigurationError(
                f"This noise is much {smoother} than the data: wave {slow:g} is as large as the noise at s = {high:.3g} and wave "
                f"{fast:g} at s = {low:.2g}, a factor of {high / low:.2g}; expected {WIDEST:g} at most. Choose a "
                f"{'rougher' if smoother == 'smoother' else 'smoother'} kernel, such as Matern with a smoothness of 0.5 to 1.5."
            )

    def check(self, s_min: float, s_max: float) -> None:
        """Refuses levels between which this noise does not lead to the data.

        Raises:
            ConfigurationError: a shell that is not drowned at s_max, or not free of noise at s_min.
        """
        high, low = int(self.equal.argmax()), int(self.equal.argmin())
        if s_max < self.s_max:
            raise ConfigurationError(
                f"The noise does not cover the data: at s_max = {s_max:g} wave {self.wavenumber[high]:g} has noise of standard "
                f"deviation {s_max * self.noise[high] ** 0.5:.3g} for a signal of {self.signal[high] ** 0.5:.3g}, expected "
                f"{MARGIN:g} times as much. Raise s_max to {self.s_max:.3g}, or choose a rougher noise."
            )
        if s_min > self.s_min:
            raise ConfigurationError(
                f"The noise outlasts the data: at s_min = {s_min:g} wave {self.wavenumber[low]:g} has noise of standard "
                f"deviation {s_min * self.noise[low] ** 0.5:.3g} for a signal of {self.signal[low] ** 0.5:.3g}, expected at "
                f"most half of it. Lower s_min to {self.s_min:.2g}, or choose a smoother noise."
            )


def noise_cover(
    fields: Float[np.ndarray, "field rows columns"],
    noise: PeriodicField | NeumannField | None = None,
    *,
    periodic: bool = True,
) -> NoiseCover:
    """Holds noise against data.

    Arguments:
        fields: Data in the units that the noise is added to, without gaps.
        noise: On the grid of the data; white noise if not given.
        periodic: Whether white noise is held against waves on a torus, or in a box.

    Raises:
        DataError: gaps, another grid, or a shell without any signal.
    """
    shape = fields.shape[-2:]
    if not np.isfinite(fields).all() or (noise is not None and noise.shape != shape):
        raise DataError("Expected fields without gaps, on the grid of the noise.")
    torus = periodic if noise is None else isinstance(noise, PeriodicField)
    departures = fields - fields.mean((-2, -1), keepdims=True)
    waves = fft.fft2(departures, norm="ortho") if torus else fft.dctn(departures, axes=(-2, -1), norm="ortho")
    power = (np.abs(waves) ** 2).mean(0)
    rows, columns = (np.abs(fft.fftfreq(n) * n) if torus else np.arange(n) for n in shape)
    shell = np.round(np.hypot(rows[:, None], columns[None, :])).astype(int)
    last = (min(shape) - 1) // 2 if torus else min(shape) - 1
    of_noise = np.ones(shape)
    if noise is not None:
        of_noise = fft.fft2(noise.correlation_table()).real if isinstance(noise, PeriodicField) else noise.eigenvalues
    counts = np.bincount(shell.ravel())[1 : last + 1]
    signal, made = (np.bincount(shell.ravel(), part.ravel())[1 : last + 1] / counts for part in (power, of_noise))
    if not (signal > 0).all():
        empty = 1 + int((signal <= 0).argmax())
        raise DataError(f"The fields have no signal at wave {empty}: truncate them to fewer points first.")
    return NoiseCover(np.arange(1, last + 1) * (1.0 if torus else 0.5), signal, made)

"""Orthonormal associated Legendre functions, and the synthesis of a field on a globe from its spherical harmonics.

    P_mm = sqrt((2m + 1) / 2m) sin(theta) P_(m-1)(m-1),     P_00 = 1 / sqrt(4 pi)
    P_lm = a (cos(theta) P_(l-1)m - b P_(l-2)m),            a^2 = (4 l^2 - 1) / (l^2 - m^2)
                                                            b^2 = ((l-1)^2 - m^2) / (4 (l-1)^2 - 1)

(Holmes and Featherstone 2002, equations 11 and 13; float64, stable in l.) With them the real harmonics are P_l0 and sqrt(2)
P_lm cos(m phi), sqrt(2) P_lm sin(m phi), of which the integral of the square over the unit sphere is 1. Without the sign
(-1)^m of Condon and Shortley.
"""

__all__ = ["legendre", "pack", "synthesis"]

import math

import numpy as np
from jaxtyping import Complex, Float
from scipy import fft


def legendre(largest: int, latitude: Float[np.ndarray, " lat"]) -> list[Float[np.ndarray, "degree lat"]]:
    """P_lm for every order m: a table of the degrees m to `largest` at latitudes in degrees."""
    sine, cosine = np.sin(np.deg2rad(latitude)), np.cos(np.deg2rad(latitude))
    tables, diagonal = [], np.full(len(sine), math.sqrt(1 / (4 * math.pi)))
    for m in range(largest + 1):
        if m:
            diagonal = math.sqrt((2 * m + 1) / (2 * m)) * cosine * diagonal
        table = np.zeros((largest + 1 - m, len(sine)))
        table[0] = diagonal
        for degree in range(m + 1, largest + 1):
            a = math.sqrt((4 * degree**2 - 1) / (degree**2 - m**2))
            table[degree - m] = a * sine * table[degree - m - 1]
            if degree > m + 1:
                b = math.sqrt(((degree - 1) ** 2 - m**2) / (4 * (degree - 1) ** 2 - 1))
                table[degree - m] -= a * b * table[degree - m - 2]
        tables.append(table)
    return tables


def pack(
    amplitudes: Float[np.ndarray, "*batch harmonic"], order: int, largest: int
) -> Complex[np.ndarray, "*batch degree"]:
    """The harmonics l (l + 1) + m and - m of an order as complex numbers c: the field is Re(c e^(i m phi))."""
    degree = np.arange(order, largest + 1)
    cosines = amplitudes[..., degree * (degree + 1) + order]
    if order == 0:
        return cosines + 0j
    return math.sqrt(2) * (cosines - 1j * amplitudes[..., degree * (degree + 1) - order])


def synthesis(
    amplitudes: Float[np.ndarray, "*batch harmonic"],
    tables: list[Float[np.ndarray, "degree lat"]],
    columns: int,
    first_longitude: float = 0.0,
) -> Float[np.ndarray, "*batch lat lon"]:
    """The field of some amplitudes on latitudes and evenly spaced longitudes round the globe.

    Arguments:
        amplitudes: Of the real harmonics, at l (l + 1) + m.
        tables: From `legendre`.
        columns: Longitudes, more than twice the largest degree.
        first_longitude: Degrees.
    """
    largest = len(tables) - 1
    half = np.zeros((*amplitudes.shape[:-1], tables[0].shape[1], columns // 2 + 1), dtype=np.complex128)
    for m, table in enumerate(tables):
        turned = np.exp(1j * m * np.deg2rad(first_longitude))
        wave = pack(amplitudes, m, largest) @ table
        # irfft counts k and -k: the real part of one wave is half of each
        half[..., m] = wave * turned * (columns if m == 0 else columns / 2)
    return np.asarray(fft.irfft(half, n=columns))

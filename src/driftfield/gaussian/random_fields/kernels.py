"""Kernels of isotropic fields in the plane, each as a spectral density and as a correlation.

    SquaredExponential   r = exp(-d^2 / (2 l^2))                              S ~ exp(-l^2 k^2 / 2)
    Matern               r = 2^(1-nu) / Gamma(nu) u^nu K_nu(u)                S ~ (1 + k^2 / kappa^2)^-(nu + 1)
                         u = kappa d,  kappa = sqrt(2 nu) / l
    PowerLaw             covariance (-Laplacian + tau^2)^-alpha,              S ~ (1 + k^2 / tau^2)^-alpha
                         tau = 1 / l: a Matern of nu = alpha - 1

k is the angular wavenumber, 2 pi / wavelength; S is 1 at k = 0, since a field on a grid is brought to unit variance anyway.
On a sphere of radius R, k^2 is l (l + 1) / R^2, the eigenvalue of minus the Laplacian there (Lindgren, Rue and Lindstrom
2011, section 3). A draw takes the root of S, so a PowerLaw is sampled with the power -alpha / 2.

The Laplacian is that of the grid's own units: with lengths in km it is in km^-2.
"""

__all__ = ["Kernel", "Matern", "PowerLaw", "SquaredExponential", "matern_correlation"]

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.special import gamma, kv

from driftfield.errors import ConfigurationError


class Kernel(ABC):
    """A covariance of unit variance."""

    length: float

    @abstractmethod
    def density(self, k2: Float[np.ndarray, "*k"]) -> Float[np.ndarray, "*k"]:
        """Spectral density in the plane, 1 at k = 0, at squared angular wavenumbers."""

    @abstractmethod
    def correlation(self, distance: Float[np.ndarray, "*d"]) -> Float[np.ndarray, "*d"]:
        """Correlation at distances, in the units of `length`."""


@dataclass(frozen=True)
class SquaredExponential(Kernel):
    """The smoothest: exp(-d^2 / (2 length^2)).

    Arguments:
        length: Of correlation, in the units of the grid.

    Raises:
        ConfigurationError: it is not above 0.
    """

    length: float

    def __post_init__(self) -> None:
        _above_zero(length=self.length)

    def density(self, k2: np.ndarray) -> np.ndarray:
        return np.exp(-0.5 * self.length**2 * k2)

    def correlation(self, distance: np.ndarray) -> np.ndarray:
        return np.exp(-0.5 * (np.asarray(distance) / self.length) ** 2)


@dataclass(frozen=True)
class Matern(Kernel):
    """Fields with `smoothness` derivatives, about: .5 is the exponential covariance, large is the squared exponential.

    Arguments:
        length: Of correlation, in the units of the grid.
        smoothness: nu.

    Raises:
        ConfigurationError: one of them is not above 0.
    """

    length: float
    smoothness: float = 1.5

    def __post_init__(self) -> None:
        _above_zero(length=self.length, smoothness=self.smoothness)

    def density(self, k2: np.ndarray) -> np.ndarray:
        return (1 + k2 * self.length**2 / (2 * self.smoothness)) ** -(self.smoothness + 1)

    def correlation(self, distance: np.ndarray) -> np.ndarray:
        return matern_correlation(distance, self.length, self.smoothness)


@dataclass(frozen=True)
class PowerLaw(Kernel):
    """Covariance (-Laplacian + tau^2)^-alpha, scaled to unit variance; k^(-2 alpha) beyond tau.

    Arguments:
        length: 1 / tau, in the units of the grid.
        alpha: Above 1 in a window of the plane, where the variance is finite; on a torus or a sphere above 0.

    Raises:
        ConfigurationError: one of them is not above 0.
    """

    length: float
    alpha: float = 2.0

    def __post_init__(self) -> None:
        _above_zero(length=self.length, alpha=self.alpha)

    def density(self, k2: np.ndarray) -> np.ndarray:
        return (1 + k2 * self.length**2) ** -self.alpha

    def correlation(self, distance: np.ndarray) -> np.ndarray:
        if self.alpha <= 1:
            raise ConfigurationError(
                f"Found alpha={self.alpha:g}: in the plane such a field has no finite variance. Expected above 1, or a periodic "
                "grid."
            )
        smoothness = self.alpha - 1
        return matern_correlation(distance, self.length * math.sqrt(2 * smoothness), smoothness)


def matern_correlation(distance: Float[np.ndarray, "*d"], length: float, smoothness: float) -> Float[np.ndarray, "*d"]:
    """The Matern correlation at a distance: 2^(1-nu) / Gamma(nu) u^nu K_nu(u), u = sqrt(2 nu) distance / length."""
    u = np.maximum(np.sqrt(2 * smoothness) * np.asarray(distance, dtype=np.float64) / length, 1e-12)
    return np.asarray(2 ** (1 - smoothness) / gamma(smoothness) * u**smoothness * kv(smoothness, u))


def _above_zero(**constants: float) -> None:
    for name, value in constants.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
            raise ConfigurationError(f"Found {name}={value!r}: expected a number above 0.")

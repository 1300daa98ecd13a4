"""Gaussian random fields of unit variance on a grid, drawn by fast transforms.

    x = A z,    C = A A',    z standard normal

kernels     SquaredExponential, Matern, PowerLaw: spectral density and correlation
periodic    a torus, by the fast Fourier transform: A = F' sqrt(eigenvalues) F
neumann     a box without flux through its borders, by cosines; the variance doubles at an edge
window      a piece of the plane, by circulant embedding: the covariance is the formula everywhere
sphere      a globe, by spherical harmonics (`legendre`)
places      which of these for the latitudes and longitudes of a grid; lengths in km or degrees
cover       whether one of them, as the noise of a diffusion, covers the data at every wavenumber

Draws can be keyed by wavenumber: the same member on a finer grid is the same field with more detail.
"""

from driftfield.gaussian.random_fields.base import RandomField
from driftfield.gaussian.random_fields.kernels import Kernel, Matern, PowerLaw, SquaredExponential
from driftfield.gaussian.random_fields.neumann import NeumannField
from driftfield.gaussian.random_fields.periodic import PeriodicField
from driftfield.gaussian.random_fields.places import field_at
from driftfield.gaussian.random_fields.sphere import SphereField
from driftfield.gaussian.random_fields.window import WindowField

__all__ = [
    "Kernel",
    "Matern",
    "NeumannField",
    "PeriodicField",
    "PowerLaw",
    "RandomField",
    "SphereField",
    "SquaredExponential",
    "WindowField",
    "field_at",
]

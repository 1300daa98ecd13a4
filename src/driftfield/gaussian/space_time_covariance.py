"""How anomalies go together in space and time: a sum of Matérn components, each on its own Euclidean embedding.

    phi(x)    = ( R n(x) / L,  R lat e,  log(1 + depth / 100 m) / V,  log s(x) / U,  day / T )    n: on the unit sphere
    cov(x,x') = sum_c a_c rho_c( |phi_c(x) - phi_c(x')| ) + nugget [x = x']            sum_c a_c + nugget = 1

s is how much a place varies: places that vary alike (land and land, shelf and shelf) go together more than others.
L is the longer of the zonal and the meridional length, e^2 the excess of the inverse square of the shorter one; a distance
in a Euclidean space keeps every Matérn function positive definite, longitude closes by itself, and the nearest
observations are those of a k-d tree. rho is exp(-d) (nu = 1/2), Matérn 3/2 or 5/2, or exp(-d^2 / 2) (nu = inf).

A draw is a sum of waves, whose wave vectors follow the spectral density of rho (a multivariate t with 2 nu degrees of
freedom): z(x) = sum_m (A_m cos w_m phi + B_m sin w_m phi). It exists at every time and place at once, so a member does not
depend on which times are asked for.

Matheron (1973), doi:10.2307/1425829; Rahimi and Recht (2007), "Random features for large-scale kernel machines";
Stein (1999), Interpolation of Spatial Data, section 2.10.
"""

__all__ = ["SHAPES", "Component", "Places", "SpaceTimeCovariance"]

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from driftfield.earth import EARTH_RADIUS_KM
from driftfield.gaussian.columns import Columns

SHAPES = (0.5, 1.5, 2.5, float("inf"))
"""Smoothness nu of a component: rough (exponential) to analytic (Gaussian)."""

_DEPTH_SCALE = 100.0


@dataclass(frozen=True)
class Places(Columns):
    """Points in space: arrays of one length.

    Arguments:
        lat: Degrees north.
        lon: Degrees east, unwrapped (a regional grid does not jump).
        depth: Metres, 0 for surface fields.
        likeness: log of the standard deviation of the field there.
    """

    lat: np.ndarray
    lon: np.ndarray
    depth: np.ndarray
    likeness: np.ndarray

    @cached_property
    def radians(self) -> tuple[np.ndarray, np.ndarray]:
        """Latitude and longitude."""
        return np.radians(self.lat), np.radians(self.lon)

    @cached_property
    def sphere(self) -> np.ndarray:
        """On the unit sphere: (place, 3)."""
        lat, lon = self.radians
        return np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], axis=-1)

    @cached_property
    def level(self) -> np.ndarray:
        """log(1 + depth / 100 m): (place,)."""
        return np.asarray(np.log1p(self.depth / _DEPTH_SCALE))


@dataclass(frozen=True)
class Component:
    """One part of the covariance.

    Arguments:
        share: Its variance.
        zonal: Length eastwards, km.
        meridional: Length northwards, km.
        days: Scale in time.
        vertical: Scale in log(1 + depth / 100 m).
        likeness: Scale in the log of the standard deviation.
        shape: Smoothness nu, one of `SHAPES`.
        middle: Latitude where an excess in longitude is measured, degrees; used where zonal < meridional only.
    """

    share: float
    zonal: float
    meridional: float
    days: float
    vertical: float = 1.0
    likeness: float = 1e3
    shape: float = 0.5
    middle: float = 0.0

    def embed(self, places: Places) -> np.ndarray:
        """The spatial part of phi: (place, 6)."""
        lat, lon = places.radians
        long, short = max(self.zonal, self.meridional), min(self.zonal, self.meridional)
        excess = EARTH_RADIUS_KM * np.sqrt(max(short**-2 - long**-2, 0.0))
        stretched = lat if self.meridional <= self.zonal else np.cos(np.radians(self.middle)) * lon
        embedded = np.empty((len(places), 6))
        embedded[:, :3] = places.sphere * (EARTH_RADIUS_KM / long)
        embedded[:, 3] = stretched * excess
        embedded[:, 4] = places.level / self.vertical
        embedded[:, 5] = places.likeness / self.likeness
        return embedded

    def correlation(self, squared: Tensor) -> Tensor:
        """rho, from the squared distance in the embedding, which is overwritten."""
        if np.isinf(self.shape):
            return squared.mul_(-0.5).exp_()
        d = squared.mul_(2 * self.shape).sqrt_()
        if self.shape == 0.5:
            return d.neg_().exp_()
        decay = torch.exp(-d)
        return decay * (1 + d) if self.shape == 1.5 else decay * (1 + d + d**2 / 3)

    def frequencies(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """Wave vectors (wave, 7) of the spectral density; the last one belongs to time."""
        normal = rng.standard_normal((count, 7))
        if np.isinf(self.shape):
            return normal
        return normal / np.sqrt(rng.chisquare(2 * self.shape, (count, 1)) / (2 * self.shape))


@dataclass(frozen=True)
class SpaceTimeCovariance:
    """Covariance of standardised anomalies.

    Arguments:
        components: The smooth parts; the first one has the longest reach.
        nugget: Variance of what the grid does not resolve.
    """

    components: tuple[Component, ...]
    nugget: float

    @property
    def variance(self) -> float:
        """Of one place and time."""
        return sum(c.share for c in self.components) + self.nugget

    @property
    def days(self) -> float:
        """The longest scale in time."""
        return max(c.days for c in self.components)

    def embed(self, places: Places, days: np.ndarray) -> list[np.ndarray]:
        """phi of every component: (place, 7), for one day per place."""
        return [np.concatenate([c.embed(places), (days / c.days)[:, None]], axis=1) for c in self.components]

    def between(self, left: Sequence[Tensor], right: Sequence[Tensor]) -> Tensor:
        """Covariance without nugget: (batch, n, 7) and (batch, m, 7) per component -> (batch, n, m)."""
        total: Tensor | None = None
        for component, a, b in zip(self.components, left, right, strict=True):
            # |a - b|^2 by a product; the arguments are centred by the caller, so that nothing cancels
            squared = (a * a).sum(-1)[:, :, None] + (b * b).sum(-1)[:, None, :]
            squared.sub_((2 * a) @ b.transpose(1, 2)).clamp_min_(0.0)
            part = component.correlation(squared).mul_(component.share)
            total = part if total is None else total.add_(part)
        assert total is not None
        return total

    def matrix(self, embedded: Sequence[np.ndarray], noise: np.ndarray) -> np.ndarray:
        """Covariance of observations with their errors: (n, n), from `embed` and the error variances (n,)."""
        phi = [torch.from_numpy(part - part.mean(axis=0))[None] for part in embedded]
        matrix: np.ndarray = self.between(phi, phi)[0].numpy()
        matrix[np.diag_indices(len(noise))] += self.nugget + noise + 1e-8
        return matrix

    def draw_at(self, places: Places, days: np.ndarray, rng: np.random.Generator, *, waves: int = 1024) -> np.ndarray:
        """The smooth parts of one field from the prior at scattered places, each with a day of its own: (place,)."""
        field = np.zeros(len(places))
        for component, phi in zip(self.components, self.embed(places, days), strict=True):
            omega = component.frequencies(waves, rng)
            amplitude = rng.standard_normal((2, waves)) * np.sqrt(component.share / waves)
            for start in range(0, len(places), 4096):
                part = slice(start, start + 4096)
                angle = phi[part] @ omega.T
                field[part] += np.cos(angle) @ amplitude[0] + np.sin(angle) @ amplitude[1]
        return field

    def draw(self, places: Places, days: np.ndarray, rng: np.random.Generator, *, waves: int = 1024) -> np.ndarray:
        """The smooth parts of one field from the prior: (time, place), float32.

        Arguments:
            places: Where.
            days: When, (time,); the draw at one of them does not depend on the others.
            rng: Its first numbers make the waves.
            waves: Per component; correlations are met to about 1 / sqrt(waves) in a single draw.
        """
        field = np.zeros((days.size, len(places)), dtype=np.float32)
        for component in self.components:
            omega = component.frequencies(waves, rng)
            amplitude = rng.standard_normal((2, waves)) * np.sqrt(component.share / waves)
            in_time = np.outer(days / component.days, omega[:, 6]) + np.arctan2(amplitude[1], amplitude[0])
            size = np.hypot(*amplitude)
            space = torch.from_numpy(component.embed(places)) @ torch.from_numpy(omega[:, :6].T)
            # cos(a + b) = cos a cos b - sin a sin b: one product for all times; float64 phases, float32 waves
            cosine, sine = (torch.from_numpy((size * f(in_time)).T).float() for f in (np.cos, np.sin))
            angle = torch.remainder(space, 2 * np.pi).float()
            field += (torch.cos(angle) @ cosine - torch.sin(angle) @ sine).numpy().T
        return field

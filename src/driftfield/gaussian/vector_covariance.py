r"""How the components of a vector (u, v) go together: the isotropic covariance of a streamfunction and a velocity potential.

    (u, v) = (-psi_y + chi_x,  psi_x + chi_y)             psi, chi independent, with the same kind of covariance phi(r)
    f(r) = -phi'(r) / r,   g(r) = -phi''(r)               both 1 at r = 0
    of psi   K = g I + (f - g) d d'                       d: the direction from one place to the other
    of chi   K = f I + (g - f) d d'
    together sill ((1 - share) K_psi + share K_chi) (1 + y) exp(-y),   y = |lag| / days

The first part has no divergence and the second no curl. Along d a flow without divergence goes together as f, across d as g,
which is negative at some distance: a current returns. With a share of one half and equal lengths u says
nothing of v.

phi is a Matern covariance of smoothness 3/2 or 5/2, or a Gaussian; the velocities are one order rougher. On the sphere distances
are chords, and the components of every place are those in the plane that touches the middle of a neighbourhood.

A draw is a sum of waves on the sphere, n x k cos(k x) for psi and k cos(k x) for chi, with k from the spectrum of grad phi.

Daley (1991), Atmospheric Data Analysis, section 5.2; Bretherton, Davis and Fandry (1976), doi:10.1016/0011-7471(76)90001-2.
"""

__all__ = ["KINDS", "Frames", "VectorCovariance"]

from dataclasses import asdict, dataclass, replace
from functools import cache

import numpy as np
from scipy.optimize import brentq

from driftfield.earth import EARTH_RADIUS_KM
from driftfield.gaussian.columns import Columns
from driftfield.gaussian.space_time_covariance import Places
from driftfield.plain import JSONObject

KINDS = ("rough", "smooth", "gaussian")
"""Covariance of streamfunction and potential: Matern 3/2, Matern 5/2, Gaussian."""

_ORDER = {"rough": 1.5, "smooth": 2.5}

_TINY = 1e-9
"""Kilometres; nearer places are one."""

_TIME = 2.146193
"""(1 + y) exp(-y) is 1 / e here."""


@dataclass(frozen=True)
class Frames(Columns):
    """Observations or targets of one component each: arrays of one length, or with leading axes of leaves.

    Arguments:
        place: On the sphere, km (..., 3).
        axis: The direction of the component there, a unit vector (..., 3).
        day: When (...,).
    """

    place: np.ndarray
    axis: np.ndarray
    day: np.ndarray

    @classmethod
    def of(cls, places: Places, northward: np.ndarray, day: np.ndarray) -> "Frames":
        """Eastward or, where `northward`, northward components at some places."""
        lat, lon = places.radians
        east = np.stack([-np.sin(lon), np.cos(lon), np.zeros_like(lon)], axis=-1)
        north = np.stack([-np.sin(lat) * np.cos(lon), -np.sin(lat) * np.sin(lon), np.cos(lat)], axis=-1)
        return cls(places.sphere * EARTH_RADIUS_KM, np.where(northward[:, None], north, east), day)

    def seen_from(self, middle: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Place and direction in the plane that touches the sphere at `middle` (leaf, 3): (leaf, n, 2) each."""
        up = middle / np.linalg.norm(middle, axis=-1, keepdims=True)
        # any two directions of the plane will do: the covariance is isotropic
        aside = np.where(np.abs(up[..., 2:]) < 0.9, [0.0, 0.0, 1.0], [1.0, 0.0, 0.0])
        right = np.cross(aside, up)
        right /= np.linalg.norm(right, axis=-1, keepdims=True)
        plane = np.stack([right, np.cross(up, right)], axis=-1)
        axis = self.axis @ plane
        return self.place @ plane, axis / np.maximum(np.linalg.norm(axis, axis=-1, keepdims=True), 1e-9)


@dataclass(frozen=True)
class VectorCovariance:
    """The covariance of both components.

    Arguments:
        length: Of the streamfunction, km: the scale of phi.
        ratio: Length of the potential, in units of that.
        share: Of the variance, in the part that has no curl.
        days: Scale in time.
        nugget: Variance that a cell has for itself, beside the sill.
        sill: Variance of one component without nugget.
        kind: One of `KINDS`.
    """

    length: float
    ratio: float = 1.0
    share: float = 0.1
    days: float = 10.0
    nugget: float = 1e-3
    sill: float = 1.0
    kind: str = "smooth"

    @property
    def variance(self) -> float:
        """Of one component."""
        return self.sill + self.nugget

    @property
    def reach_km(self) -> float:
        """Distance at which the mean of the correlations along and across is 1 / e."""
        return self.length * reach(self.kind)

    def stating(self, length_km: float | None, days: float | None) -> "VectorCovariance":
        """The same with the scales that are known: distance and time at which correlations are 1 / e."""
        length = self.length if length_km is None else length_km / reach(self.kind)
        return replace(self, length=length, days=self.days if days is None else days / _TIME)

    def tensor(self, offset: np.ndarray) -> np.ndarray:
        """Covariance at offsets (..., 2) km, same day, without nugget: (..., 2, 2)."""
        distance = np.linalg.norm(offset, axis=-1)
        like, along = self._parts(distance)
        direction = offset / np.maximum(distance, _TINY)[..., None]
        outer = direction[..., :, None] * direction[..., None, :]
        return np.asarray(like[..., None, None] * np.eye(2) + along[..., None, None] * outer)

    def between(
        self, left: tuple[np.ndarray, np.ndarray], right: tuple[np.ndarray, np.ndarray], lag: np.ndarray
    ) -> np.ndarray:
        """Covariance of components, no nugget: places and directions (..., n, 2), (..., m, 2), days apart -> (..., n, m)."""
        # the two axes one by one: a sum over an axis of two is slow
        x, y = (left[0][..., :, None, k] - right[0][..., None, :, k] for k in (0, 1))
        distance = np.sqrt(x * x + y * y)
        like, along = self._parts(distance)
        first = x * left[1][..., :, None, 0] + y * left[1][..., :, None, 1]
        second = x * right[1][..., None, :, 0] + y * right[1][..., None, :, 1]
        along = along * first * second / np.maximum(distance, _TINY) ** 2
        matrix = like * (left[1] @ np.swapaxes(right[1], -1, -2)) + along
        late = np.abs(lag) / self.days
        return np.asarray(matrix * ((1 + late) * np.exp(-late)))

    def _parts(self, distance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """K = like I + along d d'."""
        f, excess = curves(self.kind, distance / self.length)
        f_chi, excess_chi = curves(self.kind, distance / (self.length * self.ratio))
        like = (1 - self.share) * (f - excess) + self.share * f_chi
        along = (1 - self.share) * excess - self.share * excess_chi
        return self.sill * like, self.sill * along

    def draw(self, places: Places, days: np.ndarray, rng: np.random.Generator, *, waves: int = 512) -> np.ndarray:
        """Both components without nugget from the prior: (2, time, place), float32; at every place and time at once."""
        field = np.zeros((2, days.size, len(places)), dtype=np.float32)
        none = np.zeros(len(places))
        east = Frames.of(places, none.astype(bool), none)
        north = Frames.of(places, ~none.astype(bool), none).axis
        parts = ((1 - self.share, self.length, True), (self.share, self.length * self.ratio, False))
        for share, length, turned in parts:
            direction = rng.standard_normal((waves, 3))
            direction /= np.linalg.norm(direction, axis=1, keepdims=True)
            wave = direction * (_wavenumbers(self.kind, waves, rng) / length)[:, None]
            # (1 + y) exp(-y) is the transform of a t distribution with three degrees of freedom
            late = np.outer(days, rng.standard_t(3, waves) / np.sqrt(3.0) / self.days)
            late += rng.uniform(0, 2 * np.pi, waves)
            amplitude = np.sqrt(6 * share * self.sill / waves)
            phase = east.place @ wave.T
            along, across = amplitude * (east.axis @ direction.T), amplitude * (north @ direction.T)
            u, v = (-across, along) if turned else (along, across)
            # cos(a + b) = cos a cos b - sin a sin b: one product for all times
            for k, size in enumerate((u, v)):
                field[k] += (np.cos(late) @ (size * np.cos(phase)).T - np.sin(late) @ (size * np.sin(phase)).T).astype(
                    np.float32
                )
        return field

    def to_json(self) -> JSONObject:
        """Its constants."""
        return asdict(self)


def curves(kind: str, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """f and f - g at distances in units of the length."""
    if kind == "gaussian":
        f = np.exp(-0.5 * x * x)
        return f, x * x * f
    decay = np.exp(-x)
    if kind == "rough":
        return decay, x * decay
    return (1 + x) * decay, x * x * decay


@cache
def reach(kind: str) -> float:
    """Distance in units of the length at which (f + g) / 2 is 1 / e."""

    def above(x: float) -> float:
        f, excess = curves(kind, np.array(x))
        return float(f - 0.5 * excess) - np.exp(-1)

    return float(brentq(above, 1e-3, 3.0))


def _wavenumbers(kind: str, count: int, rng: np.random.Generator) -> np.ndarray:
    """|k| in units of 1 / length, from the density k^4 S(k) of a gradient in three dimensions."""
    top = rng.gamma(2.5, size=count)
    if kind == "gaussian":
        return np.asarray(np.sqrt(2 * top))
    return np.asarray(np.sqrt(top / rng.gamma(_ORDER[kind] - 1, size=count)))

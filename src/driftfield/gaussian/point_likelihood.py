"""The covariance of scattered values, by their likelihood: no grid, no hidden cells, a few seconds.

    -log p = sum over blocks of  1/2 log|K_b| + 1/2 r_b' K_b^-1 r_b   +   sum over parameters of  (theta - theta_0)^2 / 2 s^2
    K_b    = sum_c a_c rho_c + diag(nugget + error^2)                      theta: logarithms of shares, lengths, scales

A block holds values that lie close together in space and time; blocks count as independent (Caragea and Smith, 2007,
doi:10.1016/j.jmva.2006.08.010). The priors are wide, and speak where the values do not: one pass of a satellite says nothing of
a scale in time. A parameter that the user states is not moved.
"""

__all__ = ["PointSample", "Stated", "fit_covariance", "independent_blocks"]

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from driftfield.errors import ConfigurationError
from driftfield.gaussian.covariance import EARTH_RADIUS_KM
from driftfield.gaussian.neighbours import leaves, padded
from driftfield.gaussian.space_time_covariance import Component, Places, SpaceTimeCovariance

_BLOCK = 112
_MOST_BLOCKS = 40
_PER_DEGREE = np.pi / 180 * EARTH_RADIUS_KM


@dataclass(frozen=True)
class PointSample:
    """Scattered values, each (n,).

    Arguments:
        places: Where.
        days: When.
        noise: Variance of the stated error of each, in the units of the values squared.
    """

    places: Places
    days: np.ndarray
    noise: np.ndarray

    def __getitem__(self, index: np.ndarray) -> "PointSample":
        return PointSample(self.places[index], self.days[index], self.noise[index])

    def __len__(self) -> int:
        return len(self.places)


@dataclass(frozen=True)
class Stated:
    """What the user knows of the covariance; None is learnt.

    Arguments:
        length: Km, of the widest component.
        days: Its scale in time.
        noise: Variance of what the map does not resolve, in the units of the values squared.
    """

    length: float | None = None
    days: float | None = None
    noise: float | None = None

    @classmethod
    def checked(cls, length_km: float | None, days: float | None, noise: float | None) -> "Stated":
        """From what a user says; the noise as a standard deviation in the units of the values.

        Raises:
            ConfigurationError: a number that cannot be.
        """
        for value, what in ((length_km, "length"), (days, "time scale"), (noise, "noise")):
            if value is not None and not (0 < value < np.inf or (what == "noise" and value == 0)):
                raise ConfigurationError(f"Found the {what} {value:g}: expected a number above 0.")
        return cls(length_km, days, None if noise is None else noise**2)


def independent_blocks(sample: PointSample, length: float, days: float, size: int = _BLOCK) -> list[np.ndarray]:
    """Indices of values that lie close together, counted in these lengths (km) and days; each value is in one block."""
    return leaves(_scaled(sample, length, days), size)


def fit_covariance(
    sample: PointSample, values: np.ndarray, *, shapes: Sequence[float], stated: Stated | None = None, steps: int = 40
) -> SpaceTimeCovariance:
    """The covariance of the highest posterior density.

    Arguments:
        sample: Where the values are.
        values: (n,), departures from a mean, of about unit variance.
        shapes: Smoothness of every component, the widest first.
        stated: What is not to be learnt.
        steps: Iterations of the search.
    """
    stated = stated or Stated()
    extent = float(np.hypot(np.ptp(sample.places.lat), np.ptp(_eastward(sample.places)))) * _PER_DEGREE
    start, width = _prior(len(shapes), max(extent, 1.0), float(np.ptp(sample.days)), stated)
    length, scale = float(np.exp(start[0, 1])), float(np.exp(start[0, 3]))
    blocks = independent_blocks(sample, length, scale)
    if len(blocks) > _MOST_BLOCKS:
        blocks = [blocks[i] for i in np.linspace(0, len(blocks) - 1, _MOST_BLOCKS).round().astype(int)]
    problem = _Problem.of(sample, values, blocks, shapes)
    theta = torch.from_numpy(np.append(start.ravel(), _start_of_noise(stated))).requires_grad_()
    centre = theta.detach().clone()
    spread = torch.from_numpy(np.append(width.ravel(), 1e-3 if stated.noise is not None else 1.5))
    search = torch.optim.LBFGS([theta], max_iter=steps, line_search_fn="strong_wolfe", tolerance_change=1e-4)

    def loss() -> Tensor:
        search.zero_grad()
        total = problem.loss(theta) + 0.5 * (((theta - centre) / spread) ** 2).sum()
        total.backward()
        return total

    search.step(loss)
    return _covariance(theta.detach().numpy(), shapes, problem.middle)


@dataclass(frozen=True)
class _Problem:
    """Squares of distances within every block (block, n, n), values and noise (block, n); padding has unit variance alone."""

    sphere: Tensor
    north: Tensor
    east: Tensor
    level: Tensor
    time: Tensor
    values: Tensor
    noise: Tensor
    real: Tensor
    shapes: tuple[float, ...]
    middle: float

    @classmethod
    def of(
        cls, sample: PointSample, values: np.ndarray, blocks: list[np.ndarray], shapes: Sequence[float]
    ) -> "_Problem":
        index = padded(blocks)
        real = np.stack([np.arange(index.shape[1]) < b.size for b in blocks])
        middle = float(np.median(sample.places.lat))
        unit = Component(1.0, EARTH_RADIUS_KM, EARTH_RADIUS_KM, 1.0).embed(sample.places)
        axes = (
            sample.places.lat * _PER_DEGREE,
            sample.places.lon * _PER_DEGREE * np.cos(np.radians(middle)),
            unit[:, 4],
            sample.days,
        )
        squares = [torch.from_numpy((a[index][:, :, None] - a[index][:, None, :]) ** 2) for a in axes]
        xyz = unit[:, :3][index] * EARTH_RADIUS_KM
        sphere = torch.from_numpy(((xyz[:, :, None] - xyz[:, None]) ** 2).sum(-1))
        y = torch.from_numpy(np.where(real, values[index], 0.0))
        noise, within = torch.from_numpy(sample.noise[index]), torch.from_numpy(real)
        north, east, level, time = squares
        return cls(sphere, north, east, level, time, y, noise, within, tuple(shapes), middle)

    def loss(self, theta: Tensor) -> Tensor:
        """-log likelihood up to a constant."""
        total: Tensor | float = 0.0
        for c, nu in enumerate(self.shapes):
            share, length, aspect, days, vertical = theta[5 * c : 5 * c + 5]
            zonal, meridional = torch.exp(length + 0.5 * aspect), torch.exp(length - 0.5 * aspect)
            long, short = torch.maximum(zonal, meridional), torch.minimum(zonal, meridional)
            stretched = self.north if bool(meridional <= zonal) else self.east
            squared = self.sphere / long**2 + stretched * (short**-2 - long**-2)
            squared = squared + self.level / torch.exp(2 * vertical) + self.time / torch.exp(2 * days)
            total = total + torch.exp(share) * _matern(squared, nu)
        pairs = self.real[:, :, None] & self.real[:, None, :]
        own = torch.where(self.real, torch.exp(theta[-1]) + self.noise + 1e-8, 1.0)
        matrix = total * pairs + torch.diag_embed(own)
        factor, info = torch.linalg.cholesky_ex(matrix)
        if int(info.max()):
            factor = torch.linalg.cholesky(matrix + 1e-4 * torch.eye(matrix.shape[-1], dtype=matrix.dtype))
        white = torch.linalg.solve_triangular(factor, self.values[..., None], upper=False)
        return torch.log(torch.diagonal(factor, dim1=1, dim2=2)).sum() + 0.5 * white.square().sum()


def _matern(squared: Tensor, nu: float) -> Tensor:
    # a gradient at distance 0 needs a floor
    d = torch.sqrt(2 * nu * squared + 1e-12)
    decay = torch.exp(-d)
    if nu == 0.5:
        return decay
    return decay * (1 + d) if nu == 1.5 else decay * (1 + d + d**2 / 3)


def _prior(components: int, extent: float, span: float, stated: Stated) -> tuple[np.ndarray, np.ndarray]:
    """Centre and width of log share, length, aspect, days, vertical of every component."""
    length = stated.length or float(np.clip(0.3 * extent, 10.0, 1000.0))
    days = stated.days or 30.0
    start, width = [], []
    for c in range(components):
        # a second component is finer and faster, a first beside it wider and slower
        finer = 1.0 if components == 1 else (2.0, 0.4)[c]
        slower = 1.0 if components == 1 else (6.0, 0.5)[c]
        known = c == 0 and stated.length is not None, c == 0 and stated.days is not None
        a = length if known[0] else length * finer
        b = days if known[1] else days * slower
        start.append([np.log(0.8 / components), np.log(a), 0.0, np.log(b), np.log(0.7)])
        width.append([1.0, 1e-3 if known[0] else 0.9, 0.3, 1e-3 if known[1] else 1.0, 1.0])
    return np.array(start), np.array(width)


def _start_of_noise(stated: Stated) -> float:
    return float(np.log(0.1 if stated.noise is None else max(stated.noise, 1e-6)))


def _covariance(theta: np.ndarray, shapes: Sequence[float], middle: float) -> SpaceTimeCovariance:
    parts = []
    for c, nu in enumerate(shapes):
        share, length, aspect, days, vertical = theta[5 * c : 5 * c + 5]
        zonal, meridional = float(np.exp(length + 0.5 * aspect)), float(np.exp(length - 0.5 * aspect))
        parts.append(
            Component(
                share=float(np.exp(share)),
                zonal=zonal,
                meridional=meridional,
                days=float(np.exp(days)),
                vertical=float(np.exp(vertical)),
                shape=nu,
                middle=middle,
            )
        )
    # the rest of the house takes the first one for the widest
    parts.sort(key=lambda part: -part.zonal * part.meridional)
    return SpaceTimeCovariance(tuple(parts), float(np.exp(theta[-1])))


def _eastward(places: Places) -> np.ndarray:
    return places.lon * np.cos(np.radians(float(np.median(places.lat))))


def _scaled(sample: PointSample, length: float, days: float) -> np.ndarray:
    lat, lon = sample.places.lat * _PER_DEGREE, _eastward(sample.places) * _PER_DEGREE
    return np.stack([lat / length, lon / length, sample.days / days], axis=1)

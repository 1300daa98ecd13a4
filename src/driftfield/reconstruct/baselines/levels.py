"""Interpolation level by level: what one level of one variable shows at one time fills the rest of it.

    anomaly seen at places p_i  ->  anomaly everywhere in the domain        observed cells keep their value
    nothing seen at this level  ->  anomaly 0

Distances are chords through the Earth, so that the date line and the poles are places like others. Methods that need a plane
use longitude scaled by the cosine of the middle latitude, and see the observations repeated on both sides where longitude is
periodic.
"""

__all__ = ["LevelInterpolation", "Plane"]

from abc import abstractmethod
from dataclasses import dataclass
from typing import Self

import numpy as np
import xarray as xr

from driftfield.interfaces import TrainingData
from driftfield.reconstruct.baselines.base import Background, Peer, canonical, fitting_times, observed_domain
from driftfield.reconstruct.baselines.covariance import Grid
from driftfield.reconstruct.output import Estimate

SHEAR = 0.01
"""Degrees east per degree north, for the planes."""


class LevelInterpolation(Peer):
    """A deterministic peer without a spread: one member, whatever is asked for.

    Arguments:
        refit: Whether the seasonal cycle is learnt from the validation split as well.
    """

    def __init__(self, refit: bool = True) -> None:
        self.refit = refit

    @abstractmethod
    def interpolate(self, values: np.ndarray, observed: np.ndarray, wanted: np.ndarray) -> np.ndarray:
        """The anomaly of the wanted cells from that of the observed cells.

        Arguments:
            values: Anomalies of the observed cells, (n,), n at least 1.
            observed: Boolean (lat, lon) with n cells.
            wanted: Boolean (lat, lon), none of them observed.

        Returns:
            (number of wanted cells,), finite.
        """

    def fit(self, data: TrainingData, *, seed: int = 0) -> None:
        """Learns the seasonal cycle.

        Raises:
            DataError: the archive lacks a target or a time axis.
        """
        self.seed = seed
        self.background = Background.fit(data, fitting_times(data, refit=self.refit))

    def estimate(self, observations: xr.Dataset, *, members: int, seed: int) -> dict[str, Estimate]:
        """The interpolated field; the same for every seed."""
        output: dict[str, Estimate] = {}
        for name in self.background.targets:
            field = canonical(observations[name])
            mean = self.background.mean(name, field["time"])
            anomaly = field.values - mean
            domain = np.broadcast_to(observed_domain(self.background, observations, name), anomaly.shape[1:])
            for t in range(len(anomaly)):
                mean[t] += self.fill(np.where(domain, anomaly[t], np.nan), domain)
            output[name] = (mean, None, mean[None].astype(np.float32))
        return output

    def fill(self, anomaly: np.ndarray, domain: np.ndarray) -> np.ndarray:
        """Fills every level: ([depth,] lat, lon), NaN where not seen -> finite, 0 outside the domain."""
        filled = np.where(np.isfinite(anomaly), anomaly, 0.0)
        for level in np.ndindex(anomaly.shape[:-2]):
            observed = np.isfinite(anomaly[level])
            wanted = domain[level] & ~observed
            if observed.any() and wanted.any():
                filled[(*level, wanted)] = self.interpolate(anomaly[level][observed], observed, wanted)
        return filled

    @property
    def points(self) -> np.ndarray:
        """All cells on the sphere, km: (lat, lon, 3)."""
        grid = Grid(self.background.lat, self.background.lon, self.background.periodic)
        return grid.points.reshape(*grid.shape, 3)


@dataclass(frozen=True)
class Plane:
    """Observations and wanted cells as points (latitude, scaled longitude).

    Arguments:
        points: Of the observations, repeated on both sides where longitude is periodic: (n or 3 n, 2).
        values: At these points.
        targets: Of the wanted cells: (m, 2).
    """

    points: np.ndarray
    values: np.ndarray
    targets: np.ndarray

    @classmethod
    def of(cls, background: Background, values: np.ndarray, observed: np.ndarray, wanted: np.ndarray) -> Self:
        """The points of some cells of the grid; arguments as of `LevelInterpolation.interpolate`."""
        scale = np.cos(np.radians(0.5 * (background.lat[0] + background.lat[-1])))
        lat, lon = np.meshgrid(background.lat, background.lon, indexing="ij")
        # points of a grid lie on common circles, and which triangles they form would be left to rounding: a shear decides
        places = np.stack([lat, scale * lon + SHEAR * (lat - lat[0, 0])], axis=-1)
        points = places[observed]
        if background.periodic:
            turn = np.array([0.0, 360.0 * scale])
            points, values = np.concatenate([points - turn, points, points + turn]), np.tile(values, 3)
        return cls(points, values, places[wanted])

    def line(self) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
        """Places, values and targets along the one line of a grid of one row or one column (a section), else None.

        The observations are sorted; what lies outside them takes the value of the nearest end.
        """
        everything = np.concatenate([self.points, self.targets])
        flat = np.ptp(everything, axis=0) == 0
        if not flat.any():
            return None
        axis = int(np.argmin(flat))
        places, first = np.unique(self.points[:, axis], return_index=True)
        return places, self.values[first], np.clip(self.targets[:, axis], places[0], places[-1])

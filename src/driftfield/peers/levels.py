"""Interpolation level by level: what one level of one variable shows at one time fills the rest of it.

    anomaly seen at places p_i  ->  anomaly everywhere in the domain        observed cells keep their value
    nothing seen at this level  ->  anomaly 0

Distances are chords through the Earth, so that the date line and the poles are places like others; methods that need a plane
are in `triangles.py`.
"""

__all__ = ["LevelInterpolation"]

from abc import abstractmethod
from dataclasses import replace

import numpy as np
import xarray as xr
from scipy.spatial import KDTree

from driftfield.interfaces import Cannot, TrainingData
from driftfield.peers.background import Background, canonical, observed_domain
from driftfield.peers.base import Peer, fitting_times
from driftfield.peers.short_mean import without_season
from driftfield.reconstruction.output import Estimate

TIE = 1e-6
"""Distances that differ by less than this share are equal."""


class LevelInterpolation(Peer):
    """A deterministic peer without a spread: one member, whatever is asked for.

    Arguments:
        refit: Whether the seasonal cycle is learnt from the validation split as well.
    """

    abilities = replace(Peer.abilities, spreads=Cannot("gives one field and no spread"))

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
        """Learns the seasonal cycle; of a short record a mean, of one image one number per level.

        Raises:
            DataError: the archive lacks a target or a time axis.
        """
        self.seed = seed
        times = fitting_times(data, refit=self.refit)
        self.background = without_season(Background.fit(data, times), data, times)

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
            output[name] = Estimate(mean, None, mean[None].astype(np.float32))
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

    def nearest(self, values: np.ndarray, observed: np.ndarray, wanted: np.ndarray) -> np.ndarray:
        """The anomaly of the nearest observation, the mean of equally near ones; arguments as of `interpolate`."""
        # four neighbours of a cell can be equally near
        count = min(4, len(values))
        distance, index = KDTree(self.points[observed]).query(self.points[wanted], k=np.arange(1, count + 1))
        weight = distance <= (1 + TIE) * distance[:, :1]
        return (weight * values[index]).sum(axis=1) / weight.sum(axis=1)

    @property
    def points(self) -> np.ndarray:
        """All cells on the sphere, km: (lat, lon, 3)."""
        grid = self.background.grid
        return grid.points.reshape(*grid.shape, 3)

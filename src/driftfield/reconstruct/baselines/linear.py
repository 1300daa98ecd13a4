"""Linear interpolation of anomalies between the observations of the same level and time.

    triangles (Delaunay) between the observed cells         inside: the plane through the three corners
                                                            outside the hull: the nearest observation
                                                            nothing observed at this level: anomaly 0

Longitude is scaled by the cosine of the middle latitude; where it is periodic, the observations are repeated on both
sides.
"""

__all__ = ["LinearInterpolation", "interpolate_level"]

import numpy as np
import xarray as xr
from scipy.interpolate import LinearNDInterpolator
from scipy.spatial import KDTree, QhullError

from driftfield.interfaces import TrainingData
from driftfield.reconstruct.baselines.base import Background, Peer, canonical, fitting_times, observed_domain
from driftfield.reconstruct.output import Estimate
from driftfield.registry import register


@register("reconstructor")
class LinearInterpolation(Peer):
    """Joins the observed anomalies by planes; deterministic, one member, no spread.

    Arguments:
        refit: Whether the seasonal cycle is learnt from the validation split as well.
    """

    method = "linear"

    def __init__(self, refit: bool = True) -> None:
        self.refit = refit

    def fit(self, data: TrainingData, *, seed: int = 0) -> None:
        """Learns the seasonal cycle; there is nothing else to learn."""
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
            filled = np.zeros_like(mean)
            for t in range(len(anomaly)):
                for level in np.ndindex(anomaly.shape[1:-2]):
                    where = domain[level]
                    filled[(t, *level)] = interpolate_level(
                        np.where(where, anomaly[(t, *level)], np.nan), where, self.background
                    )
            mean = mean + filled
            output[name] = (mean, None, mean[None].astype(np.float32))
        return output


def interpolate_level(anomaly: np.ndarray, domain: np.ndarray, background: Background) -> np.ndarray:
    """Fills one horizontal field.

    Arguments:
        anomaly: (lat, lon), NaN where not observed.
        domain: (lat, lon), where to fill; 0 is given elsewhere.
        background: Gives latitude, longitude and whether it wraps.
    """
    lat, lon = np.meshgrid(background.lat, background.lon, indexing="ij")
    scale = np.cos(np.radians(0.5 * (background.lat[0] + background.lat[-1])))
    observed = np.isfinite(anomaly)
    filled = np.where(observed, anomaly, 0.0)
    wanted = domain & ~observed
    if not observed.any() or not wanted.any():
        return filled
    points = np.stack([lat[observed], scale * lon[observed]], axis=1)
    values = anomaly[observed]
    if background.periodic:
        turn = np.array([0.0, 360.0 * scale])
        points, values = np.concatenate([points - turn, points, points + turn]), np.tile(values, 3)
    targets = np.stack([lat[wanted], scale * lon[wanted]], axis=1)
    nearest = values[KDTree(points).query(targets)[1]]
    if len(points) >= 3:
        try:
            plane = LinearNDInterpolator(points, values)(targets)
            nearest = np.where(np.isfinite(plane), plane, nearest)
        except QhullError:
            pass  # all observations on one line: no triangle, the nearest one decides
    filled[wanted] = nearest
    return filled

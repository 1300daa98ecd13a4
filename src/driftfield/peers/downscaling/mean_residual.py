"""Interpolation plus the mean of what it leaves, cell by cell: the spatial part of bias correction and spatial disaggregation.

x = interpolate(y) + mean over training dates (of the group) of (x_t - interpolate(y_t))
"""

__all__ = ["MeanResidual"]

import numpy as np

from driftfield.data.date_groups import check_by, group_of, groups_of, refuse_untrained
from driftfield.linalg.regridding import Kind, Regridding
from driftfield.peers.downscaling.base import Date, Downscaler, Fitted, Samples
from driftfield.peers.downscaling.grids import PairGrids
from driftfield.reconstruction.output import Estimate
from driftfield.registry import register


@register("downscaler")
class MeanResidual(Downscaler):
    """Adds to the interpolated field the mean difference of training; deterministic.

    Arguments:
        kind: Of the interpolation: nearest, bilinear or bicubic.
        by: Dates that have a mean of their own: none, hour, month or season.
    """

    method = "mean residual"

    def __init__(self, kind: Kind = "bilinear", by: str = "none") -> None:
        self.kind, self.by = kind, check_by(by)

    def learn(self, samples: Samples, regridding: Regridding, grids: PairGrids) -> dict[str, np.ndarray]:
        """The mean by group: (group, row, column)."""
        residual = samples.fine - regridding.interpolate(samples.coarse, self.kind)
        group = groups_of(samples.dates, self.by)
        trained = np.unique(group)
        return {"groups": trained, "mean": np.stack([known_mean(residual[group == g]) for g in trained])}

    def estimate(self, date: Date, fitted: Fitted, regridding: Regridding, grids: PairGrids) -> Estimate:
        """The interpolated field and the mean of the group of the date."""
        place = refuse_untrained(group_of(date.time, self.by), fitted["groups"], self.by, type(self).__name__)
        return Estimate(regridding.interpolate(date.coarse, self.kind) + fitted["mean"][place])


def known_mean(fields: np.ndarray) -> np.ndarray:
    """Mean over the first axis of what is finite; 0 where nothing is."""
    known = np.isfinite(fields)
    return np.where(known, fields, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)

"""Interpolation plus the effect of the relief that the coarse grid does not have.

    x = interpolate(y) + rate dz            dz = fine height minus interpolated coarse height
    rate = sum_t,x (x - interpolate(y)) dz / sum dz^2            fitted without offset, or stated (-6.5 K/km: ICAO, 1993)

With more static fields (land fraction) dz and the rate are vectors, fitted by least squares. By hour, month or season each
group has its own: land and sea have their own hours.
"""

__all__ = ["LapseRate"]

from collections.abc import Sequence

import numpy as np

from driftfield.data.date_groups import check_by, group_of, groups_of, refuse_untrained
from driftfield.errors import ConfigurationError, DataError
from driftfield.linalg.regridding import Kind, Regridding
from driftfield.peers.downscaling.base import Date, Downscaler, Fitted, Samples
from driftfield.peers.downscaling.grids import PairGrids
from driftfield.reconstruction.output import Estimate
from driftfield.registry import register


@register("downscaler")
class LapseRate(Downscaler):
    """Corrects the interpolated field by static fields; deterministic.

    Arguments:
        statics: Names of static fields (`data.statics`); the height first.
        rate: Units of the variable per unit of the first static field, such as -0.0065 (K/m); fitted if not given.
        kind: Of the interpolation: nearest, bilinear or bicubic.
        by: Dates that have a rate of their own: none, hour, month or season.
    """

    method = "lapse rate"

    def __init__(
        self,
        statics: Sequence[str] = ("orog",),
        rate: float | None = None,
        kind: Kind = "bicubic",
        by: str = "none",
    ) -> None:
        if isinstance(statics, str) or not statics:
            raise ConfigurationError(f"Found statics: {statics!r}: expected a list such as [orog].")
        if rate is not None and (len(statics) > 1 or by != "none"):
            raise ConfigurationError(
                "Found a stated rate beside further statics or groups, whose rates are fitted. Leave out one of both."
            )
        self.statics, self.rate, self.kind, self.by = tuple(statics), rate, kind, check_by(by)

    def predictors(self, regridding: Regridding, grids: PairGrids) -> np.ndarray:
        """What the coarse grid lacks of every static field: (predictor, row, column)."""
        kind: Kind = "bilinear" if self.kind == "nearest" else self.kind
        return np.stack([grids.statics.difference(name, regridding, kind) for name in self.statics])

    def learn(self, samples: Samples, regridding: Regridding, grids: PairGrids) -> dict[str, np.ndarray]:
        """The rates by group: (group, predictor)."""
        predictors = self.predictors(regridding, grids)
        if self.rate is not None:
            return {"groups": np.zeros(1), "rates": np.array([[float(self.rate)]])}
        residual = samples.fine - regridding.interpolate(samples.coarse, self.kind)
        group = groups_of(samples.dates, self.by)
        trained = np.unique(group)
        rates = np.stack([_least_squares(predictors, residual[group == g], self.statics[0]) for g in trained])
        return {"groups": trained, "rates": rates}

    def estimate(self, date: Date, fitted: Fitted, regridding: Regridding, grids: PairGrids) -> Estimate:
        """The interpolated field and the effect of the statics."""
        place = refuse_untrained(group_of(date.time, self.by), fitted["groups"], self.by, type(self).__name__)
        effect = np.tensordot(fitted["rates"][place], self.predictors(regridding, grids), axes=1)
        return Estimate(regridding.interpolate(date.coarse, self.kind) + effect)


def _least_squares(predictors: np.ndarray, residual: np.ndarray, name: str) -> np.ndarray:
    """Of all known cells of all dates."""
    known = np.isfinite(residual)
    count = known.sum(axis=0).ravel().astype(float)
    total = np.where(known, residual, 0.0).sum(axis=0).ravel()
    design = predictors.reshape(len(predictors), -1)
    normal = (design * count) @ design.T
    if np.linalg.cond(normal) > 1e14:
        raise DataError(
            f"No rate of {name!r} can be fitted: the relief is the same everywhere. Use finer static fields, or state rate."
        )
    return np.linalg.solve(normal, design @ total)

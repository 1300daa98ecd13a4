"""Analogs: what interpolation left on the training dates whose coarse fields are nearest.

    x_m = interpolate(y) + (x_t - interpolate(y_t)) at the m-th nearest training date t

Distance: Euclidean, of coarse cells standardised over the training dates. Zorita and von Storch (1999),
doi:10.1175/1520-0442(1999)012<2474:TAMAAS>2.0.CO;2.
"""

__all__ = ["Analogs", "nearest_dates", "standard", "with_residuals"]

from collections.abc import Callable

import numpy as np

from driftfield.errors import ConfigurationError
from driftfield.interfaces import Cannot
from driftfield.linalg.regridding import Kind, Regridding
from driftfield.peers.downscaling.base import SPREADS, Date, Downscaler, Fitted, Samples
from driftfield.peers.downscaling.grids import PairGrids
from driftfield.reconstruction.output import Estimate
from driftfield.registry import register


@register("downscaler")
class Analogs(Downscaler):
    """An ensemble of the residuals of similar days; members are the analogs in a random order.

    Arguments:
        number: How many analogs; no more members can be drawn.
        kind: Of the interpolation: nearest, bilinear or bicubic.
    """

    method = "analogs"
    abilities = SPREADS
    follows_shifts = Cannot("finds other analogs for a warmer field")

    def __init__(self, number: int = 32, kind: Kind = "bilinear") -> None:
        if number < 1:
            raise ConfigurationError(f"Found {number} analogs: expected 1 or more.")
        self.number, self.kind = number, kind

    def learn(self, samples: Samples, regridding: Regridding, grids: PairGrids) -> dict[str, np.ndarray]:
        """All residuals and standardised coarse fields: (date, cell)."""
        residual = samples.fine - regridding.interpolate(samples.coarse, self.kind)
        predictors, mean, sd = standard(samples.coarse)
        return {
            "residual": np.nan_to_num(residual).astype(np.float32),
            "predictors": predictors.astype(np.float32),
            "mean": mean,
            "sd": sd,
        }

    def estimate(self, date: Date, fitted: Fitted, regridding: Regridding, grids: PairGrids) -> Estimate:
        """The interpolated field and the residuals of the analogs; the mean is that of all of them."""
        wanted = (date.coarse.ravel() - fitted["mean"]) / fitted["sd"]
        up = regridding.interpolate(date.coarse, self.kind)
        bounds = grids.bounds.get(date.name, (-np.inf, np.inf))
        return with_residuals(
            date, fitted["predictors"], wanted, self.number, lambda near: up + fitted["residual"][near], bounds
        )


def with_residuals(
    date: Date,
    predictors: np.ndarray,
    wanted: np.ndarray,
    number: int,
    fields_of: Callable[[np.ndarray], np.ndarray],
    bounds: tuple[float, float],
) -> Estimate:
    """Members with what was left on the nearest training dates; the mean is that of all of these.

    Arguments:
        date: What is asked for.
        predictors: Standardised coarse fields of training (date, cell).
        wanted: That of the date.
        number: How many analogs.
        fields_of: Places of training dates to fields, in units of the variable.
        bounds: Ends of the variable.
    """
    near = nearest_dates(predictors, wanted, number)
    fields = np.clip(fields_of(near), *bounds)
    return Estimate(fields.mean(axis=0), members=fields[shuffled(date, near.size)])


def standard(coarse: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Coarse fields (time, row, column) as (time, cell) of mean 0 and standard deviation 1, and both of these."""
    flat = coarse.reshape(len(coarse), -1)
    mean, sd = flat.mean(axis=0), flat.std(axis=0)
    sd = np.where(sd > 1e-12 * (1 + np.abs(mean)), sd, 1.0)
    return (flat - mean) / sd, mean, sd


def nearest_dates(predictors: np.ndarray, wanted: np.ndarray, number: int) -> np.ndarray:
    """Places of the nearest training dates, nearest first."""
    distance = np.square(predictors.astype(np.float64) - wanted).sum(axis=1)
    return np.argsort(distance, kind="stable")[: min(number, len(distance))]


def shuffled(date: Date, number: int) -> np.ndarray:
    """Which analog each member is: all of them in a random order that the date has.

    Raises:
        ConfigurationError: more members than analogs.
    """
    if date.members > number:
        raise ConfigurationError(
            f"{date.members} members were asked for, and there are {number} analogs: a member twice is no member more. "
            "Ask for fewer, or "
            "fit with more analogs."
        )
    return date.random(0, "order").permutation(number)[: date.members]

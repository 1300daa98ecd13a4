"""Ridge regression of the fine field's principal components on all coarse cells, and an ensemble of what it leaves.

    z = V' (T(x) - m)        z = b + W s(y)        minimise |z - b - W s|^2 + penalty |W|^2        s: standardised coarse cells
    x_m = T^-1( m + V (b + W s(y)) + e_m )         e_m: none | a Gaussian field | the residual of the m-th nearest analog

V: leading EOFs of the training fields; the penalty has the least leave-one-out error. Residuals are out of fold: each block of
training dates is predicted by a regression (EOFs and all) that has not seen it; in sample they would be far too small.
T is the square root for rain. Hoerl and Kennard (1970), doi:10.1080/00401706.1970.10488634.
"""

__all__ = ["PrincipalComponentRegression"]

import logging
from collections.abc import Mapping

import numpy as np

from driftfield.errors import ConfigurationError, DataError
from driftfield.interfaces import Abilities, Cannot
from driftfield.linalg.regridding import Regridding
from driftfield.peers.downscaling.analogs import standard, with_residuals
from driftfield.peers.downscaling.base import SPREADS, Date, Downscaler, Fitted, Samples
from driftfield.peers.downscaling.complete import complete, everywhere
from driftfield.peers.downscaling.grids import PairGrids
from driftfield.peers.downscaling.transform import Transform, check_transforms, transform_of
from driftfield.reconstruction.output import Estimate
from driftfield.registry import register

log = logging.getLogger(__name__)

PENALTIES = np.logspace(-3, 5, 17)
RESIDUALS = ("none", "gaussian", "analogs")


@register("downscaler")
class PrincipalComponentRegression(Downscaler):
    """Fine fields by linear regression, with residuals of an honest size.

    Arguments:
        components: EOFs of the fine fields, at most.
        residual: none (one field), gaussian (a random field with their covariance) or analogs (those of similar days).
        folds: Blocks of training dates that the residuals are left out in.
        analogs: How many similar days.
        transform: {variable: none | square_root | log}: the scale of coarse and fine fields.
    """

    method = "PC regression"
    follows_shifts = Cannot("multiplies a shift by its regression")

    def __init__(
        self,
        components: int = 120,
        residual: str = "analogs",
        folds: int = 8,
        analogs: int = 32,
        transform: Mapping[str, str] | None = None,
    ) -> None:
        if residual not in RESIDUALS:
            raise ConfigurationError(f"Found residual: {residual!r}: expected one of {RESIDUALS}.")
        if min(components, analogs) < 1 or folds < 2:
            raise ConfigurationError(
                f"Found {components} components, {analogs} analogs, {folds} folds: expected 1, 1 and 2 at least."
            )
        self.components, self.residual, self.folds, self.analogs = components, residual, folds, analogs
        self.transform = check_transforms(transform)

    @property
    def abilities(self) -> Abilities:  # type: ignore[override]
        """Members differ where residuals are drawn."""
        return Downscaler.abilities if self.residual == "none" else SPREADS

    def learn(self, samples: Samples, regridding: Regridding, grids: PairGrids) -> dict[str, np.ndarray]:
        """Coefficients and residuals of one variable."""
        name = samples.name
        transform = transform_of(self.transform, name, samples.fine)
        fine = transform(samples.fine)
        cells, dates = complete(fine, grids.domains[name] if grids is not None else None, name)
        y, coarse = fine[dates][:, cells], transform(samples.coarse[dates])
        if len(y) < 2 * self.folds:
            raise DataError(
                f"Found {len(y)} training times of {name!r}: {self.folds} folds need {2 * self.folds} or more. Give more, "
                "or fewer folds."
            )
        model = _Ridge.fit(coarse, y, self.components)
        learnt = model.to_arrays() | {"cells": cells.astype(np.uint8), "scale": np.array([transform.scale])}
        if self.residual != "none":
            left = self._out_of_fold(coarse, y)
            learnt["residual_sd"] = np.array([left.std()])
            learnt["in_sample_sd"] = np.array([(y - model.predict(coarse)).std()])
            learnt |= self._kept(left, coarse)
        return learnt

    def _out_of_fold(self, coarse: np.ndarray, y: np.ndarray) -> np.ndarray:
        left = np.empty_like(y)
        for block in np.array_split(np.arange(len(y)), self.folds):
            others = np.setdiff1d(np.arange(len(y)), block)
            left[block] = y[block] - _Ridge.fit(coarse[others], y[others], self.components).predict(coarse[block])
        return left

    def _kept(self, left: np.ndarray, coarse: np.ndarray) -> dict[str, np.ndarray]:
        if self.residual == "analogs":
            return {"residual": left.astype(np.float32), "predictors": standard(coarse)[0].astype(np.float32)}
        _, s, v = np.linalg.svd(left - left.mean(axis=0), full_matrices=False)
        keep = s > 1e-6 * s[0]
        return {"loadings": (s[keep, None] * v[keep] / np.sqrt(len(left) - 1)).astype(np.float32)}

    def estimate(self, date: Date, fitted: Fitted, regridding: Regridding, grids: PairGrids) -> Estimate:
        """The regression, and members with residuals; the mean is that of all analogs, or of the members."""
        transform = Transform(self.transform.get(date.name, "none"), float(fitted["scale"][0]))
        coarse = transform(date.coarse)
        mean = _Ridge.from_arrays(fitted).predict(coarse[None])[0]
        cells = fitted["cells"].astype(bool)
        spread = lambda z: everywhere(transform.inverse(z), cells, regridding, date.coarse)  # noqa: E731
        if self.residual == "none":
            return Estimate(spread(mean))
        if self.residual == "gaussian":
            loadings = fitted["loadings"]
            unbounded = transform.kind == "none" and date.name not in grids.bounds
            drawn = np.stack([date.random(m).standard_normal(len(loadings)) @ loadings for m in range(date.members)])
            return Estimate(spread(mean) if unbounded else None, members=spread(mean + drawn))
        wanted = (coarse.ravel() - fitted["mean"]) / fitted["sd"]
        bounds = grids.bounds.get(date.name, (-np.inf, np.inf))
        return with_residuals(
            date,
            fitted["predictors"],
            wanted,
            self.analogs,
            lambda near: spread(mean + fitted["residual"][near]),
            bounds,
        )


class _Ridge:
    """Regression of principal components on standardised coarse cells.

    Arguments:
        arrays: mean and sd of the coarse cells, centre (cell,) and weights (coarse cell, fine cell).
    """

    def __init__(self, arrays: Mapping[str, np.ndarray]) -> None:
        self.arrays = dict(arrays)

    @classmethod
    def fit(cls, coarse: np.ndarray, y: np.ndarray, components: int) -> "_Ridge":
        """Of fields (time, row, column) and (time, cell)."""
        x, mean, sd = standard(coarse)
        centre = y.mean(axis=0)
        _, _, v = np.linalg.svd(y - centre, full_matrices=False)
        v = v[: min(components, len(v))]
        z = (y - centre) @ v.T
        u, s, w = np.linalg.svd(x, full_matrices=False)
        s = np.where(s > 1e-12 * s[0], s, 0.0)
        along = u.T @ z
        errors = [_left_out(u, s, along, z, penalty) for penalty in PENALTIES]
        penalty = PENALTIES[int(np.argmin(errors))]
        coefficients = w.T @ ((s / (s**2 + penalty))[:, None] * along)
        return cls(
            {"mean": mean, "sd": sd, "centre": centre, "weights": coefficients @ v, "penalty": np.array([penalty])}
        )

    @classmethod
    def from_arrays(cls, fitted: Fitted) -> "_Ridge":
        """From what a run keeps."""
        return cls({key: fitted[key] for key in ("mean", "sd", "centre", "weights", "penalty")})

    def to_arrays(self) -> dict[str, np.ndarray]:
        """For a run."""
        return self.arrays

    def predict(self, coarse: np.ndarray) -> np.ndarray:
        """(time, cell)."""
        a = self.arrays
        return np.asarray(a["centre"] + ((coarse.reshape(len(coarse), -1) - a["mean"]) / a["sd"]) @ a["weights"])


def _left_out(u: np.ndarray, s: np.ndarray, along: np.ndarray, z: np.ndarray, penalty: float) -> float:
    """Mean squared leave-one-out error, by the diagonal of the hat matrix; the constant takes 1 / n of it."""
    shrink = s**2 / (s**2 + penalty)
    leverage = (u**2 @ shrink) + 1.0 / len(z)
    error = (z - u @ (shrink[:, None] * along)) / (1.0 - np.minimum(leverage, 0.999999))[:, None]
    return float(np.square(error).mean())

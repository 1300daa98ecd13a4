"""Kernel regression of the cells of a coarse block on the coarse fields around it: a straight line and what bends from it.

    T(x_j) = b_j + sum_t k_c(y, y_t) a_tj                    cell j of block c, training dates t;  a = (K + penalty)^-1 (x - b)
    k_c(y, y') = c + l <y, y'>_c + (1 + r) e^-r              r = sqrt(3) |y - y'|_c / length        (Matern 3/2)
    <y, y'>_c  = sum_i w_ci y_i y'_i                         w_ci: near coarse cells count, far ones hardly; all targets together

The posterior mean of a Gaussian process with that covariance; on days like none in training it falls back to the straight line.
Residuals are out of fold, and exact without a second fit: those of a block B of dates are ((K + penalty)^-1)_BB^-1 a_B.
Rasmussen and Williams (2006), Gaussian Processes for Machine Learning, section 5.4.2.
"""

__all__ = ["KernelRegression"]

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg import lapack
from scipy.spatial import cKDTree

from driftfield.data.pairing import require_pair
from driftfield.data.splits import spread_over
from driftfield.errors import ConfigurationError, DataError
from driftfield.interfaces import Abilities, Ability, Cannot, TrainingData
from driftfield.linalg.regridding import Regridding
from driftfield.peers.downscaling.analogs import nearest_dates, shuffled, standard, with_residuals
from driftfield.peers.downscaling.base import SPREADS, Date, Downscaler, Fitted, Samples
from driftfield.peers.downscaling.centring import check_centred, check_centred_of
from driftfield.peers.downscaling.complete import complete, everywhere
from driftfield.peers.downscaling.grids import PairGrids
from driftfield.peers.downscaling.transform import Transform, check_transforms, transform_of
from driftfield.reconstruction.output import Estimate
from driftfield.registry import register

log = logging.getLogger(__name__)

PENALTIES = (0.03, 0.1, 0.3, 1.0)
"""Of which the one with the least error out of fold is taken; the kernel is about 3 on its diagonal."""
TRIED = 8
"""Coarse cells that they are tried on."""
CONSTANT = 10.0
"""Of the kernel: large against what a day departs from the mean."""
FAR = 0.02
"""Weight of the farthest coarse cell, where the nearest has 1."""
RESIDUALS = ("none", "analogs")


@register("downscaler")
class KernelRegression(Downscaler):
    """Fine fields by local kernel regression on the coarse fields of all targets, with residuals out of fold.

    Arguments:
        residual: none (one field) or analogs (the residuals of similar days).
        reach: Width of the neighbourhood, in coarse cells.
        length: Of the kernel, in standard deviations of the neighbourhood.
        linear: Weight of the straight line.
        beside: Weight of the other targets, where the target itself has 1.
        folds: Blocks of training dates that the residuals are left out in.
        analogs: How many similar days.
        dates: Training dates at most; more are thinned out evenly, with a line. Time grows with their cube.
        transform: {variable: none | square_root | log}: the scale of coarse and fine fields.
        centred: Targets of which the coarse mean of the date is taken off first and put back at the end: days are alike however
            warm they are.
    """

    method = "kernel regression"
    leaves_out = True

    def __init__(
        self,
        residual: str = "analogs",
        *,
        reach: float = 1.5,
        length: float = 3.0,
        linear: float = 1.0,
        beside: float = 0.4,
        folds: int = 8,
        analogs: int = 32,
        dates: int = 3000,
        transform: Mapping[str, str] | None = None,
        centred: Sequence[str] = (),
    ) -> None:
        if residual not in RESIDUALS:
            raise ConfigurationError(f"Found residual: {residual!r}: expected one of {RESIDUALS}.")
        if min(reach, length) <= 0 or min(linear, beside) < 0:
            raise ConfigurationError(
                f"Found reach {reach}, length {length}, linear {linear}, beside {beside}: expected the first two above 0, the "
                "others 0 or more."
            )
        if folds < 2 or analogs < 1 or dates < 2 * folds:
            raise ConfigurationError(
                f"Found {folds} folds, {analogs} analogs, {dates} dates: expected 2, 1 and two dates for each fold at least."
            )
        self.residual, self.reach, self.length, self.linear, self.beside = residual, reach, length, linear, beside
        self.folds, self.analogs, self.dates = folds, analogs, dates
        self.transform = check_transforms(transform)
        self.centred = check_centred(centred, self.transform)
        self._left_out: dict[str, np.ndarray] = {}

    @property
    def abilities(self) -> Abilities:  # type: ignore[override]
        """Members differ where residuals are drawn."""
        return Downscaler.abilities if self.residual == "none" else SPREADS

    @property
    def follows_shifts(self) -> Ability:  # type: ignore[override]
        """Where the targets are centred."""
        return bool(self.centred) or Cannot("finds other days alike for a warmer field")

    def fit(self, data: TrainingData, *, seed: int = 0) -> None:
        """Learns from the training times; those that were thinned out are answered for `left_out`."""
        super().fit(data, seed=seed)
        for name, fields in self._left_out.items():
            others = np.flatnonzero(np.isnan(fields).all(axis=(1, 2)))
            if others.size:
                coarse = require_pair(data, self.method).coarse.isel(time=np.asarray(data.train)[others])
                fields[others] = self._all_dates(self.grids.place(coarse), name, 1, seed).mean

    def left_out(self, name: str) -> np.ndarray:
        """Fields of the training times out of fold; on times that were thinned out, of all others."""
        return self._left_out[name]

    def learn(self, samples: Samples, regridding: Regridding, grids: PairGrids) -> dict[str, np.ndarray]:
        """Weights of the training dates in every fine cell."""
        check_centred_of(self.centred, grids.targets, grids.bounds)
        level = self._level(samples.name, samples.coarse, grids)
        transform = transform_of(self.transform, samples.name, samples.fine)
        fine = transform(samples.fine - level)
        cells, dates = complete(fine, grids.domains[samples.name], samples.name)
        chosen = self._thinned(np.flatnonzero(dates), samples.name)
        y, coarse = fine[chosen][:, cells], (samples.coarse - level)[chosen]
        beside = {name: part[chosen] for name, part in samples.beside.items()}
        x, mean, sd = _features(transform(coarse), self._others(beside, grids))
        owner = cKDTree(regridding.coarse.centres.reshape(-1, 3)).query(regridding.fine.centres[cells])[1]
        metric = _Metric(self._weights(regridding, 1 + len(samples.beside)), self.length, self.linear)
        centre = y.mean(axis=0)
        penalty = self._penalty(metric, x, y - centre, owner)
        weights, left = self._solved(metric, x, y - centre, owner, penalty)
        learnt = {
            "cells": cells.astype(np.uint8), "scale": np.array([transform.scale]), "mean": mean, "sd": sd,
            "predictors": x.astype(np.float32), "weights": weights.astype(np.float32), "centre": centre,
            "owner": owner.astype(np.int32), "metric": metric.weights, "penalty": np.array([penalty]),
            "residual_sd": np.array([left.std()]),
        }  # fmt: skip
        fields = np.full((samples.times, *cells.shape), np.nan)
        guess = everywhere(transform.inverse(y - left), cells, regridding, coarse)
        fields[samples.places[chosen]] = guess + level[chosen]
        self._left_out[samples.name] = fields
        if self.residual == "analogs":
            learnt["residual"] = left.astype(np.float32)
        return learnt

    def _thinned(self, dates: np.ndarray, name: str) -> np.ndarray:
        if dates.size < 2 * self.folds:
            raise DataError(
                f"Found {dates.size} training times of {name!r}: {self.folds} folds need {2 * self.folds} or more. Give more, "
                "or fewer folds."
            )
        if dates.size > self.dates:
            log.warning("%r: %d of %d training times are learnt from (dates)", name, self.dates, dates.size)
        return spread_over(dates, self.dates)

    def _level(self, name: str, coarse: np.ndarray, grids: PairGrids) -> np.ndarray:
        """The mean of a centred target at each date, 0 of others: (time, 1, 1)."""
        if name not in self.centred:
            return np.zeros((len(coarse), 1, 1))
        return np.asarray(coarse[:, grids.known[name]].mean(axis=1)[:, None, None])

    def _others(self, beside: Mapping[str, np.ndarray], grids: PairGrids) -> dict[str, np.ndarray]:
        """Coarse fields (time, row, column) of the other targets, on the scale of the method."""
        kinds = {name: Transform(self.transform.get(name, "none")) for name in beside}
        return {name: kinds[name](part - self._level(name, part, grids)) for name, part in beside.items()}

    def _weights(self, regridding: Regridding, variables: int) -> np.ndarray:
        """(feature, coarse cell): what a coarse value counts in the neighbourhood of a coarse cell; of each variable in turn."""
        places = regridding.coarse.centres.reshape(-1, 3)
        width = float(np.sqrt(np.median(regridding.coarse.area)))
        square = np.square(places[:, None] - places[None]).sum(-1) / (self.reach * width) ** 2
        near = np.exp(-square / 2) + FAR
        near = near / near.sum(axis=0)
        return np.concatenate([near, *[self.beside**2 * near] * (variables - 1)])

    def _penalty(self, metric: "_Metric", x: np.ndarray, y: np.ndarray, owner: np.ndarray) -> float:
        """The one with the least error out of fold on some coarse cells."""
        errors = np.zeros(len(PENALTIES))
        for c in spread_over(np.unique(owner), TRIED):
            kernel = metric.between(x, x, int(c))
            for place, penalty in enumerate(PENALTIES):
                errors[place] += np.square(_left_out(kernel, y[:, owner == c], penalty, self.folds)[1]).sum()
        return PENALTIES[int(np.argmin(errors))]

    def _solved(
        self, metric: "_Metric", x: np.ndarray, y: np.ndarray, owner: np.ndarray, penalty: float
    ) -> tuple[np.ndarray, np.ndarray]:
        """Weights (date, cell) and residuals out of fold."""
        weights, left = np.empty_like(y), np.empty_like(y)
        for c in np.unique(owner):
            here = owner == c
            weights[:, here], left[:, here] = _left_out(metric.between(x, x, int(c)), y[:, here], penalty, self.folds)
        return weights, left

    def estimate(self, date: Date, fitted: Fitted, regridding: Regridding, grids: PairGrids) -> Estimate:
        """The regression, and members with residuals; the mean is that of all analogs where decoding is not affine."""
        transform = Transform(self.transform.get(date.name, "none"), float(fitted["scale"][0]))
        level = self._level(date.name, date.coarse[None], grids)[0]
        coarse = date.coarse - level
        others = self._others({name: part[None] for name, part in date.beside.items()}, grids)
        x = _features(transform(coarse[None]), others, (fitted["mean"], fitted["sd"]))[0][0]
        metric = _Metric(fitted["metric"], self.length, self.linear)
        mean = fitted["centre"] + metric.applied(x, fitted["predictors"], fitted["weights"], fitted["owner"])
        cells = fitted["cells"].astype(bool)
        fields = lambda z: level + everywhere(transform.inverse(z), cells, regridding, coarse)  # noqa: E731
        if self.residual == "none":
            return Estimate(fields(mean))
        days, wanted = fitted["predictors"][:, : date.coarse.size], x[: date.coarse.size]
        if transform.kind != "none" or date.name in grids.bounds:
            bounds = grids.bounds.get(date.name, (-np.inf, np.inf))
            return with_residuals(
                date, days, wanted, self.analogs, lambda near: fields(mean + fitted["residual"][near]), bounds
            )
        near = nearest_dates(days, wanted, self.analogs)
        left = fitted["residual"][near].astype(np.float64)
        # their own mean is nothing but noise upon that of the regression
        left = (left - left.mean(axis=0)) * np.sqrt(near.size / max(near.size - 1, 1))
        return Estimate(fields(mean), members=fields(mean + left)[shuffled(date, near.size)])


@dataclass(frozen=True)
class _Metric:
    """The kernel in the neighbourhood of every coarse cell.

    Arguments:
        weights: (feature, coarse cell).
        length, linear: See `KernelRegression`.
    """

    weights: np.ndarray
    length: float
    linear: float

    def bend(self, square: np.ndarray) -> np.ndarray:
        """Matern 3/2 of squared distances."""
        r = np.sqrt(3.0 * np.maximum(square, 0.0)) / self.length
        return np.asarray((1.0 + r) * np.exp(-r))

    def between(self, a: np.ndarray, b: np.ndarray, cell: int) -> np.ndarray:
        """(date of a, date of b) around one coarse cell."""
        root = np.sqrt(self.weights[:, cell])
        a, b = a * root, b * root
        product = a @ b.T
        square = np.square(a).sum(axis=1)[:, None] + np.square(b).sum(axis=1) - 2.0 * product
        return CONSTANT + self.linear * product + self.bend(square)

    def applied(self, x: np.ndarray, days: np.ndarray, weights: np.ndarray, owner: np.ndarray) -> np.ndarray:
        """Sum over training dates of kernel times weight, in every fine cell: of one date (feature,)."""
        days = days.astype(np.float64)
        kernel = self.linear * (days * x) @ self.weights + self.bend(np.square(days - x) @ self.weights) + CONSTANT
        return np.asarray(np.einsum("tj,tj->j", kernel[:, owner], weights.astype(np.float64)))


def _left_out(kernel: np.ndarray, y: np.ndarray, penalty: float, folds: int) -> tuple[np.ndarray, np.ndarray]:
    """Weights (date, cell), and what they leave of blocks of dates that had none in them.

    Raises:
        DataError: a kernel that is no covariance.
    """
    factor, failed = lapack.dpotrf(kernel + penalty * np.eye(len(kernel)), lower=1, clean=1)
    inverse, lost = lapack.dpotri(factor, lower=1)
    if failed or lost:
        raise DataError("The kernel of KernelRegression is not positive: found coarse fields that are not finite.")
    inverse = np.tril(inverse) + np.tril(inverse, -1).T
    weights = inverse @ y
    blocks = np.array_split(np.arange(len(y)), folds)
    return weights, np.concatenate([np.linalg.solve(inverse[np.ix_(b, b)], weights[b]) for b in blocks])


def _features(
    coarse: np.ndarray, beside: Mapping[str, np.ndarray], scales: tuple[np.ndarray, np.ndarray] | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Standardised coarse values of a target and of those beside it (date, feature), mean and sd; a gap counts as the mean."""
    flat = np.concatenate([part.reshape(len(coarse), -1) for part in (coarse, *beside.values())], axis=1)
    if scales is None:
        known = np.where(np.isfinite(flat), flat, np.nanmean(flat, axis=0))
        _, mean, sd = standard(np.nan_to_num(known))
    else:
        mean, sd = scales
    return np.nan_to_num((flat - mean) / sd), mean, sd

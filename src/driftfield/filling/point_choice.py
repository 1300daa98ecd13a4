"""Which method makes the map: each is scored on values that it did not see, profile by profile.

    fold k      the values of some profiles; the regression and the kriging do without them, the constants are those of all
    factor      the 90 % quantile of |error / spread| over all folds, over 1.645: the spread times this covers 90 %
    chosen      the lowest CRPS with that spread

The box mean and the climatology are always among them: what does not beat these has learnt nothing.
"""

__all__ = ["Choice", "Tried", "choose", "table_of"]

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import ndtr, ndtri

from driftfield.errors import ConfigurationError, DataError, suggest
from driftfield.filling.point_methods import METHODS, FittedMethod, PointMethod
from driftfield.filling.point_values import PointValues, folds_of
from driftfield.filling.quantity import Quantity
from driftfield.gaussian.point_likelihood import Stated
from driftfield.gaussian.space_time_covariance import Places
from driftfield.reconstruction.output import Estimate

log = logging.getLogger(__name__)

_LEAST = 10
_COVER = 0.9
_TOO_WELL = 1.5

Progress = Callable[[str, int, int], None]
"""Is told what is done, how many steps of it, of how many."""


@dataclass(frozen=True)
class Tried:
    """What became of one method on the values left out.

    Arguments:
        name: Of the method.
        rmse: Root mean square error on them.
        crps: Continuous ranked probability score, with the factor.
        coverage: Share within the 90 % interval, with the factor.
        factor: What the spread is multiplied by.
        fitted_rmse: Root mean square error on the values that it was fitted to.
        constants: In words.
        interpolates: As of the method.
    """

    name: str
    rmse: float
    crps: float
    coverage: float
    factor: float
    fitted_rmse: float
    constants: str
    interpolates: bool


@dataclass(frozen=True)
class Choice:
    """The chosen method, fitted to everything.

    Arguments:
        tried: Of all methods, the best first.
        name: Which one makes the map.
        fitted: It.
        factor: What its spread is multiplied by.
        unit: What was left out together, in words.
        folds: Into how many parts.
        values: What was observed.
        quantity: In which units it is mapped and scored: as it is, or as logarithms.
    """

    tried: tuple[Tried, ...]
    name: str
    fitted: FittedMethod
    factor: float
    unit: str
    folds: int
    values: PointValues
    quantity: Quantity

    def at(self, places: Places, days: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation at any places and days since 1970, (n,) each; no grid is needed."""
        mean, sd = self.fitted.at(places, days)
        mean, sd, _ = self._back(mean, sd * self.factor, np.empty((0, mean.size)))
        return mean, sd

    def members(
        self, places: Places, days: np.ndarray, *, members: int, seed: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The same, and draws (member, n) with that mean and spread."""
        mean, sd, drawn = self.fitted.with_members(places, days, members=members, seed=seed)
        return self._back(mean, sd * self.factor, mean + (drawn - mean) * self.factor)

    def _back(self, mean: np.ndarray, sd: np.ndarray, drawn: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """In the units of the values."""
        stated = self.quantity.back(Estimate(mean, sd, drawn))
        assert stated.mean is not None
        assert stated.sd is not None
        return stated.mean, stated.sd, drawn if stated.members is None else stated.members


def choose(
    values: PointValues,
    *,
    method: str | None = None,
    stated: Stated | None = None,
    quantity: Quantity | None = None,
    methods: Sequence[PointMethod] = METHODS,
    seed: int = 0,
    progress: Progress = lambda what, done, of: None,
) -> Choice:
    """Scores all methods on values left out and fits the best one to all.

    Arguments:
        values: What was observed.
        method: The name of one that is to be taken whatever the scores say.
        stated: What the user knows of the covariance.
        quantity: In which units it is mapped; as it is by default.
        methods: To choose from.
        seed: Of the folds.
        progress: Is told how far it is.

    Raises:
        ConfigurationError: no such method.
        DataError: too few values.
    """
    names = [m.name for m in methods]
    if method is not None and method not in names:
        raise ConfigurationError(f"Unknown method {method!r}: {suggest(method, names)}")
    if len(values) < _LEAST:
        raise DataError(
            f"{len(values)} values of {values.name!r} are too few to choose a method on: expected {_LEAST} or more. "
            "Name more files, or a larger box."
        )
    observed, quantity = values, quantity or Quantity()
    values = _forward(values, quantity)
    fold, unit = folds_of(values, seed=seed)
    count = int(fold.max()) + 1
    fitted, tried = {}, []
    for i, candidate in enumerate(methods):
        progress("choosing the method", i, len(methods))
        fitted[candidate.name] = candidate.fit(values, stated or Stated())
        tried.append(_score(candidate, fitted[candidate.name], values, fold, count))
    progress("choosing the method", len(methods), len(methods))
    tried.sort(key=lambda t: t.crps)
    name = tried[0].name if method is None else method
    factor = next(t.factor for t in tried if t.name == name)
    _warn(tried, name)
    return Choice(tuple(tried), name, fitted[name], factor, unit, count, observed, quantity)


def _forward(values: PointValues, quantity: Quantity) -> PointValues:
    """As they are mapped; the error of a logarithm is relative."""
    if not quantity.logarithm:
        return values
    error = values.error / (np.maximum(values.value, quantity.floor) * np.log(10.0))
    return replace(values, value=quantity.forward(values.value), error=error)


def _score(method: PointMethod, fitted: FittedMethod, values: PointValues, fold: np.ndarray, count: int) -> Tried:
    error, sd = np.zeros(len(values)), np.ones(len(values))
    for k in range(count):
        out = np.flatnonzero(fold == k)
        mean, sd[out] = fitted.without(values[np.flatnonzero(fold != k)]).at(values.places[out], values.days[out])
        error[out] = mean - values.value[out]
    sd = np.sqrt(sd**2 + values.error**2)
    inside = fitted.at(values.places, values.days)[0] - values.value
    factor = float(np.quantile(np.abs(error / sd), _COVER) / ndtri(0.5 + _COVER / 2)) or 1.0
    sd = sd * factor
    covered = float((np.abs(error) <= ndtri(0.5 + _COVER / 2) * sd).mean())
    rms = float(np.sqrt((error**2).mean())), float(np.sqrt((inside**2).mean()))
    score = crps_of(error, sd)
    return Tried(method.name, rms[0], score, covered, factor, rms[1], fitted.describe(), method.interpolates)


def crps_of(error: np.ndarray, sd: np.ndarray) -> float:
    """Mean CRPS of Gaussians; Gneiting et al. (2005), equation 5."""
    z = error / sd
    density = np.exp(-0.5 * z**2) / np.sqrt(2 * np.pi)
    return float((sd * (z * (2 * ndtr(z) - 1) + 2 * density - 1 / np.sqrt(np.pi))).mean())


def _warn(tried: Sequence[Tried], name: str) -> None:
    """Says when the map is no better than a mean, and when a mean knows its own values too well."""
    best = tried[0]
    if name != best.name:
        chosen = next(t for t in tried if t.name == name)
        log.warning(
            "%s loses to %s on values left out: CRPS %.3g against %.3g, RMSE %.3g against %.3g",
            *(name, best.name, chosen.crps, best.crps, chosen.rmse, best.rmse),
        )
    elif not best.interpolates:
        log.warning("No interpolation is better than %s on values left out: the map is %s itself", name, name)
    for t in tried:
        if not t.interpolates and t.rmse > _TOO_WELL * t.fitted_rmse:
            log.warning(
                "%s explains the values that it was fitted to (RMSE %.3g) much better than those left out (%.3g): it has "
                "more to learn than was seen",
                *(t.name, t.fitted_rmse, t.rmse),
            )


def table_of(choice: Choice, units: str = "") -> str:
    """What was tried, a line each, the best first; * marks the one that makes the map."""
    lines = [f"{'':2}{'method':26} {'RMSE':>9} {'CRPS':>9} {'in 90 %':>8}  constants"]
    for t in choice.tried:
        mark = "*" if t.name == choice.name else " "
        lines.append(f"{mark} {t.name:26} {t.rmse:9.4g} {t.crps:9.4g} {t.coverage:8.2f}  {t.constants}".rstrip())
    units = f"log10 of {units}" if choice.quantity.logarithm else units
    scored = f"scored on values left out, a {choice.unit} at a time, in {choice.folds} parts"
    return "\n".join([*lines, f"  ({scored}{', ' + units if units else ''})"])

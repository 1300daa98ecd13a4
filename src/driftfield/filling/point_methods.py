"""The methods that a map of scattered values is chosen from; each fits what was seen and answers at any place and day.

    box-mean       the mean of a level
    month-mean     the mean of a level in the calendar month of the year, else of that month in other years
    climatology    regression on season and position, shrunk (`gaussian/seasonal_regression.py`)
    regression     the same with a trend
    kriging-...    a regression, and kriging of what it leaves (`gaussian/point_likelihood.py`, `point_kriging.py`)

A method's spread is that of a value at a point: what the map does not resolve is in it.
"""

__all__ = ["METHODS", "FittedMethod", "PointMethod"]

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from driftfield.filling.point_values import PointValues, month_of
from driftfield.gaussian.neighbours import leaves
from driftfield.gaussian.point_kriging import krige_smoothly
from driftfield.gaussian.point_likelihood import PointSample, Stated, fit_covariance, independent_blocks
from driftfield.gaussian.seasonal_regression import SeasonalBasis, SeasonalRegression
from driftfield.gaussian.space_time_covariance import Places, SpaceTimeCovariance


class FittedMethod(ABC):
    """A method that knows its values."""

    @abstractmethod
    def at(self, places: Places, days: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation at some places and days, (n,) each."""

    @abstractmethod
    def without(self, kept: PointValues) -> "FittedMethod":
        """The same constants, but the values of a fold left out; `kept` are the others."""

    def with_members(
        self, places: Places, days: np.ndarray, *, members: int, seed: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Mean, standard deviation and draws (member, n); what a mean leaves has no structure that it knows."""
        mean, sd = self.at(places, days)
        noise = [_white(seed, m, days).standard_normal(len(places)) for m in range(members)]
        return mean, sd, mean + sd * np.reshape(noise, (members, len(places)))

    def describe(self) -> str:
        """The constants, in words."""
        return ""


class PointMethod(ABC):
    """One way to make a map."""

    name: ClassVar[str]
    interpolates: ClassVar[bool] = False
    """Whether a value nearby changes the map more than one far away."""

    @abstractmethod
    def fit(self, values: PointValues, stated: Stated) -> FittedMethod:
        """Learns from all values."""


@dataclass(frozen=True)
class _Means(FittedMethod):
    """Means by level and, if wanted, by month."""

    values: PointValues
    monthly: bool

    def without(self, kept: PointValues) -> "_Means":
        return replace(self, values=kept)

    def at(self, places: Places, days: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        levels = np.unique(self.values.depth)
        mine, wanted = (_nearest(levels, d) for d in (self.values.depth, places.depth))
        mean = _means(mine, self.values.value, wanted, np.full(wanted.shape, self.values.value.mean()))
        inside = _means(mine, self.values.value, mine, self.values.value)
        if self.monthly:
            month, asked = self.values.months, month_of(days)
            for key, other in ((month % 12, asked % 12), (month, asked)):
                a, b = key * levels.size + mine, other * levels.size + wanted
                mean, inside = _means(a, self.values.value, b, mean), _means(a, self.values.value, a, inside)
        sd = np.sqrt(_means(mine, (self.values.value - inside) ** 2, wanted, np.full(wanted.shape, inside.var())))
        return mean, np.maximum(sd, 1e-9)


class LevelMean(PointMethod):
    """The mean of a level, over all."""

    name = "box-mean"
    monthly = False

    def fit(self, values: PointValues, stated: Stated) -> FittedMethod:
        return _Means(values, self.monthly)


class MonthMean(LevelMean):
    """The mean of a level in a month."""

    name = "month-mean"
    monthly = True


@dataclass(frozen=True)
class _Regression(FittedMethod):
    regression: SeasonalRegression

    def without(self, kept: PointValues) -> "_Regression":
        return _Regression(_regressed(kept, self.regression.basis))

    def at(self, places: Places, days: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        columns, _ = self.regression.basis.columns(places.lat, places.lon, places.depth, days)
        variance = self.regression.variance(columns) + self.regression.noise
        return self.regression.at(columns), np.sqrt(variance)


class Regression(PointMethod):
    """Season, position, depth and a trend."""

    name = "regression"
    trend = True

    def fit(self, values: PointValues, stated: Stated) -> FittedMethod:
        return _Regression(_regressed(values, _basis(values, trend=self.trend)))


class PointClimatology(Regression):
    """Season, position and depth."""

    name = "climatology"
    trend = False


@dataclass(frozen=True)
class _Kriged(FittedMethod):
    """Regression, spread by level and covariance of what is left, in units of that spread."""

    values: PointValues
    regression: SeasonalRegression
    spread: "_SpreadOfDepth"
    covariance: SpaceTimeCovariance

    def without(self, remaining: PointValues) -> "_Kriged":
        regression = _generalised(remaining, self.regression, self.spread, self.covariance, learn=False)
        return replace(self, values=remaining, regression=regression)

    def describe(self) -> str:
        parts = [
            f"{c.zonal:.0f} x {c.meridional:.0f} km, {c.days:.0f} days, share {c.share / self.covariance.variance:.2f}"
            for c in self.covariance.components
        ]
        return f"{'; '.join(parts)}; unresolved {self.covariance.nugget / self.covariance.variance:.2f}"

    def at(self, places: Places, days: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        mean, sd, _ = self.with_members(places, days, members=0, seed=0)
        return mean, sd

    def with_members(
        self, places: Places, days: np.ndarray, *, members: int, seed: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Mean, standard deviation and draws (member, n)."""
        seen = self.values
        scale = self.spread.at(seen.depth)
        columns, _ = self.regression.basis.columns(seen.lat, seen.lon, seen.depth, seen.days)
        rest = (seen.value - self.regression.at(columns)) / scale
        sample = PointSample(seen.places, seen.days, (seen.error / scale) ** 2)
        drawn, of_targets = self._draws(sample, places, days, members, seed)
        innovations = np.concatenate([rest[:, None], rest[:, None] - drawn], axis=1)
        increments, variance = np.zeros((len(places), 1 + members)), np.zeros(len(places))
        for group in _groups(self.covariance, places, days):
            increments[group], variance[group] = krige_smoothly(
                self.covariance, sample, innovations, places[group], days[group], most=_most(group.size)
            )
        scale = self.spread.at(places.depth)
        columns, _ = self.regression.basis.columns(places.lat, places.lon, places.depth, days)
        mean = self.regression.at(columns)
        # where values are near, they correct the regression; where they are far, its error is the map's
        unknown = variance / max(self.covariance.variance - self.covariance.nugget, 1e-12)
        total = scale**2 * (variance + self.covariance.nugget) + unknown * self.regression.variance(columns)
        members_ = mean + scale * (of_targets + increments[:, 1:]).T
        return mean + scale * increments[:, 0], np.sqrt(total), members_

    def _draws(
        self, sample: PointSample, places: Places, days: np.ndarray, members: int, seed: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Prior draws, with their white part: (n, member) of the values and of the targets."""
        n = len(sample)
        of_values, of_targets = np.zeros((n, members)), np.zeros((len(places), members))
        where = Places(*(np.concatenate([getattr(p, a) for p in (sample.places, places)]) for a in _AXES))
        when = np.concatenate([sample.days, days])
        for m in range(members):
            waves, white = (np.random.default_rng(np.random.SeedSequence([seed, m, part])) for part in (0, 1))
            both = self.covariance.draw_at(where, when, waves)
            of_values[:, m] = both[:n] + np.sqrt(self.covariance.nugget + sample.noise) * white.standard_normal(n)
            fresh = _white(seed, m, days).standard_normal(len(places))
            of_targets[:, m] = both[n:] + np.sqrt(self.covariance.nugget) * fresh
        return of_values, of_targets


_AXES = ("lat", "lon", "depth", "likeness")


class Interpolation(PointMethod):
    """Kriging of what a regression leaves, of one smoothness."""

    name = "kriging-rough"
    interpolates = True
    shapes: ClassVar[Sequence[float]] = (0.5,)

    def fit(self, values: PointValues, stated: Stated) -> FittedMethod:
        regression = _regressed(values, _basis(values, trend=True))
        columns, _ = regression.basis.columns(values.lat, values.lon, values.depth, values.days)
        rest = values.value - regression.at(columns)
        spread = _SpreadOfDepth.fit(values.depth, rest)
        scale = spread.at(values.depth)
        sample = PointSample(values.places, values.days, (values.error / scale) ** 2)
        if stated.noise is not None:
            stated = replace(stated, noise=stated.noise / float(np.mean(scale)) ** 2)
        covariance = fit_covariance(sample, rest / scale, shapes=self.shapes, stated=stated)
        return _Kriged(values, _generalised(values, regression, spread, covariance, learn=True), spread, covariance)


class SmoothInterpolation(Interpolation):
    """The same with a field that has a slope everywhere."""

    name = "kriging-smooth"
    shapes = (1.5,)


class TwoScaleInterpolation(Interpolation):
    """A wide and slow part, and a fine and fast one."""

    name = "kriging-two-scales"
    shapes = (0.5, 0.5)


METHODS: tuple[PointMethod, ...] = (
    LevelMean(),
    MonthMean(),
    PointClimatology(),
    Regression(),
    Interpolation(),
    SmoothInterpolation(),
    TwoScaleInterpolation(),
)
"""The simplest first."""


@dataclass(frozen=True)
class _SpreadOfDepth:
    """Standard deviation by depth: linear between some levels in log(1 + depth / 100 m)."""

    levels: np.ndarray
    sd: np.ndarray

    @classmethod
    def fit(cls, depth: np.ndarray, rest: np.ndarray, *, most: int = 8, steady: float = 20.0) -> "_SpreadOfDepth":
        z = np.log1p(depth / 100.0)
        levels = np.unique(np.quantile(z, np.linspace(0, 1, most)))
        nearest = _nearest(levels, z)
        overall = float((rest**2).mean())
        count = np.bincount(nearest, minlength=levels.size)
        square = (np.bincount(nearest, rest**2, minlength=levels.size) + steady * overall) / (count + steady)
        return cls(levels, np.sqrt(np.maximum(square, 1e-12)))

    def at(self, depth: np.ndarray) -> np.ndarray:
        return np.interp(np.log1p(depth / 100.0), self.levels, self.sd)


def _basis(values: PointValues, *, trend: bool) -> SeasonalBasis:
    return SeasonalBasis.covering(values.lat, values.lon, values.depth, values.days, trend=trend)


def _regressed(values: PointValues, basis: SeasonalBasis) -> SeasonalRegression:
    columns, names = basis.columns(values.lat, values.lon, values.depth, values.days)
    return SeasonalRegression.fit(basis, columns, names, values.value, effective=_independent(values))


def _independent(values: PointValues) -> float:
    """How many values are independent, about: one of each profile and of each fifth of a degree and ten days."""
    cells = np.stack([np.round(values.lat * 5), np.round(values.lon * 5), np.round(values.days / 10)], axis=1)
    return float(np.unique(cells, axis=0).shape[0])


def _generalised(
    values: PointValues,
    regression: SeasonalRegression,
    spread: _SpreadOfDepth,
    covariance: SpaceTimeCovariance,
    *,
    learn: bool,
) -> SeasonalRegression:
    """The regression once more, with what is known of how its residuals go together."""
    scale = spread.at(values.depth)
    columns, names = regression.basis.columns(values.lat, values.lon, values.depth, values.days)
    sample = PointSample(values.places, values.days, (values.error / scale) ** 2)
    first = covariance.components[0]
    gram, moment = np.zeros((len(names), len(names))), np.zeros(len(names))
    y = (values.value - regression.beta[0]) / scale
    for block in independent_blocks(sample, np.sqrt(first.zonal * first.meridional), first.days, size=200):
        part = sample[block]
        phi = covariance.embed(part.places, part.days)
        h = columns[block] / scale[block, None]
        solved = np.linalg.solve(covariance.matrix(phi, part.noise), np.c_[h, y[block]])
        gram += h.T @ solved[:, :-1]
        moment += h.T @ solved[:, -1]
    return regression.refit(gram, moment, names, learn=learn)


def _groups(covariance: SpaceTimeCovariance, places: Places, days: np.ndarray) -> list[np.ndarray]:
    """Targets that are solved together: those of a date, or small neighbourhoods where there are many dates."""
    dates, date = np.unique(days, return_inverse=True)
    if dates.size <= 0.05 * days.size or dates.size == 1:
        order = np.argsort(date, kind="stable")
        return np.split(order, np.cumsum(np.bincount(date))[:-1])
    phi = covariance.embed(places, days - float(np.median(days)))[-1]
    return leaves(phi, 24)


def _most(targets: int) -> int:
    """Values that speak for a group."""
    return 300 if targets <= 24 else 700


def _nearest(levels: np.ndarray, depth: np.ndarray) -> np.ndarray:
    if levels.size == 1:
        return np.zeros(depth.shape, dtype=np.int64)
    edges = 0.5 * (levels[1:] + levels[:-1])
    return np.searchsorted(edges, depth)


def _means(key: np.ndarray, value: np.ndarray, wanted: np.ndarray, otherwise: np.ndarray) -> np.ndarray:
    """Mean of the values of each wanted key; something else where there is none."""
    keys, inverse = np.unique(key, return_inverse=True)
    mean = np.bincount(inverse, value) / np.bincount(inverse)
    place = np.clip(np.searchsorted(keys, wanted), 0, keys.size - 1)
    return np.where(keys[place] == wanted, mean[place], otherwise)


def _white(seed: int, member: int, days: np.ndarray) -> np.random.Generator:
    """Of what is new at every date; the same for the same one."""
    return np.random.default_rng(np.random.SeedSequence([seed, member, 2, int(abs(float(days.flat[0])) * 1440)]))

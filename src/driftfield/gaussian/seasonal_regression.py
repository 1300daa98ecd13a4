"""Regression on season and position that shrinks: what little data cannot support is drawn to zero, group by group.

    y = H beta + e        beta_g ~ N(0, v_g)      e ~ N(0, K)
    H    1 | x | x x^T | depth | depth * x | cos sin (w) | cos sin (2w) | season * (depth, x) | trend * (1, depth)
    v_g  = mean of beta_g^2 + S_gg, repeated (expectation maximisation of the evidence),  S = (H' K^-1 H + V^-1)^-1

x is a place on the unit sphere, from the centre of what was seen and in units of its radius (three numbers: no pole and no
seam is special), depth Legendre polynomials of log(1 + depth / 100 m), w the angle of the year. The first column alone is not
shrunk. Values of one profile say less than as many of different ones: their weight is `effective / n`. MacKay (1992), "Bayesian
interpolation", doi:10.1162/neco.1992.4.3.415, section 4.
"""

__all__ = ["YEAR", "SeasonalBasis", "SeasonalRegression"]

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

YEAR = 365.2425
"""Days."""

_DEPTH_SCALE = 100.0
_LEAST_MONTHS = 8
_LEAST_TREND = 3 * YEAR
_FLAT = 1e6


@dataclass(frozen=True)
class SeasonalBasis:
    """The columns of the regression, each a function of place, depth and day.

    Arguments:
        centre: Mean of the places on the unit sphere.
        radius: The largest distance of a place from it, 1 where there is none.
        middle: Of transformed depth and day.
        half: Half of their ranges, 1 where there is none.
        depths: Degree of the polynomial in depth.
        harmonics: Of the year: 0, 1 or 2.
        trend: Whether there is a linear trend.
    """

    centre: tuple[float, float, float]
    radius: float
    middle: tuple[float, float]
    half: tuple[float, float]
    depths: int
    harmonics: int
    trend: bool

    @classmethod
    def covering(
        cls, lat: np.ndarray, lon: np.ndarray, depth: np.ndarray, days: np.ndarray, *, trend: bool = True
    ) -> Self:
        """The columns that some observations can say something of, each (n,); days since 1970, depth in metres."""
        places = _unit(lat, lon)
        centre = places.mean(axis=0)
        radius = float(np.linalg.norm(places - centre, axis=1).max()) or 1.0
        axes = (_transformed(depth), days)
        middle = tuple(float(0.5 * (a.min() + a.max())) for a in axes)
        half = tuple(float(0.5 * np.ptp(a)) or 1.0 for a in axes)
        # a season that was half seen is extrapolated by any harmonic
        months = np.unique(np.floor(days % YEAR / (YEAR / 12))).size
        return cls(
            centre=tuple(centre.tolist()),
            radius=radius,
            middle=middle,  # type: ignore[arg-type]
            half=half,  # type: ignore[arg-type]
            depths=min(np.unique(np.round(axes[0], 2)).size - 1, 5),
            harmonics=2 if months >= _LEAST_MONTHS else 0,
            trend=trend and bool(np.ptp(days) >= _LEAST_TREND),
        )

    def columns(
        self, lat: np.ndarray, lon: np.ndarray, depth: np.ndarray, days: np.ndarray
    ) -> tuple[np.ndarray, list[str]]:
        """H (n, column) and the group of every column; beyond what was seen a place counts as the edge."""
        place = (_unit(lat, lon) - np.array(self.centre)) / self.radius
        place = place / np.maximum(np.linalg.norm(place, axis=1, keepdims=True), 1.0)
        z, t = (
            np.clip((a - m) / h, -1.0, 1.0)
            for a, m, h in zip((_transformed(depth), days), self.middle, self.half, strict=True)
        )
        x = list(place.T)
        groups: dict[str, list[np.ndarray]] = {"constant": [np.ones(z.size)]}
        groups["position"] = x
        # the root of two: no direction is dearer than another, however the axes lie
        cross = [np.sqrt(2.0) * x[i] * x[j] for i, j in ((0, 1), (0, 2), (1, 2))]
        groups["position squared"] = [part * part for part in x] + cross
        level = [np.polynomial.legendre.legval(z, [0.0] * k + [1.0]) for k in range(1, self.depths + 1)]
        groups["depth"] = level
        groups["depth and position"] = [a * b for a in level for b in x]
        for k in range(1, self.harmonics + 1):
            angle = 2 * np.pi * k * days / YEAR
            season = [np.cos(angle), np.sin(angle)]
            groups[f"season {k}"] = season
            groups[f"season {k} and depth"] = [a * b for a in season for b in level]
            groups[f"season {k} and position"] = [a * b for a in season for b in x]
        if self.trend:
            groups["trend"] = [t]
            groups["trend and depth"] = [t * b for b in level]
        names = [name for name, parts in groups.items() for _ in parts]
        return np.stack([column for parts in groups.values() for column in parts], axis=1), names


@dataclass(frozen=True)
class SeasonalRegression:
    """The fitted coefficients.

    Arguments:
        basis: Of the columns.
        beta: (column,), units of the values.
        covariance: Of beta, (column, column).
        variances: v_g by group.
        noise: Variance of what the regression leaves.
    """

    basis: SeasonalBasis
    beta: np.ndarray
    covariance: np.ndarray
    variances: Mapping[str, float]
    noise: float

    @classmethod
    def fit(
        cls,
        basis: SeasonalBasis,
        columns: np.ndarray,
        names: list[str],
        values: np.ndarray,
        *,
        effective: float | None = None,
    ) -> Self:
        """By least squares and the evidence, as if what is left were white.

        Arguments:
            basis: Of the columns.
            columns: H (n, column).
            names: Group of every column.
            values: (n,).
            effective: How many independent values these are; n if not given.
        """
        weight = 1.0 if effective is None else min(1.0, effective / len(values))
        count = weight * len(values)
        shift = float(values.mean())
        y = values - shift
        gram, moment, square = weight * columns.T @ columns, weight * columns.T @ y, weight * float(y @ y)
        least = 1e-12 * (1 + shift**2)  # values that are all the same have no variance to divide by
        noise = max(square / count, least)
        variances = dict.fromkeys(names, noise)
        beta, covariance = np.zeros(len(names)), np.eye(len(names))
        for _ in range(60):
            beta, covariance = _posterior(gram / noise, moment / noise, _prior(names, variances))
            freedom = len(names) - float((np.diag(covariance) / _prior(names, variances)).sum())
            rest = square - 2 * beta @ moment + beta @ gram @ beta
            noise = max(rest / max(count - freedom, 0.1 * count, 1.0), least)
            variances = _evidence(names, beta, covariance, variances)
        beta = beta.copy()
        beta[0] += shift
        return cls(basis, beta, covariance, variances, noise)

    def refit(self, gram: np.ndarray, moment: np.ndarray, names: list[str], *, learn: bool = True) -> Self:
        """By generalised least squares.

        Arguments:
            gram: H' K^-1 H.
            moment: H' K^-1 (y - the first coefficient).
            names: Group of every column.
            learn: Whether the variances are learnt again.
        """
        variances = dict(self.variances)
        beta, covariance = _posterior(gram, moment, _prior(names, variances))
        for _ in range(30 if learn else 0):
            variances = _evidence(names, beta, covariance, variances)
            beta, covariance = _posterior(gram, moment, _prior(names, variances))
        beta = beta.copy()
        beta[0] += self.beta[0]
        return type(self)(self.basis, beta, covariance, variances, self.noise)

    def at(self, columns: np.ndarray) -> np.ndarray:
        """The mean: (n,)."""
        return columns @ self.beta

    def without_trend(self, middle: float) -> tuple[Self, float]:
        """The regression with what it says on the day `middle` of a trend for all days, and the trend at depth 0 per day."""
        if not self.basis.trend:
            return self, 0.0
        basis = replace(self.basis, trend=False)
        names = self.basis.columns(*np.zeros((4, 1)))[1]
        season = ["trend" not in name for name in names]
        beta = self.beta[season]
        slope = float(self.beta[names.index("trend")]) / self.basis.half[1]
        beta[0] += slope * (middle - self.basis.middle[1])
        covariance = self.covariance[np.ix_(season, season)]
        variances = {name: v for name, v in self.variances.items() if "trend" not in name}
        return type(self)(basis, beta, covariance, variances, self.noise), slope

    def variance(self, columns: np.ndarray) -> np.ndarray:
        """Of that mean: (n,)."""
        return np.einsum("ni,ij,nj->n", columns, self.covariance, columns, optimize=True)


def _unit(lat: np.ndarray, lon: np.ndarray) -> np.ndarray:
    """Points on the unit sphere: (n, 3)."""
    phi, lam = np.radians(lat), np.radians(lon)
    return np.stack([np.cos(phi) * np.cos(lam), np.cos(phi) * np.sin(lam), np.sin(phi)], axis=1)


def _transformed(depth: np.ndarray) -> np.ndarray:
    return np.log1p(depth / _DEPTH_SCALE)


def _prior(names: list[str], variances: Mapping[str, float]) -> np.ndarray:
    """Variance of every coefficient; the constant is free."""
    free = _FLAT * max(max(variances.values()), 1e-12)
    return np.array([free if name == "constant" else variances[name] for name in names])


def _posterior(gram: np.ndarray, moment: np.ndarray, prior: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and covariance of beta; scaled by the prior's deviations, so that a variance of nearly 0 does no harm."""
    s = np.sqrt(prior)
    inner = np.linalg.inv(s[:, None] * gram * s + np.eye(s.size))
    covariance = s[:, None] * inner * s
    return covariance @ moment, covariance


def _evidence(
    names: list[str], beta: np.ndarray, covariance: np.ndarray, variances: Mapping[str, float]
) -> dict[str, float]:
    """One step towards the variances of the highest evidence (expectation maximisation, which never falls)."""
    power = beta**2 + np.diag(covariance)
    return {
        g: v if g == "constant" else max(float(power[[n == g for n in names]].mean()), 1e-9 * variances["constant"])
        for g, v in variances.items()
    }

"""The regression on season and position: what is there is found, what is not is drawn to zero."""

import numpy as np
import pytest

from driftfield.gaussian.seasonal_regression import YEAR, SeasonalBasis, SeasonalRegression


def _places(n: int, seed: int, years: float = 10.0) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(seed)
    return rng.uniform(40, 45, n), rng.uniform(-60, -55, n), np.zeros(n), rng.uniform(0, years * YEAR, n)


def _truth(lat: np.ndarray, lon: np.ndarray, days: np.ndarray) -> np.ndarray:
    return 12 - 1.5 * (lat - 42.5) + 6 * np.cos(2 * np.pi * (days - 230) / YEAR)


def _fit(n: int, seed: int, noise: float) -> tuple[SeasonalRegression, float]:
    """The regression and its error on new places."""
    lat, lon, depth, days = _places(n, seed)
    basis = SeasonalBasis.covering(lat, lon, depth, days)
    columns, names = basis.columns(lat, lon, depth, days)
    y = _truth(lat, lon, days) + noise * np.random.default_rng(seed + 1).standard_normal(n)
    fitted = SeasonalRegression.fit(basis, columns, names, y)
    lat, lon, depth, days = _places(2000, 99)
    return fitted, float(
        np.sqrt(((fitted.at(basis.columns(lat, lon, depth, days)[0]) - _truth(lat, lon, days)) ** 2).mean())
    )


def test_the_season_and_the_slope_are_found() -> None:
    fitted, error = _fit(3000, 0, 1.0)
    assert error < 0.1
    assert np.sqrt(fitted.noise) == pytest.approx(1.0, rel=0.05)


def test_few_values_are_shrunk_below_the_error_of_least_squares() -> None:
    errors, plain = [], []
    for seed in range(8):
        fitted, error = _fit(40, seed, 2.0)
        lat, lon, depth, days = _places(40, seed)
        y = _truth(lat, lon, days) + 2.0 * np.random.default_rng(seed + 1).standard_normal(40)
        beta = np.linalg.lstsq(fitted.basis.columns(lat, lon, depth, days)[0], y, rcond=None)[0]
        there = _places(2000, 99)
        rest = fitted.basis.columns(*there)[0] @ beta - _truth(there[0], there[1], there[3])
        errors.append(error)
        plain.append(np.sqrt((rest**2).mean()))
    assert np.mean(errors) < 0.85 * np.mean(plain)


def test_groups_that_say_nothing_vanish() -> None:
    fitted, _ = _fit(3000, 3, 1.0)
    assert fitted.variances["season 1"] > 100 * fitted.variances["season 2"]
    assert fitted.variances["position"] > 100 * fitted.variances["trend"]


def test_an_offset_and_a_factor_pass_through() -> None:
    lat, lon, depth, days = _places(60, 5)
    basis = SeasonalBasis.covering(lat, lon, depth, days)
    columns, names = basis.columns(lat, lon, depth, days)
    y = _truth(lat, lon, days) + np.random.default_rng(6).standard_normal(60)
    first = SeasonalRegression.fit(basis, columns, names, y)
    second = SeasonalRegression.fit(basis, columns, names, 10 * y + 273.15)
    np.testing.assert_allclose(second.at(columns), 10 * first.at(columns) + 273.15, rtol=1e-4)


def test_a_record_of_some_months_has_no_season_and_a_year_no_trend() -> None:
    lat, lon, depth, days = _places(50, 7, years=0.4)
    assert SeasonalBasis.covering(lat, lon, depth, days).harmonics == 0
    lat, lon, depth, days = _places(500, 7, years=1.0)
    basis = SeasonalBasis.covering(lat, lon, depth, days)
    assert basis.harmonics == 2
    assert not basis.trend


def test_beyond_the_box_that_was_seen_a_place_counts_as_its_edge() -> None:
    lat, lon, depth, days = _places(500, 8)
    basis = SeasonalBasis.covering(lat, lon, depth, days)
    far, later = np.full(5, lat.max() + 30), np.full(5, days.max() + 9 * YEAR)
    columns, names = basis.columns(far, lon[:5], depth[:5], later)
    place = columns[:, [n == "position" for n in names]]
    np.testing.assert_allclose(np.linalg.norm(place, axis=1), 1.0)
    np.testing.assert_allclose(columns[:, names.index("trend")], 1.0)


def test_no_pole_and_no_seam_is_special() -> None:
    """The same places turned about the axis of the earth, or about another one, have the same regression."""
    lat, lon, depth, days = _places(80, 12)
    y = _truth(lat, lon, days) + np.random.default_rng(13).standard_normal(80)
    phi, lam = np.radians(lat), np.radians(lon)
    places = np.stack([np.cos(phi) * np.cos(lam), np.cos(phi) * np.sin(lam), np.sin(phi)])
    turned = np.linalg.qr(np.random.default_rng(14).standard_normal((3, 3)))[0] @ places
    other = np.degrees(np.arcsin(turned[2])), np.degrees(np.arctan2(turned[1], turned[0]))
    answers = []
    for a, b in ((lat, lon), (lat, lon + 360), other):
        basis = SeasonalBasis.covering(a, b, depth, days)
        columns, names = basis.columns(a, b, depth, days)
        answers.append(SeasonalRegression.fit(basis, columns, names, y).at(columns))
    np.testing.assert_allclose(answers[1], answers[0], atol=1e-8)
    np.testing.assert_allclose(answers[2], answers[0], atol=1e-6)


def test_generalised_least_squares_is_the_textbook_answer() -> None:
    lat, lon, depth, days = _places(80, 9)
    basis = SeasonalBasis.covering(lat, lon, depth, days)
    columns, names = basis.columns(lat, lon, depth, days)
    rng = np.random.default_rng(10)
    root = rng.standard_normal((80, 80)) / 9 + np.eye(80)
    precision = np.linalg.inv(root @ root.T)
    y = _truth(lat, lon, days)
    first = SeasonalRegression.fit(basis, columns, names, y)
    again = first.refit(
        columns.T @ precision @ columns, columns.T @ precision @ (y - first.beta[0]), names, learn=False
    )
    prior = np.array([1e6 * max(first.variances.values()) if n == "constant" else first.variances[n] for n in names])
    gram = columns.T @ precision @ columns + np.diag(1 / prior)
    beta = np.linalg.solve(gram, columns.T @ precision @ (y - first.beta[0]))
    beta[0] += first.beta[0]
    np.testing.assert_allclose(again.at(columns), columns @ beta, rtol=1e-6)
    np.testing.assert_allclose(again.variance(columns), np.diag(columns @ np.linalg.inv(gram) @ columns.T), rtol=1e-5)

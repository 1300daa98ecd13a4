"""The calibration of a spread: the same law for any numbers that a search tries, and no warning of a library."""

import warnings

import numpy as np
import pytest

from driftfield.gaussian.tuning import SpreadPower, fit_spread


def residuals(size: int, ratio: tuple[float, float], error: float, rows: int, seed: int) -> np.ndarray:
    """(row, error, sd, prior) with ratios of spread to prior between two numbers and errors of a size."""
    rng = np.random.default_rng(seed)
    prior = rng.uniform(0.5, 2.0, size)
    sd = prior * np.exp(rng.uniform(*np.log(ratio), size))
    return np.stack([rng.integers(rows, size=size), error * rng.standard_normal(size), sd, prior])


@pytest.mark.parametrize("error", [0.0, 1e-12, 1e-3, 1.0, 1e6, 1e30])
@pytest.mark.parametrize("ratio", [(1e-6, 1.0), (0.999, 1.0), (1e-9, 1e-8), (1.0, 5.0)])
@pytest.mark.parametrize("rows", [1, 2])
def test_a_search_that_runs_away_warns_of_nothing_and_ends_in_numbers(
    error: float, ratio: tuple[float, float], rows: int
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = fit_spread({"a": residuals(200, ratio, error, rows, 0), "none": np.zeros((4, 0))}, rows)
        spread = found.calibration.apply(np.full((rows, 3), 1e-9), np.ones((rows, 3)))
    assert np.isfinite(found.score)
    assert np.isfinite(found.calibration.scale).all()
    assert np.isfinite(spread).all()
    assert (spread >= 0).all()
    assert (spread <= 2.0 * (1 + 1e-12)).all()


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("power", [-400.0, -1.0, 0.0, 0.9, 3.0, 400.0])
@pytest.mark.parametrize("scale", [0.0, 1e-200, 0.7, 1e200])
def test_the_power_law_is_bounded_by_twice_the_prior(power: float, scale: float) -> None:
    sd, prior = np.array([[1e-3, 0.1, 0.5, 1.0]]), np.array([[1.0, 1.0, 2.0, 1.0]])
    with np.errstate(divide="ignore"):
        shift = np.log(scale)
    exact = np.minimum(shift + power * np.log(np.maximum(sd / prior, 1e-4)), np.log(2.0))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = SpreadPower(np.array([scale]), power).apply(sd, prior)
    np.testing.assert_allclose(found, prior * np.exp(exact), rtol=1e-9, atol=1e-200)
    assert (found <= 2.0 * prior).all()

"""Smoothing keeps a constant, ignores land, and leaves NaN outside the domain."""

import numpy as np
import pytest

from driftfield.data.smoothing import smooth
from driftfield.errors import ConfigurationError


def coast() -> np.ndarray:
    domain = np.ones((20, 30), bool)
    domain[:8, :10] = False
    return domain


@pytest.mark.parametrize("periodic", [False, True])
def test_a_constant_stays_constant_up_to_the_coast(periodic: bool) -> None:
    smoothed = smooth(np.full((2, 20, 30), 7.0), coast(), 3.0, periodic=periodic)
    np.testing.assert_allclose(smoothed[:, coast()], 7.0)
    assert np.isnan(smoothed[:, ~coast()]).all()


def test_land_never_mixes_into_the_ocean() -> None:
    values = np.random.default_rng(0).standard_normal((20, 30))
    wild = np.where(coast(), values, 1e9)
    np.testing.assert_array_equal(smooth(values, coast(), 2.0), smooth(wild, coast(), 2.0))
    np.testing.assert_array_equal(smooth(values, coast(), 2.0), smooth(np.where(coast(), values, np.nan), coast(), 2.0))


def test_it_smooths_and_wraps() -> None:
    values = np.random.default_rng(0).standard_normal((20, 30))
    everywhere = np.ones((20, 30), bool)
    assert smooth(values, everywhere, 2.0).std() < 0.3 * values.std()
    np.testing.assert_array_equal(smooth(values, everywhere, 0.0), values)
    rolled = np.roll(smooth(values, everywhere, 2.0, periodic=True), 7, axis=1)
    np.testing.assert_allclose(smooth(np.roll(values, 7, axis=1), everywhere, 2.0, periodic=True), rolled, atol=1e-12)
    with pytest.raises(ConfigurationError, match="0 or more"):
        smooth(values, everywhere, -1.0)

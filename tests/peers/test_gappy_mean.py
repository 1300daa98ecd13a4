"""Mean and spread of a gappy record: the plain mean where much was seen, the trend where little was, nothing from land."""

import numpy as np
import pytest

from driftfield.gaussian.gappy_mean import RunningSums, smooth_mean_and_sd

DOMAIN = np.ones((12, 16), dtype=bool)
DOMAIN[:3, :4] = False


def record(times: int, share: float, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    slope = np.linspace(15, 20, 16)[None, None] + np.linspace(0, 2, 12)[None, :, None]
    fields = slope + 0.5 * rng.standard_normal((times, 12, 16))
    return np.where(DOMAIN & (rng.random(fields.shape) < share), fields, np.nan)


def test_much_seen_gives_mean_and_spread() -> None:
    fields = record(400, 1.0)
    mean, sd = smooth_mean_and_sd(RunningSums.of([fields[:100], fields[100:]]), DOMAIN, periodic=False)
    truth = np.linspace(15, 20, 16)[None] + np.linspace(0, 2, 12)[:, None]
    assert np.abs(mean - truth)[DOMAIN].max() < 0.2
    assert np.abs(sd - 0.5)[DOMAIN].max() < 0.1


def test_little_seen_is_finite_and_near() -> None:
    fields = record(4, 0.3)
    fields[:, 6:, 6:] = np.nan
    mean, sd = smooth_mean_and_sd(RunningSums.of([fields]), DOMAIN, periodic=False)
    assert np.isfinite(mean).all()
    assert (sd > 0).all()
    assert np.abs(mean - 18).max() < 5


def test_land_has_no_say() -> None:
    fields = record(20, 0.7)
    other = fields.copy()
    other[:, ~DOMAIN] = 1e4
    for one, two in zip(
        *(smooth_mean_and_sd(RunningSums.of([f]), DOMAIN, periodic=True) for f in (fields, other)), strict=True
    ):
        np.testing.assert_array_equal(one, two)


def test_what_is_hidden_can_be_taken_out() -> None:
    fields = record(20, 0.7)
    rng = np.random.default_rng(1)
    hidden = rng.random(fields.shape) < 0.4
    rest = RunningSums.of([fields]) - RunningSums.of([np.where(hidden, fields, np.nan)])
    direct = RunningSums.of([np.where(hidden, np.nan, fields)])
    for one, two in zip(
        smooth_mean_and_sd(rest, DOMAIN, periodic=False),
        smooth_mean_and_sd(direct, DOMAIN, periodic=False),
        strict=True,
    ):
        np.testing.assert_allclose(one, two, rtol=1e-8)


@pytest.mark.parametrize("offset", [0.0, 273.15, 1e5])
def test_a_change_of_origin_moves_the_mean_and_nothing_else(offset: float) -> None:
    fields = record(20, 0.7)
    mean, sd = smooth_mean_and_sd(RunningSums.of([fields]), DOMAIN, periodic=False)
    moved, same = smooth_mean_and_sd(RunningSums.of([fields + offset]), DOMAIN, periodic=False)
    np.testing.assert_allclose(moved, mean + offset, rtol=1e-6, atol=1e-5)
    np.testing.assert_allclose(same, sd, rtol=1e-3)

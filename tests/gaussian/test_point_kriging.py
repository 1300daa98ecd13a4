"""Kriging of scattered values: the dense answer, no steps between tiles, and a covariance that is found again."""

import numpy as np
import pytest

from driftfield.gaussian.point_kriging import _tiles, krige, krige_smoothly
from driftfield.gaussian.point_likelihood import PointSample, Stated, fit_covariance, independent_blocks
from driftfield.gaussian.space_time_covariance import Component, Places, SpaceTimeCovariance

COVARIANCE = SpaceTimeCovariance((Component(0.7, 90.0, 60.0, 12.0), Component(0.2, 30.0, 30.0, 4.0, shape=1.5)), 0.1)


def _sample(n: int, seed: int) -> PointSample:
    rng = np.random.default_rng(seed)
    zero = np.zeros(n)
    places = Places(rng.uniform(40, 43, n), rng.uniform(0, 4, n), zero, zero)
    return PointSample(places, rng.uniform(0, 60, n), rng.uniform(0, 0.05, n))


def _dense(covariance: SpaceTimeCovariance, a: PointSample, b: PointSample) -> np.ndarray:
    """Covariance of the smooth part, written out."""
    total = np.zeros((len(a), len(b)))
    for part in covariance.components:
        p, q = (np.c_[part.embed(s.places), s.days / part.days] for s in (a, b))
        d = np.sqrt(((p[:, None] - q[None]) ** 2).sum(-1))
        total += part.share * (np.exp(-d) if part.shape == 0.5 else (1 + np.sqrt(3) * d) * np.exp(-np.sqrt(3) * d))
    return total


def test_mean_and_variance_are_those_of_the_normal_equations() -> None:
    sample, targets = _sample(80, 0), _sample(30, 1)
    y = np.random.default_rng(2).standard_normal((80, 3))
    mean, variance = krige(COVARIANCE, sample, y, targets.places, targets.days)
    gain = np.linalg.solve(
        _dense(COVARIANCE, sample, sample) + np.diag(0.1 + sample.noise), _dense(COVARIANCE, sample, targets)
    )
    np.testing.assert_allclose(mean, gain.T @ y, atol=1e-6)
    expected = 0.9 - (gain * _dense(COVARIANCE, sample, targets)).sum(axis=0)
    np.testing.assert_allclose(variance, expected, atol=1e-6)


def test_without_values_it_is_the_prior() -> None:
    sample, targets = _sample(5, 0), _sample(4, 1)
    none = np.zeros(0, dtype=int)
    mean, variance = krige(COVARIANCE, sample[none], np.zeros((0, 1)), targets.places, targets.days)
    np.testing.assert_allclose(mean, 0.0)
    np.testing.assert_allclose(variance, 0.9)


def test_few_values_need_no_tiles() -> None:
    sample, targets = _sample(80, 3), _sample(30, 4)
    y = np.random.default_rng(5).standard_normal((80, 1))
    whole = krige(COVARIANCE, sample, y, targets.places, targets.days)
    smooth = krige_smoothly(COVARIANCE, sample, y, targets.places, targets.days, most=80)
    np.testing.assert_allclose(smooth[0], whole[0], atol=0.02)
    np.testing.assert_allclose(smooth[1], whole[1], atol=0.02)


def test_tiles_share_every_place_among_them() -> None:
    places = _sample(200, 6).places
    weights = np.array(_tiles(places, 4))
    assert weights.min() >= 0
    np.testing.assert_allclose(weights.sum(axis=0), 1.0)


def test_tiles_leave_no_step() -> None:
    sample = _sample(900, 7)
    y = sample.places.lat[:, None] * 3.0 - 124.0
    lon = np.linspace(0.2, 3.8, 400)
    line = Places(np.full(400, 41.7), lon, np.zeros(400), np.zeros(400))
    day = np.full(400, 30.0)
    rough = Component(1.0, 90.0, 60.0, 12.0, shape=1.5)
    covariance = SpaceTimeCovariance((rough,), 0.1)
    whole = krige(covariance, sample, y, line, day)[0][:, 0]
    tiled, variance = krige_smoothly(covariance, sample, y, line, day, most=150)
    assert np.abs(np.diff(tiled[:, 0])).max() < 3 * np.abs(np.diff(whole)).max()
    assert np.abs(np.diff(variance)).max() < 0.02
    assert np.abs(tiled[:, 0] - whole).mean() < 0.1 * np.abs(y).mean()


def test_one_pass_gives_neither_a_step_nor_a_spread_that_is_largest_on_it() -> None:
    lat = np.linspace(41, 45, 70)
    track = PointSample(Places(lat, 31 - 0.35 * (lat - 41), np.zeros(70), np.zeros(70)), np.full(70, 5.0), np.zeros(70))
    y = np.sin(2 * (lat - 41))[:, None]
    lon = np.arange(28, 34, 0.05)
    row = Places(np.full(lon.size, 43.0), lon, np.zeros(lon.size), np.zeros(lon.size))
    smooth = SpaceTimeCovariance((Component(1.0, 80.0, 80.0, 30.0, shape=1.5),), 1e-4)
    for later in (0.0, 10.0):
        mean, variance = krige_smoothly(smooth, track, y, row, np.full(lon.size, 5.0 + later))
        steps = np.abs(np.diff(mean[:, 0]))
        assert steps.max() < 0.1 * np.abs(y).max()
        # the largest step is no more than the steps beside it say
        assert np.abs(np.diff(steps)).max() < 0.25 * steps.max()
        assert abs(lon[variance.argmin()] - 30.3) < 0.1
        assert variance.argmax() in (0, lon.size - 1)


def test_the_covariance_is_found_again() -> None:
    sample = _sample(700, 8)
    truth = SpaceTimeCovariance((Component(0.9, 80.0, 80.0, 10.0),), 0.1)
    matrix = _dense(truth, sample, sample) + np.diag(0.1 + sample.noise)
    y = np.linalg.cholesky(matrix) @ np.random.default_rng(9).standard_normal(700)
    found = fit_covariance(sample, y, shapes=(0.5,))
    part = found.components[0]
    assert np.sqrt(part.zonal * part.meridional) == pytest.approx(80.0, rel=0.5)
    assert part.days == pytest.approx(10.0, rel=0.5)
    assert found.variance == pytest.approx(1.0, rel=0.4)


def test_what_is_stated_is_not_moved() -> None:
    sample = _sample(200, 10)
    y = np.random.default_rng(11).standard_normal(200)
    found = fit_covariance(sample, y, shapes=(0.5,), stated=Stated(length=55.0, days=3.0, noise=0.2))
    part = found.components[0]
    assert np.sqrt(part.zonal * part.meridional) == pytest.approx(55.0, rel=0.01)
    assert part.days == pytest.approx(3.0, rel=0.01)
    assert found.nugget == pytest.approx(0.2, rel=0.01)


def test_every_value_is_in_one_block() -> None:
    blocks = independent_blocks(_sample(333, 12), 50.0, 10.0)
    assert sorted(np.concatenate(blocks).tolist()) == list(range(333))


def test_draws_at_scattered_places_have_the_covariance() -> None:
    sample = _sample(6, 13)
    draws = np.stack(
        [COVARIANCE.draw_at(sample.places, sample.days, np.random.default_rng(i), waves=64) for i in range(3000)]
    )
    np.testing.assert_allclose(np.cov(draws.T), _dense(COVARIANCE, sample, sample), atol=0.09)
    np.testing.assert_allclose(
        COVARIANCE.matrix(COVARIANCE.embed(sample.places, sample.days), sample.noise),
        _dense(COVARIANCE, sample, sample) + np.diag(0.1 + sample.noise),
        atol=1e-6,
    )

"""Optimal interpolation of a Gaussian with known covariance is the closed-form posterior."""

import numpy as np
from test_covariance import dense, hybrid

from driftfield.gaussian.conditioning import SeenCells, condition


def observations(noise: float, count: int = 25) -> tuple[SeenCells, np.ndarray]:
    rng = np.random.default_rng(7)
    state = np.sort(rng.choice(120, count, replace=False))
    rows, cells = np.divmod(state, 40)
    return SeenCells(rows, cells, rng.standard_normal(count), np.full(count, noise)), state


def posterior(noise: float) -> tuple[np.ndarray, np.ndarray]:
    seen, state = observations(noise)
    prior = dense(hybrid())
    gain = np.linalg.solve(prior[np.ix_(state, state)] + noise * np.eye(len(state)), prior[state]).T
    return gain @ seen.values, prior - gain @ prior[state]


def test_mean_and_variance_are_exact() -> None:
    seen, _ = observations(0.1)
    mean, variance, _ = condition(hybrid(), seen, rows=np.arange(3), wanted=np.ones(40, dtype=bool), tile_cells=7)
    expected, covariance = posterior(0.1)
    np.testing.assert_allclose(mean.ravel(), expected, atol=1e-6)
    np.testing.assert_allclose(variance.ravel(), np.diag(covariance), atol=1e-6)


def test_perfect_observations_are_honoured() -> None:
    seen, state = observations(0.0)
    mean, variance, _ = condition(hybrid(), seen, rows=np.arange(3), wanted=np.ones(40, dtype=bool))
    np.testing.assert_allclose(mean.ravel()[state], seen.values, atol=1e-6)
    np.testing.assert_allclose(variance.ravel()[state], 0.0, atol=1e-6)


def test_members_have_the_posterior_covariance() -> None:
    covariance, (seen, _) = hybrid(np.float32), observations(0.1)
    rng = np.random.default_rng(8)
    draws = np.stack([covariance.draw(rng) for _ in range(6000)])
    mean, _, members = condition(
        covariance,
        seen,
        rows=np.arange(3),
        wanted=np.ones(40, dtype=bool),
        draws=draws,
        draw_noise=rng.standard_normal((6000, len(seen))).astype(np.float32),
    )
    expected, spread = posterior(0.1)
    flat = members.reshape(6000, -1).astype(float)
    np.testing.assert_allclose(flat.mean(axis=0), expected, atol=0.06)
    np.testing.assert_allclose(mean.ravel(), expected, atol=1e-3)
    np.testing.assert_allclose(np.cov(flat.T), spread, atol=0.1)


def test_the_nearest_observations_are_nearly_enough() -> None:
    seen, _ = observations(0.1)
    everywhere = {"rows": np.arange(3), "wanted": np.ones(40, dtype=bool), "tile_cells": 4}
    exact, _, _ = condition(hybrid(), seen, **everywhere)
    local, variance, _ = condition(hybrid(), seen, most=18, **everywhere)
    assert np.sqrt(np.mean((local - exact) ** 2)) < 0.15 * exact.std()
    assert (variance >= 0).all()


def test_without_observations_the_prior_remains() -> None:
    nothing = SeenCells(*(np.zeros(0, dtype=int),) * 2, *(np.zeros(0),) * 2)
    covariance = hybrid()
    mean, variance, _ = condition(covariance, nothing, rows=np.arange(2), wanted=np.ones(40, dtype=bool))
    assert not mean.any()
    np.testing.assert_allclose(variance, covariance.variance(np.arange(2), np.arange(40)))

"""A covariance is symmetric, positive, and what its draws have."""

import numpy as np
import pytest

from driftfield.gaussian.covariance import (
    EmbeddedGrid,
    HybridCovariance,
    ZonalCovariance,
    lag_correlation,
    localisation,
    positive,
)


def exponential(grid: EmbeddedGrid, length: float = 4000.0) -> np.ndarray:
    zonal, meridional = grid.separation
    return np.exp(-np.sqrt(zonal**2 + meridional**2) / length)


def small_grid(periodic: bool) -> EmbeddedGrid:
    return EmbeddedGrid(np.linspace(-40, 40, 5), np.arange(8) * (45.0 if periodic else 6.0), periodic)


@pytest.mark.parametrize("periodic", [True, False])
def test_a_projected_table_is_a_correlation(periodic: bool) -> None:
    grid = small_grid(periodic)
    rng = np.random.default_rng(0)
    table = exponential(grid) + 0.1 * rng.standard_normal((5, 5, grid.lags))
    covariance = ZonalCovariance(positive(table), 8)
    cells = np.arange(40)
    matrix = covariance.between(cells, cells)
    np.testing.assert_allclose(matrix, matrix.T, atol=1e-6)
    np.testing.assert_allclose(np.diag(matrix), 1.0, atol=1e-6)
    assert np.linalg.eigvalsh(matrix.astype(float)).min() > -1e-5


@pytest.mark.parametrize("periodic", [True, False])
def test_projection_leaves_a_correlation_alone(periodic: bool) -> None:
    table = exponential(small_grid(periodic), 1000.0)
    once = positive(table)
    np.testing.assert_allclose(positive(once), once, atol=1e-5)


@pytest.mark.parametrize("periodic", [True, False])
def test_draws_have_the_covariance(periodic: bool) -> None:
    covariance = ZonalCovariance(positive(exponential(small_grid(periodic))), 8)
    rng = np.random.default_rng(1)
    draws = np.stack([covariance.draw(rng).ravel() for _ in range(20_000)])
    cells = np.arange(40)
    np.testing.assert_allclose(draws.T @ draws / len(draws), covariance.between(cells, cells), atol=0.05)


def test_longitude_closes_only_where_it_is_periodic() -> None:
    first, last = np.array([16]), np.array([23])
    round_world = ZonalCovariance(positive(exponential(small_grid(True), 9000.0)), 8).between(first, last)
    strip = ZonalCovariance(positive(exponential(small_grid(False), 2000.0)), 8).between(first, last)
    assert round_world[0, 0] > 0.5
    assert strip[0, 0] < 0.2


def test_lag_correlation_finds_the_truth_behind_land() -> None:
    grid = small_grid(True)
    truth = positive(exponential(grid))
    covariance = ZonalCovariance(truth, 8)
    rng = np.random.default_rng(2)
    fields = np.stack([covariance.draw(rng) for _ in range(4000)])
    known = np.ones((5, 8), dtype=bool)
    known[1:3, 2:4] = False
    spoiled = np.where(known, fields, 1e6)
    found, pairs = lag_correlation(spoiled, known, grid)
    np.testing.assert_allclose(found, truth, atol=0.06)
    assert pairs[1, 1, 0] == 6


def test_lag_correlation_finds_the_truth_between_changing_gaps() -> None:
    grid = small_grid(True)
    truth = positive(exponential(grid))
    covariance, rng = ZonalCovariance(truth, 8), np.random.default_rng(2)
    fields = np.stack([covariance.draw(rng) for _ in range(4000)])
    known = rng.random(fields.shape) < 0.6
    found, pairs = lag_correlation(np.where(known, fields, 1e6), known, grid)
    np.testing.assert_allclose(found, truth, atol=0.08)
    assert pairs[1, 1, 0] == pytest.approx(8 * 0.6, rel=0.05)
    assert pairs[1, 1, 3] == pytest.approx(8 * 0.36, rel=0.05)


def test_localisation_is_the_gaussian_of_the_distance() -> None:
    grid = small_grid(True)
    factor = localisation(grid.points, 5000.0, tolerance=1e-6)
    distance = np.linalg.norm(grid.points[:, None] - grid.points[None], axis=-1)
    np.testing.assert_allclose(factor @ factor.T, np.exp(-0.5 * (distance / 5000.0) ** 2), atol=1e-3)


def hybrid(dtype: type = np.float64, weight: float = 0.4) -> HybridCovariance:
    grid = small_grid(True)
    rng = np.random.default_rng(3)
    tables = [exponential(grid, length).astype(dtype) for length in (5000.0, 1500.0)]
    loadings = np.array([[0.9, 0.3], [0.7, -0.6], [0.95, 0.1]], dtype=dtype)
    return HybridCovariance(
        grid=grid,
        loadings=loadings,
        modes=tuple(ZonalCovariance(table, 8) for table in tables),
        nugget=np.array([0.05, 0.1, 0.02], dtype=dtype),
        samples=rng.standard_normal((6, 3, 40)).astype(dtype),
        locality=localisation(grid.points, 4000.0).astype(dtype),
        weight=weight,
    )


def dense(covariance: HybridCovariance) -> np.ndarray:
    """The whole matrix (row * cell, row * cell), nugget included, entry by entry from the definition."""
    cells = np.arange(40)
    blocks = np.zeros((3, 40, 3, 40))
    local = covariance.locality @ covariance.locality.T
    for r in range(3):
        for s in range(3):
            for k, mode in enumerate(covariance.modes):
                share = (1 - covariance.weight) * covariance.loadings[r, k] * covariance.loadings[s, k]
                blocks[r, :, s] += share * mode.between(cells, cells)
            past = covariance.samples[:, r].T @ covariance.samples[:, s] / len(covariance.samples)
            blocks[r, :, s] += covariance.weight * local * past
        blocks[r, cells, r, cells] += covariance.nugget[r]
    return blocks.reshape(120, 120)


def test_blocks_of_the_hybrid_are_those_of_its_definition() -> None:
    covariance = hybrid()
    rng = np.random.default_rng(4)
    state = rng.choice(120, 30, replace=False)
    rows, cells = np.divmod(state, 40)
    whole = dense(covariance)
    np.testing.assert_allclose(covariance.among(rows, cells), whole[np.ix_(state, state)], atol=1e-12)
    targets = np.array([0, 1])
    cross = covariance.cross(targets, np.arange(40), rows, cells).reshape(80, 30)
    smooth = whole - np.diag(np.repeat(covariance.nugget, 40))
    np.testing.assert_allclose(cross, smooth[np.ix_(np.arange(80), state)], atol=1e-12)
    np.testing.assert_allclose(covariance.variance(targets, np.arange(40)).ravel(), np.diag(whole)[:80], rtol=1e-6)


def test_draws_of_the_hybrid_have_its_covariance() -> None:
    covariance = hybrid(np.float32)
    rng = np.random.default_rng(5)
    draws = np.stack([covariance.draw(rng).ravel() for _ in range(20_000)]).astype(float)
    np.testing.assert_allclose(draws.T @ draws / len(draws), dense(covariance), atol=0.08)


def test_without_samples_the_homogeneous_part_stands_alone() -> None:
    covariance = hybrid().without(np.zeros(6, dtype=bool))
    expected = (covariance.loadings[0] ** 2).sum() + covariance.nugget[0]
    np.testing.assert_allclose(covariance.variance(np.array([0]), np.arange(40)), expected)

"""The variogram of one field: the sums of its definition, and the model that made the field."""

import numpy as np
import pytest

from driftfield.gaussian.variogram import empirical_variogram, fit_matern
from driftfield.worlds.random_fields import MaternFields, draw_fields


def test_the_semivariance_is_the_sum_over_pairs() -> None:
    rng = np.random.default_rng(0)
    values, observed = rng.standard_normal((7, 9)) + 50.0, rng.random((7, 9)) < 0.6
    rows, columns, semivariance, pairs = empirical_variogram(values, observed, 3)
    assert len(rows) == len({(i, j) for i, j in zip(rows.tolist(), columns.tolist(), strict=True)})
    for i, j, found, count in zip(rows, columns, semivariance, pairs, strict=True):
        halves = [
            0.5 * (values[a, b] - values[a + i, b + j]) ** 2
            for a in range(7)
            for b in range(9)
            if 0 <= a + i < 7 and 0 <= b + j < 9 and observed[a, b] and observed[a + i, b + j]
        ]
        assert count == len(halves)
        assert found == pytest.approx(np.mean(halves), rel=1e-8)


@pytest.mark.parametrize(("length", "smoothness", "stretch", "angle"), [(5.0, 1.2, 1.0, 0.0), (8.0, 2.0, 1.7, 0.7)])
def test_the_model_of_the_field_is_found(length: float, smoothness: float, stretch: float, angle: float) -> None:
    rng = np.random.default_rng(1)
    field = draw_fields(rng, MaternFields.single(length, smoothness, stretch, angle), (128, 128))[0]
    fitted = fit_matern(7.0 * field, rng.random(field.shape) < 0.2)
    assert fitted.length == pytest.approx(length, rel=0.35)
    assert fitted.stretch == pytest.approx(stretch, rel=0.3)
    assert fitted.nugget < 0.05
    assert fitted.sill == pytest.approx(49.0, rel=0.5)
    if stretch > 1.5:
        assert np.cos(2 * (fitted.angle - angle)) > 0.9


def test_white_noise_is_nugget_or_shorter_than_a_cell() -> None:
    rng = np.random.default_rng(2)
    fitted = fit_matern(rng.standard_normal((64, 64)), rng.random((64, 64)) < 0.5)
    assert fitted.nugget > 0.9 or fitted.length < 1.0


@pytest.mark.parametrize("count", [0, 1, 5, 40])
def test_few_or_equal_observations_give_the_convention(count: int) -> None:
    observed = np.zeros((20, 30), dtype=bool)
    observed.flat[np.random.default_rng(3).choice(600, count, replace=False)] = True
    fitted = fit_matern(np.full((20, 30), 4.0), observed)
    assert (fitted.length, fitted.smoothness, fitted.nugget) == (6.0, 1.5, 0.0)

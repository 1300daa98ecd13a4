"""Kriging of one field by itself: the exact posterior, where everything is near."""

import numpy as np
import pytest

from driftfield.gaussian.field_kriging import FieldKriging
from driftfield.gaussian.variogram import JITTER, MEAN, FittedMatern, correlation
from driftfield.worlds.random_fields import MaternFields, draw_fields


def exact(
    model: FittedMatern, observed: np.ndarray, error: np.ndarray, values: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and spread of the posterior, all cells at once."""
    cells = np.argwhere(np.ones_like(observed)).astype(float)
    seen = observed.ravel()
    offset = cells[:, None] - cells[None]
    prior = model.sill * ((1 - model.nugget) * correlation(model, offset) + MEAN + model.nugget * np.eye(len(cells)))
    noise = np.diag(error.ravel()[seen] ** 2 + model.sill * JITTER)
    gain = np.linalg.solve(prior[np.ix_(seen, seen)] + noise, prior[seen]).T
    variance = np.diag(prior) - (gain * prior[:, seen]).sum(1)
    return (gain @ values.ravel()[seen]).reshape(observed.shape), np.sqrt(variance).reshape(observed.shape)


@pytest.mark.parametrize("nugget", [0.0, 0.2])
@pytest.mark.parametrize("noise", [0.0, 0.4])
def test_with_few_observations_it_is_the_posterior(nugget: float, noise: float) -> None:
    rng = np.random.default_rng(0)
    model = FittedMatern(length=3.0, smoothness=1.0, stretch=1.4, angle=0.4, nugget=nugget, sill=2.5)
    observed = np.zeros((11, 14), dtype=bool)
    observed.flat[rng.choice(observed.size, 30, replace=False)] = True
    values, error = rng.standard_normal(observed.shape), np.full(observed.shape, noise)
    kriging = FieldKriging(model, observed, error)
    mean, sd = exact(model, observed, error, values)
    np.testing.assert_allclose(kriging.mean(values), mean, atol=1e-6)  # weights are kept as float32
    unknown = ~observed | (noise > 0)
    np.testing.assert_allclose(kriging.sd[unknown], sd[unknown], rtol=1e-6)


def test_with_many_observations_it_is_near_the_posterior_and_calibrated() -> None:
    rng = np.random.default_rng(1)
    model = FittedMatern(4.0, 1.5, 1.0, 0.0, 0.0, 1.0)
    ratios, scores = [], []
    for _ in range(5):
        values = draw_fields(rng, MaternFields.single(4.0, 1.5), (32, 30))[0]
        observed = rng.random(values.shape) < 0.2
        error = np.zeros(values.shape)
        kriging = FieldKriging(model, observed, error)
        mean, _ = exact(model, observed, error, values)
        hidden = ~observed
        ratios.append(((kriging.mean(values) - values)[hidden] ** 2).mean() / ((mean - values)[hidden] ** 2).mean())
        scores.append((((values - kriging.mean(values)) / kriging.sd)[hidden] ** 2).mean())
        np.testing.assert_allclose(kriging.mean(values)[observed], values[observed], atol=2e-3)
    assert np.mean(ratios) < 1.05
    assert np.mean(scores) == pytest.approx(1, abs=0.2)

"""The tuner by gradient: its predictions are kriging, its gradient is right, and it finds what made the data."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from driftfield.gaussian import gradient_tuning as tuning
from driftfield.gaussian.gradient_tuning import StatedScales, refine, tune
from driftfield.gaussian.hidden_leaves import Task, crps, cut_leaves, predictions
from driftfield.gaussian.local_kriging import Scattered, solve_leaves
from driftfield.gaussian.space_time_covariance import Places
from driftfield.gaussian.space_time_tuning import SpaceTimeConstants

TRUTH = SpaceTimeConstants(length=60.0, days=4.0, shape=0.5, nugget=0.02, middle=36.0)


def task(constants: SpaceTimeConstants = TRUTH, *, dates: int = 3, seed: int = 0) -> Task:
    """A field of 24 x 30 cells on some dates, drawn from a covariance; a block and a third of the cells are hidden."""
    rng = np.random.default_rng(seed)
    lat, lon = (a.ravel() for a in np.meshgrid(np.linspace(34, 38, 24), np.linspace(0, 6, 30), indexing="ij"))
    places = Places(lat, lon, np.zeros(lat.size), np.zeros(lat.size))
    days = np.arange(dates) - dates // 2
    field = constants.covariance.draw(places, days.astype(float), rng)
    field += np.sqrt(constants.nugget) * rng.standard_normal(field.shape)
    shown = rng.random(field.shape) > 0.3
    shown.reshape(dates, 24, 30)[:, 8:15, 10:18] = False
    when, where = np.nonzero(shown)
    seen = Scattered(when - dates // 2, where, days[when].astype(float), field[when, where, None], np.zeros(when.size))
    hidden = np.flatnonzero(~shown[dates // 2])
    return Task(places, seen, hidden, field[dates // 2, hidden].astype(float))


@pytest.mark.parametrize(
    "constants",
    [
        TRUTH,
        replace(TRUTH, aspect=2.0, shape=1.5),
        replace(TRUTH, aspect=0.5, second=0.4, second_length=0.3, second_days=0.5, second_shape=1.5),
    ],
)
def test_predictions_are_those_of_kriging_with_the_same_neighbours(constants: SpaceTimeConstants) -> None:
    given = task(dates=1)
    part = cut_leaves([given], constants, most=10_000, count=3, size=4)
    values = {name: torch.tensor(v, dtype=torch.float64) for name, v in tuning._numbers(constants).items()}
    mean, variance = predictions(values, tuning._shapes(constants), part)
    increments, spread = solve_leaves(
        constants.covariance, given.seen, given.places, [given.hidden], time=0, day=0.0, most=10_000
    )
    # a leaf is known by the truth of its cells
    place = {float(np.float64(v)): c for v, c in zip(given.truth, given.hidden, strict=True)}
    known = part.truth.isfinite()
    cells = np.array([place[float(v)] for v in part.truth[known]])
    np.testing.assert_allclose(mean[known].numpy(), increments[cells, 0], atol=2e-3)
    np.testing.assert_allclose(variance[known].numpy(), spread[cells], atol=2e-3)


@pytest.mark.parametrize(("name", "value"), [("length", 80.0), ("nugget", 0.1)])
def test_the_gradient_is_that_of_the_score(name: str, value: float) -> None:
    part = cut_leaves([task()], TRUTH, most=40, count=20)
    fixed, shapes = tuning._numbers(TRUTH), tuning._shapes(TRUTH)
    known = part.truth.isfinite()

    def score(log: torch.Tensor) -> torch.Tensor:
        values = {key: torch.tensor(v, dtype=torch.float64) for key, v in fixed.items()} | {name: log.exp()}
        mean, variance = predictions(values, shapes, part)
        return crps((mean - part.truth.nan_to_num())[known], variance.sqrt()[known]).mean().log()

    at = torch.tensor(np.log(value), dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(score(at), at)
    step = 0.02
    with torch.no_grad():
        finite = (score(at + step) - score(at - step)) / (2 * step)
    assert float(slope) == pytest.approx(float(finite), rel=0.05, abs=2e-3)


def test_finds_scales_that_predict_as_well_as_the_true_ones() -> None:
    tasks = [task(seed=seed) for seed in range(3)]
    found, score = tune(tasks, levels=1, most=40, count=120)
    _, true = tuning._scored(TRUTH, tasks, most=40, count=120, seed=1)
    _, wrong = tuning._scored(replace(TRUTH, length=6.0, days=0.3), tasks, most=40, count=120, seed=1)
    assert score < true + 0.03
    assert score < wrong - 0.05
    assert 0.2 < found.days / TRUTH.days < 5


def test_what_is_stated_stays() -> None:
    tasks = [task()]
    found, _ = tune(tasks, levels=1, stated=StatedScales(length_km=100.0, days=3.0, noise=True), most=30, count=40)
    fold = tuning.E_FOLDING[found.shape]
    assert found.length == pytest.approx(100.0 / fold)
    assert found.days == pytest.approx(3.0 / fold)
    assert found.second == 0
    assert found.nugget == pytest.approx(1e-4)


@pytest.mark.parametrize(("shape", "fold"), tuning.E_FOLDING.items())
def test_a_stated_length_is_where_the_correlation_is_one_over_e(shape: float, fold: float) -> None:
    component = replace(TRUTH, shape=shape, nugget=0.0, length=100.0 / fold).covariance.components[0]
    squared = torch.tensor([(100.0 / component.zonal) ** 2])
    assert float(component.correlation(squared)) == pytest.approx(np.exp(-1), abs=2e-3)


def test_from_constants_of_nearly_the_same_record_it_walks_on_and_does_not_search(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tasks = [task(seed=seed) for seed in range(2)]
    first, _ = tune(tasks, levels=1, most=30, count=60)
    again = [task(seed=seed) for seed in range(1, 3)]
    fresh, _ = tune(again, levels=1, most=30, count=60)
    monkeypatch.setattr(tuning, "_starts", None)
    walked, _ = tune(again, levels=1, most=30, count=60, start=first)
    assert (walked.shape, walked.second_shape) == (first.shape, first.second_shape)
    assert walked != first
    # on all leaves, as each of them chooses neighbours
    scores = [tuning._scored(c, again, most=40, count=10_000, seed=0)[1] for c in (walked, fresh)]
    assert scores[0] < scores[1] + 0.02
    # a bad beginning is left
    wide = replace(first, length=4 * first.length)
    left, _ = tune(again, levels=1, most=30, count=60, start=wide)
    scores = [tuning._scored(c, again, most=40, count=10_000, seed=0)[1] for c in (left, wide)]
    assert scores[0] < scores[1]


def test_on_a_grid_that_wraps_no_length_is_longer_along_a_meridian() -> None:
    """There it would be stretched along the longitude, which has a beginning and an end."""
    narrow = replace(TRUTH, aspect=0.4)
    tasks = [task(narrow, dates=1, seed=seed) for seed in range(2)]
    apart, wrapped = (
        refine(TRUTH, tasks, levels=1, periodic=periodic, most=40, size=8).aspect for periodic in (False, True)
    )
    assert apart < 0.7
    assert wrapped >= 1.0
    assert tune(tasks, levels=1, most=30, count=40, periodic=True)[0].aspect >= 1.0


def test_refined_constants_are_better_on_all_hidden_cells() -> None:
    tasks = [task(seed=seed) for seed in range(2)]
    start = replace(TRUTH, length=3 * TRUTH.length, days=TRUTH.days / 3)
    better = refine(start, tasks, levels=1, periodic=False, most=40, size=8)
    scores = [tuning._scored(c, tasks, most=40, count=10_000, seed=0)[1] for c in (better, start, TRUTH)]
    assert scores[0] < scores[1] - 0.02
    assert scores[0] < scores[2] + 0.02

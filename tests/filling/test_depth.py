"""Deep gaps: hidden as deep as the file's own, weighted as they are missing, and never worse than the mean."""

import numpy as np
import pytest
import xarray as xr

from driftfield.data.masks.alike import deep_gap, distance_to_seen
from driftfield.filling.depth import Shrink, alike, draw_in, shrunk
from driftfield.filling.methods import Method
from driftfield.filling.reading import read_record
from driftfield.filling.spread import AIM, BAND, Factors
from driftfield.filling.validation import score
from driftfield.reconstruction.output import Estimate


def test_a_disc_is_as_deep_as_it_is_asked_to_be_and_leaves_enough() -> None:
    rng = np.random.default_rng(0)
    seen = np.ones((60, 80), dtype=bool)
    depths = []
    for _ in range(20):
        hidden = deep_gap(seen, 9.0, rng)
        assert hidden.sum() <= 0.505 * seen.sum()
        depths.append(distance_to_seen(seen & ~hidden, periodic=False)[hidden].max())
    assert max(depths) >= 9.0
    wide = deep_gap(seen, 1e9, rng)
    assert 0.4 * seen.sum() < wide.sum() <= 0.505 * seen.sum()
    assert not deep_gap(np.zeros((4, 4), dtype=bool), 3.0, rng).any()


def test_weights_make_hidden_distances_those_of_the_missing() -> None:
    rng = np.random.default_rng(1)
    hidden, missing = rng.uniform(1, 12, 5000), 1 + 11 * rng.uniform(0, 1, 4000) ** 2
    weights = alike(hidden, missing)
    assert weights.mean() == pytest.approx(1.0)
    before, after = abs(hidden.mean() - missing.mean()), abs(np.average(hidden, weights=weights) - missing.mean())
    assert after < 0.6 * before
    np.testing.assert_array_equal(alike(hidden, np.zeros(0)), 1.0)
    # what lies deeper than anything hidden is spoken for by the deepest
    deep = alike(hidden, np.full(50, 90.0))
    assert deep[hidden > 7].min() > 3 * deep[hidden < 7].max()


def test_a_share_is_the_least_squares_answer_and_falls() -> None:
    rng = np.random.default_rng(2)
    distance = rng.uniform(0, 30, 40_000)
    truth = rng.standard_normal(distance.size)
    # the truth is w(d) of what the method says, and noise
    says = truth * np.exp(distance / 15)
    shrink = Shrink.fit(says - truth, -truth, distance)
    assert shrink is not None
    assert (np.diff(shrink.weight) <= 0).all()
    np.testing.assert_allclose(shrink(np.array([10.0, 20.0])), np.exp(-np.array([10.0, 20.0]) / 15), atol=0.06)
    better = shrink.of(says - truth, -truth, distance)
    deep = distance > 20
    assert (better[deep] ** 2).mean() < (truth[deep] ** 2).mean()
    assert Shrink.fit(0.1 * truth, -truth, distance) is None


def test_what_is_aimed_at_holds_near_and_far() -> None:
    rng = np.random.default_rng(3)
    distance = rng.uniform(1, 20, 30_000)
    error = (0.2 + 0.1 * distance) * rng.standard_normal(distance.size)
    factors = Factors.fit(np.abs(error), distance, np.ones(distance.size))
    for low, high in ((1, 5), (8, 12), (16, 20)):
        part = (distance > low) & (distance < high)
        assert (np.abs(error) <= BAND * factors(distance))[part].mean() == pytest.approx(AIM, abs=0.035)
    scores = score("x", error, np.ones(error.size), distance)
    assert scores.coverage == pytest.approx(AIM, abs=0.002)


def test_weights_move_the_scores_and_the_coverage() -> None:
    rng = np.random.default_rng(4)
    error = rng.standard_normal(4000) * np.repeat([1.0, 3.0], 2000)
    distance, weights = np.repeat([1.0, 5.0], 2000), np.repeat([0.5, 1.5], 2000)
    plain = score("x", error, np.ones(4000), distance)
    heavy = score("x", error, np.ones(4000), distance, weights)
    assert plain.rmse == pytest.approx(np.sqrt(5.0), rel=0.05)
    assert heavy.rmse == pytest.approx(np.sqrt(0.25 + 0.75 * 9), rel=0.05)
    assert heavy.coverage == pytest.approx(AIM, abs=0.005)


def test_what_runs_away_in_a_wide_gap_ends_at_the_mean() -> None:
    rng = np.random.default_rng(5)
    seen = rng.random((40, 60)) > 0.3
    seen[:, 25:] = False
    field = np.where(seen, 15 + 0.1 * rng.standard_normal(seen.shape), np.nan).astype(np.float32)
    coords = {"lat": np.linspace(40.0, 44.0, 40), "lon": np.linspace(0.0, 6.0, 60)}
    record = read_record(xr.DataArray(field, dims=("lat", "lon"), coords=coords, name="sst"))
    away = record.distance
    hidden = np.linspace(1, 8, 900)
    mean_error = 0.1 * rng.standard_normal(900)
    box = Method("box mean", {"class": "BoxMean"})
    fitted = box.build()
    fitted.fit(record.training())
    scores = {
        "box mean": score("box mean", mean_error, np.full(900, 0.1), hidden, fitted=fitted),
        "wild": score("wild", mean_error + 0.05 * hidden**2 * rng.choice([-1, 1], 900), np.full(900, 0.1), hidden),
    }
    draw, date = rng.integers(0, 3, 900), rng.integers(0, 4, 900)
    drawn = draw_in(scores["wild"], scores, hidden, np.ones(900), draw, date)
    assert drawn is not None
    assert drawn.scores.rmse < 0.5 * scores["wild"].rmse
    sd = np.where(record.seen, 0.0, 0.1)
    wild = np.where(record.seen, record.field.values, 15 + 0.05 * away**2)
    estimate = Estimate(wild, sd, np.stack([wild, wild + sd]).astype(np.float32))
    changed = shrunk(estimate, drawn, record, box, 0)
    mean, spread, members = changed.mean, changed.sd, changed.members
    assert mean is not None
    assert spread is not None
    assert members is not None
    far = away > 2 * hidden.max()
    np.testing.assert_allclose(mean[far], np.nanmean(field), atol=1e-4)
    np.testing.assert_array_equal(mean[record.seen], record.field.values[record.seen])
    assert not spread[record.seen].any()
    np.testing.assert_allclose((members[1] - members[0])[far], spread[far], rtol=1e-3)
    assert draw_in(scores["box mean"], scores, hidden, np.ones(900), draw, date) is None


def test_a_wide_gap_of_one_draw_alone_draws_nothing_in() -> None:
    """On an image with one gap a draw, a gap where the mean happens to be better says nothing of the others."""
    rng = np.random.default_rng(6)
    draw, distance = np.repeat(np.arange(5), 400), np.tile(np.linspace(1, 30, 400), 5)
    date = np.zeros(2000, dtype=int)
    far = distance / 30
    # the method is right but for one draw, where it runs away
    wild = np.where(draw == 2, 4.0, 0.3)
    error = far * wild * rng.standard_normal(2000)
    mean = rng.standard_normal(2000)
    ones = np.ones(2000)
    scores = {"box mean": score("box mean", mean, ones, distance), "able": score("able", error, ones, distance)}
    assert Shrink.fit(error, mean, distance) is not None
    assert draw_in(scores["able"], scores, distance, ones, draw, date) is None
    # where it runs away in every draw, it is drawn in
    everywhere = far * 4.0 * rng.standard_normal(2000)
    scores["able"] = score("able", everywhere, ones, distance)
    drawn = draw_in(scores["able"], scores, distance, ones, draw, date)
    assert drawn is not None
    assert drawn.scores.rmse < scores["able"].rmse


def test_the_share_comes_from_other_draws_than_those_that_judge_it() -> None:
    """One of two draws runs away, eight dates each: drawn in by all cells together it gains more than the other one loses."""
    rng = np.random.default_rng(8)
    draw, date, distance = (
        np.repeat([0, 1], 800),
        np.tile(np.repeat(np.arange(8), 100), 2),
        np.tile(np.linspace(1, 30, 100), 16),
    )
    error = distance / 30 * np.where(draw == 0, 4.0, 0.3) * rng.standard_normal(1600)
    mean, ones = rng.standard_normal(1600), np.ones(1600)
    scores = {"box mean": score("box mean", mean, ones, distance), "able": score("able", error, ones, distance)}
    together = Shrink.fit(error, mean, distance)
    assert together is not None
    gains = np.bincount(8 * draw + date, error**2 - together.of(error, mean, distance) ** 2)
    assert gains.mean() > 2 * gains.std(ddof=1) / 4
    assert draw_in(scores["able"], scores, distance, ones, draw, date) is None


def test_what_only_one_of_five_images_gains_is_chance() -> None:
    rng = np.random.default_rng(9)
    draw, distance, date = np.repeat(np.arange(5), 400), np.tile(np.linspace(1, 30, 400), 5), np.zeros(2000, dtype=int)
    wild = np.select([draw == 2, draw == 3], [6.0, 1.6], 0.5)
    error, mean, ones = distance / 30 * wild * rng.standard_normal(2000), rng.standard_normal(2000), np.ones(2000)
    gains = []
    for left_out in range(5):
        out = draw == left_out
        shrink = Shrink.fit(error[~out], mean[~out], distance[~out])
        assert shrink is not None
        gains.append((error[out] ** 2 - shrink.of(error[out], mean[out], distance[out]) ** 2).sum())
    assert 0 < np.mean(gains) < 2 * np.std(gains, ddof=1) / np.sqrt(5)
    scores = {"box mean": score("box mean", mean, ones, distance), "able": score("able", error, ones, distance)}
    assert draw_in(scores["able"], scores, distance, ones, draw, date) is None

"""Weights of methods together: positive, one in sum, equal where little is known, and none for what only does harm."""

import numpy as np
import pytest

from driftfield.filling.blending import _towards_equal, _weights, blend, mixed
from driftfield.filling.validation import Scores, score

NEAR = np.ones(3000)


def scores_of(errors: dict[str, np.ndarray], *, stated: bool = True) -> list[Scores]:
    sd = np.ones(3000) if stated else None
    return [score(label, error, sd, np.linspace(1, 9, 3000)) for label, error in errors.items()]


def noise(count: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((count, 3000))


def test_methods_that_err_alike_in_size_are_blended_evenly() -> None:
    a, b, c = noise(3)
    together = blend(scores_of({"a": a, "b": b, "c": c}), NEAR)
    assert together is not None
    assert together.scores.label in {f"{x}, {y} and {z}" for x, y, z in ("abc", "acb", "bac", "bca", "cab", "cba")}
    np.testing.assert_allclose([w for _, w in together.parts], 1 / 3, atol=0.03)
    assert together.scores.rmse == pytest.approx(1 / np.sqrt(3), rel=0.05)


def test_weights_are_positive_and_one_in_sum_and_the_better_one_has_more() -> None:
    a, b, c = noise(3)
    together = blend(scores_of({"a": a, "b": 1.2 * b, "c": a + 0.4 * c}), NEAR)
    assert together is not None
    shares = {s.label: w for s, w in together.parts}
    assert sum(shares.values()) == pytest.approx(1.0)
    assert min(shares.values()) > 0
    assert shares["a"] == max(shares.values())
    error = sum(w * s.error for s, w in together.parts)
    np.testing.assert_allclose(error, together.scores.error)


def test_what_little_is_known_of_has_equal_weights() -> None:
    """A method that errs 5 % more everywhere: without the pull to equal weights it would have none."""
    (a,) = noise(1)
    # d/dx of (1 + 0.05 x)^2 / 1.05125 + r ((1 - x - 1/2)^2 + (x - 1/2)^2) = 0
    for r in (0.1, 0.3):
        x = (2 * r - 0.1 / 1.05125) / (4 * r + 0.005 / 1.05125)
        np.testing.assert_allclose(_weights(np.stack([a, 1.05 * a], axis=1), NEAR, r), [1 - x, x], atol=1e-3)


def test_how_much_is_known_is_asked_of_the_draws() -> None:
    """Draws that agree on who is better are believed; draws each of which prefers another are not."""
    a, b = noise(2)
    draw = np.repeat(np.arange(3), 1000)
    agreed = np.stack([a, 2.0 * b], axis=1)
    changing = np.where(draw == 0, 2.0, 0.7), np.where(draw == 0, 0.7, np.where(draw == 1, 1.4, 0.7))
    assert _towards_equal(agreed, NEAR, draw) <= 0.03
    assert _towards_equal(np.stack([changing[0] * a, changing[1] * b], axis=1), NEAR, draw) >= 0.3
    assert _towards_equal(agreed, NEAR, np.zeros(3000)) == 0.1


def test_a_blend_gains_or_is_none() -> None:
    a, b = noise(2)
    assert blend(scores_of({"a": a, "c": a + 0.01 * b}), NEAR) is None
    assert blend(scores_of({"a": a, "b": 2 * b}), NEAR) is None
    for scale in (0.8, 1.0, 1.2):
        together = blend(scores_of({"a": a, "b": scale * b}), NEAR)
        assert together is not None
        assert together.scores.crps < min(s.crps for s in scores_of({"a": a, "b": scale * b}))


def test_means_and_methods_without_a_spread_are_left_out_but_linear() -> None:
    a, b, c = noise(3)
    silent = scores_of({"nearest": b, "linear": c}, stated=False)
    together = blend([*scores_of({"a": a, "climatology": b, "regression": b}), *silent], NEAR)
    assert together is not None
    assert {s.label for s, _ in together.parts} == {"a", "linear"}


def test_what_fails_far_from_observations_is_left_out() -> None:
    a, b = noise(2)
    distance = np.linspace(1, 9, 3000)
    sd = np.ones(3000)
    near, far = b * np.where(distance > 7, 0.8, 1.0), b * np.where(distance > 7, 1.5, 0.9)
    for other, blended in ((near, True), (far, False)):
        scores = [score("a", a, sd, distance), score("b", other, sd, distance)]
        assert scores[1].crps < 1.25 * scores[0].crps
        assert (blend(scores, distance) is not None) == blended


def test_where_methods_differ_the_blend_is_less_sure_if_draws_say_so() -> None:
    """Errors that are wide where a hidden size is: what methods say differently there tells it; of even errors it tells nothing.

    Of two normal errors of one size the difference is independent of the mean, so a is 0.
    """
    a, b = noise(2)
    draw = np.repeat(np.arange(3), 1000)
    even = blend(scores_of({"a": a, "b": b}), NEAR, draw=draw)
    assert even is not None
    assert even.apart == 0
    size = np.exp(np.random.default_rng(1).standard_normal(3000))
    uneven = blend(scores_of({"a": size * a, "b": size * b}), NEAR, draw=draw)
    assert uneven is not None
    assert uneven.apart >= 1
    wide = size > np.quantile(size, 0.9)
    assert uneven.scores.sd[wide].mean() > 2.5 * uneven.scores.sd[~wide].mean()
    alone = blend(scores_of({"a": size * a, "b": size * b}), NEAR)
    assert alone is not None
    assert alone.apart == 0
    assert uneven.scores.crps < 0.97 * alone.scores.crps


def test_a_mixture_has_the_mean_and_the_spread_of_its_formula() -> None:
    means, sds = np.array([[1.0, 2.0], [3.0, 2.0]]), np.array([[1.0, 1.0], [2.0, 3.0]])
    mean, sd = mixed(means, sds, np.array([0.25, 0.75]), 2.0)
    np.testing.assert_allclose(mean, [2.5, 2.0])
    np.testing.assert_allclose(sd, [np.sqrt(1.75**2 + 2 * 0.75), 2.5])

"""Weights of methods together: positive, one in sum, equal where little is known, and none for what only does harm."""

import numpy as np
import pytest

from driftfield.filling.blending import TOWARDS_EQUAL, _weights, blend
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
    x = (2 * TOWARDS_EQUAL - 0.1 / 1.05125) / (4 * TOWARDS_EQUAL + 0.005 / 1.05125)
    np.testing.assert_allclose(_weights(np.stack([a, 1.05 * a], axis=1), NEAR), [1 - x, x], atol=1e-3)


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
    together = blend([*scores_of({"a": a, "climatology": b}), *silent], NEAR)
    assert together is not None
    assert {s.label for s, _ in together.parts} == {"a", "linear"}

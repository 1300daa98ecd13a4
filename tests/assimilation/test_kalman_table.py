"""docs/kalman.md: the recursions are the posterior of all dates, and ensembles come to it as they grow."""

import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "kalman.py"


@pytest.fixture(scope="module")
def kalman() -> dict[str, Any]:
    return runpy.run_path(str(BENCHMARK))


def test_filter_and_smoother_are_the_exact_posterior(kalman: dict[str, Any]) -> None:
    wave, y, _, _ = kalman["problem"](3)
    one, other = kalman["recursions"](y, wave.matrix), kalman["joint"](y, wave.matrix)
    for part in ("filtered", "filtered_sd", "smoothed", "smoothed_sd"):
        np.testing.assert_allclose(getattr(one, part), getattr(other, part), atol=1e-4, err_msg=part)
    # at the end both have seen the same, before it the smoother knows more
    np.testing.assert_allclose(other.filtered[-1], other.smoothed[-1], atol=1e-10)
    assert (other.smoothed_sd[:-1] < other.filtered_sd[:-1]).all()
    assert other.smoothed_sd[0].mean() < 0.5 * other.filtered_sd[0].mean()


@pytest.mark.parametrize("name", ["StochasticEnKF", "ETKF"])
def test_an_ensemble_comes_nearer_with_its_members(kalman: dict[str, Any], name: str) -> None:
    few, many = (kalman["measured"](kalman[name](), members, range(2)) for members in (16, 256))
    for kind in ("filter", "smoother"):
        assert many[kind][2] < few[kind][2] / 3
        assert many[kind][0] == pytest.approx(1, abs=0.05)
        assert many[kind][1] == pytest.approx(1, abs=0.05)


def test_scores_are_one_for_the_posterior_itself(kalman: dict[str, Any]) -> None:
    rng = np.random.default_rng(0)
    mean, sd = rng.standard_normal(50), rng.uniform(0.1, 1, 50)
    assert kalman["scores"](mean, sd, mean, sd) == pytest.approx((1, 1, 0))
    assert kalman["scores"](mean + 0.1, sd, mean, sd)[0] > 1


def test_the_page_names_its_benchmark() -> None:
    page = (BENCHMARK.parents[1] / "docs" / "kalman.md").read_text(encoding="utf-8")
    assert page.count("| ETKF |") == page.count("| StochasticEnKF |") == 6

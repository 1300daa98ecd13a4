"""What is chosen on withheld observations: the factor on the errors, and the constants of a method."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
import xarray as xr

from driftfield.assimilation.analysis import Analysis
from driftfield.assimilation.constants import choose_constants
from driftfield.assimilation.inflation import choose_inflation
from driftfield.errors import ConfigurationError, DataError, DivergenceError
from driftfield.evaluate.observation_space import ObservationScores
from driftfield.observations.checks import Account


def analysis(**scores: tuple[float, float]) -> Analysis:
    """With (spread-skill, CRPS) of some variables."""
    withheld = {name: ObservationScores(9, 0.0, 1.0, crps, ratio, ratio, 0.9) for name, (ratio, crps) in scores.items()}
    return Analysis(xr.Dataset(), Account({}, np.ones(0, bool)), 9, withheld)


def world(ratio: Callable[[float], float], unstable: float = 0.0) -> Callable[[float], Analysis]:
    def analyse(factor: float) -> Analysis:
        if factor < unstable:
            raise DivergenceError("it ran away")
        return analysis(x=(ratio(factor), 1.0), y=(ratio(factor), 7.0))

    return analyse


def test_a_power_law_is_solved_by_one_more_analysis() -> None:
    chosen = choose_inflation(world(lambda f: (f / 1.73) ** 0.6))
    assert chosen.inflation == 1.73
    assert chosen.spread_skill == pytest.approx(1)
    assert list(chosen.tried) == [0.5, 0.7, 1.0, 1.4, 2.0, 2.8, 4.0, 1.73]
    assert chosen.remark == ""
    assert choose_inflation(world(lambda f: (f / 1.73) ** 0.6), refine=False).inflation == 2


def test_near_enough_is_left_alone() -> None:
    assert len(choose_inflation(world(lambda f: 1.01 * f)).tried) == 7


@pytest.mark.parametrize(
    ("ratio", "factor", "words"),
    [
        (lambda f: 0.5 * f**0.2, 4.0, "the largest: the stated errors are far too small"),
        (lambda f: 2.5 * f**0.2, 0.5, "the smallest: the stated errors are far too large"),
        (lambda f: 0.7 * math.exp(-(math.log(f) ** 2)), 1.0, "another spread than its errors"),
    ],
)
def test_an_end_is_told_of(ratio: Callable[[float], float], factor: float, words: str) -> None:
    chosen = choose_inflation(world(ratio))
    assert chosen.inflation == factor
    assert words in chosen.remark


def test_factors_that_diverge_are_passed_over(caplog: pytest.LogCaptureFixture) -> None:
    chosen = choose_inflation(world(lambda f: f / 1.2, unstable=1.1))
    assert chosen.inflation == 1.4
    assert "errors x 0.5: it ran away" in caplog.text
    with pytest.raises(DivergenceError, match="ran away"):
        choose_inflation(world(lambda f: f, unstable=9))


def test_constants_are_those_with_the_least_crps_of_all_variables() -> None:
    def analyse(options: Mapping[str, Any]) -> Analysis:
        if options["sda_scale"] < 0.1:
            raise DivergenceError("it ran away")
        miss = abs(math.log(options["sda_scale"] / 0.3)) + options["sd"]
        return analysis(x=(1.0, 0.1 * math.exp(miss)), y=(1.0, 50 * math.exp(miss)))

    chosen = choose_constants(analyse, {"sda_scale": [0.01, 0.1, 0.3, 1], "sd": [1, 2]})
    assert chosen.options == {"sda_scale": 0.3, "sd": 1}
    assert len(chosen.tried) == 8
    assert chosen.to_json()[0] == {"options": {"sda_scale": 0.01, "sd": 1}, "crps": None}
    with pytest.raises(DivergenceError, match="ran away"):
        choose_constants(analyse, {"sda_scale": [0.01], "sd": [1]})
    with pytest.raises(DataError, match="withheld"):
        choose_constants(lambda options: analysis(), {"sd": [1]})
    with pytest.raises(ConfigurationError, match="one or more values"):
        choose_constants(analyse, {"sd": []})

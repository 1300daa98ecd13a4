"""The moving average and the learning rate are what their formulas say."""

import itertools
import math

import pytest
import torch

from driftfield.errors import ConfigurationError
from driftfield.training.ema import EMA
from driftfield.training.learning_rate import LearningRate


def test_constant_weights_stay() -> None:
    module = torch.nn.Linear(3, 2)
    ema = EMA(module, 0.999)
    for step in range(50):
        ema.update(step)
    for name, parameter in module.named_parameters():
        assert torch.equal(ema.average[name], parameter)


def test_the_average_follows_its_formula() -> None:
    module = torch.nn.Linear(1, 1, bias=False)
    with torch.no_grad():
        module.weight.fill_(0.0)
    ema, expected = EMA(module, 0.9), 0.0
    for step in range(200):
        with torch.no_grad():
            module.weight.fill_(math.sin(step))
        ema.update(step)
        decay = min(0.9, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * math.sin(step)
        assert float(ema.average["weight"]) == pytest.approx(expected, abs=1e-6)


def test_applied_inside_and_restored_outside() -> None:
    module = torch.nn.Linear(2, 2)
    ema = EMA(module, 0.5)
    first = module.weight.detach().clone()
    with torch.no_grad():
        module.weight.add_(1)

    def look() -> None:
        with ema.applied() as inside:
            assert torch.equal(inside.weight, first)
            raise RuntimeError("while applied")

    with pytest.raises(RuntimeError, match="while applied"):
        look()
    assert torch.equal(module.weight, first + 1)
    kept = ema.copy()
    ema.update(10)
    assert torch.equal(kept["weight"], first)


def test_a_warm_up_then_a_cosine() -> None:
    plan = LearningRate(peak=2.0, plan="cosine", warm_up=10, final=0.1)
    rates = [plan.at(step, 110, []) for step in range(111)]
    assert rates[:3] == pytest.approx([0.2, 0.4, 0.6])
    assert max(rates) == pytest.approx(2.0) == rates[10]
    assert rates[60] == pytest.approx(2.0 * (0.1 + 0.9 / 2))
    assert rates[110] == pytest.approx(0.2)
    assert all(later <= earlier for earlier, later in itertools.pairwise(rates[10:]))
    assert plan.at(1000, 110, []) == pytest.approx(0.2)


def test_a_plateau_drops_after_patience() -> None:
    plan = LearningRate(peak=1.0, plan="plateau", warm_up=0, factor=0.5, patience=2)
    assert plan.at(0, 1, []) == 1.0
    assert plan.at(0, 1, [3, 2, 1]) == 1.0
    assert plan.at(0, 1, [3, 2, 2.5]) == 1.0
    assert plan.at(0, 1, [3, 2, 2.5, 2.5]) == 0.5
    assert plan.at(0, 1, [3, 2, 2.5, 2.5, 1, 1, 1]) == 0.25


def test_constant_is_constant() -> None:
    plan = LearningRate(peak=1.0, plan="constant", warm_up=4)
    assert [plan.at(step, 9, []) for step in (0, 3, 8)] == [0.25, 1.0, 1.0]


def test_an_unknown_plan_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="cosine"):
        LearningRate(plan="linear")  # type: ignore[arg-type]

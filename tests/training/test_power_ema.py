"""The power-function average is its integral, and any width can be made from snapshots of two."""

import math

import numpy as np
import pytest
import torch
from torch import nn

pytest.importorskip("lightning")

from driftfield.errors import ConfigurationError
from driftfield.training.power_ema import PowerEMA, Snapshot, combine, exponent, profile_coefficients


def trajectory(steps: int) -> np.ndarray:
    """Weights that wander while they settle."""
    rng = np.random.default_rng(0)
    return np.cumsum(rng.standard_normal((steps, 3)) / np.sqrt(1 + np.arange(steps))[:, None], axis=0) + 1


def followed(weights: np.ndarray, widths: tuple[float, ...], every: int) -> tuple[PowerEMA, list[Snapshot]]:
    module = nn.Linear(1, 3, bias=False).double()
    ema = PowerEMA(module, widths)
    kept = []
    for step, value in enumerate(weights):
        with torch.no_grad():
            module.weight.copy_(torch.from_numpy(value)[:, None])
        ema.update(step)
        if (step + 1) % every == 0:
            kept += ema.snapshots(step + 1)
    return ema, kept


def profile(steps: int, width: float) -> np.ndarray:
    """Weight of each step: the share of its interval under the profile."""
    g = exponent(width)
    edges = (np.arange(steps + 1) / steps) ** (g + 1)
    return np.diff(edges)


@pytest.mark.parametrize("width", [0.02, 0.05, 0.1, 0.2, 0.28])
def test_the_width_is_the_standard_deviation_of_the_profile(width: float) -> None:
    tau = (np.arange(20000) + 0.5) / 20000
    weights = profile(20000, width)
    mean = (weights * tau).sum()
    assert math.sqrt((weights * (tau - mean) ** 2).sum()) == pytest.approx(width, rel=1e-3)


def test_the_average_is_the_integral() -> None:
    weights = trajectory(400)
    ema, _ = followed(weights, (0.05, 0.2), 400)
    for width, average in zip(ema.widths, ema.averages, strict=True):
        expected = profile(400, width) @ weights
        np.testing.assert_allclose(average["weight"][:, 0].numpy(), expected, rtol=1e-9)


@pytest.mark.parametrize("width", [0.03, 0.05, 0.075, 0.13, 0.2])
def test_another_width_afterwards(width: float) -> None:
    weights = trajectory(2000)
    _, kept = followed(weights, (0.05, 0.1), 100)
    found = combine(kept, width)["weight"][:, 0].numpy()
    expected = profile(2000, width) @ weights
    scale = weights.std(0)
    assert float((np.abs(found - expected) / scale).max()) < 0.03
    plain = kept[-2 if abs(width - 0.05) < abs(width - 0.1) else -1].weights["weight"][:, 0].numpy()
    if width not in (0.05, 0.1):
        assert np.abs(found - expected).max() < 0.3 * np.abs(plain - expected).max()


def test_what_was_kept_is_found_again_exactly() -> None:
    _, kept = followed(trajectory(600), (0.05, 0.1), 100)
    found = combine(kept, 0.1, step=400)["weight"]
    expected = next(one for one in kept if (one.step, one.width) == (400, 0.1)).weights["weight"]
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_the_coefficients_sum_to_one() -> None:
    kept = [(step, width) for step in range(100, 1001, 100) for width in (0.05, 0.1)]
    assert profile_coefficients(kept, 0.07, 1000).sum() == pytest.approx(1)


def test_impossible_widths_are_refused() -> None:
    for width in (0.0, -0.1, 0.5):
        with pytest.raises(ConfigurationError, match="width"):
            exponent(width)
    with pytest.raises(ConfigurationError, match="snapshot"):
        combine([], 0.1)

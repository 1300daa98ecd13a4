"""A table gives back its levels; an adaptive schedule finds where the error is and draws there."""

import numpy as np
import pytest
import torch
from scipy import stats

import driftfield.diffusion  # noqa: F401
from driftfield.diffusion.beta_schedules import LinearBetaSchedule
from driftfield.diffusion.noise_levels import ScheduleLevels, stratified
from driftfield.diffusion.schedule import noise_level
from driftfield.diffusion.tabulated_schedules import AdaptiveSchedule, PredefinedSchedule
from driftfield.errors import ConfigurationError


def test_a_table_gives_back_its_levels() -> None:
    levels = [0.02, 0.1, 0.3, 4.0, 9.0]
    schedule = PredefinedSchedule(levels=levels)
    found = noise_level(schedule.gamma(torch.linspace(0, 1, 5, dtype=torch.float64)))
    torch.testing.assert_close(found, torch.tensor(levels, dtype=torch.float64))


def test_a_table_of_betas_gives_the_running_product() -> None:
    betas = LinearBetaSchedule().betas(50)
    schedule = PredefinedSchedule.from_betas(betas)
    alpha, _ = schedule.alpha_sigma(torch.linspace(0, 1, 50, dtype=torch.float64))
    torch.testing.assert_close(alpha**2, torch.cumprod(1 - betas, 0))


def test_the_default_table_is_close_to_the_continuous_schedule() -> None:
    continuous = LinearBetaSchedule()
    u = torch.arange(1, 1001, dtype=torch.float64) / 1000
    gamma = PredefinedSchedule().gamma(torch.linspace(0, 1, 1000, dtype=torch.float64))
    exact = -torch.log(torch.expm1(continuous.integral(u)))
    assert float((gamma - exact)[100:].abs().max()) < 0.08


@pytest.mark.parametrize("levels", [[0.1], [0.2, 0.1], [0.0, 1.0], [[0.1, 0.2]]])
def test_impossible_tables_are_refused(levels: list[float]) -> None:
    with pytest.raises(ConfigurationError, match="levels"):
        PredefinedSchedule(levels=levels)


def test_an_adaptive_schedule_finds_the_error() -> None:
    """The density becomes proportional to the error of each level, whatever was drawn on the way."""
    schedule = AdaptiveSchedule(bins=40, decay=0.97, floor=0.001)
    generator = torch.Generator().manual_seed(0)
    centre, width = 1.0, 2.0
    for _ in range(3000):
        gamma = schedule.gamma(stratified(16, generator))
        noise = 0.5 + torch.rand(16, generator=generator)
        schedule.update(gamma, noise * torch.exp(-(((gamma - centre) / width) ** 2) / 2))
    gamma = torch.linspace(schedule.gamma_min + 0.3, schedule.gamma_max - 0.3, 400)
    expected = stats.norm.pdf(gamma.numpy(), centre, width)
    assert float(np.abs(schedule.density(gamma).numpy() - expected).max()) < 0.25 * expected.max()
    draws = ScheduleLevels().gamma(stratified(4000, generator), schedule).numpy()
    assert draws.mean() == pytest.approx(centre, abs=0.2)
    assert draws.std() == pytest.approx(width, abs=0.25)


def test_its_laws_hold_after_learning_too() -> None:
    schedule = AdaptiveSchedule(bins=10, decay=0.5)
    schedule.update(torch.tensor([0.0, 2.0, 5.0]), torch.tensor([9.0, 0.0, 3.0]))
    t = torch.linspace(0, 1, 301, dtype=torch.float64)
    torch.testing.assert_close(schedule.t(schedule.gamma(t)), t, rtol=0, atol=1e-9)
    gamma = torch.linspace(schedule.gamma_min, schedule.gamma_max, 50001, dtype=torch.float64)
    assert float(torch.trapezoid(schedule.density(gamma), gamma)) == pytest.approx(1, abs=1e-3)
    assert (schedule.density(gamma) > 0).all()


def test_an_error_that_is_not_finite_teaches_nothing() -> None:
    schedule = AdaptiveSchedule(bins=10)
    before = schedule.errors.clone()
    schedule.update(torch.tensor([0.0]), torch.tensor([float("nan")]))
    assert torch.equal(schedule.errors, before)


@pytest.mark.parametrize("arguments", [{"bins": 0}, {"decay": 1.0}, {"floor": 0.0}])
def test_impossible_adaptive_schedules_are_refused(arguments: dict[str, float]) -> None:
    with pytest.raises(ConfigurationError, match="bins"):
        AdaptiveSchedule(**arguments)  # type: ignore[arg-type]

"""Every schedule: its inverse inverts, its density is the derivative of its inverse, and the conventions are one."""

import math
from typing import get_args

import pytest
import torch
from scipy import stats

import driftfield.diffusion  # noqa: F401
from driftfield.diffusion.noise_levels import LogNormalLevels
from driftfield.diffusion.schedule import (
    Convention,
    FlowSchedule,
    KarrasSchedule,
    LogNormalSchedule,
    Schedule,
    noise_level,
)
from driftfield.errors import ConfigurationError
from driftfield.interfaces import Schedule as ScheduleProtocol
from driftfield.registry import build, lookup, names

CONVENTIONS = get_args(Convention)
SCHEDULES = names("schedule")


@pytest.fixture(params=SCHEDULES)
def schedule(request: pytest.FixtureRequest) -> Schedule:
    return lookup("schedule", request.param)()


def times(count: int, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.linspace(0, 1, count, dtype=dtype)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-9), (torch.float32, 2e-4)])
def test_the_inverse_inverts(schedule: Schedule, dtype: torch.dtype, tolerance: float) -> None:
    t = times(501, dtype)
    gamma = schedule.gamma(t)
    assert gamma.dtype == dtype
    torch.testing.assert_close(schedule.t(gamma), t, rtol=0, atol=tolerance)
    torch.testing.assert_close(schedule.gamma(schedule.t(gamma)), gamma, rtol=0, atol=50 * tolerance)


def test_gamma_falls_between_the_limits(schedule: Schedule) -> None:
    assert isinstance(schedule, ScheduleProtocol)
    gamma = schedule.gamma(times(501))
    assert (gamma.diff() < 0).all()
    torch.testing.assert_close(noise_level(gamma[[0, -1]]), torch.tensor([schedule.s_min, schedule.s_max]).double())


def test_the_density_integrates_to_one_and_is_the_derivative(schedule: Schedule) -> None:
    gamma = torch.linspace(schedule.gamma_min, schedule.gamma_max, 20001, dtype=torch.float64)
    density = schedule.density(gamma)
    assert abs(float(torch.trapezoid(density, gamma)) - 1) < 1e-3
    inner = gamma[1:-1].requires_grad_()
    slope = torch.autograd.grad(schedule.t(inner).sum(), inner)[0]
    torch.testing.assert_close(density[1:-1], slope.abs(), rtol=1e-6, atol=1e-12)
    outside = torch.tensor([schedule.gamma_min - 1, schedule.gamma_max + 1])
    assert (schedule.density(outside) == 0).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_no_time_leaves_the_support_of_the_density(schedule: Schedule, dtype: torch.dtype) -> None:
    """1 / p is a weight: it may not be infinite at the ends, for any rounding."""
    for s_min, s_max in ((0.01, 80.0), (0.002, 80.0), (0.03, 33.3), (0.0123, 157.0)):
        made = type(schedule)(s_min=s_min, s_max=s_max)
        assert (made.density(made.gamma(torch.tensor([0.0, 0.5, 1 - 2**-24, 1.0], dtype=dtype))) > 0).all()


@pytest.mark.parametrize("name", SCHEDULES)
def test_the_conventions_agree(name: str) -> None:
    """x_t / alpha = x + s eps in all of them, with the same s."""
    t = times(101)
    s = noise_level(build("schedule", {"class": name}).gamma(t))
    for convention in CONVENTIONS:
        alpha, sigma = build("schedule", {"class": name, "convention": convention}).alpha_sigma(t)
        torch.testing.assert_close(sigma / alpha, s, rtol=1e-10, atol=0)
        expected = {
            "variance_preserving": alpha**2 + sigma**2,
            "edm": alpha,
            "flow": alpha + sigma,
        }[convention]
        torch.testing.assert_close(expected, torch.ones_like(t))


def test_the_log_normal_schedule_and_the_log_normal_levels_are_the_same() -> None:
    """One formula: t is the cumulative probability of ln s, whichever schedule the levels are drawn beside."""
    schedule = LogNormalSchedule(s_min=0.01, s_max=80.0, mean=0.3, std=1.4)
    beside, levels = FlowSchedule(s_min=0.01, s_max=80.0), LogNormalLevels(mean=0.3, std=1.4)
    for dtype in (torch.float32, torch.float64):
        t = times(301, dtype)
        gamma = schedule.gamma(t)
        assert torch.equal(levels.gamma(t, beside), gamma)
        assert torch.equal(levels.density(gamma, beside), schedule.density(gamma))
    exact = stats.truncnorm((math.log(0.01) - 0.3) / 1.4, (math.log(80) - 0.3) / 1.4, loc=0.3, scale=1.4)
    log_s = -schedule.gamma(times(301)) / 2
    torch.testing.assert_close(torch.from_numpy(exact.cdf(log_s.numpy())), times(301), rtol=0, atol=1e-9)
    density = torch.from_numpy(exact.pdf(log_s.numpy())) / 2
    torch.testing.assert_close(schedule.density(-2 * log_s), density, rtol=1e-9, atol=0)
    with pytest.raises(ConfigurationError, match="nothing of it lies"):
        LogNormalSchedule(mean=90.0, std=0.5)


def test_karras_levels_are_the_published_ones() -> None:
    """Equation 5 of Karras et al. (2022): s_i = (s_max^(1/7) + i/(N-1) (s_min^(1/7) - s_max^(1/7)))^7."""
    i = torch.arange(18, dtype=torch.float64) / 17
    expected = (80 ** (1 / 7) + i * (0.002 ** (1 / 7) - 80 ** (1 / 7))) ** 7
    torch.testing.assert_close(noise_level(KarrasSchedule().gamma(1 - i)), expected, rtol=1e-10, atol=0)


def test_flow_is_the_straight_path() -> None:
    alpha, sigma = FlowSchedule(s_min=1e-6, s_max=1e6).alpha_sigma(times(11))
    torch.testing.assert_close(alpha, 1 - times(11), rtol=0, atol=2e-6)
    torch.testing.assert_close(sigma, times(11), rtol=0, atol=2e-6)


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize(("s_min", "s_max"), [(0, 1), (-1, 1), (2, 1), (1, 1), (0.1, math.inf)])
def test_impossible_limits_are_refused(name: str, s_min: float, s_max: float) -> None:
    with pytest.raises(ConfigurationError, match="s_min"):
        build("schedule", {"class": name, "s_min": s_min, "s_max": s_max})


@pytest.mark.parametrize("name", SCHEDULES)
def test_an_unknown_convention_is_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match="variance_preserving"):
        build("schedule", {"class": name, "convention": "ve"})

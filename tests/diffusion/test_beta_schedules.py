"""The beta schedules: alpha^2 = exp(-int beta), and the continuous object is the limit of the published table."""

import math

import numpy as np
import pytest
import torch
from scipy import integrate

import driftfield.diffusion  # noqa: F401
from driftfield.diffusion.beta_schedules import BetaSchedule, LinearBetaSchedule
from driftfield.diffusion.schedule import noise_level
from driftfield.diffusion.tabulated_schedules import PredefinedSchedule
from driftfield.errors import ConfigurationError
from driftfield.registry import lookup, names

MEMBERS = [name for name in names("schedule") if issubclass(lookup("schedule", name), BetaSchedule)]


@pytest.fixture(params=MEMBERS)
def schedule(request: pytest.FixtureRequest) -> BetaSchedule:
    return lookup("schedule", request.param)()


def test_there_are_four_of_them() -> None:
    assert MEMBERS == ["CosineBetaSchedule", "LinearBetaSchedule", "QuadraticBetaSchedule", "SigmoidBetaSchedule"]


def test_the_integral_is_that_of_the_rate(schedule: BetaSchedule) -> None:
    for end in (0.01, 0.3, 0.77, 0.95):
        expected, _ = integrate.quad(lambda u: float(schedule.beta(torch.tensor(u, dtype=torch.float64))), 0, end)
        found = float(schedule.integral(torch.tensor(end, dtype=torch.float64)))
        assert found == pytest.approx(expected, rel=1e-7)


def test_the_inverse_of_the_integral(schedule: BetaSchedule) -> None:
    u = torch.linspace(0.001, 0.99, 57, dtype=torch.float64)
    torch.testing.assert_close(schedule.inverse_integral(schedule.integral(u)), u, rtol=1e-10, atol=1e-12)


def test_the_table_of_a_thousand_steps_is_the_published_one() -> None:
    """DDPM: betas from 1e-4 to .02; the others as in the papers, by their formulas."""
    i = np.arange(1000)
    ramps = {
        "LinearBetaSchedule": np.linspace(1e-4, 0.02, 1000),
        "QuadraticBetaSchedule": np.linspace(1e-4**0.5, 0.02**0.5, 1000) ** 2,
        "SigmoidBetaSchedule": (0.02 - 1e-4) / (1 + np.exp(-np.linspace(-6, 6, 1000))) + 1e-4,
    }
    kept = np.cos((np.arange(1001) / 1000 + 0.008) / 1.008 * math.pi / 2) ** 2
    ramps["CosineBetaSchedule"] = np.minimum(1 - kept[i + 1] / kept[i], 0.999)
    for name, expected in ramps.items():
        found = lookup("schedule", name)().betas(1000).numpy()
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-14)


def test_the_continuous_schedule_is_the_limit_of_its_table(schedule: BetaSchedule) -> None:
    """The largest difference in gamma over the inner steps falls as 1 / N."""

    def distance(steps: int) -> float:
        kept = torch.cumprod(1 - schedule.betas(steps), 0)
        gamma = torch.log(kept / (1 - kept))
        u = torch.arange(1, steps + 1, dtype=torch.float64) / steps
        inside = (u > 0.1) & (u < 0.95)
        exact = -torch.log(torch.expm1(schedule.integral(u[inside])))
        return float((gamma[inside] - exact).abs().max())

    coarse, fine = distance(1000), distance(4000)
    if coarse > 1e-9:  # the cosine's table is its continuous form
        assert coarse < 0.12
        assert fine < 0.3 * coarse


def test_the_ends_are_those_of_ddpm() -> None:
    alpha, sigma = LinearBetaSchedule().alpha_sigma(torch.tensor([1.0], dtype=torch.float64))
    assert float(alpha) ** 2 == pytest.approx(math.exp(-10.05), rel=1e-6)
    assert float(alpha**2 + sigma**2) == pytest.approx(1.0)


def test_it_goes_on_beyond_its_end() -> None:
    for name in MEMBERS:
        s = noise_level(lookup("schedule", name)(s_max=500.0).gamma(torch.tensor([1.0], dtype=torch.float64)))
        assert float(s) == pytest.approx(500.0)


@pytest.mark.parametrize("rates", [{"b0": 0.0}, {"b0": 30.0}, {"b1": math.inf}])
def test_impossible_rates_are_refused(rates: dict[str, float]) -> None:
    with pytest.raises(ConfigurationError, match="b0"):
        LinearBetaSchedule(**rates)


@pytest.mark.parametrize(
    ("name", "theirs"),
    [
        ("LinearBetaSchedule", "linear"),
        ("QuadraticBetaSchedule", "scaled_linear"),
        ("SigmoidBetaSchedule", "sigmoid"),
        ("CosineBetaSchedule", "squaredcos_cap_v2"),
    ],
)
def test_the_discrete_form_is_that_of_diffusers(name: str, theirs: str) -> None:
    """Their table of alpha^2 after each of a thousand steps, in single precision; and the schedule that is made of it."""
    diffusers = pytest.importorskip("diffusers")
    kept = diffusers.DDPMScheduler(1000, beta_start=1e-4, beta_end=0.02, beta_schedule=theirs).alphas_cumprod.double()
    betas = lookup("schedule", name)().betas(1000)
    torch.testing.assert_close(torch.cumprod(1 - betas, 0), kept, rtol=2e-4, atol=1e-9)
    alpha, _ = PredefinedSchedule.from_betas(betas).alpha_sigma(torch.linspace(0, 1, 1000, dtype=torch.float64))
    torch.testing.assert_close(alpha**2, kept, rtol=2e-4, atol=1e-9)

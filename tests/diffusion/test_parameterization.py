"""Every parameterisation: to network space and back is the identity on the clean field, at every noise level."""

from typing import get_args

import pytest
import torch

import driftfield.diffusion  # noqa: F401
from driftfield.diffusion.parameterization import EDMParameterization, Parameterization
from driftfield.diffusion.schedule import Convention, KarrasSchedule, LogLinearSchedule, Schedule, noise_level
from driftfield.diffusion.weighting import EDMWeighting
from driftfield.registry import build, lookup, names

CONVENTIONS = get_args(Convention)
LEVELS = 41


@pytest.fixture(params=names("parameterization"))
def parameterization(request: pytest.FixtureRequest) -> Parameterization:
    return lookup("parameterization", request.param)()


def fields(schedule: Schedule, dtype: torch.dtype) -> tuple[torch.Tensor, ...]:
    """x, eps, alpha, sigma, s at noise levels from end to end, one per row."""
    t = torch.linspace(0, 1, LEVELS, dtype=dtype)
    alpha, sigma = (part[:, None] for part in schedule.alpha_sigma(t))
    x, eps = torch.randn(2, LEVELS, 200, generator=torch.Generator().manual_seed(0), dtype=torch.float64).to(dtype)
    return x, eps, alpha, sigma, noise_level(schedule.gamma(t))[:, None]


@pytest.mark.parametrize("name", names("schedule"))
@pytest.mark.parametrize("convention", CONVENTIONS)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-10)])
def test_there_and_back_is_the_identity(
    parameterization: Parameterization, name: str, convention: Convention, dtype: torch.dtype, tolerance: float
) -> None:
    """On the clean field, within the tolerance times max(1, s), over the truncated range of every schedule."""
    schedule = lookup("schedule", name)(convention=convention)
    x, eps, alpha, sigma, s = fields(schedule, dtype)
    prediction = parameterization.target(x, eps, alpha, sigma)
    clean = parameterization.clean(prediction, alpha * x + sigma * eps, alpha, sigma)
    assert clean.dtype == dtype
    assert ((clean - x).abs() <= tolerance * s.clamp(min=1)).all()


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_the_error_scale_is_the_derivative(parameterization: Parameterization, convention: Convention) -> None:
    x, eps, alpha, sigma, _ = fields(LogLinearSchedule(s_min=0.002, convention=convention), torch.float64)
    prediction = parameterization.target(x, eps, alpha, sigma).clone().requires_grad_()
    clean = parameterization.clean(prediction, alpha * x + sigma * eps, alpha, sigma)
    slope = torch.autograd.grad(clean.sum(), prediction)[0].abs()
    scale = parameterization.clean_error_scale(alpha, sigma).expand_as(slope)
    torch.testing.assert_close(slope, scale, rtol=1e-9, atol=0)


def test_errors_weigh_as_the_table_says() -> None:
    """Error of the prediction -> eps-equivalent error in VP (flow in its own): 1, sigma^2, 1 / (1 + e^-gamma), ..."""
    gamma = torch.linspace(-8, 8, 33, dtype=torch.float64)
    s = noise_level(gamma)
    expected = {
        "NoiseParameterization": torch.ones_like(s),
        "ScoreParameterization": torch.sigmoid(-gamma),
        "VelocityParameterization": torch.sigmoid(gamma),
        "DataParameterization": gamma.exp(),
        "EDMParameterization": 1 / (s**2 + 1),
        "FlowParameterization": (1 + s) ** -2,
    }
    for name, weight in expected.items():
        convention = "flow" if name.startswith("Flow") else "variance_preserving"
        schedule = LogLinearSchedule(s_min=0.01, s_max=80.0, convention=convention)
        alpha, sigma = schedule.alpha_sigma(schedule.t(gamma))
        scale = build("parameterization", {"class": name}).clean_error_scale(alpha, sigma)
        torch.testing.assert_close((scale / s) ** 2, weight, rtol=1e-8, atol=0, msg=name)


@pytest.mark.parametrize("sd", [0.5, 1.0, 2.0])
def test_edm_is_the_published_table(sd: float) -> None:
    s = torch.tensor([0.002, 0.1, 1.0, 80.0], dtype=torch.float64)
    edm, one = EDMParameterization(sd), torch.ones_like(s)
    nothing, unit = torch.zeros_like(s), torch.ones_like(s)
    c_skip, c_out = edm.clean(nothing, unit, one, s), edm.clean(unit, nothing, one, s)
    torch.testing.assert_close(c_skip, sd**2 / (s**2 + sd**2))
    torch.testing.assert_close(c_out, s * sd / (s**2 + sd**2).sqrt())


@pytest.mark.parametrize("sd", [0.5, 1.0])
def test_edm_weights_make_every_level_of_f_count_the_same(sd: float) -> None:
    """factor / s^2 on the clean field, times the square of c_out, is 1; and F has unit variance at every level."""
    schedule = KarrasSchedule()
    gamma = torch.linspace(schedule.gamma_min, schedule.gamma_max, 33, dtype=torch.float64)
    alpha, sigma = schedule.alpha_sigma(schedule.t(gamma))
    scale = EDMParameterization(sd).clean_error_scale(alpha, sigma)
    factor = EDMWeighting(sd).factor(gamma, schedule.density(gamma))
    torch.testing.assert_close(factor / noise_level(gamma) ** 2 * scale**2, torch.ones_like(gamma))
    x, eps = torch.randn(2, 100_000, 33, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    spread = EDMParameterization(sd).target(sd * x, eps, alpha, sigma).std(dim=0)
    torch.testing.assert_close(spread, torch.ones_like(spread), rtol=0.01, atol=0)

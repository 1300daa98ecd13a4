"""The exact denoiser is the conditional mean, and its probability flow is the one in closed form."""

import pytest
import torch

from driftfield.diffusion.exact import GaussianDenoiser
from driftfield.diffusion.schedule import LogLinearSchedule
from driftfield.interfaces import Denoiser
from driftfield.testing import check_denoiser, exact_problems

PROBLEMS = exact_problems()


@pytest.mark.parametrize("name", PROBLEMS)
@pytest.mark.parametrize("convention", ["variance_preserving", "edm", "flow"])
def test_is_the_conditional_mean(name: str, convention: str) -> None:
    """mu + C (C + s^2 I)^-1 (x_t / alpha - mu), by a plain solve."""
    schedule = LogLinearSchedule(convention=convention)  # type: ignore[arg-type]
    problem = exact_problems(schedule)[name]
    assert isinstance(problem.denoiser, Denoiser)
    t = torch.tensor([0.0, 0.3, 0.6, 1.0], dtype=torch.float64)
    alpha, sigma = (part[:, None] for part in schedule.alpha_sigma(t))
    x_t = torch.randn(4, problem.cells, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = problem.denoiser(x_t, t)
    for row in range(4):
        s2 = float((sigma / alpha)[row]) ** 2
        total = problem.covariance + s2 * torch.eye(problem.cells, dtype=torch.float64)
        departure = torch.linalg.solve(total, x_t[row] / alpha[row] - problem.mean)
        torch.testing.assert_close(found[row], problem.mean + problem.covariance @ departure)


def test_a_diagonal_covariance_may_be_given_as_variances() -> None:
    problem = PROBLEMS["independent"]
    diagonal = GaussianDenoiser(problem.schedule, problem.mean, problem.covariance.diagonal())
    x_t = torch.randn(3, 1, 1, problem.cells, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    t = torch.tensor([0.1, 0.5, 0.9], dtype=torch.float64)
    torch.testing.assert_close(diagonal(x_t, t), problem.denoiser(x_t, t))


@pytest.mark.parametrize("name", PROBLEMS)
def test_the_flow_in_closed_form_solves_its_equation(name: str) -> None:
    """dz / ds = (z - D(z, s)) / s, by many small Euler steps."""
    problem = PROBLEMS[name]
    z = torch.randn(2, problem.cells, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 5
    levels = torch.logspace(0.7, -2, 4_001, dtype=torch.float64)
    end = problem.sample(z, float(levels[0]), float(levels[-1]))
    t = problem.schedule.t(-2 * levels.log())
    for step in range(len(levels) - 1):
        clean = problem.denoiser(z, t[step].expand(2))
        z = clean + levels[step + 1] / levels[step] * (z - clean)
    torch.testing.assert_close(problem.denoiser(z, t[-1].expand(2)), end, rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize("name", PROBLEMS)
def test_keeps_the_laws_of_a_denoiser(name: str) -> None:
    check_denoiser(PROBLEMS[name].denoiser, (3, 1, 1, PROBLEMS[name].cells))

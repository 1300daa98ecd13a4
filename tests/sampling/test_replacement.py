"""Replacement imposes what was observed at the right noise level, and finds the exact posterior of independent cells."""

import math

import pytest
import torch

from driftfield.diffusion.exact import GaussianDenoiser
from driftfield.diffusion.schedule import LogLinearSchedule
from driftfield.interfaces import Denoiser
from driftfield.registry import build, lookup, names
from driftfield.sampling.guidance.replacement import ReplacementDenoiser
from driftfield.testing import check_denoiser, exact_problems, numbered_noise

SCHEDULE = LogLinearSchedule()
DRAWS, CELLS = 4096, 4
PRIOR = GaussianDenoiser(SCHEDULE, torch.tensor(0.0), torch.ones(CELLS))
Y = torch.tensor([1.5, -1.0, torch.nan, 0.7]).expand(DRAWS, 1, 1, CELLS)
OBSERVED = torch.tensor([True, True, False, True]).expand(DRAWS, 1, 1, CELLS)
SAMPLERS = {name: lookup("sampler", name)(evaluations=101) for name in names("sampler")}


def replaced(error: float, eps: torch.Tensor, prior: Denoiser = PRIOR) -> ReplacementDenoiser:
    return ReplacementDenoiser(prior, Y[: len(eps)], OBSERVED[: len(eps)], torch.full_like(eps, error), eps)


class Spy:
    """Keeps what the prior is shown."""

    def __init__(self) -> None:
        self.schedule = SCHEDULE
        self.shown = torch.empty(0)

    def __call__(self, x_t: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        self.shown = x_t
        return PRIOR(x_t, t)


@pytest.mark.parametrize("name", SAMPLERS)
def test_exact_observations_are_kept(name: str) -> None:
    noise = numbered_noise((64, 1, 1, CELLS))
    drawn = SAMPLERS[name].sample(replaced(0.0, noise(0).float()), noise)
    assert torch.equal(drawn[OBSERVED[:64]], Y[:64][OBSERVED[:64]])


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("error", [0.05, 0.5, 2.0])
def test_observations_with_error_are_weighed(name: str, error: float) -> None:
    """Mean y / (1 + r^2) and variance r^2 / (1 + r^2) where observed, the prior elsewhere; Monte-Carlo tolerance."""
    noise = numbered_noise((DRAWS, 1, 1, CELLS))
    found = SAMPLERS[name].sample(replaced(error, noise(0).float()), noise).double().view(DRAWS, CELLS)
    sd = torch.where(OBSERVED[0, 0, 0], error / math.hypot(1, error), 1.0)
    mean = torch.where(OBSERVED[0, 0, 0], Y[0, 0, 0] / (1 + error**2), 0.0)
    # a first-order walk of 101 evaluations is 2 to 6 % short of spread
    assert float(((found.mean(0) - mean) / sd).abs().max()) < 4 / math.sqrt(DRAWS) + 0.03
    assert float((found.std(0) / sd - 1).abs().max()) < 4 / math.sqrt(2 * DRAWS) + 0.06


@pytest.mark.parametrize("s", [80.0, 3.0, 0.5, 0.3])
def test_the_prior_is_shown_the_right_noise_level(s: float) -> None:
    """Over x, its error e and eps: a replaced cell has variance Var x + s^2, like every other cell."""
    error, generator = 0.3, torch.Generator().manual_seed(0)
    x, e, eps, other = torch.randn(4, DRAWS, 1, 1, CELLS, generator=generator)
    spy = Spy()
    everywhere = torch.ones_like(OBSERVED)
    denoiser = ReplacementDenoiser(spy, x + error * e, everywhere, torch.full_like(x, error), eps)
    denoiser(x + s * other, SCHEDULE.t(torch.full((DRAWS,), -2 * math.log(s))))
    departure = spy.shown - x
    assert abs(float(departure.std()) / s - 1) < 4 / math.sqrt(2 * x.numel())
    assert abs(float((departure * x).mean())) < 4 * s / math.sqrt(x.numel())


def test_below_its_own_error_an_observation_is_not_shown() -> None:
    spy = Spy()
    x_t = torch.randn(5, 1, 1, CELLS, generator=torch.Generator().manual_seed(0))
    replaced(0.5, torch.zeros(5, 1, 1, CELLS), spy)(x_t, SCHEDULE.t(torch.full((5,), -2 * math.log(0.4))))
    torch.testing.assert_close(spy.shown, x_t)


@pytest.mark.parametrize("convention", ["variance_preserving", "flow"])
def test_the_convention_does_not_matter(convention: str) -> None:
    schedule = build("schedule", {"class": "LogLinearSchedule", "convention": convention})
    prior = GaussianDenoiser(schedule, torch.tensor(0.0), torch.ones(CELLS))
    noise = numbered_noise((16, 1, 1, CELLS))
    sampler = SAMPLERS["DPMSolverPP2M"]
    found = sampler.sample(replaced(0.3, noise(0).float(), prior), noise)
    torch.testing.assert_close(found, sampler.sample(replaced(0.3, noise(0).float()), noise), rtol=1e-3, atol=1e-3)


def test_neighbours_learn_from_what_is_replaced() -> None:
    """On the smooth field, every other cell seen: error .67 in the others, where the posterior has .50 and the prior 1.09."""
    problem, draws = exact_problems()["correlated"], 64
    cells = problem.cells
    unit = torch.randn(8, cells, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    truth = problem.mean + unit @ torch.linalg.cholesky(problem.covariance).T
    y = truth.repeat_interleave(draws, dim=0).view(8 * draws, 1, 1, cells)
    observed = (torch.arange(cells) % 2 == 0).expand_as(y)
    noise = numbered_noise(y.shape)
    denoiser = ReplacementDenoiser(problem.denoiser, y, observed, torch.zeros_like(y), noise(0))
    mean = SAMPLERS["DPMSolverPP2M"].sample(denoiser, noise).double().view(8, draws, cells).mean(1)
    unseen = ~observed[0, 0, 0]
    error, prior = ((departure[:, unseen] ** 2).mean().sqrt() for departure in (mean - truth, problem.mean - truth))
    assert float(error) < 0.7 * float(prior)


def test_keeps_the_laws_of_a_denoiser() -> None:
    check_denoiser(replaced(0.3, torch.zeros(3, 1, 1, CELLS)), (3, 1, 1, CELLS))

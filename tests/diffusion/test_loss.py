"""The one loss: masks are obeyed, weightings are what their papers say, and a perfect denoiser has the least loss there is."""

import math

import numpy as np
import pytest
import torch
from scipy import stats

import driftfield.diffusion  # noqa: F401
from driftfield.diffusion.loss import diffusion_loss, level_errors, loss_mask, masked_mean
from driftfield.diffusion.noise_levels import LogNormalLevels, ScheduleLevels
from driftfield.diffusion.schedule import LogLinearSchedule, noise_level
from driftfield.diffusion.weighting import (
    EDMWeighting,
    ELBOWeighting,
    ExponentialWeighting,
    GaussianEDMWeighting,
    IntegralWeighting,
    MinSNRWeighting,
    SigmoidWeighting,
    Weighting,
)
from driftfield.errors import ConfigurationError
from driftfield.registry import lookup, names
from driftfield.testing import exact_problems

SCHEDULE, LEVELS = LogLinearSchedule(), ScheduleLevels()


@pytest.fixture(params=names("weighting"))
def weighting(request: pytest.FixtureRequest) -> Weighting:
    return lookup("weighting", request.param)()


def loss(x_hat: torch.Tensor, x: torch.Tensor, mask: torch.Tensor, weighting: Weighting) -> torch.Tensor:
    gamma = torch.linspace(SCHEDULE.gamma_min, SCHEDULE.gamma_max, len(x), dtype=x.dtype)
    return diffusion_loss(x_hat, x, gamma, mask=mask, schedule=SCHEDULE, noise_levels=LEVELS, weighting=weighting)


def test_an_empty_mask_gives_zero_with_a_graph(weighting: Weighting) -> None:
    x_hat = torch.randn(3, 2, 4, 5, requires_grad=True)
    value = loss(x_hat, torch.zeros(3, 2, 4, 5), torch.zeros(3, 2, 4, 5, dtype=torch.bool), weighting)
    assert value.item() == 0
    value.backward()
    assert x_hat.grad is not None
    assert (x_hat.grad == 0).all()


def test_what_lies_under_the_mask_does_not_matter(weighting: Weighting) -> None:
    generator = torch.Generator().manual_seed(0)
    x, x_hat = torch.randn(2, 3, 2, 4, 5, generator=generator)
    mask = torch.rand(3, 2, 4, 5, generator=generator) < 0.5
    expected = loss(x_hat, x, mask, weighting)
    for poison in (torch.nan, torch.inf, 1e30):
        bad = torch.where(mask, x_hat, poison).requires_grad_()
        found = loss(bad, torch.where(mask, x, torch.nan), mask, weighting)
        assert torch.equal(found, expected)


def test_a_known_error_has_its_known_loss(weighting: Weighting) -> None:
    """With (x_hat - x)^2 = s^2 the eps-equivalent error is 1, and the loss is the mean factor."""
    gamma = torch.linspace(SCHEDULE.gamma_min, SCHEDULE.gamma_max, 9, dtype=torch.float64)
    x = torch.zeros(9, 1, 2, 2, dtype=torch.float64)
    x_hat = x + noise_level(gamma).view(-1, 1, 1, 1)
    expected = weighting.factor(gamma, SCHEDULE.density(gamma)).mean()
    torch.testing.assert_close(loss(x_hat, x, torch.ones_like(x, dtype=torch.bool), weighting), expected)


def test_weightings_are_the_published_ones() -> None:
    gamma = torch.linspace(-8, 8, 17, dtype=torch.float64)
    s, p = noise_level(gamma), 0.3 + torch.rand(17, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    expected = {
        EDMWeighting(0.5): (s**2 + 0.25) / (s * 0.5) ** 2 * s**2,  # on the clean error, whatever the density
        ELBOWeighting(): 1 / p,
        SigmoidWeighting(2.0): torch.sigmoid(2 - gamma) / p,
        MinSNRWeighting(5.0): torch.minimum(torch.ones_like(p), 5 * (-gamma).exp()),
        ExponentialWeighting(0.5): torch.exp(-gamma / 2 - 0.5) / p,
        GaussianEDMWeighting(sd=0.5): torch.from_numpy(stats.norm.pdf(gamma, 2.4, 2.4)) * (s**2 + 0.25) / 0.25 / p,
    }
    assert {type(member).__name__ for member in expected} == set(names("weighting")) - {"LearnedWeighting"}
    for member, factor in expected.items():
        torch.testing.assert_close(member.factor(gamma, p), factor)


INTEGRALS = [name for name in names("weighting") if issubclass(lookup("weighting", name), IntegralWeighting)]


@pytest.mark.parametrize("name", INTEGRALS)
def test_a_loss_does_not_depend_on_the_density_of_its_draws(name: str) -> None:
    """E over p of w / p is the integral of w: any density, one bound."""
    weighting = lookup("weighting", name)()
    grid = torch.linspace(SCHEDULE.gamma_min, SCHEDULE.gamma_max, 20_001, dtype=torch.float64)
    expected = float(torch.trapezoid(weighting.w(grid), grid))
    for levels in (lookup("noise_levels", levels)() for levels in names("noise_levels")):
        u = (torch.arange(20_000, dtype=torch.float64) + 0.5) / 20_000
        gamma = levels.gamma(u, SCHEDULE)
        found = float(weighting.factor(gamma, levels.density(gamma, SCHEDULE)).mean())
        assert found == pytest.approx(expected, rel=0.01)


def test_the_gaussian_edm_weighting_is_the_edm_weighting_on_its_own_levels() -> None:
    levels = LogNormalLevels(mean=-1.2, std=1.2)
    gamma = levels.gamma(torch.linspace(0.01, 0.99, 33, dtype=torch.float64), SCHEDULE)
    p = levels.density(gamma, SCHEDULE)
    ratio = GaussianEDMWeighting(2.4, 2.4, 0.5).factor(gamma, p) / EDMWeighting(0.5).factor(gamma, p)
    # what is cut off at the ends of the schedule
    kept = stats.norm.cdf(math.log(80), -1.2, 1.2) - stats.norm.cdf(math.log(0.01), -1.2, 1.2)
    torch.testing.assert_close(ratio, torch.full_like(ratio, kept))


def test_a_weighting_whose_density_is_cancelled_has_no_w() -> None:
    for name in sorted(set(names("weighting")) - set(INTEGRALS)):
        with pytest.raises(ConfigurationError, match=r"no w\(gamma\)"):
            lookup("weighting", name)().w(torch.zeros(1))


def test_level_errors_are_those_of_every_sample() -> None:
    gamma = torch.tensor([-2.0, 0.0, 3.0])
    mask = torch.tensor([[True, True, False], [True, False, False], [False, False, False]])[:, None]
    x_hat = torch.tensor([[1.0, 3.0, torch.nan], [2.0, torch.inf, 0.0], [1.0, 1.0, 1.0]])[:, None]
    found = level_errors(x_hat, torch.zeros(3, 1, 3), gamma, mask)
    torch.testing.assert_close(found, torch.tensor([5.0 * math.exp(-2), 4.0, torch.nan]), equal_nan=True)


def test_the_exact_denoiser_has_the_least_loss() -> None:
    """E |D - x|^2 = v s^2 / (v + s^2) per eigendirection; any other linear denoiser loses more."""
    problem = exact_problems()["independent"]
    draws, generator = 40_000, torch.Generator().manual_seed(0)
    t = torch.full((draws,), 0.45, dtype=torch.float64)
    gamma = SCHEDULE.gamma(t)
    s = float(noise_level(gamma[0]))
    eps, unit = torch.randn(2, draws, 1, 1, problem.cells, generator=generator, dtype=torch.float64)
    v = problem.covariance.diagonal()
    x = problem.mean + v.sqrt() * unit
    clean = problem.denoiser(x + s * eps, t)
    mask = torch.ones_like(x, dtype=torch.bool)
    parts = {"mask": mask, "schedule": SCHEDULE, "noise_levels": LEVELS, "weighting": EDMWeighting()}
    least = float((v / (v + s**2)).mean() * (s**2 + 1))
    found = float(diffusion_loss(clean, x, gamma, **parts))
    assert abs(found / least - 1) < 4 * math.sqrt(2 / (draws * problem.cells))
    for factor in (0.9, 1.1):
        worse = problem.mean + factor * (clean - problem.mean)
        assert float(diffusion_loss(worse, x, gamma, **parts)) > found


def test_masks_for_the_loss() -> None:
    domain = torch.tensor([True, True, False])
    observed = torch.tensor([True, False, False])
    assert loss_mask(domain, observed).tolist() == [True, True, False]
    assert loss_mask(domain, observed, "unobserved").tolist() == [False, True, False]
    with pytest.raises(ConfigurationError, match="unobserved"):
        loss_mask(domain, observed, "sea")  # type: ignore[arg-type]


def test_a_masked_mean_is_the_mean_of_the_cells_inside() -> None:
    values = torch.tensor([1.0, 3.0, torch.nan])
    assert float(masked_mean(values, torch.tensor([True, True, False]))) == 2.0


def test_an_exponent_moves_what_is_learnt_from_the_mean_to_the_median() -> None:
    """The constant with the least loss over skewed values: their mean at 1, their median at 1/2, between them at 3/4."""
    x = torch.from_numpy(stats.expon.ppf((np.arange(4000) + 0.5) / 4000)).view(-1, 1, 1, 1)
    gamma, mask = torch.zeros(len(x), dtype=x.dtype), torch.ones_like(x, dtype=torch.bool)
    guesses = np.linspace(0.4, 1.3, 181)
    best = {}
    for exponent in (0.5, 0.75, 1.0):
        losses = [
            float(diffusion_loss(torch.full_like(x, guess), x, gamma, mask=mask, schedule=SCHEDULE, noise_levels=LEVELS,
                                 weighting=EDMWeighting(), exponent=exponent))
            for guess in guesses
        ]  # fmt: skip
        best[exponent] = guesses[int(np.argmin(losses))]
    assert best[1.0] == pytest.approx(1.0, abs=0.01)
    assert best[0.5] == pytest.approx(np.log(2), abs=0.02)
    assert best[0.5] + 0.05 < best[0.75] < best[1.0] - 0.05

"""The exact denoiser is the conditional mean, and its probability flow is the one in closed form."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from driftfield.diffusion.exact import EmpiricalDenoiser, GaussianDenoiser, MixtureDenoiser
from driftfield.diffusion.schedule import LogLinearSchedule
from driftfield.errors import ConfigurationError
from driftfield.interfaces import Denoiser
from driftfield.linalg.covariance import LowRankCovariance
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


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


TIMES = torch.tensor([0.1, 0.5, 0.9], dtype=torch.float64)


def test_the_other_exact_denoisers_keep_the_laws_too() -> None:
    """Also of single-precision fields, of scalar variances beside matrices, and inside a mask."""
    schedule, means = LogLinearSchedule(), normal(3, 6, seed=1)
    scalar, matrix = torch.tensor(0.2, dtype=torch.float64), torch.diag(normal(6).exp())
    for one, other in ((means, means), (means.float(), means)):
        mixture = MixtureDenoiser(schedule, torch.ones(3), one, [scalar, matrix, other[0].exp()])
        check_denoiser(mixture, (4, 1, 2, 3))
    mask = torch.tensor([[True, False, True], [True, True, False]])[None]
    for portion in (4, 4096):
        check_denoiser(EmpiricalDenoiser(schedule, normal(9, 1, 2, 3), mask, portion=portion), (4, 1, 2, 3))


def test_a_scalar_variance_is_that_of_every_cell() -> None:
    variance = torch.tensor(0.3, dtype=torch.float64)
    scalar, mean = GaussianDenoiser(LogLinearSchedule(), normal(5), variance), normal(5)
    whole = GaussianDenoiser(LogLinearSchedule(), mean, variance * torch.eye(5, dtype=torch.float64))
    x_t, s = normal(3, 5, seed=1), torch.tensor([[0.1], [1.0], [7.0]], dtype=torch.float64)
    torch.testing.assert_close(scalar(x_t, TIMES), whole(x_t, TIMES))
    torch.testing.assert_close(scalar.log_density(x_t, s), whole.log_density(x_t, s))
    normals = torch.distributions.Normal(mean, torch.sqrt(variance + s**2))
    torch.testing.assert_close(scalar.log_density(x_t, s), normals.log_prob(x_t).sum(-1))


def test_any_covariance_object_is_taken() -> None:
    factors, noise, mean = normal(6, 2), normal(6, seed=1).exp(), normal(6, seed=2)
    low = GaussianDenoiser(LogLinearSchedule(), mean, LowRankCovariance(factors, noise))
    dense = GaussianDenoiser(LogLinearSchedule(), mean, factors @ factors.mT + torch.diag(noise))
    x_t = normal(3, 1, 2, 3, seed=3)
    torch.testing.assert_close(low(x_t, TIMES), dense(x_t, TIMES))


def test_a_mixture_of_one_is_its_gaussian() -> None:
    covariance = torch.diag(normal(5).exp())
    one = MixtureDenoiser(LogLinearSchedule(), torch.ones(1), normal(1, 5, seed=1), [covariance])
    x_t = normal(3, 5, seed=2)
    torch.testing.assert_close(
        one(x_t, TIMES), GaussianDenoiser(LogLinearSchedule(), normal(1, 5, seed=1)[0], covariance)(x_t, TIMES)
    )


@pytest.mark.parametrize("convention", ["variance_preserving", "edm", "flow"])
def test_a_mixture_follows_tweedie(convention: str) -> None:
    """E[x | z] = z + s^2 d/dz ln p(z), with the density of the mixture written by hand."""
    schedule = LogLinearSchedule(convention=convention)  # type: ignore[arg-type]
    weights, means = torch.tensor([0.2, 0.5, 0.3], dtype=torch.float64), normal(3, 2, seed=1)
    variances = torch.tensor([0.04, 0.3, 1.0], dtype=torch.float64)
    denoiser = MixtureDenoiser(schedule, weights, means, list(variances))
    x_t = normal(3, 2, seed=2)
    alpha, sigma = (part[:, None] for part in schedule.alpha_sigma(TIMES))
    s = sigma / alpha
    z = (x_t / alpha).requires_grad_()
    total = variances + s**2
    logs = torch.log(weights) - ((z[:, None] - means) ** 2).sum(-1) / 2 / total - torch.log(2 * math.pi * total)
    score = torch.autograd.grad(torch.logsumexp(logs, 1).sum(), z)[0]
    torch.testing.assert_close(denoiser(x_t, TIMES), z.detach() + s**2 * score)
    probability = denoiser.responsibilities(x_t, TIMES)
    torch.testing.assert_close(probability, torch.softmax(logs.detach(), 1))


def test_an_empirical_denoiser_is_a_mixture_of_points() -> None:
    schedule = LogLinearSchedule(s_min=0.1)
    data = normal(7, 4, seed=1)
    points = MixtureDenoiser(schedule, torch.ones(7), data, [torch.tensor(1e-12, dtype=torch.float64)] * 7)
    x_t = normal(3, 4, seed=2)
    torch.testing.assert_close(EmpiricalDenoiser(schedule, data)(x_t, TIMES), points(x_t, TIMES))


def test_the_portions_of_an_empirical_denoiser_do_not_matter() -> None:
    data, x_t = normal(23, 1, 3, 4, seed=1), 5 * normal(3, 1, 3, 4, seed=2)
    whole = EmpiricalDenoiser(LogLinearSchedule(), data)(x_t, TIMES)
    for portion in (1, 5, 22):
        torch.testing.assert_close(EmpiricalDenoiser(LogLinearSchedule(), data, portion=portion)(x_t, TIMES), whole)
    near = EmpiricalDenoiser(LogLinearSchedule(), data)(data[4:5], torch.zeros(1, dtype=torch.float64))
    torch.testing.assert_close(near, data[4:5])


class Largest(TorchDispatchMode):
    """Remembers the size of the largest tensor that is made."""

    size = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        # a view of the data takes no memory
        if isinstance(made, Tensor) and not func.is_view:
            self.size = max(self.size, made.numel())
        return made


def test_memory_grows_with_the_portion_and_not_with_the_data() -> None:
    cells, batch, portion = 12, 40, 50
    x_t, t = normal(batch, cells), torch.full((batch,), 0.5, dtype=torch.float64)
    sizes = []
    for count in (500, 5000):
        denoiser = EmpiricalDenoiser(LogLinearSchedule(), normal(count, cells), portion=portion)
        with Largest() as seen:
            denoiser(x_t, t)
        sizes.append(seen.size)
    assert sizes[0] == sizes[1] == batch * portion


def test_what_lies_under_the_mask_does_not_count() -> None:
    mask = torch.tensor([[True, False, True], [True, True, False]])
    data, x_t = normal(9, 2, 3, seed=1), normal(3, 2, 3, seed=2)
    spoiled = torch.where(mask, data, float("nan")), torch.where(mask, x_t, float("inf"))
    clean = EmpiricalDenoiser(LogLinearSchedule(), data, mask)(x_t, TIMES)
    found = EmpiricalDenoiser(LogLinearSchedule(), spoiled[0], mask)(spoiled[1], TIMES)
    torch.testing.assert_close(found, clean)
    assert (found[:, ~mask] == 0).all()
    only = EmpiricalDenoiser(LogLinearSchedule(), data[:, mask])(x_t[:, mask], TIMES)
    torch.testing.assert_close(found[:, mask], only)


def test_exact_denoisers_refuse_what_makes_no_sense() -> None:
    with pytest.raises(ConfigurationError, match="mode"):
        MixtureDenoiser(LogLinearSchedule(), torch.ones(2), torch.zeros(3, 1), [torch.tensor(1.0)] * 3)
    with pytest.raises(ConfigurationError, match="portions"):
        EmpiricalDenoiser(LogLinearSchedule(), torch.zeros(3, 1), portion=0)

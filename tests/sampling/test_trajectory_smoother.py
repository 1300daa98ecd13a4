"""Windows, composed and guided by observations, against the exact smoother of a Gaussian process."""

import pytest
import torch

from driftfield.diffusion.exact import GaussianDenoiser
from driftfield.diffusion.schedule import LogLinearSchedule
from driftfield.diffusion.trajectory import WindowedDenoiser
from driftfield.errors import ConfigurationError
from driftfield.linalg.covariance import DiagonalCovariance
from driftfield.linalg.operators import MatrixOperator, Observed
from driftfield.linalg.solvers import ConjugateGradients
from driftfield.sampling import DPMSolverPP2M
from driftfield.sampling.guidance.mmps import MMPSDenoiser

SCHEDULE = LogLinearSchedule(0.002, 20.0)
LENGTH, A, ERROR = 25, 0.9, 0.5


def covariance(length: int) -> torch.Tensor:
    """Of the stationary process x_(i+1) = A x_i + noise with variance 1."""
    i = torch.arange(length, dtype=torch.float64)
    return A ** (i[:, None] - i).abs()


def smoothed(half: int | None, every: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Mean and sd of a guided walk (None: with the exact prior of the whole), and those of the exact smoother."""
    generator = torch.Generator().manual_seed(0)
    c = covariance(LENGTH)
    truth = torch.linalg.cholesky(c) @ torch.randn(LENGTH, generator=generator, dtype=torch.float64)
    h = torch.eye(LENGTH, dtype=torch.float64)[::every]
    y = h @ truth + ERROR * torch.randn(len(h), generator=generator, dtype=torch.float64)
    # the Kalman smoother of a Gaussian process, all at once
    gain = c @ h.T @ torch.linalg.inv(h @ c @ h.T + ERROR**2 * torch.eye(len(h), dtype=torch.float64))
    mean, sd = gain @ y, (c - gain @ h @ c).diagonal().sqrt()
    states = LENGTH if half is None else 2 * half + 1
    prior = GaussianDenoiser(SCHEDULE, torch.zeros(states, dtype=torch.float64), covariance(states))
    observed = Observed(MatrixOperator(h), y, DiagonalCovariance(torch.full((len(h),), ERROR**2, dtype=torch.float64)))
    guided = MMPSDenoiser(WindowedDenoiser(prior, states), observed, solver=ConjugateGradients(5))
    # the walk is (nearly) affine in its noise: unit vectors and the origin give mean and covariance without sampling
    noise = torch.cat([torch.zeros(1, LENGTH), torch.eye(LENGTH)]).double()
    drawn = DPMSolverPP2M(32).sample(guided, lambda draw: noise).double()
    spread = (drawn[1:] - drawn[:1]).square().sum(0).sqrt()
    return drawn[0], spread, mean, sd


def misfit(found: torch.Tensor, exact: torch.Tensor, exact_sd: torch.Tensor) -> float:
    """Error of the mean in posterior standard deviations, root mean square."""
    return float(((found - exact) / exact_sd).square().mean().sqrt())


def test_one_window_over_all_is_the_kalman_smoother() -> None:
    mean, sd, exact, exact_sd = smoothed(None, every=1)
    assert misfit(mean, exact, exact_sd) < 0.2
    torch.testing.assert_close(sd / exact_sd, torch.ones_like(sd), atol=0.05, rtol=0)


@pytest.mark.parametrize(("every", "worst"), [(1, 0.6), (4, 1.4)])
def test_composed_windows_come_nearer_to_the_kalman_smoother_as_they_grow(every: int, worst: float) -> None:
    """Observations at every step carry what short windows forget; with fewer, windows must be longer."""
    errors = []
    for half in (1, 2, 4, 8):
        mean, sd, exact, exact_sd = smoothed(half, every)
        errors.append(misfit(mean, exact, exact_sd))
        assert float((sd / exact_sd).min()) > 0.95
    assert errors == sorted(errors, reverse=True)
    assert errors[0] < worst
    assert errors[-1] < 0.25
    torch.testing.assert_close(sd / exact_sd, torch.ones_like(sd), atol=0.15, rtol=0)


class Sunken:
    """Has a denoiser and answers as it does, but its Jacobian is too small by a multiple of the identity."""

    def __init__(self, denoiser: GaussianDenoiser, by: float) -> None:
        self.schedule, self.denoiser, self.by = denoiser.schedule, denoiser, by

    def __call__(self, x_t: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        alpha = self.schedule.alpha_sigma(t)[0].view(-1, 1)
        return self.denoiser(x_t, t) - self.by / alpha * (x_t - x_t.detach())


def test_damping_gives_back_what_a_jacobian_lacks() -> None:
    c = covariance(LENGTH)
    whole = GaussianDenoiser(SCHEDULE, torch.zeros(LENGTH, dtype=torch.float64), c)
    h = torch.eye(LENGTH, dtype=torch.float64)[::2]
    variance = torch.full((len(h),), ERROR**2, dtype=torch.float64)
    observed = Observed(
        MatrixOperator(h), torch.linspace(-1, 1, len(h), dtype=torch.float64), DiagonalCovariance(variance)
    )
    z = torch.randn(2, LENGTH, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    t = torch.tensor([0.3, 0.6], dtype=torch.float64)
    solver = ConjugateGradients(40, tolerance=1e-12)
    expected = MMPSDenoiser(whole, observed, solver=solver)(z, t)
    damped = MMPSDenoiser(Sunken(whole, 0.3), observed, solver=solver, damping=0.3)(z, t)
    torch.testing.assert_close(damped, expected)
    undamped = MMPSDenoiser(Sunken(whole, 0.3), observed, solver=solver)(z, t)
    assert float((undamped - expected).abs().max()) > 0.1
    with pytest.raises(ConfigurationError, match="damping=-1"):
        MMPSDenoiser(whole, observed, damping=-1)

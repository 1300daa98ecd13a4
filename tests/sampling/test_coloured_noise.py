"""Noise with the colour of a random field, on exact Gaussians: what docs/decisions/0022-coloured-noise.md is built on.

With x_t / alpha = x + s A e, C = A A', everything is white in u = A^-1 x: walks, guidance with H A in place of H, and their
posteriors, which are those of the dense Gaussian. In x the guidance is (sigma^2 / alpha) C J' in place of (sigma^2 / alpha) J'.
"""

import numpy as np
import pytest
import torch
from torch import Tensor

from driftfield.diffusion.exact import GaussianDenoiser
from driftfield.diffusion.schedule import LogLinearSchedule
from driftfield.gaussian.random_fields import Matern, PeriodicField, PowerLaw, RandomField
from driftfield.linalg.covariance import DiagonalCovariance
from driftfield.linalg.operators import MatrixOperator, Observed
from driftfield.linalg.solvers import ConjugateGradients
from driftfield.registry import build
from driftfield.sampling.guidance.mmps import MMPSDenoiser

SHAPE, CELLS = (5, 6), 30
SCHEDULE = LogLinearSchedule(s_min=0.01, s_max=200.0)


def root(field: RandomField) -> Tensor:
    """A, symmetric on a torus."""
    return torch.from_numpy(field.color(np.eye(CELLS).reshape(CELLS, *SHAPE)).reshape(CELLS, CELLS))


A = root(PeriodicField(Matern(0.2, 0.5), SHAPE))
# not stationary, so that it does not share its eigenvectors with the noise
AMPLITUDE = 1 + 0.5 * torch.sin(1.7 * torch.arange(CELLS, dtype=torch.float64))
DATA = AMPLITUDE[:, None] * root(PeriodicField(PowerLaw(0.3, 2.0), SHAPE))
COVARIANCE = DATA @ DATA.T
MEAN = torch.sin(torch.arange(CELLS, dtype=torch.float64))
INVERSE = torch.linalg.inv(A)


def whitened() -> GaussianDenoiser:
    """E[u | u_t] of u = A^-1 x."""
    covariance = INVERSE @ COVARIANCE @ INVERSE.T
    return GaussianDenoiser(SCHEDULE, INVERSE @ MEAN, (covariance + covariance.T) / 2)


class Coloured:
    """E[x | x_t] under noise of covariance C, written in x: mean + S (S + s^2 C)^-1 (z - mean)."""

    schedule = SCHEDULE

    def __call__(self, x_t: Tensor, t: Tensor) -> Tensor:
        alpha, sigma = SCHEDULE.alpha_sigma(t[:1].double())
        gain = COVARIANCE @ torch.linalg.inv(COVARIANCE + (sigma / alpha) ** 2 * A @ A.T)
        z = x_t.flatten(1).double() / alpha
        return (MEAN + (z - MEAN) @ gain.T).view(x_t.shape)


def moments(sampler_spec: dict[str, object], denoiser: object, noise: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and covariance of a deterministic walk: it is affine in its noise, whose root is `noise`."""
    sampler = build("sampler", sampler_spec)
    units = noise.T[:, None, None, :]
    centre = sampler.sample(denoiser, lambda _: torch.zeros_like(units[:1])).double().view(-1)
    response = sampler.sample(denoiser, lambda _: units).double().view(-1, CELLS) - centre
    return centre, response.T @ response


@pytest.mark.parametrize("name", ["DPMSolverPP2M", "HeunSampler", "DDIMSampler"])
def test_a_walk_from_coloured_noise_is_the_whitened_one(name: str) -> None:
    """The samplers need no change: only their draws are coloured. Both find the data, as they do from white noise."""
    spec = {"class": name, "evaluations": 401}
    mean, covariance = moments(spec, Coloured(), A)
    u_mean, u_covariance = moments(spec, whitened(), torch.eye(CELLS, dtype=torch.float64))
    torch.testing.assert_close(mean, A @ u_mean, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(covariance, A @ u_covariance @ A.T, atol=1e-4, rtol=1e-4)
    tolerance = 0.02 if name == "DDIMSampler" else 0.01
    torch.testing.assert_close(mean, MEAN, atol=tolerance, rtol=0)
    torch.testing.assert_close(covariance.diagonal(), COVARIANCE.diagonal(), atol=0, rtol=2 * tolerance)


def test_guidance_of_whitened_waves_finds_the_posterior() -> None:
    """MMPS with H A in place of H, as it is: mean and covariance are those of the dense Gaussian."""
    h = torch.eye(CELLS, dtype=torch.float64)[::4]
    y, r = torch.linspace(-1, 2, len(h), dtype=torch.float64), 0.3
    observed = Observed(
        MatrixOperator(h @ A, (1, 1, CELLS)), y, DiagonalCovariance(torch.full((len(h),), r**2, dtype=torch.float64))
    )
    guided = MMPSDenoiser(whitened(), observed, solver=ConjugateGradients(len(h)))
    u_mean, u_covariance = moments(
        {"class": "DPMSolverPP2M", "evaluations": 201}, guided, torch.eye(CELLS, dtype=torch.float64)
    )
    gain = COVARIANCE @ h.T @ torch.linalg.inv(h @ COVARIANCE @ h.T + r**2 * torch.eye(len(h), dtype=torch.float64))
    torch.testing.assert_close(A @ u_mean, MEAN + gain @ (y - h @ MEAN), atol=0.01, rtol=0)
    expected = COVARIANCE - gain @ h @ COVARIANCE
    torch.testing.assert_close((A @ u_covariance @ A.T).diagonal(), expected.diagonal(), atol=0.01, rtol=0.02)


def test_the_covariance_of_a_denoiser_is_its_jacobian_times_that_of_the_noise() -> None:
    """Cov[x | x_t] = (sigma^2 / alpha) J C, symmetric; (sigma^2 / alpha) J alone is not even symmetric."""
    t = torch.tensor([0.6], dtype=torch.float64)
    alpha, sigma = SCHEDULE.alpha_sigma(t)
    noise = (sigma / alpha) ** 2 * A @ A.T
    gain = COVARIANCE @ torch.linalg.inv(COVARIANCE + noise)
    x_t = torch.zeros(1, CELLS, dtype=torch.float64)
    jacobian = torch.autograd.functional.jacobian(lambda x: Coloured()(x, t)[0], x_t)[:, 0]
    torch.testing.assert_close(
        sigma**2 / alpha * jacobian @ A @ A.T, COVARIANCE - gain @ COVARIANCE, atol=1e-8, rtol=1e-6
    )
    assert float((jacobian - jacobian.T).abs().max()) > 1e-3

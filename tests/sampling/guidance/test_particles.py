"""Twisted particles find the exact posterior of a mixture, its evidence too, and of a nonlinear observation."""

import pytest
import torch

from driftfield.diffusion.exact import GaussianDenoiser
from driftfield.errors import ConfigurationError, DivergenceError
from driftfield.linalg.covariance import DiagonalCovariance
from driftfield.linalg.operators import FunctionOperator, Observed
from driftfield.sampling.guidance.cloud import ParticleCloud
from driftfield.sampling.guidance.particles import TwistedParticles
from driftfield.testing.posteriors import MixtureProblem

PROBLEM = MixtureProblem()
PRIOR, SEEN, SHAPE = PROBLEM.denoiser(), PROBLEM.observation, PROBLEM.shape
SCHEDULE = PRIOR.schedule


def errors(particles: int, levels: int, seed: int = 0) -> tuple[float, float, float]:
    """Largest of the mean in posterior standard deviations, of the standard deviation, and of the evidence."""
    cloud = TwistedParticles(PRIOR, SEEN, particles=particles, levels=levels, sd=1.4).draw(SHAPE, seed)
    mean, sd, evidence = PROBLEM.posterior
    return (
        float(((cloud.mean().view(2) - mean) / sd).abs().max()),
        float((cloud.sd().view(2) / sd - 1).abs().max()),
        abs(cloud.log_evidence - evidence),
    )


def test_it_is_near_the_posterior_of_a_mixture() -> None:
    assert max(errors(4000, 128)) < 0.06


@pytest.mark.slow
def test_it_is_within_one_percent_as_particles_grow() -> None:
    mean, sd, evidence = errors(50000, 256)
    assert max(mean, sd) < 0.01
    assert evidence < 0.03


def test_it_wastes_few_particles_and_repeats_itself() -> None:
    walk = TwistedParticles(PRIOR, SEEN, particles=500, levels=32, sd=1.4)
    one, same, other = walk.draw(SHAPE, 3), walk.draw(SHAPE, 3), walk.draw(SHAPE, 4)
    assert torch.equal(one.fields, same.fields)
    assert not torch.equal(one.fields, other.fields)
    assert float(one.weights.sum()) == pytest.approx(1)
    assert one.least_effective > 100
    assert walk.evaluations == 3 * 32 - 2


def test_members_are_chosen_by_weight() -> None:
    weights = torch.tensor([0.1, 0.0, 0.6, 0.3])
    cloud = ParticleCloud(torch.arange(4.0).view(4, 1, 1), weights, 0.0, 4.0)
    chosen = cloud.chosen([(k + 0.5) / 1000 for k in range(1000)])
    assert torch.bincount(chosen, minlength=4).tolist() == [100, 0, 600, 300]
    assert cloud.effective == pytest.approx(1 / (0.01 + 0.36 + 0.09))
    assert cloud.chosen([0.0]).tolist() == [0]


def test_a_nonlinear_observation() -> None:
    """|x|² of a standard normal in the plane: the posterior of the radius by quadrature; two sides, mean 0."""
    prior = GaussianDenoiser(SCHEDULE, torch.tensor(0.0), torch.ones(2, dtype=torch.float64))
    y, r = 4.0, 0.5
    seen = Observed(
        FunctionOperator(lambda x: x.flatten(1).square().sum(1, keepdim=True), SHAPE),
        torch.tensor([y], dtype=torch.float64),
        DiagonalCovariance(torch.tensor([r**2], dtype=torch.float64)),
    )
    cloud = TwistedParticles(prior, seen, particles=4000, levels=96).draw(SHAPE)
    radius = torch.linspace(1e-3, 6, 20001, dtype=torch.float64)
    density = radius * torch.exp(-(radius**2) / 2 - (y - radius**2) ** 2 / (2 * r**2))
    expected = float((radius**2 * density).sum() / density.sum())
    found = cloud.fields.flatten(1).square().sum(1)
    assert float((cloud.weights * found).sum()) == pytest.approx(expected, rel=0.02)
    assert float(cloud.mean().abs().max()) < 0.15


def test_observations_that_nothing_explains_are_an_error_of_the_user() -> None:
    far = Observed(SEEN.operator, torch.tensor([1e200], dtype=torch.float64), SEEN.covariance)
    with pytest.raises(DivergenceError, match="lost all 50 particles at step 1"):
        TwistedParticles(PRIOR, far, particles=50, levels=8).draw(SHAPE)


def test_impossible_settings_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="particles=1"):
        TwistedParticles(PRIOR, SEEN, particles=1)

"""Noise that is a random field: a symmetric root and its inverse, one field at all resolutions, and the exact Gaussian laws."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from driftfield.diffusion.building import diffusion_model
from driftfield.diffusion.coloured_noise import MaternNoise, RandomFieldNoise
from driftfield.diffusion.model import DiffusionModel
from driftfield.diffusion.noise import DiffusionNoise, NoiseKeys, WhiteNoise
from driftfield.errors import ConfigurationError
from driftfield.fields import FieldBatch, Seen
from driftfield.gaussian.random_fields import Matern, PeriodicField
from driftfield.linalg.covariance import DiagonalCovariance
from driftfield.linalg.operators import MatrixOperator, Observed
from driftfield.linalg.solvers import ConjugateGradients
from driftfield.registry import build, names
from driftfield.sampling.guidance.base import GuidedDenoiser
from driftfield.sampling.guidance.mmps import MMPSDenoiser
from driftfield.sampling.starting import conditional_mean
from driftfield.worlds.navier_stokes import truncated

SHAPE, CELLS = (5, 6), 30
COLOURS = [name for name in names("noise") if name != "White"]
LENGTHS = {"Matern": 0.1, "PowerLaw": 0.1, "SquaredExponential": 0.15}


def noise_named(name: str, boundary: str = "periodic") -> RandomFieldNoise:
    made: RandomFieldNoise = build("noise", {"class": name, "length": LENGTHS[name], "boundary": boundary})
    return made


def root(noise: DiffusionNoise, shape: tuple[int, int] = SHAPE) -> Tensor:
    """A as a matrix."""
    cells = shape[0] * shape[1]
    return noise.color(torch.eye(cells, dtype=torch.float64).view(cells, *shape)).flatten(1)


@pytest.mark.parametrize("boundary", ["periodic", "neumann"])
@pytest.mark.parametrize("name", COLOURS)
def test_colour_is_a_symmetric_root_of_the_covariance_and_whitens_back(name: str, boundary: str) -> None:
    noise = noise_named(name, boundary)
    a = root(noise)
    torch.testing.assert_close(a, a.T, atol=1e-12, rtol=0)
    identity = noise.whiten(a.view(CELLS, *SHAPE)).flatten(1)
    torch.testing.assert_close(identity, torch.eye(CELLS, dtype=torch.float64), atol=1e-8, rtol=0)
    field = noise.field(SHAPE)
    units = np.eye(CELLS).reshape(CELLS, *SHAPE)
    np.testing.assert_allclose(a.numpy(), field.color(units).reshape(CELLS, CELLS), atol=1e-12)


def test_half_precision_is_transformed_in_single() -> None:
    u = torch.randn(3, 16, 16, generator=torch.Generator().manual_seed(0))
    noise = MaternNoise(0.1)
    found = noise.color(u.bfloat16())
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.float(), noise.color(u.bfloat16().float()), atol=0.02, rtol=0.01)


@pytest.mark.parametrize("name", COLOURS)
def test_draws_of_two_resolutions_are_one_field(name: str) -> None:
    """Truncated to 24 points, the field of 48 is that of 24, for every kernel, and a member depends on no other."""
    noise = noise_named(name)

    def fields(n: int, members: list[int]) -> Tensor:
        cells = np.arange(n)
        white = noise.draws(NoiseKeys(7, members, ["2001-01-01"] * len(members), ["a", "b"], cells, cells))
        return noise.color(white(3).double())

    fine, coarse = fields(48, [0, 4]), fields(24, [4])
    below = truncated(coarse, 23)  # without the Nyquist wave of 24, which is real there
    torch.testing.assert_close(truncated(fine[1:], 23), below, atol=1e-6, rtol=0)
    assert float((fine[0] - fine[1]).abs().max()) > 0.1


def test_white_noise_of_draws_is_white_and_the_field_has_its_covariance() -> None:
    noise, cells = MaternNoise(0.2), np.arange(8)
    white = noise.draws(NoiseKeys(0, list(range(64)), ["d"] * 64, [f"c{k}" for k in range(32)], cells, cells))(
        0
    ).flatten(0, 1)
    assert white.dtype == torch.float32
    u = white.flatten(1).double()
    assert float((u.T @ u / len(u) - torch.eye(64)).abs().max()) < 6 / len(u) ** 0.5
    expected = root(noise, (8, 8)) @ root(noise, (8, 8)).T
    x = noise.color(white).flatten(1).double()
    assert float((x.T @ x / len(x) - expected).abs().max()) < 6 / len(x) ** 0.5
    # variance 1, but for what waves beyond this grid would add
    assert 0.8 < float(expected[0, 0]) < 1


class ExactNetwork(nn.Module):
    """Predicts E[u | u_t] of a Gaussian x = mean + L e, whatever the noise: what a perfect training would find."""

    def __init__(self, mean: Tensor, covariance: Tensor, noise: DiffusionNoise) -> None:
        super().__init__()
        inverse = torch.linalg.inv(root(noise))
        c = inverse @ covariance @ inverse.T
        self.mean, self.covariance = inverse @ mean, (c + c.T) / 2

    def encode(self, batch: FieldBatch, *, wrap: bool = False) -> Any:
        return self

    def repeat(self, members: int) -> Any:
        return self

    def forward(self, scaled: Tensor, c_noise: Tensor, encoded: Any) -> Tensor:
        s2 = float(torch.exp(8 * c_noise[0].double()))
        z = scaled.flatten(1).double() * (1 + s2) ** 0.5
        gain = self.covariance @ torch.linalg.inv(self.covariance + s2 * torch.eye(CELLS))
        return (self.mean + (z - self.mean) @ gain.T).view(scaled.shape)


def gaussian_problem(noise: DiffusionNoise) -> tuple[DiffusionModel, FieldBatch, Tensor, Tensor]:
    """A model, a batch of one sample, mean and covariance; the data are not stationary, so they share no waves with the noise."""
    amplitude = 1 + 0.5 * torch.sin(1.7 * torch.arange(CELLS, dtype=torch.float64))
    smooth = root(build("noise", {"class": "PowerLaw", "length": 0.3, "alpha": 2.0}))
    data = amplitude[:, None] * smooth
    mean = torch.sin(torch.arange(CELLS, dtype=torch.float64))
    spec = {"schedule": {"class": "LogLinearSchedule", "s_min": 0.01, "s_max": 200.0}}
    model = diffusion_model(
        ExactNetwork(mean, data @ data.T, noise), spec | {"parameterization": {"class": "DataParameterization"}}
    )
    model.noise = noise
    shape, everywhere = (1, 1, *SHAPE), torch.ones(1, 1, *SHAPE, dtype=torch.bool)
    batch = FieldBatch(
        target=torch.zeros(shape),
        seen=Seen.nothing(*shape),
        domain=everywhere,
        held_out=everywhere,
        given=Seen.nothing(1, 0, *SHAPE),
        presence=torch.zeros(1, 0),
        position=torch.zeros(1, 2),
        date=torch.zeros(1, 2),
    )
    return model, batch, mean, data @ data.T


def moments(model: DiffusionModel, batch: FieldBatch, denoiser: Any, spec: dict[str, object]) -> tuple[Tensor, Tensor]:
    """Mean and covariance of the fields that a deterministic walk draws: it is affine in its white noise."""
    sampler = build("sampler", spec)

    def drawn(u: Tensor) -> Tensor:
        start = conditional_mean(denoiser, u) if isinstance(denoiser, GuidedDenoiser) else None
        clean = sampler.sample(denoiser, lambda _: u, initial=start)
        return model.drawn(batch.repeat(len(u)), clean).double().flatten(1)

    units = torch.eye(CELLS).view(CELLS, 1, *SHAPE)
    centre = drawn(torch.zeros_like(units[:1]))[0]
    response = drawn(units) - centre
    return centre, response.T @ response


NOISES = {"white": WhiteNoise(), "Matern": MaternNoise(0.2, 0.5), "neumann": MaternNoise(0.2, 0.5, "neumann")}


@pytest.mark.parametrize("name", ["DPMSolverPP2M", "HeunSampler", "DDIMSampler"])
@pytest.mark.parametrize("noise", NOISES)
def test_a_walk_draws_the_data_whatever_the_colour(noise: str, name: str) -> None:
    """Mean within .01, variance within 2 %, as with white noise."""
    model, batch, mean, covariance = gaussian_problem(NOISES[noise])
    with torch.no_grad():
        found = moments(model, batch, model.denoiser(batch), {"class": name, "evaluations": 401})
    tolerance = 0.02 if name == "DDIMSampler" else 0.01
    torch.testing.assert_close(found[0], mean, atol=tolerance, rtol=0)
    torch.testing.assert_close(found[1].diagonal(), covariance.diagonal(), atol=0, rtol=2 * tolerance)


@pytest.mark.parametrize("noise", NOISES)
def test_a_guided_walk_finds_the_kalman_answer_whatever_the_colour(noise: str) -> None:
    model, batch, mean, covariance = gaussian_problem(NOISES[noise])
    h = torch.eye(CELLS, dtype=torch.float64)[::4]
    y, r = torch.linspace(-1, 2, len(h), dtype=torch.float64), 0.3
    errors = DiagonalCovariance(torch.full((len(h),), r**2, dtype=torch.float64))
    observed = NOISES[noise].observed(Observed(MatrixOperator(h, (1, *SHAPE)), y, errors))
    guided = MMPSDenoiser(model.denoiser(batch), observed, solver=ConjugateGradients(len(h)))
    found = moments(model, batch, guided, {"class": "DPMSolverPP2M", "evaluations": 201})
    gain = covariance @ h.T @ torch.linalg.inv(h @ covariance @ h.T + r**2 * torch.eye(len(h), dtype=torch.float64))
    torch.testing.assert_close(found[0], mean + gain @ (y - h @ mean), atol=0.01, rtol=0)
    expected = covariance - gain @ h @ covariance
    torch.testing.assert_close(found[1].diagonal(), expected.diagonal(), atol=0.01, rtol=0.02)


def test_the_loss_is_that_of_whitened_fields() -> None:
    """With the exact denoiser it is the posterior variance of u; a loss in x would weigh the waves by the noise."""
    noise = MaternNoise(0.2, 0.5)
    model, batch, mean, covariance = gaussian_problem(noise)
    generator = torch.Generator().manual_seed(0)
    half = torch.linalg.cholesky(covariance)
    draws = mean + torch.randn(4096, CELLS, generator=generator, dtype=torch.float64) @ half.T
    level = build("noise_levels", {"class": "LogNormalLevels", "mean": 0.0, "std": 1e-4})
    model.noise_levels, model.weighting = level, build("weighting", {"class": "EDMWeighting"})
    many = batch.repeat(4096)
    many = replace(many, target=draws.view(4096, 1, *SHAPE).float())
    network: Any = model.network
    variance = network.covariance - network.covariance @ torch.linalg.inv(network.covariance + torch.eye(CELLS)) @ (
        network.covariance
    )
    # at s = 1 the weight of EDM is (1 + 1) / 1
    assert float(model.loss(many, generator)) == pytest.approx(2 * float(variance.diagonal().mean()), rel=0.03)


def test_land_gaps_and_parts_of_a_grid_are_refused() -> None:
    noise, known = MaternNoise(), torch.ones(2, 1, 8, 8, dtype=torch.bool)
    noise.check(known, (8, 8))
    with pytest.raises(ConfigurationError, match="noise of the whole grid"):
        noise.check(known, (16, 8))
    known[0, 0, 3, 3] = False
    with pytest.raises(ConfigurationError, match="1 of 128 cells on land or in gaps"):
        noise.check(known, (8, 8))
    with pytest.raises(ConfigurationError, match=r"boundary='window'.*periodic"):
        MaternNoise(boundary="window")
    with pytest.raises(ConfigurationError, match="too smooth for its grid to be whitened"):
        build("noise", {"class": "SquaredExponential", "length": 0.2}).whiten(torch.zeros(64, 64))
    with pytest.raises(ConfigurationError, match=r"loss_over: unobserved knows white noise only"):
        diffusion_model(nn.Identity(), {"loss_over": "unobserved", "noise": {"class": "Matern"}})


def test_the_noise_of_a_recipe_is_the_random_field_of_the_house() -> None:
    model = diffusion_model(nn.Identity(), {"noise": {"class": "Matern", "length": 0.1, "smoothness": 0.5}})
    assert isinstance(model.noise, MaternNoise)
    whole = PeriodicField(Matern(0.1, 0.5), (512, 256), (1.0, 0.5))
    np.testing.assert_allclose(model.noise.field((32, 16)).eigenvalues, whole.on((32, 16)).eigenvalues)
    with pytest.raises(ConfigurationError, match="Matern"):
        diffusion_model(nn.Identity(), {"noise": {"class": "Materm"}})

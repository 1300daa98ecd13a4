"""The conserving denoiser: its means are those that are asked for, a posterior is left alone, and walks end with the means."""

import numpy as np
import pytest
import torch

from driftfield.diffusion.conserving import ConservingDenoiser, MeansProjection
from driftfield.diffusion.exact import GaussianDenoiser
from driftfield.diffusion.schedule import KarrasSchedule
from driftfield.errors import ConfigurationError
from driftfield.linalg.cell_grid import CellGrid
from driftfield.linalg.regridding import Regridding
from driftfield.registry import build
from driftfield.testing import check_denoiser
from driftfield.testing.exact import numbered_noise

GRID = CellGrid.around(40 + 0.5 * np.arange(6.0), 5 + 0.5 * np.arange(8.0))
MAPS = Regridding.blocks(GRID, 2)
SCHEDULE = KarrasSchedule(s_min=0.01, s_max=40.0)
SHAPE = (1, 6, 8)


def prior() -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and covariance of a smooth field, flat."""
    places = np.stack(np.meshgrid(np.arange(6), np.arange(8), indexing="ij"), axis=-1).reshape(-1, 2)
    apart = np.linalg.norm(places[:, None] - places[None], axis=-1)
    return torch.linspace(-1, 1, 48, dtype=torch.float64), torch.from_numpy(np.exp(-apart / 2.5))


class Shaped:
    """A denoiser of flat vectors as one of fields."""

    def __init__(self, mean: torch.Tensor, covariance: torch.Tensor) -> None:
        self.inner = GaussianDenoiser(SCHEDULE, mean, covariance)
        self.schedule = SCHEDULE

    def __call__(self, x_t: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        return self.inner(x_t.reshape(len(x_t), -1), t).reshape(x_t.shape)


def conditioned(y: torch.Tensor) -> Shaped:
    mean, c = prior()
    h = torch.from_numpy(MAPS.matrix.toarray())
    gain = c @ h.T @ torch.linalg.inv(h @ c @ h.T)
    return Shaped(mean + gain @ (y.flatten() - h @ mean), c - gain @ h @ c + 1e-12 * torch.eye(48, dtype=torch.float64))


@pytest.fixture
def means() -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).standard_normal((1, 1, 3, 4)))


def noisy(seed: int = 0) -> torch.Tensor:
    return torch.randn(3, *SHAPE, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("time", [0.0, 0.4, 1.0])
def test_answers_have_the_means_and_a_posterior_is_left_alone(means: torch.Tensor, time: float) -> None:
    t, x_t = torch.full((3,), time, dtype=torch.float64), noisy()
    answer = ConservingDenoiser(Shaped(*prior()), MeansProjection(MAPS, means))(x_t, t)
    np.testing.assert_allclose(MAPS.apply(answer[:, 0].numpy()), np.broadcast_to(means[:, 0], (3, 3, 4)), atol=1e-9)
    posterior = conditioned(means)
    torch.testing.assert_close(
        ConservingDenoiser(posterior, MeansProjection(MAPS, means))(x_t, t), posterior(x_t, t), atol=1e-6, rtol=0
    )
    # what is asked of no cell changes none
    hole = means.clone()
    hole[..., 0, 0] = torch.nan
    part = ConservingDenoiser(Shaped(*prior()), MeansProjection(MAPS, hole))(x_t, t)
    torch.testing.assert_close(part[..., :2, :2], Shaped(*prior())(x_t, t)[..., :2, :2])
    torch.testing.assert_close(part[..., 2:, :], answer[..., 2:, :], atol=1e-9, rtol=0)


def test_a_walk_ends_with_the_means(means: torch.Tensor) -> None:
    sampler = build("sampler", {"class": "DPMSolverPP2M", "evaluations": 20})
    noise = numbered_noise((3, *SHAPE))
    drawn = sampler.sample(
        ConservingDenoiser(Shaped(*prior()), MeansProjection(MAPS, means)), lambda k: noise(k).double()
    )
    np.testing.assert_allclose(MAPS.apply(drawn[:, 0].numpy()), np.broadcast_to(means[:, 0], (3, 3, 4)), atol=1e-6)
    check_denoiser(ConservingDenoiser(_Float(Shaped(*prior())), MeansProjection(MAPS, means.float())), (2, *SHAPE))


class _Float:
    def __init__(self, inner: Shaped) -> None:
        self.inner, self.schedule = inner, SCHEDULE

    def __call__(self, x_t: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        return self.inner(x_t.double(), t.double()).float()


def test_means_of_another_grid_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="coarse cells"):
        ConservingDenoiser(Shaped(*prior()), MeansProjection(MAPS, torch.zeros(1, 1, 2, 2)))

"""Tiles: weights sum to one, the answer is that of the whole grid where the overlap is as wide as the correlation reaches."""

import numpy as np
import pytest
import torch
from torch import Tensor

from driftfield.diffusion.exact import GaussianDenoiser
from driftfield.diffusion.schedule import LogLinearSchedule
from driftfield.errors import ConfigurationError
from driftfield.sampling.ode import DPMSolverPP2M
from driftfield.sampling.tiles import TiledDenoiser, Tiling
from driftfield.testing import check_denoiser

SCHEDULE = LogLinearSchedule(0.01, 80.0)
CELLS, LENGTH, ERROR = 96, 2.0, 0.3
SEEN = torch.arange(4, CELLS, 8)


def everywhere(*shape: int) -> Tensor:
    return torch.ones(shape, dtype=torch.bool)


@pytest.mark.parametrize("periodic", [False, True])
@pytest.mark.parametrize(
    ("shape", "size", "overlap"),
    [((48, 96), 16, 4), ((20, 30), 16, 8), ((7, 50), 12, 0), ((5, 5), 9, 3), ((1, 41), 10, 5)],
)
def test_weights_sum_to_one_in_every_cell(shape: tuple[int, int], size: int, overlap: int, periodic: bool) -> None:
    tiling = Tiling.of(everywhere(*shape), size, overlap, periodic=periodic)
    total = torch.zeros(shape)
    for tile in tiling.tiles:
        assert (tile.weight > 0).all()
        assert tile.weight.shape == (min(size, shape[0]), min(size, shape[1]))
        total[np.ix_(tile.rows, tile.columns)] += tile.weight
    np.testing.assert_allclose(total.numpy(), 1, rtol=1e-6)
    field = torch.randn(2, 3, *shape, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(tiling.blend(tile.cut(field) for tile in tiling.tiles), field, rtol=1e-5, atol=1e-6)


def test_neighbours_overlap_as_much_as_was_asked_and_meet_over_the_seam_of_the_globe() -> None:
    tiling = Tiling.of(everywhere(4, 90), 20, 6, periodic=True)
    columns = [set(tile.columns.tolist()) for tile in tiling.tiles]
    assert all(len(mine & following) >= 6 for mine, following in zip(columns, columns[1:] + columns[:1], strict=True))
    assert any({89, 0} <= mine for mine in columns)
    assert not any({89, 0} <= set(tile.columns.tolist()) for tile in Tiling.of(everywhere(4, 90), 20, 6).tiles)


def test_tiles_without_a_cell_of_the_domain_are_left_out() -> None:
    domain = everywhere(16, 64)
    domain[:, :40] = False
    tiling = Tiling.of(domain, 16, 4)
    assert len(tiling.tiles) < len(Tiling.of(everywhere(16, 64), 16, 4).tiles)
    total = torch.zeros(16, 64)
    for tile in tiling.tiles:
        total[np.ix_(tile.rows, tile.columns)] += tile.weight
    np.testing.assert_allclose(total[domain].numpy(), 1, rtol=1e-6)


def test_overlaps_of_more_than_half_a_tile_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="half a tile at most"):
        Tiling.of(everywhere(8, 8), 4, 3)


def posterior(cells: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and covariance in some cells, from what was seen in these alone: every eighth cell, y = cos(cell)."""
    at = torch.arange(CELLS, dtype=torch.float64)
    prior = torch.exp(-(((at[:, None] - at) / LENGTH) ** 2) / 2) + 1e-4 * torch.eye(CELLS, dtype=torch.float64)
    here = prior[cells][:, cells]
    known = torch.isin(cells, SEEN)
    gain = here[:, known] @ torch.linalg.inv(here[known][:, known] + ERROR**2 * torch.eye(int(known.sum())))
    return (gain @ torch.cos(cells[known].double())).float(), here - gain @ here[known]


def exact(cells: Tensor) -> GaussianDenoiser:
    return GaussianDenoiser(SCHEDULE, *posterior(cells))


@pytest.fixture(scope="module")
def tiling() -> Tiling:
    """32 cells with an overlap of 8: four correlation lengths."""
    return Tiling.of(everywhere(1, CELLS), 32, 8)


@pytest.fixture(scope="module")
def denoisers(tiling: Tiling) -> list[GaussianDenoiser]:
    return [exact(torch.as_tensor(tile.columns)) for tile in tiling.tiles]


def moments(draws: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and covariance of A e + b, e ~ N(0, 1): draws with each unit vector for its noise, and with none."""
    shift = draws[-1].flatten().double()
    linear = draws[:-1].flatten(1).double() - shift
    return shift, linear.T @ linear


NOISE = torch.cat([torch.eye(CELLS), torch.zeros(1, CELLS)]).view(CELLS + 1, 1, 1, CELLS)
"""A walk of DPM-Solver++ with Gaussian denoisers is linear in its noise: these draws say all about its members."""


def walked(denoiser: object, noise: Tensor) -> Tensor:
    return DPMSolverPP2M(40).sample(denoiser, lambda _: noise)  # type: ignore[arg-type]


def jumps(covariance: Tensor) -> Tensor:
    """Variance of the difference between neighbouring cells."""
    variance = covariance.diagonal()
    return variance[1:] + variance[:-1] - 2 * covariance.diagonal(1)


def test_synchronous_tiles_have_the_posterior_of_the_whole_grid_and_no_seam(
    tiling: Tiling, denoisers: list[GaussianDenoiser]
) -> None:
    mean, covariance = moments(walked(TiledDenoiser(tiling, denoisers), NOISE))
    expected, true = posterior(torch.arange(CELLS))
    whole_mean, whole = moments(walked(exact(torch.arange(CELLS)), NOISE))
    # of what the solver makes of the whole grid, which is itself within a hundredth of the posterior
    assert float((whole.diagonal() / true.diagonal() - 1).abs().mean()) < 0.01
    assert float((mean - whole_mean).abs().max()) < 0.03 * float(expected.abs().max())
    ratio = covariance.diagonal() / whole.diagonal()
    times = sum(torch.bincount(torch.as_tensor(tile.columns), minlength=CELLS) for tile in tiling.tiles)
    assert isinstance(times, Tensor)
    overlap = times > 1
    assert abs(float(ratio[overlap].mean()) / float(ratio[~overlap].mean()) - 1) < 0.02
    step = jumps(covariance) / jumps(whole)
    assert float((step - 1).abs().max()) < 0.05


def test_independent_tiles_agree_by_their_noise_and_show_their_borders_more(
    tiling: Tiling, denoisers: list[GaussianDenoiser]
) -> None:
    pairs = list(zip(tiling.tiles, denoisers, strict=True))
    apart = tiling.blend(walked(denoiser, tile.cut(NOISE)) for tile, denoiser in pairs)
    whole = moments(walked(exact(torch.arange(CELLS)), NOISE))[1]
    covariance = moments(apart)[1]
    assert abs(float((covariance.diagonal() / whole.diagonal()).mean()) - 1) < 0.02
    together = moments(walked(TiledDenoiser(tiling, denoisers), NOISE))[1]
    worst, synchronous = (float((jumps(c) / jumps(whole)).max()) for c in (covariance, together))
    assert synchronous < 1.05 < worst < 1.3
    # with noise of its own in every tile the blend of two answers varies less than each
    generator = torch.Generator().manual_seed(0)
    own = [torch.randn(2000, 1, 1, tile.columns.size, generator=generator) for tile in tiling.tiles]
    careless = tiling.blend(walked(d, noise) for noise, d in zip(own, denoisers, strict=True)).flatten(1)
    times = sum(torch.bincount(torch.as_tensor(tile.columns), minlength=CELLS) for tile in tiling.tiles)
    middle = np.flatnonzero(np.asarray(times > 1))[2:6]  # of the first overlap
    assert float((careless.var(0)[middle] / whole.diagonal()[middle]).mean()) < 0.8


def test_a_tiled_denoiser_is_a_denoiser_that_lets_gradients_through(
    tiling: Tiling, denoisers: list[GaussianDenoiser]
) -> None:
    tiled = TiledDenoiser(tiling, denoisers)
    check_denoiser(tiled, (2, 1, 1, CELLS))
    x_t = torch.randn(1, 1, 1, CELLS, generator=torch.Generator().manual_seed(2)).requires_grad_()
    tiled(x_t, torch.tensor([0.5])).sum().backward()
    assert x_t.grad is not None
    assert (x_t.grad != 0).all()

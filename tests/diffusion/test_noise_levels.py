"""Every distribution of training noise levels follows its own density, on every schedule."""

import pytest
import torch

import driftfield.diffusion  # noqa: F401
from driftfield.diffusion.noise_levels import NoiseLevels, stratified
from driftfield.diffusion.schedule import Schedule
from driftfield.registry import lookup, names


@pytest.fixture(params=names("noise_levels"))
def levels(request: pytest.FixtureRequest) -> NoiseLevels:
    return lookup("noise_levels", request.param)()


@pytest.fixture(params=names("schedule"))
def schedule(request: pytest.FixtureRequest) -> Schedule:
    return lookup("schedule", request.param)()


def test_draws_follow_the_density(levels: NoiseLevels, schedule: Schedule) -> None:
    """Kolmogorov-Smirnov distance of 4096 random draws; 1.95 / sqrt(n) is exceeded once in a thousand."""
    count = 4096
    u = torch.rand(count, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    drawn = levels.gamma(u, schedule).sort().values
    grid = torch.linspace(schedule.gamma_min, schedule.gamma_max, 20001, dtype=torch.float64)
    cumulated = torch.cumulative_trapezoid(levels.density(grid, schedule), grid)
    assert abs(float(cumulated[-1]) - 1) < 1e-3
    expected = cumulated[(torch.searchsorted(grid, drawn) - 1).clamp(0, len(cumulated) - 1)]
    empirical = (torch.arange(count) + 0.5) / count
    assert float((expected - empirical).abs().max()) < 1.95 / count**0.5


def test_draws_stay_where_the_density_is(levels: NoiseLevels, schedule: Schedule) -> None:
    gamma = levels.gamma(torch.tensor([0.0, 1e-7, 0.5, 1 - 2**-24]), schedule)
    assert gamma.dtype == torch.float32
    assert torch.isfinite(gamma).all()
    assert (levels.density(gamma, schedule) > 0).all()


def test_stratified_draws_are_one_per_stratum() -> None:
    for count in (1, 7, 64):
        u = stratified(count, torch.Generator().manual_seed(count))
        assert ((u >= 0) & (u < 1)).all()
        assert (u * count).floor().long().sort().values.tolist() == list(range(count))


def test_stratified_draws_never_reach_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "rand", lambda count, generator: torch.full((count,), 1 - 2**-24))
    assert (stratified(16, torch.Generator()) < 1).all()


def test_the_order_of_the_strata_is_random() -> None:
    u = torch.stack([stratified(8, torch.Generator().manual_seed(seed)) for seed in range(400)])
    assert float((u.mean(dim=0) - 0.5).abs().max()) < 0.07

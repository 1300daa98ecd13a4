"""Every distribution of training noise levels follows its own density, on every schedule."""

import pytest
import torch

import driftfield.diffusion  # noqa: F401
from driftfield.diffusion.noise_levels import LogNormalLevels, NoiseLevels, stratified
from driftfield.diffusion.schedule import Schedule
from driftfield.errors import ConfigurationError
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


def star_discrepancy(u: torch.Tensor) -> float:
    """Largest distance between the share of draws below a number and that number."""
    ranks = torch.arange(len(u), dtype=torch.float64)
    u = u.double().sort().values
    return float(torch.maximum((ranks + 1) / len(u) - u, u - ranks / len(u)).max())


def test_stratified_draws_have_low_discrepancy() -> None:
    """At most one stratum, 1 / n, where independent draws are off by about .87 / sqrt(n)."""
    for count in (16, 256, 4096):
        generator = torch.Generator().manual_seed(count)
        assert star_discrepancy(stratified(count, generator)) <= 1 / count + 1e-6
        assert star_discrepancy(torch.rand(count, generator=generator)) > 2 / count


def test_stratified_levels_lower_the_variance_of_a_loss(schedule: Schedule) -> None:
    """The mean over a batch of a smooth function of gamma: n^-3/2 in place of n^-1/2."""
    spread = {}
    for name, draw in (
        ("stratified", stratified),
        ("independent", lambda count, generator: torch.rand(count, generator=generator)),
    ):
        means = []
        for seed in range(40):
            gamma = schedule.gamma(draw(32, torch.Generator().manual_seed(seed)).double())
            means.append(float(torch.sigmoid(gamma / 4).mean()))
        spread[name] = float(torch.tensor(means).std())
    assert spread["stratified"] < spread["independent"] / 5


def test_an_impossible_log_normal_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="std"):
        LogNormalLevels(std=0.0)

"""What is learned about noise levels while training: a weight for each, and where to draw."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import driftfield.networks  # noqa: F401
from driftfield.diffusion.learned_weighting import LearnedWeighting
from driftfield.diffusion.loss import diffusion_loss
from driftfield.diffusion.model import DiffusionModel
from driftfield.diffusion.noise_levels import LogNormalLevels, ScheduleLevels, stratified
from driftfield.diffusion.parameterization import DataParameterization
from driftfield.diffusion.schedule import LogLinearSchedule, Schedule, noise_level
from driftfield.diffusion.tabulated_schedules import AdaptiveSchedule
from driftfield.diffusion.weighting import EDMWeighting, ELBOWeighting, SigmoidWeighting, Weighting
from driftfield.errors import ConfigurationError
from driftfield.fields import FieldBatch
from driftfield.registry import build
from driftfield.testing import tiny_batch

SCHEDULE = LogLinearSchedule()


def curve(gamma: Tensor) -> Tensor:
    """A weighted error between .03 and 3."""
    return torch.exp(math.log(0.3) + math.log(10) * torch.sin(gamma / 3))


class Silent(nn.Module):
    """Predicts 0 everywhere: with data as target, its eps-equivalent squared error is x^2 / s^2."""

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.zeros(()))

    def encode(self, batch: FieldBatch, *, wrap: bool = False) -> None:
        return None

    def forward(self, x: Tensor, c_noise: Tensor, encoded: Any) -> Tensor:
        return self.gain * x


def model_of(schedule: Schedule, weighting: Weighting) -> DiffusionModel:
    parts = {"parameterization": DataParameterization(), "noise_levels": ScheduleLevels()}
    return DiffusionModel(Silent(), schedule, weighting=weighting, **parts)  # type: ignore[arg-type]


# -- the learned weight ------------------------------------------------------------------------------------------------


def test_a_learned_weighting_starts_as_its_base() -> None:
    weighting, gamma = LearnedWeighting({"class": "SigmoidWeighting", "shift": 1.0}), torch.linspace(-8, 8, 9)
    p = SCHEDULE.density(gamma)
    assert torch.equal(weighting.factor(gamma, p), SigmoidWeighting(1.0).factor(gamma, p))
    assert torch.equal(weighting.w(gamma), SigmoidWeighting(1.0).w(gamma))
    assert (weighting.offset(gamma) == 0).all()


def test_the_loss_is_the_weighted_error_over_its_exponential_plus_u() -> None:
    weighting = LearnedWeighting()
    with torch.no_grad():
        weighting.bias.fill_(0.7)
    x_hat, x = torch.randn(2, 3, 2, 4, 5, generator=torch.Generator().manual_seed(0))
    mask, gamma = torch.rand(3, 2, 4, 5, generator=torch.Generator().manual_seed(1)) < 0.5, torch.tensor([-2.0, 0, 3])
    parts = {"mask": mask, "schedule": SCHEDULE, "noise_levels": ScheduleLevels()}
    plain = diffusion_loss(x_hat, x, gamma, weighting=EDMWeighting(), **parts)  # type: ignore[arg-type]
    found = diffusion_loss(x_hat, x, gamma, weighting=weighting, **parts)  # type: ignore[arg-type]
    torch.testing.assert_close(found, plain / math.exp(0.7) + 0.7)
    # where x_t is not visible the level is infinite, and nothing is learned about it
    hidden = torch.zeros_like(mask)
    unseen = [
        diffusion_loss(x_hat, x, gamma, weighting=one, visible=hidden, **parts)  # type: ignore[arg-type]
        for one in (EDMWeighting(), weighting)
    ]
    torch.testing.assert_close(unseen[0], unseen[1])


def test_it_converges_to_the_logarithm_of_the_expected_error() -> None:
    """On a known curve over two decades with noisy errors, each the mean of eight squares."""
    weighting, generator, steps = LearnedWeighting({"class": "ELBOWeighting"}), torch.Generator().manual_seed(0), 1200
    optimizer = torch.optim.Adam(weighting.parameters(), lr=0.05)
    plan = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    one = torch.ones(128)
    for _ in range(steps):
        gamma = SCHEDULE.gamma(stratified(128, generator))
        error = curve(gamma) * torch.randn(128, 8, generator=generator).square().mean(1)
        loss = (weighting.factor(gamma, one) * error + weighting.u(gamma)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        plan.step()
    gamma = SCHEDULE.gamma(torch.linspace(0, 1, 201))
    with torch.no_grad():
        off = (weighting.u(gamma) - torch.log(curve(gamma))).abs()
        assert float(off.max()) < 0.12
        # every level then has the same weighted error, 1
        equal = weighting.w(gamma) * curve(gamma)
    assert float((equal - 1).abs().max()) < 0.13


def test_it_is_trained_with_the_network() -> None:
    model = model_of(SCHEDULE, build("weighting", {"class": "LearnedWeighting", "features": 16}))
    names = {name for name, value in model.named_parameters() if value.requires_grad}
    assert names == {"network.gain", "weighting.weight", "weighting.bias"}
    model.loss(tiny_batch(8), torch.Generator().manual_seed(0)).backward()
    gradients = dict(model.named_parameters())
    assert all(gradients[name].grad is not None and bool((gradients[name].grad != 0).any()) for name in names)
    assert {"weighting.frequencies", "weighting.phases"} <= set(gradients)  # they are kept with the run


@pytest.mark.parametrize(
    ("arguments", "message"), [({"features": 0}, "features"), ({"base": {"class": "LearnedWeighting"}}, "fixed")]
)
def test_impossible_learned_weightings_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        LearnedWeighting(**arguments)


# -- the learned density -----------------------------------------------------------------------------------------------


def test_the_density_converges_to_a_known_curve() -> None:
    """With the constants of the row, an average of .999 and 100 bins; from noisy errors, and already in a short training."""
    schedule, generator = AdaptiveSchedule(), torch.Generator().manual_seed(0)
    edges = torch.linspace(schedule.gamma_min, schedule.gamma_max, 2001, dtype=torch.float64)
    expected = curve((edges[1:] + edges[:-1]) / 2).view(100, 20).sum(1)
    expected = expected / expected.sum()
    off = {}
    for step in range(1, 1601):
        gamma = schedule.gamma(stratified(64, generator))
        schedule.update(gamma, curve(gamma) * torch.randn(64, 8, generator=generator).square().mean(1))
        if step in (100, 1600):
            shares = schedule.t(edges[:-1:20]) - schedule.t(edges[20::20])
            off[step] = float((shares - expected).abs().sum())
    assert off[100] < 0.1
    assert off[1600] < 0.025


def test_an_adaptive_schedule_is_uniform_until_it_has_seen_something() -> None:
    schedule = AdaptiveSchedule(bins=10)
    gamma = torch.linspace(schedule.gamma_min, schedule.gamma_max, 50)
    torch.testing.assert_close(schedule.density(gamma), SCHEDULE.density(gamma))
    schedule.update(torch.tensor([1.0]), torch.tensor([1e-6]))
    torch.testing.assert_close(schedule.density(gamma), SCHEDULE.density(gamma))  # one error says nothing of the others


def test_the_loss_teaches_the_schedule_while_training_and_only_then() -> None:
    """The error of saying 0 is x^2 / s^2, times w = 1."""
    model, batch = model_of(AdaptiveSchedule(bins=5, s_min=0.1, s_max=10.0), ELBOWeighting()), tiny_batch(8)
    schedule = model.schedule
    assert isinstance(schedule, AdaptiveSchedule)
    model.eval()
    model.loss(batch, torch.Generator().manual_seed(0))
    assert (schedule.errors == 1).all()
    model.train()
    u = stratified(8, torch.Generator().manual_seed(0))
    gamma = ScheduleLevels().gamma(u, schedule)
    model.loss(batch, torch.Generator().manual_seed(0))
    count = batch.domain.flatten(1).sum(1)
    error = batch.target.square().flatten(1).sum(1) / count / noise_level(gamma) ** 2
    place = ((gamma - schedule.gamma_min) / (schedule.gamma_max - schedule.gamma_min) * 5).long()
    for number in range(5):
        inside = place == number
        expected = error[inside].mean() if inside.any() else torch.ones(())
        torch.testing.assert_close(schedule.errors[number], expected, rtol=1e-4, atol=0)


def test_the_objective_stays_while_the_density_moves() -> None:
    """The mean loss of one model over many draws is the integral of w times the error, before and after learning."""
    schedule = AdaptiveSchedule(s_min=0.1, s_max=10.0)
    model, batch = model_of(schedule, SigmoidWeighting()), tiny_batch(400, shape=(4, 4))

    def mean() -> float:
        model.eval()  # nothing is learned, but draw as in training
        model.adaptive = False
        with torch.no_grad():
            found = [float(model.loss(batch, torch.Generator().manual_seed(seed))) for seed in range(10)]
        model.adaptive = True
        return sum(found) / len(found)

    before = mean()
    model.train()
    for seed in range(20):
        model.loss(batch, torch.Generator().manual_seed(seed))
    density = schedule.density(torch.tensor([schedule.gamma_min + 0.1, schedule.gamma_max - 0.1]))
    assert max(density) > 3 * min(density)
    assert mean() == pytest.approx(before, rel=0.02)


def test_a_validation_does_not_move_with_the_density() -> None:
    schedule = AdaptiveSchedule(bins=20)
    model, batch = model_of(schedule, SigmoidWeighting()).eval(), tiny_batch(8)
    before = float(model.loss(batch, torch.Generator().manual_seed(0)).detach())
    schedule.update(torch.linspace(-8, 8, 200), torch.linspace(0.1, 9.0, 200))
    after = float(model.loss(batch, torch.Generator().manual_seed(0)).detach())
    assert after == pytest.approx(before, rel=1e-4)


def test_a_land_sample_teaches_the_schedule_nothing() -> None:
    schedule, batch = AdaptiveSchedule(), tiny_batch(4)
    model = model_of(schedule, ELBOWeighting())
    batch.domain[:] = False
    model.loss(batch, torch.Generator().manual_seed(0))
    assert (schedule.errors == 1).all()
    assert (schedule.doubt == 1).all()


def test_an_adaptive_schedule_needs_a_weighting_of_its_own() -> None:
    for weighting in (EDMWeighting(), LearnedWeighting()):
        with pytest.raises(ConfigurationError, match="GaussianEDMWeighting"):
            model_of(AdaptiveSchedule(), weighting)
    model_of(AdaptiveSchedule(), LearnedWeighting({"class": "ELBOWeighting"}))


def test_levels_of_another_density_teach_it_too() -> None:
    """The average of a bin does not ask how often it was drawn."""
    schedule = AdaptiveSchedule(bins=12, s_min=0.1, s_max=10.0)
    levels, generator = LogNormalLevels(), torch.Generator().manual_seed(0)
    for _ in range(600):
        gamma = levels.gamma(stratified(16, generator), schedule)
        schedule.update(gamma, curve(gamma))
    gamma = torch.linspace(schedule.gamma_min + 0.01, schedule.gamma_max - 0.01, 600, dtype=torch.float64)
    expected = curve(gamma) / float(torch.trapezoid(curve(gamma), gamma))
    assert float((schedule.density(gamma) - expected).abs().max()) < 0.15 * float(expected.max())

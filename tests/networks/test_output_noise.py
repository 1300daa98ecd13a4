"""Laws of the output noise: probability sums to one, the least likelihood is the truth, and the tracked scale is closed form."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from driftfield.errors import ConfigurationError
from driftfield.networks.codecs import GaussianNoise, LaplaceNoise, NoisePerVariable, TrackedNoise
from driftfield.networks.codecs.distributions import Laplace, Normal, StandardNoise, clamped_moments

KINDS = [GaussianNoise, LaplaceNoise]
BOUNDS = [(None, None), (-0.4, None), (None, 0.9), (-0.4, 0.9), (0.6, 0.9), (-math.inf, 0.9)]


def noise_of(kind: type[TrackedNoise], scale: float, channels: int = 1) -> TrackedNoise:
    noise = kind(channels).double()
    with torch.no_grad():
        noise.total.fill_(scale**noise.standard.power)
        noise.cells.fill_(1)
    assert noise.scale.flatten()[0] == pytest.approx(scale)
    return noise


def column(values: Tensor) -> Tensor:
    return values.double().reshape(-1, 1, 1, 1)


def bound(value: float | None) -> Tensor | None:
    return None if value is None else torch.tensor(value, dtype=torch.float64)


def draws(kind: type[TrackedNoise], location: float, scale: float, count: int = 200_000, seed: int = 0) -> Tensor:
    eps = torch.randn(count, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return location + scale * kind.standard.from_normal(eps)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("lower", "upper"), BOUNDS)
def test_probability_sums_to_one(kind: type[TrackedNoise], lower: float | None, upper: float | None) -> None:
    noise = noise_of(kind, 0.3)
    ends = [-15.0 if lower in (None, -math.inf) else lower, 15.0 if upper is None else upper]
    edges = torch.linspace(*ends, 20_001, dtype=torch.float64)
    inside = column((edges[1:] + edges[:-1]) / 2)
    given = {"lower": bound(lower), "upper": bound(upper)}

    def probability(y: Tensor) -> Tensor:
        m = torch.full_like(y, 0.2)
        return (-noise.cell_nll(y, m, torch.ones_like(y, dtype=torch.bool), **given)).exp().flatten()

    total = float(probability(inside).sum() * (edges[1] - edges[0]))
    for end, value in ((lower, ends[0]), (upper, ends[1])):
        if end not in (None, -math.inf):
            total += float(probability(column(torch.tensor([value], dtype=torch.float64))))
    assert total == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("location", [-2.0, 0.2, 2.5])
@pytest.mark.parametrize(("lower", "upper"), BOUNDS)
def test_clamped_moments_are_those_of_draws(
    kind: type[TrackedNoise], location: float, lower: float | None, upper: float | None
) -> None:
    noise, m = noise_of(kind, 0.5), column(torch.tensor([location]))
    mean, std = noise.moments(m, lower=bound(lower), upper=bound(upper))
    y = draws(kind, location, 0.5)
    y = y if lower is None and upper is None else y.clamp(lower, upper)
    assert float(mean) == pytest.approx(float(y.mean()), abs=4e-3)
    assert float(std) == pytest.approx(float(y.std()), rel=2e-2, abs=5e-3)


@pytest.mark.parametrize("standard", [Normal(), Laplace()])
def test_clamped_moments_in_the_limits(standard: StandardNoise) -> None:
    m, s = torch.tensor([[-1e4, 0.0, 1e4]]), torch.tensor(0.1)
    mean, std = clamped_moments(standard, m, s, torch.tensor(-1.0), torch.tensor(1.0))
    torch.testing.assert_close(mean, torch.tensor([[-1.0, 0.0, 1.0]]), atol=1e-4, rtol=0)
    assert float(std[0, 0]) == 0
    assert float(std[0, 2]) == 0
    wide = clamped_moments(standard, m[:, 1:2], s, torch.tensor(-torch.inf), torch.tensor(torch.inf))
    torch.testing.assert_close(wide[1], torch.full((1, 1), 0.1 * standard.std))


@pytest.mark.parametrize("standard", [Normal(), Laplace()])
def test_expectations_beyond_a_bound(standard: StandardNoise) -> None:
    eps = torch.randn(500_000, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    u = standard.from_normal(eps)
    for a in (-1.5, -0.3, 0.0, 0.7, 2.0):
        below = u[u < a]
        expected = float((below.abs() ** standard.power).mean())
        at = torch.tensor(a, dtype=torch.float64)
        assert float(standard.beyond(at)) == pytest.approx(expected, rel=1e-2)
        assert float(standard.log_cdf(at).exp()) == pytest.approx(len(below) / len(u), abs=1e-3)


@pytest.mark.parametrize("standard", [Normal(), Laplace()])
def test_tails_stay_finite_in_single_precision(standard: StandardNoise) -> None:
    u = torch.tensor([-300.0, -30.0, 0.0, 30.0, 300.0], requires_grad=True)
    for value in (standard.log_density(u), standard.log_cdf(u), standard.beyond(u), standard.excess(u)):
        assert torch.isfinite(value).all()
    standard.log_cdf(u).sum().backward()  # type: ignore[no-untyped-call]
    assert u.grad is not None
    assert torch.isfinite(u.grad).all()
    assert torch.isfinite(standard.from_normal(torch.tensor([-12.0, 12.0]))).all()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("lower", "upper"), [(None, None), (0.0, None), (-0.5, 0.8)])
def test_the_least_likelihood_is_the_truth(kind: type[TrackedNoise], lower: float | None, upper: float | None) -> None:
    """Location by gradient and scale by counting find what the draws were made with, also where many lie on a bound."""
    y = draws(kind, 0.3, 0.7, count=5000)
    y = column(y if lower is None and upper is None else y.clamp(lower, upper))
    mask, given = torch.ones_like(y, dtype=torch.bool), {"lower": bound(lower), "upper": bound(upper)}
    noise, m = kind(1, decay=0.5).double(), torch.zeros(1, dtype=torch.float64, requires_grad=True)
    for step in range(150):
        location = m.expand_as(y)
        noise.update(y, location, mask, **given)
        (gradient,) = torch.autograd.grad(noise.nll(y, location, mask, **given), m)
        with torch.no_grad():
            m -= 0.3 * noise.scale.flatten() ** 2 * gradient * (1 if step < 100 else 0.1)
    assert float(m.detach()) == pytest.approx(0.3, abs=0.03)
    assert float(noise.scale) == pytest.approx(0.7, rel=0.03)


@pytest.mark.parametrize("kind", KINDS)
def test_the_tracked_scale_is_the_closed_form(kind: type[TrackedNoise]) -> None:
    generator, decay = torch.Generator().manual_seed(3), 0.9
    noise, p = kind(2, decay=decay).double(), kind.standard.power
    batches = [torch.randn(4, 2, 3, 5, generator=generator, dtype=torch.float64) for _ in range(12)]
    masks = [torch.rand(4, 2, 3, 5, generator=generator) < 0.6 for _ in batches]
    masks[4][:, 1] = False
    for y, mask in zip(batches, masks, strict=True):
        noise.update(y, torch.zeros_like(y), mask)
    weights = [decay ** (len(batches) - 1 - k) for k in range(len(batches))]
    for channel in range(2):
        total = sum(
            w * float(y[:, channel][m[:, channel]].abs().pow(p).sum())
            for w, y, m in zip(weights, batches, masks, strict=True)
        )
        cells = sum(w * float(m[:, channel].sum()) for w, m in zip(weights, masks, strict=True))
        assert float(noise.scale[channel]) == pytest.approx((total / cells) ** (1 / p))


@pytest.mark.parametrize("kind", KINDS)
def test_a_cell_that_tells_nothing_weighs_nothing(kind: type[TrackedNoise]) -> None:
    """Nine cells in ten are ice and known to be: the scale is that of the tenth, at once."""
    y = column(torch.cat([torch.zeros(90), 1 + draws(kind, 0.0, 0.05, count=10)]))
    m = column(torch.cat([torch.full((90,), -60.0), torch.ones(10)]))
    noise = kind(1).double()
    noise.update(y, m, torch.ones_like(y, dtype=torch.bool), lower=bound(0.0))
    p = kind.standard.power
    assert float(noise.scale) == pytest.approx(float(((y - m)[90:].abs() ** p).mean() ** (1 / p)), rel=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_one_batch_gives_its_own_best_scale(kind: type[TrackedNoise]) -> None:
    y = column(draws(kind, 0.0, 2.5, count=5000))
    mask, m = torch.ones_like(y, dtype=torch.bool), torch.zeros_like(y)
    noise = kind(1).double()
    noise.update(y, m, mask)
    best = float(noise.scale)
    nll = {s: float(noise_of(kind, s).nll(y, m, mask)) for s in (0.97 * best, best, 1.03 * best)}
    assert min(nll, key=lambda s: nll[s]) == best


@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_without_cells_changes_nothing(kind: type[TrackedNoise]) -> None:
    noise = kind(1, start=0.2)
    empty = torch.full((2, 1, 3, 3), torch.nan)
    nothing = torch.zeros_like(empty, dtype=torch.bool)
    noise.update(empty, empty, nothing)
    assert float(noise.scale) == pytest.approx(0.2)
    location = empty.clone().requires_grad_()
    loss = noise.nll(empty, location, nothing)
    loss.backward()  # type: ignore[no-untyped-call]
    assert float(loss.detach()) == 0
    assert location.grad is not None
    assert not location.grad.any()


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_under_the_mask_gets_out(kind: type[TrackedNoise]) -> None:
    generator = torch.Generator().manual_seed(5)
    y, m = (torch.randn(2, 1, 4, 4, generator=generator) for _ in range(2))
    mask = torch.rand(2, 1, 4, 4, generator=generator) < 0.5
    found = []
    for fill in (0.0, torch.nan, torch.inf):
        noise = kind(1)
        low = torch.where(mask, torch.tensor(-0.2), torch.tensor(fill))
        location = torch.where(mask, m, fill).requires_grad_()
        target = torch.where(mask, y.clamp(min=-0.2), fill)
        noise.update(target, location, mask, lower=low)
        noise.nll(target, location, mask, lower=low).backward()  # type: ignore[no-untyped-call]
        assert location.grad is not None
        found.append((noise.scale, location.grad))
    for scale, gradient in found[1:]:
        assert torch.equal(scale, found[0][0])
        assert torch.equal(gradient, found[0][1])


@pytest.mark.parametrize("kind", KINDS)
def test_the_gradient_agrees_with_differences(kind: type[TrackedNoise]) -> None:
    noise = noise_of(kind, 0.4)
    y = column(torch.tensor([-0.5, -0.5, 0.1, 0.8, 0.8]))
    m = column(torch.tensor([-0.9, 0.3, 0.32, 0.2, 1.4])).requires_grad_()
    mask, given = torch.ones_like(y, dtype=torch.bool), {"lower": bound(-0.5), "upper": bound(0.8)}
    assert torch.autograd.gradcheck(lambda location: noise.nll(y, location, mask, **given), (m,))


@pytest.mark.parametrize("kind", KINDS)
def test_samples_have_the_scale_and_stay_between_the_bounds(kind: type[TrackedNoise]) -> None:
    noise = noise_of(kind, 0.6)
    eps = torch.randn(200_000, 1, 1, 1, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    m = torch.full_like(eps, 0.1)
    free = noise.sample(m, eps)
    assert float(free.std()) == pytest.approx(0.6 * kind.standard.std, rel=0.02)
    cut = noise.sample(m, eps, lower=bound(0.0))
    assert float(cut.min()) == 0
    assert torch.equal(cut, free.clamp(min=0))


def test_variables_side_by_side() -> None:
    generator = torch.Generator().manual_seed(7)
    y, m, eps = (torch.randn(3, 3, 2, 2, generator=generator) for _ in range(3))
    mask = torch.rand(3, 3, 2, 2, generator=generator) < 0.7
    low = torch.full((1, 3, 1, 1), -0.1)
    parts = [GaussianNoise(1), LaplaceNoise(2)]
    alone = [GaussianNoise(1), LaplaceNoise(2)]
    both = NoisePerVariable(parts)
    cuts = [(slice(0, 1), alone[0]), (slice(1, 3), alone[1])]
    both.update(y, m, mask, lower=low)
    for cut, noise in cuts:
        noise.update(y[:, cut], m[:, cut], mask[:, cut], lower=low[:, cut])
        own = noise.cell_nll(y[:, cut], m[:, cut], mask[:, cut], lower=low[:, cut])
        assert torch.equal(both.cell_nll(y, m, mask, lower=low)[:, cut], own)
        assert torch.equal(
            both.sample(m, eps, lower=low)[:, cut], noise.sample(m[:, cut], eps[:, cut], lower=low[:, cut])
        )
        assert torch.equal(both.moments(m, lower=low)[0][:, cut], noise.moments(m[:, cut], lower=low[:, cut])[0])
        assert torch.equal(both.scale[cut], noise.scale)
    assert {name for name, _ in both.named_parameters()} == {
        f"parts.{i}.{part}" for i in (0, 1) for part in ("total", "cells")
    }


@pytest.mark.parametrize("wrong", [{"decay": 1.0}, {"start": 0.0}, {"decay": "much"}, {"start": True}])
def test_mistakes_are_named(wrong: Any) -> None:
    with pytest.raises(ConfigurationError, match="expected"):
        GaussianNoise(1, **wrong)

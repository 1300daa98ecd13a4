"""RePaint: harmony between what is seen and what is not, bought with passes."""

import pytest
import torch

from driftfield.errors import ConfigurationError
from driftfield.sampling.ancestral import DDPMSampler
from driftfield.sampling.guidance.repaint import RePaintSampler
from driftfield.sampling.guidance.replacement import ReplacementDenoiser
from driftfield.testing import CountingDenoiser, check_sampler, exact_problems, numbered_noise

PROBLEM = exact_problems()["correlated"]
CELLS = PROBLEM.cells
SEEN = torch.arange(CELLS) % 2 == 0


def drawn(resamplings: int, draws: int = 256) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Members of one case, and the posterior of the cells that are not seen."""
    unit = torch.randn(CELLS, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    truth = PROBLEM.mean + torch.linalg.cholesky(PROBLEM.covariance) @ unit
    y = torch.where(SEEN, truth, torch.nan).expand(draws, 1, 1, CELLS)
    replaced = ReplacementDenoiser(PROBLEM.denoiser, y, SEEN.expand_as(y), torch.zeros_like(y), None)
    sampler = RePaintSampler(1 + 32 * resamplings, resamplings=resamplings)
    fields = sampler.sample(replaced, numbered_noise(y.shape)).double().view(draws, CELLS)
    assert torch.equal(fields[:, SEEN], truth[SEEN].expand(draws, -1))
    c = PROBLEM.covariance
    gain = c[~SEEN][:, SEEN] @ torch.linalg.inv(c[SEEN][:, SEEN])
    mean = PROBLEM.mean[~SEEN] + gain @ (truth - PROBLEM.mean)[SEEN]
    return fields[:, ~SEEN], mean, (c[~SEEN][:, ~SEEN] - gain @ c[SEEN][:, ~SEEN]).diagonal().sqrt()


def test_passes_bring_it_to_the_posterior() -> None:
    errors, spreads = [], []
    for resamplings in (1, 4, 16):
        fields, mean, sd = drawn(resamplings)
        errors.append(float(((fields.mean(0) - mean) / sd).square().mean().sqrt()))
        spreads.append(float((fields.std(0) / sd).square().mean().sqrt()))
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 0.25
    assert spreads[-1] == pytest.approx(1, abs=0.15)


def test_one_pass_is_ddpm() -> None:
    noise = numbered_noise((4, 1, 1, CELLS))
    for levels in (9, 33):
        once = RePaintSampler(levels, resamplings=1).sample(PROBLEM.denoiser, noise)
        assert once.shape == DDPMSampler(levels).sample(PROBLEM.denoiser, noise).shape
    check_sampler(RePaintSampler(256, resamplings=1), draws=512)


def test_it_is_a_sampler_of_the_prior_too() -> None:
    check_sampler(RePaintSampler(257, resamplings=2), draws=512, spread=0.03)


def test_it_costs_what_it_says() -> None:
    counting = CountingDenoiser(PROBLEM.denoiser)
    sampler = RePaintSampler(101, resamplings=10)
    sampler.sample(counting, numbered_noise((2, 1, 1, CELLS)))
    assert counting.calls == sampler.evaluations == 101


def test_no_pass_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="resamplings=0"):
        RePaintSampler(resamplings=0)

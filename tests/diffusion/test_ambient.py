"""Training from gappy fields on a world where all is known: half of the cells of every field are missing.

The denoiser of least loss is E[x | y, O, x_t in B, B]; nothing outside of what is known has a say; and where all of x_t is there,
as in a walk, its draws have the true covariance, while a model that takes the zeros in gaps for data has another one.
"""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from driftfield.diffusion.denoiser import NetworkDenoiser
from driftfield.diffusion.exact import GaussianDenoiser
from driftfield.diffusion.model import DiffusionModel
from driftfield.diffusion.noise_levels import LogNormalLevels
from driftfield.diffusion.parameterization import DataParameterization, EDMParameterization
from driftfield.diffusion.schedule import LogLinearSchedule
from driftfield.diffusion.weighting import EDMWeighting
from driftfield.fields import FieldBatch, Seen
from driftfield.networks.unet import ResidualUNet
from driftfield.sampling.ode import DPMSolverPP2M
from driftfield.testing import numbered_noise, tiny_batch

SHAPE, CELLS = (2, 4), 8
SCHEDULE = LogLinearSchedule(s_min=0.01, s_max=80.0)
PLACE = torch.arange(CELLS, dtype=torch.float64)
TRUE = torch.exp(-(PLACE[:, None] - PLACE[None, :]).abs() / 4.0)
ERROR = 0.2
"""Standard deviation of the observation error."""


def gappy_batch(size: int, seed: int = 0) -> FieldBatch:
    """Fields known in A, a random half of the cells; y in O and x_t in B are drawn from A."""
    generator = torch.Generator().manual_seed(seed)
    shape = (size, 1, *SHAPE)

    def chance(p: float) -> Tensor:
        return torch.rand(shape, generator=generator) < p

    x = torch.randn(size, CELLS, generator=generator, dtype=torch.float64) @ torch.linalg.cholesky(TRUE).T
    x = x.view(shape)
    known = chance(0.5)
    observed, visible = (
        known & chance(0.3),
        known & (chance(0.7) | (torch.rand(size, 1, 1, 1, generator=generator) < 0.5)),
    )
    y = x + ERROR * torch.randn(shape, generator=generator, dtype=torch.float64)
    none = torch.zeros(size, 0, *SHAPE)
    return FieldBatch(
        target=torch.where(known, x, 0),
        seen=Seen(torch.where(observed, y, 0), observed, torch.where(observed, ERROR, 0.0)),
        domain=torch.ones(shape, dtype=torch.bool),
        held_out=known & ~observed,
        given=Seen(none, none.bool(), none),
        presence=torch.zeros(size, 0),
        position=torch.zeros(size, 2),
        date=torch.zeros(size, 2),
        visible=visible,
    )


class ExactNetwork(nn.Module):
    """E[x | y, O, z in B, B] from the inverse covariances; two numbers that should be 0 move it away from there."""

    def __init__(self) -> None:
        super().__init__()
        self.off = nn.Parameter(torch.zeros(2, dtype=torch.float64))

    def encode(self, batch: FieldBatch, *, wrap: bool = False) -> FieldBatch:
        return batch

    def forward(self, scaled: Tensor, c_noise: Tensor, batch: FieldBatch) -> Tensor:
        s = torch.exp(4 * c_noise.double())[:, None]
        z = (scaled.double().flatten(1) * torch.sqrt(1 + s**2)).detach()
        visible = torch.ones_like(batch.seen.where) if batch.visible is None else batch.visible
        of_z = visible.flatten(1) / s**2
        of_y = batch.seen.where.flatten(1) / ERROR**2
        precision = torch.linalg.inv(TRUE) + torch.diag_embed(of_z + of_y)
        right = of_z * z + of_y * batch.seen.value.flatten(1)
        mean = torch.linalg.solve(precision, right)
        # from each cell to the next, and towards zero
        moved = mean + self.off[0] * mean + self.off[1] * mean.roll(1, dims=1)
        return moved.view(scaled.shape)


def exact_model() -> DiffusionModel:
    return DiffusionModel(
        ExactNetwork(),
        SCHEDULE,
        parameterization=DataParameterization(),
        noise_levels=LogNormalLevels(mean=0.0, std=1.5),
        weighting=EDMWeighting(),
    )


def test_the_exact_ambient_denoiser_has_the_least_loss() -> None:
    """The loss is a square, so a gradient of 0 is its least value: tested against its own sampling error."""
    model = exact_model()
    gradients = []
    for seed in range(40):
        loss = model.loss(gappy_batch(400, seed), torch.Generator().manual_seed(seed))
        (gradient,) = torch.autograd.grad(loss, [model.network.off])
        gradients.append(gradient)
    found = torch.stack(gradients)
    error = found.std(0) / len(found) ** 0.5
    assert (found.mean(0).abs() < 4 * error).all(), (found.mean(0), error)
    # the test can tell: a denoiser that is 6 % off has another gradient
    with torch.no_grad():
        model.network.off += torch.tensor([0.06, -0.06], dtype=torch.float64)
    loss = sum(model.loss(gappy_batch(400, seed), torch.Generator().manual_seed(seed)) for seed in range(40)) / 40
    (gradient,) = torch.autograd.grad(loss, [model.network.off])
    assert (gradient.abs() > 8 * error).all()


def test_what_is_not_known_has_no_say() -> None:
    batch, model = gappy_batch(64), exact_model()
    known = batch.seen.where | batch.held_out
    assert batch.visible is not None
    expected = model.loss(batch, torch.Generator().manual_seed(0))
    other = replace(batch, target=torch.where(known, batch.target, 17.0))
    assert torch.equal(model.loss(other, torch.Generator().manual_seed(0)), expected)
    # the trap: without the mask, what stands in the gaps is taken for the field
    blind, blind_other = replace(batch, visible=None), replace(other, visible=None)
    losses = [float(model.loss(b, torch.Generator().manual_seed(0)).detach()) for b in (blind, blind_other)]
    assert losses[0] != losses[1]


class NaiveDenoiser:
    """What a linear denoiser learns from fields whose gaps (a random half) hold 0 and the same noise as the rest.

    Cell i is scored where it is known:  D_i = E[x_i z' | i in A] (E[z z' | i in A])^-1 z
    """

    schedule = SCHEDULE

    def __call__(self, x_t: Tensor, t: Tensor) -> Tensor:
        alpha, sigma = (float(part[0]) for part in SCHEDULE.alpha_sigma(t.double()))
        s, rows = sigma / alpha, []
        for i in range(CELLS):
            p = torch.full((CELLS,), 0.5, dtype=torch.float64)
            p[i] = 1.0
            both = torch.outer(p, p)
            both.diagonal().copy_(p)
            rows.append(torch.linalg.solve(both * TRUE + s**2 * torch.eye(CELLS, dtype=torch.float64), p * TRUE[i]))
        return ((x_t.double().flatten(1) / alpha) @ torch.stack(rows).T).view(x_t.shape).to(x_t.dtype)


def relative_error(found: Tensor, true: Tensor) -> float:
    return float((found - true).norm() / true.norm())


def test_draws_have_the_true_covariance_and_those_of_the_naive_model_have_not() -> None:
    draws = 6000
    # a sample is told to be all visible in a walk, whatever it was in training
    empty = gappy_batch(1)
    empty = replace(empty, seen=Seen.nothing(*empty.target.shape))
    sampler, noise = DPMSolverPP2M(evaluations=64), numbered_noise((draws, 1, *SHAPE))
    with torch.no_grad():
        condition = exact_model().denoiser(empty.repeat(draws))
        ambient = sampler.sample(condition, noise).flatten(1).double()
        naive = sampler.sample(NaiveDenoiser(), noise).flatten(1).double()
    sampling_error = float((TRUE.trace() ** 2 + TRUE.norm() ** 2) / draws) ** 0.5 / float(TRUE.norm())
    assert relative_error(torch.cov(ambient.T), TRUE) < 0.02 + 2 * sampling_error
    # .18 as measured; the correlation of neighbours is .63 in place of .78
    assert relative_error(torch.cov(naive.T), TRUE) > 0.14
    neighbours = torch.corrcoef(naive.T).diagonal(1)
    assert (neighbours < TRUE.diagonal(1) - 0.1).all()
    assert (torch.corrcoef(ambient.T).diagonal(1) - TRUE.diagonal(1)).abs().max() < 0.03


def test_a_walk_meets_the_exact_denoiser_of_complete_fields() -> None:
    empty = gappy_batch(16)
    empty = replace(empty, seen=Seen.nothing(*empty.target.shape))
    x_t, t = torch.randn(16, 1, *SHAPE, dtype=torch.float64), torch.linspace(0.1, 0.9, 16, dtype=torch.float64)
    exact = GaussianDenoiser(SCHEDULE, torch.zeros(()), TRUE)
    torch.testing.assert_close(
        exact_model().denoiser(empty)(x_t, t), exact(x_t, t), atol=1e-5, rtol=1e-4, check_dtype=False
    )


# -- with the networks of the project ----------------------------------------------------------------------------------


def unet_model(batch: FieldBatch) -> DiffusionModel:
    torch.manual_seed(0)
    network = ResidualUNet(
        batch.target.shape[1],
        batch.given.value.shape[1],
        widths=[4, 8],
        depths=[1, 1],
        condition_depths=[1, 1],
        embedding=8,
        visible=True,
    )
    # the head starts at 0 and would hide every difference
    nn.init.normal_(network.head.weight, std=0.3)
    parts: dict[str, Any] = {"noise_levels": LogNormalLevels(), "weighting": EDMWeighting()}
    return DiffusionModel(network, SCHEDULE, parameterization=EDMParameterization(), **parts)


def test_a_network_sees_the_mask_and_nothing_behind_it() -> None:
    batch = tiny_batch(3)
    visible = batch.domain & (torch.rand(batch.domain.shape, generator=torch.Generator().manual_seed(2)) < 0.5)
    model = unet_model(batch)
    shown = replace(batch, visible=visible)

    def denoise(given: FieldBatch, x_t: Tensor) -> Tensor:
        encoded = model.network.encode(given)
        bound = NetworkDenoiser(
            model.preconditioning, lambda x, c: model.network(x, c, encoded), given.domain, given.visible
        )
        return bound(x_t, torch.full((3,), 0.4)).detach()

    x_t = torch.randn(batch.target.shape, generator=torch.Generator().manual_seed(3))
    whole = denoise(shown, x_t)
    assert torch.equal(denoise(shown, torch.where(visible, x_t, torch.nan)), whole)
    assert not torch.allclose(denoise(replace(shown, visible=batch.domain), torch.where(visible, x_t, 0)), whole)
    # a batch without the mask is one that is visible everywhere
    assert torch.equal(denoise(replace(batch, visible=batch.domain), x_t), denoise(batch, x_t))
    # and a walk is such a batch
    torch.testing.assert_close(model.denoiser(shown)(x_t, torch.full((3,), 0.4)).detach(), denoise(batch, x_t))


@pytest.mark.parametrize("noise", [0.05, 5.0])
def test_hidden_cells_are_neither_blown_up_nor_weighed_by_the_noise(noise: float) -> None:
    """Without x_t in a cell, its loss at the start (a network that says 0) is that of the mean, whatever the noise level."""
    batch = tiny_batch(2)
    known = batch.seen.where | batch.held_out
    shown = replace(batch, visible=torch.zeros_like(batch.domain))
    model = unet_model(batch)
    nn.init.zeros_(model.network.head.weight)
    model.noise_levels = LogNormalLevels(mean=float(torch.tensor(noise).log()), std=1e-3)
    found = float(model.loss(shown, torch.Generator().manual_seed(0)).detach())
    assert found == pytest.approx(float(batch.target[known].square().mean()), rel=1e-5)

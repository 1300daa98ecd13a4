"""The model: land says nothing, the condition is encoded once, and its loss is the loss."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from driftfield.diffusion.model import DiffusionModel, RegressionModel, from_residual, to_residual
from driftfield.diffusion.noise_levels import LogNormalLevels
from driftfield.diffusion.parameterization import EDMParameterization
from driftfield.diffusion.schedule import LogLinearSchedule
from driftfield.diffusion.weighting import EDMWeighting
from driftfield.fields import FieldBatch
from driftfield.interfaces import Denoiser
from driftfield.networks.unet import UNet
from driftfield.registry import build, lookup, names
from driftfield.testing import check_denoiser, tiny_batch

NETWORKS = [name for name in names("network") if issubclass(lookup("network", name), UNet)]
SMALL = {"widths": [8, 16], "depths": [1, 1], "condition_depths": [1, 1], "embedding": 16, "attention": True}


class CountedEncodings(nn.Module):
    """Counts how often the condition is encoded."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network, self.encodings = network, 0

    def encode(self, batch: FieldBatch, *, wrap: bool = False) -> object:
        self.encodings += 1
        return self.network.encode(batch, wrap=wrap)

    def forward(self, x: Tensor, c_noise: Tensor, encoded: object) -> Tensor:
        return self.network(x, c_noise, encoded)


def make_network(name: str = "ResidualUNet", **options: object) -> CountedEncodings:
    torch.manual_seed(0)
    network = build("network", {"class": name, **SMALL, "channels": 2, "covariates": 1, **options})
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.abs().max() == 0:
                parameter.normal_(std=0.1)
    return CountedEncodings(network).eval()


def make_model(
    name: str = "ResidualUNet", parameterization: str = "EDMParameterization", **options: object
) -> DiffusionModel:
    return DiffusionModel(
        make_network(name, **options),
        LogLinearSchedule(),
        parameterization=build("parameterization", {"class": parameterization}),
        noise_levels=LogNormalLevels(),
        weighting=EDMWeighting(),
    )


@pytest.mark.parametrize("name", NETWORKS)
def test_land_never_influences_the_ocean(name: str) -> None:
    """Values of x_t and of the target on land are changed, also to NaN: the ocean stays bit by bit, land stays 0."""
    model, batch = make_model(name), tiny_batch()
    x_t = torch.randn(batch.target.shape, generator=torch.Generator().manual_seed(1))
    t = torch.tensor([0.2, 0.8])
    with torch.no_grad():
        expected = model.denoiser(batch)(x_t, t)
        assert (expected[~batch.domain] == 0).all()
        for poison in (7.0, torch.nan, torch.inf):
            other = replace(batch, target=torch.where(batch.domain, batch.target, poison))
            found = model.denoiser(other)(torch.where(batch.domain, x_t, poison), t)
            assert torch.equal(found, expected)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("first_guess", [False, True])
def test_what_lies_under_the_masks_never_reaches_the_loss(name: str, first_guess: bool) -> None:
    batch = tiny_batch(first_guess=first_guess)
    poisoned = replace(batch, target=torch.where(batch.domain, batch.target, torch.nan))
    for model in (
        make_model(name, first_guess=first_guess),
        RegressionModel(make_network(name, first_guess=first_guess)),
    ):
        values = [model.loss(part, torch.Generator().manual_seed(4)) for part in (batch, poisoned)]
        assert torch.isfinite(values[0])
        assert torch.equal(values[0], values[1])
        values[1].backward()
        gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
        assert gradients
        assert all(torch.isfinite(gradient).all() for gradient in gradients)


def test_a_batch_of_land_teaches_nothing_and_breaks_nothing() -> None:
    batch = tiny_batch()
    nowhere = torch.zeros_like(batch.domain)
    land = replace(batch, domain=nowhere, seen=replace(batch.seen, where=nowhere), held_out=nowhere)
    for model in (make_model(), RegressionModel(make_network())):
        loss = model.loss(land, torch.Generator().manual_seed(0))
        assert loss.item() == 0
        loss.backward()
        assert all(p.grad is None or (p.grad == 0).all() for p in model.parameters())


def test_the_denoiser_is_a_denoiser() -> None:
    batch = tiny_batch(3)
    denoiser = make_model().denoiser(batch)
    assert isinstance(denoiser, Denoiser)
    with torch.no_grad():
        check_denoiser(denoiser, tuple(batch.target.shape))


def test_the_condition_is_encoded_once() -> None:
    model, batch = make_model(), tiny_batch(2)
    counted = model.network
    assert isinstance(counted, CountedEncodings)
    with torch.no_grad():
        denoiser = model.denoiser(batch, members=3)
        x_t = torch.randn(6, *batch.target.shape[1:], generator=torch.Generator().manual_seed(0))
        together = denoiser(x_t, torch.full((6,), 0.5))
        for t in (0.9, 0.1):
            denoiser(x_t, torch.full((6,), t))
        assert counted.encodings == 1
        for sample in (0, 1):
            alone = model.denoiser(batch[sample : sample + 1])
            for member in range(3):
                row = 3 * sample + member
                found = alone(x_t[row : row + 1], torch.full((1,), 0.5))
                torch.testing.assert_close(found, together[row : row + 1], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("parameterization", names("parameterization"))
def test_a_perfect_network_has_no_loss(parameterization: str) -> None:
    """The network is handed eps by the back door: whatever it should predict, the clean field comes out."""
    batch = tiny_batch(4)
    model = make_model(parameterization=parameterization)
    x, eps = batch.target, torch.randn(batch.target.shape, generator=torch.Generator().manual_seed(11))
    t = torch.tensor([0.1, 0.4, 0.6, 0.9])
    alpha, sigma = (part.view(-1, 1, 1, 1) for part in model.schedule.alpha_sigma(t))
    asked: list[Tensor] = []

    def oracle(scaled: Tensor, c_noise: Tensor) -> Tensor:
        asked.extend((scaled, c_noise))
        return model.preconditioning.parameterization.target(x, eps, alpha, sigma)

    clean = model.preconditioning.denoise(oracle, alpha * x + sigma * eps, t)
    torch.testing.assert_close(clean, x, rtol=0, atol=2e-4)
    # c_in x_t has unit variance for data of unit variance; c_noise = ln(s) / 4
    assert abs(float(torch.where(batch.domain, asked[0], torch.nan).nanmean())) < 0.1
    assert abs(float(asked[0][batch.domain].std()) - 1) < 0.05
    torch.testing.assert_close(asked[1], (sigma / alpha).log().view(-1) / 4, rtol=1e-5, atol=1e-6)


def test_the_loss_is_a_function_of_its_generator() -> None:
    model, batch = make_model(), tiny_batch()
    losses = [float(model.loss(batch, torch.Generator().manual_seed(seed)).detach()) for seed in (0, 0, 1)]
    assert losses[0] == losses[1] != losses[2]


def test_a_new_model_has_the_loss_of_knowing_nothing() -> None:
    """F = 0 has an error of unit variance at every level under EDM weights, for standard normal data."""
    torch.manual_seed(0)
    network = build("network", {"class": "ResidualUNet", **SMALL, "channels": 2, "covariates": 1})
    parts = {"parameterization": EDMParameterization(), "noise_levels": LogNormalLevels(), "weighting": EDMWeighting()}
    model = DiffusionModel(network, LogLinearSchedule(), **parts)
    loss = float(model.loss(tiny_batch(16), torch.Generator().manual_seed(0)).detach())
    assert abs(loss - 1) < 0.05


@pytest.mark.parametrize("first_guess", [False, True])
def test_residuals_there_and_back(first_guess: bool) -> None:
    batch = tiny_batch(first_guess=first_guess)
    torch.testing.assert_close(from_residual(batch, to_residual(batch, batch.target)), batch.target)

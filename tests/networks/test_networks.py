"""Every registered network: any size of field, land that says nothing, a longitude that wraps, weights that come back."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from driftfield.checkpoint import read_run, write_run
from driftfield.errors import ConfigurationError
from driftfield.fields import FieldBatch
from driftfield.networks.diffusers_unet import MODELS as DIFFUSERS
from driftfield.networks.neural_operator import NeuralOperator
from driftfield.networks.unet import UNet
from driftfield.registry import build, lookup, names
from driftfield.testing import tiny_batch

# CircleUNet works along one row: tests/networks/test_circle.py
UNETS = [name for name in names("network") if issubclass(lookup("network", name), UNet)]
OPERATORS = [name for name in names("network") if issubclass(lookup("network", name), NeuralOperator)]
OURS = [*UNETS, *OPERATORS]
NETWORKS = [*OURS, *DIFFUSERS]
SMALL = {"widths": [8, 16, 16], "depths": [1, 1, 1], "condition_depths": [1, 1, 1], "embedding": 16}


def make(name: str, *, seed: int = 0, alive: bool = True, **options: object) -> nn.Module:
    """A small network; alive: with random numbers in the layers that start at zero, so that everything has an effect."""
    torch.manual_seed(seed)
    spec = {"class": name, **SMALL, "attention": True, "channels": 2, "covariates": 1, **options}
    if name in OPERATORS:
        options.pop("attention", None)
        spec = {"class": name, "modes": 6, "embedding": 16, "channels": 2, "covariates": 1, **options}
        spec |= {"widths": [8, 16], "depths": [1, 1]} if name == "SpectralUNet" else {"width": 8, "layers": 2}
    if name in DIFFUSERS:
        config = {"block_out_channels": [8, 16, 16], "dropout": options.pop("dropout", 0.0)}
        options.pop("attention", None)
        spec = {"class": "DiffusersUNet", "model": name, "config": config, "channels": 2, "covariates": 1, **options}
    network = build("network", spec).to(memory_format=torch.channels_last)
    if alive:
        with torch.no_grad():
            for parameter in network.parameters():
                if parameter.abs().max() == 0:
                    parameter.normal_(std=0.1)
    return network.eval()


def answer(network: nn.Module, batch: FieldBatch, x: Tensor | None = None, *, wrap: bool = False) -> Tensor:
    x = noisy(batch) if x is None else x
    with torch.no_grad():
        return network(x, torch.linspace(-1, 1, len(batch)), network.encode(batch, wrap=wrap))


def noisy(batch: FieldBatch, seed: int = 9) -> Tensor:
    x = torch.randn(batch.target.shape, generator=torch.Generator().manual_seed(seed))
    return torch.where(batch.domain, x, 0)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("shape", [(8, 8), (16, 24), (7, 9), (5, 13), (1, 40), (3, 3), (1, 1)])
@pytest.mark.parametrize("first_guess", [False, True])
def test_any_size_of_field(name: str, shape: tuple[int, int], first_guess: bool) -> None:
    batch = tiny_batch(shape=shape, first_guess=first_guess)
    found = answer(make(name, first_guess=first_guess), batch)
    assert found.shape == batch.target.shape
    assert torch.isfinite(found).all()


@pytest.mark.parametrize("name", NETWORKS)
def test_starts_at_zero_and_wakes_after_one_step(name: str) -> None:
    """The head is zero, so a new network predicts 0; two steps later every parameter has felt a gradient."""
    network = make(name, alive=False, first_guess=True).train()
    batch = tiny_batch(first_guess=True)
    assert float(answer(network, batch).abs().max()) == 0
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-2)
    felt = {parameter_name: False for parameter_name, _ in network.named_parameters()}
    for step in range(4):
        optimizer.zero_grad()
        prediction = network(noisy(batch, step), torch.linspace(-1, 1, len(batch)), network.encode(batch))
        ((prediction - batch.target) ** 2).mean().backward()
        for parameter_name, parameter in network.named_parameters():
            if parameter.grad is not None and float(parameter.grad.abs().max()) > 0:
                felt[parameter_name] = True
        optimizer.step()
    asleep = [parameter_name for parameter_name, touched in felt.items() if not touched]
    assert not asleep, f"no gradient reaches {asleep}"


@pytest.mark.parametrize("name", NETWORKS)
def test_a_sample_does_not_depend_on_its_batch(name: str) -> None:
    network, batch = make(name), tiny_batch(4)
    x, c_noise = noisy(batch), torch.linspace(-1, 1, 4)
    with torch.no_grad():
        whole = network(x, c_noise, network.encode(batch))
        for i in range(4):
            alone = network(x[i : i + 1], c_noise[i : i + 1], network.encode(batch[i : i + 1]))
            torch.testing.assert_close(alone, whole[i : i + 1], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", NETWORKS)
def test_members_share_one_encoding(name: str) -> None:
    network, batch = make(name), tiny_batch(2)
    many = batch.repeat(3)
    x, c_noise = noisy(many), torch.linspace(-1, 1, 6)
    with torch.no_grad():
        shared = network(x, c_noise, network.encode(batch).repeat(3))
        torch.testing.assert_close(shared, network(x, c_noise, network.encode(many)), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("width", [24, 30])
def test_longitude_wraps(name: str, width: int) -> None:
    """Rolling all inputs rolls the output: by whole coarse cells where the grid can be halved, else nearly."""
    network, batch = make(name, attention=False), tiny_batch(shape=(8, width))
    x, shift = noisy(batch), 4
    rolled = batch.mapped(lambda field: field.roll(shift, dims=-1) if field.ndim == 4 else field)
    found = answer(network, rolled, x.roll(shift, dims=-1), wrap=True)
    expected = answer(network, batch, x, wrap=True).roll(shift, dims=-1)
    exact = width % 4 == 0
    if exact or name in OURS:
        assert float((found - expected).abs().max()) < (1e-4 if exact else 0.2) * float(expected.abs().max())
    else:  # theirs look further than the halo
        assert float((found - expected).std()) < 0.5 * float(expected.std())
    flat = answer(network, batch, x)
    assert float((flat - expected.roll(-shift, dims=-1)).abs().max()) > 1e-3, "wrap has no effect"


@pytest.mark.parametrize("name", NETWORKS)
def test_what_is_known_matters(name: str) -> None:
    """Every part of the condition, the noise level and the noisy field reach the answer."""
    network, batch = make(name, first_guess=True), tiny_batch(first_guess=True)
    expected = answer(network, batch)
    generator = torch.Generator().manual_seed(5)
    silent = {"target", "held_out"}
    arrays = batch.to_arrays()
    for field, array in arrays.items():
        value = torch.from_numpy(array)
        other = ~value if value.dtype == torch.bool else value + torch.rand(value.shape, generator=generator)
        changed = float(
            (answer(network, FieldBatch.from_arrays(arrays | {field: other.numpy()})) - expected).abs().max()
        )
        assert (changed == 0) == (field in silent), f"{field} changes the answer by {changed}"
    with torch.no_grad():
        later = network(noisy(batch), torch.linspace(-1, 1, len(batch)) + 0.3, network.encode(batch))
    assert float((later - expected).abs().max()) > 1e-4
    assert float((answer(network, batch, noisy(batch, 3)) - expected).abs().max()) > 1e-4


@pytest.mark.parametrize("name", NETWORKS)
def test_save_and_load_is_the_identity(name: str, tmp_path: Path) -> None:
    network, batch = make(name), tiny_batch()
    write_run(tmp_path, name, {}, {key: value.detach().numpy() for key, value in network.named_parameters()})
    other = make(name, seed=1)
    assert not torch.equal(answer(other, batch), answer(network, batch))
    other.load_state_dict({key: torch.from_numpy(np.array(value)) for key, value in read_run(tmp_path).arrays.items()})
    assert torch.equal(answer(other, batch), answer(network, batch))


@pytest.mark.parametrize("name", NETWORKS)
def test_half_precision_is_finite(name: str) -> None:
    network, batch = make(name), tiny_batch()
    with torch.autocast("cpu", torch.bfloat16):
        prediction = network(noisy(batch), torch.linspace(-1, 1, len(batch)), network.encode(batch))
        (prediction.float() ** 2).mean().backward()
    assert torch.isfinite(prediction).all()
    assert all(p.grad is None or torch.isfinite(p.grad).all() for p in network.parameters())
    found = prediction.detach().float()
    assert float((found - answer(network, batch)).abs().max()) < 0.2 * float(found.abs().max())


@pytest.mark.parametrize("name", NETWORKS)
def test_land_alone_is_finite(name: str) -> None:
    batch = tiny_batch()
    land = replace(
        batch, domain=torch.zeros_like(batch.domain), seen=replace(batch.seen, where=torch.zeros_like(batch.seen.where))
    )
    assert torch.isfinite(answer(make(name), land)).all()


@pytest.mark.parametrize("name", NETWORKS)
def test_dropout_sleeps_after_training(name: str) -> None:
    network, batch = make(name, dropout=0.5), tiny_batch()
    assert torch.equal(answer(network, batch), answer(network, batch))
    network.train()
    assert not torch.equal(answer(network, batch), answer(network, batch))


@pytest.mark.parametrize("name", UNETS)
def test_small_and_large(name: str) -> None:
    """About a million parameters for a laptop, 57 million and more where there is a GPU."""

    def millions(widths: list[int], depths: list[int]) -> float:
        spec = {"class": name, "channels": 8, "widths": widths, "depths": depths, "condition_depths": [1] * len(widths)}
        with torch.device("meta"):
            network = build("network", {**spec, "embedding": 4 * widths[0]})
        return sum(parameter.numel() for parameter in network.parameters()) / 1e6

    small = {"ConvNeXtUNet": ([32, 64, 96], [1, 2, 2])}.get(name, ([16, 32, 64], [1, 2, 2]))
    assert 0.3 < millions(*small) < 2
    assert millions([128, 256, 384, 640], [2, 4, 4, 4]) >= 57


@pytest.mark.parametrize("name", UNETS)
@pytest.mark.parametrize(("options", "message"), [({"depths": [1]}, "one of each"), ({"width": [8]}, "widths")])
def test_impossible_arguments_are_refused(name: str, options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        make(name, **options)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_missing_first_guess_is_named(name: str) -> None:
    with pytest.raises(ConfigurationError, match="first_guess=True"):
        answer(make(name, first_guess=True), tiny_batch())


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("shape", [(4, 4), (3, 5), (6, 12)])
def test_a_narrow_globe_wraps_too(name: str, shape: tuple[int, int]) -> None:
    """Narrower than a convolution on the coarse grid, or than the halo."""
    batch = tiny_batch(shape=shape)
    found = answer(make(name), batch, wrap=True)
    assert found.shape == batch.target.shape
    assert torch.isfinite(found).all()

"""The network on a circle: any number of points, no first one, members that share their condition."""

import pytest
import torch
from torch import Tensor

from driftfield.errors import ConfigurationError
from driftfield.networks import CircleUNet
from driftfield.testing import tiny_batch


def alive(*, first_guess: bool = False, **options: object) -> CircleUNet:
    """A small network with random numbers in the layers that start at zero."""
    torch.manual_seed(0)
    network = CircleUNet(2, 1, first_guess, widths=(8, 16), depths=(1, 1), embedding=8, **options)  # type: ignore[arg-type]
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.abs().max() == 0:
                parameter.normal_(std=0.1)
    return network.eval()


def answer(network: CircleUNet, points: int, *, shift: int = 0, wrap: bool = True) -> Tensor:
    """The answer to one input, turned by some points."""
    batch = tiny_batch(shape=(1, points), first_guess=network.first_guess)
    batch = batch.mapped(lambda part: part.roll(shift, -1) if part.ndim == 4 else part)
    x = torch.randn(batch.target.shape, generator=torch.Generator().manual_seed(1)).roll(shift, -1)
    with torch.no_grad():
        return network(x, torch.linspace(-1, 1, len(batch)), network.encode(batch, wrap=wrap))


@pytest.mark.parametrize("points", [1, 2, 3, 9, 36, 40, 41])
@pytest.mark.parametrize("wrap", [True, False])
def test_any_number_of_points(points: int, wrap: bool) -> None:
    found = answer(alive(), points, wrap=wrap)
    assert found.shape == (2, 2, 1, points)
    assert torch.isfinite(found).all()


def test_a_circle_has_no_first_point() -> None:
    """Turning the input by the coarsest spacing turns the output; with ends, it does not."""
    network = alive(first_guess=True)
    turned = answer(network, 40, shift=6).roll(-6, -1)
    assert torch.allclose(turned, answer(network, 40), atol=1e-5)
    ended = answer(network, 40, shift=6, wrap=False).roll(-6, -1)
    assert not torch.allclose(ended, answer(network, 40, wrap=False), atol=1e-3)


def test_starts_at_zero_and_wakes() -> None:
    network = CircleUNet(2, 1, True, widths=(8, 16), depths=(1, 1), embedding=8).train()
    batch = tiny_batch(shape=(1, 12), first_guess=True)
    x = torch.randn(batch.target.shape)
    assert not network(x, torch.zeros(len(batch)), network.encode(batch, wrap=True)).any()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.5)
    for _ in range(5):  # head, blocks, FiLM and embedding wake one after the other
        optimizer.zero_grad()
        loss = (network(x, torch.randn(len(batch)), network.encode(batch, wrap=True)) - batch.target).square().mean()
        loss.backward()
        optimizer.step()
    asleep = [name for name, parameter in network.named_parameters() if not parameter.grad.abs().max() > 0]
    assert not asleep


def test_members_share_one_encoding() -> None:
    network, batch = alive(), tiny_batch(shape=(1, 12))
    x, c_noise = torch.randn(2 * len(batch), 2, 1, 12), torch.linspace(-1, 1, 2 * len(batch))
    with torch.no_grad():
        shared = network(x, c_noise, network.encode(batch, wrap=True).repeat(2))
        single = network(x, c_noise, network.encode(batch.repeat(2), wrap=True))
    assert torch.allclose(shared, single, atol=1e-6)


def test_a_sample_does_not_depend_on_its_batch() -> None:
    network, batch = alive(), tiny_batch(shape=(1, 12))
    x, c_noise = torch.randn(len(batch), 2, 1, 12), torch.linspace(-1, 1, len(batch))
    with torch.no_grad():
        together = network(x, c_noise, network.encode(batch, wrap=True))
        alone = network(x[1:2], c_noise[1:2], network.encode(batch[1:2], wrap=True))
    assert torch.allclose(together[1:2], alone, atol=1e-6)


def test_more_than_one_row_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="one row"):
        alive().encode(tiny_batch(shape=(2, 12)))


@pytest.mark.parametrize(
    ("options", "message"),
    [({"widths": [8]}, "1 widths and 2 depths"), ({"depths": [1, -1]}, "depths"), ({"size": 4}, "odd")],
)
def test_impossible_arguments_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        CircleUNet(2, **({"widths": (8, 16), "depths": (1, 1)} | options))  # type: ignore[arg-type]

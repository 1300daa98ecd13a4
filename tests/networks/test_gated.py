"""The gated network: a circle has no first point, a condition is heard, and a product of neighbours is learnt at once."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from driftfield.errors import ConfigurationError
from driftfield.networks import GatedCircleNet
from driftfield.testing import tiny_batch


def alive(**options: object) -> GatedCircleNet:
    """A small network whose last layers are not zero."""
    torch.manual_seed(0)
    network = GatedCircleNet(2, 1, width=8, depth=2, embedding=8, **options)  # type: ignore[arg-type]
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return network.eval()


def answer(network: GatedCircleNet, shift: int = 0, *, wrap: bool = True, seen: bool = True) -> Tensor:
    """On a random row and condition, turned by `shift` and turned back."""
    batch = tiny_batch(2, shape=(1, 13))
    if not seen:
        batch = replace(batch, seen=replace(batch.seen, where=torch.zeros_like(batch.seen.where)))
    turned = batch.mapped(lambda part: part.roll(shift, -1) if part.ndim == 4 else part)
    x = torch.randn(2, 2, 1, 13, generator=torch.Generator().manual_seed(1)).roll(shift, -1)
    with torch.no_grad():
        return network(x, torch.tensor([0.1, -0.4]), network.encode(turned, wrap=wrap)).roll(-shift, -1)


def test_turning_the_input_turns_the_output() -> None:
    network = alive()
    torch.testing.assert_close(answer(network, 5), answer(network), atol=1e-5, rtol=1e-5)
    assert not torch.allclose(answer(network, 5, wrap=False), answer(network, wrap=False), atol=1e-3)


def test_it_hears_the_condition_and_the_noise_level() -> None:
    network = alive()
    assert not torch.allclose(answer(network), answer(network, seen=False), atol=1e-3)
    x = torch.zeros(2, 2, 1, 13)
    with torch.no_grad():
        quiet = network(x, torch.tensor([0.1, 0.5]), network.encode(tiny_batch(1, shape=(1, 13)).repeat(2), wrap=True))
    assert not torch.allclose(quiet[0], quiet[1], atol=1e-3)


def test_a_new_network_answers_nothing() -> None:
    network = GatedCircleNet(2, 1, width=8, depth=2)
    assert (answer(network) == 0).all()


def test_members_can_share_a_condition() -> None:
    network, batch = alive(), tiny_batch(2, shape=(1, 13))
    x = torch.randn(4, 2, 1, 13, generator=torch.Generator().manual_seed(2))
    level = torch.full((4,), 0.2)
    with torch.no_grad():
        shared = network(x, level, network.encode(batch, wrap=True).repeat(2))
        own = network(x, level, network.encode(batch.repeat(2), wrap=True))
    torch.testing.assert_close(shared, own)


@pytest.mark.parametrize("option", [{"width": 0}, {"depth": 1.5}, {"size": 4}])
def test_numbers_that_make_no_sense_are_refused(option: dict[str, int]) -> None:
    with pytest.raises(ConfigurationError, match="expected"):
        GatedCircleNet(2, **option)


def test_fields_of_more_rows_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="one row of latitude, found 4"):
        alive().encode(tiny_batch(1, shape=(4, 13)))

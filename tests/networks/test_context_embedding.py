"""What a network knows of place, season and far cells is a matter of its arguments."""

from dataclasses import replace

import pytest
import torch

from driftfield.errors import ConfigurationError
from driftfield.fields import FieldBatch, Seen
from driftfield.networks.blocks import DomainLinearAttention
from driftfield.networks.unet import ResidualUNet

SMALL = {"widths": [4, 8, 8], "depths": [1, 1, 1], "condition_depths": [1, 1, 1], "embedding": 8}


def batch() -> FieldBatch:
    torch.manual_seed(0)
    shape = (2, 1, 16, 16)
    exists = torch.ones(shape, dtype=torch.bool)
    empty = torch.zeros(2, 0, 16, 16)
    return FieldBatch(
        target=torch.randn(shape),
        seen=Seen(torch.randn(shape), torch.rand(shape) < 0.5, torch.zeros(shape)),
        domain=exists,
        held_out=~exists,
        given=Seen(empty, empty.bool(), empty),
        presence=torch.zeros(2, 0),
        position=torch.tensor([[10.0, 20.0], [30.0, 40.0]]),
        date=torch.tensor([[0.1, 0.0], [0.6, 0.5]]),
    )


def answer(network: ResidualUNet, given: FieldBatch) -> torch.Tensor:
    with torch.no_grad():
        return network(torch.zeros_like(given.target), torch.zeros(len(given)), network.encode(given))


def network(**options: object) -> ResidualUNet:
    torch.manual_seed(1)
    made = ResidualUNet(1, **{**SMALL, **options}).eval()  # type: ignore[arg-type]
    for parameter in made.parameters():  # the head starts at 0
        torch.nn.init.normal_(parameter, std=0.2)
    return made


@pytest.mark.parametrize(
    ("options", "sees_position", "sees_date"),
    [({}, True, True), ({"position": "none"}, False, True), ({"date": False}, True, False),
     ({"position": "none", "date": False}, False, False)],
)  # fmt: skip
def test_position_and_date_can_be_switched_off(
    options: dict[str, object], sees_position: bool, sees_date: bool
) -> None:
    made, here = network(**options), batch()
    elsewhere = replace(here, position=here.position + 7)
    later = replace(here, date=(here.date + 0.3) % 1)
    assert torch.equal(answer(made, here), answer(made, elsewhere)) != sees_position
    assert torch.equal(answer(made, here), answer(made, later)) != sees_date


@pytest.mark.parametrize(
    ("attention", "levels"),
    [(False, []), (True, [2]), ([False, False, True], [2]), ([True, False, True], [0, 2]), ([False, True, False], [1])],
)
def test_attention_is_a_matter_of_the_level(attention: bool | list[bool], levels: list[int]) -> None:
    made = network(attention=attention)
    found = [module for module in made.modules() if isinstance(module, DomainLinearAttention)]
    assert len(found) == len(levels)
    coarse = made.trunk.attention is not None
    assert sorted([*map(int, made.trunk.finer_attention), *([2] if coarse else [])]) == levels
    given = batch()
    seen = answer(made, given)
    assert seen.shape == given.target.shape
    for module in found:  # each of them has a say
        torch.nn.init.zeros_(module.out.weight)
    assert torch.equal(answer(made, given), seen) == (not levels)


@pytest.mark.parametrize("attention", [[True], [True, False, "yes"], []])
def test_attention_is_said_for_every_level(attention: list[object]) -> None:
    with pytest.raises(ConfigurationError, match="each of 3 resolutions"):
        network(attention=attention)

"""The bricks: the identity at the start, attention that does not see land, embeddings without a seam."""

import pytest
import torch

from driftfield.errors import ConfigurationError
from driftfield.networks.blocks import CellNorm, Conv, ConvNeXtBlock, DenseBlock, DomainLinearAttention, FiLM, Upsample
from driftfield.networks.embeddings import POSITIONS, NoiseEmbedding, PlaceDateEmbedding


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_film_is_the_identity_at_the_start() -> None:
    h = random(2, 8, 4, 5)
    assert torch.equal(FiLM(6, 8)(h, random(2, 6)), h)


@pytest.mark.parametrize("block", [DenseBlock, ConvNeXtBlock])
def test_a_block_is_the_identity_at_the_start(block: type[torch.nn.Module]) -> None:
    h = random(2, 8, 9, 10)
    torch.testing.assert_close(block(8, 6)(h, random(2, 6)), h)


def test_a_cell_is_normalised_by_itself() -> None:
    h = 3 + 5 * random(2, 16, 4, 5)
    found = CellNorm(16)(h)
    torch.testing.assert_close(found.mean(1), torch.zeros(2, 4, 5), rtol=0, atol=1e-5)
    torch.testing.assert_close(found.std(1, correction=0), torch.ones(2, 4, 5), rtol=0, atol=1e-3)
    torch.testing.assert_close(CellNorm(16)(h[..., :2, :3]), found[..., :2, :3])


@pytest.mark.parametrize(("size", "groups"), [(1, 1), (3, 1), (7, 4)])
def test_a_wrapped_convolution_commutes_with_a_roll(size: int, groups: int) -> None:
    conv = Conv(4, 4, size, groups=groups)
    conv.wrap = True
    h = random(1, 4, 6, 12)
    torch.testing.assert_close(conv(h.roll(5, dims=-1)), conv(h).roll(5, dims=-1))
    conv.wrap = False
    assert conv(h).shape == h.shape


def test_attention_ignores_land() -> None:
    attention = DomainLinearAttention(8, heads=2)
    torch.nn.init.normal_(attention.out.weight)
    h, domain = random(2, 8, 5, 6), (random(2, 1, 5, 6, seed=1) > 0).float()
    expected = attention(h, domain)
    found = attention(torch.where(domain > 0, h, 100 * random(2, 8, 5, 6, seed=2)), domain)
    sea = (domain > 0).expand_as(h)
    torch.testing.assert_close(found[sea], expected[sea])
    assert not torch.allclose(attention(h, torch.ones_like(domain))[sea], expected[sea])
    assert torch.isfinite(attention(h, torch.zeros_like(domain))).all()


def test_upsampling_leaves_no_checkerboard() -> None:
    """A flat field stays flat away from the border, whatever the weights."""
    torch.manual_seed(0)
    found = Upsample(4, 3)(torch.ones(1, 4, 6, 6))
    assert found.shape == (1, 3, 12, 12)
    inner = found[..., 1:-1, 1:-1]
    torch.testing.assert_close(inner, inner[..., :1, :1].expand_as(inner))


@pytest.mark.parametrize("position", sorted(set(POSITIONS) - {"none"}))
def test_position_and_date_have_no_seam(position: str) -> None:
    torch.manual_seed(0)
    embed = PlaceDateEmbedding(16, covariates=1, position=position)
    presence = torch.ones(1, 1)

    def at(lat: float, lon: float, year: float, day: float) -> torch.Tensor:
        return embed(torch.tensor([[lat, lon]]), torch.tensor([[year, day]]), presence)

    here = at(40.0, 180.0, 0.0, 0.5)
    torch.testing.assert_close(at(40.0, -180.0, 1.0, 0.5), here, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(at(40.0, 540.0, 0.0, 0.5), here, rtol=1e-4, atol=1e-5)
    for other in (at(41.0, 180.0, 0.0, 0.5), at(40.0, 170.0, 0.0, 0.5), at(40.0, 180.0, 0.5, 0.5)):
        assert not torch.allclose(other, here, atol=1e-4)


def test_the_unit_sphere_has_one_pole() -> None:
    torch.manual_seed(0)
    embed = PlaceDateEmbedding(16, covariates=0)
    position, date = torch.tensor([[90.0, 10.0], [90.0, 200.0]]), torch.tensor([[0.2, 0.5]]).expand(2, 2)
    found = embed(position, date, torch.ones(2, 0))
    torch.testing.assert_close(found[0], found[1], rtol=1e-4, atol=1e-5)


def test_an_unknown_position_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="unit_sphere"):
        PlaceDateEmbedding(16, covariates=0, position="sphere")


def test_noise_levels_are_told_apart() -> None:
    torch.manual_seed(0)
    embed = NoiseEmbedding(16)
    c_noise = torch.linspace(-1.2, 1.1, 24)
    apart = torch.cdist(embed(c_noise), embed(c_noise)) + torch.eye(24) * 1e9
    assert apart.min().item() > 1e-2
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.isfinite(embed(c_noise)).all()

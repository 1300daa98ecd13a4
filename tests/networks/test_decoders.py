"""Encoders and decoders: they invert, learn, keep bounds before masks, and never look under the mask."""

import numpy as np
import pytest
import torch
from torch import Tensor

from driftfield.errors import ConfigurationError
from driftfield.networks.codecs import (
    CombinedDecoder,
    CombinedEncoder,
    Decoder,
    Encoder,
    GaussianNoise,
    IncrementCodec,
    LaplaceNoise,
    NeuralDecoder,
    NeuralEncoder,
    PhysicalDecoder,
    PhysicalEncoder,
    StateCodec,
)

STATE = StateCodec(np.array([2.0, -1.0]), np.array([3.0, 0.5]))
INCREMENT = IncrementCodec(np.array([0.1]), np.array([0.2]))


def encoders() -> list[Encoder]:
    torch.manual_seed(0)
    neural = NeuralEncoder(INCREMENT, 4, width=8)
    return [PhysicalEncoder(STATE), neural, CombinedEncoder([PhysicalEncoder(STATE), neural])]


def decoders() -> list[Decoder]:
    torch.manual_seed(0)
    bounded = PhysicalDecoder(STATE, GaussianNoise(2, start=0.3), lower=[0.0, -torch.inf], upper=None)
    increment = PhysicalDecoder(INCREMENT, LaplaceNoise(1, start=0.3))
    neural = NeuralDecoder(5, increment, width=8)
    return [bounded, increment, neural, CombinedDecoder([bounded, neural])]


def world(channels: int, features: int, seed: int = 0) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Target, first guess, mask, features, noise."""
    generator = torch.Generator().manual_seed(seed)
    y, g, eps = (torch.randn(3, channels, 4, 5, generator=generator) for _ in range(3))
    z = torch.randn(3, features, 4, 5, generator=generator)
    return y, g, torch.rand(3, channels, 4, 5, generator=generator) < 0.6, z, eps


@pytest.mark.parametrize("encoder", encoders(), ids=lambda part: type(part).__name__)
def test_an_encoder_never_looks_under_the_mask(encoder: Encoder) -> None:
    y, g, mask, *_ = world(encoder.channels, 1)
    clean = encoder(y, mask, g)
    dirty = encoder(torch.where(mask, y, torch.nan), mask, torch.where(mask, g, torch.inf))
    assert clean.shape == (3, encoder.features, 4, 5)
    assert torch.equal(clean, dirty)


@pytest.mark.parametrize("decoder", decoders(), ids=lambda part: type(part).__name__)
def test_a_decoder_never_looks_under_the_mask(decoder: Decoder) -> None:
    y, g, mask, z, _ = world(decoder.channels, decoder.features)
    z.requires_grad_()
    gradients = []
    for fill in (0.0, torch.nan):
        target, guess = (torch.where(mask, part, fill) for part in (y, g))
        decoder.update(target, z, mask, guess)
        loss = decoder.nll(target, z, mask, guess)
        assert torch.isfinite(loss)
        gradients.append(torch.autograd.grad(decoder.cell_nll(target, z, mask, guess)[mask].exp().sum(), z)[0])
    assert all(torch.isfinite(gradient).all() for gradient in gradients)


@pytest.mark.parametrize("decoder", decoders(), ids=lambda part: type(part).__name__)
def test_outside_the_mask_is_nothing(decoder: Decoder) -> None:
    y, g, mask, z, eps = world(decoder.channels, decoder.features)
    g = torch.where(mask, g, torch.nan)
    for field in (decoder.mean(z, mask, g), decoder.sample(z, eps, mask, g), decoder.cell_nll(y, z, mask, g)):
        assert torch.isfinite(field).all()
        assert not field[~mask].any()
        assert field[mask].any()


def test_bounds_come_before_the_mask() -> None:
    """A masked cell is 0 although the lower bound is 1: the mask is no value of the field."""
    decoder = PhysicalDecoder(STATE, GaussianNoise(2), lower=[1.0, 1.0])
    _, _, mask, z, eps = world(2, 2)
    for field in (decoder.mean(z, mask), decoder.sample(z, eps, mask)):
        assert float(field[mask].min()) >= 1
        assert float(field[~mask].abs().max()) == 0


def test_decoding_undoes_encoding() -> None:
    y, g, mask, *_ = world(3, 3)
    encoder = CombinedEncoder([PhysicalEncoder(STATE), PhysicalEncoder(INCREMENT)])
    decoder = CombinedDecoder([PhysicalDecoder(STATE, GaussianNoise(2)), PhysicalDecoder(INCREMENT, LaplaceNoise(1))])
    back = decoder.mean(encoder(y, mask, g), mask, g)
    torch.testing.assert_close(back, torch.where(mask, y, 0), atol=1e-5, rtol=0)


def test_likelihood_is_in_physical_units() -> None:
    """Another codec for the same location changes nothing."""
    y, g, mask, *_ = world(1, 1)
    state = StateCodec(np.array([0.3]), np.array([7.0]))
    found = [
        PhysicalDecoder(codec, GaussianNoise(1, start=0.4)).nll(y, codec.encode(g + 0.2, g), mask, g)
        for codec in (state, INCREMENT)
    ]
    torch.testing.assert_close(found[0], found[1])


@pytest.mark.parametrize("noise", [GaussianNoise, LaplaceNoise])
def test_a_neural_pair_learns_with_its_noise(noise: type) -> None:
    """y = sin(3 x) + noise of .1, seen in two thirds of the cells: the pair finds the curve and the scale."""
    generator = torch.Generator().manual_seed(1)
    torch.manual_seed(1)
    codec = StateCodec(np.zeros(1), np.array([0.7]))
    encoder = NeuralEncoder(StateCodec(np.zeros(1), np.ones(1)), 16, width=32)
    decoder = NeuralDecoder(16, PhysicalDecoder(codec, noise(1, decay=0.9)), width=32)
    optimizer = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], lr=5e-3)
    for _ in range(300):
        x = 2 * torch.rand(4, 1, 8, 8, generator=generator) - 1
        eps = decoder.get_submodule("decoder.noise").standard.from_normal(torch.randn(x.shape, generator=generator))
        y, mask = torch.sin(3 * x) + 0.1 * eps, torch.rand(x.shape, generator=generator) < 0.67
        z = encoder(x)
        decoder.update(y, z, mask)
        loss = decoder.nll(torch.where(mask, y, torch.nan), z, mask)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    x = torch.linspace(-0.9, 0.9, 50).reshape(1, 1, 1, 50)
    error = decoder.mean(encoder(x)) - torch.sin(3 * x)
    assert float(error.detach().square().mean().sqrt()) < 0.05
    assert float(decoder.get_submodule("decoder.noise").scale) == pytest.approx(0.1, rel=0.15)


def test_mistakes_are_named() -> None:
    with pytest.raises(ConfigurationError, match="lower bounds of 1 channels: expected 2"):
        PhysicalDecoder(STATE, GaussianNoise(2), lower=[0.0])
    with pytest.raises(ConfigurationError, match="no encoder"):
        CombinedEncoder([])
    with pytest.raises(ConfigurationError, match="no decoder"):
        CombinedDecoder([])

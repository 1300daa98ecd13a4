"""State and increment codecs: an affine map that inverts, in numpy and torch, and never looks under the mask."""

from typing import Any

import numpy as np
import pytest
import torch

from driftfield.errors import ConfigurationError, DataError, FileFormatError
from driftfield.networks.codecs import AffineCodec, IncrementCodec, StateCodec


def pairs(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    before = 10 * rng.standard_normal((500, 2, 1, 7)) + np.array([3.0, -8.0])[:, None, None]
    step = np.array([0.5, 0.02])[:, None, None] * rng.standard_normal(before.shape) + 0.1
    return before, before + step


def fitted() -> list[AffineCodec]:
    before, after = pairs()
    return [StateCodec.fit(after), IncrementCodec.fit(after, before)]


def test_training_data_becomes_standard() -> None:
    before, after = pairs()
    for codec in fitted():
        z = codec.encode(after, before)
        assert z.mean(axis=(0, 2, 3)) == pytest.approx(0, abs=1e-10)
        assert z.std(axis=(0, 2, 3)) == pytest.approx(1)


def test_the_increment_knows_its_own_scale() -> None:
    before, after = pairs()
    codec = IncrementCodec.fit(after, before)
    assert codec.std == pytest.approx([0.5, 0.02], rel=0.05)
    assert codec.mean == pytest.approx([0.1, 0.1], abs=0.03)


@pytest.mark.parametrize("make", [np.float64, np.float32, torch.float64, torch.float32])
@pytest.mark.parametrize("codec", fitted(), ids=lambda codec: type(codec).__name__)
def test_decoding_undoes_encoding(codec: AffineCodec, make: Any) -> None:
    before, after = pairs(1)
    g, x = (
        (torch.from_numpy(part).to(make) if isinstance(make, torch.dtype) else part.astype(make))
        for part in (before, after)
    )
    z = codec.encode(x, g)
    assert z.dtype == x.dtype
    back = codec.decode(z, g)
    tolerance = 1e-5 if "32" in str(make) else 1e-12
    assert float(abs(back - x).max()) < tolerance * 40


def test_zero_is_persistence_with_drift() -> None:
    before, after = pairs()
    codec = IncrementCodec.fit(after, before)
    decoded = codec.decode(np.zeros_like(before), before)
    assert np.allclose(decoded, before + codec.mean[:, None, None])


@pytest.mark.parametrize("codec", fitted(), ids=lambda codec: type(codec).__name__)
def test_nothing_under_the_mask_gets_out(codec: AffineCodec) -> None:
    before, after = (torch.from_numpy(part[:4]) for part in pairs(2))
    mask = torch.zeros(before.shape, dtype=torch.bool)
    mask[..., ::2] = True
    dirty = torch.where(mask, after, torch.nan).requires_grad_()
    z = codec.encode(dirty, torch.where(mask, before, torch.nan), mask=mask)
    assert torch.equal(z, codec.encode(after, before, mask=mask))
    z.sum().backward()  # type: ignore[no-untyped-call]
    assert dirty.grad is not None
    assert torch.isfinite(dirty.grad).all()
    assert not dirty.grad[~mask].any()
    assert not codec.decode(z, before, mask=mask)[~mask].any()


def test_unknown_cells_do_not_teach() -> None:
    before, after = pairs()
    mask = np.random.default_rng(0).random(after.shape) < 0.5
    reference = IncrementCodec.fit(after, before, mask=mask)
    gappy = IncrementCodec.fit(np.where(mask, after, np.nan), np.where(mask, before, 1e30))
    np.testing.assert_array_equal(reference.mean, gappy.mean)
    np.testing.assert_array_equal(reference.std, gappy.std)


def test_plain_numbers_and_back() -> None:
    for codec in fitted():
        again = type(codec).from_arrays(codec.to_arrays())
        np.testing.assert_array_equal(again.mean, codec.mean)
        np.testing.assert_array_equal(again.std, codec.std)
    with pytest.raises(FileFormatError, match="lacks"):
        StateCodec.from_arrays({"mean": np.zeros(1)})


def test_a_channel_that_never_changes_is_not_blown_up() -> None:
    x = np.random.default_rng(0).standard_normal((50, 2, 1, 3))
    x[:, 1] = 4.0
    assert StateCodec.fit(x).std[1] == pytest.approx(1e-3, rel=0.2)


def test_mistakes_are_named() -> None:
    before, after = pairs()
    with pytest.raises(ConfigurationError, match="first_guess"):
        IncrementCodec.fit(after, before).encode(after)
    with pytest.raises(DataError, match="pairs of one shape"):
        IncrementCodec.fit(after, before[:3])
    with pytest.raises(DataError, match="no finite value"):
        StateCodec.fit(np.full((3, 1, 2, 2), np.nan))
    with pytest.raises(DataError, match="sample, channel"):
        StateCodec.fit(np.zeros((3, 2)))
    with pytest.raises(ConfigurationError, match="std above 0"):
        StateCodec(np.zeros(1), np.zeros(1))

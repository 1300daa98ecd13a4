"""Symmetries: a turned vector field is the vector field of the turned flow, and four quarter turns are none."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from driftfield.data.augmentation import Augmentation, _transform
from driftfield.errors import ConfigurationError
from driftfield.fields import Channel, FieldBatch

CHANNELS = [Channel("uo", partner="vo"), Channel("vo", partner="uo"), Channel("zos")]


def batch_of(zos: torch.Tensor) -> FieldBatch:
    """Geostrophic flow u = -dz/dy, v = dz/dx of a sea level on a periodic square."""
    u = -(zos.roll(-1, -2) - zos.roll(1, -2))
    v = zos.roll(-1, -1) - zos.roll(1, -1)
    field = torch.stack([u, v, zos])[None]
    seen = torch.zeros(field.shape, dtype=torch.bool)
    seen[:, 0, 2, 3], seen[:, 2, 5, 1] = True, True
    none = torch.zeros(1, 0, *zos.shape)
    return FieldBatch(
        target=field, observations=field * seen, observed=seen, error_std=0.1 * seen, domain=torch.ones_like(seen),
        held_out=~seen, covariates=none, covariates_observed=none.bool(), covariates_error_std=none,
        presence=torch.zeros(1, 0), position=torch.zeros(1, 2), date=torch.zeros(1, 2),
    )  # fmt: skip


@pytest.mark.parametrize("options", [{"flip_longitude": True}, {"flip_latitude": True}, {"rotate": True}])
def test_the_vector_field_stays_that_of_its_sea_level(options: dict[str, bool]) -> None:
    zos = torch.randn(8, 8, generator=torch.Generator().manual_seed(0))
    for seed in range(8):
        moved = Augmentation(**options)(batch_of(zos), CHANNELS, [], np.random.default_rng(seed))
        # mirroring turns the sense of rotation: the flow of the mirrored sea level is the mirrored flow, reversed
        flow = batch_of(moved.target[0, 2]).target
        mirrored = "rotate" not in options and not torch.equal(moved.target[0, 2], zos)
        expected = torch.cat([(-1 if mirrored else 1) * flow[:, :2], flow[:, 2:]], dim=1)
        torch.testing.assert_close(moved.target, expected)


def test_masks_go_with_the_data() -> None:
    batch = batch_of(torch.randn(8, 8))
    moved = Augmentation(flip_longitude=True, flip_latitude=True, rotate=True)(
        batch, CHANNELS, [], np.random.default_rng(3)
    )
    torch.testing.assert_close(moved.observations, moved.target * moved.observed)
    torch.testing.assert_close(moved.error_std, 0.1 * moved.observed)
    assert torch.equal(moved.held_out, ~moved.observed)


def test_four_quarter_turns_are_none() -> None:
    batch = batch_of(torch.randn(8, 8))
    turned = batch
    for _ in range(4):
        turned = _transform(turned, CHANNELS, [], lambda x: torch.rot90(x, -1, (-2, -1)), lambda u, v: (-v, u))
    torch.testing.assert_close(turned.target, batch.target)


def test_a_window_that_is_not_square_cannot_be_turned() -> None:
    batch = batch_of(torch.randn(8, 8))
    wide = replace(batch, target=torch.zeros(1, 3, 8, 12))
    with pytest.raises(ConfigurationError, match="8 x 12"):
        Augmentation(rotate=True)(wide, CHANNELS, [], np.random.default_rng(0))

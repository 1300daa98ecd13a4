"""Symmetries: a turned vector field is the vector field of the turned flow, and four quarter turns are none."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import xarray as xr

from driftfield.data.augmentation import Augmentation, _transform
from driftfield.data.codec import FieldCodec
from driftfield.data.sources import GriddedArchive
from driftfield.errors import ConfigurationError
from driftfield.fields import Channel, FieldBatch, Seen

CHANNELS = [Channel("uo", partner="vo"), Channel("vo", partner="uo", northward=True), Channel("zos")]
UNIFORM = [{"class": "ZScore"}, {"class": "Bounded"}, {"class": "ClimatologicalAnomaly", "per": "domain"}]


def batch_of(zos: torch.Tensor) -> FieldBatch:
    """Geostrophic flow u = -dz/dy, v = dz/dx of a sea level on a periodic square."""
    u = -(zos.roll(-1, -2) - zos.roll(1, -2))
    v = zos.roll(-1, -1) - zos.roll(1, -1)
    field = torch.stack([u, v, zos])[None]
    seen = torch.zeros(field.shape, dtype=torch.bool)
    seen[:, 0, 2, 3], seen[:, 2, 5, 1] = True, True
    none = torch.zeros(1, 0, *zos.shape)
    return FieldBatch(
        target=field, seen=Seen(field * seen, seen, 0.1 * seen), domain=torch.ones_like(seen),
        held_out=~seen, given=Seen(none, none.bool(), none),
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
    torch.testing.assert_close(moved.seen.value, moved.target * moved.seen.where)
    torch.testing.assert_close(moved.seen.error, 0.1 * moved.seen.where)
    assert torch.equal(moved.held_out, ~moved.seen.where)


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


def quarter_turn(batch: FieldBatch, channels: list[Channel], given: list[Channel]) -> FieldBatch:
    return _transform(batch, channels, given, lambda x: torch.rot90(x, -1, (-2, -1)), lambda u, v: (-v, u))


def test_components_turn_with_those_of_their_own_time() -> None:
    given = [replace(channel, offset=offset) for offset in (-1, 1) for channel in CHANNELS[:2]]
    ones = torch.ones(1, 4, 8, 8)
    batch = replace(
        batch_of(torch.zeros(8, 8)),
        given=Seen(ones, ones.bool(), ones), presence=torch.ones(1, 4),
    )  # fmt: skip
    moved = _transform(batch, CHANNELS, given, lambda x: x.flip(-1), lambda u, v: (-u, v))
    assert moved.given.value[0, :, 0, 0].tolist() == [-1, 1, -1, 1]
    ages = torch.tensor([1.0, 2.0, 3.0, 4.0])[None, :, None, None] * ones
    turned = quarter_turn(replace(batch, given=replace(batch.given, value=ages, error=ages)), CHANNELS, given)
    assert turned.given.value[0, :, 0, 0].tolist() == [-2, 1, -4, 3]
    assert turned.given.error[0, :, 0, 0].tolist() == [2, 1, 4, 3]


def test_which_component_is_eastward_does_not_depend_on_their_order() -> None:
    batch = batch_of(torch.randn(8, 8, generator=torch.Generator().manual_seed(1)))
    order = [1, 2, 0]
    ordered = batch.mapped(lambda field: field[:, order] if field.ndim == 4 and field.shape[1] else field)
    turned = quarter_turn(ordered, [CHANNELS[k] for k in order], [])
    torch.testing.assert_close(turned.target, quarter_turn(batch, CHANNELS, []).target[:, order])


def current(seed: int = 0) -> GriddedArchive:
    """A steady current towards the east with eddies, stronger in u than in v, on a square."""
    rng = np.random.default_rng(seed)
    times = np.datetime64("2001-01-01", "ns") + np.arange(40) * np.timedelta64(10, "D")
    season = 0.5 * np.cos(2 * np.pi * np.arange(40) / 36.5)[:, None, None]
    u = 5 + season + 2 * rng.standard_normal((40, 8, 8))
    v = -1 + 0.3 * rng.standard_normal((40, 8, 8))
    coords = {"time": times, "lat": np.arange(8.0) - 3.5, "lon": np.arange(8.0)}
    fields = xr.Dataset({n: (("time", "lat", "lon"), x.astype(np.float32)) for n, x in (("uo", u), ("vo", v))}, coords)
    fields["sst"] = fields["uo"] + 10
    return GriddedArchive(fields, {name: xr.ones_like(fields[name][0], dtype=bool) for name in fields}, False)


def fitted(archive: GriddedArchive, normalizer: dict[str, str], **options: object) -> FieldCodec:
    options = {"vector_pairs": [("uo", "vo")]} | options
    return FieldCodec.fit(archive, np.arange(40), ["uo", "vo", "sst"], [], normalizer, **options)


@pytest.mark.parametrize("normalizer", UNIFORM, ids=lambda n: n["class"])
def test_a_turned_sample_is_the_turned_flow_in_physical_units(normalizer: dict[str, str]) -> None:
    archive = current()
    codec = fitted(archive, normalizer)
    whole, stamp = np.arange(8), archive.times.values[[3]]
    flow = {name: archive.dataset[name].values[[3]][:, None] for name in codec.targets}
    code = np.concatenate([codec.encode(name, flow[name], stamp, whole, whole)[0] for name in codec.targets])
    batch = replace(batch_of(torch.zeros(8, 8)), target=torch.from_numpy(code)[None])
    turned = quarter_turn(batch, codec.channels(), codec.given()).target.numpy()
    found = [codec.decode(n, turned[:, [k]], stamp, whole, whole)[0, 0] for k, n in enumerate(codec.targets)]
    u, v, sst = (np.rot90(flow[name][0, 0], -1) for name in codec.targets)
    for field, expected in zip(found, (-v, u, sst), strict=True):
        np.testing.assert_allclose(field, expected, atol=1e-4)


def test_departures_from_the_climatology_of_a_cell_turn_in_physical_units_too() -> None:
    codec = fitted(current(), {"class": "ClimatologicalAnomaly"})
    u, v = codec.normalizers["uo"], codec.normalizers["vo"]
    np.testing.assert_array_equal(u.std, v.std)
    alone = fitted(current(), {"class": "ClimatologicalAnomaly"}, vector_pairs=()).normalizers
    np.testing.assert_allclose(2 * u.std**2, alone["uo"].std ** 2 + alone["vo"].std ** 2, rtol=1e-6)
    np.testing.assert_array_equal(codec.normalizers["sst"].std, alone["sst"].std)
    assert float(np.abs(u.mean_at(current().times.values[:1])).min()) > 1  # its climatology is kept


def test_a_component_without_its_partner_is_refused() -> None:
    options = {"vector_pairs": [("uo", "vo")]}
    with pytest.raises(ConfigurationError, match="'vo' is not among the targets"):
        FieldCodec.fit(current(), np.arange(40), ["uo"], ["vo"], {"class": "ZScore"}, **options)
    with pytest.raises(ConfigurationError, match="part of two vector pairs"):
        fitted(current(), {"class": "ZScore"}, vector_pairs=[("uo", "vo"), ("uo", "sst")])

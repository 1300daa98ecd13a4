"""Time context: neighbouring frames are found by date, never leave their split, and look alike in training and in use."""

from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr

from driftfield.data.codec import FieldCodec
from driftfield.data.context import check_offsets, neighbours, time_step
from driftfield.data.dataset import ObservingSystem, TwinDataset
from driftfield.data.observed_batch import observation_batch
from driftfield.data.patches import Window
from driftfield.errors import ConfigurationError
from driftfield.testing import tiny_ocean, tiny_training_data

WHOLE = Window(0, 0, 8, 12)
ALL = {"observe": {"thetao": "all", "sst": "all"}, "covariate_dropout": 0.0}


def make(fields: xr.Dataset | None = None, context: tuple[int, ...] = (-1, 1), **options: Any) -> TwinDataset:
    data = tiny_training_data(fields)
    spec = {"class": "ClimatologicalAnomaly"}
    codec = FieldCodec.fit(data.archive, data.train, data.targets, data.covariates, spec, context=context)
    given: dict[str, Any] = {"times": data.train, "windows": [WHOLE], "samples": 9, "seed": 5} | options
    return TwinDataset(data.archive, codec, ObservingSystem(**ALL), **given)


def test_neighbours_are_found_by_date() -> None:
    days = np.array([0.0, 5.0, 10.0, 20.0, 25.2])
    assert time_step(days) == pytest.approx(5.1)
    assert neighbours(days, 1, (-1, 1, 2), 5.0) == [0, 2, None]
    assert neighbours(days, 0, (-1, 1), 5.0) == [None, 1]
    assert neighbours(days, 3, (-1, 1), 5.0) == [None, 4]
    assert neighbours(days, 2, (2,), 5.0) == [3]


def test_the_order_of_the_dates_does_not_matter() -> None:
    days = np.array([10.0, 0.0, 5.0])
    assert neighbours(days, 2, (-1, 1), 5.0) == [1, 0]


@pytest.mark.parametrize("offsets", [[0], [1, 1], [0.5], "1", 3, [True]])
def test_impossible_offsets_are_refused(offsets: Any) -> None:
    with pytest.raises(ConfigurationError, match="context"):
        check_offsets(offsets)


def test_the_channel_table_names_every_frame() -> None:
    codec = make().codec
    table = [(channel.variable, channel.offset) for channel in codec.given()]
    levels = len(codec.grid.levels["thetao"])
    frame = ["thetao"] * levels + ["sst"]
    assert table == [("sst", 0), *((name, -1) for name in frame), *((name, 1) for name in frame)]


def test_training_and_use_show_the_network_the_same() -> None:
    dataset = make()
    time = int(dataset.times[3])
    sample = dataset.draw(time, WHOLE, np.random.default_rng(0))
    fields = dataset.archive.dataset.isel(time=dataset.times)
    batch = observation_batch(dataset.codec, fields, 3)
    assert torch.equal(batch.given.where, sample.given.where)
    assert torch.equal(batch.presence, sample.presence)
    assert torch.allclose(batch.given.value, sample.given.value, atol=1e-5)
    assert torch.allclose(batch.seen.value, sample.seen.value, atol=1e-5)
    # and the frames are those of the neighbouring times
    own = observation_batch(dataset.codec, fields, 2)
    levels = own.seen.value.shape[1]
    assert torch.equal(batch.given.value[:, 1 : 1 + levels], own.seen.value)


def test_a_frame_that_is_not_there_is_absent_and_not_mean() -> None:
    dataset = make()
    fields = dataset.archive.dataset.isel(time=dataset.times[::3])
    batch = observation_batch(dataset.codec, fields, 1)
    assert batch.presence[0].tolist() == [1.0] + [0.0] * (len(dataset.codec.given()) - 1)
    assert not batch.given.where[:, 1:].any()
    first = dataset.draw(int(dataset.times[0]), WHOLE, np.random.default_rng(0))
    before = [channel.offset < 0 for channel in dataset.codec.given()]
    assert not first.presence[0, before].any()
    assert first.presence[0, ~np.array(before)].all()


def test_training_never_sees_a_frame_of_another_split() -> None:
    fields = tiny_ocean()
    data = tiny_training_data(fields)
    changed = fields.copy(deep=True)
    other = np.setdiff1d(np.arange(fields.sizes["time"]), data.train)
    for name in ("thetao", "sst"):
        changed[name][other] = 40.0
    one, two = make(fields, (-2, -1, 1, 2)), make(changed, (-2, -1, 1, 2))
    for time in data.train:
        a, b = (d.draw(int(time), WHOLE, np.random.default_rng(1)) for d in (one, two))
        assert torch.equal(a.given.value, b.given.value)


def test_mixing_mixes_every_frame_alike() -> None:
    dataset = make(mix=True)
    assert any(dataset[i].presence[0, -1] == 1 for i in range(9))
    for index in range(9):
        sample = dataset[index]
        hidden = ~sample.given.where
        assert torch.isfinite(sample.given.value).all()
        assert (sample.given.value[hidden] == 0).all()


def test_the_context_is_kept_with_the_run() -> None:
    codec = make().codec
    again = FieldCodec.from_arrays(*codec.to_arrays())
    assert (again.context, again.step_days) == (codec.context, codec.step_days) == ((-1, 1), codec.step_days)

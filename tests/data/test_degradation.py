"""Covariates are degraded as asked, one by one, in training, and nothing else is."""

import numpy as np
import pytest
import torch

from driftfield.data.codec import FieldCodec
from driftfield.data.dataset import TwinDataset
from driftfield.data.observing import ObservingSystem
from driftfield.data.patches import Window
from driftfield.data.sources import GriddedArchive
from driftfield.errors import ConfigurationError
from driftfield.interfaces import TrainingData
from driftfield.testing import tiny_ocean

WHOLE = Window(0, 0, 8, 12)


def dataset(context: tuple[int, ...] = (), **degrade: object) -> TwinDataset:
    """thetao from two complete covariates, sst and height, seen without error."""
    ocean = tiny_ocean()
    ocean["height"] = 10.0 + 0.1 * ocean["sst"]
    exists = {name: ocean[name].notnull().any("time") for name in ("thetao", "sst", "height")}
    archive = GriddedArchive(ocean, exists, periodic=False)
    data = TrainingData(
        archive, train=np.arange(20), validation=np.arange(20, 30), targets=("thetao",), covariates=("sst", "height")
    )
    codec = FieldCodec.fit(archive, data.train, data.targets, data.covariates, {"class": "ZScore"}, context=context)
    observe = dict.fromkeys(("thetao", "sst", "height"), "all")
    system = ObservingSystem(observe, covariate_dropout=0.0, **degrade)  # type: ignore[arg-type]
    return TwinDataset(archive, codec, system, times=data.train, windows=[WHOLE], samples=300, seed=0)


def errors(made: TwinDataset, name: str, samples: int = 200) -> tuple[np.ndarray, np.ndarray]:
    """(sample, cell) errors of a covariate and its true values, physical units."""
    codec, found, true = made.codec, [], []
    number = [channel.variable for channel in codec.given()].index(name)
    exists = codec.domains[name][0]
    for index in range(samples):
        rng = np.random.default_rng([0, index])
        time = int(rng.integers(20))
        batch = made.draw(time, WHOLE, rng)
        field = made.archive.dataset[name].isel(time=time).values
        values = codec.decode(
            name, batch.given.value[0, number].numpy()[None, None], made.stamps[[time]], np.arange(8), np.arange(12)
        )
        found.append((values[0, 0] - field)[exists])
        true.append(field[exists])
    return np.array(found), np.array(true)


def test_an_offset_is_one_per_sample_and_of_its_covariate_alone() -> None:
    made = dataset(degrade_offset={"sst": 0.5})
    off, _ = errors(made, "sst")
    assert np.ptp(off, axis=1).max() < 1e-3
    assert off[:, 0].std() == pytest.approx(0.5, rel=0.2)
    assert np.abs(errors(made, "height", 20)[0]).max() < 1e-4


def test_speckle_is_independent_from_cell_to_cell() -> None:
    off, _ = errors(dataset(degrade_speckle={"height": 0.2}), "height")
    assert off.std() == pytest.approx(0.2, rel=0.05)
    assert abs(np.corrcoef(off[:, 0], off[:, 1])[0, 1]) < 0.25
    assert off.mean(axis=1).std() < 0.05


def test_a_factor_multiplies_the_field_of_a_sample() -> None:
    off, true = errors(dataset(degrade_factor={"height": 0.1}), "height")
    factors = off / true
    assert np.ptp(factors, axis=1).max() < 1e-3
    assert factors[:, 0].std() == pytest.approx(0.1, rel=0.2)


def test_neighbouring_frames_of_a_target_are_no_covariate() -> None:
    plain, hard = (dataset((-1, 1), degrade_offset=size, degrade_speckle=size) for size in (0.0, 3.0))
    channels = [channel.variable for channel in plain.codec.given()]
    a, b = (made.draw(5, WHOLE, np.random.default_rng(1)).given.value for made in (plain, hard))
    same = [torch.equal(a[:, k], b[:, k]) for k in range(len(channels))]
    assert same == [name == "thetao" for name in channels]


def test_a_degradation_of_what_is_no_covariate_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="no covariate"):
        dataset(degrade_factor={"thetao": 0.1})
    with pytest.raises(ConfigurationError, match=r"degrade_offset\.sst"):
        dataset(degrade_offset={"sst": -1.0})

"""Forecast files: dates and leads, members from the states or from perturbations, states that are refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr
from torch import Tensor

from driftfield.data.codec import FieldCodec
from driftfield.data.sources import GriddedArchive, open_fields, write_dataset
from driftfield.errors import UserError
from driftfield.fields import FieldBatch
from driftfield.models.learner import Learner
from driftfield.networks.codecs import IncrementCodec
from driftfield.trajectories.emulators import DeterministicEmulator
from driftfield.trajectories.forecasting import forecast
from driftfield.worlds.lorenz import Lorenz96, simulate_lorenz


class Doubling(DeterministicEmulator):
    """x_(t+1) = 2 x_t in network units."""

    method = "doubling"

    def step(self, batch: FieldBatch, noise: Any) -> Tensor:
        assert batch.guess is not None
        return torch.where(batch.domain, 2 * batch.guess.mean, 0)


@pytest.fixture(scope="module")
def world() -> xr.Dataset:
    return simulate_lorenz(Lorenz96(variables=8), steps=40, spin_up=50)


@pytest.fixture(scope="module")
def emulator(world: xr.Dataset) -> Doubling:
    archive = GriddedArchive(world, {"x": world["x"].notnull().any("time")}, periodic=True)
    made = Doubling({"class": "CircleUNet"})
    codec = FieldCodec.fit(archive, np.arange(40), ("x",), (), {"class": "ZScore"})
    made.learner = Learner(codec, torch.nn.Identity())
    made._increments = IncrementCodec(np.zeros(1), np.ones(1))
    return made


def test_a_forecast_goes_on_from_its_state(emulator: Doubling, world: xr.Dataset, tmp_path: Path) -> None:
    found = forecast(emulator, world, steps=3, start="2000-01-02T06")
    assert found["x"].dims == ("time", "lat", "lon")
    assert found["x_member"].sizes == {"member": 1, "time": 3, "lat": 1, "lon": 8}
    assert list(found["time"].values.astype("datetime64[h]")) == [
        np.datetime64(f"2000-01-02T{hour}", "h") for hour in (12, 18)
    ] + [np.datetime64("2000-01-03T00", "h")]
    assert found["forecast_reference_time"].values == np.datetime64("2000-01-02T06")
    assert list(found["forecast_period"].values) == [6, 12, 18]
    assert found["forecast_period"].attrs["units"] == "hours"
    assert found["x"].attrs["units"] == world["x"].attrs["units"]
    assert found.attrs["method"] == "doubling"
    normalizer = emulator.codec.normalizers["x"]
    mean, std = float(normalizer.mean_at(found["time"][:1])[0, 0, 0, 0]), float(normalizer.std.item())
    begun = world["x"].sel(time="2000-01-02T06").values
    expected = np.stack([mean + 2**lead * (begun - mean) for lead in (1, 2, 3)])
    assert np.allclose(found["x"], expected, atol=1e-3 * std)
    write_dataset(found, tmp_path / "f.nc")
    with xr.open_dataset(tmp_path / "f.nc", decode_timedelta=False) as written:
        assert list(written["forecast_period"]) == [6, 12, 18]
    assert open_fields(tmp_path / "f.nc")["x_member"].sizes["time"] == 3


def test_members_come_from_the_states(emulator: Doubling, world: xr.Dataset) -> None:
    one = world.isel(time=[4])
    states = one.assign(x_member=one["x"].expand_dims(member=3) + xr.DataArray([0.0, 1.0, 2.0], dims="member"))
    found = forecast(emulator, states, steps=1)
    assert found.sizes["member"] == 3
    assert np.allclose(found["x_member"][1] - found["x_member"][0], 2.0, atol=1e-4)
    assert np.allclose(found["x_sd"], 2.0, atol=1e-4)
    fewer = forecast(emulator, states, steps=1, members=2)
    assert np.allclose(fewer["x_member"], found["x_member"][:2])
    with pytest.raises(UserError, match="members=4, but the initial states have 3"):
        forecast(emulator, states, steps=1, members=4)


def test_perturbations_have_the_size_that_was_asked_for(emulator: Doubling, world: xr.Dataset) -> None:
    found = forecast(emulator, world.isel(time=[4]), steps=1, members=400, perturb=0.5, seed=1)
    assert float(found["x_sd"].mean()) == pytest.approx(2 * 0.5, rel=0.03)
    part = forecast(emulator, world.isel(time=[4]), steps=1, members=3, perturb={"x": 0.5}, seed=1, batch_size=2)
    assert np.allclose(part["x_member"], found["x_member"][:3], atol=1e-5)
    other = forecast(emulator, world.isel(time=[4]), steps=1, members=3, perturb=0.5, seed=2)
    assert not np.allclose(other["x_member"], part["x_member"])


def test_another_calendar_is_kept(emulator: Doubling, world: xr.Dataset) -> None:
    one = world.isel(time=[4]).convert_calendar("noleap", use_cftime=True)
    found = forecast(emulator, one, steps=2)
    assert found["time"].dt.calendar == "noleap"
    assert list(found["forecast_period"].values) == [6, 12]


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        (lambda w: w, {}, "40 dates"),
        (lambda w: w, {"start": "2000-01-02"}, "4 dates that begin"),
        (lambda w: w, {"start": "2031"}, "no date that begin"),
        (lambda w: w.isel(time=0, drop=True), {}, "no time axis"),
        (lambda w: w.rename(x="y").isel(time=[0]), {}, "No variable 'x'"),
        (lambda w: w.isel(time=[0], lon=slice(0, 4)), {}, "whole grid"),
        (lambda w: w.isel(time=[0]).where(w["lon"] > 10), {}, "1 values of 'x' are missing"),
        (lambda w: w.isel(time=[0]), {"steps": 0}, "steps=0"),
        (lambda w: w.isel(time=[0]), {"members": 0}, "members=0"),
        (lambda w: w.isel(time=[0]), {"perturb": {"z": 1.0}}, "Cannot perturb 'z'"),
    ],
)
def test_what_cannot_be_forecast_is_refused(
    emulator: Doubling, world: xr.Dataset, change: Any, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        forecast(emulator, change(world), **({"steps": 1} | options))

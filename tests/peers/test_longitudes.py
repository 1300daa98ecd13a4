"""Longitudes in either convention: the same fields, on the longitudes of the file."""

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr
import yaml

from driftfield.cli import main
from driftfield.data.codec import FieldCodec
from driftfield.data.sources import GriddedArchive, write_dataset
from driftfield.data.twin import observe
from driftfield.errors import DataError
from driftfield.interfaces import TrainingData
from driftfield.models.first_guess import FirstGuess
from driftfield.models.learner import Learner
from driftfield.models.regression import RegressionReconstructor
from driftfield.peers import Climatology, LinearInterpolation, OptimalInterpolation
from driftfield.testing import tiny_ocean, tiny_recipe

Command = Callable[..., int]

PATTERNS = {"thetao": "profiles:0.7", "sst": "clouds:0.5"}


def ocean(west: float, step: float = 1.0) -> xr.Dataset:
    """The tiny ocean with its western edge elsewhere."""
    fields = tiny_ocean(times=20)
    lon = west + step * np.arange(fields.sizes["lon"])
    return fields.assign_coords(lon=("lon", lon, fields["lon"].attrs))


def eastward(fields: xr.Dataset) -> xr.Dataset:
    """The same places on 0..360, ascending, as a file of that convention has them."""
    return fields.assign_coords(lon=("lon", fields["lon"].values % 360.0, fields["lon"].attrs)).sortby("lon")


def westward(fields: xr.Dataset) -> xr.Dataset:
    """And back on -180..180."""
    lon = (fields["lon"].values + 180.0) % 360.0 - 180.0
    return fields.assign_coords(lon=("lon", lon, fields["lon"].attrs)).sortby("lon")


def training(fields: xr.Dataset, *, periodic: bool = False) -> TrainingData:
    domains = {name: fields[name].notnull().any("time") for name in ("thetao", "sst")}
    steps = np.arange(20)
    archive = GriddedArchive(fields, domains, periodic=periodic)
    return TrainingData(archive, steps[:12], steps[12:16], ("thetao",), ("sst",), steps[16:])


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Command:
    """Runs `driftfield ARGUMENTS` in a folder of its own: its exit code."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> int:
        monkeypatch.setattr(sys, "argv", ["driftfield", *arguments])
        try:
            main()
        except SystemExit as end:
            return int(end.code or 0)
        return 0

    return run


@pytest.mark.parametrize("west", [-40.0, -5.0], ids=["all of it west", "across Greenwich"])
def test_the_same_answer_through_the_command_line(west: float, command: Command) -> None:
    fields = ocean(west)
    write_dataset(fields, Path("truth.nc"))
    seen = observe(fields.isel(time=slice(16, 18)), PATTERNS, error=0.05, seed=0)
    write_dataset(seen, Path("west.nc"))
    write_dataset(eastward(seen), Path("east.nc"))
    for method in ("Climatology", "OptimalInterpolation"):
        Path("recipe.yaml").write_text(yaml.safe_dump(tiny_recipe(method=method)), encoding="utf-8")
        assert command("train", "recipe.yaml", "--out", method) == 0
        found = {}
        for side in ("west", "east"):
            out = f"{method}_{side}.nc"
            assert command("reconstruct", method, f"{side}.nc", "--out", out, "--members", "2") == 0
            found[side] = xr.load_dataset(out)
        np.testing.assert_array_equal(found["east"]["lon"], eastward(seen)["lon"])
        assert found["east"]["lon"].attrs == found["west"]["lon"].attrs
        xr.testing.assert_allclose(westward(found["east"]), found["west"], rtol=1e-6)
        assert int(found["east"]["thetao"].notnull().sum()) == int(found["west"]["thetao"].notnull().sum()) > 0


@pytest.mark.parametrize("cls", [LinearInterpolation, OptimalInterpolation])
def test_a_globe_that_begins_elsewhere(cls: type[Climatology], tmp_path: Path) -> None:
    globe = ocean(-180.0, 30.0)
    peer = cls()
    peer.fit(training(globe, periodic=True))
    seen = observe(globe.isel(time=[17]), PATTERNS, seed=1)
    plain, turned = (peer.reconstruct(one, members=2, seed=1) for one in (seen, eastward(seen)))
    assert float(turned["lon"][0]) == 0
    xr.testing.assert_allclose(westward(turned), plain, rtol=1e-6)


def test_a_first_guess_lies_on_the_grid_of_its_peer() -> None:
    globe = ocean(-180.0, 30.0)
    seen = observe(globe.isel(time=[17]), PATTERNS, seed=1)
    for peer in (Climatology(), OptimalInterpolation()):
        peer.fit(training(globe, periodic=True))
        plain, turned = (FirstGuess(peer).estimate(one)["thetao"] for one in (seen, eastward(seen)))
        for own, same in ((plain.mean, turned.mean), (plain.sd, turned.sd)):
            assert own is not None
            assert same is not None
            np.testing.assert_allclose(same, own, rtol=1e-6)


def test_other_places_are_still_refused() -> None:
    fields = ocean(-5.0)
    peer = Climatology()
    peer.fit(training(fields))
    seen = observe(fields.isel(time=[17]), PATTERNS, seed=0)
    for shift in (0.5, 90.0):
        with pytest.raises(DataError, match="another grid: the longitude"):
            peer.reconstruct(seen.assign_coords(lon=seen["lon"] + shift), members=1)
    twice = seen.assign_coords(lon=np.where(np.arange(12) == 3, seen["lon"].values[2] + 360, seen["lon"].values))
    with pytest.raises(DataError, match="another grid: two of them have the same longitude"):
        peer.reconstruct(twice, members=1)


def test_a_network_takes_its_first_guess_to_the_longitudes_of_the_file() -> None:
    globe = ocean(-180.0, 30.0)
    data, peer = training(globe, periodic=True), Climatology()
    peer.fit(data)
    run = RegressionReconstructor({"class": "ResidualUNet"}, {"observe": PATTERNS})
    codec = FieldCodec.fit(data.archive, data.train, data.targets, data.covariates, run.normalizer)  # type: ignore[arg-type]
    run.learner = Learner(codec, torch.nn.Identity())
    run.guess = FirstGuess(peer)
    seen = observe(globe.isel(time=[17]), PATTERNS, seed=1)
    (plain, _), (turned, _) = (run.guess.encoded(one, [0], codec)[0] for one in (seen, eastward(seen)))
    columns = codec.grid.columns(eastward(seen)["lon"].values)
    np.testing.assert_array_equal(turned, plain[..., columns])
    assert (turned != plain).any()

"""Pairs of archives: what fits is aligned, and what is no pair is refused in a sentence that says what to do."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from coarse_world import coarse_world, hills, write_statics

from driftfield.data.coarsening import coarsened, regridding_by_factor
from driftfield.data.prepare import prepare
from driftfield.data.statics import Statics
from driftfield.data.varying import z_score
from driftfield.errors import ConfigurationError, DataError
from driftfield.interfaces import TrainingData
from driftfield.linalg.cell_grid import CellGrid
from driftfield.linalg.regridding import Regridding

SPLIT = {"class": "TimeSplit", "validation": 0.1, "test": 0.2}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("pairs")
    fine = coarse_world()
    fine.to_netcdf(place / "fine.nc")
    coarsened(fine, regridding_by_factor(fine, 4)).to_netcdf(place / "coarse.nc")
    write_statics(place / "statics.nc")
    return place


def pair_of(folder: Path, coarse: dict[str, Any], targets: tuple[str, ...] = ("tas",), **options: Any) -> TrainingData:
    return prepare(str(folder / "fine.nc"), list(targets), split=SPLIT, coarse=coarse, **options)


def written(folder: Path, tmp_path: Path, change: Any) -> str:
    with xr.open_dataset(folder / "coarse.nc") as coarse:
        change(coarse.load()).to_netcdf(tmp_path / "other.nc")
    return str(tmp_path / "other.nc")


def test_blocks_of_any_width(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    data = pair_of(folder, {"factor": 4}, ("tas", "pr"))
    assert dict(data.pair.coarse.sizes) == {"time": 90, "lat": 3, "lon": 4}
    np.testing.assert_allclose(data.pair.regridding.apply(data.archive.dataset["tas"].isel(time=data.train).values),
                               data.pair.coarse["tas"].isel(time=data.train), rtol=1e-5)  # fmt: skip
    with caplog.at_level(logging.INFO):
        data = pair_of(folder, {"factor": 5})
    assert "the last 2 of 12 cells along lat fill no block of 5: left out" in caplog.text
    assert (data.archive.dataset.sizes["lat"], data.archive.dataset.sizes["lon"]) == (10, 15)
    assert pair_of(folder, {"factor": 2.5}).pair.regridding.coarse.shape == (4, 6)
    assert pair_of(folder, {"factor": [4, 2]}).pair.regridding.coarse.shape == (3, 8)


def test_two_files_are_aligned_in_time_and_units(
    folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def change(coarse: xr.Dataset) -> xr.Dataset:
        coarse = coarse.rename(tas="t2m").isel(time=slice(10, 80))
        coarse["t2m"] = (coarse["t2m"] - 273.15).assign_attrs(units="degC")
        return coarse.assign_coords(time=coarse["time"] + np.timedelta64(12, "h"), lon=coarse["lon"] + 360.0)

    path = written(folder, tmp_path, change)
    with caplog.at_level(logging.INFO):
        data = pair_of(folder, {"archive": path, "names": {"tas": "t2m"}})
    assert "70 of 90 fine and 70 coarse times pair" in caplog.text
    same = pair_of(folder, {"factor": 4})
    np.testing.assert_allclose(data.pair.coarse["tas"], same.pair.coarse["tas"].isel(time=slice(10, 80)), atol=2e-3)
    assert not data.pair.means
    assert same.pair.means


def shifted(coarse: xr.Dataset) -> xr.Dataset:
    return coarse.assign_coords(lon=coarse["lon"] + 2.0)


def noleap(coarse: xr.Dataset) -> xr.Dataset:
    return coarse.convert_calendar("noleap")


def later(coarse: xr.Dataset) -> xr.Dataset:
    return coarse.assign_coords(time=coarse["time"] + np.timedelta64(4000, "D"))


def in_mm(coarse: xr.Dataset) -> xr.Dataset:
    coarse["tas"].attrs["units"] = "mm"
    return coarse


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda coarse: coarse.rename(tas="t2m"), ["No variable 'tas'", "other.nc"]),
        (in_mm, ["'tas'", "mm", "K"]),
        (noleap, ["calendar 'gregorian'", "'noleap'", "paired: false"]),
        (later, ["share no time", "2001-01-01", "2011-12"]),
        (shifted, ["covers 96 of 192 fine cells", "6.88 to"]),
        (
            lambda coarse: coarse.isel(lat=slice(0, 2)),
            ["covers 128 of 192 fine cells", "39.88 to 41.88 north", "data.region"],
        ),
        (lambda coarse: coarse.expand_dims(kind=[1, 2]), ["the axes", "kind"]),
    ],
)
def test_what_is_no_pair_is_refused(folder: Path, tmp_path: Path, change: Any, said: list[str]) -> None:
    with pytest.raises(DataError) as error:
        pair_of(folder, {"archive": written(folder, tmp_path, change)})
    for words in said:
        assert words in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("coarse", "said"),
    [
        ({"factr": 4}, "Did you mean 'factor'"),
        ({"factor": 4, "archive": "x.nc"}, "one of factor and archive"),
        ({"factor": 4, "halo": 1}, "'halo' has no meaning"),
        ({"factor": "four"}, "cells per block"),
        ({"factor": 40}, "expected 1 to 12"),
        ({}, "one of factor and archive"),
    ],
)
def test_a_section_that_makes_no_sense_is_refused(folder: Path, coarse: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        pair_of(folder, coarse)


def test_statics_at_both_resolutions(folder: Path, tmp_path: Path) -> None:
    data = pair_of(folder, {"factor": 4}, statics={"file": str(folder / "statics.nc"), "variables": ["orog"]})
    statics, regridding = data.pair.statics, data.pair.regridding
    np.testing.assert_allclose(statics.fine["orog"], hills(), rtol=1e-6)
    np.testing.assert_allclose(statics.coarse["orog"], regridding.apply(hills()), rtol=1e-6)
    difference = statics.difference("orog", regridding, "nearest")
    np.testing.assert_allclose(regridding.apply(difference), 0.0, atol=1e-6)
    domain = np.ones((12, 16), dtype=bool)
    domain[:, :5] = False
    channels = statics.channels(regridding, domain)
    assert channels.shape == (2, 12, 16)
    np.testing.assert_allclose(channels[:, domain].mean(axis=1), 0.0, atol=1e-12)
    np.testing.assert_allclose(channels[:, domain].std(axis=1), 1.0, atol=1e-12)
    assert (channels[:, ~domain] == 0).all()
    # a finer file is averaged over the cells
    fine = Regridding.blocks(
        CellGrid.around(40 - 0.0625 + 0.125 * np.arange(24), 5 - 0.0625 + 0.125 * np.arange(32)), 2
    )
    lat, lon = 40 - 0.0625 + 0.125 * np.arange(24), 5 - 0.0625 + 0.125 * np.arange(32)
    heights = np.random.default_rng(0).uniform(0, 900, (24, 32))
    orog = xr.DataArray(heights * 9.80665, {"lat": lat, "lon": lon}, ("lat", "lon"), attrs={"units": "m**2 s**-2"})
    xr.Dataset({"orog": orog}).to_netcdf(tmp_path / "finer.nc")
    data = pair_of(folder, {"factor": 4}, statics={"file": str(tmp_path / "finer.nc"), "variables": ["orog"]})
    np.testing.assert_allclose(data.pair.statics.fine["orog"], fine.apply(heights), rtol=1e-5)


@pytest.mark.parametrize(
    ("statics", "error", "said"),
    [
        ({"file": "statics.nc", "variables": ["flat"]}, DataError, "'flat' is 3 in all 192 cells"),
        ({"file": "statics.nc", "variables": ["orogg"]}, DataError, "No variable 'orogg'"),
        ({"file": "fine.nc", "variables": ["tas"]}, DataError, "changes: found 90 along time"),
        ({"file": "small.nc", "variables": ["orog"]}, DataError, "covers 96 of 192 cells"),
        ({"variables": ["orog"]}, ConfigurationError, "file: FILE"),
        ({"file": "statics.nc", "variable": ["orog"]}, ConfigurationError, "Did you mean 'variables'"),
    ],
)
def test_statics_that_say_nothing_are_refused(folder: Path, statics: dict[str, Any], error: type, said: str) -> None:
    with xr.open_dataset(folder / "statics.nc") as whole:
        whole.isel(lon=slice(0, 8)).to_netcdf(folder / "small.nc")
    if "file" in statics:
        statics = {**statics, "file": str(folder / statics["file"])}
    with pytest.raises(error, match=said):
        pair_of(folder, {"factor": 4}, statics=statics)
    (folder / "small.nc").unlink()


def test_statics_without_a_pair_lie_on_the_grid_of_the_archive(folder: Path) -> None:
    data = prepare(
        str(folder / "fine.nc"), ["tas"], statics={"file": str(folder / "statics.nc"), "variables": ["orog"]}
    )
    assert data.pair is None
    np.testing.assert_allclose(data.statics["orog"], hills(), rtol=1e-6)


def test_a_static_field_that_is_not_there_or_says_nothing_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="No static field 'lsm'"):
        Statics().difference("lsm", Regridding.blocks(CellGrid.around(np.arange(4.0), np.arange(4.0)), 2))
    with pytest.raises(DataError, match="'x' is 1"):
        z_score(np.ones((2, 2)), np.ones((2, 2), dtype=bool), "x")


def test_a_covariate_that_says_nothing_is_refused_by_name() -> None:
    """A static field repeated in time has no departure from its seasonal cycle: a network would be shown zeros."""
    from dataclasses import replace

    from driftfield.data.codec import FieldCodec
    from driftfield.testing import tiny_training_data

    data = tiny_training_data()
    still = data.archive.dataset["sst"].isel(time=0, drop=True)
    fields = data.archive.dataset.assign(
        sst=still.broadcast_like(data.archive.dataset["sst"]).transpose(*data.archive.dataset["sst"].dims)
    )
    archive = replace(data.archive, dataset=fields)  # type: ignore[type-var]
    with pytest.raises(DataError, match="'sst' does not vary"):
        FieldCodec.fit(archive, data.train, ["thetao"], ["sst"], {"class": "ClimatologicalAnomaly"})
    codec = FieldCodec.fit(archive, data.train, ["thetao"], ["sst"], {"class": "ZScore"})
    assert codec.covariates == ("sst",)
    flat = replace(data.archive, dataset=fields.assign(sst=fields["sst"] * 0 + 3.0))  # type: ignore[type-var]
    with pytest.raises(DataError, match="'sst' does not vary"):
        FieldCodec.fit(flat, data.train, ["thetao"], ["sst"], {"class": "ZScore"})

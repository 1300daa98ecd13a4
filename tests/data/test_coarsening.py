"""Coarse files: area means on regular and rotated grids, through the command, and what cannot be is refused."""

import logging
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from commands import Doing, hearing_apart

from driftfield.data.coarsening import coarsened, regridding_by_factor, regridding_onto
from driftfield.data.sources import open_fields
from driftfield.errors import DataError
from driftfield.testing import tiny_ocean

RACMO = "downscaling/racmo22e_ecearth_iberia_djf_historical_1983-2002.nc"


@pytest.fixture
def command(capfd: pytest.CaptureFixture[str]) -> Doing:
    """The command line in this process."""
    return hearing_apart(capfd)


def test_means_are_area_means_of_what_is_known() -> None:
    ocean = tiny_ocean(times=2)
    regridding = regridding_by_factor(ocean, 4)
    coarse = coarsened(ocean, regridding, least=0.25)
    assert coarse["thetao"].dims == ocean["thetao"].dims
    block = ocean["thetao"].isel(time=1, depth=0, lat=slice(4, 8), lon=slice(4, 8))
    weights = np.cos(np.deg2rad(ocean["lat"].values[4:8]))[:, None] * np.ones((1, 4))
    known = np.isfinite(block.values)
    expected = (np.where(known, block.values, 0) * weights).sum() / (weights * known).sum()
    np.testing.assert_allclose(float(coarse["thetao"].isel(time=1, depth=0, lat=1, lon=1)), expected, rtol=2e-4)
    assert coarse["thetao"].attrs["cell_methods"] == "area: mean"
    lazily = coarsened(ocean.chunk(time=1, lat=3), regridding, least=0.25)
    xr.testing.assert_allclose(lazily.compute(), coarse)


def test_onto_another_grid_it_keeps_its_coordinates() -> None:
    ocean = tiny_ocean(times=1)
    target = xr.Dataset(coords={"lat": ocean["lat"].values[1::3], "lon": ocean["lon"].values[1::3]})
    coarse = coarsened(ocean, regridding_onto(ocean, target), like=target)
    np.testing.assert_array_equal(coarse["lat"].values, target["lat"].values)
    with pytest.raises(DataError, match="do not overlap"):
        regridding_onto(ocean, target.assign_coords(lat=target["lat"] - 60))
    with pytest.raises(DataError, match="Swap the two"):
        regridding_onto(target, ocean)


def test_a_rotated_grid_by_the_command(
    command: Doing, caplog: pytest.LogCaptureFixture, data_folder: Path, tmp_path: Path
) -> None:
    caplog.set_level(logging.INFO)
    done = command("coarsen", data_folder / RACMO, "--variable", "tas", "--factor", 4, "--out", tmp_path / "coarse.nc")
    assert done.code == 0, done.err
    assert "cells lie in no coarse cell" in caplog.text
    coarse, fine = open_fields(tmp_path / "coarse.nc"), open_fields(data_folder / RACMO, variables=["tas"])
    assert (coarse.sizes["lat"], coarse.sizes["lon"]) == (7, 7)
    first = fine["tas"].isel(time=0, lat=slice(0, 4), lon=slice(0, 4)).values.mean()
    assert float(coarse["tas"].isel(time=0, lat=0, lon=0)) == pytest.approx(first, abs=0.02)
    middle = fine["latitude"].values[:4, :4].mean()
    assert float(coarse["latitude"][0, 0]) == pytest.approx(middle, abs=0.02)
    again = command("coarsen", data_folder / RACMO, "--factor", 4, "--out", tmp_path / "coarse.nc")
    assert (again.code, "--overwrite" in again.err) == (2, True)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "expected one of them"),
        (("--factor", "0.5"), "expected 1 to"),
        (("--factor", "four"), "expected a number"),
        (("--factor", "2x2x2"), "ROWSxCOLUMNS"),
        (("--factor", "2", "--least", "0"), "expected a share"),
    ],
)
def test_what_makes_no_sense_is_one_line(command: Doing, words: tuple[str, ...], message: str, tmp_path: Path) -> None:
    tiny_ocean(times=1).to_netcdf(tmp_path / "fine.nc")
    done = command("coarsen", tmp_path / "fine.nc", "--out", tmp_path / "c.nc", *words)
    assert (done.code, len(done.err.strip().splitlines())) == (2, 1), done.err
    assert message in done.err

"""Coarse turbulence: by waves and by points, through the command and in Python; what has no waves is refused."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from commands import Doing, hearing_apart
from scipy import fft

import driftfield as df
from driftfield.data.torus_coarsening import coarsened_torus
from driftfield.errors import ConfigurationError, DataError
from driftfield.testing import tiny_ocean


@pytest.fixture
def command(capfd: pytest.CaptureFixture[str]) -> Doing:
    """The command line in this process."""
    return hearing_apart(capfd)


@pytest.fixture(scope="module")
def flow() -> xr.Dataset:
    return df.simulate_navier_stokes(size=24, frames=2, spin_up=1.0, trajectories=2)


def test_waves_that_fit_are_kept(flow: xr.Dataset) -> None:
    coarse = coarsened_torus(flow, 3, "truncation")
    fine_waves, waves = (fft.fft2(part["vorticity"].values, norm="forward") for part in (flow, coarse))
    fits = np.arange(-3, 4)
    np.testing.assert_allclose(waves[:, fits[:, None], fits], fine_waves[:, fits[:, None], fits], atol=1e-6)
    assert np.abs(waves[:, 4]).max() < 1e-6  # the wave that has no sign
    assert coarse.sizes == {"time": 4, "lat": 8, "lon": 8}
    np.testing.assert_array_equal(coarse["lat"], flow["lat"][::3])
    assert coarse["trajectory"].values.tolist() == [0, 0, 1, 1]
    twice = coarsened_torus(coarsened_torus(flow, 2, "truncation"), 3, "truncation")
    np.testing.assert_allclose(twice["vorticity"], coarsened_torus(flow, 6, "truncation")["vorticity"], atol=1e-5)


def test_the_command_and_python_say_the_same(flow: xr.Dataset, command: Doing, tmp_path: Path) -> None:
    df.save(flow, tmp_path / "flow.nc")
    for way in ("truncation", "points"):
        out = tmp_path / f"{way}.nc"
        assert command("coarsen", tmp_path / "flow.nc", "--factor", "4", "--by", way, "--out", out).code == 0
        xr.testing.assert_allclose(df.open(out)["vorticity"], df.coarsen(flow, factor=4, by=way)["vorticity"])
    np.testing.assert_array_equal(df.coarsen(flow, factor=4, by="points")["vorticity"], flow["vorticity"][:, ::4, ::4])
    means = df.coarsen(flow, factor=4)["vorticity"].values
    assert np.abs(means - df.coarsen(flow, factor=4, by="truncation")["vorticity"].values).max() > 0.1


def test_what_has_no_waves_is_refused(flow: xr.Dataset) -> None:
    with pytest.raises(DataError, match="does not say that both of its axes wrap"):
        coarsened_torus(tiny_ocean(times=1), 4, "truncation")
    with pytest.raises(DataError, match="has gaps"):
        coarsened_torus(flow.where(flow["lat"] > 0), 4, "points")
    with pytest.raises(ConfigurationError, match="has to divide"):
        coarsened_torus(flow, 5, "points")
    with pytest.raises(ConfigurationError, match="Did you mean 'truncation'"):
        df.coarsen(flow, factor=4, by="truncatoin")
    with pytest.raises(ConfigurationError, match="needs factor"):
        df.coarsen(flow, like=flow, by="points")

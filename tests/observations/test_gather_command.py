"""`driftfield gather --table`: every option is applied or refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from typer.testing import CliRunner

from driftfield.cli import app
from driftfield.errors import ConfigurationError


@pytest.fixture
def track(tmp_path: Path) -> Path:
    """A pass with a value every day of a month."""
    days = np.datetime64("2012-01-01", "ns") + np.arange(31).astype("timedelta64[D]")
    dataset = xr.Dataset(
        {"sla": ("time", np.linspace(-0.1, 0.1, 31), {"units": "m"})},
        coords={
            "time": days,
            "latitude": ("time", np.linspace(41, 44, 31), {"units": "degrees_north"}),
            "longitude": ("time", np.full(31, 30.0), {"units": "degrees_east"}),
        },
    )
    path = tmp_path / "track.nc"
    dataset.to_netcdf(path)
    return path


def _gather(track: Path, *arguments: Any) -> tuple[Any, Path]:
    out = track.with_name("points.nc")
    result = CliRunner().invoke(
        app, ["gather", str(track), "--variable", "zos=sla", "--table", str(out), *map(str, arguments)]
    )
    return result, out


def test_times_are_applied_to_the_points(track: Path) -> None:
    result, out = _gather(track, "--times", "2012-01-05:2012-01-14")
    assert result.exit_code == 0, result.output
    assert "21 points are outside --times" in result.output
    with xr.open_dataset(out) as points:
        assert points.sizes["observation"] == 10
        assert str(points["time"].values.max())[:10] == "2012-01-14"


def test_errors_are_added_to_those_of_the_points(track: Path) -> None:
    result, out = _gather(track, "--error", 0.03)
    assert result.exit_code == 0, result.output
    with xr.open_dataset(out) as points:
        np.testing.assert_allclose(points["zos_error"], 0.03)


@pytest.mark.parametrize(("option", "value"), [("--every", "5D"), ("--max-gap", 20), ("--surface", 5)])
def test_what_only_a_grid_needs_is_refused(track: Path, option: str, value: object) -> None:
    result, out = _gather(track, option, value)
    assert isinstance(result.exception, ConfigurationError)
    assert option in str(result.exception)
    assert not out.exists()


def test_a_period_without_a_point_is_said(track: Path) -> None:
    result, _ = _gather(track, "--times", "2015:2016")
    assert "--times" in str(result.exception)

"""`driftfield map`, as it is typed."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from safetensors import safe_open
from typer.testing import CliRunner

from driftfield.cli import app
from driftfield.runs import shipped_run

BOX = ["--box", "42,45,-60,-56", "--step", "1"]


@pytest.fixture
def points(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    n = 60
    day = rng.uniform(0, 700, n)
    lat = rng.uniform(42, 45, n)
    table = pd.DataFrame(
        {
            "time": pd.Timestamp("2010-01-01") + pd.to_timedelta(day, unit="D"),
            "latitude": lat,
            "longitude": rng.uniform(-60, -56, n),
            "variable": "thetao",
            "value": 12 - lat + 42 + 5 * np.cos(2 * np.pi * (day - 230) / 365) + rng.standard_normal(n),
            "platform": [f"float {i % 9}" for i in range(n)],
        }
    )
    path = tmp_path / "points.csv"
    table.to_csv(path, index=False)
    return path


def _run(*arguments: object) -> object:
    return CliRunner().invoke(app, ["map", *map(str, arguments)])


def test_one_command_writes_the_field_the_table_and_the_picture(points: Path, tmp_path: Path) -> None:
    out = tmp_path / "map.nc"
    result = _run(points, *BOX, "--every", "1M", "--time", "2010-01:2012-06", "--out", out, "--members", 2)
    assert result.exit_code == 0, result.output
    with xr.open_dataset(out) as field:
        assert field.sizes == {"time": 30, "lat": 4, "lon": 5, "member": 2}
        assert np.isfinite(field["thetao"]).all()
        assert np.isfinite(field["thetao_member"]).all()
    tried = pd.read_csv(tmp_path / "map.tried.csv")
    assert {"box-mean", "climatology"} <= set(tried["method"])
    assert tried["chosen"].sum() == 1
    assert (tmp_path / "map.png").stat().st_size > 10_000
    for said in ("box-mean", "climatology", "RMSE", "driftfield gather"):
        assert said in result.output


def test_a_map_lies_on_the_grid_of_a_file_with_its_land(points: Path, tmp_path: Path) -> None:
    lat, lon = np.arange(42.0, 45.1, 1.0), np.arange(-60.0, -55.9, 1.0)
    truth = np.ones((2, 4, 5), np.float32)
    truth[:, 0] = np.nan
    time = pd.date_range("2010-02-01", periods=2, freq="MS")
    grid = xr.Dataset(
        {"thetao": (("time", "lat", "lon"), truth, {"units": "degC"})},
        coords={
            "time": time,
            "lat": ("lat", lat, {"units": "degrees_north"}),
            "lon": ("lon", lon, {"units": "degrees_east"}),
        },
    )
    grid.to_netcdf(tmp_path / "grid.nc")
    out = tmp_path / "map.nc"
    result = _run(points, "--like", tmp_path / "grid.nc", "--out", out, "--method", "climatology")
    assert result.exit_code == 0, result.output
    with xr.open_dataset(out) as field:
        assert np.isnan(field["thetao"].values[:, 0]).all()
        assert np.isfinite(field["thetao"].values[:, 1:]).all()
        np.testing.assert_array_equal(field["time"].values, time.values)


def test_a_map_lies_on_the_grid_of_a_run(points: Path, tmp_path: Path) -> None:
    table = pd.read_csv(points)
    run = shipped_run("ocean_oi")
    with safe_open(run / "arrays.safetensors", framework="np") as arrays:
        lat, lon = (arrays.get_tensor(f"climatology.thetao.{axis}") for axis in ("lat", "lon"))
        exists = arrays.get_tensor("domain.thetao").astype(bool)
    rng = np.random.default_rng(1)
    table["latitude"], table["longitude"] = rng.uniform(lat[0], lat[-1], 60), rng.uniform(lon[0], lon[-1], 60)
    table["depth"] = 5.0
    table.to_csv(points, index=False)
    out = tmp_path / "map.nc"
    dates = ["--every", "1D", "--time", "2010-06-01:2010-06-02"]
    result = _run(points, "--like", "shipped:ocean_oi", *dates, "--out", out, "--method", "box-mean")
    assert result.exit_code == 0, result.output
    with xr.open_dataset(out) as field:
        np.testing.assert_array_equal(np.isfinite(field["thetao"].values[0]), exists)
        assert field.sizes["time"] == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--step", "1"], "--box"),
        ([*BOX, "--like", "x.nc"], "--like"),
        ([*BOX[:2], "--step", "9", "--every", "1M"], "step"),
        ([*BOX, "--every", "1M", "--levels", "a,b"], "--levels"),
        ([*BOX], "dates"),
        ([*BOX, "--every", "1M", "--length-km", "-3"], "length"),
        ([*BOX, "--every", "1M", "--members", "3", "--no-members"], "--no-members"),
        (["--box", "1,2,3", "--step", "1", "--every", "1M"], "S,N,W,E"),
    ],
)
def test_what_cannot_be_is_refused(points: Path, tmp_path: Path, arguments: list[str], said: str) -> None:
    result = _run(points, *arguments, "--out", tmp_path / "map.nc")
    assert result.exit_code != 0
    assert said in str(result.exception)
    assert not (tmp_path / "map.nc").exists()

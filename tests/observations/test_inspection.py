"""`driftfield inspect`: what it says of files whose axes, dates and gaps are known."""

import logging
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from driftfield.data.sources import open_fields
from driftfield.observations.inspection import inspect_file
from driftfield.testing import tiny_ocean
from driftfield.testing.grids import MEMBERS, member

WORDS = {
    "rotated_pole": "rotated pole",
    "nemo": "curvilinear",
    "roms": "curvilinear",
    "polar": "projection",
    "section": "section of stations",
    "radar": "curvilinear",
    "wrf": "curvilinear",
}


@pytest.mark.parametrize("kind", MEMBERS)
def test_the_kind_of_grid_and_where_it_lies(tmp_path: Path, kind: str) -> None:
    made = member(kind, 2, times=12)
    made.dataset.to_netcdf(tmp_path / "a.nc")
    found = inspect_file(tmp_path / "a.nc")
    rows, columns = made.geometry.shape
    assert WORDS[kind] in found.what
    assert f"{rows} x {columns} cells" in found.what
    where = found.parts["positions"][0]
    wet = np.isfinite(made.values[0])
    low = float(made.geometry.latitude[wet].min())
    assert abs(float(where.split()[1]) - low) < 0.5
    assert found.parts["round the globe"] == ["no"]
    assert "12, 2001-01-03T00:00:00 to 2001-02-27T00:00:00, every 5 days" in found.parts["dates"][0]
    assert not found.refused
    missing = 100 * (1 - np.isfinite(made.values).mean())
    assert f"{missing:.1f} % missing" in found.parts["variables"][0]
    assert any(line.startswith("driftfield mask") for line in found.following)


def test_levels_units_and_masks_of_a_regular_grid(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    ocean = tiny_ocean()
    ocean["depth"] = ("depth", -ocean["depth"].values * 100, {"units": "cm", "positive": "up"})
    ocean["domain"] = ocean["thetao"].notnull().any("time")
    ocean.rename(depth="lev").to_netcdf(tmp_path / "a.nc")
    # whoever opened a file when nobody listened does not keep its lines from being heard
    with caplog.at_level(logging.WARNING, logger="driftfield"):
        open_fields(tmp_path / "a.nc")
        text = str(inspect_file(tmp_path / "a.nc"))
    assert "a regular grid of latitudes and longitudes, 8 x 12 cells" in text
    assert "depth: 2 values, 10 to 40 m downwards" in text
    assert "'lev' (cm)" in text
    assert "converted from cm to m" in text
    assert "thetao (time, depth, lat, lon) in degC" in text
    assert "domain (depth, lat, lon)" in text
    assert "would be refused" in text


def test_what_is_removed_and_flagged_is_said(tmp_path: Path) -> None:
    values = np.full((2, 4, 5), 10.0, dtype=np.float32)
    values[0, 0] = 99.0
    flag = np.zeros((2, 4, 5), dtype=np.int8)
    xr.Dataset(
        {
            "sst": (("time", "lat", "lon"), values,
                    {"units": "degC", "valid_max": np.float32(40), "ancillary_variables": "sst_qc"}),
            "sst_qc": (("time", "lat", "lon"), flag, {"flag_values": np.int8([0, 1]), "flag_meanings": "good bad"}),
        },
        {"time": ("time", [0, 1], {"units": "days since 2001-01-01"}), "lat": np.arange(4.0), "lon": np.arange(5.0)},
    ).to_netcdf(tmp_path / "a.nc")  # fmt: skip
    found = inspect_file(tmp_path / "a.nc")
    assert "good bad" in found.parts["flags"][0]
    assert any("5 outside valid_range" in line for line in found.parts["variables"])


def test_a_globe_closes_and_a_large_field_is_thinned(tmp_path: Path) -> None:
    lat, lon = np.linspace(-89.75, 89.75, 360), np.arange(0, 360, 0.05)
    xr.Dataset(
        {"t": (("lat", "lon"), np.ones((360, lon.size), dtype=np.float32), {"units": "K"})},
        {"lat": ("lat", lat, {"units": "degrees_north"}), "lon": ("lon", lon, {"units": "degrees_east"})},
    ).to_netcdf(tmp_path / "a.nc")
    found = inspect_file(tmp_path / "a.nc")
    assert found.parts["round the globe"] == ["yes, longitude wraps"]
    assert found.parts["dates"] == ["none: fixed fields"]
    assert "every 2th row" in found.parts["variables"][0]
    assert any("no time axis" in line for line in found.refused)


def test_a_table_says_what_its_columns_are(tmp_path: Path) -> None:
    pd.DataFrame(
        {"OBS_TIMESTAMP": ["2014-05-15T06:00"] * 3, "LAT": [1.0, 2, 3], "LON": [4.0, 5, 6], "sla": [0.1, np.nan, 0.3]}
    ).to_csv(tmp_path / "a.csv", index=False, encoding="utf-8-sig", sep=";")
    found = inspect_file(tmp_path / "a.csv")
    assert found.parts["columns"][0].startswith("OBS_TIMESTAMP: time")
    assert found.parts["columns"][3] == "sla: a variable, if it is asked for; 0.1 to 0.3; 33.3 % missing"
    assert found.parts["depth"] == ["none: surface data"]
    assert "--variable sla=sla" in found.following[0]


def test_a_mask_without_a_date_has_nothing_in_it(tmp_path: Path) -> None:
    axes = {"time": np.array([], "M8[ns]"), "lat": [30.0, 31.0], "lon": [0.0, 1.0, 2.0]}
    empty = xr.DataArray(np.zeros((0, 2, 3)), axes, ("time", "lat", "lon"))
    xr.Dataset({"sst": empty, "held_out": empty.astype(bool)}).to_netcdf(tmp_path / "x.nc")
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        assert "nothing in it" in str(inspect_file(tmp_path / "x.nc").parts)


def test_a_table_without_a_row_is_said_to_be_one(tmp_path: Path) -> None:
    (tmp_path / "empty.csv").write_text("time,latitude,longitude,sla\n", encoding="utf-8")
    found = inspect_file(tmp_path / "empty.csv")
    assert found.refused == ["no row below the names time, latitude, longitude, sla"]


def test_what_cannot_be_read_is_said_and_not_raised(tmp_path: Path) -> None:
    (tmp_path / "x.nc").write_bytes(b"BUFR" + bytes(100))
    assert "BUFR" in inspect_file(tmp_path / "x.nc").refused[0]
    xr.Dataset({"a": ("n", [1.0, 2.0])}).to_netcdf(tmp_path / "flat.nc")
    found = inspect_file(tmp_path / "flat.nc")
    assert "No latitude and longitude" in found.refused[0]
    assert found.parts["variables"] == ["a (n)"]


def test_a_field_with_gaps_can_be_filled_with_and_without_dates(tmp_path: Path) -> None:
    values = np.arange(48.0).reshape(6, 8)
    coords = {"lat": np.linspace(30.0, 35.0, 6), "lon": np.linspace(0.0, 7.0, 8)}
    complete = xr.DataArray(values, dims=("lat", "lon"), coords=coords, name="sst")
    for name, array in (("gaps", complete.where(values > 9)), ("complete", complete)):
        for kind, field in (("image", array), ("dated", array.expand_dims(time=[np.datetime64("2020-01-01", "ns")]))):
            path = tmp_path / f"{name}_{kind}.nc"
            field.to_netcdf(path)
            says = any(line.startswith("driftfield fill") for line in inspect_file(path).following)
            assert says == (name == "gaps")
    land = complete.where(complete > 9).expand_dims(time=np.array(["2020-01-01", "2020-01-02"], dtype="datetime64[ns]"))
    land.to_netcdf(tmp_path / "land.nc")
    assert not any(line.startswith("driftfield fill") for line in inspect_file(tmp_path / "land.nc").following)


def test_points_name_what_was_measured_and_the_map(tmp_path: Path) -> None:
    row = np.arange(5.0)
    table = xr.Dataset(
        {
            "config_mission_number": ("row", row),
            "flag": ("row", row),
            "pres": ("row", row, {"units": "decibar"}),
            "temp_qc": ("row", row),
            "temp": ("row", row, {"units": "degree_Celsius"}),
            "latitude": ("row", 40 + row, {"units": "degrees_north"}),
            "longitude": ("row", row, {"units": "degrees_east"}),
            "time": ("row", row, {"units": "days since 2000-01-01"}),
        }
    )
    table.to_netcdf(tmp_path / "points.nc")
    found = inspect_file(tmp_path / "points.nc")
    assert [line.split()[1] for line in found.following] == ["map", "gather"]
    assert all("--variable temp=temp " in line for line in found.following)

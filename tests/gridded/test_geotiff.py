"""`driftfield export`: what a GIS reads at a place is what the file says there; what a GeoTIFF cannot hold is refused or said."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from commands import Command, hearing_all

from driftfield.data.sources import write_dataset

rasterio = pytest.importorskip("rasterio")


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Command:
    monkeypatch.chdir(tmp_path)
    return hearing_all(capsys)


def fields(lat: np.ndarray, lon: np.ndarray) -> xr.Dataset:
    """Two dates, two levels, three members; the value says where and when it is."""
    times, depth = np.array(["2015-06-01", "2015-07-01"], dtype="datetime64[ns]"), np.array([5.0, 100.0])
    where = 0.1 * lat[:, None] + 0.001 * np.mod(lon, 360.0)
    value = where + np.array([0.0, 10.0])[:, None, None, None] - np.array([0.0, 3.0])[:, None, None]
    value[:, 1, 0, 0] = np.nan
    axes = ("time", "depth", "lat", "lon")
    data = {
        "thetao": (axes, value, {"units": "degC"}),
        "thetao_sd": (axes, 0.5 + 0 * value, {"units": "degC"}),
        "thetao_member": (
            ("member", *axes),
            value + np.array([-1.0, 0.0, 1.0]).reshape(3, 1, 1, 1, 1),
            {"units": "degC"},
        ),
        "domain": (("depth", "lat", "lon"), np.isfinite(value[0]).astype(np.int8)),
    }
    depths = ("depth", depth, {"units": "m", "positive": "down"})
    coords = {"time": times, "depth": depths, "lat": lat, "lon": lon, "member": np.arange(3)}
    return xr.Dataset(data, coords=coords, attrs={"title": "A sea"})


def at(raster: object, band: int, lat: float, lon: float) -> float:
    return float(next(raster.sample([(lon, lat)], indexes=band))[0])  # type: ignore[attr-defined]


NORTHWARD, REGION = np.arange(30.0, 41.0), np.arange(-70.0, -59.0, 0.5)
GRIDS = {
    "a region, latitudes from the south": (NORTHWARD, REGION, -70.0),
    "latitudes from the north": (NORTHWARD[::-1], REGION, -70.0),
    "longitudes above 180": (NORTHWARD, REGION + 360.0, -70.0),
    "across the dateline": (NORTHWARD, np.arange(170.0, 190.5), 170.0),
    "the globe from 0": (np.arange(-89.0, 90.0, 2.0), np.arange(1.0, 360.0, 2.0), -179.0),
    "the globe from -180": (np.arange(-89.0, 90.0, 2.0), np.arange(-180.0, 180.0, 2.0), -180.0),
}


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("grid", GRIDS, ids=str)
def test_a_gis_reads_what_the_file_says(command: Command, grid: str, packed: bool) -> None:
    lat, lon, west = GRIDS[grid]
    write_dataset(fields(lat, lon), "a.nc")
    code, said = command("export", "a.nc", "--out", "a.tif", *(["--packed"] if packed else []))
    assert code == 0, said
    dx, dy = abs(lon[1] - lon[0]), abs(lat[1] - lat[0])
    with rasterio.open("a.tif") as raster:
        assert raster.crs.to_epsg() == 4326
        assert raster.count == 8
        assert raster.transform.e == -dy  # north up
        np.testing.assert_allclose(raster.bounds.left, west - dx / 2)
        np.testing.assert_allclose(raster.bounds.top, lat.max() + dy / 2)
        for row, column in ((0, 0), (3, 5), (len(lat) - 1, len(lon) - 1)):
            y, x = lat.max() - row * dy, west + column * dx
            for band, (month, level) in enumerate([(0, 0), (0, 3), (10, 0), (10, 3)], start=1):
                expected = 0.1 * y + 0.001 * (x % 360.0) + month - level
                value = at(raster, band, y, x) * raster.scales[band - 1] + raster.offsets[band - 1]
                if band % 2 == 0 and (y, x % 360.0) == (lat[0], lon[0] % 360.0):
                    assert np.isnan(at(raster, band, y, x)) or at(raster, band, y, x) == raster.nodata
                else:
                    assert value == pytest.approx(expected, abs=3e-4 if packed else 1e-5)
        assert [int(raster.read(band, masked=True).mask.sum()) for band in (1, 2, 3, 4)] == [0, 1, 0, 1]


def test_bands_say_what_they_are(command: Command) -> None:
    write_dataset(fields(NORTHWARD, REGION), "a.nc")
    code, said = command(
        "export", "a.nc", "--out", "a.tif", "--show", "value,members", "--time", "2015-07", "--depth", "90"
    )
    assert code == 0
    assert "left out: thetao_sd, domain" in said
    assert "no axes of time, depth or members" in said
    with rasterio.open("a.tif") as raster:
        assert raster.descriptions == (
            "thetao 2015-07-01T00:00:00 at 100 m [degC]",
            *(f"thetao 2015-07-01T00:00:00 at 100 m member {n} [degC]" for n in range(3)),
        )
        assert raster.units == ("degC",) * 4
        date = {"time": "2015-07-01T00:00:00", "depth": "100", "member": "0"}
        assert raster.tags(2) == {"variable": "thetao", "quantity": "members", "units": "degC"} | date
        assert raster.tags()["title"] == "A sea"
        assert "driftfield export a.nc" in raster.tags()["history"]
        assert np.isnan(raster.nodata)
        np.testing.assert_allclose(np.diff(raster.read([2, 3, 4])[:, 1, 1]), 1.0, atol=1e-5)


def test_the_spread_is_a_band_and_a_region_is_cut(command: Command) -> None:
    write_dataset(fields(NORTHWARD, REGION), "a.nc")
    assert command("export", "a.nc", "--out", "a.tif", "--region", "lat=33:36,lon=-68:-65", "--show", "spread")[0] == 0
    with rasterio.open("a.tif") as raster:
        assert (raster.height, raster.width, raster.count) == (4, 7, 4)
        assert raster.descriptions[0] == "thetao sd 2015-06-01T00:00:00 at 5 m [degC]"
        np.testing.assert_allclose(raster.read(1), 0.5)


def test_rioxarray_reads_scale_and_missing(command: Command) -> None:
    rioxarray = pytest.importorskip("rioxarray")
    write_dataset(fields(NORTHWARD, REGION), "a.nc")
    assert (
        command(
            "export", "a.nc", "--out", "a.tif", "--packed", "--show", "value", "--time", "2015-06", "--depth", "100"
        )[0]
        == 0
    )
    back = rioxarray.open_rasterio("a.tif", mask_and_scale=True).isel(band=0).rename(x="lon", y="lat").sortby("lat")
    truth = fields(NORTHWARD, REGION)["thetao"].isel(time=0, depth=1)
    np.testing.assert_allclose(back.values, truth.values, atol=3e-4)
    np.testing.assert_allclose(back["lon"], truth["lon"])


@pytest.mark.parametrize(
    ("lat", "lon", "message"),
    [
        (np.array([30.0, 31.0, 33.0]), REGION, "unevenly spaced (steps 1 to 2 degrees)"),
        (NORTHWARD[:1], REGION, "a single lat"),
    ],
)
def test_uneven_grids_are_refused(command: Command, lat: np.ndarray, lon: np.ndarray, message: str) -> None:
    write_dataset(fields(lat, lon), "a.nc")
    code, said = command("export", "a.nc", "--out", "a.tif")
    assert (code, message in said) == (2, True), said
    assert not Path("a.tif").exists()


def test_a_grid_with_positions_is_refused_by_name(command: Command) -> None:
    y, x = np.meshgrid(np.linspace(0, 1, 6), np.linspace(0, 1, 7), indexing="ij")
    where = {
        "time": np.array(["2015-01-01"], dtype="datetime64[ns]"),
        "lat": (("y", "x"), 40 + 5 * y + x, {"units": "degrees_north"}),
        "lon": (("y", "x"), 5 * x - y, {"units": "degrees_east"}),
    }
    values = (("time", "y", "x"), np.ones((1, 6, 7)), {"units": "degC", "coordinates": "lat lon"})
    xr.Dataset({"t": values}, coords=where).to_netcdf("c.nc")
    code, said = command("export", "c.nc", "--out", "c.tif")
    assert (code, "curvilinear, rotated or projected" in said) == (2, True), said


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--out", "a.png"], ".tif"),
        (["--out", "a.tif", "--show", "mean"], "Unknown quantity 'mean'"),
        (["--out", "a.tif", "--time", "2016"], "No date begins with '2016'"),
        (["--out", "a.tif", "--show", "quantiles"], "Nothing to write"),
        (["--out", "a.tif", "--variable", "sst"], "sst"),
    ],
)
def test_what_cannot_be_written_is_said(command: Command, options: list[str], message: str) -> None:
    write_dataset(fields(NORTHWARD, REGION), "a.nc")
    code, said = command("export", "a.nc", *options)
    assert (code, message in said) == (2, True), said

"""ERA5 from a Zarr store and NNJA-AI from Parquet, in the layouts of the public ones, behind http:// that fails on purpose."""

import json
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from commands import Command
from faulty_files import FaultyFiles
from fetched_sources import BOX, fetched

from driftfield.errors import DataError
from driftfield.observations.reading import read_observations
from driftfield.sources.arco import ERA5Source
from driftfield.sources.asked import AskedBox
from driftfield.sources.nnja import NNJASource


@pytest.fixture
def globe(files: FaultyFiles) -> FaultyFiles:
    """A store of the layout of ARCO-ERA5, coarse: hours since 1900, latitudes from the north, 0 to 360."""
    pytest.importorskip("aiohttp")
    lat, lon, levels = np.arange(90.0, -91.0, -10.0), np.arange(0.0, 360.0, 10.0), np.array([500, 850])
    times = np.datetime64("2015-01-30", "ns") + np.arange(96) * np.timedelta64(1, "h")
    plain = 280.0 + 0.1 * np.arange(96)[:, None, None] + 0.01 * lat[:, None] + 0.001 * lon
    fields = xr.Dataset(
        {
            "2m_temperature": (
                ("time", "latitude", "longitude"),
                plain,
                {"units": "K", "long_name": "2 metre temperature"},
            ),
            "temperature": (
                ("time", "level", "latitude", "longitude"),
                plain[:, None] - levels[:, None, None],
                {"units": "K"},
            ),
        },
        coords={"time": times, "level": levels, "latitude": lat, "longitude": lon},
    )
    chunks = {"2m_temperature": {"chunks": (1, 19, 36)}, "temperature": {"chunks": (1, 2, 19, 36)}}
    encoding: dict[str, Any] = {**chunks, "time": {"units": "hours since 1900-01-01"}}
    fields.to_zarr(files.folder / "era5.zarr", consolidated=True, zarr_format=2, encoding=encoding)
    files.asked.clear()
    files.faulty = "2m_temperature/[0-9]"
    return files


@pytest.mark.filterwarnings("ignore:Consolidated metadata")
def test_a_region_across_the_dateline_and_some_hours_are_cut_out_of_the_store(
    globe: FaultyFiles, tmp_path: Path
) -> None:
    globe.failures = [500]
    asked = AskedBox(
        (-20.0, 20.0), (160.0, -160.0), BOX.first, date(2015, 1, 31), variables=BOX.variables, hours=(6, 18)
    )
    fields, waits = fetched(ERA5Source(), asked, f"{globe.url}/era5.zarr", tmp_path / "t.nc")
    field = fields["2m_temperature"]
    assert field.sizes == {"time": 4, "lat": 5, "lon": 5}
    assert len(waits) == 1
    hours = np.array([6, 18, 30, 42])
    expected = (
        280.0 + 0.1 * hours[:, None, None] + 0.01 * fields["lat"].values[:, None] + 0.001 * (fields["lon"].values % 360)
    )
    np.testing.assert_allclose(field.values, expected, atol=1e-3)
    np.testing.assert_allclose(fields["lon"].values % 360, [160, 170, 180, 190, 200])
    read = [
        asked for asked in globe.asked if "/2m_temperature/" in asked and not asked.endswith((".zarray", ".zattrs"))
    ]
    # chunks of the hours that were asked for, and no others
    assert {name.rpartition("/")[2] for name in read} == {f"{hour}.0.0" for hour in hours}


@pytest.mark.filterwarnings("ignore:Consolidated metadata")
def test_levels_of_the_store_and_what_it_does_not_have(globe: FaultyFiles, tmp_path: Path) -> None:
    address = f"{globe.url}/era5.zarr"

    def asking(**what: Any) -> xr.Dataset:
        asked = AskedBox((-20.0, 20.0), (0.0, 50.0), BOX.first, BOX.first, **{"hours": (0,), **what})
        return fetched(ERA5Source(), asked, address, tmp_path / "t.nc", tries=1)[0]

    assert list(asking(variables=("temperature",), levels=(850,)).data_vars) == ["temperature_850"]
    (tmp_path / "t.nc").unlink()
    for what, message in (
        ({"variables": ("2m_temprature",)}, "Did you mean '2m_temperature'"),
        ({"variables": ("temperature",)}, "expected --level"),
        ({"variables": ("2m_temperature",), "levels": (500,)}, "leave --level out"),
        ({"variables": ("temperature",), "levels": (700,)}, "no level of 700 hPa"),
    ):
        with pytest.raises(DataError, match=message):
            asking(**what)
        for left in (tmp_path / "t.nc.parts").iterdir():
            left.unlink()
    asked = AskedBox((-20.0, 20.0), (0.0, 50.0), date(2016, 1, 1), date(2016, 1, 1), hours=(0,))
    with pytest.raises(DataError, match="it has 2015-01-30T00 to 2015-02-02T23"):
        fetched(ERA5Source(), asked, address, tmp_path / "u.nc", tries=1)


@pytest.fixture
def archive(files: FaultyFiles) -> FaultyFiles:
    """A catalogue, a description and two days of rows."""
    pytest.importorskip("pyarrow")
    pytest.importorskip("aiohttp")
    described = {"name": "conv-adpsfc-NC000001", "description": "", "tags": [], "json": "adpsfc.json"}
    catalogue = {
        "adpsfc": {"description": "", "datasets": {"NC000001": described, "NC000002": {**described, "name": "x"}}}
    }
    columns = [{"id": "TMPSQ1.TMDB", "description": "", "category": "", "extra_metadata": {"units": "K"}}]
    (files.folder / "catalog.json").write_text(json.dumps(catalogue))
    content = {"name": "", "parquet_root_path": "conv/rows", "variables": columns}
    (files.folder / "adpsfc.json").write_text(json.dumps(content))
    for number, day in enumerate(("2015-01-30", "2015-01-31")):
        rows = pd.DataFrame(
            {
                "OBS_TIMESTAMP": pd.to_datetime(
                    [f"{day}T06:00", f"{day}T00:30", f"{day}T12:00", f"{day}T13:00"], utc=True
                ),
                "LAT": [35.0, 36.0, 50.0, 35.0],
                "LON": [295.0, -61.0, -65.0, -65.0],
                "RPID": ["A", "B", "C", "D"],
                "TMPSQ1.TMDB": [280.0 + number, 281.0 + number, 282.0, np.nan],
                "WNDSQ1.WSPD": [1.0, 2.0, 3.0, 4.0],
            }
        )
        (files.folder / f"conv/rows/OBS_DATE={day}").mkdir(parents=True)
        rows.to_parquet(files.folder / f"conv/rows/OBS_DATE={day}/a-0.parquet")
    files.faulty = "parquet$"
    return files


def test_rows_of_the_region_become_a_table_of_observations(command: Command, archive: FaultyFiles) -> None:
    archive.failures = [503]
    where = ["--region", "lat=30:40,lon=-70:-60", "--time", "2015-01-30:2015-02-01", "--server", archive.url]
    what = ["--dataset", "conv-adpsfc-NC000001", "--variable", "t2m=TMPSQ1.TMDB", "--variable", "wind=WNDSQ1.WSPD"]
    code, said = command("download", "nnja", *where, *what, "--out", "stations.nc")
    assert code == 0, said
    assert "3 requests" in said
    table = read_observations("stations.nc")
    warm = table.select(table.variable == "t2m")
    assert sorted(warm.value) == [280.0, 281.0, 281.0, 282.0]
    assert table.attrs["t2m"]["units"] == "K"
    assert set(warm.platform) == {"A", "B"}
    assert sorted(table.select(table.variable == "wind").value) == [1.0, 1.0, 2.0, 2.0, 4.0, 4.0]
    assert bool((np.diff(table.time.astype("int64")) >= 0).all())
    assert "driftfield download nnja" in xr.open_dataset("stations.nc").attrs["history"]
    code, said = command("gather", "stations.nc", "--variable", "t2m=t2m", "--table", "points.nc")
    assert (code, "4 values read, 4 kept" in said) == (0, True), said
    np.testing.assert_allclose(np.sort(xr.open_dataset("points.nc")["t2m"]), [280.0, 281.0, 281.0, 282.0])
    code, said = command("inspect", "stations.nc")
    assert (code, "wind: 6" in said, "gather stations.nc --variable wind=wind" in said) == (0, True, True), said


def test_what_the_archive_does_not_have_is_said(archive: FaultyFiles, tmp_path: Path) -> None:
    def asking(dataset: str, column: str, day: int = 30) -> None:
        day_of = date(2015, 1, day)
        asked = AskedBox(BOX.lat, BOX.lon, day_of, day_of, variables=(column,), dataset=dataset)
        out = tmp_path / f"{dataset}{column}{day}.nc"
        fetched(NNJASource(), asked, archive.url, out, tries=1)

    with pytest.raises(DataError, match="Did you mean 'conv-adpsfc-NC000001'"):
        asking("conv-adpsfc-NC00001", "TMPSQ1.TMDB")
    with pytest.raises(DataError, match=r"Did you mean 'TMPSQ1\.TMDB'"):
        asking("conv-adpsfc-NC000001", "TMPSQ1.TMDP")
    with pytest.raises(DataError, match="No observation in this box"):
        asking("conv-adpsfc-NC000001", "TMPSQ1.TMDB", day=1)

"""ERA5 from a Zarr store and NNJA-AI from Parquet, in the layouts of the public ones, behind http:// that fails on purpose."""

from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
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

"""Casts behind each other come apart at the right places; tracks are not dropped for flags that say something else."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from argo_files import write_casts

from driftfield.errors import DataError, FileFormatError
from driftfield.observations.readers import Quality, counts, read_points


def test_casts_come_apart(tmp_path: Path) -> None:
    table = read_points(
        write_casts(tmp_path / "a.nc"), {"thetao": "Temperature", "so": "Salinity"}, Quality(flags=None)
    )
    assert table["profile"].values.tolist() == [0] * 3 + [1] * 2 + [2] * 4
    assert table["lat"].values.tolist() == [10.0] * 3 + [11.0] * 2 + [12.0] * 4
    assert table["depth"].values.tolist() == [0, 10, 20, 0, 10, 0, 10, 20, 30]
    np.testing.assert_array_equal(table["thetao"].values, [0, 1, np.nan, 3, 4, 5, 6, 7, 8])
    np.testing.assert_array_equal(table["so"].values, [30, 31, 32, np.nan, np.nan, 33, 34, 35, 36])
    assert float(table["thetao_error"][0]) == pytest.approx(0.02)


def test_flags_of_values_and_of_casts_are_honoured_and_counted(tmp_path: Path) -> None:
    table = read_points(write_casts(tmp_path / "a.nc"), {"thetao": "Temperature"})
    count = counts(table)["thetao"]
    assert (count.read, count.kept) == (8, 3)
    assert count.dropped == {"WOD flag 3": 1, "WOD profile flag 1": 4}


def test_row_sizes_that_do_not_add_up_are_named(tmp_path: Path) -> None:
    with xr.open_dataset(write_casts(tmp_path / "a.nc"), decode_times=False) as opened:
        dataset = opened.load()
    dataset["z_row_size"][0] = 4
    dataset.to_netcdf(tmp_path / "b.nc")
    with pytest.raises(FileFormatError, match=r"z_row_size.*adds up to 10, expected 9"):
        read_points(tmp_path / "b.nc", {"thetao": "Temperature"})
    with pytest.raises(FileFormatError, match="Cast 2 has 3 values"):
        read_points(write_casts(tmp_path / "c.nc", salt=(3, 0, 3)), {"so": "Salinity"})
    with pytest.raises(DataError, match="Did you mean 'Temperature'"):
        read_points(tmp_path / "b.nc", {"thetao": "Temperatur"})


def test_a_real_file_of_the_world_ocean_database(data_folder: Path) -> None:
    path = data_folder / "argo/iquod_wod_osd_sample.nc"
    table = read_points(path, {"thetao": "Temperature", "so": "Salinity"})
    thetao, so = counts(table)["thetao"], counts(table)["so"]
    assert (thetao.read, thetao.kept) == (666, 635)
    assert thetao.dropped == {"WOD profile flag 2": 17, "WOD flag 3": 8, "WOD profile flag 4": 6}
    assert (so.read, so.kept) == (624, 624)
    assert (table["time"].values.astype("datetime64[D]") == np.datetime64("1934-08-07")).all()
    first = table.isel(observation=slice(0, 4))
    assert first["depth"].values.tolist() == [0, 10, 25, 45]
    assert first["thetao"].values.tolist() == pytest.approx([27.5, 27.5, 24.9, 22.6], abs=1e-4)


def test_the_origin_of_altimetry_data_is_no_quality_flag(data_folder: Path) -> None:
    table = read_points(data_folder / "ssh/altika_*.nc", {"sla": "sla_filtered"})
    assert str(counts(table)["sla"]) == "147 values read, 147 kept, 0 dropped"
    assert float(abs(table["sla"]).max()) == pytest.approx(0.1)
    assert set(np.unique(table["profile"].values)) == {0, 1}


def test_a_flag_that_speaks_of_quality_is_honoured(tmp_path: Path) -> None:
    track = xr.Dataset(
        {
            "sst": ("time", [20.0, 21.0, np.nan, 22.0], {"units": "degC", "ancillary_variables": "state"}),
            "state": ("time", [5, 4, 5, 5], {"flag_values": [4, 5], "flag_meanings": "cloudy good"}),
            "lat": ("time", [1.0, 2.0, 3.0, 95.0]),
            "lon": ("time", [1.0, 2.0, 3.0, 4.0]),
            "time": ("time", np.arange(4.0), {"units": "days since 2000-01-01"}),
        }
    )
    track.to_netcdf(tmp_path / "a.nc")
    assert counts(read_points(tmp_path / "a.nc", {"sst": "sst"}))["sst"].dropped == {"flag 4": 1, "no position": 1}
    assert counts(read_points(tmp_path / "a.nc", {"sst": "sst"}, Quality(flags=None)))["sst"].kept == 2

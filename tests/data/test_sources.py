"""Any file in, canonical axes out; and what is written can be read."""

import logging
from pathlib import Path

import cftime
import numpy as np
import pytest
import xarray as xr

from driftfield.data.sources import GriddedArchive, open_archive, open_fields, write_dataset
from driftfield.errors import ConfigurationError, DataError, ExistsError, FileFormatError, MissingExtraError, UserError
from driftfield.interfaces import Archive
from driftfield.peers import Climatology, LinearInterpolation
from driftfield.testing import tiny_ocean, tiny_training_data


def world(**names: str) -> xr.Dataset:
    """A small file: lat descending, 0..360, two depths, land in a corner, a gap at one time."""
    names = {"time": "time", "depth": "depth", "lat": "lat", "lon": "lon"} | names
    rng = np.random.default_rng(0)
    values = rng.standard_normal((4, 2, 5, 8)).astype(np.float32)
    values[:, :, 0, 0] = np.nan
    values[:, 1, :, 1] = np.nan
    values[2, 0, 3, 3] = np.nan
    return xr.Dataset(
        {"thetao": (tuple(names.values()), values), "zos": ((names["time"], names["lat"], names["lon"]), values[:, 0])},
        coords={
            names["time"]: np.array(["2000-01-15", "2000-02-15", "2001-01-15", "2001-02-15"], dtype="datetime64[ns]"),
            names["depth"]: (names["depth"], [0.5, 10.0], {"units": "m", "positive": "down"}),
            names["lat"]: (names["lat"], [60.0, 50.0, 40.0, 30.0, 20.0], {"units": "degrees_north"}),
            names["lon"]: (names["lon"], 45.0 * np.arange(8), {"units": "degrees_east"}),
        },
    )


@pytest.mark.parametrize("suffix", ["nc", "zarr"])
def test_what_is_written_is_read_again(tmp_path: Path, suffix: str) -> None:
    truth = world().sortby("lat")
    truth["domain"] = truth["thetao"].notnull().any("time")
    write_dataset(truth.assign_attrs(driftfield_format=1), tmp_path / f"a.{suffix}")
    again = open_fields(tmp_path / f"a.{suffix}")
    xr.testing.assert_equal(again.load(), truth)
    assert again.attrs["driftfield_format"] == 1
    assert again["domain"].dtype == bool
    with pytest.raises(ExistsError):
        write_dataset(truth, tmp_path / f"a.{suffix}")
    write_dataset(2 * truth[["zos"]], tmp_path / f"a.{suffix}", overwrite=True)
    assert "thetao" not in open_fields(tmp_path / f"a.{suffix}")
    assert sorted(p.name for p in tmp_path.iterdir()) == [f"a.{suffix}"]


def test_uneven_lazy_chunks_can_be_written_to_zarr(tmp_path: Path) -> None:
    truth = world().sortby("lat").chunk({"time": (1, 3)})
    write_dataset(truth, tmp_path / "a.zarr")
    xr.testing.assert_equal(open_fields(tmp_path / "a.zarr").load(), truth.load())


@pytest.mark.parametrize(
    "names",
    [
        {"lat": "latitude", "lon": "longitude", "depth": "deptht", "time": "time_counter"},
        {"lat": "PSYT35_56", "lon": "PSXT91_108", "depth": "zlev", "time": "TIME1"},
        {"lat": "y", "lon": "x", "depth": "level"},
    ],
)
def test_axes_are_found_under_any_name(tmp_path: Path, names: dict[str, str]) -> None:
    world(**names).to_netcdf(tmp_path / "a.nc")
    dataset = open_fields(tmp_path / "a.nc")
    assert dataset["thetao"].dims == ("time", "depth", "lat", "lon")
    xr.testing.assert_equal(dataset.load(), world().sortby("lat"))


def test_height_upwards_and_centimetres_become_depth_downwards_in_metres(tmp_path: Path) -> None:
    up = world().assign_coords(depth=("depth", [-0.5, -10.0], {"units": "m", "positive": "up", "axis": "Z"}))
    up.to_netcdf(tmp_path / "up.nc")
    xr.testing.assert_equal(open_fields(tmp_path / "up.nc").load(), world().sortby("lat"))
    centimetres = world().assign_coords(depth=("depth", [50.0, 1000.0], {"units": "cm", "axis": "Z"}))
    centimetres.to_netcdf(tmp_path / "cm.nc")
    assert open_fields(tmp_path / "cm.nc")["depth"].values.tolist() == [0.5, 10.0]


def test_files_are_joined_along_time(tmp_path: Path) -> None:
    truth = world().sortby("lat")
    truth.isel(time=slice(2, 4)).to_netcdf(tmp_path / "a.nc")
    truth.isel(time=slice(0, 2)).to_netcdf(tmp_path / "b.nc")
    xr.testing.assert_equal(open_fields(tmp_path / "*.nc").load(), truth)
    truth.isel(time=slice(0, 1), lat=slice(0, 2)).to_netcdf(tmp_path / "c.nc")
    with pytest.raises(DataError, match="do not fit together"):
        open_fields(tmp_path / "*.nc")


def test_what_cannot_be_read_says_so(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="No file at"):
        open_fields(tmp_path / "nothing.nc")
    (tmp_path / "text.nc").write_text("no netcdf")
    with pytest.raises(FileFormatError, match=r"text\.nc"):
        open_fields(tmp_path / "text.nc")
    with pytest.raises(FileFormatError, match="is a folder"):
        open_fields(tmp_path)
    with pytest.raises(ConfigurationError, match=r"\.nc or \.zarr"):
        write_dataset(world(), tmp_path / "a.csv")
    xr.Dataset({"a": ("n", [1.0, 2.0])}).to_netcdf(tmp_path / "flat.nc")
    with pytest.raises(DataError, match="No latitude and longitude"):
        open_fields(tmp_path / "flat.nc")
    curved = xr.Dataset({"a": (("j", "i"), np.zeros((2, 2)))}, {"nav_lat": (("j", "i"), np.zeros((2, 2)))})
    curved.to_netcdf(tmp_path / "curved.nc")
    with pytest.raises(DataError, match="two-dimensional latitude"):
        open_fields(tmp_path / "curved.nc")


@pytest.mark.parametrize(("calendar", "expected"), [("standard", "1986-01-16T12:00:00"), ("360_day", "1986-01-16")])
def test_months_since_are_dated_mid_month(tmp_path: Path, calendar: str, expected: str) -> None:
    dataset = (
        world()
        .isel(time=[0])
        .assign_coords(time=("time", [372.5], {"units": "months since 1955-01-01 00:00:00", "calendar": calendar}))
    )
    dataset.to_netcdf(tmp_path / "a.nc")
    date = open_fields(tmp_path / "a.nc")["time"].values[0]
    if calendar == "360_day":
        assert date == cftime.Datetime360Day(1986, 1, 16)
    else:
        assert date == np.datetime64(expected)


def test_a_time_axis_without_a_date_is_refused(tmp_path: Path) -> None:
    world().assign_coords(time=[0.0, 1.0, 2.0, 3.0]).to_netcdf(tmp_path / "a.nc")
    with pytest.raises(FileFormatError, match="days since"):
        open_fields(tmp_path / "a.nc")
    assert open_fields(tmp_path / "a.nc", decode=False)["time"].values.tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("packed_as", "valid", "kept"),
    [
        (
            {"dtype": "int16", "scale_factor": 0.01, "add_offset": 20.0},
            {"valid_range": np.array([-1000, 1000], "i2")},
            3,
        ),
        ({"dtype": "int16", "scale_factor": 0.01, "add_offset": 20.0}, {"valid_range": np.array([10.0, 30.0])}, 3),
        ({"dtype": "int16", "scale_factor": 0.01, "add_offset": 20.0}, {"valid_max": np.int16(1000)}, 3),
        (
            {"dtype": "int16", "scale_factor": -0.01, "add_offset": 20.0},
            {"valid_range": np.array([-1000, 1000], "i2")},
            3,
        ),
        ({"dtype": "int16", "scale_factor": 0.01}, {}, 4),
        ({"dtype": "float32"}, {"valid_min": np.float32(10.0), "valid_max": np.float32(30.0)}, 3),
        ({"dtype": "float64"}, {"valid_max": "thirty"}, 4),
    ],
)
def test_packed_integers_and_valid_ranges(tmp_path: Path, packed_as: dict, valid: dict, kept: int) -> None:
    values = np.array([[[10.0, 20.0, 30.0], [40.0, np.nan, np.nan]]])
    dataset = xr.Dataset(
        {"a": (("time", "lat", "lon"), values, valid)},
        {"time": np.array(["2000-01-01"], "datetime64[ns]"), "lat": [1.0, 2.0], "lon": [1.0, 2.0, 3.0]},
    )
    fill = {"_FillValue": -32768 if packed_as["dtype"] == "int16" else np.dtype(packed_as["dtype"]).type(1e20)}
    dataset.to_netcdf(tmp_path / "a.nc", encoding={"a": packed_as | fill})
    field = open_fields(tmp_path / "a.nc")["a"].values
    assert np.isfinite(field).sum() == kept
    np.testing.assert_allclose(field[np.isfinite(field)], values.ravel()[:kept], atol=1e-5)


def test_a_variable_that_is_nan_everywhere_is_left_out_or_refused(tmp_path: Path) -> None:
    dataset = world()
    dataset.assign(empty=dataset["zos"] * np.nan).to_netcdf(tmp_path / "a.nc")
    assert open_archive(tmp_path / "a.nc").variables == ("thetao", "zos")
    with pytest.raises(DataError, match=r"'empty'.*NaN everywhere"):
        open_archive(tmp_path / "a.nc", ["empty"])


@pytest.mark.parametrize("axis", ["time", "depth", "lat", "lon"])
def test_an_axis_with_missing_values_is_named(tmp_path: Path, axis: str) -> None:
    dataset = world()
    values = dataset[axis].values.copy()
    values[1] = np.datetime64("NaT") if axis == "time" else np.nan
    dataset = dataset.assign_coords({axis: (axis, values, dataset[axis].attrs)})
    dataset.to_netcdf(tmp_path / "a.nc")
    with pytest.raises(DataError, match=r"lat|lon" if axis in ("lat", "lon") else axis):
        open_fields(tmp_path / "a.nc")


def test_bounds_and_grid_mappings_are_no_fields(tmp_path: Path) -> None:
    dataset = world()
    dataset["lat"].attrs["bounds"] = "lat_bnds"
    dataset = dataset.assign(lat_bnds=(("lat", "nv"), np.zeros((5, 2))), crs=((), 0))
    dataset.to_netcdf(tmp_path / "a.nc")
    assert set(open_fields(tmp_path / "a.nc")) == {"thetao", "zos"}


def test_grib_without_cfgrib_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.grib").write_bytes(b"GRIB")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"a\.grib.*cfgrib.*pip install"):
        open_fields(tmp_path / "a.grib")


def test_the_archive_knows_land_from_gaps(tmp_path: Path) -> None:
    world().to_netcdf(tmp_path / "a.nc")
    archive = open_archive(tmp_path / "a.nc")
    assert isinstance(archive, Archive)
    assert archive.periodic
    assert archive.variables == ("thetao", "zos")
    assert archive.levels("thetao") == (0.5, 10.0)
    assert archive.levels("zos") == (None,)
    domain = archive.domain("thetao")
    assert domain.dims == ("depth", "lat", "lon")
    assert not domain.sel(lat=60, lon=0).any()
    assert domain.isel(depth=0).sel(lat=30, lon=135), "a cell that is NaN once is a gap, not land"
    assert not domain.isel(depth=1).sel(lon=45).any()
    with pytest.raises(DataError, match="Did you mean 'thetao'"):
        archive.domain("theta")
    with pytest.raises(DataError, match="Did you mean 'thetao'"):
        open_archive(tmp_path / "a.nc", ["theta"])


def test_selections(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    world().to_netcdf(tmp_path / "a.nc")
    with caplog.at_level(logging.INFO):
        archive = open_archive(
            tmp_path / "a.nc",
            ["thetao"],
            levels=[9.0],
            region={"lat": [25, 55], "lon": [-100, 50]},
            time=["2001", "2001"],
        )
    assert "nearest levels in the file, m: 9 -> 10" in caplog.text
    assert archive.levels("thetao") == (10.0,)
    assert archive.dataset["lat"].values.tolist() == [30, 40, 50]
    lon = archive.dataset["lon"].values
    assert np.all(np.diff(lon) == 45)
    assert (lon % 360).tolist() == [270, 315, 0, 45]
    xr.testing.assert_equal(
        archive.dataset["thetao"].drop_vars("lon"),
        world()["thetao"]
        .sortby("lat")
        .isel(depth=[1], lat=slice(1, 4), lon=[6, 7, 0, 1], time=[2, 3])
        .drop_vars("lon"),
    )
    assert not archive.periodic
    for wrong in ({"region": {"lat": [-80, -70]}}, {"time": ["1990", "1991"]}, {"levels": [0.0, 0.1]}):
        with pytest.raises(DataError):
            open_archive(tmp_path / "a.nc", **wrong)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="Did you mean 'lon'"):
        open_archive(tmp_path / "a.nc", region={"lng": [0, 1]})


def test_a_named_file_gives_the_domain_and_the_files_own_goes_before(tmp_path: Path) -> None:
    truth = world()
    truth.to_netcdf(tmp_path / "a.nc")
    half = xr.zeros_like(truth["zos"].isel(time=0, drop=True), dtype=bool)
    half[:, :4] = True
    half.to_dataset(name="mask").to_netcdf(tmp_path / "mask.nc")
    archive = open_archive(tmp_path / "a.nc", domain=tmp_path / "mask.nc")
    assert archive.domain("zos").values[:, :4].all()
    assert not archive.domain("zos").values[:, 4:].any()
    assert archive.domain("thetao").dims == ("depth", "lat", "lon")
    truth.assign(domain=~half).to_netcdf(tmp_path / "own.nc")
    archive = open_archive(tmp_path / "own.nc", domain=tmp_path / "mask.nc")
    assert not archive.domain("zos").values[:, :4].any()
    half.assign_coords(lat=half["lat"] + 3).to_dataset(name="mask").to_netcdf(tmp_path / "shifted.nc")
    with pytest.raises(DataError, match="another grid"):
        open_archive(tmp_path / "a.nc", domain=tmp_path / "shifted.nc")


def test_large_archives_stay_lazy(tmp_path: Path) -> None:
    world().to_netcdf(tmp_path / "a.nc")
    lazy = open_archive(tmp_path / "a.nc", in_memory_mib=0)
    assert lazy.dataset["thetao"].chunks is not None
    loaded = open_archive(tmp_path / "a.nc")
    assert loaded.dataset["thetao"].chunks is None
    xr.testing.assert_equal(lazy.dataset.load(), loaded.dataset)
    xr.testing.assert_equal(lazy.domain("thetao"), loaded.domain("thetao"))


# real files: name, variables, sizes, periodic, share of the domain (of the first variable)
REAL = {
    "sst/ersstv5_monthly_2010-2020_2deg.nc": (("sst",), {"time": 128, "lat": 89, "lon": 180}, True, 0.686),
    "sst/ostia_monthly_tropics.nc": (("surface_temperature",), {"time": 54, "lat": 18, "lon": 432}, True, 0.736),
    "sst/avhrr_alboran_L3_10days_clouds.nc": (("SST",), {"time": 10, "lat": 201, "lon": 301}, False, 0.366),
    "ssh/duacs_med_adt_daily_2005Q2.nc": (("adt",), {"time": 91, "lat": 128, "lon": 344}, False, 0.380),
    "ssh/duacs_nrt_global_adt_20190223.nc": (("adt", "ugos", "vgos"), {"lat": 720, "lon": 1440}, True, 0.574),
    "sections3d/glorys12_monthly_T_section_Bonavista.nc": (
        ("thetao",),
        {"depth": 50, "lat": 1, "lon": 15},
        False,
        0.607,
    ),
    "sections3d/woa18_*.nc": (("t_an",), {"time": 4, "depth": 1, "lat": 11, "lon": 11}, False, 1.0),
    "atmos/A1B_north_america.nc": (("air_temperature",), {"time": 240, "lat": 37, "lon": 49}, False, 1.0),
    "sst/oisst_19811231_2deg_with_err.nc": (
        ("sst", "anom", "err", "ice"),
        {"time": 1, "depth": 1, "lat": 90, "lon": 180},
        True,
        0.725,
    ),
    "atmos/ncep_r1_slp_daily_2001-2010_natl.nc": (("slp",), {"time": 3652, "lat": 17, "lon": 33}, False, 1.0),
    "sections3d/glorys12_monthly_T_section_WhiteBay.nc": (("thetao",), {"depth": 50, "lat": 1, "lon": 20}, False, 0.58),
    "sections3d/gfdl_pacific_ogcm_3d_1982-83.nc": (("U", "V", "TAUX", "TAUY"), {"depth": 10, "lat": 21}, False, 1.0),
}


@pytest.mark.parametrize("name", REAL)
def test_real_files_open(data_folder: Path, name: str) -> None:
    variables, sizes, periodic, share = REAL[name]
    archive: GriddedArchive = open_archive(data_folder / name)
    assert archive.variables == variables
    assert {d: archive.dataset.sizes[d] for d in sizes} == sizes
    assert archive.periodic is periodic
    assert float(archive.domain(variables[0]).mean()) == pytest.approx(share, abs=1e-3)
    assert np.all(np.diff(archive.dataset["lat"].values) > 0)
    assert np.all(np.diff(archive.dataset["lon"].values) > 0)
    assert archive.times.dtype.kind in "MO"


def test_the_section_keeps_its_stations(data_folder: Path) -> None:
    section = open_fields(data_folder / "sections3d/glorys12_monthly_T_section_WhiteBay.nc")
    assert section["station"].values[[0, -1]].tolist() == ["WB-01", "WB-20"]
    assert float(section["station_lat"][0]) == pytest.approx(50.23)


def test_every_level_of_a_real_model_has_its_own_domain(data_folder: Path) -> None:
    archive = open_archive(data_folder / "sections3d/glo12_analysis_seal_island_20200725_3d.nc", ["thetao", "zos"])
    ocean = archive.domain("thetao").sum(("lat", "lon")).values
    assert ocean[0] > ocean[-1]
    assert np.all(np.diff(ocean) <= 0), "no ocean below land"


def test_a_staggered_file_opens_on_the_grid_that_is_asked_for(data_folder: Path) -> None:
    path = data_folder / "sections3d/gfdl_pacific_ogcm_3d_1982-83.nc"
    assert open_archive(path, ["TEMP"]).dataset.sizes["lat"] == 22
    with pytest.raises(DataError, match="another grid"):
        open_archive(path, ["TEMP", "U"])


def test_real_files_without_time_or_axes(data_folder: Path) -> None:
    field = open_fields(data_folder / "spatial/heaton_simulated_gp.nc")
    assert dict(field.sizes) == {"lat": 300, "lon": 500}
    with pytest.raises(DataError, match="no time axis"):
        open_archive(data_folder / "spatial/heaton_simulated_gp.nc", ["truth"])
    for name in ("divand_dan_field_obs.nc", "dineof_alboran/eof.nc"):
        with pytest.raises(DataError, match="latitude"):
            open_fields(data_folder / "known_answer" / name)


def test_real_units(data_folder: Path) -> None:
    path = data_folder / "sections3d/gfdl_pacific_ogcm_3d_1982-83.nc"
    assert float(abs(open_fields(path, variables=["U"])["U"]).max()) > 20, "an unknown name keeps its cm/sec"
    assert open_fields(path, variables=["TEMP"])["TEMP"].attrs["units"] == "deg. C"
    with pytest.raises(DataError, match=r"frac\. by wt\. less \.035"):
        open_fields(path, variables=["SALT"])
    sst = open_archive(data_folder / "sst/avhrr_alboran_L3_10days_clouds.nc").dataset["SST"]
    assert sst.attrs["units"] == "degC"
    assert float(sst.mean()) == pytest.approx(18.8, abs=0.05)


def test_real_calendars(data_folder: Path) -> None:
    first = open_fields(data_folder / "atmos/A1B_north_america.nc")["time"].values[0]
    assert first == cftime.Datetime360Day(1860, 6, 1)
    months = open_fields(data_folder / "sections3d/woa18_*.nc")["time"].values.astype("datetime64[D]").astype(str)
    assert months.tolist() == ["1986-01-16", "1986-04-16", "1986-07-16", "1986-10-16"]


def test_grib_opens(data_folder: Path) -> None:
    pytest.importorskip("cfgrib")
    archive = open_archive(data_folder / "atmos/era5_t2m_uk_hourly_2019-03.grib", time=["2019-03-01", "2019-03-02"])
    assert archive.variables == ("t2m",)
    assert dict(archive.dataset.sizes) == {"time": 48, "lat": 33, "lon": 49}
    assert float(archive.dataset["lat"][0]) == 50.0
    with pytest.raises(DataError, match="isobaricInhPa"):
        open_archive(data_folder / "atmos/era5_levels_10members.grib")


@pytest.mark.parametrize("axis", ["lat", "lon"])
def test_an_empty_axis_is_refused(tmp_path: Path, axis: str) -> None:
    tiny_ocean().isel({axis: slice(0, 0)}).to_zarr(tmp_path / "a.zarr", consolidated=False)
    with pytest.raises(DataError, match=f"The {axis} axis of .* is empty"):
        open_fields(tmp_path / "a.zarr")


@pytest.mark.parametrize("factor", [1e4, -1e4])
def test_years_that_nobody_writes_are_refused(tmp_path: Path, factor: float) -> None:
    dataset = tiny_ocean(times=4).isel(lat=slice(0, 3))
    days = (np.arange(4) + 400.0) * factor
    dataset = dataset.assign_coords(time=("time", days, {"units": "days since 2000-01-01"}))
    dataset.to_netcdf(tmp_path / "a.nc")
    with pytest.raises(FileFormatError, match=r"expected 1 to 9999|Cannot decode"):
        open_fields(tmp_path / "a.nc")


@pytest.mark.parametrize(("axis", "says"), [("lat", "time"), ("lon", "depth")])
def test_two_axes_of_one_kind_are_refused(tmp_path: Path, axis: str, says: str) -> None:
    dataset = tiny_ocean(times=4)
    dataset[axis].attrs = {"standard_name": says}
    dataset.to_netcdf(tmp_path / "a.nc")
    with pytest.raises(UserError):
        open_fields(tmp_path / "a.nc")


@pytest.mark.parametrize(("calendar", "same"), [("360", "360_day"), ("365", "noleap"), ("366", "all_leap")])
def test_calendars_of_other_names(tmp_path: Path, calendar: str, same: str) -> None:
    for name in (calendar, same):
        dataset = tiny_ocean(times=4)
        attrs = {"units": "months since 1960-01-01", "calendar": name}
        dataset.assign_coords(time=("time", np.arange(4) + 0.5, attrs)).to_netcdf(tmp_path / f"{name}.nc")
    found, expected = (open_fields(tmp_path / f"{name}.nc")["time"].values for name in (calendar, same))
    np.testing.assert_array_equal(found, expected)
    assert str(found[1])[:7] == "1960-02"


@pytest.mark.parametrize("unit", ["days", "hours"])
@pytest.mark.parametrize("year", [1850, 1950])
def test_hours_in_single_precision_are_whole_ones(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, unit: str, year: int
) -> None:
    hours = np.arange(24) + (np.datetime64("2000-01-01") - np.datetime64(f"{year}-01-01")) / np.timedelta64(1, "h")
    times = (hours / 24 if unit == "days" else hours).astype("f4")
    axis = ("time", times, {"units": f"{unit} since {year}-01-01"})
    with caplog.at_level(logging.INFO):
        tiny_ocean(times=24).assign_coords(time=axis).to_netcdf(tmp_path / "a.nc")
        found = open_fields(tmp_path / "a.nc")["time"].values
    np.testing.assert_array_equal(found, np.datetime64("2000-01-01") + np.arange(24) * np.timedelta64(1, "h"))
    assert ("taken as whole hours" in caplog.text) == (unit == "days")


def test_half_hours_in_single_precision_stay(tmp_path: Path) -> None:
    times = (18262 + np.arange(4) / 48).astype("f4")
    axis = ("time", times, {"units": "days since 1950-01-01"})
    tiny_ocean(times=4).assign_coords(time=axis).to_netcdf(tmp_path / "a.nc")
    found = open_fields(tmp_path / "a.nc")["time"].values
    apart = np.abs(found - (np.datetime64("2000-01-01") + np.arange(4) * np.timedelta64(30, "m"))) / np.timedelta64(
        1, "s"
    )
    assert apart.max() < 120


@pytest.mark.parametrize("size", [1, 3])
def test_members_need_no_numbers(tmp_path: Path, size: int) -> None:
    dataset = tiny_ocean(times=4)[["sst"]].expand_dims(number=size).copy()
    dataset.to_netcdf(tmp_path / "a.nc")
    found = open_fields(tmp_path / "a.nc")["sst"]
    assert found.sizes.get("member", 1) == size
    if size == 1:  # a member alone is no ensemble
        assert open_archive(tmp_path / "a.nc", ["sst"]).dataset["sst"].dims == ("time", "lat", "lon")


@pytest.mark.parametrize("method", [Climatology, LinearInterpolation])
def test_observations_with_a_dimension_more_are_refused(method: type[Climatology]) -> None:
    peer = method()
    peer.fit(tiny_training_data())
    seen = tiny_ocean().isel(time=[20])
    with pytest.raises(DataError, match=r"'thetao' in the observations has the dimension\(s\) \['step'\]"):
        peer.reconstruct(seen.assign(thetao=seen["thetao"].expand_dims(step=2)), members=2)

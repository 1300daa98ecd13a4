"""What is declared is converted; what is impossible is said; depth from pressure is the published formula."""

from pathlib import Path

import dask.array
import numpy as np
import pytest
import xarray as xr

from driftfield.data.sources import open_archive, open_fields
from driftfield.errors import DataError
from driftfield.gridded.quantities import QUANTITIES, quantity_of
from driftfield.gridded.units import canonical_units, check_plausible, convert, depth_of_pressure


def field(values: object, units: str | None, name: str = "thetao", **attrs: str) -> xr.DataArray:
    return xr.DataArray(np.atleast_1d(values), name=name, attrs=attrs | ({} if units is None else {"units": units}))


@pytest.mark.parametrize(
    ("value", "units", "to", "expected"),
    [
        (290.15, "K", "degC", 17.0),
        (290.15, "kelvin", "degC", 17.0),
        (17.0, "degree Celsius", "degC", 17.0),
        (17.0, "deg. C", "degC", 17.0),
        (17.0, "degrees_C", "K", 290.15),
        (50.0, "degF", "degC", 10.0),
        (45.0, "cm", "m", 0.45),
        (12.0, "cm/sec", "m s-1", 0.12),
        (12.0, "m.s**-1", "m s-1", 12.0),
        (1013.25, "hPa", "Pa", 101325.0),
        (35.0, "PSU", "1e-3", 35.0),
        (0.035, "kg kg-1", "1e-3", 35.0),
        (80.0, "percent", "1", 0.8),
    ],
)
def test_units_convert_and_back(value: float, units: str, to: str, expected: float) -> None:
    there = convert(field(value, units), to)
    assert there.values[0] == pytest.approx(expected, abs=1e-12)
    assert there.attrs["units"] == to
    assert convert(there, units).values[0] == pytest.approx(value, rel=1e-12)


def test_practical_salinity_has_the_unit_1() -> None:
    assert convert(field(35.0, "1", "so"), "1e-3").values[0] == 35.0


def test_a_difference_is_scaled_and_not_shifted() -> None:
    assert convert(field(0.5, "K"), "degC", difference=True).values[0] == 0.5
    assert convert(field(9.0, "degF"), "degC", difference=True).values[0] == pytest.approx(5.0)


def test_a_lazy_field_stays_lazy_and_narrow() -> None:
    lazy = xr.DataArray(dask.array.full((4,), 280.0, dtype=np.float32, chunks=2), name="sst", attrs={"units": "K"})
    converted = convert(lazy, "degC")
    assert converted.chunks is not None
    assert converted.dtype == np.float32


@pytest.mark.parametrize("units", ["furlongs", "m", "frac. by wt. less .035", ""])
def test_units_that_do_not_convert_are_named(units: str) -> None:
    with pytest.raises(DataError, match="thetao") as error:
        convert(field(1.0, units), "degC")
    assert "degC" in str(error.value)
    assert repr(units) in str(error.value) or not units


def test_quantities_are_known_by_standard_name_then_by_name() -> None:
    def units(name: str, **attrs: str) -> str | None:
        quantity = quantity_of(field(0.0, "1", name, **attrs))
        return quantity and quantity.units

    assert units("x", standard_name="sea_water_potential_temperature") == "degC"
    assert units("x", standard_name="sea_surface_foundation_temperature") == "degC"
    assert units("x", standard_name="surface_temperature") == "K"
    assert units("t2m", standard_name="unknown") == "K"
    assert units("x", standard_name="sea_surface_height_above_geoid") == "m"
    assert units("x", standard_name="surface_geostrophic_eastward_sea_water_velocity") == "m s-1"
    assert units("adt") == "m"
    assert units("chl") is None
    assert units("sst", long_name="SST anomaly") is None, "an anomaly in kelvin is one in degrees Celsius"
    assert units("x", standard_name="sea_water_temperature_anomaly") is None
    for quantity in QUANTITIES:  # every range is stated in a unit that converts to itself
        convert(field(quantity.low, quantity.units), quantity.units)


def test_impossible_values_name_variable_unit_and_range() -> None:
    check_plausible(field([-1.9, 31.0, np.nan], "degC"))
    check_plausible(field([271.0, 304.0], "K"))
    check_plausible(field([290.0], None))
    for values, units, said in (
        ([290.0], "degC", "290 degC"),
        ([15.0], "K", "-258.15 degC"),
        ([-9999.0], "degC", "_FillValue"),
        ([np.inf], "degC", "infinite"),
        ([3.0], "parsec", "'parsec'"),
    ):
        with pytest.raises(DataError, match="thetao") as error:
            check_plausible(field(values, units))
        assert said in str(error.value)


def test_errors_and_members_convert_with_their_variable() -> None:
    dims = ("lat", "lon")
    sst = xr.DataArray([[290.15]], dims=dims, attrs={"units": "K"})
    error, member = xr.DataArray([[0.5]], dims=dims), xr.DataArray([[[280.15]]], dims=("member", *dims))
    converted = canonical_units(xr.Dataset({"sst": sst, "sst_error": error, "sst_member": member}))
    assert converted["sst"].item() == pytest.approx(17.0)
    assert converted["sst_error"].item() == 0.5
    assert converted["sst_member"].item() == pytest.approx(7.0)
    assert {converted[n].attrs["units"] for n in converted} == {"degC"}


def ocean(path: Path, units: str, values: float, **encoding: object) -> Path:
    coords = {"time": np.array(["2000-01-01"], dtype="datetime64[ns]"), "lat": [1.0, 2.0], "lon": [5.0, 6.0]}
    data = np.full((1, 2, 2), values)
    data[0, 0, 0] += 1
    dataset = xr.Dataset({"thetao": (("time", "lat", "lon"), data, {"units": units})}, coords)
    dataset.to_netcdf(path, encoding={"thetao": encoding} if encoding else None)
    return path


def test_files_are_opened_in_canonical_units(tmp_path: Path) -> None:
    kelvin = open_archive(ocean(tmp_path / "k.nc", "K", 290.15), ["thetao"]).dataset["thetao"]
    assert kelvin.attrs["units"] == "degC"
    assert kelvin.values[0, 1, 1] == pytest.approx(17.0, abs=1e-4)
    with pytest.raises(DataError, match=r"thetao.*291 degC"):
        open_archive(ocean(tmp_path / "wrong.nc", "degC", 290.0))
    unknown = ocean(tmp_path / "unknown.nc", "furlongs", 17.0)
    assert open_fields(unknown)["thetao"].attrs["units"] == "furlongs"
    with pytest.raises(DataError, match=r"unknown\.nc.*furlongs"):
        open_fields(unknown, variables=["thetao"])
    with pytest.raises(DataError, match="furlongs"):
        open_archive(unknown)


def test_land_is_not_looked_at(tmp_path: Path) -> None:
    path = ocean(tmp_path / "land.nc", "degC", 17.0)
    with xr.open_dataset(path) as opened:
        dataset = opened.load()
    dataset["thetao"][0, 1, 1] = -9999.0
    dataset["domain"] = dataset["thetao"][0].drop_vars("time") > -99
    dataset.to_netcdf(tmp_path / "own.nc")
    assert open_archive(tmp_path / "own.nc", ["thetao"]).variables == ("thetao",)


def test_depth_of_pressure_is_the_published_check_value() -> None:
    # Unesco 44 has 9712.653 m by EOS-80; TEOS-10 (McDougall and Barker 2011, z_from_p) a metre more
    assert depth_of_pressure(np.array(10000.0), 30.0) == pytest.approx(9713.735, abs=5e-4)
    p = np.linspace(0.0, 11000.0, 200)
    depth = depth_of_pressure(p, 45.0)
    assert depth[0] == 0
    assert np.all(np.diff(depth) > 0)

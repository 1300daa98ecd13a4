"""Axes of every name, unit, sign and order: written as somebody would write them, read back, and the value is the right one."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cftime
import numpy as np
import pytest
import xarray as xr

from driftfield.data.sources import open_archive
from driftfield.errors import DataError, FileFormatError, UserError
from driftfield.gridded.gridded_files import open_fields

LAT, LON, DEPTH = 30 + 0.5 * np.arange(4), -20 + 0.5 * np.arange(5), np.array([2.0, 10.0, 50.0, 200.0])


def value(days: np.ndarray, depth: np.ndarray, lat: np.ndarray, lon: np.ndarray) -> np.ndarray:
    """A field that says where and when it is."""
    t, z, y, x = np.meshgrid(days, depth, lat, lon, indexing="ij")
    return 10 + 0.01 * t - 0.01 * z + 0.1 * (y - 30) + 0.03 * (x + 20)


@dataclass
class Axis:
    """A dimension as a file has it."""

    name: str
    values: np.ndarray
    attrs: dict[str, Any]


def horizontal(rng: np.random.Generator, lat: bool) -> Axis:
    """A latitude or longitude: by its attributes or by its name, in degrees or radians, in any direction."""
    values = LAT if lat else LON
    known = ["lat", "latitude", "Latitude", "LAT", "lats"] if lat else ["lon", "longitude", "Longitude", "LON", "long"]
    odd = ["PSYT35_56", "row", "j", "yax"] if lat else ["PSXT91_108", "column", "i", "xax"]
    standard = {"standard_name": "latitude" if lat else "longitude"}
    unit = str(
        rng.choice(
            ["degrees_north", "degree_N", "degrees_N", "degreesN"] if lat else ["degrees_east", "degree_E", "degreesE"]
        )
    )
    name, attrs = [
        (str(rng.choice(known)), {}),
        (str(rng.choice(known)), {"units": "degrees"}),
        (str(rng.choice(odd)), {"units": unit}),
        (str(rng.choice(odd)), standard | {"units": "degrees"}),
        (str(rng.choice(odd)), {"units": "degrees", "axis": "Y" if lat else "X"}),
        (str(rng.choice(known)), {"units": "radians"}),
        (str(rng.choice(odd)), standard | {"units": "radian"}),
        (str(rng.choice(known)), {"units": "degrees_south" if lat else "degrees_west"}),
    ][rng.integers(8)]  # fmt: skip
    written = values.copy()
    if attrs.get("units", "").startswith("rad"):
        written = np.radians(written)
    if attrs.get("units") in ("degrees_south", "degrees_west"):
        written = -written
    elif not lat and not attrs.get("units", "").startswith("rad") and rng.random() < 0.4:
        written = written % 360
    if rng.random() < 0.5:
        written = written[::-1]
    return Axis(name, written, attrs)


VERTICAL = {
    "m": 1.0, "meters": 1.0, "metre": 1.0, "cm": 100.0, "mm": 1000.0, "km": 0.001, "ft": 1 / 0.3048, "feet": 1 / 0.3048,
    "fathoms": 1 / 1.8288,
}  # fmt: skip


def vertical(rng: np.random.Generator) -> Axis:
    """Depths or heights, with every way to say which."""
    unit = str(rng.choice(list(VERTICAL)))
    written = DEPTH * VERTICAL[unit]
    name, attrs, sign = [
        ("depth", {}, 1),
        ("deptht", {"positive": "down"}, 1),
        ("lev", {"positive": "down", "axis": "Z"}, 1),
        ("z", {"positive": "up", "axis": "Z"}, -1),
        ("z", {"axis": "Z"}, -1),
        ("depth", {"positive": "up"}, -1),
        ("depth", {"positive": "up"}, 1),  # an old download tool
        ("depth", {"positive": "down"}, -1),
        ("layer", {"standard_name": "depth"}, 1),
        ("zed", {"standard_name": "height", "positive": "up"}, -1),
        ("PSZT1_10", {"positive": "down"}, 1),
    ][rng.integers(11)]
    written = sign * written
    return Axis(name, written[::-1] if rng.random() < 0.5 else written, attrs | {"units": unit})


def written_file(axes: dict[str, Axis], path: Path, rng: np.random.Generator) -> np.ndarray:
    """A file with these axes in a random order of dimensions; the field that must come back."""
    days = np.array([0.0, 5.0, 10.0])
    true = {"depth": DEPTH, "lat": LAT, "lon": LON}
    field = xr.DataArray(
        value(days, DEPTH, LAT, LON), dims=("time", "depth", "lat", "lon"), coords={"time": days, **true}, name="thetao"
    )
    expected = field.values
    for kind, axis in axes.items():
        # the value at a written number is that of the true one
        turned = axis.values[0] != 0 and not np.isclose(_true(axis.values[0], true[kind], axis), true[kind][0])
        field = field.isel({kind: slice(None, None, -1)}) if turned else field
        field = field.assign_coords({kind: (kind, axis.values, axis.attrs)}).rename({kind: axis.name})
    field["time"].attrs = {"units": "days since 2001-01-01"}
    order = list(rng.permutation(list(field.dims)))
    field.transpose(*order).assign_attrs(units="degC").to_dataset().to_netcdf(path)
    return expected


def _true(first: float, true: np.ndarray, axis: Axis) -> float:
    """Which end of the true axis the first written number stands for: the nearer in order of size."""
    order = np.argsort(np.abs(axis.values)) if true is DEPTH else np.argsort(axis.values)
    if true is DEPTH:
        return float(true[0] if order[0] == 0 else true[-1])
    falling = axis.attrs.get("units") in ("degrees_south", "degrees_west")
    return float(true[0] if (order[0] == 0) != falling else true[-1])


@pytest.mark.parametrize("seed", range(40))
def test_horizontal_axes(tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    axes = {"lat": horizontal(rng, True), "lon": horizontal(rng, False)}
    expected = written_file(axes | {"depth": Axis("depth", DEPTH, {"units": "m"})}, tmp_path / "a.nc", rng)
    found = open_fields(tmp_path / "a.nc")
    np.testing.assert_allclose(found["lat"].values, LAT, atol=1e-9)
    np.testing.assert_allclose((found["lon"].values + 180) % 360 - 180, LON, atol=1e-9)
    np.testing.assert_allclose(found["thetao"].values, expected)


@pytest.mark.parametrize("seed", range(40))
def test_vertical_axes(tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng([1, seed])
    plain = {"lat": Axis("lat", LAT, {}), "lon": Axis("lon", LON, {})}
    expected = written_file(plain | {"depth": vertical(rng)}, tmp_path / "a.nc", rng)
    archive = open_archive(tmp_path / "a.nc", ["thetao"], levels=[48])
    assert float(archive.dataset["depth"][0]) == pytest.approx(50.0)
    np.testing.assert_allclose(archive.dataset["thetao"].values[:, 0], expected[:, 2], rtol=1e-6)
    found = open_fields(tmp_path / "a.nc")
    np.testing.assert_allclose(found["depth"].values, DEPTH, rtol=1e-9)
    np.testing.assert_allclose(found["thetao"].values, expected)


@pytest.mark.parametrize(("unit", "factor"), [("dbar", 1.0), ("decibar", 1.0), ("bar", 0.1)])
@pytest.mark.parametrize("latitude", [5.0, 60.0])
def test_pressure_of_sea_water_becomes_depth(tmp_path: Path, unit: str, factor: float, latitude: float) -> None:
    import gsw

    depth = np.array([5.0, 100.0, 1000.0, 4000.0])
    pressure = gsw.p_from_z(-depth, latitude) * factor
    xr.Dataset(
        {"thetao": (("lev", "lat", "lon"), np.arange(8.0).reshape(4, 2, 1), {"units": "degC"})},
        {"lev": ("lev", pressure, {"units": unit, "positive": "down", "axis": "Z"}), "lat": latitude + np.array([-0.1, 0.1]),
         "lon": [0.0]},
    ).to_netcdf(tmp_path / "a.nc")  # fmt: skip
    np.testing.assert_allclose(open_fields(tmp_path / "a.nc")["depth"].values, depth, rtol=1e-4)


@pytest.mark.parametrize(
    ("name", "attrs"),
    [
        ("plev", {"units": "hPa", "axis": "Z", "positive": "down"}),
        ("level", {"units": "millibars"}),
        ("height", {"units": "m", "positive": "up", "standard_name": "height"}),
        ("altitude", {"units": "km", "positive": "up"}),
        ("lev", {"units": "1", "long_name": "level number"}),
        ("s_rho", {"standard_name": "ocean_s_coordinate_g2", "positive": "up", "units": "1"}),
        ("sigma", {"units": "sigma_level", "positive": "down"}),
        ("isobaric", {"units": "Pa"}),
    ],
)
def test_what_is_no_depth_is_refused_by_name(tmp_path: Path, name: str, attrs: dict[str, str]) -> None:
    """Pressures of the air, heights and numbers of levels are dimensions that an archive of depths does not take."""
    xr.Dataset(
        {"ta": (("time", name, "lat", "lon"), np.ones((2, 3, 2, 2)), {"units": "K"})},
        {name: (name, [1.0, 2.0, 5.0], attrs), "lat": [0.0, 1.0], "lon": [0.0, 1.0],
         "time": ("time", [0, 1], {"units": "days since 2001-01-01"})},
    ).to_netcdf(tmp_path / "a.nc")  # fmt: skip
    with pytest.raises(DataError, match=name):
        open_archive(tmp_path / "a.nc", ["ta"])


TIMES = {
    "standard": ["days since 1990-01-01", "hours since 1900-01-01 00:00:0.0", "seconds since 1970-01-01", "days since 1-1-1",
                 "minutes since 2000-01-01T00:00:00Z", "day as %Y%m%d.%f", "text", "wrf"],
    "noleap": ["days since 1990-01-01", "day as %Y%m%d.%f"],
    "360_day": ["days since 1990-01-01", "hours since 1985-01-01"],
    "proleptic_gregorian": ["days since 1990-01-01"],
}  # fmt: skip
PLACES = ("instant", "start", "end", "beyond")
STAMPS = [(calendar, unit, place) for calendar, units in TIMES.items() for unit in units for place in PLACES]


def encoded(dates: list[cftime.datetime], unit: str, calendar: str) -> tuple[np.ndarray, dict[str, str]]:
    """Dates as a file has them."""
    if unit == "text":
        return np.array([d.strftime("%Y-%m-%d %H:%M:%S") for d in dates]), {}
    if unit == "wrf":
        return np.array([d.strftime("%Y-%m-%d_%H:%M:%S") for d in dates]), {"standard_name": "time"}
    if unit.startswith("day as"):
        numbers = [d.year * 10000 + d.month * 100 + d.day + (d.hour * 3600 + d.minute * 60) / 86400 for d in dates]
        return np.array(numbers), {"units": unit, "calendar": calendar}
    return np.asarray(cftime.date2num(dates, unit, calendar=calendar), float), {"units": unit, "calendar": calendar}


@pytest.mark.parametrize(("calendar", "unit", "place"), STAMPS)
def test_dates_lie_inside_their_bounds(tmp_path: Path, calendar: str, unit: str, place: str) -> None:
    """Monthly means, stamped anywhere: each is dated in its own month; instants stay what they are."""
    starts = [cftime.datetime(2001 + (n // 12), n % 12 + 1, 1, calendar=calendar) for n in range(14)]
    left, right = starts[:-1], starts[1:]
    middle = [a + (b - a) / 2 for a, b in zip(left, right, strict=True)]
    late = [b + (b - a) / 20 for a, b in zip(left, right, strict=True)]
    stamps = {"instant": middle, "start": left, "end": right, "beyond": late}[place]
    values, attrs = encoded(stamps, unit, calendar)
    season = np.array([d.month for d in left], dtype=float)
    dataset = xr.Dataset(
        {"sst": (("time", "lat", "lon"), np.tile(season[:, None, None], (1, 4, 5)), {"units": "degC"})},
        {"time": ("time", values, attrs), "lat": ("lat", LAT), "lon": ("lon", LON)},
    )
    if place != "instant":
        dataset["time"].attrs["bounds"] = "time_bnds"
        ends = np.stack([encoded(part, unit, calendar)[0] for part in (left, right)], axis=1)
        dataset["time_bnds"] = (("time", "nv"), ends)
    dataset.to_netcdf(tmp_path / "a.nc")
    found = open_fields(tmp_path / "a.nc")
    assert found["time"].dt.month.values.tolist() == season.astype(int).tolist()
    assert found["time"].dt.year.values.tolist() == [d.year for d in left]
    np.testing.assert_array_equal(found["sst"].values[:, 0, 0], season)
    if place in ("instant", "start"):  # not moved, to the second
        expected = [d.strftime("%Y-%m-%dT%H:%M") for d in stamps]
        assert found["time"].dt.strftime("%Y-%m-%dT%H:%M").values.tolist() == expected


@pytest.mark.parametrize("name", ["time", "valid_time", "t", "date"])
@pytest.mark.parametrize("scalar", [True, False])
def test_one_date_is_a_record_of_one(tmp_path: Path, name: str, scalar: bool) -> None:
    """A date that stands beside the field, as `isel(time=0)` and GRIB leave it."""
    dims, shape = (("lat", "lon"), (4, 5)) if scalar else ((name, "lat", "lon"), (1, 4, 5))
    stamp = ((), 3.25) if scalar else ((name,), [3.25])
    xr.Dataset(
        {"sst": (dims, np.full(shape, 7.0), {"units": "degC"})},
        {name: (*stamp, {"units": "days since 2001-01-01"}), "lat": ("lat", LAT), "lon": ("lon", LON)},
    ).to_netcdf(tmp_path / "a.nc")
    found = open_archive(tmp_path / "a.nc", ["sst"])
    assert found.dataset["sst"].dims == ("time", "lat", "lon")
    assert str(found.times.values[0])[:16] == "2001-01-04T06:00"


@pytest.mark.parametrize(
    "unit", ["parsecs since yesterday", "days", "", "fortnights since 2001-01-01", "days since 2001-13-45"]
)
def test_a_time_that_nobody_can_read_is_refused(tmp_path: Path, unit: str) -> None:
    xr.Dataset(
        {"sst": (("time", "lat", "lon"), np.zeros((2, 4, 5)))},
        {"time": ("time", [0.0, 1.0], {"units": unit} if unit else {}), "lat": ("lat", LAT), "lon": ("lon", LON)},
    ).to_netcdf(tmp_path / "a.nc")
    with pytest.raises(FileFormatError, match="time axis"):
        open_fields(tmp_path / "a.nc")


@pytest.mark.parametrize("name", ["depth", "time", "lat", "lon", "member", "latitude", "longitude", "station"])
@pytest.mark.parametrize("dims", [("y", "x"), ("t", "y", "x"), ()])
def test_a_variable_that_is_called_like_an_axis_crashes_nothing(
    tmp_path: Path, name: str, dims: tuple[str, ...]
) -> None:
    """A bathymetry called depth, a field called time: kept under another name, or left out; the field beside it is right."""
    sizes = {"t": 2, "y": 4, "x": 5}
    values = np.random.default_rng(0).normal(size=(2, 4, 5))
    other = np.full([sizes[d] for d in dims], 42.0)
    if name in ("lat", "lon", "latitude", "longitude") and len(dims) < 3:
        pytest.skip("a plane or number of this name is a position")
    dataset = xr.Dataset(
        {"sst": (("t", "y", "x"), values, {"units": "degC"}), name: (dims, other, {"units": "1"})},
        {"t": ("t", [0.0, 1.0], {"units": "days since 2001-01-01"}), "y": ("y", LAT, {"units": "degrees_north"}),
         "x": ("x", LON, {"units": "degrees_east"})},
    )  # fmt: skip
    dataset.to_netcdf(tmp_path / "a.nc")
    found = open_archive(tmp_path / "a.nc", ["sst"])
    np.testing.assert_allclose(found.dataset["sst"].values, values, rtol=1e-6)
    whole = open_fields(tmp_path / "a.nc")
    assert {"time", "lat", "lon"} == set(whole["sst"].dims)
    if dims and name not in whole.coords:
        assert any(np.allclose(whole[n].values, 42.0) for n in (name, f"{name}_field") if n in whole)


@pytest.mark.parametrize("seed", range(16))
def test_axes_that_differ_by_rounding_are_one(tmp_path: Path, seed: int) -> None:
    """Single and double precision, and a thousandth of the spacing; where it is more, the message names the axis."""
    rng = np.random.default_rng([3, seed])
    shift = {axis: float(rng.uniform(-1, 1)) * (0.5e-1 if rng.random() < 0.5 else 1e-3) for axis in ("lat", "lon")}
    wrong = seed % 4 == 0
    if wrong:
        shift["lat" if rng.random() < 0.5 else "lon"] = 0.3
    axes = {"lat": LAT + 1 / 3, "lon": LON + 0.1}
    for k, name in enumerate("ab"):
        dataset = xr.Dataset(
            {"sst": (("time", "lat", "lon"), np.full((2, 4, 5), float(k)), {"units": "degC"})},
            {"time": ("time", [2.0 * k, 2.0 * k + 1], {"units": "days since 2001-01-01"}),
             **{n: (n, (v + k * 0.5 * shift[n]).astype(["f4", "f8"][k])) for n, v in axes.items()}},
        )  # fmt: skip
        dataset.to_netcdf(tmp_path / f"{name}.nc")
    if wrong:
        with pytest.raises(UserError, match=r"their (latitude|longitude) \((lat|lon)\) differs"):
            open_fields(tmp_path / "*.nc")
        return
    found = open_fields(tmp_path / "*.nc")
    assert found["sst"].values[:, 0, 0].tolist() == [0.0, 0.0, 1.0, 1.0]
    assert found.sizes["lat"] == 4

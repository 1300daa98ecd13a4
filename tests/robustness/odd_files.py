"""Odd files, as many programs write them: some are read right, some are refused, none ends with an internal error.

    odd(rng, place, good) -> arguments      one to four changes of a sound file, in one of six forms, met by any command

What becomes of each kind is asked by its own tests (tests/gridded, tests/data, tests/observations); here they meet one another.
"""

__all__ = ["CHANGES", "odd"]

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cftime
import numpy as np
import xarray as xr
from malformed import Rng, fields, seen
from odd_tables import odd_table

Change = Callable[[Rng, xr.Dataset], xr.Dataset]
CHANGES: dict[str, Change] = {}


def change(function: Change) -> Change:
    CHANGES[function.__name__] = function
    return function


def odd(rng: Rng, place: Path, good: Path) -> list[str]:
    """A file with one to four changes, and the command that meets it."""
    if rng.random() < 0.12:
        return odd_table(rng, place, good)
    dataset = (fields if rng.random() < 0.6 else seen)(good)
    if rng.random() < 0.5:
        dataset = dataset[[n for n in dataset.data_vars if "thetao" in str(n) or str(n) in ("domain", "held_out")]]
    for name in rng.choice(sorted(CHANGES), int(rng.integers(1, 5)), replace=False):
        # a change that no longer applies after another one leaves the file as it is
        try:
            dataset = CHANGES[str(name)](rng, dataset)
        except (KeyError, ValueError, TypeError, IndexError, AttributeError, OverflowError):
            continue
    return command(rng, written(rng, dataset, place), good)


def command(rng: Rng, path: Path, good: Path) -> list[str]:
    out, seed = ["--overwrite", "--out"], str(rng.integers(100))
    observe = [
        "--observe",
        f"thetao={rng.choice(['random:0.5', 'clouds:0.5', 'profiles:0.5', 'tracks:0.8'])}",
        "--seed",
        seed,
    ]
    run = str(good / str(rng.choice(["peer", "peer", "model"])))
    truth = ["--observations", str(good / "obs.nc"), *out, "report"]
    region = ["--region", str(rng.choice(["lat=31:33", "lon=-39:-36", "lat=31:33,lon=321:324", "lat=80:81"]))]
    calls = {
        "inspect": ["inspect", str(path)],
        "mask": ["mask", str(path), "out.nc", *observe, "--overwrite", *(region if rng.random() < 0.2 else [])],
        "train": ["train", str(good / "peer.yaml"), *out, "run", "--set", f"data.archive={path}"],
        "reconstruct": ["reconstruct", run, str(path), *out, "out.nc", "--members", "2"],
        "evaluate": ["evaluate", str(path), str(good / "out.nc"), *truth],
        "domain": ["reconstruct", run, str(good / "obs.nc"), *out, "out.nc", "--members", "2", "--domain", str(path)],
        "seen": ["evaluate", str(good / "truth.nc"), str(good / "out.nc"), "--observations", str(path), *out, "report"],
        "gather": ["gather", str(path), "--variable", "thetao=thetao", "--table", "out.nc", "--overwrite"],
        "fill": ["fill", str(path), *out, "filled.nc", "--variable", "thetao", "--method", "nearest"],
    }  # fmt: skip
    shares = {
        "inspect": 5,
        "mask": 5,
        "train": 2,
        "reconstruct": 5,
        "evaluate": 2,
        "domain": 1,
        "seen": 1,
        "gather": 1,
        "fill": 0.4,
    }
    weights = np.array([shares[name] for name in calls], dtype=float)
    return calls[str(rng.choice(list(calls), p=weights / weights.sum()))]


def written(rng: Rng, dataset: xr.Dataset, place: Path) -> Path:
    """In one of six forms; a form that cannot hold the data set gives way to NetCDF-4, and that to what it can hold."""
    form = str(rng.choice(["NETCDF4", "NETCDF4", "NETCDF4_CLASSIC", "NETCDF3_64BIT", "zarr2", "zarr3", "group"]))
    path = place / ("odd.zarr" if form.startswith("zarr") else "odd.nc")
    attempts: list[Callable[[], Any]] = [
        lambda: dataset.to_zarr(path, zarr_format=int(form[-1]), consolidated=False)
        if form.startswith("zarr")
        else dataset.to_netcdf(path, group="science" if form == "group" else None, format="NETCDF4" if form == "group" else form),
        lambda: dataset.to_netcdf(place / "odd.nc"),
        lambda: bare(dataset).to_netcdf(place / "odd.nc"),
        lambda: (place / "odd.nc").write_bytes(b"CDF\x01"),
    ]  # fmt: skip
    for attempt in attempts:
        try:
            attempt()
        except Exception:
            continue
        break
    return path if path.exists() and attempt is attempts[0] else place / "odd.nc"


def bare(dataset: xr.Dataset) -> xr.Dataset:
    """Without attributes: none of them stands in the way of writing."""
    left = dataset.drop_attrs().drop_encoding()
    return left.drop_vars([n for n in left.variables if left[n].dtype == object])


def one_of(rng: Rng, dataset: xr.Dataset) -> str:
    return str(rng.choice([str(n) for n in dataset.data_vars]))


def axis_of(rng: Rng, dataset: xr.Dataset) -> str:
    return str(rng.choice([str(d) for d in dataset.dims if d in dataset.coords]))


def with_axis(dataset: xr.Dataset, axis: str, values: np.ndarray, **attrs: object) -> xr.Dataset:
    return dataset.assign_coords({axis: (axis, values, dataset[axis].attrs | attrs)})


def numbers(dataset: xr.Dataset, axis: str = "time") -> np.ndarray:
    values = dataset[axis].values
    if values.dtype.kind == "M":
        return (values - np.datetime64("2000-01-01")) / np.timedelta64(1, "D")
    return np.asarray(values, dtype=float)


# -- values and their description --------------------------------------------------------------------------------------


@change
def other_units(rng: Rng, dataset: xr.Dataset) -> xr.Dataset:
    texts = ["K", "celcius", "degrees_Celsius", "1", "", "10^-3", "psu", "m/s", "ù", "degC ", "deg F", "kg m-3", "%", 3.5, [1, 2],
             "m" * 5000, "K\u202ecba", "log10(mg m-3)", "1e-99999999", "m^9^9^9", "x\x1b[31m"]  # fmt: skip
    dataset[one_of(rng, dataset)].attrs["units"] = texts[rng.integers(len(texts))]
    return dataset


@change
def no_units(rng: Rng, dataset: xr.Dataset) -> xr.Dataset:
    dataset[one_of(rng, dataset)].attrs.pop("units", None)
    return dataset


@change
def a_valid_range(rng: Rng, dataset: xr.Dataset) -> xr.Dataset:
    ranges = [[0, 20], [20, 0], [5.0], "0, 20", [np.nan, np.nan], [-1e30, 1e30], [0, -6], ["a", "b"], [1, 2, 3]]
    key = str(rng.choice(["valid_range", "valid_min", "valid_max", "actual_range"]))
    dataset[one_of(rng, dataset)].attrs[key] = ranges[rng.integers(len(ranges))]
    return dataset


@change
def constants_for_missing(rng: Rng, dataset: xr.Dataset) -> xr.Dataset:
    name = one_of(rng, dataset)
    constant = rng.choice([-9999.0, 0.0, 1e20, 9.96921e36, -32767.0, 99.0, 273.15, 3.4e38, -1e34])
    return dataset.assign({name: dataset[name].fillna(constant).assign_attrs(dataset[name].attrs)})


@change
def two_fill_values(rng: Rng, dataset: xr.Dataset) -> xr.Dataset:
    name = one_of(rng, dataset)
    dataset[name].attrs |= {
        "missing_value": np.float32(rng.choice([-999.0, 0.0, np.nan])),
        "_FillValue": np.float32(1e20),
    }
    return dataset


@change
def packed(rng: Rng, dataset: xr.Dataset) -> xr.Dataset:
    name = one_of(rng, dataset)
    dtype = str(rng.choice(["i2", "u2", "i1", "u1", "i4"]))
    scale = float(rng.choice([0.01, -0.01, 0.5, 0.0, np.nan, 1e-300]))
    info = np.iinfo(dtype)
    values = np.clip(np.nan_to_num(dataset[name].values / 0.01, nan=info.max), info.min, info.max).astype(dtype)
    attrs = dict(dataset[name].attrs) | {"scale_factor": scale, "add_offset": float(rng.choice([0.0, 273.15]))}
    if rng.random() < 0.5:
        attrs["_FillValue"] = np.array(info.max, dtype)
    if rng.random() < 0.4:
        attrs["_Unsigned"] = str(rng.choice(["true", "false", "TRUE", "yes"]))
    if rng.random() < 0.3:
        attrs |= {"flag_values": np.array([1, 2], dtype), "flag_meanings": "land ice"}
    return dataset.assign({name: (dataset[name].dims, values, attrs)})


@change
def another_type(rng: Rng, dataset: xr.Dataset) -> xr.Dataset:
    name, dtype = one_of(rng, dataset), str(rng.choice(["f8", "i2", "u1", "bool", "U", "S", "i8", "f2"]))
    return dataset.assign({name: np.nan_to_num(dataset[name]).astype(dtype)})


@change
def odd_attributes(rng: Rng, dataset: xr.Dataset) -> xr.Dataset:
    where = dataset[one_of(rng, dataset)] if rng.random() < 0.6 else dataset[axis_of(rng, dataset)]
    keys = ("ancillary_variables coordinates grid_mapping bounds cell_methods standard_name long_name flag_meanings flag_masks "
            "axis positive calendar missing_value")  # fmt: skip
    key = str(rng.choice(keys.split()))
    texts = [
        "none_such",
        "x" * 40_000,
        "a\u202eb\u2066c",
        "\x1b]0;title\x07",
        "",
        7,
        [1.5, 2.5],
        "latitude",
        "Z",
        "up",
        "time",
    ]
    where.attrs[key] = texts[rng.integers(len(texts))]
    return dataset


@change
def infinities(rng: Rng, dataset: xr.Dataset) -> xr.Dataset:
    name = one_of(rng, dataset)
    return dataset.assign(
        {name: dataset[name].where(rng.random(dataset[name].shape) > 0.05, rng.choice([np.inf, -np.inf, np.nan]))}
    )


# -- axes --------------------------------------------------------------------------------------------------------------


@change
def another_axis_name(rng: Rng, dataset: xr.Dataset) -> xr.Dataset:
    names = [
        "y",
        "x",
        "i",
        "j",
        "latitude",
        "LON",
        "nav_lat",
        "rlat",
        "xc",
        "lev",
        "z",
        "sigma",
        "t",
        "step",
        "station",
        "member",
    ]
    return dataset.rename({axis_of(rng, dataset): str(rng.choice(names))})


@change
def other_axis_numbers(rng: Rng, dataset: xr.Dataset) -> xr.Dataset:
    axis = axis_of(rng, dataset)
    values = numbers(dataset, axis)
    turned = [values[::-1], values + 360.0, np.radians(values), values * 1e5, np.arange(values.size), values.astype("f4") + 1e-6,
              rng.permutation(values), np.round(values), -values, np.full(values.size, values[0]), values * 0.0 + np.nan,
              np.linspace(0, 360, values.size), np.linspace(-180, 180, values.size)]  # fmt: skip
    return with_axis(dataset, axis, turned[rng.integers(len(turned))])


@change
def other_axis_attributes(rng: Rng, dataset: xr.Dataset) -> xr.Dataset:
    axis = axis_of(rng, dataset)
    units = [
        "degrees_north",
        "degrees_west",
        "radians",
        "m",
        "km",
        "1",
        "",
        "dbar",
        "hPa",
        "feet",
        "fathoms",
        "level",
        "days",
    ]
    standard = ["latitude", "longitude", "depth", "height", "time", "grid_latitude", "projection_x_coordinate", "air_pressure",
                "ocean_sigma_coordinate"]  # fmt: skip
    attrs = {
        "units": str(rng.choice(units)),
        "standard_name": str(rng.choice(standard)),
        "axis": str(rng.choice(["X", "Y", "Z", "T"])),
        "positive": str(rng.choice(["up", "down", "sideways"])),
    }
    named = {key: attrs[key] for key in rng.choice(sorted(attrs), int(rng.integers(1, 4)), replace=False)}
    return with_axis(dataset, axis, dataset[axis].values, **{str(k): v for k, v in named.items()})


@change
def an_axis_without_numbers(rng: Rng, dataset: xr.Dataset) -> xr.Dataset:
    return dataset.drop_vars(axis_of(rng, dataset))


@change
def a_packed_axis(rng: Rng, dataset: xr.Dataset) -> xr.Dataset:
    axis = axis_of(rng, dataset)
    scaled = np.round(numbers(dataset, axis) / 0.01).astype("i4")
    return with_axis(dataset, axis, scaled, scale_factor=0.01, add_offset=0.0)


@change
def positions_in_two_dimensions(rng: Rng, dataset: xr.Dataset) -> xr.Dataset:
    lat, lon = np.meshgrid(dataset["lat"].values, dataset["lon"].values, indexing="ij")
    tilt = float(rng.uniform(0, 0.2))
    lat, lon = lat + tilt * (lon - lon.mean()), lon - tilt * (lat - lat.mean())
    if rng.random() < 0.3:
        lat[: int(rng.integers(1, 9))] = rng.choice([np.nan, 0.0, 1e20])
    y, x = [("y", "x"), ("rlat", "rlon"), ("j", "i"), ("eta_rho", "xi_rho")][rng.integers(4)]
    names = [("nav_lat", "nav_lon"), ("lat", "lon"), ("latitude", "longitude"), ("XLAT", "XLONG")][rng.integers(4)]
    dims = (y, x) if rng.random() < 0.8 else (x, y)
    moved = dataset.rename(lat=y, lon=x)
    moved = moved.drop_vars([y, x]) if rng.random() < 0.6 else moved
    units = [("degrees_north", "degrees_east"), ("", ""), ("degrees", "degrees"), ("m", "m")][rng.integers(4)]
    for name, plane, unit in zip(names, (lat, lon), units, strict=True):
        moved[name] = (dims, plane if dims == (y, x) else plane.T, {"units": unit} if unit else {})
    if rng.random() < 0.3:
        pole = {"grid_mapping_name": "rotated_latitude_longitude", "grid_north_pole_latitude": 39.25}
        moved["rotated_pole"] = ((), 0, pole | ({"grid_north_pole_longitude": -162.0} if rng.random() < 0.7 else {}))
    return moved


@change
def a_section(rng: Rng, dataset: xr.Dataset) -> xr.Dataset:
    row = dataset.isel(lat=int(rng.integers(8)), drop=True).rename(lon="station")
    lon = row["station"].values
    row = row.drop_vars("station")
    row["latitude"] = (
        "station",
        32 + 0.1 * np.arange(lon.size) * rng.choice([1.0, 0.0, -1.0]),
        {"units": "degrees_north"},
    )
    row["longitude"] = ("station", rng.permutation(lon) if rng.random() < 0.5 else lon, {"units": "degrees_east"})
    return row


@change
def the_same_place_twice(rng: Rng, dataset: xr.Dataset) -> xr.Dataset:
    again = dataset.isel(lon=[0]).assign_coords(lon=dataset["lon"].values[:1] + 360.0)
    again = again * 1.01 if rng.random() < 0.3 else again
    return xr.concat([dataset, again], "lon", data_vars="minimal", coords="minimal", join="override", compat="override")


@change
def sizes_of_none_and_one(rng: Rng, dataset: xr.Dataset) -> xr.Dataset:
    axis = axis_of(rng, dataset)
    return dataset.isel({axis: [slice(0, 0), slice(0, 1), 0, slice(0, 2)][rng.integers(4)]})


@change
def one_dimension_more(rng: Rng, dataset: xr.Dataset) -> xr.Dataset:
    name, dim = one_of(rng, dataset), str(rng.choice(["member", "band", "nv", "expver", "z2"]))
    return dataset.assign({name: dataset[name].expand_dims({dim: int(rng.integers(1, 3))}).copy()})


@change
def another_order(rng: Rng, dataset: xr.Dataset) -> xr.Dataset:
    name = one_of(rng, dataset)
    return dataset.assign({name: dataset[name].transpose(*rng.permutation(list(dataset[name].dims)))})


@change
def names_that_mean_something_else(rng: Rng, dataset: xr.Dataset) -> xr.Dataset:
    names = ("depth time lat lon member domain held_out mask latitude observation thetao_domain thetao_error thetao_removed "
             "station température a/b")  # fmt: skip
    return dataset.rename({one_of(rng, dataset): str(rng.choice([*names.split(), "x" * 150]))})


# -- dates -------------------------------------------------------------------------------------------------------------


@change
def other_dates(rng: Rng, dataset: xr.Dataset) -> xr.Dataset:
    days, n = numbers(dataset), dataset.sizes["time"]
    units = str(rng.choice(["days since 2000-01-01", "days since 1-1-1 00:00:0.0", "hours since 1600-01-01T00:00:00Z",
                            "months since 2000-01-01", "seconds since 2000-01-01 00:00:00 UTC", "day as %Y%m%d.%f",
                            "common_years since 2000-01-01", "days since 0000-01-01", "Days Since 2000-1-1"]))  # fmt: skip
    calendar = str(rng.choice(["standard", "noleap", "360_day", "julian", "all_leap", "proleptic_gregorian", "none"]))
    gaps = np.where(days > days[n // 2], np.nan, days)
    values = [
        days,
        np.arange(n),
        days.astype("i4"),
        rng.permutation(days),
        days * 1e6,
        gaps,
        20010101.0 + np.arange(n),
    ][rng.integers(7)]
    return with_axis(dataset, "time", np.asarray(values), units=units, calendar=calendar)


@change
def dates_as_text(rng: Rng, dataset: xr.Dataset) -> xr.Dataset:
    form = str(rng.choice(["%Y-%m-%d", "%Y-%m-%d_%H:%M:%S", "%Y%m%d", "%d.%m.%Y", "%Y-%m-%dT%H:%M:%SZ"]))
    texts = dataset["time"].dt.strftime(form).values.astype(str)
    return with_axis(dataset, "time", texts.astype("S") if rng.random() < 0.3 else texts)


@change
def dates_of_another_calendar(rng: Rng, dataset: xr.Dataset) -> xr.Dataset:
    calendar, year = str(rng.choice(["noleap", "360_day", "gregorian"])), int(rng.choice([1, 1500, 1850, 2001, 2400]))
    dates = [cftime.datetime(year + i // 12, i % 12 + 1, 15, calendar=calendar) for i in range(dataset.sizes["time"])]
    return with_axis(dataset, "time", np.array(dates))


@change
def bounds_of_time(rng: Rng, dataset: xr.Dataset) -> xr.Dataset:
    days = numbers(dataset)
    edges = np.stack([days - 15, days], 1)
    edges = [edges, edges[:, ::-1], edges[:, :1], edges * np.nan, edges - 1000.0, edges.T][rng.integers(6)]
    dims = ("time", "nv") if edges.shape[0] == days.size else ("nv", "time")
    dated = with_axis(dataset, "time", days, units="days since 2000-01-01", bounds="time_bnds")
    return dated.assign(time_bnds=(dims, edges))


@change
def a_single_date(rng: Rng, dataset: xr.Dataset) -> xr.Dataset:
    image = dataset.isel(time=0)
    return image if rng.random() < 0.5 else image.drop_vars("time")


# -- flags, masks, errors ----------------------------------------------------------------------------------------------


@change
def flags(rng: Rng, dataset: xr.Dataset) -> xr.Dataset:
    name = str(rng.choice(["quality_level", "l2p_flags", "thetao_qc", "DQF", "thetao_flag", "qual_thetao", "flags"]))
    dims = dataset["thetao"].dims if rng.random() < 0.7 else dataset["thetao"].dims[-2:]
    shape = tuple(dataset.sizes[d] for d in dims)
    values = rng.integers(-1, 6, shape).astype(str(rng.choice(["i1", "u1", "i2", "i4", "f4", "S1"])))
    attrs: dict[str, Any] = {}
    meanings = [
        "bad good",
        "land sea ice",
        "good",
        "a" * 3000,
        "",
        "no_data bad_data worst_quality low_quality ok best",
    ]
    if rng.random() < 0.7:
        attrs["flag_meanings"] = meanings[rng.integers(len(meanings))]
        key = str(rng.choice(["flag_values", "flag_masks"]))
        attrs[key] = [np.arange(2, dtype="i1"), "0b 1b", np.array([1, 2, 4], "i2"), 1.5, "one two"][rng.integers(5)]
    return dataset.assign({name: (dims, values, attrs)})


@change
def a_mask(rng: Rng, dataset: xr.Dataset) -> xr.Dataset:
    name = str(rng.choice(["domain", "mask", "lsm", "thetao_domain", "tmask", "sftlf", "land_mask"]))
    choices = [("lat", "lon"), ("depth", "lat", "lon"), ("time", "lat", "lon"), ("lon", "lat"), ("lat",)]
    dims = choices[rng.integers(5)]
    shape = tuple(dataset.sizes[d] for d in dims)
    values = [
        rng.integers(0, 2, shape).astype("i1"),
        rng.random(shape),
        rng.integers(0, 9, shape).astype("i2"),
        np.zeros(shape, "i1"),
        np.ones(shape, "i1"),
        np.full(shape, np.nan),
        rng.random(shape) < 0.1,
        100 * rng.random(shape),
    ][rng.integers(8)]
    attrs = [{}, {"units": "%"}, {"standard_name": "land_binary_mask"}, {"standard_name": "longitude", "units": "degrees_east"},
             {"flag_values": np.array([0, 1], "i1"), "flag_meanings": "sea land"}][rng.integers(5)]  # fmt: skip
    return dataset.assign({name: (dims, values, attrs)})


@change
def errors(rng: Rng, dataset: xr.Dataset) -> xr.Dataset:
    values = np.abs(rng.normal(0.3, 0.1, dataset["thetao"].shape)).astype("f4")
    values = [values, np.where(rng.random(values.shape) < 0.5, np.nan, values), values * 0, values * np.nan, -values,
              np.where(values > 0.4, np.inf, values)][rng.integers(6)]  # fmt: skip
    attrs = {"units": str(rng.choice(["degC", "K", "degF", "m", "", "percent"]))}
    if rng.random() < 0.2:
        return dataset.assign(
            thetao_error=(dataset["thetao"].dims[-2:], values.reshape(-1, *values.shape[-2:])[0], attrs)
        )
    return dataset.assign(thetao_error=(dataset["thetao"].dims, values, attrs))


@change
def all_hidden(rng: Rng, dataset: xr.Dataset) -> xr.Dataset:
    name = one_of(rng, dataset)
    return dataset.assign({name: dataset[name].where(rng.random(dataset[name].shape) < rng.choice([0.0, 0.01, 0.5]))})


@change
def another_grid(rng: Rng, dataset: xr.Dataset) -> xr.Dataset:
    """The grid moved or cut, so that it is another one than that of the run."""
    axis = str(rng.choice(["lat", "lon"]))
    moved = [
        dataset.isel({axis: slice(2, None)}),
        dataset.isel({axis: slice(None, None, 2)}),
        dataset.assign_coords({axis: dataset[axis] + 0.1}),
        dataset.assign_coords({axis: dataset[axis] + 7.0}),
    ]
    return moved[rng.integers(4)]

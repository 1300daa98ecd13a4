"""Data files that are damaged, or hold what cannot be: bytes, axes, values, and what does not fit together."""

import shutil
from pathlib import Path

import numpy as np
import xarray as xr
from malformed import (
    Case,
    Rng,
    as_any,
    as_archive,
    as_observations,
    fields,
    form,
    kind,
    random_bytes,
    seen,
    written,
)

# -- damaged files -----------------------------------------------------------------------------------------------------


@kind
def truncated_netcdf(rng: Rng, place: Path, good: Path) -> Case:
    whole = (good / str(rng.choice(["truth.nc", "obs.nc"]))).read_bytes()
    bad = place / "bad.nc"
    bad.write_bytes(whole[: int(len(whole) * rng.uniform(0.02, 0.98))])
    return Case(as_any(rng, bad, good), ["bad.nc", "Cannot read"])


@kind
def truncated_classic_netcdf(rng: Rng, place: Path, good: Path) -> Case:
    bad = place / "bad.nc"
    form = str(rng.choice(["NETCDF3_CLASSIC", "NETCDF3_64BIT"]))
    fields(good).to_netcdf(bad, format=form, unlimited_dims=["time"] if rng.random() < 0.5 else [])
    whole = bad.read_bytes()
    bad.write_bytes(whole[: int(len(whole) * rng.uniform(0.02, 0.9))])
    return Case(as_any(rng, bad, good), ["bad.nc"])


@kind
def damaged_netcdf_chunk(rng: Rng, place: Path, good: Path) -> Case:
    """The header is sound; the compressed values are not."""
    bad = place / "bad.nc"
    dataset = xr.concat([fields(good)[["thetao"]]] * 8, "time").assign_coords(time=np.arange(192))
    dataset["time"].attrs["units"] = "days since 2000-01-01"
    checked = {"zlib": True, "fletcher32": True, "chunksizes": (192, 2, 8, 12)}
    dataset.to_netcdf(bad, engine="netcdf4", encoding={"thetao": checked})
    content = bytearray(bad.read_bytes())
    # the one chunk is most of the file
    for offset in rng.integers(len(content) // 2, 2 * len(content) // 3, 5):
        content[offset] ^= 255
    bad.write_bytes(content)
    return Case(as_archive(rng, bad, good), ["bad.nc"])


@kind
def not_a_data_file(rng: Rng, place: Path, good: Path) -> Case:
    bad = place / f"bad{rng.choice(['.nc', '.grib', '.txt', ''])}"
    bad.write_bytes(
        [
            b"",
            random_bytes(rng, int(rng.integers(1, 4000))),
            b"\x89HDF\r\n\x1a\n",
            b"CDF\x01",
            b"lat,lon,thetao\n1,2,3\n",
        ][rng.integers(5)]
    )
    return Case(as_any(rng, bad, good), [bad.name])


@kind
def damaged_zarr(rng: Rng, place: Path, good: Path) -> Case:
    """A store whose metadata or chunks are cut, overwritten or no JSON."""
    bad = place / "bad.zarr"
    shutil.copytree(good / "truth.zarr", bad)
    which = rng.integers(4)
    if which == 3:
        target = rng.choice(sorted(path for path in (bad / "thetao" / "c").rglob("*") if path.is_file()))
        target.write_bytes(target.read_bytes()[: int(rng.integers(1, 20))])
    else:
        target = bad / ("zarr.json" if which == 0 else "thetao/zarr.json")
        text = target.read_text()
        target.write_text(
            [text[: len(text) // 2], "", text.replace('"shape"', '"shapes"').replace('"group"', '"grape"')][which]
        )
    return Case(as_archive(rng, bad, good), ["bad.zarr"])


@kind
def folder_that_is_no_store(rng: Rng, place: Path, good: Path) -> Case:
    bad = place / f"bad{rng.choice(['.zarr', ''])}"
    bad.mkdir()
    if rng.random() < 0.5:
        (bad / "notes.txt").write_text("nothing")
    return Case(as_any(rng, bad, good), [bad.name, "no Zarr store"])


# -- axes --------------------------------------------------------------------------------------------------------------


@kind
def nan_in_an_axis(rng: Rng, place: Path, good: Path) -> Case:
    axis = str(rng.choice(["lat", "lon", "depth", "time"]))
    dataset = fields(good)
    if axis == "time":
        dataset = numeric_time(dataset)
    values = dataset[axis].values.astype(float)
    values[rng.choice(values.size, int(rng.integers(1, values.size)), replace=False)] = rng.choice([np.nan, np.inf])
    bad = written(dataset.assign_coords({axis: (axis, values, dataset[axis].attrs)}), form(rng, place))
    return Case(as_archive(rng, bad, good), [bad.name, {"lat": "latitude", "lon": "longitude"}.get(axis, axis)])


@kind
def same_coordinate_twice(rng: Rng, place: Path, good: Path) -> Case:
    axis = str(rng.choice(["time", "time", "lat", "lon", "depth"]))
    dataset = fields(good)
    values = dataset[axis].values.copy()
    i = int(rng.integers(1, values.size))
    values[i] = values[i - 1]
    bad = written(dataset.assign_coords({axis: (axis, values, dataset[axis].attrs)}), form(rng, place))
    return Case(as_archive(rng, bad, good), [bad.name, axis, "twice"])


@kind
def two_dimensional_latitude_alone(rng: Rng, place: Path, good: Path) -> Case:
    dataset = fields(good).rename(lat="y", lon="x")
    lat, lon = np.meshgrid(dataset["y"], dataset["x"], indexing="ij")
    tilt = rng.uniform(0.01, 0.3)
    name = ["nav_lat", "lat", "latitude"][rng.integers(3)]
    dataset = dataset.drop_vars(["x", "y"]).assign({name: (("y", "x"), lat + tilt * lon, {"units": "degrees_north"})})
    return Case(as_any(rng, written(dataset, place / "bad.nc"), good), ["bad.nc", "two-dimensional"])


@kind
def lacking_axis(rng: Rng, place: Path, good: Path) -> Case:
    axis = str(rng.choice(["lat", "lon", "time"]))
    dataset = fields(good)
    if axis == "time":
        bad = written(dataset.isel(time=0, drop=True), form(rng, place))
        return Case(as_archive(rng, bad, good), ["bad", "no time axis"])
    dataset = dataset.isel({axis: 0}, drop=True) if rng.random() < 0.5 else dataset.rename({axis: "q"}).drop_vars("q")
    bad = written(dataset, form(rng, place))
    return Case(as_any(rng, bad, good), [bad.name, "latitude and longitude"])


@kind
def degrees_that_are_none(rng: Rng, place: Path, good: Path) -> Case:
    axis, factor = [("lat", 4.0), ("lat", 1e5), ("lon", 1e4), ("lon", 1e20)][rng.integers(4)]
    dataset = fields(good)
    bad = written(
        dataset.assign_coords({axis: (axis, dataset[axis].values * factor, dataset[axis].attrs)}), form(rng, place)
    )
    return Case(as_any(rng, bad, good), [bad.name, "latitudes or longitudes"])


def numeric_time(dataset: xr.Dataset) -> xr.Dataset:
    days = (dataset["time"] - np.datetime64("2000-01-01")) / np.timedelta64(1, "D")
    return dataset.assign_coords(time=("time", days.values, {"units": "days since 2000-01-01"}))


@kind
def undatable_time(rng: Rng, place: Path, good: Path) -> Case:
    dataset = numeric_time(fields(good))
    units = [
        "days",
        "",
        "fortnights since 2000-01-01",
        "days since the flood",
        "days since 2000-13-45",
        "months since never",
        "days since " + "9" * 200_000,
        None,
    ][rng.integers(8)]
    attrs = {} if units is None else {"units": units}
    if rng.random() < 0.2:
        attrs = {"units": "days since 2000-01-01", "calendar": "lunar"}
    bad = written(dataset.assign_coords(time=("time", dataset["time"].values, attrs)), form(rng, place))
    return Case(as_any(rng, bad, good), [bad.name, "time"])


@kind
def huge_attributes(rng: Rng, place: Path, good: Path) -> Case:
    """A culprit that cannot be quoted whole."""
    dataset = fields(good)
    text = str(rng.choice(["x", "units ", "ü"])) * int(rng.integers(100_000, 300_000))
    dataset["thetao"].attrs["units"] = text
    dataset["thetao"].attrs["standard_name"] = "sea_water_potential_temperature"
    dataset.attrs["history"] = text
    return Case(as_archive(rng, written(dataset, form(rng, place)), good), ["bad", "'thetao'", "unit"])


# -- values ------------------------------------------------------------------------------------------------------------


@kind
def values_impossible_in_their_unit(rng: Rng, place: Path, good: Path) -> Case:
    case, offset, factor = [("K", 0.0, 1.0), ("degC", 273.15, 1.0), ("degC", 0, 1e4), ("degF", 273.15, 5.0)][
        rng.integers(4)
    ]
    archive = rng.random() < 0.5
    dataset = fields(good) if archive else seen(good)
    dataset["thetao"] = (dataset["thetao"] * factor + offset).assign_attrs(
        dataset["thetao"].attrs, units=case, standard_name="sea_water_potential_temperature"
    )
    bad = written(dataset, form(rng, place))
    return Case((as_archive if archive else as_observations)(rng, bad, good), [bad.name, "'thetao'", "impossible"])


@kind
def unknown_units(rng: Rng, place: Path, good: Path) -> Case:
    dataset = fields(good)
    units = str(rng.choice(["bananas", "m s-1", "degree_north", "J/kg", "10 K 5", "kelvin per day", "°Q", "m"]))
    dataset["thetao"].attrs |= {"units": units, "standard_name": "sea_water_potential_temperature"}
    bad = written(dataset, form(rng, place))
    return Case(as_archive(rng, bad, good), [bad.name, "'thetao'", units])


@kind
def infinite_values(rng: Rng, place: Path, good: Path) -> Case:
    archive = rng.random() < 0.5
    dataset = fields(good) if archive else seen(good)
    array = dataset["thetao"].values
    places = np.argwhere(np.isfinite(array))
    for place_ in rng.choice(places, int(rng.integers(1, 5)), axis=0):
        array[tuple(place_)] = rng.choice([np.inf, -np.inf])
    bad = written(dataset, form(rng, place))
    return Case((as_archive if archive else as_observations)(rng, bad, good), [bad.name, "'thetao'", "infinite"])


@kind
def nothing_but_nan(rng: Rng, place: Path, good: Path) -> Case:
    dataset = fields(good)
    dataset["thetao"] = dataset["thetao"] * np.nan
    bad = written(dataset, form(rng, place))
    return Case(as_archive(rng, bad, good), [bad.name, "'thetao'", "NaN everywhere"])


@kind
def text_for_numbers(rng: Rng, place: Path, good: Path) -> Case:
    """A variable of words, dates or complex numbers."""
    archive = rng.random() < 0.6
    dataset = fields(good) if archive else seen(good)
    shape, dims = dataset["thetao"].shape, dataset["thetao"].dims
    words = np.full(shape, "warm", dtype="U4") if rng.random() < 0.5 else np.full(shape, b"c", dtype="S1")
    bad = written(dataset.assign(thetao=(dims, words)), place / "bad.nc")
    return Case((as_archive if archive else as_observations)(rng, bad, good), [bad.name, "'thetao'"])


@kind
def impossible_errors(rng: Rng, place: Path, good: Path) -> Case:
    """Standard deviations that are negative or infinite, or of another shape."""
    dataset = seen(good)
    error = dataset["thetao_error"].values
    error[tuple(rng.choice(np.argwhere(np.isfinite(dataset["thetao"].values)), axis=0))] = rng.choice(
        [-1.0, np.inf, -np.inf]
    )
    bad = written(dataset, form(rng, place))
    return Case(as_observations(rng, bad, good), ["thetao_error"])


@kind
def missing_columns(rng: Rng, place: Path, good: Path) -> Case:
    """A table of points without one of its columns, or with another header."""
    names = ["time", "latitude", "longitude", "depth", "TEMP"]
    rows = [["2001-01-03", 32 + 0.1 * i, -38 + 0.1 * i, 10 * i, 15 - 0.1 * i] for i in range(8)]
    lost = int(rng.choice([0, 1, 2, 4]))
    header = [name for i, name in enumerate(names) if i != lost]
    if rng.random() < 0.3:
        header[rng.integers(len(header))] = "?"
    lines = [",".join(header), *(",".join(str(v) for i, v in enumerate(row) if i != lost) for row in rows)]
    bad = place / "bad.csv"
    bad.write_text("\n".join(lines if rng.random() < 0.8 else []) + "\n")
    return Case(["gather", str(bad), "--variable", "thetao=TEMP", "--table", "out.nc", "--overwrite"], ["bad.csv"])


@kind
def damaged_points(rng: Rng, place: Path, good: Path) -> Case:
    """Profiles of which the file holds a half, or what are no profiles at all."""
    bad = place / f"bad{rng.choice(['.nc', '.csv'])}"
    whole = (good / "obs.nc").read_bytes()
    bad.write_bytes([b"", whole[: len(whole) // 2], random_bytes(rng, 3000), whole][rng.integers(4)])
    return Case(["gather", str(bad), "--variable", "thetao=TEMP", "--table", "out.nc", "--overwrite"], [bad.name])


# -- what does not fit -------------------------------------------------------------------------------------------------


@kind
def missing_variable(rng: Rng, place: Path, good: Path) -> Case:
    archive = rng.random() < 0.5
    dataset = (fields(good) if archive else seen(good)).rename(
        thetao=str(rng.choice(["temp", "theta", "THETAO", "tho"]))
    )
    bad = written(dataset if rng.random() < 0.5 else dataset[["sst"]], form(rng, place))
    return Case((as_archive if archive else as_observations)(rng, bad, good), ["'thetao'"])


@kind
def missing_dimension(rng: Rng, place: Path, good: Path) -> Case:
    """A target without its depths, or with a dimension too many."""
    dataset = seen(good)
    if rng.random() < 0.5:
        dataset["thetao"] = dataset["thetao"].isel(depth=0, drop=True)
        return Case(as_observations(rng, written(dataset, form(rng, place)), good), ["'thetao'"])
    dataset = fields(good)
    dataset["thetao"] = dataset["thetao"].expand_dims(member=int(rng.integers(2, 5))).copy()
    bad = written(dataset, form(rng, place))
    return Case(as_archive(rng, bad, good), ["member", bad.name])


@kind
def another_grid(rng: Rng, place: Path, good: Path) -> Case:
    axis = str(rng.choice(["lat", "lon", "depth"]))
    dataset = seen(good)
    shift = {"lat": 0.21, "lon": 0.17, "depth": 7.0}[axis] * rng.uniform(0.8, 1.2)
    bad = written(dataset.assign_coords({axis: dataset[axis] + shift}), form(rng, place))
    return Case(as_observations(rng, bad, good), [{"lat": "lat", "lon": "lon", "depth": "m"}[axis]])


@kind
def nothing_to_score(rng: Rng, place: Path, good: Path) -> Case:
    dataset = seen(good)
    which = rng.integers(3)
    if which == 0:
        dataset = dataset.drop_vars([name for name in dataset if "held_out" in str(name)])
    elif which == 1:
        dataset["held_out"] = dataset["held_out"] * 0
        dataset = dataset.drop_vars("sst_held_out", errors="ignore")
    else:
        dataset = dataset.assign_coords(time=dataset["time"] + np.timedelta64(4000, "D"))
    bad = written(dataset, place / "bad.nc")
    command = ["evaluate", str(good / "truth.nc"), str(good / "out.nc"), "--observations", str(bad)]
    return Case([*command, "--out", "report", "--overwrite"], ["time" if which == 2 else "held"])

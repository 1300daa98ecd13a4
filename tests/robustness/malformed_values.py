"""Values that a file does not mean, masks that nobody explained, units that do not convert, and bytes that would do harm."""

import json
from pathlib import Path

import numpy as np
from malformed import Case, Rng, as_archive, as_observations, fields, form, kind, seen, written


@kind
def nothing_inside_the_valid_range(rng: Rng, place: Path, good: Path) -> Case:
    archive = rng.random() < 0.5
    dataset = fields(good) if archive else seen(good)
    low = float(rng.uniform(100, 1000))
    dataset["thetao"].attrs["valid_range"] = np.array([low, low + 1.0])
    bad = written(dataset, form(rng, place))
    return Case((as_archive if archive else as_observations)(rng, bad, good), [bad.name, "'thetao'", "valid_range"])


@kind
def nothing_that_its_flags_leave(rng: Rng, place: Path, good: Path) -> Case:
    archive = rng.random() < 0.5
    dataset = fields(good) if archive else seen(good)
    word = str(rng.choice(["bad", "no_data", "cloud_contaminated", "land", "invalid"]))
    flags = {"flag_values": np.array([0, 1], "i1"), "flag_meanings": f"good {word}"}
    dataset["thetao_qc"] = (dataset["thetao"].dims, np.ones(dataset["thetao"].shape, "i1"), flags)
    bad = written(dataset, form(rng, place))
    return Case((as_archive if archive else as_observations)(rng, bad, good), [bad.name, "'thetao'", word])


@kind
def masks_that_nobody_explained(rng: Rng, place: Path, good: Path) -> Case:
    dataset = seen(good)
    numbers, word = [((1, 2), "holds 1, 2"), ((0, 7), "holds 0, 7"), ((0, 0), "is empty")][rng.integers(3)]
    dataset["domain"] = (dataset["domain"].dims, np.where(dataset["domain"], numbers[1], numbers[0]).astype("i2"))
    bad = written(dataset, form(rng, place))
    return Case(as_observations(rng, bad, good), [bad.name, "'domain'", word])


@kind
def observations_without_units_in_other_units(rng: Rng, place: Path, good: Path) -> Case:
    """Kelvin, whose attribute was lost."""
    dataset = seen(good)
    dataset["thetao"] = (
        dataset["thetao"] * float(rng.choice([1.0, 1.8])) + float(rng.choice([273.15, 459.67]))
    ).drop_attrs()
    bad = written(dataset.drop_vars(["sst", "sst_error"]), form(rng, place))
    return Case(as_observations(rng, bad, good), [bad.name, "'thetao'", "no units"])


@kind
def the_same_place_twice(rng: Rng, place: Path, good: Path) -> Case:
    dataset = fields(good)
    lon = np.linspace(0, 360, dataset.sizes["lon"])
    bad = written(dataset.assign_coords(lon=("lon", lon, dataset["lon"].attrs)), form(rng, place))
    return Case(as_archive(rng, bad, good), [bad.name, "the same place"])


@kind
def no_date_at_all(rng: Rng, place: Path, good: Path) -> Case:
    archive = rng.random() < 0.5
    dataset = (fields(good) if archive else seen(good)).isel(time=slice(0, 0))
    bad = written(dataset, place / "bad.nc")
    return Case((as_archive if archive else as_observations)(rng, bad, good), ["bad.nc", "date|time"])


@kind
def nothing_observed(rng: Rng, place: Path, good: Path) -> Case:
    dataset = seen(good)
    for name in ("thetao", "sst"):
        dataset[name] = dataset[name] * np.nan
    bad = written(dataset, form(rng, place))
    return Case(as_observations(rng, bad, good), [bad.name, "Nothing was observed"])


@kind
def a_codec_that_runs_code(rng: Rng, place: Path, good: Path) -> Case:
    bad = place / "bad.zarr"
    fields(good).to_zarr(bad, zarr_format=2, consolidated=False)
    path = bad / str(rng.choice(["thetao", "sst", "lat"])) / ".zarray"
    metadata = json.loads(path.read_text())
    metadata["filters"] = [{"id": "pickle"}]
    path.write_text(json.dumps(metadata))
    return Case(as_archive(rng, bad, good), ["bad.zarr", "pickle"])


@kind
def a_recipe_that_unfolds_without_end(rng: Rng, place: Path, good: Path) -> Case:
    bad, depth = place / "bad.yaml", int(rng.integers(8, 30))
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, depth)]
    bad.write_text("\n".join([*lines, f"data: *a{depth - 1}"]))
    return Case(["train", str(bad), "--out", "run", "--overwrite"], ["bad.yaml", "over and over"])

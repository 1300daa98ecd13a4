"""Which commands make sense next for a gridded file."""

__all__ = ["SAMPLE", "commands_for", "thinned"]

import numpy as np
import xarray as xr

from driftfield.conventions import positions_of

SAMPLE = 2**21
"""Values of a variable that are looked at on each of three dates, at most."""


def thinned(array: xr.DataArray) -> xr.DataArray:
    """The first, the middle and the last date of a variable, rows left out where a date is large; loaded."""
    if "time" in array.dims and array.sizes["time"] > 3:
        array = array.isel(time=sorted({0, array.sizes["time"] // 2, array.sizes["time"] - 1}))
    every = int(np.ceil(array.size / max(array.sizes.get("time", 1), 1) / SAMPLE))
    return array.isel(lat=slice(None, None, every)).load() if every > 1 else array.load()


def commands_for(file: str, dataset: xr.Dataset, names: list[str]) -> list[str]:
    """To fill, to mask, to train, to gather: of a file that has what they need.

    Arguments:
        file: As a command line takes it.
        dataset: The file, opened.
        names: Its variables.
    """
    return [*_filling(file, dataset, names), *_from_a_time_axis(file, dataset, names)]


def _filling(file: str, dataset: xr.Dataset, names: list[str]) -> list[str]:
    """`fill`, for the first field that has gaps."""
    for name in names:
        array = dataset[name]
        if array.dtype.kind != "f" or not {"lat", "lon"} <= set(array.dims) <= {"time", "depth", "lat", "lon"}:
            continue
        dates = thinned(array)
        gaps = dates.isnull()
        if "time" in dates.dims and dates.sizes["time"] > 1:
            gaps = gaps & dates.notnull().any("time")  # what no date saw is land
        if bool(gaps.any()) and bool(dates.notnull().any()):
            return [f"driftfield fill {file} --variable {name} --out filled.nc"]
    return []


def _from_a_time_axis(file: str, dataset: xr.Dataset, names: list[str]) -> list[str]:
    usable = [n for n in names if set(dataset[n].dims) <= {"time", "depth", "lat", "lon"} and "time" in dataset[n].dims]
    if not usable:
        return ["(fixed fields: a domain, with `reconstruct --domain` or data.domain of a recipe)"] if names else []
    name = usable[0]
    if "held_out" in dataset or f"{name}_error" in dataset:
        return [f"driftfield reconstruct RUN {file} --out fields.nc"]
    deep = "depth" in dataset[name].dims
    pattern = "profiles:0.95" if deep else "clouds:0.8"
    large = dataset.sizes["lat"] * dataset.sizes["lon"] > 2**20
    part = f" --region {_middle(dataset)}" if large else ""
    following = [f"driftfield mask {file} seen.nc --observe {name}={pattern} --error 0.1{part}"]
    if dataset.sizes["time"] >= 10:
        following.append(f"driftfield train recipe.yaml --out run      (data: {{archive: {file}, targets: [{name}]}})")
    following.append(f"driftfield gather POINTS --variable {name}=NAME --like {file} --out seen.nc")
    return following


def _middle(dataset: xr.Dataset) -> str:
    """A region of some 512 x 512 cells in the middle."""
    positions = positions_of(dataset)
    spans = []
    for axis in ("lat", "lon"):
        n = dataset.sizes[axis]
        cells = slice(max(n // 2 - 256, 0), min(n // 2 + 256, n))
        if positions is None:
            values = dataset[axis].values[cells]
        else:
            part = positions.latitude if axis == "lat" else positions.one_turn.longitude
            values = part[cells, dataset.sizes["lon"] // 2] if axis == "lat" else part[dataset.sizes["lat"] // 2, cells]
        spans.append(f"{axis}={values.min():.6g}:{values.max():.6g}")
    return ",".join(spans)

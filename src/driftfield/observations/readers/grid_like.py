"""`--like GRID`: the cells, levels and dates of a gridded file, or the cells and levels of a run.

gridded file    lat, lon, levels, where each variable exists, dates
run             the same without dates: they come from --every
"""

__all__ = ["only_seen", "read_target", "with_unseen"]

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr

from driftfield.checkpoint import read_run
from driftfield.conventions import WRAPS, description_of, positions_of
from driftfield.data.sources import open_archive
from driftfield.errors import ConfigurationError, suggest
from driftfield.geometry import Geometry
from driftfield.observations.readers.superobs import Target


def read_target(
    like: Path, names: list[str], points: xr.Dataset, period: Sequence[str | None], every: str | None
) -> tuple[Target, Target | None]:
    """The grid and dates to bin to; and, of a run, the same for its further targets, which nobody observed.

    Arguments:
        like: A gridded file, or the folder of a run.
        names: Variables.
        points: The table of points.
        period: First and last date, None where open.
        every: Step of a regular series of dates, as pandas says it; the dates of the file by default.
    """
    if (like / "run.json").is_file():
        grids, targets = _grids_of_run(like)
        if missing := [name for name in names if name not in grids]:
            raise ConfigurationError(f"{like} knows no {missing[0]!r}: {suggest(missing[0], grids)}")
        dates = _dates(None, points, period, every, like)
        further = [name for name in targets if name not in names]
        return _of_run(grids, names, dates), _of_run(grids, further, dates) if further else None
    archive = open_archive(like, names)
    dates = _dates(archive.times, points, period, every, like)
    target = Target(
        lat=archive.dataset["lat"].values.astype(float),
        lon=archive.dataset["lon"].values.astype(float),
        times=dates,
        levels={name: archive.levels(name) for name in names},
        domains={name: archive.domain(name).values for name in names},
        attrs={name: description_of(archive.dataset[name].attrs) for name in names},
        axes=_axes(archive.dataset),
    )
    return target, None


@dataclass(frozen=True)
class _VariableGrid:
    """What a run says of one variable: its axes, its levels in metres, and where it exists."""

    lat: np.ndarray
    lon: np.ndarray
    levels: tuple[float | None, ...]
    domain: np.ndarray
    axes: dict[str, xr.DataArray]


def _of_run(grids: Mapping[str, _VariableGrid], names: list[str], dates: xr.DataArray) -> Target:
    return Target(
        lat=grids[names[0]].lat,
        lon=grids[names[0]].lon,
        times=dates,
        levels={name: grids[name].levels for name in names},
        domains={name: grids[name].domain for name in names},
        axes=grids[names[0]].axes,
    )


def _grids_of_run(folder: Path) -> tuple[dict[str, _VariableGrid], list[str]]:
    """Latitudes, longitudes, levels and domain of every variable of a run, of a network or of a peer; its targets."""
    run = read_run(folder)
    codec = run.extra.get("codec", {})
    grids = {}
    for name in (key.removeprefix("domain.") for key in run.arrays if key.startswith("domain.")):
        axes = {
            axis: run.arrays.get(axis, run.arrays.get(f"climatology.{name}.{axis}")) for axis in ("lat", "lon", "depth")
        }
        if axes["lat"] is None or axes["lon"] is None:
            continue
        levels = codec.get("levels", {}).get(name)
        if levels is None:
            levels = [None] if axes["depth"] is None else axes["depth"].tolist()
        domain = run.arrays[f"domain.{name}"].astype(bool)
        lat, lon = axes["lat"], axes["lon"]
        grids[name] = _VariableGrid(lat, lon, tuple(levels), domain, _axes_of_run(run.arrays, lat, lon))
    if not grids:
        raise ConfigurationError(f"{folder} says nothing of its grid. Name a gridded file with --like instead.")
    return grids, list(codec.get("targets", run.extra.get("targets", [])))


def _axes(dataset: xr.Dataset) -> dict[str, xr.DataArray]:
    """Axes and positions of a grid that has them."""
    if positions_of(dataset) is None:
        return {}
    return {name: dataset[name].reset_coords(drop=True) for name in ("lat", "lon", "latitude", "longitude")}


def _axes_of_run(arrays: dict[str, np.ndarray], lat: np.ndarray, lon: np.ndarray) -> dict[str, xr.DataArray]:
    if "latitude" not in arrays:
        return {}
    dataset = xr.Dataset(
        coords={
            "lat": ("lat", lat),
            "lon": ("lon", lon, {WRAPS: int(Geometry(arrays["latitude"], arrays["longitude"]).wraps)}),
            "latitude": (("lat", "lon"), arrays["latitude"], {"units": "degrees_north", "standard_name": "latitude"}),
            "longitude": (("lat", "lon"), arrays["longitude"], {"units": "degrees_east", "standard_name": "longitude"}),
        }
    )
    return _axes(dataset)


def _dates(
    file_dates: xr.DataArray | None, points: xr.Dataset, period: Sequence[str | None], every: str | None, like: Path
) -> xr.DataArray:
    """The dates to bin to: a regular series, or those of the reference, in a period."""
    if every is not None:
        ends = [
            str(points["time"].min().dt.strftime("%Y-%m-%d").item()),
            str(points["time"].max().dt.strftime("%Y-%m-%d").item()),
        ]
        first, last = (given or end for given, end in zip(period, ends, strict=True))
        try:
            dates = xr.date_range(first, last, freq=every)
        except (ValueError, TypeError) as error:
            raise ConfigurationError(f"Cannot make dates from {first} to {last} every {every!r}: {error}.") from error
        chosen = xr.DataArray(dates, dims="time", coords={"time": dates}, attrs={"standard_name": "time"})
    elif file_dates is None:
        raise ConfigurationError(f"{like} is a run and has a grid, but no dates. Add --every, such as --every 5D.")
    else:
        chosen = file_dates.sel(time=slice(*period)) if any(period) else file_dates
    if chosen.size == 0:
        raise ConfigurationError(
            f"No date in --times {':'.join(end or '' for end in period)}: {like} has others. Widen it, or add --every."
        )
    return chosen.drop_vars([str(n) for n in chosen.coords if n != "time"])


def only_seen(dataset: xr.Dataset, names: list[str]) -> xr.Dataset:
    """Without the dates on which nothing was observed."""
    seen = np.zeros(dataset.sizes["time"], dtype=bool)
    for name in names:
        seen |= dataset[name].notnull().any([dim for dim in dataset[name].dims if dim != "time"]).values
    return dataset.isel(time=np.flatnonzero(seen))


def with_unseen(dataset: xr.Dataset, others: Target | None) -> xr.Dataset:
    """Adds what a run also reconstructs and nobody observed: all NaN."""
    for name, levels in () if others is None else others.levels.items():
        flat = levels == (None,)
        dims = ("time", "lat", "lon") if flat else ("time", "depth", "lat", "lon")
        shape = (dataset.sizes["time"], *(() if flat else (len(levels),)), dataset.sizes["lat"], dataset.sizes["lon"])
        dataset[name] = (dims, np.full(shape, np.nan, dtype=np.float32))
        if not flat and "depth" not in dataset.coords:
            dataset = dataset.assign_coords(
                depth=("depth", np.array(levels, dtype=float), {"units": "m", "positive": "down"})
            )
        dataset[f"{name}_domain"] = (dims[1:], others.domains[name].reshape(shape[1:]))  # type: ignore[union-attr]
    return dataset

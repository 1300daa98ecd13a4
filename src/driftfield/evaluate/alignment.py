"""Puts truth, reconstructions and observations on the very same times, depths, latitudes and longitudes.

    reconstructions (their common times)  <-  truth, observations (the same times, levels and cells picked from them)

Files of different programs store 10.1 degrees or 5727.917 m with different last digits, times in different units; so
labels are compared with a tolerance (1e-3 degrees, 1e-2 m, one second) and then made equal. What cannot be matched is
an error, never a silent intersection of cells.
"""

__all__ = ["Aligned", "align", "everything_held_out", "on_the_cells_of", "time_keys"]

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import xarray as xr

from driftfield.conventions import check_dimensions, positions_of, state_variables
from driftfield.errors import DataError

TOLERANCE = {"lat": 1e-3, "lon": 1e-3, "depth": 1e-2}


@dataclass(frozen=True)
class Aligned:
    """Data sets with equal coordinates.

    Arguments:
        truth: The complete fields.
        outputs: Reconstructions by method name.
        observations: What the methods saw, with `domain` and `held_out`.
        times: Time stamps as text, to the second.
        notes: What a reader of the scores should know about the selection.
    """

    truth: xr.Dataset
    outputs: dict[str, xr.Dataset]
    observations: xr.Dataset
    times: list[str]
    notes: list[str]


def align(truth: xr.Dataset, outputs: Mapping[str, xr.Dataset], observations: xr.Dataset) -> Aligned:
    """Selects the times that all `outputs` share, and their grid, from everything.

    Arguments:
        truth: Canonical data set; may hold more times and a larger region.
        outputs: Reconstructions; the attribute `method` names them, else the key. Raw and calibrated results of one method
            are told apart.
        observations: Canonical observation file; may hold more times and a larger region.

    Raises:
        DataError: there is no output, or times, levels or cells do not match.
    """
    if not outputs:
        raise DataError("There is nothing to evaluate: expected one or more reconstructions. Name at least one file.")
    named = _by_method(outputs)
    for what, dataset in {"the truth": truth, "the observations": observations, **named}.items():
        for name in ("time", "lat", "lon"):
            if name not in dataset.coords:
                raise DataError(f"{_quoted(what)} has no coordinate {name!r}: expected time, [depth,] lat, lon.")
        for name in state_variables(dataset):
            check_dimensions(dataset[name], what)
    first, grid = next(iter(named.items()))
    keys = {method: time_keys(dataset["time"]) for method, dataset in named.items()}
    times = [t for t in keys[first] if all(t in other for other in keys.values())]
    if not times:
        spans = "; ".join(f"{method}: {_span(method_keys)}" for method, method_keys in keys.items())
        raise DataError(f"The reconstructions share no time ({spans}). Reconstruct the same times with every method.")
    notes = [
        f"{method} holds {len(method_keys)} times; the {len(times)} that all methods share are scored."
        for method, method_keys in keys.items()
        if len(method_keys) != len(times)
    ]
    aligned = {method: _select(dataset, times, grid, f"{method!r}") for method, dataset in named.items()}
    return Aligned(
        truth=_select(truth, times, grid, "the truth"),
        outputs=aligned,
        observations=_select(observations, times, grid, "the observation file"),
        times=times,
        notes=notes,
    )


def everything_held_out(truth: xr.Dataset, outputs: Mapping[str, xr.Dataset]) -> xr.Dataset:
    """An observation data set that has seen nothing: every known cell of the truth counts.

    Arguments:
        truth: Complete fields.
        outputs: Reconstructions; their variables are looked for in the truth.
    """
    names = dict.fromkeys(name for output in outputs.values() for name in state_variables(output) if name in truth)
    seen = truth[list(names)].map(lambda field: field.where(False))
    for name in names:
        known = truth[name].notnull()
        seen[f"{name}_held_out"] = known
        seen[f"{name}_domain"] = known.any("time") if "time" in known.dims else known
        seen[name].attrs = dict(truth[name].attrs)
    return seen


def on_the_cells_of(dataset: xr.Dataset, grid: xr.Dataset, what: str) -> xr.Dataset:
    """The same dates, levels and cells of another data set.

    Arguments:
        dataset: Canonical; may hold more dates and a larger region.
        grid: Says which; with dates if the data set has some.
        what: The data set in messages.

    Raises:
        DataError: it lacks one of them.
    """
    if ("time" in grid.dims) != ("time" in dataset.dims):
        raise DataError(f"{_quoted(what)} has dates and the other has none, or the reverse: expected two of one kind.")
    if "time" in grid.dims:
        return _select(dataset, time_keys(grid["time"]), grid, what)
    undated = ["no date"]
    return _select(dataset.expand_dims(time=undated), undated, grid, what).isel(time=0, drop=True)


def time_keys(time: xr.DataArray) -> list[str]:
    """Time stamps as ISO text to the nearest second, the same for numpy and cftime dates of any unit."""
    values = np.atleast_1d(time.values)
    if values.dtype.kind == "M":
        whole = (values.astype("datetime64[ms]") + np.timedelta64(500, "ms")).astype("datetime64[s]")
        return [str(t) for t in whole]
    if values.dtype.kind == "O":
        rounded = [t + timedelta(milliseconds=500) for t in values]
        return [f"{t.year:04d}-{t.month:02d}-{t.day:02d}T{t.hour:02d}:{t.minute:02d}:{t.second:02d}" for t in rounded]
    return [str(t) for t in values]


def _by_method(outputs: Mapping[str, xr.Dataset]) -> dict[str, xr.Dataset]:
    """Outputs by the name of their method; one that comes twice keeps beside it what tells it from the others.

    That is "raw" and "calibrated" where just two files of a method differ so, else the key.
    """
    methods = {key: str(dataset.attrs.get("method", key)) for key, dataset in outputs.items()}
    named = {}
    for key, dataset in outputs.items():
        same = [other for other, method in methods.items() if method == methods[key]]
        states = {other: _state(outputs[other]) for other in same}
        said = states[key] if len(same) == 2 and len(set(states.values())) == 2 else key
        named[methods[key] if len(same) == 1 else f"{methods[key]} ({said})"] = dataset
    return named


def _state(output: xr.Dataset) -> str:
    """Whether a reconstruction was calibrated; `Calibration.apply` and `--raw` leave the attribute `calibration`."""
    return "calibrated" if str(output.attrs.get("calibration", "")).startswith("spread") else "raw"


def _select(dataset: xr.Dataset, times: Sequence[str], grid: xr.Dataset, what: str) -> xr.Dataset:
    """`dataset` at `times` and on the cells of `grid`, with the coordinates of `grid`."""
    have = {key: index for index, key in enumerate(time_keys(dataset["time"]))}
    missing = [t for t in times if t not in have]
    if missing:
        raise DataError(
            f"{_quoted(what)} lacks {len(missing)} of {len(times)} times, the first is {missing[0]}; it holds "
            f"{_span(list(have))}. Pass the file that covers the reconstructed times."
        )
    picks = {"time": np.array([have[t] for t in times])}
    axes = [name for name in ("depth", "lat", "lon") if name in dataset.dims and name in grid.dims]
    if (own := positions_of(dataset)) is not None and (theirs := positions_of(grid)) is not None:
        picks["lat"], picks["lon"] = own.cells(
            theirs, what="The cells of the reconstruction", grid=f"the grid of {what}"
        )
    for name in axes:
        if name not in picks:
            picks[name] = _nearest(dataset[name].values, grid[name].values, name, what)
    # an index array that picks everything in order would only cost a copy
    picks = {d: i for d, i in picks.items() if not np.array_equal(i, np.arange(dataset.sizes[d]))}
    selected = dataset.isel(picks)
    labels = {name: grid[name].values for name in ("depth", "lat", "lon") if name in dataset.dims and name in grid.dims}
    return selected.assign_coords(
        {name: (name, values, dataset[name].attrs) for name, values in labels.items()}
    ).assign_coords(time=("time", np.array(times, dtype=object)))


def _nearest(have: np.ndarray, want: np.ndarray, name: str, what: str) -> np.ndarray:
    """Index in `have` of every label in `want`."""
    have, want = np.atleast_1d(have).astype(np.float64), np.atleast_1d(want).astype(np.float64)
    distance = want[:, None] - have[None, :]
    if name == "lon":
        distance = (distance + 180) % 360 - 180
    distance = abs(distance)
    index = distance.argmin(1)
    off = distance[np.arange(len(want)), index]
    if (off > TOLERANCE[name]).any():
        worst = int(off.argmax())
        raise DataError(
            f"{_quoted(what)} has no {name} {want[worst]:g}: its {len(have)} values go from {have.min():g} to "
            f"{have.max():g}, the nearest is {off[worst]:g} away. Evaluate on the grid that was reconstructed."
        )
    return index


def _span(keys: Sequence[str]) -> str:
    return f"{len(keys)} times from {keys[0]} to {keys[-1]}" if keys else "no times"


def _quoted(what: str) -> str:
    return what[0].upper() + what[1:] if what.startswith("the ") else f"The reconstruction {what.strip(chr(39))!r}"

"""From an observation file to a FieldBatch: the way in of every reconstruction.

NaN says "not seen", `domain` says where the field exists, `<variable>_error` how far an observation may be off. Values outside
the domain are never looked at.
"""

__all__ = ["observation_batch"]

import numpy as np
import xarray as xr

from driftfield.conventions import domain_of, error_of
from driftfield.data.codec import FieldCodec, with_levels
from driftfield.data.context import neighbours
from driftfield.data.dataset import bound_parts, make_batch
from driftfield.errors import DataError
from driftfield.fields import FieldBatch
from driftfield.gridded.encodings import time_days
from driftfield.gridded.units import check_plausible


def observation_batch(
    codec: FieldCodec, observations: xr.Dataset, time: int, *, guess: tuple[np.ndarray, np.ndarray] | None = None
) -> FieldBatch:
    """What was seen at one time, in network units; target and held-out cells are empty.

    Arguments:
        codec: Of the run.
        observations: Canonical observation data set; a covariate may be missing as a whole.
        time: Index along its time axis.
        guess: First guess and its error scale (channel, lat, lon), network units.

    Raises:
        DataError: a target is missing, its levels are not the run's, or its cells are not on the run's grid.
    """
    rows, columns = codec.grid.cells(observations)
    _check_order(codec, rows, columns)
    space = (len(rows), len(columns))
    stamp = observations["time"].values[[time]]
    parts: dict[str, list[np.ndarray]] = {}

    def add(key: str, value: np.ndarray) -> None:
        parts.setdefault(key, []).append(value)

    for name in codec.targets:
        if name not in observations:
            raise DataError(f"The observations lack {name!r}, which this run reconstructs. Add it, all NaN if unseen.")
        y, error, domain = _seen(codec, observations, name, time, rows, columns)
        seen = np.isfinite(y) & domain
        add("target", np.zeros(y.shape, np.float32))
        add("observations", np.where(seen, y, 0))
        add("observed", seen)
        add("error_std", np.where(seen, error, 0))
        add("domain", domain)
        add("held_out", np.zeros(y.shape, bool))
    around = neighbours(time_days(observations["time"]), time, codec.context, codec.step_days)
    frame_of = {0: time} | dict(zip(codec.context, around, strict=True))
    for name, offset in codec.frames()[len(codec.targets) :]:
        levels = len(codec.grid.levels[name])
        y, error = np.full((levels, *space), np.nan), np.zeros((levels, *space))
        domain = codec.domains[name][:, rows][:, :, columns]
        frame = frame_of[offset]
        if name in observations and frame is not None:
            y, error, domain = _seen(codec, observations, name, frame, rows, columns)
        seen = np.isfinite(y) & domain
        add("covariates", np.where(seen, y, 0))
        add("covariates_observed", seen)
        add("covariates_error_std", np.where(seen, error, 0))
        # a covariate that was asked for and saw nothing is as missing as one that is not in the file
        add("presence", np.full(levels, float(seen.any())))
    parts |= bound_parts(codec, stamp, rows, columns)
    classes = codec.conditions.classes_at(observations["time"][[time]])[0]
    return make_batch(codec, parts, codec.dates(stamp)[0], rows, columns, guess=guess, classes=classes)


def _seen(
    codec: FieldCodec, observations: xr.Dataset, name: str, time: int, rows: np.ndarray, columns: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Values and errors in network units, and the domain: (level, lat, lon)."""
    array = observations[name]
    levels = codec.grid.levels[name]
    depths = tuple(map(float, array["depth"].values)) if "depth" in array.dims else (None,)
    if len(depths) != len(levels) or not all(_same_level(a, b) for a, b in zip(depths, levels, strict=True)):
        raise DataError(
            f"{name!r} is observed on the levels {list(depths)} m; this run knows {list(levels)} m. "
            "Interpolate the observations to those levels."
        )
    values = with_levels(array.isel(time=[time]))
    y = codec.encode(name, values, observations["time"].values[[time]], rows, columns)[0]
    slope = codec.slope(name, values, observations["time"].values[[time]], rows, columns)[0]
    given = error_of(observations, name)
    error = np.zeros(y.shape) if given is None else with_levels(_at(given, time))[0] / slope
    if (np.nan_to_num(error) < 0).any():
        raise DataError(f"{name}_error holds negative numbers: expected standard deviations. Correct the file.")
    domain = codec.domains[name][:, rows][:, :, columns]
    stated = domain_of(observations, name)
    if stated is not None:
        domain = np.broadcast_to(with_levels(_at(stated, time))[0], y.shape)
    inside = xr.DataArray(values[0][domain], name=name, attrs=array.attrs)
    check_plausible(inside, source="the observations")
    return y, np.where(np.isfinite(error), error, 0), domain


def _check_order(codec: FieldCodec, rows: np.ndarray, columns: np.ndarray) -> None:
    """A network knows which way is north: cells must follow each other as they do on its grid."""
    steps = np.diff(columns) % codec.grid.lon.size if codec.grid.periodic else np.diff(columns)
    for axis, found in (("latitude", np.diff(rows)), ("longitude", steps)):
        if (found != 1).any():
            raise DataError(
                f"The {axis} of the observations runs backwards or leaves out cells of the run's grid: expected neighbours, "
                "ascending. Open the file with driftfield.data.sources.open_fields, which brings it into order."
            )


def _at(array: xr.DataArray, time: int) -> xr.DataArray:
    return array.isel(time=[time]) if "time" in array.dims else array.expand_dims("time")


def _same_level(stated: float | None, known: float | None) -> bool:
    if stated is None or known is None:
        return stated is known
    return abs(stated - known) <= 0.01 * max(abs(known), 1.0)

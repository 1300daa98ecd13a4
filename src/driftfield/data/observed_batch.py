"""From an observation file to a FieldBatch: the way in of every reconstruction.

NaN says "not seen", `domain` says where the field exists, `<variable>_error` how far an observation may be off. Values outside
the domain are never looked at.
"""

__all__ = ["add_domain", "has_exact", "observation_batch"]

from collections.abc import Sequence

import numpy as np
import xarray as xr

from driftfield.conventions import domain_of, error_of, positions_of, state_variables
from driftfield.data.codec import FieldCodec, locate, with_levels
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
    return make_batch(codec, parts, codec.dates(stamp)[0], rows, columns, guess=guess)


def has_exact(observations: xr.Dataset, variables: Sequence[str]) -> bool:
    """Whether any of the variables was observed somewhere without an error, or states none at all."""
    for name in variables:
        seen, error = observations[name].notnull(), error_of(observations, name)
        stated = error is not None and bool((seen & error.notnull()).any())
        # an error that is missing in part is the largest one, see `complete_errors`
        if bool((seen & (error == 0) if stated else seen).any()):
            return True
    return False


def add_domain(observations: xr.Dataset, given: xr.Dataset, *, source: str = "the file") -> xr.Dataset:
    """Takes `domain` and `<variable>_domain` from another data set, for the variables whose domain the observations lack.

    Arguments:
        observations: Canonical observation data set.
        given: Canonical data set with masks on the same cells, or on more of them; longitude in either convention.
        source: What messages call it.

    Raises:
        DataError: it holds no domain, or none on these cells and levels.
    """
    names = [str(name) for name in given.data_vars if str(name) == "domain" or str(name).endswith("_domain")]
    if not names:
        raise DataError(
            f"{source} holds no 'domain' variable: found {sorted(map(str, given))}. Name a file that has one."
        )
    found = {}
    for name in state_variables(observations):
        mask = given.get(f"{name}_domain", given.get("domain"))
        if domain_of(observations, name) is not None or mask is None:
            continue
        field = observations[name]
        if "depth" in mask.dims and "depth" not in field.dims:
            mask = mask.isel(depth=0, drop=True)
        if "depth" in field.dims and "depth" not in mask.dims:
            raise DataError(
                f"{mask.name!r} in {source} has no depth and does not know the sea floor, but {name!r} has depth. "
                "Give it (depth, lat, lon), or leave it out: the run knows its own domain."
            )
        dims = [str(dim) for dim in ("depth", "lat", "lon") if dim in mask.dims]
        mask = _on_cells(mask, field, source)
        periods = {"depth": ("depth", 0.0), "lat": ("latitude", 0.0), "lon": ("longitude", 360.0)}
        places = {
            dim: locate(field[dim].values, mask[dim].values, *periods[dim], grid=f"the domain in {source}")
            for dim in dims
        }
        mask = (mask.any("time") if "time" in mask.dims else mask).isel(places).transpose(*dims)
        found[f"{name}_domain"] = xr.DataArray(
            np.nan_to_num(mask.values).astype(bool), dims=dims, coords={dim: field[dim] for dim in dims}
        )
    return observations.assign(found)


def _on_cells(mask: xr.DataArray, field: xr.DataArray, source: str) -> xr.DataArray:
    """The part of a mask on a grid with positions that lies where the field does; any other mask as it is."""
    theirs, own = positions_of(mask), positions_of(field)
    if theirs is None or own is None:
        return mask
    rows, columns = theirs.cells(own, grid=f"the grid of the domain in {source}")
    part = mask.isel(lat=rows, lon=columns)
    return part.assign_coords({axis: field[axis] for axis in ("lat", "lon")})


def _seen(
    codec: FieldCodec, observations: xr.Dataset, name: str, time: int, rows: np.ndarray, columns: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Values and errors in network units, and the domain: (level, lat, lon)."""
    array = observations[name]
    levels = codec.grid.levels[name]
    found = tuple(map(float, array["depth"].values)) if "depth" in array.dims else (None,)
    if len(found) != len(levels) or not all(_same_level(a, b) for a, b in zip(found, levels, strict=True)):
        raise DataError(
            f"{name!r} is observed on the levels {list(found)} m; this run knows {list(levels)} m. "
            "Interpolate the observations to those levels."
        )
    values = with_levels(array.isel(time=[time]))
    y = codec.encode(name, values, observations["time"].values[[time]], rows, columns)[0]
    slope = codec.normalizers[name].slope(values[0])
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


def _same_level(found: float | None, known: float | None) -> bool:
    if found is None or known is None:
        return found is known
    return abs(found - known) <= 0.01 * max(abs(known), 1.0)

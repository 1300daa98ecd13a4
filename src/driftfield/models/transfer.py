"""A trained network at another place: the same weights, the mean and the spread of the new grid.

    network units there   z = (x - mean_new(t, cell)) / std_new             weights, levels, time step: those of the run
    mean, std             of fields seen there, gaps allowed; of a climatology (one whole field per month) the mean alone
    domain                the file's; levels that it does not reach, below its sea floor, exist nowhere

A convolution knows its cell size and not where it lies, so the spacing has to be that of the run; a network that was told its
position is told the middle of the place that it learnt at.
"""

__all__ = ["transferred"]

import copy
import logging
from dataclasses import replace
from typing import TypeVar

import numpy as np
import xarray as xr

from driftfield.conventions import geometry_of, positions_of
from driftfield.data.codec import FieldCodec
from driftfield.data.grid import Grid
from driftfield.data.sources import GriddedArchive
from driftfield.diffusion.model import DiffusionModel
from driftfield.errors import ConfigurationError, DataError
from driftfield.geometry import Geometry
from driftfield.models.learner import Learner, Trained
from driftfield.models.networked import NetworkReconstructor
from driftfield.registry import build

log = logging.getLogger(__name__)

_SPACING = 1.3
"""Largest ratio of the steps of both grids."""

_DEPTH_SHARE = 0.1
"""Share of a depth within which another one is the same level; or a metre."""

Network = TypeVar("Network", bound=Trained)


def transferred(method: Network, archive: GriddedArchive) -> Network:
    """The network for another grid of the same spacing.

    Arguments:
        method: That was trained.
        archive: Fields of all variables of the run at the new place, in its units: observations with gaps, a model, or a
            climatology of twelve whole fields.

    Raises:
        ConfigurationError: the run has a first guess or static fields of its own place, or a noise that is of its own grid.
        DataError: another spacing, a variable without a value, or none of the levels.
    """
    codec = method.codec
    if isinstance(method, NetworkReconstructor) and method.guess is not None:
        raise ConfigurationError(
            f"The run corrects a first guess, {type(method.guess.peer).__name__}, which was fitted to its own place: expected a "
            "network without one. Train one, or fit the first guess at the new place."
        )
    if codec.conditions.statics:
        raise ConfigurationError(
            f"The run knows the static fields {sorted(codec.conditions.statics)} of its own place: expected a network without "
            "any. Train one."
        )
    if isinstance(method.model, DiffusionModel):
        method.model.noise.refuse("a transfer to another place, where waves have other lengths,")
    _check_spacing(codec, archive)
    fields = _on_levels(codec.measures.brought(archive.dataset), archive, codec)
    moved = copy.copy(method)
    moved.learner = Learner(_codec_of(codec, fields), method.model, dict(method.extra), None)
    if method.calibration is not None:
        log.warning(
            "the calibration of the run is of its own place and is left behind: calibrate the new run on its observations"
        )
    return moved


def _check_spacing(codec: FieldCodec, archive: GriddedArchive) -> None:
    grid = codec.grid
    ours = grid.positions or Geometry.of_axes(grid.lat, grid.lon)
    theirs = geometry_of(archive.dataset)
    for word, a, b in (("rows", ours.row_step, theirs.row_step), ("columns", ours.column_step, theirs.column_step)):
        first, second = (float(np.median(step[step > 0])) if (step > 0).any() else np.nan for step in (a, b))
        if np.isfinite([first, second]).all() and max(first / second, second / first) > _SPACING:
            raise DataError(
                f"The {word} of the new grid are {second:.3g} km apart, those of the run {first:.3g} km: a network knows one "
                f"spacing, expected a step within a factor of {_SPACING}. Interpolate the fields to that spacing first."
            )


def _on_levels(dataset: xr.Dataset, archive: GriddedArchive, codec: FieldCodec) -> GriddedArchive:
    """The fields on the levels of the run, NaN and without a domain where the file has none of them."""
    fields, domains = {}, {}
    for name in (*codec.targets, *codec.covariates):
        levels = codec.grid.levels[name]
        field, domain = dataset[name], archive.domain(name)
        if ("depth" in field.dims) != (levels != (None,)):
            raise DataError(
                f"{name!r} has levels in one of both, the run or the file: expected the same kind of field."
            )
        if "depth" in field.dims:
            wanted = np.array([float(z) for z in levels if z is not None])
            field, domain = _at_depths(field, wanted), _at_depths(domain.astype(np.float32), wanted) > 0.5
        if not bool((field.notnull() & domain).any()):
            raise DataError(
                f"Nothing was seen of {name!r} on the levels of the run at the new place. Name another file."
            )
        fields[name], domains[name] = field.where(domain), domain
    coordinates = {key: axis for key, axis in dataset.coords.items() if "depth" not in axis.dims}
    return GriddedArchive(xr.Dataset(fields).assign_coords(coordinates), domains, archive.periodic)


def _at_depths(field: xr.DataArray, wanted: np.ndarray) -> xr.DataArray:
    """The nearest level of each depth; NaN where there is none within a tenth of it, or a metre."""
    theirs = field["depth"].values.astype(np.float64)
    nearest = np.abs(theirs[None] - wanted[:, None]).argmin(axis=1)
    apart = np.abs(theirs[nearest] - wanted)
    there = xr.DataArray(apart <= np.maximum(1.0, _DEPTH_SHARE * wanted), dims="depth", coords={"depth": wanted})
    return field.isel(depth=nearest).assign_coords(depth=wanted).where(there)


def _codec_of(codec: FieldCodec, archive: GriddedArchive) -> FieldCodec:
    """Means, spreads, domains and grid of the new place; channels, context and bounds of the run."""
    names = (*codec.targets, *codec.covariates)
    whole_year = _is_climatology(archive)
    if whole_year:
        log.info("twelve whole fields, one per month: taken for a climatology; the spread is that of the run")
    normalizers = {}
    for name in names:
        old = codec.normalizers[name]
        field, domain = archive.dataset[name], archive.domain(name)
        field = (
            xr.concat([field, field], dim="time") if whole_year else field
        )  # seen twice: each cell has a mean of its own
        seen = (field.notnull() & domain).any(("time", "lat", "lon"))
        # a level that is nowhere seen needs a mean to compute with, and has the spread of the run
        filled, exists = field.where(seen, 0.0), (domain | ~seen)
        new = build("normalizer", old.describe())
        new.fit(filled, exists, np.arange(field.sizes["time"]), vector=any(name in pair for pair in codec.vector_pairs))
        kept = np.broadcast_to(np.atleast_1d(seen.values), old.std.ravel().shape) & (not whole_year)
        new.std = np.where(kept[:, None, None], new.std, old.std).astype(np.float32)
        normalizers[name] = new
    for u, v in codec.vector_pairs:
        normalizers[u].share_scale(normalizers[v])
    domains = {name: _levelled(archive.domain(name)) for name in names}
    rows, columns = np.arange(codec.grid.lat.size), np.arange(codec.grid.lon.size)
    grid = Grid(
        lat=archive.dataset["lat"].values.astype(np.float64),
        lon=archive.dataset["lon"].values.astype(np.float64),
        levels=codec.grid.levels,
        periodic=archive.periodic,
        monthly=codec.grid.monthly,
        positions=positions_of(archive.dataset),
        told=codec.grid.told or codec.grid.middle(rows, columns),
    )
    around = codec.vector_pairs, codec.context, codec.step_days, codec.bounds
    moved = FieldCodec(grid, codec.targets, codec.covariates, normalizers, domains, *around)
    moved.measures, moved.conditions = codec.measures, replace(codec.conditions)
    return moved


def _is_climatology(archive: GriddedArchive) -> bool:
    """Whether there is one field for each month of the year, without a gap."""
    months = archive.times.dt.month.values
    whole = all(
        bool((field.notnull() | ~archive.domain(str(name))).all()) for name, field in archive.dataset.data_vars.items()
    )
    return months.size == 12 and np.unique(months).size == 12 and whole


def _levelled(domain: xr.DataArray) -> np.ndarray:
    values = np.asarray(domain.transpose(..., "lat", "lon").values, dtype=bool)
    return values if values.ndim == 3 else values[None]

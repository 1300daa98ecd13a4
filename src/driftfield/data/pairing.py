"""Two archives of the same fields, fine and coarse, each on its own grid.

    fine truth  --H-->  coarse fields on the fly            data.coarse: {factor: 4}
    fine truth, coarse model, common times                  data.coarse: {archive: era5.nc}
    fine truth, coarse model, other times                   data.coarse: {archive: gcm.nc, paired: false}

H is the `Regridding` between the two. Whatever cannot be a pair is refused before anything is fitted: other variables, units or
calendars, no common times, coarse cells that do not cover the fine ones.
"""

__all__ = ["Pair", "make_pair", "require_pair"]

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import xarray as xr

from driftfield.conventions import require
from driftfield.data.coarsening import cell_grid_of, coarsened, regridding_by_factor
from driftfield.data.sources import GriddedArchive
from driftfield.data.statics import Statics, checked, read_statics
from driftfield.errors import ConfigurationError, DataError, suggest
from driftfield.gridded.encodings import as_dates, time_days
from driftfield.gridded.gridded_files import open_fields
from driftfield.gridded.measures import Measures
from driftfield.interfaces import TrainingData
from driftfield.linalg.cell_grid import CellGrid
from driftfield.linalg.regridding import Regridding

log = logging.getLogger(__name__)

_KEYS = ("factor", "archive", "names", "halo", "paired")
_SAME_CALENDAR = {"standard": "gregorian", "proleptic_gregorian": "gregorian"}


@dataclass(frozen=True)
class Pair:
    """Fine truth and coarse fields.

    Arguments:
        coarse: The coarse fields (time, lat, lon) under the names of the targets, in their units; NaN where missing. At
            the times of
            the fine archive, unless not `paired`.
        regridding: From the fine grid to the coarse one.
        statics: Static fields at both resolutions.
        names: How a coarse file calls the targets.
        means: Whether the coarse fields are means of the fine ones, so that a projection onto them is right.
        paired: Whether fine and coarse fields at the same place of the time axis are of the same time.
    """

    coarse: xr.Dataset
    regridding: Regridding
    statics: Statics = field(default_factory=Statics)
    names: dict[str, str] = field(default_factory=dict)
    means: bool = True
    paired: bool = True


def require_pair(data: TrainingData, method: str) -> Pair:
    """The pair that a method learns from.

    Raises:
        ConfigurationError: the recipe names none.
    """
    if not isinstance(data.pair, Pair):
        raise ConfigurationError(
            f"{method} learns from coarse and fine fields: found none that are coarse. Add data.coarse, such as {{factor: 4}} or "
            "{archive: FILE}."
        )
    return data.pair


def make_pair(
    archive: GriddedArchive, coarse: Mapping[str, Any], statics: Mapping[str, Any] | None = None
) -> tuple[GriddedArchive, Pair]:
    """The pair that a recipe asks for.

    Arguments:
        archive: The fine truth.
        coarse: `data.coarse`.
        statics: `data.statics`.

    Returns:
        The archive on the cells and times that have a partner, and its pair.

    Raises:
        ConfigurationError: keys that make no sense.
        DataError: two archives that are no pair.
    """
    _check(coarse)
    if any("depth" in archive.dataset[name].dims for name in archive.variables):
        raise DataError(
            f"{archive.variables[0]!r} has levels: expected surface fields. Select a level with data.levels and write it out."
        )
    if "factor" in coarse:
        archive, pair = _by_factor(archive, coarse["factor"])
        like = None
    else:
        archive, pair = _of_two(archive, coarse)
        like = pair.coarse
    if statics is None:
        return archive, pair
    found = read_statics(**checked(statics), fine=archive.dataset, regridding=pair.regridding, coarse=like)
    return archive, replace(pair, statics=found)


def _check(coarse: Any) -> None:
    forms = "{factor: 4} or {archive: FILE}"
    if not isinstance(coarse, Mapping):
        raise ConfigurationError(f"data.coarse is {coarse!r}: expected {forms}.")
    for key in coarse:
        if key not in _KEYS:
            raise ConfigurationError(f"Unknown key {key!r} under data.coarse: {suggest(str(key), _KEYS)}")
    if ("factor" in coarse) == ("archive" in coarse):
        raise ConfigurationError(f"data.coarse is {dict(coarse)}: expected one of factor and archive, {forms}.")
    if "factor" in coarse and len(coarse) > 1:
        other = next(key for key in coarse if key != "factor")
        raise ConfigurationError(f"data.coarse has a factor: {other!r} has no meaning with it. Leave it out.")


def _by_factor(archive: GriddedArchive, factor: Any) -> tuple[GriddedArchive, Pair]:
    factors = factor if isinstance(factor, list) else [factor, factor]
    if len(factors) != 2 or any(isinstance(f, bool) or not isinstance(f, int | float) for f in factors):
        raise ConfigurationError(
            f"data.coarse.factor is {factor!r}: expected cells per block, such as 4, 2.5 or [4, 2]."
        )
    used = {}
    for axis, wanted in zip(("lat", "lon"), factors, strict=True):
        size = archive.dataset.sizes[axis]
        whole = int(size / wanted + 1e-9) if 1 <= wanted <= size else 1
        used[axis] = min(size, int(np.ceil(whole * wanted - 1e-9)))
        if used[axis] < size:
            log.info(
                "the last %d of %d cells along %s fill no block of %g: left out", size - used[axis], size, axis, wanted
            )
    archive = part_of(archive, {axis: np.arange(size) for axis, size in used.items()})
    regridding = regridding_by_factor(archive.dataset, (float(factors[0]), float(factors[1])))
    return archive, Pair(coarsened(archive.dataset, regridding).load(), regridding)


def part_of(archive: GriddedArchive, chosen: Mapping[str, np.ndarray]) -> GriddedArchive:
    """Some rows, columns or times of an archive."""
    space = {axis: index for axis, index in chosen.items() if axis != "time"}
    whole = all(len(i) == archive.dataset.sizes[a] for a, i in space.items())
    return GriddedArchive(
        archive.dataset.isel(chosen),
        {name: domain.isel(space) for name, domain in archive.domains.items()},
        archive.periodic and whole,
    )


# -- two archives ------------------------------------------------------------------------------------------------------


def _of_two(archive: GriddedArchive, coarse: Mapping[str, Any]) -> tuple[GriddedArchive, Pair]:
    path, names = str(coarse["archive"]), dict(coarse.get("names") or {})
    paired = coarse.get("paired", True)
    if not isinstance(paired, bool):
        raise ConfigurationError(f"data.coarse.paired is {paired!r}: expected true or false.")
    called = {name: str(names.get(name, name)) for name in archive.variables}
    if unknown := [name for name in names if name not in archive.variables]:
        raise ConfigurationError(f"data.coarse.names maps {unknown[0]!r}: {suggest(unknown[0], archive.variables)}")
    fields = named_as_targets(open_fields(path), called, path)
    measures = Measures.fit(archive.dataset, list(archive.variables), origin="the fine archive")
    fields = measures.brought(fields, path)
    if paired:
        archive, fields = aligned(archive, fields, path)
    fields = around(fields, archive.dataset, float(coarse.get("halo", 0.0))).load()
    regridding = Regridding.overlap(cell_grid_of(archive.dataset), cell_grid_of(fields))
    check_cover(archive, regridding, path)
    return archive, Pair(fields, regridding, names=called, means=False, paired=paired)


def named_as_targets(fields: xr.Dataset, names: Mapping[str, str], source: str) -> xr.Dataset:
    """The targets of a coarse file under their own names, (time, lat, lon).

    Raises:
        DataError: one of them is missing, or has other axes.
    """
    require(fields, list(names.values()), source)
    named = fields[list(names.values())].rename({theirs: name for name, theirs in names.items() if theirs != name})
    for name in names:
        dims = tuple(map(str, named[name].dims))
        if set(dims) != {"time", "lat", "lon"}:
            raise DataError(
                f"{name!r} in {source} has the axes {dims}: expected time, lat and lon. Select one element of each other."
            )
    return named.transpose("time", "lat", "lon")


def aligned(archive: GriddedArchive, fields: xr.Dataset, source: str) -> tuple[GriddedArchive, xr.Dataset]:
    """Both at their common times; daily fields may differ in the hour, and monthly ones in the day of their stamp.

    Raises:
        DataError: other calendars, or no common time.
    """
    fine, coarse = as_dates(archive.times), as_dates(fields["time"])
    calendars = [_SAME_CALENDAR.get(dates.dt.calendar, dates.dt.calendar) for dates in (fine, coarse)]
    if calendars[0] != calendars[1]:
        raise DataError(
            f"The fine archive has the calendar {calendars[0]!r} and {source} has {calendars[1]!r}: their days do not "
            "pair. Convert "
            "one, or learn without pairs (data.coarse.paired: false)."
        )
    step = min(float(np.median(np.diff(time_days(d)))) if d.size > 1 else 0.0 for d in (fine, coarse))
    form = "%Y-%m" if step > 27 else "%Y-%m-%d" if step > 0.8 else "%Y-%m-%dT%H:%M"
    keys = [list(map(str, dates.dt.strftime(form).values)) for dates in (fine, coarse)]
    for which, stamps in zip(("The fine archive", source), keys, strict=True):
        if len(set(stamps)) < len(stamps):
            raise DataError(f"{which} has two times within one step ({form}). Give both archives the same step.")
    where = {key: index for index, key in enumerate(keys[1])}
    both = [(index, where[key]) for index, key in enumerate(keys[0]) if key in where]
    if not both:
        raise DataError(
            f"The fine archive ({keys[0][0]} to {keys[0][-1]}) and {source} ({keys[1][0]} to {keys[1][-1]}) share no "
            "time. Name files "
            "of the same period, or learn without pairs (data.coarse.paired: false)."
        )
    mine, theirs = (np.array(index) for index in zip(*both, strict=True))
    log.info("%d of %d fine and %d coarse times pair", len(both), fine.size, coarse.size)
    fields = fields.isel(time=theirs).assign_coords(time=archive.times[mine])
    return part_of(archive, {"time": mine}), fields


def around(fields: xr.Dataset, fine: xr.Dataset, halo: float) -> xr.Dataset:
    """The coarse cells of a regular grid that touch the fine ones, one more, and a halo of degrees."""
    grid, inner = cell_grid_of(fields), cell_grid_of(fine)
    if not grid.rectilinear:
        return fields
    lat, lon = inner.corners
    shift = 360.0 * np.round((lon.mean() - 0.5 * (grid.lon[0] + grid.lon[-1])) / 360.0)
    fields = fields.assign_coords(lon=("lon", fields["lon"].values + shift, fields["lon"].attrs)) if shift else fields
    chosen = {}
    for axis, edges, low, high in (
        ("lat", grid.lat, lat.min(), lat.max()),
        ("lon", grid.lon + shift, lon.min(), lon.max()),
    ):
        step = float(np.diff(edges).max())
        middle = 0.5 * (edges[1:] + edges[:-1])
        chosen[axis] = np.flatnonzero((middle > low - halo - step) & (middle < high + halo + step))
    return fields.isel(chosen)


def check_cover(archive: GriddedArchive, regridding: Regridding, source: str) -> None:
    """Refuses coarse cells that do not cover the cells of the domain.

    Raises:
        DataError: how many are not covered, and how far the file falls short.
    """
    inside = np.asarray(regridding.areas.sum(axis=0)).ravel().reshape(regridding.fine.shape) / regridding.fine.area
    domain = np.any([d.values for d in archive.domains.values()], axis=0)
    lacking = (inside < 0.5) & domain
    if lacking.any():
        raise DataError(
            f"{source} covers {int(domain.sum() - lacking.sum())} of {int(domain.sum())} fine cells; it reaches from "
            f"{extent(regridding.coarse)}, the fine grid from {extent(regridding.fine)}. Name a file that covers it, or a "
            "smaller "
            "data.region."
        )


def extent(grid: CellGrid) -> str:
    """Of the corners, in words."""
    return f"{grid.lat.min():.2f} to {grid.lat.max():.2f} north and {grid.lon.min():.2f} to {grid.lon.max():.2f} east"

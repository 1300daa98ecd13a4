"""From files (`gridded_files.py`) to gridded archives.

    file, glob, list or store  --open_fields-->  canonical data set (lazy)  --open_archive-->  GriddedArchive
                                                                                          variables, domains, periodic

The `domain` of a variable (where it exists, per level) comes from the file itself, else from a file that the user
names, else it is inferred: a cell that is finite at any time exists. One that is only sometimes NaN is a gap, not land.
"""

__all__ = [
    "GriddedArchive",
    "ever_finite",
    "expand_paths",
    "is_periodic",
    "open_archive",
    "open_fields",
    "select_time",
    "write_dataset",
]

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from driftfield.conventions import (
    check_dimensions,
    domain_of,
    ever_finite,
    positions_of,
    require,
    state_variables,
)
from driftfield.errors import ConfigurationError, DataError, suggest
from driftfield.gridded.acceptance import USUAL, Acceptance
from driftfield.gridded.domains import check_domain, with_domain
from driftfield.gridded.gridded_files import expand_paths, open_fields, write_dataset
from driftfield.gridded.lazy import loaded
from driftfield.gridded.region import is_periodic, select_region
from driftfield.gridded.removal import count_removed
from driftfield.gridded.sentinels import without_still_land
from driftfield.gridded.units import check_plausible

log = logging.getLogger(__name__)

IN_MEMORY_MIB = 2048.0
"""An archive of this size or less is loaded; a larger one is read as it is needed."""


@dataclass(frozen=True)
class GriddedArchive:
    """Gridded truth to learn from (`interfaces.Archive`).

    Arguments:
        dataset: Variables (time, [depth,] lat, lon), float32, NaN where unknown.
        domains: Where each variable exists: boolean ([depth,] lat, lon).
        periodic: Whether longitude wraps.
        seen: Where the values were measured (time, [depth,] lat, lon), by variable, if gaps were filled in by a model.
        cells: Of a part of an archive, the cells that it may know: boolean (lat, lon). A gap elsewhere is none.
    """

    dataset: xr.Dataset
    domains: dict[str, xr.DataArray]
    periodic: bool
    seen: dict[str, xr.DataArray] = field(default_factory=dict)
    cells: xr.DataArray | None = None

    def only(self, times: np.ndarray, cells: np.ndarray | None = None) -> "GriddedArchive":
        """The same grid, dates and domains, with NaN at all other times and cells: what is not to be learnt from.

        Arguments:
            times: Time indices that stay.
            cells: Cells that stay, boolean (lat, lon); None for all.
        """
        stays = np.zeros(self.times.size, dtype=bool)
        stays[times] = True
        if cells is None and stays.all():
            return self
        mask = xr.DataArray(stays, dims="time")
        inside = None if cells is None else xr.DataArray(cells, dims=("lat", "lon"))
        order = {str(name): field.dims for name, field in self.dataset.items()}
        dataset = self.dataset.where(mask if inside is None else mask & inside)
        dataset = dataset.assign({name: dataset[name].transpose(*dims) for name, dims in order.items()})
        return replace(self, dataset=dataset, cells=inside)

    @property
    def variables(self) -> tuple[str, ...]:
        """Names of the variables."""
        return tuple(self.domains)

    @property
    def times(self) -> xr.DataArray:
        """The dates (time,), datetime64 or cftime."""
        return self.dataset["time"]

    def domain(self, variable: str) -> xr.DataArray:
        """Where the variable exists: boolean ([depth,] lat, lon).

        Raises:
            DataError: no such variable.
        """
        if variable not in self.domains:
            raise DataError(f"No variable {variable!r} in the archive: {suggest(variable, self.domains)}")
        return self.domains[variable]

    def levels(self, variable: str) -> tuple[float | None, ...]:
        """Depths in metres, or (None,) for a surface field."""
        domain = self.domain(variable)
        return tuple(map(float, domain["depth"].values)) if "depth" in domain.dims else (None,)


def open_archive(
    path: str | Path | Sequence[str | Path],
    variables: Sequence[str] | None = None,
    *,
    levels: Sequence[float] | None = None,
    region: Mapping[str, Sequence[float]] | None = None,
    domain: str | Path | None = None,
    time: Sequence[Any] | None = None,
    acceptance: Acceptance = USUAL,
    in_memory_mib: float | None = None,
) -> GriddedArchive:
    """Opens a gridded archive to learn from; loads it where it is small, leaves it lazy where it is not.

    Arguments:
        path: As for `open_fields`.
        variables: Names in the file; every gridded variable with a time axis if not given.
        levels: Depths in metres; the nearest level of the file is taken and reported in the log.
        region: `{lat: [a, b], lon: [a, b]}` in degrees; longitude in either convention, and it may cross the dateline.
        domain: A file whose variable `domain` (or `<variable>_domain`, `mask`, or the variable itself, finite = exists)
            says where the variables exist. The file's own `domain` goes before it.
        time: First and last date, both included; "2015" is the whole year.
        acceptance: Which quality flags reject a value, where the usual is not wanted.
        in_memory_mib: Load into memory below this size; `IN_MEMORY_MIB` if not given.

    Raises:
        ConfigurationError: an acceptance that no flag of the file knows.
        DataError: a variable, level, region, time or domain that the file does not have.
        FileFormatError: a file that cannot be read.
    """
    dataset = open_fields(path, variables=variables, marks=True, acceptance=acceptance)
    names = _checked_variables(dataset, variables, str(path))
    if not dataset.sizes["time"]:
        raise DataError(f"{path} holds no date: its time axis is empty. Expected fields of one date or more.")
    masks = [str(n) for n in dataset.data_vars if str(n) == "domain" or str(n).endswith(("_domain", "_removed"))]
    dataset = dataset[[*names, *masks]]
    if levels is not None and "depth" in dataset.dims:
        dataset = _select_levels(dataset, levels)
    dataset = select_region(dataset, region or {})
    if time is not None:
        dataset = select_time(dataset, time)
    # single precision before anything is loaded: packed numbers are decoded to double
    dataset = dataset.assign({name: dataset[name].astype(np.float32) for name in names})
    most = IN_MEMORY_MIB if in_memory_mib is None else in_memory_mib
    if sum(dataset[name].size for name in names) * 4 <= most * 2**20:
        dataset = loaded(dataset)
    dataset, _ = count_removed(dataset, names, str(path))
    fields = dataset[names]
    masked = with_domain(open_fields(domain), str(domain)) if domain is not None else None
    if masked is None:
        still = [name for name in names if domain_of(dataset, name) is None]
        fields = fields.assign({name: without_still_land(fields[name], str(path)) for name in still})
    domains = {name: _find_domain(dataset, fields[name], masked, str(domain)) for name in names}
    for name in names:
        check_plausible(fields[name], inside=domains[name], source=str(path))
    empty = [name for name, exists in domains.items() if not bool(exists.any())]
    if empty and (variables is not None or len(empty) == len(names)):
        raise DataError(f"{empty[0]!r} in {path} is NaN everywhere here. Check the file, the region and the levels.")
    if empty:
        log.info("%s: left out %s, NaN everywhere", path, empty)
        domains = {name: exists for name, exists in domains.items() if name not in empty}
    return GriddedArchive(dataset=fields[list(domains)], domains=domains, periodic=is_periodic(dataset["lon"]))


def _checked_variables(dataset: xr.Dataset, variables: Sequence[str] | None, path: str) -> list[str]:
    if variables is None:
        names = [n for n in state_variables(dataset) if "time" in dataset[n].dims and dataset[n].dtype.kind == "f"]
        if not names:
            raise DataError(f"No variable with time, lat and lon in {path}: found {sorted(map(str, dataset))}.")
    else:
        names = list(variables)
        require(dataset, names, path)
    for name in names:
        if dataset[name].dtype.kind not in "fiub":
            raise DataError(f"{name!r} in {path} holds {dataset[name].dtype}, expected numbers. Name another variable.")
        if "time" not in dataset[name].dims:
            raise DataError(f"{name!r} in {path} has no time axis, which an archive needs. Give the file a time axis.")
        check_dimensions(dataset[name], path)
    return names


def _select_levels(dataset: xr.Dataset, levels: Sequence[float]) -> xr.Dataset:
    available = dataset["depth"].values
    index = [int(np.argmin(np.abs(available - float(level)))) for level in levels]
    if len(set(index)) < len(index):
        raise DataError(
            f"Two of the levels {list(levels)} m have the same nearest level in the file ({available.tolist()} m). "
            "Ask for each once."
        )
    others = [f"{level:g} -> {available[i]:g}" for level, i in zip(levels, index, strict=True) if available[i] != level]
    if others:
        log.info("nearest levels in the file, m: %s", ", ".join(others))
    return dataset.isel(depth=sorted(index))


def select_time(dataset: xr.Dataset, time: Sequence[Any]) -> xr.Dataset:
    """The dates from the first to the last, both included."""
    if len(time) != 2:
        raise ConfigurationError(f"Expected time as [first, last], found {list(time)!r}.")
    try:
        chosen = dataset.sel(time=slice(*(None if t is None else str(t) for t in time)))
    except (ValueError, TypeError, KeyError) as error:
        raise ConfigurationError(f"Cannot read {list(time)!r} as [first, last] dates: {error}.") from error
    if chosen.sizes["time"] == 0:
        first, last = dataset["time"].values[[0, -1]]
        raise DataError(f"No time between {time[0]} and {time[1]}: the file runs from {first} to {last}.")
    return chosen


def _find_domain(dataset: xr.Dataset, field: xr.DataArray, masks: xr.Dataset | None, path: str) -> xr.DataArray:
    """Boolean ([depth,] lat, lon): the file's own, else the named file's, else finite at any time."""
    name = str(field.name)
    domain = domain_of(dataset, name)
    if domain is None and masks is not None:
        domain = _domain_from(masks, field, path)
    stated = domain is not None
    if domain is not None:
        check_dimensions(domain, path if masks is not None else "the file", ("depth", "lat", "lon"))
    if domain is None:
        domain = ever_finite(field)
    elif "depth" in field.dims and "depth" not in domain.dims:
        domain = domain & ever_finite(field)  # a surface mask knows the coast but not the sea floor
    if stated:
        check_domain(field, domain, path if masks is not None else "the file")
    return (
        domain.transpose(*(d for d in ("depth", "lat", "lon") if d in domain.dims)).compute().rename(f"{name}_domain")
    )


def _domain_from(masks: xr.Dataset, field: xr.DataArray, path: str) -> xr.DataArray:
    """The domain of `field` on its own grid, read from another file."""
    name = str(field.name)
    here = field.isel(time=0, drop=True)
    mask = domain_of(masks if name in masks else masks.assign({name: here}), name)
    if mask is None and name not in masks:
        raise DataError(f"No variable 'domain', 'mask' or {name!r} in {path}: found {sorted(map(str, masks))}.")
    if mask is None:
        mask = ever_finite(masks[name]) if "time" in masks[name].dims else masks[name].notnull()
    mask = mask.any("time") if "time" in mask.dims else mask
    mask = mask.isel(depth=0, drop=True) if "depth" in mask.dims and "depth" not in field.dims else mask
    axes = [d for d in ("depth", "lat", "lon") if d in mask.dims]
    if (own := positions_of(field)) is not None and (theirs := positions_of(mask)) is not None:
        rows, columns = theirs.cells(own, what=f"The cells of {name!r}", grid=f"the grid of the domain in {path}")
        mask, axes = mask.isel(lat=rows, lon=columns), [d for d in axes if d == "depth"]
    try:
        for axis in axes:
            spacing = float(np.abs(np.diff(here[axis].values)).min()) if here.sizes[axis] > 1 else 1.0
            mask = mask.sel({axis: here[axis]}, method="nearest", tolerance=0.25 * spacing)
    except KeyError as error:
        raise DataError(
            f"The domain in {path} lies on another grid than {name!r} ({error}). Regrid it first."
        ) from error
    return mask.assign_coords({d: here[d] for d in mask.dims})

"""Several sections as one archive, for networks that learn from windows of them.

    section A  | A A A A A |                           rows, levels, dates: the same in all
    section B  | B B B |                ->  | A A A A A . . B B B . . C C C C |       . exists nowhere

The gap between two sections is one cell less than a window is wide, so that no window sees two of them. Every cell stays a cell
of its own: its seasonal cycle, its domain and its position are those of its section. Sections that are one column wide are laid
one behind the other, along their rows.
"""

__all__ = ["open_sections"]

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from driftfield.conventions import DIMS, geometry_of
from driftfield.data.patches import window_size
from driftfield.data.sources import GriddedArchive, open_archive
from driftfield.errors import ConfigurationError, DataError

log = logging.getLogger(__name__)

SPACING = 1.3
"""Largest ratio of the steps of two sections: a network knows one spacing."""


def open_sections(
    paths: Sequence[str], variables: Sequence[str], windows: Mapping[str, Any] | None, **options: Any
) -> GriddedArchive:
    """The sections beside each other, on the dates that all of them have.

    Arguments:
        paths: One file (or glob) a section; each as long as it is, all with as many cells across.
        variables: Names in the files.
        windows: As of `prepare`; the length of a window sets the gap between sections.
        options: As of `open_archive`, of each.

    Raises:
        ConfigurationError: no window size, or one longer than a section.
        DataError: other cells across, levels, spacing or variables than the first section, or no date in common.
    """
    size = (windows or {}).get("size")
    if size is None:
        raise ConfigurationError(
            "data.sections needs windows that fit into every section: expected data.windows.size, such as [1, 32]. Add it."
        )
    parts = [open_archive(path, variables, **options) for path in paths]
    along = "lat" if all(p.dataset.sizes["lon"] == 1 < p.dataset.sizes["lat"] for p in parts) else "lon"
    width = window_size(size)[DIMS[-2:].index(along)]
    for path, part in zip(paths, parts, strict=True):
        _check_alike(paths[0], parts[0], path, part, along, width)
    dates = parts[0].times.values
    for part in parts[1:]:
        dates = np.intersect1d(dates, part.times.values)
    if not dates.size:
        raise DataError(f"The sections {', '.join(map(str, paths))} have no date in common. Name those of one period.")
    for path, part in zip(paths, parts, strict=True):
        if left := part.times.size - dates.size:
            log.warning("%s: %d of %d dates are left out, other sections lack them", path, left, part.times.size)
    fields = _beside([part.dataset.sel(time=dates) for part in parts], along, width - 1, np.nan)
    domains = _beside([xr.Dataset(part.domains) for part in parts], along, width - 1, False)
    log.info(
        "%d sections of %s cells are one archive", len(parts), ", ".join(str(p.dataset.sizes[along]) for p in parts)
    )
    return GriddedArchive(fields, {str(name): domain for name, domain in domains.items()}, False)


def _check_alike(first: str, model: GriddedArchive, path: str, part: GriddedArchive, along: str, width: int) -> None:
    """Refuses a section that does not fit to the first one, or is shorter than a window."""
    ours, theirs = model.dataset.sizes, part.dataset.sizes
    across, word = ("lat", "rows") if along == "lon" else ("lon", "columns")
    if theirs[across] != ours[across]:
        raise DataError(
            f"{path} has {theirs[across]} {word}, {first} has {ours[across]}: expected as many. Cut one, or turn it."
        )
    if theirs[along] < width:
        raise ConfigurationError(
            f"Windows of {width} cells do not fit into {path}, which has {theirs[along]}. Choose a smaller size."
        )
    for name in model.domains:
        if part.levels(name) != model.levels(name):
            raise DataError(
                f"{name!r} lies on other levels in {path} than in {first}: expected the same ones. Interpolate it, or name "
                "data.levels that both have."
            )
    for step_of in ("row_step", "column_step"):
        steps = [getattr(geometry_of(archive.dataset), step_of) for archive in (model, part)]
        expected, actual = (float(np.median(step[step > 0])) if (step > 0).any() else np.nan for step in steps)
        if np.isfinite([expected, actual]).all() and max(expected / actual, actual / expected) > SPACING:
            raise DataError(
                f"The {step_of.replace('_step', 's')} of {path} are {actual:.3g} km apart, those of {first} {expected:.3g} km: "
                f"expected a step within a factor of {SPACING}. Interpolate one to the spacing of the other."
            )


def _beside(parts: Sequence[xr.Dataset], along: str, gap: int, nothing: float | bool) -> xr.Dataset:
    """Along one axis, with a gap between two; rows and columns are numbered, positions are those of the parts."""
    pieces: list[xr.Dataset] = []
    for k, part in enumerate(parts):
        cells = geometry_of(part)
        numbered = part.drop_vars(["latitude", "longitude"], errors="ignore").assign_coords(
            lat=np.arange(part.sizes["lat"], dtype=np.float64), lon=np.arange(part.sizes["lon"], dtype=np.float64)
        )
        numbered = numbered.assign_coords(
            latitude=(("lat", "lon"), cells.latitude), longitude=(("lat", "lon"), cells.longitude)
        )
        if k and gap:
            pieces.append(_gap(pieces[-1], numbered, along, gap, nothing))
        pieces.append(numbered)
    joined = _joined(pieces, along)
    return joined.assign_coords({along: np.arange(joined.sizes[along], dtype=np.float64)})


def _joined(parts: Sequence[xr.Dataset], along: str) -> xr.Dataset:
    return xr.concat(parts, along, coords="minimal", compat="override", data_vars="minimal", join="override")


def _gap(before: xr.Dataset, after: xr.Dataset, along: str, width: int, nothing: float | bool) -> xr.Dataset:
    """Cells that exist nowhere, on the way from one section to the next."""
    ends = _joined([before.isel({along: [-1]}), after.isel({along: [0]})], along)
    empty = ends.isel({along: np.zeros(width, dtype=int)})
    axis = DIMS[-2:].index(along)
    share = np.expand_dims(np.arange(1, width + 1) / (width + 1), 1 - axis)
    for name in ("latitude", "longitude"):
        first, second = np.split(ends[name].values, 2, axis=axis)
        way = second - first
        way = (way + 180.0) % 360.0 - 180.0 if name == "longitude" else way
        empty = empty.assign_coords({name: (("lat", "lon"), first + way * share)})
    return empty.assign({name: xr.full_like(field, nothing) for name, field in empty.items()})

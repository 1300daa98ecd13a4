"""H as weights on cells: points, footprints, means and selections.

    weight of a cell = weight of its channel (depth, time)  x  weight of its place (lat, lon) / what of this is sea

Interpolation is bilinear in longitude and latitude and linear in depth and time, and exact where the field is linear in these.
Corners on land are dropped and the others share their weight, level by level. An observation is refused, with the reason,
where less than `least` of the weight is sea; where it asks for a level that is below the sea floor; beyond the grid.
"""

__all__ = ["UNKNOWN", "Stencil", "boxes", "cells", "coarse_means", "footprints", "points", "vertical_means"]

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from driftfield.earth import EARTH_RADIUS_KM
from driftfield.errors import ConfigurationError
from driftfield.geometry import Geometry
from driftfield.gridded.encodings import unit_sphere
from driftfield.linalg.operators import SparseOperator
from driftfield.observations.boxes import COVER, weights_in_boxes
from driftfield.observations.grid import ObservedPlaces, StateGrid, along_axis, around_axis

UNKNOWN = "not a variable of this state"
"""Why a row of another variable cannot be made of a state."""

SURFACE = 10.0
"""Metres: a surface field is seen by what lies above this depth."""


@dataclass(frozen=True)
class Stencil:
    """Weights of cells, and what was wrong.

    Arguments:
        rows, columns, weights: (weight,) which observation, which cell of the flattened state, how much.
        problem: (n,) why an observation cannot be made of this grid, empty if it can.
        shape: Of the state.
    """

    rows: np.ndarray
    columns: np.ndarray
    weights: np.ndarray
    problem: np.ndarray
    shape: tuple[int, ...]

    @property
    def usable(self) -> np.ndarray:
        """(n,) which observations can be made."""
        return self.problem == ""

    def operator(self, chosen: np.ndarray | None = None) -> SparseOperator:
        """H of the chosen observations (default: the usable ones), in their order."""
        chosen = self.usable if chosen is None else chosen & self.usable
        number = np.cumsum(chosen) - 1
        mine = chosen[self.rows]
        return SparseOperator(
            number[self.rows[mine]],
            self.columns[mine],
            self.weights[mine],
            size=int(chosen.sum()),
            shape=self.shape,
        )


@dataclass(frozen=True)
class _Part:
    """A weight for some items of each observation, sorted by observation; and what was wrong."""

    rows: np.ndarray
    items: np.ndarray
    weights: np.ndarray
    problem: np.ndarray

    @classmethod
    def dense(cls, items: np.ndarray, weights: np.ndarray, problem: np.ndarray) -> "_Part":
        """From (n, k) items and weights; what has no weight is left out."""
        rows = np.broadcast_to(np.arange(len(items))[:, None], items.shape)
        kept = (weights != 0) & (problem == "")[:, None]
        return cls(rows[kept], items[kept], weights[kept], problem)


def points(grid: StateGrid, places: ObservedPlaces, *, least: float = 0.5, surface: float = SURFACE) -> Stencil:
    """Values at points: bilinear in longitude and latitude, linear in depth and time.

    Arguments:
        grid: The state.
        places: Of the observations.
        least: Least weight of the corners that are sea, in (0, 1].
        surface: A surface field is seen by what lies above this depth, metres.
    """
    return _join(grid, _bilinear(grid, places), _levels_and_dates(grid, places, surface), least)


def footprints(
    grid: StateGrid,
    places: ObservedPlaces,
    radius_km: float,
    *,
    gaussian: bool = False,
    least: float = 0.5,
    surface: float = SURFACE,
) -> Stencil:
    """Means over the surroundings of points, such as the footprint of a radiometer; depth and time as for `points`.

    Arguments:
        grid: The state.
        places: Of the observations.
        radius_km: Of the disc. Where it holds no centre of a cell, the value at the point is taken.
        gaussian: Weight exp(-d^2 / 2 r^2) up to 3 r in place of a disc.
        least: Least share of the footprint that is sea.
        surface: As for `points`.

    Raises:
        ConfigurationError: a radius that is not positive.
    """
    if not 0 < radius_km < np.inf:
        raise ConfigurationError(f"Found a footprint of {radius_km} km: expected a radius above 0.")
    return _join(
        grid, _around(grid, places, radius_km, gaussian=gaussian), _levels_and_dates(grid, places, surface), least
    )


def vertical_means(
    grid: StateGrid, places: ObservedPlaces, bottom: np.ndarray | float, *, least: float = 0.5, surface: float = SURFACE
) -> Stencil:
    """Means over depth from `places.depth` down to `bottom`, weighted by the thickness of the layers; points otherwise.

    Arguments:
        grid: The state.
        places: Of the observations; their depth is the top.
        bottom: Metres, below the top. Layers below the sea floor are left out.
        least: Least weight of sea around the point, and least share of the thickness that the levels cover.
        surface: As for `points`; unused where a variable has levels.
    """
    bottom = np.broadcast_to(np.asarray(bottom, dtype=np.float64), (len(places),))
    planes = _layers_and_dates(grid, places, bottom, least, surface)
    return _join(grid, _bilinear(grid, places), planes, least, needs_all=False)


def coarse_means(grid: StateGrid, factor: int | tuple[int, int], *, least: float = 0.5) -> Stencil:
    """Means of blocks of cells, weighted by their area: what a coarser product sees. One per channel and block.

    Arguments:
        grid: The state.
        factor: Cells per block in latitude and longitude; the last block of a row may be smaller.
        least: Least share of a block that is sea.

    Returns:
        Observations in the order (channel, block row, block column); those of dry blocks are marked as "on land".
    """
    high, wide = (factor, factor) if isinstance(factor, int) else factor
    if high < 1 or wide < 1:
        raise ConfigurationError(f"Found blocks of {high} x {wide} cells: expected 1 or more.")
    channel, row, column = np.indices(grid.shape)
    blocks = -(-grid.lat.size // high), -(-grid.lon.size // wide)
    block = (channel * blocks[0] + row // high) * blocks[1] + column // wide
    n = grid.shape[0] * blocks[0] * blocks[1]
    area = np.broadcast_to(grid.cell_area(), grid.shape)
    sea = np.bincount(block.ravel(), (area * grid.domain).ravel(), minlength=n)
    share = sea / np.bincount(block.ravel(), area.ravel(), minlength=n)
    problem = np.where(share >= least, "", "on land").astype(object)
    used = grid.domain & (problem == "")[block]
    return Stencil(block[used], np.flatnonzero(used), area[used] / sea[block[used]], problem, grid.shape)


def boxes(grid: StateGrid, places: ObservedPlaces, *, least: float = 0.5, surface: float = SURFACE) -> Stencil:
    """Means over boxes of latitude and longitude, weighted by the area of each cell inside; depth and time as for `points`.

    Arguments:
        grid: The state.
        places: Of the observations, with a width and a height.
        least: Least share of the box that is sea.
        surface: As for `points`.
    """
    assert places.width is not None
    assert places.height is not None
    weights, cover = weights_in_boxes(grid, places.lat, places.lon, places.width, places.height)
    entries = weights.tocoo()
    problem = np.where(cover >= COVER, "", "outside the grid").astype(object)
    kept = (problem == "")[entries.row]
    inside = _Part(entries.row[kept], entries.col[kept], entries.data[kept], problem)
    return _join(grid, inside, _levels_and_dates(grid, places, surface), least)


def cells(grid: StateGrid, chosen: np.ndarray) -> Stencil:
    """Single cells, as gridded observations are; those outside the domain are marked as "on land".

    Arguments:
        grid: The state.
        chosen: Boolean (channel, lat, lon); observations come in the order of the flattened state.
    """
    if chosen.shape != grid.shape:
        raise ConfigurationError(f"Found a selection of shape {chosen.shape}: expected {grid.shape}.")
    columns = np.flatnonzero(chosen)
    problem = np.where(grid.domain.ravel()[columns], "", "on land").astype(object)
    return Stencil(np.arange(columns.size), columns, np.ones(columns.size), problem, grid.shape)


def _bilinear(grid: StateGrid, places: ObservedPlaces) -> _Part:
    """The four cells around each place; all of their weights, sea or not."""
    if grid.positions is not None:
        return _between_positions(grid, grid.positions, places)
    half = [0.5 * float(np.diff(axis)[[0, -1]].max()) if axis.size > 1 else 0.5 for axis in (grid.lat, grid.lon)]
    low, high, north, inside = along_axis(places.lat, grid.lat, below=half[0], above=half[0])
    if grid.periodic:
        left, right, east, across = around_axis(places.lon, grid.lon)
    else:
        middle = 0.5 * (grid.lon[0] + grid.lon[-1])
        lon = middle + (places.lon - middle + 180.0) % 360.0 - 180.0
        left, right, east, across = along_axis(lon, grid.lon, below=half[1], above=half[1])
    problem = np.where(inside & across, "", "outside the grid").astype(object)
    items = np.stack([row * grid.lon.size + column for row in (low, high) for column in (left, right)], axis=1)
    weights = np.stack([v * h for v in (1 - north, north) for h in (1 - east, east)], axis=1)
    return _Part.dense(items, weights, problem)


def _between_positions(grid: StateGrid, positions: Geometry, places: ObservedPlaces) -> _Part:
    """The four cells around each place of a grid with positions, by fractional rows and columns."""
    row, column = positions.fractional(places.lat, places.lon)
    problem = np.where(np.isfinite(row), "", "outside the grid").astype(object)
    low, high, north, _ = along_axis(row, np.arange(float(positions.shape[0])), below=1.0, above=1.0)
    if positions.wraps:
        left = np.floor(np.nan_to_num(column)).astype(np.int64) % positions.shape[1]
        right, east = (left + 1) % positions.shape[1], np.nan_to_num(column) % 1.0
    else:
        left, right, east, _ = along_axis(column, np.arange(float(positions.shape[1])), below=1.0, above=1.0)
    items = np.stack([r * grid.lon.size + c for r in (low, high) for c in (left, right)], axis=1)
    weights = np.stack([v * h for v in (1 - north, north) for h in (1 - east, east)], axis=1)
    return _Part.dense(items, weights, problem)


def _around(grid: StateGrid, places: ObservedPlaces, radius_km: float, *, gaussian: bool) -> _Part:
    """The cells within a distance of each place, weighted by their area."""
    point = _bilinear(grid, places)
    tree = cKDTree(unit_sphere(grid.places.latitude.ravel(), grid.places.longitude.ravel()))
    reach = radius_km * (3.0 if gaussian else 1.0)
    fine = point.problem == ""
    centres = unit_sphere(np.where(fine, places.lat, 0.0), np.where(fine, places.lon, 0.0))
    chord = 2.0 * np.sin(min(0.5 * reach / EARTH_RADIUS_KM, 0.5 * np.pi))
    near = tree.query_ball_point(centres, chord, return_sorted=True)
    number = np.array([len(one) if good else 0 for one, good in zip(near, fine, strict=True)], dtype=np.int64)
    rows = np.repeat(np.arange(len(places)), number)
    items = np.concatenate(
        [np.asarray(one, dtype=np.int64) for one, n in zip(near, number, strict=True) if n] or [rows]
    )
    weights = grid.cell_area().ravel()[items]
    if gaussian:
        distance = EARTH_RADIUS_KM * np.linalg.norm(tree.data[items] - centres[rows], axis=1)
        weights = weights * np.exp(-0.5 * (distance / radius_km) ** 2)
    alone = number[point.rows] == 0
    rows, items = np.append(rows, point.rows[alone]), np.append(items, point.items[alone])
    total = np.bincount(rows, weights := np.append(weights, point.weights[alone]), minlength=len(places))
    order = np.argsort(rows, kind="stable")
    return _Part(rows[order], items[order], (weights / total[rows])[order], point.problem)


def _levels_and_dates(grid: StateGrid, places: ObservedPlaces, surface: float) -> _Part:
    """The channels that an observation lies between."""
    items, weights = np.zeros((len(places), 4), dtype=np.int64), np.zeros((len(places), 4))
    problem = _unknown(grid, places)
    for variable in grid.variables:
        mine = np.flatnonzero(places.variable == variable)
        levels, days, channel = grid.table_of(variable)
        top, deep, down, wet = _between_levels(places.depth[mine], levels, surface)
        before, after, late, dated = _between_dates(places.days[mine], days, grid.step_days)
        items[mine] = np.stack([channel[date, level] for date in (before, after) for level in (top, deep)], axis=1)
        weights[mine] = np.stack([t * z for t in (1 - late, late) for z in (1 - down, down)], axis=1)
        problem[mine[~wet]] = "outside the levels"
        problem[mine[~dated]] = "far from the dates"
    return _Part.dense(items, weights, problem)


def _layers_and_dates(
    grid: StateGrid, places: ObservedPlaces, bottom: np.ndarray, least: float, surface: float
) -> _Part:
    """The channels whose layers a mean over depth passes through."""
    widest = max(grid.table_of(variable)[0].size for variable in grid.variables)
    items, weights = np.zeros((len(places), 2 * widest), dtype=np.int64), np.zeros((len(places), 2 * widest))
    problem = _unknown(grid, places)
    for variable in grid.variables:
        mine = np.flatnonzero(places.variable == variable)
        levels, days, channel = grid.table_of(variable)
        before, after, late, dated = _between_dates(places.days[mine], days, grid.step_days)
        if not mine.size:
            continue
        if levels.size == 1:
            raise ConfigurationError(f"{variable!r} has no levels to take a mean of: expected two or more.")
        edges = np.concatenate([[0.0], 0.5 * (levels[1:] + levels[:-1]), [1.5 * levels[-1] - 0.5 * levels[-2]]])
        edges[0] = max(0.0, 1.5 * levels[0] - 0.5 * levels[1])
        top = places.depth[mine, None]
        thickness = np.minimum(bottom[mine, None], edges[1:]) - np.maximum(top, edges[:-1])
        share = (
            np.nan_to_num(thickness).clip(min=0.0)
            / np.where(bottom[mine] > top[:, 0], bottom[mine] - top[:, 0], np.inf)[:, None]
        )
        for k, (date, part) in enumerate(((before, 1 - late), (after, late))):
            span = slice(k * widest, k * widest + levels.size)
            items[mine, span], weights[mine, span] = channel[date], part[:, None] * share
        problem[mine[share.sum(axis=1) < least]] = "outside the levels"
        problem[mine[~dated]] = "far from the dates"
    return _Part.dense(items, weights, problem)


def _unknown(grid: StateGrid, places: ObservedPlaces) -> np.ndarray:
    known = np.isin(places.variable.astype(str), grid.variables)
    return np.where(known, "", UNKNOWN).astype(object)


def _between_levels(depth: np.ndarray, levels: np.ndarray, surface: float) -> tuple[np.ndarray, ...]:
    if levels.size == 1:
        level = np.nan_to_num(levels)  # a surface field lies at 0
        at = np.where(np.isnan(depth) & np.isnan(levels[0]), 0.0, depth)
        return along_axis(at, level, below=surface, above=surface)
    below = min(levels[0], 0.5 * (levels[1] - levels[0]))
    return along_axis(depth, levels, below=below, above=0.5 * (levels[-1] - levels[-2]))


def _between_dates(days: np.ndarray, dates: np.ndarray, step: float) -> tuple[np.ndarray, ...]:
    if np.isnan(dates).all():  # time does not matter: everything is seen at the first date
        days, dates = np.zeros(days.shape), np.arange(float(len(dates)))
    at = np.where(np.isnan(days), dates[0], days)
    # a second's rounding at the edge of the window is no reason to refuse
    return along_axis(at, dates, below=0.5 * step + 1e-6, above=0.5 * step + 1e-6)


def _join(grid: StateGrid, place: _Part, channel: _Part, least: float, *, needs_all: bool = True) -> Stencil:
    """Every channel of an observation with every cell of it, land left out."""
    if not 0 < least <= 1:
        raise ConfigurationError(f"Found least={least}: expected the least weight of sea, above 0 and up to 1.")
    n, cells_of_plane = len(place.problem), grid.shape[1] * grid.shape[2]
    number = np.bincount(place.rows, minlength=n)
    repeats = number[channel.rows]
    start = np.cumsum(number) - number
    pair = np.repeat(np.arange(len(channel.rows)), repeats)
    within = np.arange(len(pair)) - np.repeat(np.cumsum(repeats) - repeats, repeats)
    here = np.repeat(start[channel.rows], repeats) + within
    columns = channel.items[pair] * cells_of_plane + place.items[here]
    weights = place.weights[here] * grid.domain.reshape(-1)[columns]
    sea = np.bincount(pair, weights, minlength=len(channel.rows))
    dry = (sea < least - 1e-12) & (repeats > 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        weights = np.where(dry[pair], 0.0, weights / sea[pair]) * channel.weights[pair]
    problem = np.where(place.problem != "", place.problem, channel.problem)
    total = np.bincount(channel.rows[~dry], channel.weights[~dry], minlength=n)
    missed = np.bincount(channel.rows, dry, minlength=n) > 0 if needs_all else total < least - 1e-12
    wet_above = _sea_at_top(grid, place) >= least - 1e-12
    problem = np.where((problem == "") & missed, np.where(wet_above, "below the sea floor", "on land"), problem)
    if not needs_all:
        weights = weights / np.where(total > 0, total, 1.0)[channel.rows[pair]]
    kept = (problem == "")[channel.rows[pair]] & (weights != 0)
    return Stencil(channel.rows[pair][kept], columns[kept], weights[kept], problem.astype(object), grid.shape)


def _sea_at_top(grid: StateGrid, place: _Part) -> np.ndarray:
    """Weight of sea around each place, where any channel exists."""
    exists = grid.domain.any(axis=0).reshape(-1)
    return np.bincount(place.rows, place.weights * exists[place.items], minlength=len(place.problem))

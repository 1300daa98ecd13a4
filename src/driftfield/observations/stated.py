"""H of a table whose rows are not all of one kind.

a row with a width      -> the mean over a box of latitude and longitude               (`stencils.boxes`)
a row with a bottom     -> the mean over depth, from its depth down to there           (`stencils.vertical_means`)
of a wide variable      -> the mean over a disc around its place                       (`stencils.footprints`)
any other               -> the value at its place                                      (`stencils.points`)
"""

__all__ = ["as_stated"]

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from driftfield.errors import ConfigurationError, suggest
from driftfield.observations.grid import ObservedPlaces, StateGrid
from driftfield.observations.stencils import SURFACE, Stencil, boxes, footprints, points, vertical_means

BOTH = "a mean over a box and over depth at once"


def as_stated(
    grid: StateGrid,
    places: ObservedPlaces,
    *,
    radius_km: Mapping[str, float] | float | None = None,
    gaussian: bool = False,
    least: float = 0.5,
    surface: float = SURFACE,
) -> Stencil:
    """Each observation as its row says.

    Arguments:
        grid: The state.
        places: Of the observations; those with a bottom are means over depth, those with a width and a height over a box.
        radius_km: Radius of the footprint, of all variables or of some; the others are points. A mean over depth is one at a
            point, and a box is no disc.
        gaussian: As for `footprints`.
        least, surface: As for `points`.

    Raises:
        ConfigurationError: a radius that is not above 0, or one of a variable that the grid has not.
    """
    deep, boxed = (
        np.zeros(len(places), dtype=bool) if part is None else np.isfinite(part)
        for part in (places.bottom, places.width)
    )
    wide = np.where(deep | boxed, np.nan, _radii(grid, places, radius_km))
    parts: list[tuple[np.ndarray, Stencil]] = []
    if boxed.any():
        mine = np.flatnonzero(boxed)
        made = boxes(grid, places.select(mine), least=least, surface=surface)
        both = deep[mine] & (made.problem == "")
        parts.append((mine, replace(made, problem=np.where(both, BOTH, made.problem).astype(object))))
    deep = deep & ~boxed
    if deep.any():
        assert places.bottom is not None
        mine = np.flatnonzero(deep)
        made = vertical_means(grid, places.select(mine), places.bottom[mine], least=least, surface=surface)
        parts.append((mine, made))
    for radius in np.unique(wide[np.isfinite(wide)]):
        mine = np.flatnonzero(wide == radius)
        made = footprints(grid, places.select(mine), float(radius), gaussian=gaussian, least=least, surface=surface)
        parts.append((mine, made))
    if (simple := ~deep & ~boxed & np.isnan(wide)).any() or not parts:
        mine = np.flatnonzero(simple)
        parts.append((mine, points(grid, places.select(mine), least=least, surface=surface)))
    return _side_by_side(parts, len(places), grid.shape)


def _radii(grid: StateGrid, places: ObservedPlaces, stated: Mapping[str, float] | float | None) -> np.ndarray:
    """Radius of each observation (n,), NaN at a point."""
    if stated is None:
        return np.full(len(places), np.nan)
    by_name = stated if isinstance(stated, Mapping) else dict.fromkeys(grid.variables, stated)
    radius = np.full(len(places), np.nan)
    for name, value in by_name.items():
        if name not in grid.variables:
            raise ConfigurationError(f"Found a footprint of {name!r}: {suggest(name, grid.variables)}")
        if not 0 < value < np.inf:
            raise ConfigurationError(f"Found a footprint of {value:g} km: expected a radius above 0.")
        radius[places.variable == name] = value
    return radius


def _side_by_side(parts: list[tuple[np.ndarray, Stencil]], n: int, shape: tuple[int, ...]) -> Stencil:
    """One stencil of the observations of several, each with the numbers of its observations."""
    if len(parts) == 1:
        return parts[0][1]
    problem = np.full(n, "", dtype=object)
    for mine, made in parts:
        problem[mine] = made.problem
    rows = np.concatenate([mine[made.rows] for mine, made in parts])
    columns, weights = (np.concatenate([getattr(made, name) for _, made in parts]) for name in ("columns", "weights"))
    return Stencil(rows, columns, weights, problem, shape)

"""What observations are held against: the cells, levels and dates of a state, and the places of the observations.

    state (channel, lat, lon), a channel = variable x level x date (offset in steps)     place = (variable, lat, lon, depth, day)

One axis after the other: between two centres a value counts for both, linearly; beyond the first and the last centre for as far
as the cell reaches (half a spacing) it belongs to that cell alone.
"""

__all__ = ["ObservedPlaces", "StateGrid", "along_axis", "around_axis"]

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from driftfield.errors import DataError, suggest
from driftfield.fields import Channel
from driftfield.geometry import Geometry


@dataclass(frozen=True)
class StateGrid:
    """The cells of a state.

    Arguments:
        lat, lon: Degrees, ascending.
        channels: Variable, level (metres, None for a surface field) and time offset of each.
        domain: Where they exist, (channel, lat, lon).
        periodic: Whether longitude wraps.
        days: Of each time offset of the channels, days since 1970 in the calendar of the state; empty if time does not matter.
        step_days: Time step of the archive: an observation may lie half of it before the first or after the last date.
        positions: Where the cells lie, if lat and lon are rows and columns of another grid.

    Raises:
        DataError: shapes that do not fit, axes that do not ascend, or a channel twice.
    """

    lat: np.ndarray
    lon: np.ndarray
    channels: tuple[Channel, ...]
    domain: np.ndarray
    periodic: bool = False
    days: Mapping[int, float] = field(default_factory=dict)
    step_days: float = 1.0
    positions: Geometry | None = None

    def __post_init__(self) -> None:
        if self.domain.shape != self.shape:
            raise DataError(f"The domain has the shape {self.domain.shape}: expected {self.shape} (channel, lat, lon).")
        if (np.diff(self.lat) <= 0).any() or (np.diff(self.lon) <= 0).any():
            raise DataError("Latitude and longitude of a grid must ascend: turn the fields and the axes around.")
        keys = [(c.variable, c.level, c.offset) for c in self.channels]
        if len(set(keys)) < len(keys):
            raise DataError(f"A variable, level and date appears twice among the channels {keys}: expected each once.")
        lacking = {c.offset for c in self.channels} - set(self.days)
        if self.days and lacking:
            raise DataError(f"No date is given for the time offsets {sorted(lacking)}: expected one for each.")

    @property
    def shape(self) -> tuple[int, int, int]:
        """(channel, lat, lon)."""
        return len(self.channels), self.lat.size, self.lon.size

    @property
    def variables(self) -> tuple[str, ...]:
        """Names, in the order of the channels."""
        return tuple(dict.fromkeys(channel.variable for channel in self.channels))

    def table_of(self, variable: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Levels (level,) in metres, NaN for a surface field; days (date,); and the channel of each (date, level).

        Raises:
            DataError: a variable that the grid has not, or one without a level at some date.
        """
        mine = {(c.offset, c.level): i for i, c in enumerate(self.channels) if c.variable == variable}
        if not mine:
            raise DataError(f"No variable {variable!r} on this grid: {suggest(variable, self.variables)}")
        levels = sorted({level for _, level in mine}, key=lambda z: -np.inf if z is None else z)
        offsets = sorted({offset for offset, _ in mine}, key=lambda o: self.days.get(o, float(o)))
        if len(mine) != len(levels) * len(offsets):
            raise DataError(f"{variable!r} lacks a level at one of the dates of this grid: expected all of them.")
        index = np.array([[mine[offset, level] for level in levels] for offset in offsets])
        days = np.array([self.days.get(offset, np.nan) for offset in offsets])
        return np.array([np.nan if level is None else level for level in levels], dtype=np.float64), days, index

    def cell_area(self) -> np.ndarray:
        """(lat, lon), up to a factor."""
        if self.positions is not None:
            return self.positions.area / self.positions.area.mean()
        return np.broadcast_to(np.cos(np.radians(self.lat))[:, None].clip(min=0.0), self.shape[1:])

    @cached_property
    def places(self) -> Geometry:
        """Where the cells lie."""
        return Geometry.of_axes(self.lat, self.lon) if self.positions is None else self.positions


@dataclass(frozen=True)
class ObservedPlaces:
    """Where observations lie; one entry each.

    Arguments:
        variable: Names.
        lat, lon: Degrees, longitude in any convention.
        depth: Metres, positive downwards; NaN is allowed for surface fields.
        days: Days since 1970 in the calendar of the grid; NaN where time does not matter.
        bottom: Metres, where a mean from `depth` down to here was observed; NaN, or None for all, at a point.
        width, height: Degrees of longitude and latitude, where a mean over a box around the place was observed; the same.
    """

    variable: np.ndarray
    lat: np.ndarray
    lon: np.ndarray
    depth: np.ndarray
    days: np.ndarray
    bottom: np.ndarray | None = None
    width: np.ndarray | None = None
    height: np.ndarray | None = None

    @classmethod
    def of(
        cls,
        variable: str | Sequence[str],
        lat: np.ndarray,
        lon: np.ndarray,
        depth: np.ndarray | float = np.nan,
        days: np.ndarray | float = np.nan,
    ) -> "ObservedPlaces":
        """From arrays and numbers, one of each for all or one each."""
        names = np.asarray(variable, dtype=object)
        numbers = (np.asarray(part, dtype=np.float64) for part in (lat, lon, depth, days))
        return cls(*(np.atleast_1d(part) for part in np.broadcast_arrays(names, *numbers)))

    def __len__(self) -> int:
        return len(self.lat)

    def select(self, rows: np.ndarray) -> "ObservedPlaces":
        """Some of them, by a boolean mask or indices."""
        where = self.lat[rows], self.lon[rows], self.depth[rows], self.days[rows]
        extents = (None if part is None else part[rows] for part in (self.bottom, self.width, self.height))
        return ObservedPlaces(self.variable[rows], *where, *extents)


def along_axis(
    x: np.ndarray, centres: np.ndarray, *, below: float, above: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The two centres around each place.

    Arguments:
        x: (n,).
        centres: (cell,), ascending.
        below, above: How far the first and the last cell reach beyond their centres.

    Returns:
        The left and the right neighbour, the weight of the right one, and whether the place lies inside; each (n,).
    """
    with np.errstate(invalid="ignore"):
        inside = (x >= centres[0] - below) & (x <= centres[-1] + above)
    if len(centres) == 1:
        zero = np.zeros(x.shape, dtype=np.int64)
        return zero, zero, np.zeros(x.shape), inside
    at = np.where(np.isfinite(x), np.clip(x, centres[0], centres[-1]), centres[0])
    left = np.clip(np.searchsorted(centres, at, side="right") - 1, 0, len(centres) - 2)
    weight = (at - centres[left]) / (centres[left + 1] - centres[left])
    return left, left + 1, weight, inside


def around_axis(x: np.ndarray, centres: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """As `along_axis`, for longitudes in degrees that go all the way round."""
    ring = np.append(centres, centres[0] + 360.0)
    at = ring[0] + (x - ring[0]) % 360.0
    left, right, weight, inside = along_axis(at, ring, below=0.0, above=0.0)
    return left, right % len(centres), weight, inside

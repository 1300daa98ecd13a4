"""Observations of an ocean that is known everywhere, as instruments would have made them, for twin experiments.

    profile   a random place at sea, between cells, and depths from the top down to the sea floor
    track     a straight line through the region, ascending or descending, a point every few kilometres
    y         = H(truth) + error N(0, 1)

H is the interpolation of `stencils.points`, so that nothing is in the data that the operator does not know: what a point says
of its cell and a day is left out. Each date has its own places.
"""

__all__ = ["draw_profiles", "draw_tracks"]

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import xarray as xr

from driftfield.conventions import description_of
from driftfield.earth import KM_PER_DEGREE
from driftfield.errors import ConfigurationError, DataError
from driftfield.gridded.encodings import as_dates
from driftfield.observations.grid import ObservedPlaces, StateGrid
from driftfield.observations.stencils import points
from driftfield.observations.table import ObservationTable

_TRIES = 500
"""In a row; then there is no sea worth the name."""


def draw_profiles(
    fields: xr.Dataset,
    grid: StateGrid,
    variable: str,
    *,
    count: int,
    depths: Sequence[float],
    error: float,
    seed: int = 0,
) -> ObservationTable:
    """Profiles at random places of the sea; the platform of each is its date and number.

    Arguments:
        fields: Truth, (time, [depth,] lat, lon) on the grid.
        grid: The state of one date.
        variable: What is measured.
        count: Profiles of a date.
        depths: Metres; those below the sea floor are left out, and a place where the first one is, is no sea.
        error: Standard deviation of the observation error, in units of the variable.
        seed: Of places and errors.

    Raises:
        ConfigurationError: a count or an error that makes no sense, or no depths.
        DataError: hardly any sea.
    """
    _check(count, error)
    z = np.asarray(depths, dtype=np.float64)
    if not z.size:
        raise ConfigurationError("No depth was named: expected one or more, in metres.")

    def profile(_number: int, rng: np.random.Generator) -> ObservedPlaces | None:
        lat, lon = _anywhere(grid, rng)
        places = ObservedPlaces.of(variable, np.full(z.size, lat), np.full(z.size, lon), z)
        return places if points(grid, places).usable[0] else None

    looks = _Looks(profile, count, "profile", "random places in a row lie on land", stream=0)
    return looks.measured(fields, grid, variable, error, seed)


def draw_tracks(
    fields: xr.Dataset,
    grid: StateGrid,
    variable: str,
    *,
    count: int,
    spacing_km: float,
    error: float,
    inclination: float = 66.0,
    seed: int = 0,
) -> ObservationTable:
    """Passes of a nadir altimeter; the platform of each is its date and number.

    Arguments:
        fields, grid, variable, error, seed: As for `draw_profiles`; a surface field.
        count: Passes of a date, ascending and descending in turn; those over land alone are drawn again.
        spacing_km: Between two points of a pass.
        inclination: Angle between a pass and the parallels, degrees.

    Raises:
        ConfigurationError: a count, an error, a spacing or an angle that makes no sense.
        DataError: hardly any sea.
    """
    _check(count, error)
    if not (0 < spacing_km < np.inf and 0 < inclination <= 90):
        raise ConfigurationError(
            f"Found a spacing of {spacing_km:g} km and an inclination of {inclination:g}: expected a spacing above 0, and an "
            "angle above 0, up to 90 degrees."
        )

    def one_pass(number: int, rng: np.random.Generator) -> ObservedPlaces | None:
        places = ObservedPlaces.of(
            variable, *_pass(grid, spacing_km, np.radians(inclination) * (1 if number % 2 else -1), rng)
        )
        return places if points(grid, places).usable.any() else None

    looks = _Looks(one_pass, count, "pass", "passes in a row saw land alone", stream=1)
    return looks.measured(fields, grid, variable, error, seed)


@dataclass(frozen=True)
class _Looks:
    """Random places of one date, drawn again where they see no sea.

    Arguments:
        places: (number, source of chance) -> where it looks, or None where it sees no sea.
        count: How many there are on a date.
        name: Of the platform, before the numbers of date and look.
        trouble: What is said where there is hardly any sea.
        stream: Of the random numbers.
    """

    places: Callable[[int, np.random.Generator], ObservedPlaces | None]
    count: int
    name: str
    trouble: str
    stream: int

    def measured(self, fields: xr.Dataset, grid: StateGrid, variable: str, error: float, seed: int) -> ObservationTable:
        """What they see on all dates."""
        tables, attrs = [], _attrs(fields, variable)
        for index, (date, state) in enumerate(_states(fields, grid)):
            rng = np.random.default_rng([seed, index, self.stream])
            for number in range(self.count):
                places = self._at_sea(number, rng)
                tables.append(_measured(state, grid, places, date, error, rng, f"{self.name} {index}-{number}", attrs))
        return ObservationTable.join(tables)

    def _at_sea(self, number: int, rng: np.random.Generator) -> ObservedPlaces:
        for _ in range(_TRIES):
            if (places := self.places(number, rng)) is not None:
                return places
        raise DataError(f"{_TRIES} {self.trouble}: expected a region with some sea. Choose another.")


def _check(count: int, error: float) -> None:
    if count < 1 or not 0 < error < np.inf:
        raise ConfigurationError(
            f"Found count={count} and error={error:g}: expected 1 or more, and a standard deviation above 0."
        )


def _states(fields: xr.Dataset, grid: StateGrid) -> list[tuple[Any, torch.Tensor]]:
    """(date, state (1, channel, lat, lon)) of each time; 0 on land."""
    parts = []
    for name in grid.variables:
        if name not in fields:
            raise DataError(f"The truth lacks {name!r}: found {sorted(map(str, fields.data_vars))}. Add it.")
        array = fields[name]
        rank = ("time", "depth", "lat", "lon") if "depth" in array.dims else ("time", "lat", "lon")
        values = array.transpose(*rank).values
        parts.append(values if "depth" in array.dims else values[:, None])
    states = torch.from_numpy(np.nan_to_num(np.concatenate(parts, axis=1)).astype(np.float64))
    return [(date, states[i : i + 1]) for i, date in enumerate(as_dates(fields["time"]).values)]


def _anywhere(grid: StateGrid, rng: np.random.Generator) -> tuple[float, float]:
    """Latitude and longitude of a random place within the grid."""
    if grid.positions is None:
        lat, lon = (float(rng.uniform(axis[0], axis[-1])) for axis in (grid.lat, grid.lon))
        return lat, lon
    row, column = (rng.uniform(0.0, size - 1.0, 1) for size in grid.positions.shape)
    lat, lon = (float(part[0]) for part in grid.positions.at(row, column))
    return lat, lon


def _pass(grid: StateGrid, spacing_km: float, angle: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Latitudes and longitudes of a line through a random place, as far as the grid goes."""
    lat, lon = _anywhere(grid, rng)
    extent = (grid.lat, grid.lon)
    if grid.positions is not None:
        extent = (grid.positions.latitude, grid.positions.one_turn.longitude)
    reach = KM_PER_DEGREE * float(np.hypot(*(np.ptp(part) for part in extent)))
    # the phase is free: points lie between cells as chance will have it
    along = np.arange(-reach, reach, spacing_km) + spacing_km * rng.random()
    north = lat + along * np.sin(angle) / KM_PER_DEGREE
    east = lon + along * np.cos(angle) / (KM_PER_DEGREE * np.cos(np.radians(lat)))
    if grid.positions is not None:
        inside = np.isfinite(grid.positions.fractional(np.clip(north, -90.0, 90.0), east)[0]) & (np.abs(north) <= 90.0)
        return north[inside], east[inside]
    inside = (north >= grid.lat[0]) & (north <= grid.lat[-1]) & (east >= grid.lon[0]) & (east <= grid.lon[-1])
    return north[inside], east[inside]


def _measured(
    state: torch.Tensor,
    grid: StateGrid,
    places: ObservedPlaces,
    date: Any,
    error: float,
    rng: np.random.Generator,
    platform: str,
    attrs: dict[str, dict[str, str]],
) -> ObservationTable:
    stencil = points(grid, places)
    seen = stencil.usable
    exact = stencil.operator()(state)[0].numpy()
    return ObservationTable.of(
        longitude=places.lon[seen],
        latitude=places.lat[seen],
        depth=places.depth[seen],
        time=date,
        variable=np.full(exact.size, places.variable[0], dtype=object),
        value=exact + error * rng.standard_normal(exact.size),
        error=error,
        platform=platform,
        attrs=attrs,
    )


def _attrs(fields: xr.Dataset, variable: str) -> dict[str, dict[str, str]]:
    return {variable: description_of(fields[variable].attrs)}

"""The grid of a run: latitudes, longitudes, levels and where its cells lie; rows and columns of other data sets on it."""

__all__ = ["Grid", "locate"]

from dataclasses import dataclass

import numpy as np
import xarray as xr

from driftfield.conventions import WRAPS, Coordinate, positions_of
from driftfield.data.patches import centre
from driftfield.errors import DataError
from driftfield.geometry import Geometry


@dataclass(frozen=True)
class Grid:
    """Latitudes, longitudes and levels of a run.

    Arguments:
        lat, lon: Degrees, ascending latitude.
        levels: Depths in metres of each variable, (None,) for a surface field.
        periodic: Whether longitude wraps.
        monthly: Whether the dates stand for whole months.
        positions: Where the cells lie, if the axes do not say it.
        told: The place that networks are told, of a run that was moved here from there: latitude and longitude.
    """

    lat: np.ndarray
    lon: np.ndarray
    levels: dict[str, tuple[float | None, ...]]
    periodic: bool
    monthly: bool
    positions: Geometry | None = None
    told: tuple[float, float] | None = None

    def cells(self, fields: xr.Dataset) -> tuple[np.ndarray, np.ndarray]:
        """Indices of the rows and columns of a data set on this grid: by positions where both have them, else by the axes.

        Raises:
            DataError: some of its cells are not on this grid.
        """
        theirs = positions_of(fields)
        if self.positions is not None and theirs is not None:
            rows, columns = self.positions.cells(theirs)
            return rows, columns
        if self.positions is not None:
            return self.rows(fields["lat"].values), locate(fields["lon"].values, self.lon, "column", 0.0)
        return self.rows(fields["lat"].values), self.columns(fields["lon"].values)

    def middle(self, rows: np.ndarray, columns: np.ndarray) -> tuple[float, float]:
        """Latitude and longitude of the middle of some rows and columns."""
        if self.told is not None:
            return self.told
        if self.positions is None:
            return centre(self.lat[rows], self.lon[columns])
        return self.positions.part(rows, columns).middle

    def coordinates(self) -> dict[str, Coordinate]:
        """Of a data set on all of its cells: lat and lon, and where they lie if that is something else."""
        if self.positions is None:
            return {"lat": self.lat, "lon": self.lon}
        places = {"latitude": self.positions.latitude, "longitude": self.positions.longitude}
        described = {"latitude": {"units": "degrees_north"}, "longitude": {"units": "degrees_east"}}
        axes: dict[str, Coordinate] = {"lat": self.lat, "lon": ("lon", self.lon, {WRAPS: int(self.periodic)})}
        return axes | {name: (("lat", "lon"), values, described[name]) for name, values in places.items()}

    def rows(self, lat: np.ndarray) -> np.ndarray:
        """Indices of some latitudes on this grid.

        Raises:
            DataError: one of them is not on it.
        """
        return locate(lat, self.lat, "latitude", 0.0)

    def columns(self, lon: np.ndarray) -> np.ndarray:
        """Indices of some longitudes (any convention) on this grid."""
        return locate(lon, self.lon, "longitude", 360.0)


def locate(
    wanted: np.ndarray, known: np.ndarray, what: str, period: float, *, grid: str = "the grid of the run"
) -> np.ndarray:
    """Indices of coordinates on a grid, to a twentieth of its spacing.

    Arguments:
        wanted: Coordinates to find.
        known: Those of the grid.
        what: What messages call them.
        period: 360 for longitudes, so that both conventions agree; 0 for anything else.
        grid: What messages call the grid.

    Raises:
        DataError: one of them is not on it.
    """
    known = np.asarray(known, dtype=np.float64)
    distance = np.abs(np.asarray(wanted, dtype=np.float64)[:, None] - known[None, :])
    if period:
        distance = np.minimum(distance % period, period - distance % period)
    nearest = distance.argmin(axis=1)
    tolerance = 0.05 * float(np.min(np.abs(np.diff(known)))) if known.size > 1 else 1e-3
    off = distance[np.arange(len(nearest)), nearest] > tolerance
    if off.any():
        raise DataError(
            f"The observations lie at {what} {np.asarray(wanted)[off][0]:g}, which is not on {grid} "
            f"({known[0]:g} to {known[-1]:g}, {known.size} values). Interpolate one to the other, or train a run on theirs."
        )
    return nearest

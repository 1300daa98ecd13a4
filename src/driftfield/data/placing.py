"""A file on the grid of a run, whatever part of it the file holds: what lies beyond the file was not seen.

    file  --place-->  all cells of the run, NaN where the file has none  --method-->  fields  --cut-->  the cells of the file

A method completes the whole grid whatever the file holds, so that the answer for a part of a file is the part of the answer.
Cells of the file beyond the run's grid are left out with a line; cells between those of the grid are an error.
"""

__all__ = ["GridPlacer", "Placed"]

import logging
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import xarray as xr

from driftfield.conventions import check_dimensions, domain_of, positions_of, state_variables
from driftfield.errors import DataError
from driftfield.geometry import Geometry

log = logging.getLogger(__name__)

_AXES = (("lat", "latitude", 0.0), ("lon", "longitude", 360.0))


@dataclass(frozen=True)
class Placed:
    """A data set on the grid of a run, and the way back.

    Arguments:
        dataset: On all cells of the run.
        given: The cells of the file that the run knows, in the order of the file.
        rows, columns: Where they lie on the grid of the run.
    """

    dataset: xr.Dataset
    given: xr.Dataset
    rows: np.ndarray
    columns: np.ndarray

    def cut(self, result: xr.Dataset) -> xr.Dataset:
        """A result on the grid of the run, on the cells and with the coordinates of the file."""
        if self.dataset is self.given:
            return result
        part = result.isel(lat=self.rows, lon=self.columns)
        own = {
            name: c
            for name, c in self.given.coords.items()
            if {"lat", "lon"} & set(c.dims) and set(c.dims) <= set(part.dims)
        }
        return part.assign_coords(own)


class GridPlacer:
    """Places files on the grid of one run; the last file is remembered, and what is done to a grid is said once.

    Arguments:
        lat, lon: Of the run, degrees.
        domains: Where its variables exist: boolean ([level,] lat, lon).
        positions: Where its cells lie, if the axes do not say it: files are placed by theirs, whatever their rows are numbered.
    """

    def __init__(
        self, lat: np.ndarray, lon: np.ndarray, domains: Mapping[str, np.ndarray], positions: Geometry | None = None
    ) -> None:
        self.lat, self.lon, self.domains, self.positions = lat, lon, dict(domains), positions
        self._last: Placed | None = None
        self._source: xr.Dataset | None = None
        self._said = ""

    def place(self, observations: xr.Dataset) -> Placed:
        """The observations on all cells of the run; the data set itself, where it lies so already.

        Raises:
            DataError: cells between those of the grid, none on it, or one twice.
        """
        if self._last is None or self._source is not observations:
            self._last, self._source = self._place(observations), observations
        return self._last

    def _place(self, observations: xr.Dataset) -> Placed:
        for name in (n for n in self.domains if n in observations):
            check_dimensions(observations[name], "the observations")
        cells = self._by_positions(observations) or self._by_axes(observations)
        inside = {axis: np.flatnonzero(places >= 0) for axis, places in cells.items()}
        rows, columns = (cells[axis][inside[axis]] for axis in ("lat", "lon"))
        self._say(observations, rows, columns)
        if all(_same(observations[axis].values, known) for axis, known in (("lat", self.lat), ("lon", self.lon))):
            return Placed(observations, observations, rows, columns)
        given = observations.isel(inside)
        return Placed(self._spread(given, rows, columns), given, rows, columns)

    def _by_positions(self, observations: xr.Dataset) -> dict[str, np.ndarray]:
        """Rows and columns of the run for those of a file, -1 beyond; nothing where one of both has no positions."""
        theirs = positions_of(observations)
        if self.positions is None or theirs is None:
            return {}
        rows, columns = self.positions.overlap(theirs)
        return {"lat": rows, "lon": columns}

    def _by_axes(self, observations: xr.Dataset) -> dict[str, np.ndarray]:
        cells = {}
        for (axis, word, period), known in zip(_AXES, (self.lat, self.lon), strict=True):
            if axis not in observations.coords:
                raise DataError(f"The observations have no {word}: expected the coordinate {axis!r}. Add it.")
            circle = 0.0 if self.positions is not None else period  # columns of a grid with positions are no degrees
            cells[axis] = _cells(observations[axis].values, known, word, circle)
        return cells

    def _spread(self, observations: xr.Dataset, rows: np.ndarray, columns: np.ndarray) -> xr.Dataset:
        """From the cells of a file to all of the run."""
        source = {axis: np.zeros(known.size, int) for axis, known in (("lat", self.lat), ("lon", self.lon))}
        inside = np.zeros((self.lat.size, self.lon.size), bool)
        source["lat"][rows], source["lon"][columns] = np.arange(rows.size), np.arange(columns.size)
        inside[np.ix_(rows, columns)] = True
        held = xr.DataArray(inside, dims=("lat", "lon"))
        gridded = [str(name) for name, array in observations.data_vars.items() if {"lat", "lon"} <= set(array.dims)]
        bare = observations[gridded].drop_vars(
            [name for name, c in observations.coords.items() if {"lat", "lon"} & set(c.dims)]
        )
        laid = bare.isel(source)
        placed = xr.Dataset(attrs=observations.attrs)
        for name, array in laid.items():
            filled = array & held if array.dtype == bool else array.where(held)
            placed[name] = filled.transpose(*array.dims).assign_attrs(array.attrs)
        for name in state_variables(observations):
            stated, exists = domain_of(bare, name), self.domains.get(name)
            if stated is None or exists is None:
                continue
            stated = stated.transpose(..., "lat", "lon")
            beyond = xr.DataArray(exists if stated.ndim == exists.ndim else exists[0], dims=stated.dims)
            # other levels are refused later, by whoever knows what they are levels of
            if stated.ndim < exists.ndim or stated.sizes[stated.dims[0]] == len(exists):
                spread = stated.drop_vars(list(stated.coords)).isel(source)
                placed[f"{name}_domain"] = xr.where(held, spread, beyond).transpose(*stated.dims)
        axes = {axis: (axis, known, observations[axis].attrs) for axis, known in (("lat", self.lat), ("lon", self.lon))}
        if self.positions is None:
            return placed.assign_coords(axes)
        where = {"latitude": self.positions.latitude, "longitude": self.positions.longitude}
        attrs = {name: observations[name].attrs if name in observations.coords else {} for name in where}
        return placed.assign_coords(axes | {n: (("lat", "lon"), v, attrs[n]) for n, v in where.items()})

    def _say(self, observations: xr.Dataset, rows: np.ndarray, columns: np.ndarray) -> None:
        file = (observations.sizes["lat"], observations.sizes["lon"])
        beyond = (file[0] - rows.size, file[1] - columns.size)
        lines = []
        if any(beyond):
            lines.append(
                f"{beyond[0]} of {file[0]} rows and {beyond[1]} of {file[1]} columns of the file lie beyond the grid of the run: "
                "they are left out"
            )
        if (rows.size, columns.size) != (self.lat.size, self.lon.size):
            lines.append(
                f"the file has {rows.size} x {columns.size} of the {self.lat.size} x {self.lon.size} cells of the run: "
                "the others count as not seen"
            )
        text = "; ".join(lines)
        if text and text != self._said:
            log.log(logging.WARNING if any(beyond) else logging.INFO, "%s", text)
        self._said = text


def _same(found: np.ndarray, known: np.ndarray) -> bool:
    """Whether coordinates are those of the run, in its order and its convention."""
    return found.shape == known.shape and bool(np.allclose(found, known, rtol=1e-4, atol=1e-3))


def _cells(wanted: np.ndarray, known: np.ndarray, word: str, period: float) -> np.ndarray:
    """Indices of coordinates on those of a run, to a twentieth of its spacing; -1 beyond its ends.

    Raises:
        DataError: one lies between two of them, none lies on any, or two lie on the same.
    """
    wanted, known = np.asarray(wanted, dtype=np.float64), np.asarray(known, dtype=np.float64)
    apart = wanted[:, None] - known[None, :]
    if period:
        apart = (apart + period / 2) % period - period / 2
    nearest = np.abs(apart).argmin(axis=1)
    offset = apart[np.arange(wanted.size), nearest]
    spacing = float(np.min(np.abs(np.diff(known)))) if known.size > 1 else 0.02
    on = np.abs(offset) <= 0.05 * spacing
    # beyond the first or the last cell by about a cell, or more: another place, not one between two cells
    ends = np.isin(nearest, (known.argmin(), known.argmax()))
    outward = (
        np.where(nearest == known.argmin(), offset < 0, offset > 0) if known.size > 1 else np.ones(wanted.size, bool)
    )
    beyond = ends & outward & (np.abs(offset) >= 0.95 * spacing)
    between = ~on & ~beyond
    if between.any() or not on.any():
        off = wanted[between if between.any() else ~on][0]
        raise DataError(
            f"The observations lie on another grid: the {word} {off:g} is not on the grid of the run "
            f"({known[0]:g} to {known[-1]:g}, {known.size} values). Interpolate one to the other, or train a run on theirs; "
            "larger cells can guide by their means, with `driftfield assimilate --coarse`."
        )
    places = np.where(on, nearest, -1)
    _, counts = np.unique(places[on], return_counts=True)
    if (counts > 1).any():
        raise DataError(f"The observations lie on another grid: two of them have the same {word}. Drop one.")
    return places

"""One file as the page asks for it: its description, a plane, a line at a place, a section between two cells.

(time, [depth,] lat, lon) --date, level, mean | spread | member | quantile--> (row, column), every n-th where there are many
"""

__all__ = ["PlaneChoice", "ViewedFile", "numbers"]

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import cmocean
import numpy as np
import xarray as xr
from matplotlib.colors import Colormap, to_hex

from driftfield.conventions import domain_of, geometry_of, positions_of, require, state_variables
from driftfield.errors import ConfigurationError, DataError
from driftfield.evaluate.alignment import time_keys
from driftfield.evaluate.drawing import colour_map
from driftfield.evaluate.lines_of_files import line_at
from driftfield.geometry import distance_along
from driftfield.gridded.choosing import nearest_on_axis
from driftfield.plain import JSONObject

SUFFIXES = {"mean": "", "spread": "_sd", "member": "_member", "quantile": "_quantile"}
DIMENSIONS = {"member": "member", "quantile": "quantile"}
MOST_CELLS = 720
"""Rows or columns of a plane that are sent; of more, every n-th."""
MOST_MEMBERS, MOST_DATES = 64, 400


@dataclass(frozen=True)
class PlaneChoice:
    """Which plane of a file.

    Arguments:
        variable: Its name.
        kind: "mean", "spread", "member" or "quantile".
        number: Of the member or quantile.
        time: Date as text; the first one if None.
        depth: Metres; the first level if None.
    """

    variable: str
    kind: str = "mean"
    number: int = 0
    time: str | None = None
    depth: float | None = None


class ViewedFile:
    """A file that a page looks at.

    Arguments:
        dataset: As `open_fields` gives it.
        name: What the file is called.
    """

    def __init__(self, dataset: xr.Dataset, name: str) -> None:
        self.dataset, self.name = dataset, name
        self.times = time_keys(dataset["time"]) if "time" in dataset.dims else []

    @cached_property
    def about(self) -> JSONObject:
        """What the page has to know before it asks for anything."""
        regular = positions_of(self.dataset) is None
        return {
            "name": self.name,
            "title": str(self.dataset.attrs.get("title", self.name)),
            "times": self.times,
            "rows": self.dataset.sizes["lat"],
            "columns": self.dataset.sizes["lon"],
            "lat": numbers(self.dataset["lat"].values) if regular else None,
            "lon": numbers(self.dataset["lon"].values) if regular else None,
            "variables": {name: self._about(name) for name in state_variables(self.dataset)},
            "spread_colours": _hex(cmocean.cm.amp),
            "difference_colours": _hex(cmocean.cm.balance),
        }

    def _about(self, name: str) -> JSONObject:
        field = self.dataset[name]
        units = str(field.attrs.get("units", "1"))
        called = f"{name} {field.attrs.get('long_name', '')} {field.attrs.get('standard_name', '')}"
        cmap, diverging = colour_map(called, units)
        numbered = {kind: self.dataset.get(f"{name}{SUFFIXES[kind]}") for kind in DIMENSIONS}
        labels = {
            kind: [] if array is None else self.dataset[DIMENSIONS[kind]].values.tolist()
            for kind, array in numbered.items()
        }
        return {
            "long_name": str(field.attrs.get("long_name", name)),
            "units": units,
            "dated": "time" in field.dims,
            "depths": numbers(field["depth"].values) if "depth" in field.dims else [],
            "kinds": [kind for kind, suffix in SUFFIXES.items() if f"{name}{suffix}" in self.dataset],
            "members": labels["member"],
            "quantiles": labels["quantile"],
            "colours": _hex(cmap),
            "diverging": diverging,
        }

    def plane(self, choice: PlaneChoice) -> tuple[np.ndarray, np.ndarray, int]:
        """Values float32 (row, column), whether there is a cell, uint8 (row, column), and every how many-th was taken.

        Raises:
            ConfigurationError: a kind, a number, a level that the file has not.
            DataError: a variable or a date that it has not.
        """
        require(self.dataset, [choice.variable], self.name)
        where = self._where(choice)
        array = self._of_kind(choice)
        values = array.isel(where, missing_dims="ignore").transpose("lat", "lon").values
        domain = domain_of(self.dataset, choice.variable)
        inside = (
            np.isfinite(values)
            if domain is None
            else domain.isel(where, missing_dims="ignore").transpose("lat", "lon").values
        )
        step = -(-max(values.shape) // MOST_CELLS)
        return values[::step, ::step].astype("<f4"), inside[::step, ::step].astype(np.uint8), step

    def line(self, choice: PlaneChoice, row: int, column: int, along: str) -> JSONObject:
        """A profile or a series with its ensemble, for JSON.

        Arguments:
            choice: Which variable, date and level; its kind does not matter.
            row, column: The cell.
            along: "depth" or "time". Of a long record the dates around the one that is shown.
        """
        require(self.dataset, [choice.variable], self.name)
        field = self.dataset[choice.variable]
        if along not in ("depth", "time") or along not in field.dims:
            raise ConfigurationError(
                f"{choice.variable!r} in {self.name} has no line along {along!r}: expected its axis."
            )
        where = {**self._where(choice), "lat": self._inside("lat", row), "lon": self._inside("lon", column)}
        dataset, first = self.dataset, 0
        if along == "time":
            first = max(0, min(where["time"] - MOST_DATES // 2, len(self.times) - MOST_DATES))
            dataset = dataset.isel(time=slice(first, first + MOST_DATES))
        line = line_at(dataset, choice.variable, along, where)
        members = None if line.members is None else line.members[:MOST_MEMBERS]
        return {
            "place": self._place(row, column),
            "along": along,
            "places": self.times[first : first + MOST_DATES] if along == "time" else numbers(line.places),
            "mean": numbers(line.mean),
            "sd": None if line.sd is None else numbers(line.sd),
            "members": None if members is None else [numbers(member) for member in members],
            "quantiles": None if line.quantiles is None else [numbers(values) for values in line.quantiles],
            "probabilities": list(line.probabilities),
            "of": len(self.times) if along == "time" else len(line.places),
        }

    def section(self, choice: PlaneChoice, start: tuple[int, int], end: tuple[int, int]) -> JSONObject:
        """Depth against the distance along the cells between two, for JSON.

        Raises:
            ConfigurationError: the variable has no depth, or a cell is not on the grid.
        """
        require(self.dataset, [choice.variable], self.name)
        if "depth" not in self.dataset[choice.variable].dims:
            raise ConfigurationError(
                f"{choice.variable!r} in {self.name} has no depth: expected a variable with levels."
            )
        ends = [(self._inside("lat", row), self._inside("lon", column)) for row, column in (start, end)]
        count = max(abs(ends[1][0] - ends[0][0]), abs(ends[1][1] - ends[0][1])) + 1
        rows, columns = (np.linspace(ends[0][n], ends[1][n], count).round().astype(int) for n in (0, 1))
        # the box around the line is read, and the cells picked from it in memory
        low, left = rows.min(), columns.min()
        where = self._where(choice)
        del where["depth"]
        box = self._of_kind(choice).isel(
            {**where, "lat": slice(low, rows.max() + 1), "lon": slice(left, columns.max() + 1)}, missing_dims="ignore"
        )
        values = box.transpose("depth", "lat", "lon").values[:, rows - low, columns - left]
        points = geometry_of(self.dataset).points[rows, columns]
        return {
            "distance": numbers(distance_along(points)),
            "depth": numbers(self.dataset["depth"].values),
            "values": [numbers(level) for level in values],
            "rows": rows.tolist(),
            "columns": columns.tolist(),
        }

    def _of_kind(self, choice: PlaneChoice) -> xr.DataArray:
        name = f"{choice.variable}{SUFFIXES.get(choice.kind, '')}"
        if choice.kind not in SUFFIXES or name not in self.dataset:
            there = self._about(choice.variable)["kinds"]
            raise ConfigurationError(
                f"No {choice.kind!r} of {choice.variable!r} in {self.name}: expected one of {there}."
            )
        array = self.dataset[name]
        if choice.kind not in DIMENSIONS:
            return array
        dim = DIMENSIONS[choice.kind]
        return array.isel({dim: self._inside(dim, choice.number)})

    def _where(self, choice: PlaneChoice) -> dict[str, int]:
        where = {"time": 0, "depth": 0}
        if choice.time is not None and self.times:
            if choice.time not in self.times:
                raise DataError(f"{self.name} has no date {choice.time}: it holds {self.times[0]} to {self.times[-1]}.")
            where["time"] = self.times.index(choice.time)
        if choice.depth is not None and "depth" in self.dataset[choice.variable].dims:
            where["depth"] = nearest_on_axis(self.dataset, "depth", choice.depth)
        return where

    def _inside(self, dim: str, index: int) -> int:
        if not 0 <= index < self.dataset.sizes[dim]:
            raise ConfigurationError(f"Found {dim} number {index}: expected 0 to {self.dataset.sizes[dim] - 1}.")
        return index

    def _place(self, row: int, column: int) -> Mapping[str, float | int]:
        cells = geometry_of(self.dataset)
        lat, lon = (float(part[row, column]) for part in (cells.latitude, cells.longitude))
        return {"row": row, "column": column, "lat": lat, "lon": lon}


def numbers(values: np.ndarray) -> list[float | None]:
    """For JSON, which has no NaN: None in its place."""
    return [float(value) if np.isfinite(value) else None for value in np.asarray(values).tolist()]


def _hex(cmap: Colormap) -> list[str]:
    return [to_hex(cmap(share)) for share in np.linspace(0.0, 1.0, 128)]

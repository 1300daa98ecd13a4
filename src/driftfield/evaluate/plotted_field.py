"""One date of one variable of a file, cut into what a picture of it shows: maps, sections, a profile, a time series.

    field, sd, members, quantiles (time, [depth,] lat, lon)
        --one date-->  planes (lat, lon) at a level, (depth, along) at a row or a column
        --one place--> lines along depth, along longitude or along time

A second file, if there is one, is brought to the same date, levels and cells; the difference is this file minus that one.
"""

__all__ = ["Kind", "PanelRow", "PlottedField"]

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import xarray as xr

from driftfield.conventions import domain_of, geometry_of, positions_of
from driftfield.errors import ConfigurationError, DataError
from driftfield.evaluate.alignment import on_the_cells_of, time_keys
from driftfield.evaluate.drawing import MapPanel, corners, latitude, longitude, place
from driftfield.evaluate.field_look import PARTS, FieldPlot
from driftfield.evaluate.lines_of_files import Line, line_at
from driftfield.geometry import distance_along

PER_ROW = 4
Kind = Literal["value", "spread", "difference"]


@dataclass(frozen=True)
class PanelRow:
    """Panels side by side on one plane.

    Arguments:
        plane: What they lie on.
        where: Behind every title: the level or the place of the section.
        panels: Title, values (y, x), and what they are.
    """

    plane: MapPanel
    where: str
    panels: Sequence[tuple[str, np.ndarray, Kind]]


@dataclass
class PlottedField:
    """One variable of a file, and perhaps of a second one, as `FieldPlot` looks at it.

    Arguments:
        dataset: Of the file.
        variable: Which one.
        look: What to draw.
        other: The second file, if there is one.
        other_name: What it is called in titles.

    Raises:
        ConfigurationError: a part that was asked for and that this file does not have.
        DataError: the variable is missing everywhere at this date, or the second file has not its date or cells.
    """

    dataset: xr.Dataset
    variable: str
    look: FieldPlot
    other: xr.Dataset | None = None
    other_name: str = "other"
    row: int = field(init=False)
    column: int = field(init=False)

    def __post_init__(self) -> None:
        named = self.dataset[self.variable]
        self.name = str(named.attrs.get("long_name", self.variable))
        self.units = str(named.attrs.get("units", "1"))
        self.called = f"{self.variable} {self.name} {named.attrs.get('standard_name', '')}"
        self.dated = "time" in named.dims
        if self.other is not None:
            self.other = self._same_cells(self.other)
        self.mean, self.sd, self.members, self.quantiles = (
            self._today(self.dataset.get(f"{self.variable}{suffix}")) for suffix in ("", "_sd", "_member", "_quantile")
        )
        today = self._today(None if self.other is None else self.other[self.variable])
        self.minuend = today
        if self.mean is None or not bool(self.mean.notnull().any()):
            raise DataError(f"{self.variable!r} is missing everywhere at this date. Choose another with --time.")
        domain = domain_of(self.dataset, self.variable)
        self.domain = self.mean.notnull() if domain is None else domain.isel(time=self.look.time, missing_dims="ignore")
        self.deep = "depth" in self.mean.dims and self.mean.sizes["depth"] > 1
        self.strip = self.mean.sizes["lat"] == 1
        self.positions = positions_of(self.dataset)
        self.stamp = _stamp(self.dataset, self.look.time) if self.dated else ""
        self.row, self.column = self._place()
        self._refuse_what_is_not_there()

    @property
    def parts(self) -> list[str]:
        """What this file has."""
        there = {
            "mean": True,
            "spread": self.sd is not None,
            "difference": self.minuend is not None,
            "members": self.members is not None,
            "quantiles": self.quantiles is not None,
            "section": self.deep,
            "profile": self.deep,
            "series": self.dated and self.dataset.sizes["time"] > 1,
        }
        return [part for part in PARTS if there[part]]

    def rows(self) -> list[PanelRow]:
        """A row of panels each; those of the file that were asked for."""
        rows: list[PanelRow] = []
        if not self.strip:
            rows += self._maps()
        if self.deep and self.look.wants("section"):
            rows.append(self._section())
        return rows

    def lines(self) -> list[Line]:
        """Profile, series, and lines along the row of a world that has one."""
        lines = []
        flat = self.strip and not self.deep
        if flat and any(self.look.wants(part) for part in ("mean", "spread", "members")):
            lines.append(self._line("lon", "along longitude"))
        if self.deep and self.look.wants("profile"):
            lines.append(self._line("depth", f"profile at {self.place_text}"))
        if "series" in self.parts and self.look.wants("series"):
            lines.append(self._line("time", f"time series at {self.place_text}{self.level_text}"))
        return lines

    @property
    def place_text(self) -> str:
        """Where profile and series are."""
        cells = geometry_of(self.dataset)
        return place(*(float(part[self.row, self.column]) for part in (cells.latitude, cells.longitude)))

    @property
    def level_text(self) -> str:
        """At which depth, behind a title; nothing of a surface field."""
        assert self.mean is not None
        return (
            "" if "depth" not in self.mean.dims else f" at {round(float(self.mean['depth'][self.look.depth]), 2):g} m"
        )

    def _refuse_what_is_not_there(self) -> None:
        lacking = [part for part in self.look.parts or () if part not in self.parts]
        if lacking:
            raise ConfigurationError(
                f"{self.variable!r} in this file has none of {', '.join(lacking)}: expected {', '.join(self.parts)}. Name other "
                "parts (a difference needs a second file, a series several dates)."
            )
        if self.other is not None and not self.look.wants("difference"):
            raise ConfigurationError("Found a second file and no part 'difference': name it among the parts.")

    def _today(self, array: xr.DataArray | None) -> xr.DataArray | None:
        return None if array is None else array.isel(time=self.look.time, missing_dims="ignore").load()

    def _same_cells(self, other: xr.Dataset) -> xr.Dataset:
        """The second file on the dates, levels and cells of the first."""
        units = str(other[self.variable].attrs.get("units", self.units))
        if units != self.units:
            raise DataError(
                f"{self.variable!r} is in {self.units}, that of {self.other_name} in {units}: expected one."
            )
        fields, more = self.dataset[[self.variable]], other[[self.variable]]
        if not self.dated:
            return on_the_cells_of(more, fields, f"the file {self.other_name}")
        if "time" not in more.dims:
            raise DataError(f"{self.other_name} has no dates: expected {_stamp(self.dataset, self.look.time)}.")
        keys, there = time_keys(fields["time"]), set(time_keys(more["time"]))
        shared = [n for n, key in enumerate(keys) if key in there or n == self.look.time]
        aligned = on_the_cells_of(more, fields.isel(time=shared), f"the file {self.other_name}")
        # a date that the second file does not have is a gap of its series
        return aligned.assign_coords(time=shared).reindex(time=np.arange(len(keys)))

    def _place(self) -> tuple[int, int]:
        """Where section and profile go through: the water column with most levels, and there the widest spread."""
        assert self.mean is not None
        shown = self.sd if self.sd is not None else abs(self.mean - self.mean.mean())
        shown = shown.where(self.domain)
        if "depth" in shown.dims:
            levels = self.mean.notnull().sum("depth")
            shown = shown.mean("depth").where(levels == levels.max())
        values = shown.fillna(-1).transpose("lat", "lon").values
        if self.look.row is None and self.look.column is not None:
            return int(values[:, self.look.column].argmax()), self.look.column
        row = int(values.max(axis=1).argmax()) if self.look.row is None else self.look.row
        return row, int(values[row].argmax()) if self.look.column is None else self.look.column

    def _maps(self) -> list[PanelRow]:
        where = {"depth": self.look.depth}
        plane = self._map_plane(self._cut(self.domain, where, "lat", "lon"))
        rows = [PanelRow(plane, self.level_text, self._summary(where, "lat", "lon", map_of=True))]
        rows += self._ensemble(plane, self.members, "member", where)
        rows += self._ensemble(plane, self.quantiles, "quantile", where)
        return [row for row in rows if row.panels]

    def _ensemble(
        self, plane: MapPanel, several: xr.DataArray | None, dim: str, where: dict[str, int]
    ) -> list[PanelRow]:
        """Members or quantiles, four to a row."""
        if several is None or not self.look.wants(f"{dim}s"):
            return []
        count = several.sizes[dim] if dim == "quantile" else min(self.look.members, several.sizes[dim])
        labels = several[dim].values if dim in several.coords else np.arange(count)
        panels: list[tuple[str, np.ndarray, Kind]] = [
            (f"{dim} {labels[n]:g}", self._cut(several.isel({dim: n}), where, "lat", "lon"), "value")
            for n in range(count)
        ]
        return [PanelRow(plane, self.level_text, panels[first : first + PER_ROW]) for first in range(0, count, PER_ROW)]

    def _section(self) -> PanelRow:
        along = "lon" if self.strip else self.look.along
        fixed = {"lat": self.row} if along == "lon" else {"lon": self.column}
        x, words = self._section_axis(along)
        domain = self._cut(self.domain, fixed, "depth", along)
        assert self.mean is not None
        plane = _plane(x, self.mean["depth"].values, domain, vertical=True, numbered=words, along=along)
        where = ", section" if self.strip and self.positions is not None else f", section at {self._fixed_text(along)}"
        return PanelRow(plane, where, self._summary(fixed, "depth", along))

    def _section_axis(self, along: str) -> tuple[np.ndarray, tuple[str, str] | None]:
        """Degrees along the section, or kilometres where the axes are no degrees."""
        if self.positions is None:
            return self.dataset[along].values, None
        points = self.positions.points[self.row] if along == "lon" else self.positions.points[:, self.column]
        return distance_along(points), ("distance [km]", "depth [m]")

    def _fixed_text(self, along: str) -> str:
        axis, index, word = ("lat", self.row, "row") if along == "lon" else ("lon", self.column, "column")
        if self.positions is not None:
            return f"{word} {index}"
        degrees = round(float(self.dataset[axis][index]), 2)
        return latitude(degrees) if axis == "lat" else longitude(degrees)

    def _summary(
        self, where: dict[str, int], down: str, along: str, *, map_of: bool = False
    ) -> list[tuple[str, np.ndarray, Kind]]:
        """Mean, spread and difference of one plane; a section shows all that there is."""
        look = self.look
        panels: list[tuple[str, np.ndarray, Kind]] = []
        assert self.mean is not None
        mean = self._cut(self.mean, where, down, along)
        if not map_of or look.wants("mean"):
            panels.append(("field" if self.sd is None else "mean", mean, "value"))
        if self.sd is not None and (not map_of or look.wants("spread")):
            panels.append(("standard deviation", self._cut(self.sd, where, down, along), "spread"))
        if self.minuend is not None:
            away = mean - self._cut(self.minuend, where, down, along)
            panels.append((f"minus {self.other_name}", away, "difference"))
        return panels

    @staticmethod
    def _cut(array: xr.DataArray, where: dict[str, int], down: str, along: str) -> np.ndarray:
        return np.asarray(array.isel(where, missing_dims="ignore").transpose(down, along).values)

    def _map_plane(self, domain: np.ndarray) -> MapPanel:
        if self.positions is None:
            return _plane(self.dataset["lon"].values, self.dataset["lat"].values, domain)
        cells = self.positions.one_turn
        plane = _plane(cells.longitude, cells.latitude, domain)
        return MapPanel(**{**vars(plane), "corners": (corners(cells.longitude), corners(cells.latitude))})

    def _line(self, along: str, title: str) -> Line:
        """At the row, at the column where the line is not along it, at the level where it is not along depth."""
        where = {"lat": self.row, "lon": self.column, "depth": self.look.depth, "time": self.look.time}
        line = line_at(self.dataset, self.variable, along, where, title=title, other=self.other)
        return replace(
            line,
            sd=line.sd if self.look.wants("spread") else None,
            members=None
            if line.members is None or not self.look.wants("members")
            else line.members[: self.look.members],
            quantiles=line.quantiles if self.look.wants("quantiles") else None,
            probabilities=line.probabilities if self.look.wants("quantiles") else (),
        )


def _plane(
    x: np.ndarray,
    y: np.ndarray,
    domain: np.ndarray,
    *,
    vertical: bool = False,
    numbered: tuple[str, str] | None = None,
    along: str = "lon",
) -> MapPanel:
    """A plane of which no truth is known."""
    nothing = np.zeros(domain.shape)
    water = domain.astype(bool)
    return MapPanel(x, y, vertical, nothing, nothing, nothing.astype(bool), water, numbered, along)


def _stamp(dataset: xr.Dataset, time: int) -> str:
    stamp = time_keys(dataset["time"])[time]
    return stamp.replace("T00:00:00", "").replace("T", " ").removesuffix(":00")

"""One picture of a file, without any truth: what the methods say, how sure they are, and how the members differ.

    mean       standard deviation                  a map of one date and depth
    member 0   member 1   member 2   member 3
    mean       standard deviation                  a section along one row of latitude, where there is depth
    profile: mean, 90 % band, members              at one place, where there is depth

A world of one row of latitude has no map: lines along longitude, or the section alone. A file of observations or of complete
fields has no spread and no members: those panels are left out.
"""

__all__ = ["PARTS", "FieldPlot", "draw_fields"]

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import cmocean
import numpy as np
import xarray as xr
from matplotlib.figure import Figure, SubFigure

from driftfield.conventions import domain_of
from driftfield.errors import ConfigurationError, DataError, suggest
from driftfield.evaluate.alignment import time_keys
from driftfield.evaluate.drawing import (
    BAND_90,
    COLOURS,
    ColourScale,
    MapPanel,
    colour_map,
    depth_axis,
    fill,
    headline,
    label_edges,
    latitude,
    limits,
    panel_size,
    place,
)
from driftfield.gridded.choosing import dates_beginning, nearest_on_axis

PARTS = ("mean", "spread", "members", "section", "profile")
Panels = Sequence[tuple[str, np.ndarray, bool]]
"""Title, values, and whether they are a spread."""


@dataclass(frozen=True)
class FieldPlot:
    """What to draw, and where to look.

    Arguments:
        parts: Some of `PARTS`.
        time: Index of the date.
        depth: Index of the level.
        row, column: Indices of the latitude and longitude that section and profile go through; by default where the
            spread, or else the field, varies most.
        members: Panels of members, at most.
    """

    parts: Sequence[str] = PARTS
    time: int = 0
    depth: int = 0
    row: int | None = None
    column: int | None = None
    members: int = 4

    @classmethod
    def at(
        cls,
        fields: xr.Dataset,
        parts: Sequence[str] = PARTS,
        *,
        time: str | None = None,
        depth: float | None = None,
        lat: float | None = None,
        lon: float | None = None,
        members: int = 4,
    ) -> Self:
        """By the beginning of a date, metres and degrees in place of indices; the nearest that the file holds.

        Raises:
            ConfigurationError: a date, a depth or a place that the file does not have.
        """
        return cls(
            parts,
            _date(fields, time),
            0 if depth is None else nearest_on_axis(fields, "depth", depth),
            None if lat is None else nearest_on_axis(fields, "lat", lat),
            None if lon is None else nearest_on_axis(fields, "lon", lon),
            members,
        )


def draw_fields(dataset: xr.Dataset, name: str, look: FieldPlot = FieldPlot()) -> Figure:
    """A figure of one variable of a file.

    Arguments:
        dataset: A reconstruction, samples, a forecast, observations or complete fields.
        name: Of the variable.
        look: What to draw of it.

    Raises:
        ConfigurationError: a part that does not exist, or none that this file can show.
        DataError: the variable is missing everywhere at this date.
    """
    for part in look.parts:
        if part not in PARTS:
            raise ConfigurationError(f"No part {part!r} of a picture: {suggest(part, PARTS)}")
    view = _PlottedField(dataset, name, look)
    rows = view.rows()
    if not rows and not view.lines:
        raise ConfigurationError(
            f"{name!r} in this file has none of {', '.join(look.parts)}: expected members, a spread or depth. Name other parts."
        )
    return _drawn(view, rows)


class _PlottedField:
    """One date of one variable, cut into planes."""

    def __init__(self, dataset: xr.Dataset, name: str, look: FieldPlot) -> None:
        def at(array: xr.DataArray | None) -> xr.DataArray | None:
            if array is None:
                return None
            return array.isel(time=look.time, missing_dims="ignore").load()

        field = at(dataset[name])
        assert field is not None
        self.name, self.look = str(dataset[name].attrs.get("long_name", name)), look
        self.units = str(dataset[name].attrs.get("units", "1"))
        self.field, self.members = field, at(dataset.get(f"{name}_member"))
        self.sd = at(dataset.get(f"{name}_sd"))
        domain = at(domain_of(dataset, name))
        self.domain = field.notnull() if domain is None else domain
        if not bool(field.notnull().any()):
            raise DataError(f"{name!r} is missing everywhere at this date. Choose another with --time.")
        self.deep = "depth" in field.dims and field.sizes["depth"] > 1
        self.strip = field.sizes["lat"] == 1
        stamp = time_keys(dataset["time"])[look.time] if "time" in dataset.dims else ""
        self.stamp = stamp.replace("T00:00:00", "").replace("T", " ")
        self.row, self.column = self._place()

    def _place(self) -> tuple[int, int]:
        """Where section and profile go through: the water column with most levels, and there the widest spread."""
        shown = self.sd if self.sd is not None else abs(self.field - self.field.mean())
        shown = shown.where(self.domain)
        if "depth" in shown.dims:
            levels = self.field.notnull().sum("depth")
            shown = shown.mean("depth").where(levels == levels.max())
        values = shown.fillna(-1).transpose("lat", "lon").values
        row = int(values.max(axis=1).argmax()) if self.look.row is None else self.look.row
        return row, int(values[row].argmax()) if self.look.column is None else self.look.column

    def rows(self) -> list[tuple[MapPanel, Panels]]:
        """A row of panels each; those of the file that were asked for."""
        rows: list[tuple[MapPanel, Panels]] = []
        for down in ("lat", "depth"):
            if self.strip if down == "lat" else not (self.deep and "section" in self.look.parts):
                continue
            where = {"depth": self.look.depth} if down == "lat" else {"lat": self.row}
            plane, cut = self._plane(where, down), self._cutter(where, down)
            summary: list[tuple[str, np.ndarray, bool]] = []
            if "mean" in self.look.parts or down == "depth":
                summary.append(("mean" if self.members is not None else "field", cut(self.field), False))
            if self.sd is not None and ("spread" in self.look.parts or down == "depth"):
                summary.append(("standard deviation", cut(self.sd), True))
            rows += [(plane, summary)] if summary else []
            if down == "lat" and "members" in self.look.parts and self.members is not None:
                chosen = range(min(self.look.members, self.members.sizes["member"]))
                rows.append((plane, [(f"member {m}", cut(self.members.isel(member=m)), False) for m in chosen]))
        return rows

    @property
    def lines(self) -> str:
        """The axis that lines are drawn along, if any."""
        if self.deep:
            return "depth" if "profile" in self.look.parts else ""
        return "lon" if self.strip and {"mean", "spread", "members"} & set(self.look.parts) else ""

    def line(self, along: str) -> dict[str, np.ndarray]:
        """Places, mean, spread and members along an axis, at the row, and at the column where it is not longitude."""
        where = {"lat": self.row, "lon": self.column, "depth": self.look.depth}
        del where[along]

        def cut(array: xr.DataArray) -> np.ndarray:
            return array.isel(where, missing_dims="ignore").transpose(..., along).values

        inside = np.isfinite(cut(self.field))
        line = {"places": self.field[along].values[inside], "mean": cut(self.field)[inside]}
        if self.sd is not None and "spread" in self.look.parts:
            line["sd"] = cut(self.sd)[inside]
        if self.members is not None and "members" in self.look.parts:
            line["members"] = cut(self.members)[: self.look.members, inside]
        return line

    def _cutter(self, where: Mapping[str, int], down: str) -> Any:
        return lambda array: array.isel(where, missing_dims="ignore").transpose(down, "lon").values

    def _plane(self, where: Mapping[str, int], down: str) -> MapPanel:
        cut = self._cutter(where, down)
        nothing = np.zeros(cut(self.field).shape)
        return MapPanel(
            x=self.field["lon"].values,
            y=self.field[down].values,
            vertical=down == "depth",
            truth=nothing,
            observed=nothing,
            held_out=nothing.astype(bool),
            domain=cut(self.domain).astype(bool),
        )


def _drawn(view: _PlottedField, rows: Sequence[tuple[MapPanel, Panels]]) -> Figure:
    """Rows of panels one under the other, the lines at the end."""
    sizes = [panel_size(plane, len(panels)) for plane, panels in rows]
    heights = [size[1] + 0.55 for size in sizes] + ([4.2] if view.lines else [])
    width = max([6.0, *(len(panels) * (size[0] + 1.0) for size, (_, panels) in zip(sizes, rows, strict=True))])
    figure = Figure(figsize=(width, sum(heights) + 0.5), layout="constrained")
    headline(figure, f"{view.name} [{view.units}]{', ' if view.stamp else ''}{view.stamp}")
    parts = np.array(figure.subfigures(len(heights), 1, height_ratios=heights, squeeze=False))[:, 0]
    level = "" if "depth" not in view.field.dims else f" at {float(view.field['depth'][view.look.depth]):g} m"
    section = f", section at {latitude(round(float(view.field['lat'][view.row]), 2))}"
    for part, (plane, panels) in zip(parts, rows, strict=False):
        columns = max(len(others) for same, others in rows if same.vertical == plane.vertical)
        _draw_row(part, plane, panels, columns, view, section if plane.vertical else level)
    if view.lines:
        _draw_lines(parts[-1], view)
    return figure


def _draw_row(part: SubFigure, plane: MapPanel, panels: Panels, columns: int, view: _PlottedField, where: str) -> None:
    """Panels on one scale of values, and one of spread; as wide as those of the widest row of maps."""
    cmap, diverging = colour_map(view.name, view.units)
    low, high = limits([v[plane.domain] for _, v, spread in panels if not spread], diverging)
    grid = np.array(part.subplots(1, columns, squeeze=False, sharex=True, sharey=True))
    for spare in grid[0, len(panels) :]:
        spare.remove()
    scales: dict[bool, tuple[Any, list[Any]]] = {}
    for ax, (title, values, spread) in zip(grid[0], panels, strict=False):
        colours: ColourScale = {"cmap": cmap, "vmin": low, "vmax": high}
        if spread:
            colours = {"cmap": cmocean.cm.amp, "vmin": 0, "vmax": limits([values[plane.domain]], False)[1] or 1.0}
        drawn = fill(ax, plane, values, f"{title}{where}", **colours)
        scales.setdefault(spread, (drawn, []))[1].append(ax)
    for spread, (drawn, axes) in scales.items():
        part.colorbar(drawn, ax=axes, extend="max" if spread else "both", shrink=0.92, aspect=14, pad=0.015)
    label_edges(grid[:, : len(panels)], plane)


def _draw_lines(part: SubFigure, view: _PlottedField) -> None:
    """Mean, band and members against depth (downwards) or along longitude."""
    ax, line, deep = part.subplots(), view.line(view.lines), view.lines == "depth"
    places, mean = line["places"], line["mean"]

    def draw(values: np.ndarray, style: str, **more: Any) -> None:
        ax.plot(*((values, places) if deep else (places, values)), style, **more)

    for number, member in enumerate(line.get("members", ())):
        draw(member, "-", color=COLOURS[5], lw=0.7, alpha=0.7, label="members" if number == 0 else None)
    if "sd" in line:
        half = BAND_90 * line["sd"]
        between = ax.fill_betweenx if deep else ax.fill_between
        between(places, mean - half, mean + half, color=COLOURS[0], alpha=0.18, lw=0, label="90 % band")
    draw(mean, "o-", ms=3, color=COLOURS[0], lw=1.6, label="field" if view.members is None else "mean")
    where = place(float(view.field["lat"][view.row]), float(view.field["lon"][view.column]))
    text = f"{view.name} [{view.units}]"
    ax.set(xlabel=text if deep else "longitude [degrees east]", ylabel="depth [m]" if deep else text)
    ax.set_title(f"profile at {where}" if deep else "along longitude", fontsize=10)
    ax.grid(alpha=0.3)
    ax.legend(frameon=False)
    if deep:
        depth_axis(ax, places)


def _date(fields: xr.Dataset, text: str | None) -> int:
    """The first date that begins so."""
    if text is None:
        return 0
    dates, matching = dates_beginning(fields, text)
    if not matching:
        holds = f"{dates[0]} ... {dates[-1]}" if dates else "no dates"
        raise ConfigurationError(f"No date in the file begins with {text!r}: it holds {holds}.")
    return matching[0]

"""One picture of a file, without any truth: what the methods say, how sure they are, and how the members differ.

    mean       standard deviation   minus a second file   a map of one date and depth
    member 0   member 1   member 2   member 3
    quantile 0.1   quantile 0.9
    mean       standard deviation   minus a second file   a section along one row or column, where there is depth
    profile: mean, 90 % band, members, quantiles          at one place, where there is depth
    time series: the same                                 at that place, where there are several dates

A world of one row of latitude has no map: lines along longitude, or the section alone. What a file does not have is left out.
"""

__all__ = ["PARTS", "FieldPlot", "draw_fields"]

from collections.abc import Sequence

import cmocean
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure, SubFigure

from driftfield.evaluate.drawing import (
    BAND_90,
    COLOURS,
    TRUTH,
    ColourScale,
    colour_map,
    depth_axis,
    fill,
    headline,
    label_edges,
    limits,
    panel_size,
    scale_of,
)
from driftfield.evaluate.field_look import PARTS, FieldPlot
from driftfield.evaluate.lines_of_files import Line
from driftfield.evaluate.plotted_field import Kind, PanelRow, PlottedField

MARKED = 200
"""Values of a line up to which each has its dot."""
EXTEND = {"value": "both", "spread": "max", "difference": "both"}


def draw_fields(
    dataset: xr.Dataset,
    name: str,
    look: FieldPlot | None = None,
    *,
    minus: xr.Dataset | None = None,
    minus_name: str = "other",
) -> Figure:
    """A figure of one variable of a file.

    Arguments:
        dataset: A reconstruction, samples, a forecast, observations or complete fields.
        name: Of the variable.
        look: What to draw of it; all that the file has, at its first date, by default.
        minus: A second file with the variable, on the same cells or more of them; the difference is drawn.
        minus_name: What that one is called.

    Raises:
        ConfigurationError: a part that does not exist, or that this file cannot show.
        DataError: the variable is missing everywhere at this date, or the second file has not this date or these cells.
    """
    view = PlottedField(dataset, name, look or FieldPlot(), minus, minus_name)
    return _drawn(view, view.rows(), view.lines())


def _drawn(view: PlottedField, rows: Sequence[PanelRow], lines: Sequence[Line]) -> Figure:
    """Rows of panels one under the other, the lines at the end."""
    sizes = [panel_size(row.plane, len(row.panels)) for row in rows]
    heights = [size[1] + 0.55 for size in sizes] + [4.2 if line.along == "depth" else 3.0 for line in lines]
    widths = [len(row.panels) * (size[0] + 1.3) for size, row in zip(sizes, rows, strict=True)]
    figure = Figure(figsize=(max(6.0, *widths, 6.0), sum(heights) + 0.5), layout="constrained")
    headline(figure, f"{view.name} [{view.units}]{', ' if view.stamp else ''}{view.stamp}")
    parts = np.array(figure.subfigures(len(heights), 1, height_ratios=heights, squeeze=False))[:, 0]
    for part, row in zip(parts, rows, strict=False):
        columns = max(len(same.panels) for same in rows if same.plane.vertical == row.plane.vertical)
        _draw_row(part, row, columns, view)
    for part, line in zip(parts[len(rows) :], lines, strict=True):
        text = view.name if len(view.name) <= 24 else view.variable
        _draw_line(part, line, f"{text} [{view.units}]", view.other_name)
    return figure


def _draw_row(part: SubFigure, row: PanelRow, columns: int, view: PlottedField) -> None:
    """Panels on one scale of values, one of spread and one of differences; as wide as those of the widest row of maps."""
    grid = np.array(part.subplots(1, columns, squeeze=False, sharex=True, sharey=True))
    for spare in grid[0, len(row.panels) :]:
        spare.remove()
    scales: dict[Kind, tuple[ScalarMappable, list[Axes]]] = {}
    for ax, (title, values, kind) in zip(grid[0], row.panels, strict=False):
        alike = [v[row.plane.domain] for _, v, same in row.panels if same == kind]
        drawn = fill(ax, row.plane, values, f"{title}{row.where}", **_colours(kind, alike, view))
        scales.setdefault(kind, (drawn, []))[1].append(ax)
    for kind, (drawn, axes) in scales.items():
        bar = part.colorbar(drawn, ax=axes, extend=EXTEND[kind], shrink=0.92, aspect=14, pad=0.015)
        bar.set_label(f"[{view.units}]", fontsize=8)
        bar.ax.tick_params(labelsize=8)
    label_edges(grid[:, : len(row.panels)], row.plane)


def _colours(kind: Kind, values: Sequence[np.ndarray], view: PlottedField) -> ColourScale:
    if kind == "value":
        return scale_of(view.called, view.units, values)
    if kind == "spread":
        return {"cmap": cmocean.cm.amp, "vmin": 0, "vmax": limits(values, False)[1] or 1.0}
    low, high = limits(values, True)
    # blue and red are taken where the values themselves diverge
    cmap = cmocean.cm.delta if colour_map(view.called, view.units)[1] else cmocean.cm.balance
    return {"cmap": cmap, "vmin": low, "vmax": high}


def _draw_line(part: SubFigure, line: Line, text: str, other_name: str) -> None:
    """Mean, band, members and quantiles against depth (downwards), along longitude or in time."""
    ax, deep = part.subplots(), line.along == "depth"

    def draw(values: np.ndarray, style: str, *, color: str, lw: float, label: str | None, alpha: float = 1.0) -> None:
        places, shown = (line.places, values) if deep else _broken(line.places, values)
        pair = (shown, places) if deep else (places, shown)
        ax.plot(*pair, style if len(values) <= MARKED else "-", color=color, lw=lw, ms=3, alpha=alpha, label=label)

    for number, member in enumerate(() if line.members is None else line.members):
        draw(member, "-", color=COLOURS[5], lw=0.7, alpha=0.7, label="members" if number == 0 else None)
    if line.sd is not None:
        low, high = line.mean - BAND_90 * line.sd, line.mean + BAND_90 * line.sd
        between = ax.fill_betweenx if deep else ax.fill_between
        between(line.places, low, high, color=COLOURS[0], alpha=0.18, lw=0, label="90 % band")
    for probability, values in zip(line.probabilities, () if line.quantiles is None else line.quantiles, strict=True):
        label = "quantiles " + ", ".join(f"{p:g}" for p in line.probabilities)
        draw(values, "--", color=COLOURS[2], lw=0.9, label=label if probability == line.probabilities[0] else None)
    if line.other is not None:
        draw(line.other, "o-", color=TRUTH, lw=1.2, label=other_name)
    draw(line.mean, "o-", color=COLOURS[0], lw=1.6, label="field" if line.sd is None else "mean")
    ax.set_title(line.title, fontsize=10)
    ax.grid(alpha=0.3)
    # beside the lines, where it hides none of them
    ax.legend(frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=9)
    _label_line(ax, line, text)


def _broken(places: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """No line is drawn across a hole of the axis (winters without summers): a NaN stands in it."""
    steps = np.diff(places).astype(np.float64)
    holes = np.flatnonzero(steps > 4 * np.median(steps)) + 1 if steps.size > 2 else np.empty(0, dtype=int)
    return np.insert(places, holes, places[holes]), np.insert(values.astype(np.float64), holes, np.nan)


def _label_line(ax: Axes, line: Line, text: str) -> None:
    """Axes with units; depth downwards, dates as short as they can be."""
    if line.along == "depth":
        ax.set(xlabel=text, ylabel="depth [m]")
        depth_axis(ax, line.places)
        return
    ax.set(xlabel="longitude [degrees east]" if line.along == "lon" else "", ylabel=text)
    if line.along == "time" and line.places.dtype.kind == "M":
        locator = AutoDateLocator()
        ax.xaxis.set_major_locator(locator)
        ax.xaxis.set_major_formatter(ConciseDateFormatter(locator))
    elif line.along == "time":
        ax.set_xlabel("year of the file's calendar")

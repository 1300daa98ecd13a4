"""The parts of a figure: planes, colour maps, axes in degrees and metres, titles and legends.

Land is grey, water that nobody looked at is white. Colour maps are perceptually uniform (cmocean), diverging ones are centred
on zero.
"""

__all__ = [
    "BAND_90",
    "COLOURS",
    "LAND",
    "ColourScale",
    "TRUTH",
    "MapPanel",
    "colour_map",
    "corners",
    "depth_axis",
    "fill",
    "headline",
    "label_edges",
    "latitude",
    "legend_below",
    "limits",
    "longitude",
    "palette",
    "panel_size",
    "place",
    "scale_of",
]

import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypedDict, Unpack

import cmocean
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, ListedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

LAND = "0.72"
TRUTH = "black"
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C564B", "#7F7F7F")
OWN_COLOURS = dict(
    zip(("diffusion", "optimal_interpolation", "linear", "climatology", "unet", "dineof"), COLOURS, strict=False)
)
BAND_90 = 1.645
DEGREES = [1, 1.5, 2, 3, 4.5, 6, 9, 10]
DEPTHS = (0, 10, 50, 100, 250, 500, 1000, 2000, 3000, 4000, 5000, 6000)

_MAPS = (
    (("salin", "psu"), cmocean.cm.haline, False),
    (("temperature", "sst", "thetao", "t2m", "degc", "kelvin"), cmocean.cm.thermal, False),
    (("height", "ssh", "adt", "sla", "zos", "velocity", "anomaly", "wind"), cmocean.cm.balance, True),
    (("chlor",), cmocean.cm.algae, False),
)


class ColourScale(TypedDict):
    """How values become colours: the arguments of matplotlib that say so."""

    cmap: Colormap
    vmin: float
    vmax: float


@dataclass(frozen=True)
class MapPanel:
    """A map (lat, lon) or a section (depth, lon) through everything, as arrays (y, x).

    Arguments:
        x: Longitudes, degrees east (latitudes of a section along a column); of a map of cells with positions (y, x).
        y: Latitudes in degrees north, or depths in metres; of a map of cells with positions (y, x).
        vertical: Whether y is a depth.
        truth: NaN where it is not known.
        observed: NaN where nothing was seen.
        held_out: Cells that are scored.
        domain: Where the field exists.
        numbered: What x and y count, where they are rows and columns of a grid with positions and no degrees.
        along: "lon" or "lat": what x is, where it is degrees.
        corners: Longitudes and latitudes of the corners of the cells, (y + 1, x + 1) each, where axes do not give them.
    """

    x: np.ndarray
    y: np.ndarray
    vertical: bool
    truth: np.ndarray
    observed: np.ndarray
    held_out: np.ndarray
    domain: np.ndarray
    numbered: tuple[str, str] | None = None
    along: str = "lon"
    corners: tuple[np.ndarray, np.ndarray] | None = None


def colour_map(name: str, units: str) -> tuple[Colormap, bool]:
    """The colour map for a variable, and whether it diverges from zero."""
    text = f"{name} {units}".lower()
    for words, cmap, diverging in _MAPS:
        if any(word in text for word in words):
            return cmap, diverging
    return cmocean.cm.deep_r, False


def scale_of(name: str, units: str, fields: Sequence[np.ndarray]) -> ColourScale:
    """The colours of a variable, from the lowest to the highest of what is shown of it."""
    cmap, diverging = colour_map(name, units)
    low, high = limits(fields, diverging)
    return {"cmap": cmap, "vmin": low, "vmax": high}


def fill(ax: Axes, plane: MapPanel, values: np.ndarray, title: str, **colours: Unpack[ColourScale]) -> ScalarMappable:
    """Colours one panel: grey land, white water, then the values."""
    x, y = plane.corners or (_edges(plane.x), _edges(plane.y))
    # a grid that lies askew leaves corners of the panel that are no land
    ax.set_facecolor("white" if plane.corners else LAND)
    ax.pcolormesh(
        x, y, plane.domain.astype(float), cmap=ListedColormap([LAND, "white"]), vmin=0, vmax=1, rasterized=True
    )
    shown = np.ma.masked_invalid(np.where(plane.domain, values, np.nan))
    mesh = ax.pcolormesh(x, y, shown, rasterized=True, **colours)
    ax.set_title(title, fontsize=9)
    ax.tick_params(labelsize=8)
    # a narrow strip is stretched: at its true shape nobody could see it
    if not plane.vertical and 0.2 < _tallness(plane) < 5:
        ax.set_aspect(1 / _cosine(plane))
    return mesh


def _edges(centres: np.ndarray) -> np.ndarray:
    """Borders of cells half way between their centres; a single row is one wide, or nobody could see it."""
    values = np.asarray(centres, dtype=float)
    if values.size == 1:
        return np.array([values[0] - 0.5, values[0] + 0.5])
    between = 0.5 * (values[1:] + values[:-1])
    return np.concatenate([[2 * values[0] - between[0]], between, [2 * values[-1] - between[-1]]])


def corners(centres: np.ndarray) -> np.ndarray:
    """Corners of the cells of a grid with positions, from one coordinate of their centres: (y, x) -> (y + 1, x + 1)."""
    along_x = np.stack([_edges(row) for row in np.asarray(centres, dtype=float)])
    return np.stack([_edges(column) for column in along_x.T]).T


def label_edges(grid: np.ndarray, plane: MapPanel) -> None:
    """Degrees or metres on the outer panels; plain numbers of a grid with positions."""
    across = latitude if plane.along == "lat" else longitude
    for ax in grid[-1]:
        if plane.numbered is not None:
            ax.set_xlabel(plane.numbered[0], fontsize=9)
            continue
        ax.xaxis.set_major_locator(MaxNLocator(3, steps=DEGREES))
        ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: across(value)))
    for ax in grid[:, 0]:
        if plane.vertical:
            ax.set_ylabel("depth [m]", fontsize=9)
        elif plane.numbered is not None:
            ax.set_ylabel(plane.numbered[1], fontsize=9)
        else:
            ax.yaxis.set_major_locator(MaxNLocator(4, steps=DEGREES))
            ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: latitude(value)))
    if plane.vertical:
        depth_axis(grid[0, 0], plane.y)


def latitude(value: float) -> str:
    """35.5 -> 35.5°N."""
    return f"{abs(value):g}°{'N' if value > 0 else 'S' if value < 0 else ''}"


def longitude(value: float) -> str:
    """340 -> 20°W."""
    east = (value + 180) % 360 - 180
    return f"{abs(east):g}°{'E' if 0 < east < 180 else 'W' if -180 < east < 0 else ''}"


def place(lat: float, lon: float) -> str:
    """Latitude and longitude as a title."""
    return f"{latitude(round(lat, 2))} {longitude(round(lon, 2))}"


def depth_axis(ax: Axes, depth: np.ndarray) -> None:
    """Downwards; on a square-root scale where the water is deep, so that the upper layers can be seen."""
    deepest, shallowest = float(np.nanmax(depth)), max(float(np.nanmin(depth)), 0.0)
    if deepest > 10 * max(shallowest, 1.0):
        ax.set_yscale("function", functions=(lambda d: np.sqrt(np.maximum(d, 0)), lambda s: s**2))
        ticks = [0.0]
        for tick in DEPTHS:
            if tick <= 1.02 * deepest and np.sqrt(tick) - np.sqrt(ticks[-1]) > 0.1 * np.sqrt(deepest):
                ticks.append(tick)
        ax.set_yticks(ticks)
    margin = 0.03 * (deepest - shallowest) or 1.0
    ax.set_ylim(deepest + margin, max(0.0, shallowest - margin))


def panel_size(plane: MapPanel, columns: int) -> tuple[float, float]:
    """Inches of one panel, from the shape of the region; smaller where there are many."""
    width = 3.0 if columns <= 4 else 2.3
    if plane.vertical:
        return width, 2.2
    tall = _tallness(plane)
    height = float(np.clip(width * tall, 1.1, 3.6))
    return float(np.clip(height / tall, 1.8, width)), height + 0.25


def _tallness(plane: MapPanel) -> float:
    """Kilometres north to south over kilometres west to east; a single row of cells is not tall, but it is there."""
    return float(max(1e-3, np.ptp(plane.y)) / max(1e-9, np.ptp(plane.x) * _cosine(plane)))


def _cosine(plane: MapPanel) -> float:
    if plane.numbered is not None:
        return 1.0
    return max(0.1, float(np.cos(np.deg2rad(np.mean(plane.y)))))


def limits(values: Sequence[np.ndarray], diverging: bool) -> tuple[float, float]:
    """1st to 99th percentile of all finite values; symmetric about zero for a diverging colour map; rounding is not drawn."""
    flat = np.concatenate([np.ravel(v) for v in values]) if values else np.empty(0)
    flat = flat[np.isfinite(flat)]
    if flat.size == 0:
        return 0.0, 1.0
    low, high = (float(q) for q in np.quantile(flat, [0.01, 0.99]))
    if diverging:
        top = max(abs(low), abs(high)) or 1.0
        return -top, top
    rounding = 1e-6 * max(abs(low), abs(high))
    return (low, high) if high - low > rounding else (low - 0.5, low + 0.5)


def palette(methods: Iterable[str]) -> list[str]:
    """A colour per method; those that we ship have the same one in every figure of every report."""
    names = list(methods)
    spare = [c for c in COLOURS if c not in {OWN_COLOURS.get(name) for name in names}] or list(COLOURS)
    others = [name for name in names if name not in OWN_COLOURS]
    return [OWN_COLOURS.get(name) or spare[others.index(name) % len(spare)] for name in names]


def headline(figure: Figure, title: str) -> None:
    """The title of the figure, broken where it would be cut off."""
    figure.suptitle(textwrap.fill(title, int(11 * figure.get_figwidth())), fontsize=12)


def legend_below(figure: Figure, axes: Sequence[Axes]) -> None:
    """One legend for all panels, each label once."""
    entries: dict[str, Artist] = {}
    for ax in axes:
        for handle, label in zip(*ax.get_legend_handles_labels(), strict=True):
            entries.setdefault(label, handle)
    inches = 0.8 + 0.085 * max(map(len, entries), default=1)  # of one column, so that none is cut off
    columns = max(1, min(5, len(entries), int(figure.get_figwidth() / inches)))
    rows = -(-len(entries) // columns)
    figure.set_figheight(figure.get_figheight() + 0.22 * (rows - 1))
    figure.legend(
        handles=list(entries.values()), labels=list(entries), loc="outside lower center", ncols=columns, frameon=False
    )

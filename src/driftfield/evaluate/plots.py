"""One function per figure; every one returns a matplotlib Figure and touches no global state.

    comparison:  truth     mean of A    mean of B    ...   | colour bar
                 observed  spread of A  spread of B  ...   | colour bar
                 held out  error of A   error of B   ...   | colour bar

Land is grey, water that nobody looked at is white. Colour maps are perceptually uniform (cmocean), diverging ones are
centred on zero.
"""

__all__ = [
    "Answer",
    "Panel",
    "Plane",
    "draw_comparison",
    "draw_levels",
    "draw_profiles",
    "draw_ranks",
    "draw_reliability",
    "draw_spectra",
]

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cmocean
import numpy as np
import xarray as xr
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, ListedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

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
    (("oxygen",), cmocean.cm.oxy, False),
)


@dataclass(frozen=True)
class Answer:
    """What one method says in a plane: mean, and standard deviation where it has one."""

    mean: np.ndarray
    sd: np.ndarray | None


@dataclass(frozen=True)
class Plane:
    """A map (lat, lon) or a section (depth, lon) through everything, as arrays (y, x).

    Arguments:
        x: Longitudes, degrees east.
        y: Latitudes in degrees north, or depths in metres.
        vertical: Whether y is a depth.
        truth: NaN where it is not known.
        observed: NaN where nothing was seen.
        held_out: Cells that are scored.
        domain: Where the field exists.
    """

    x: np.ndarray
    y: np.ndarray
    vertical: bool
    truth: np.ndarray
    observed: np.ndarray
    held_out: np.ndarray
    domain: np.ndarray


@dataclass(frozen=True)
class Panel:
    """A profile at one place: depth, truth, observed, and per method mean and sd."""

    place: str
    depth: np.ndarray
    truth: np.ndarray
    observed: np.ndarray
    answers: Mapping[str, Answer]


def colour_map(name: str, units: str) -> tuple[Colormap, bool]:
    """The colour map for a variable, and whether it diverges from zero."""
    text = f"{name} {units}".lower()
    for words, cmap, diverging in _MAPS:
        if any(word in text for word in words):
            return cmap, diverging
    return cmocean.cm.deep_r, False


def draw_comparison(plane: Plane, answers: Mapping[str, Answer], *, name: str, units: str, title: str) -> Figure:
    """Truth, observed and held-out cells beside mean, spread and error of every method."""
    columns = len(answers) + 1
    width, height = _panel_size(plane, columns)
    figure = Figure(figsize=(columns * width + 2.2, 3 * height + 1.1), layout="constrained")
    _headline(figure, title)
    grid = np.array(figure.subplots(3, columns, squeeze=False, sharex=True, sharey=True))
    cmap, diverging = colour_map(name, units)
    low, high = _limits([plane.truth[plane.domain]], diverging)
    values = {"cmap": cmap, "vmin": low, "vmax": high}
    _fill(grid[0, 0], plane, plane.truth, "truth", **values)
    drawn = _fill(grid[1, 0], plane, plane.observed, "observed (scale of row 1)", **values)
    held_out = np.where(plane.held_out, 1.0, np.nan)
    _fill(grid[2, 0], plane, held_out, "held out: scored", cmap=ListedColormap(["#4C72B0"]), vmin=0, vmax=1)
    errors = {method: answer.mean - plane.truth for method, answer in answers.items()}
    scored = [np.abs(error[plane.held_out & np.isfinite(error)]) for error in errors.values()]
    worst = _limits(scored, False)[1]
    spreads = [answer.sd[plane.domain] for answer in answers.values() if answer.sd is not None]
    widest = _limits(spreads, False)[1] if spreads else 1.0
    scales: list[ScalarMappable | None] = [drawn, None, None]
    for column, (method, answer) in enumerate(answers.items(), start=1):
        label = method.replace("_", " ")
        _fill(grid[0, column], plane, answer.mean, f"{label}: mean", **values)
        if answer.sd is None:
            _fill(grid[1, column], plane, np.full_like(plane.truth, np.nan), f"{label}: no spread", **values)
        else:
            filled = _fill(
                grid[1, column], plane, answer.sd, f"{label}: spread", cmap=cmocean.cm.amp, vmin=0, vmax=widest
            )
            scales[1] = filled
        rms = float(np.sqrt(np.nanmean(errors[method][plane.held_out] ** 2))) if plane.held_out.any() else np.nan
        scales[2] = _fill(
            grid[2, column],
            plane,
            errors[method],
            f"error, rms held out {rms:.3g}",
            cmap=cmocean.cm.balance,
            vmin=-worst,
            vmax=worst,
        )
    labels = (f"{name} [{units}]", f"spread (1 sd) [{units}]", f"mean minus truth [{units}]")
    for row, (scale, label) in enumerate(zip(scales, labels, strict=True)):
        if scale is not None:
            extend = "max" if row == 1 else "both"
            label = textwrap.fill(label, max(16, int(9 * height)))
            figure.colorbar(scale, ax=grid[row, :], label=label, extend=extend, shrink=0.92, aspect=14, pad=0.015)
    _label_edges(grid, plane)
    return figure


def draw_profiles(panels: Sequence[Panel], *, name: str, units: str, title: str) -> Figure:
    """Truth, observations and answers with their 90 % band against depth, where the column was hidden."""
    figure = Figure(figsize=(max(6.0, 3.1 * len(panels) + 0.6), 5.4), layout="constrained")
    _headline(figure, title)
    for ax, panel in zip(figure.subplots(1, len(panels), squeeze=False, sharey=True)[0], panels, strict=True):
        for colour, (method, answer) in zip(_palette(panel.answers), panel.answers.items(), strict=True):
            ax.plot(answer.mean, panel.depth, color=colour, label=method.replace("_", " "), lw=1.6, zorder=3)
            if answer.sd is not None:
                half = BAND_90 * answer.sd
                ax.fill_betweenx(
                    panel.depth, answer.mean - half, answer.mean + half, color=colour, alpha=0.18, lw=0, zorder=1
                )
        ax.plot(panel.truth, panel.depth, "o-", color=TRUTH, ms=3, lw=1.2, label="truth", zorder=4)
        if np.isfinite(panel.observed).any():
            ax.plot(panel.observed, panel.depth, "D", mfc="none", mec=TRUTH, ms=8, label="observed", zorder=5)
        ax.set(title=panel.place, xlabel=textwrap.fill(f"{name} [{units}]", 32))
        ax.title.set_fontsize(10)
        ax.grid(alpha=0.3)
    first = figure.axes[0]
    first.set_ylabel("depth [m]")
    _depth_axis(first, panels[0].depth)
    _legend_below(figure, figure.axes)
    return figure


def draw_ranks(ranks: Mapping[str, np.ndarray], *, title: str) -> Figure:
    """Rank of the truth among the members, as a multiple of what a perfect ensemble has."""
    figure = Figure(figsize=(max(6.0, 4.2 * len(ranks) + 0.6), 3.8), layout="constrained")
    _headline(figure, title)
    axes = figure.subplots(1, len(ranks), squeeze=False, sharey=True)[0]
    for ax, colour, (method, frequency) in zip(axes, _palette(ranks), ranks.items(), strict=True):
        ax.bar(np.arange(len(frequency)), frequency * len(frequency), width=0.9, color=colour, alpha=0.8)
        ax.axhline(1, color=TRUTH, lw=1.2, ls="--")
        ax.set(title=f"{method.replace('_', ' ')} ({len(frequency) - 1} members)", xlabel="members below the truth")
        ax.title.set_fontsize(10)
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes[0].set_ylabel("frequency / perfect frequency [1]")
    return figure


def draw_reliability(bins: Mapping[str, xr.Dataset], *, units: str, title: str) -> Figure:
    """Error found against spread promised, and their ratio, in equally full bins of spread."""
    figure = Figure(figsize=(10.0, 4.6), layout="constrained")
    ax, ratios = figure.subplots(1, 2)
    top = 0.0
    for colour, (method, table) in zip(_palette(bins), bins.items(), strict=True):
        ax.plot(table["spread"], table["error"], "o-", color=colour, label=method.replace("_", " "))
        top = max(top, float(table["spread"].max()), float(table["error"].max()))
        ratios.plot(np.arange(1, table.sizes["bin"] + 1), table["ratio"], "o-", color=colour)
    ax.plot([0, 1.05 * top], [0, 1.05 * top], color=TRUTH, lw=1, ls="--", label="reliable")
    ax.set(xlabel=f"spread [{units}]", ylabel=f"rms error of the mean [{units}]", xlim=(0, None), ylim=(0, None))
    ratios.axhline(1, color=TRUTH, lw=1, ls="--")
    ratios.set(xlabel="bin, from the most certain cells to the least", ylabel="spread / skill [1]", ylim=(0, None))
    ratios.xaxis.set_major_locator(MaxNLocator(integer=True))
    _headline(figure, title)
    for each in (ax, ratios):
        each.grid(alpha=0.3)
    ax.legend(frameon=False)
    return figure


def draw_levels(
    scores: Mapping[str, Mapping[str, Mapping[str, object]]], *, columns: Mapping[str, str], title: str
) -> Figure:
    """Scores against depth.

    Arguments:
        scores: {method: {metres: {score: value}}}.
        columns: {score: label of its axis}.
        title: Of the figure.
    """
    figure = Figure(figsize=(3.3 * len(columns) + 0.6, 5.2), layout="constrained")
    _headline(figure, title)
    axes = figure.subplots(1, len(columns), squeeze=False, sharey=True)[0]
    depths: list[float] = []
    for ax, (score, label) in zip(axes, columns.items(), strict=True):
        for colour, (method, levels) in zip(_palette(scores), scores.items(), strict=True):
            known = [(float(row[score]), float(depth)) for depth, row in levels.items() if row.get(score) is not None]  # type: ignore[arg-type]
            if known:
                value, depth = zip(*known, strict=True)
                depths.extend(depth)
                ax.plot(value, depth, "o-", ms=4, color=colour, label=method.replace("_", " "))
        ax.set_xlabel(textwrap.fill(label, 34))
        ax.grid(alpha=0.3)
        if score == "spread_skill":
            ax.axvline(1, color=TRUTH, lw=1, ls="--")
        else:
            ax.set_xlim(left=0)
    axes[0].set_ylabel("depth [m]")
    _depth_axis(axes[0], np.array(depths))
    _legend_below(figure, axes)
    return figure


def draw_spectra(spectra: Mapping[str, xr.Dataset], *, units: str, title: str) -> Figure:
    """Power against wavelength, a panel per level; members dashed, means solid, the truth black."""
    figure = Figure(figsize=(max(8.4, 4.2 * len(spectra) + 0.6), 4.8), layout="constrained")
    _headline(figure, title)
    axes = figure.subplots(1, len(spectra), squeeze=False)[0]
    squared = f"{units}²" if units.isalpha() else f"({units})²"
    for ax, (level, curves) in zip(axes, spectra.items(), strict=True):
        methods = list(dict.fromkeys(str(curve).partition(": ")[0] for curve in curves if curve != "truth"))
        colours = dict(zip(methods, _palette(methods), strict=True))
        for curve, power in curves.items():
            method, _, what = str(curve).partition(": ")
            style = {"color": colours.get(method, TRUTH), "ls": "--" if what == "members" else "-"}
            ax.loglog(curves["wavelength"], power, label=str(curve).replace("_", " "), lw=1.5, **style)
        where = level if level == "surface" else f"{level} m"
        # a field without small scales would push all others to the top
        top = max(float(power.max()) for power in curves.values())
        ax.set_ylim(max(float(curves["truth"].min()) / 30, 1e-7 * top), 3 * top)
        ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        ax.xaxis.set_minor_formatter(NullFormatter())
        ax.invert_xaxis()
        ax.set(
            title=f"{where}: {curves.attrs['kind']}, box of {curves.attrs['cells']} cells",
            xlabel="wavelength [km]",
        )
        ax.title.set_fontsize(10)
        ax.grid(alpha=0.3, which="both")
    axes[0].set_ylabel(f"power spectral density [{squared} km]")
    _legend_below(figure, axes)
    return figure


def _fill(ax: Axes, plane: Plane, values: np.ndarray, title: str, **colours: Any) -> ScalarMappable:
    """Colours one panel: grey land, white water, then the values."""
    ax.set_facecolor(LAND)
    water = np.where(plane.domain, 1.0, np.nan)
    ax.pcolormesh(plane.x, plane.y, water, cmap=ListedColormap(["white"]), shading="nearest", rasterized=True)
    shown = np.ma.masked_invalid(np.where(plane.domain, values, np.nan))
    mesh = ax.pcolormesh(plane.x, plane.y, shown, shading="nearest", rasterized=True, **colours)
    ax.set_title(title, fontsize=9)
    ax.tick_params(labelsize=8)
    # a narrow strip is stretched: at its true shape nobody could see it
    if not plane.vertical and 0.2 < _tallness(plane) < 5:
        ax.set_aspect(1 / _cosine(plane))
    return mesh


def _label_edges(grid: np.ndarray, plane: Plane) -> None:
    """Degrees or metres on the outer panels."""
    for ax in grid[-1]:
        ax.xaxis.set_major_locator(MaxNLocator(3, steps=DEGREES))
        ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _longitude(value)))
    for ax in grid[:, 0]:
        if plane.vertical:
            ax.set_ylabel("depth [m]", fontsize=9)
        else:
            ax.yaxis.set_major_locator(MaxNLocator(4, steps=DEGREES))
            ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: latitude(value)))
    if plane.vertical:
        _depth_axis(grid[0, 0], plane.y)


def latitude(value: float) -> str:
    """35.5 -> 35.5°N."""
    return f"{abs(value):g}°{'N' if value > 0 else 'S' if value < 0 else ''}"


def _longitude(value: float) -> str:
    """340 -> 20°W."""
    east = (value + 180) % 360 - 180
    return f"{abs(east):g}°{'E' if 0 < east < 180 else 'W' if -180 < east < 0 else ''}"


def place(lat: float, lon: float) -> str:
    """Latitude and longitude as a title."""
    return f"{latitude(round(lat, 2))} {_longitude(round(lon, 2))}"


def _depth_axis(ax: Axes, depth: np.ndarray) -> None:
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


def _panel_size(plane: Plane, columns: int) -> tuple[float, float]:
    """Inches of one panel, from the shape of the region; smaller where there are many."""
    width = 3.0 if columns <= 4 else 2.3
    if plane.vertical:
        return width, 2.2
    tall = _tallness(plane)
    height = float(np.clip(width * tall, 1.1, 3.6))
    return float(np.clip(height / tall, 1.8, width)), height + 0.25


def _tallness(plane: Plane) -> float:
    """Kilometres north to south over kilometres west to east."""
    return float(np.ptp(plane.y) / max(1e-9, np.ptp(plane.x) * _cosine(plane)))


def _cosine(plane: Plane) -> float:
    return max(0.1, float(np.cos(np.deg2rad(np.mean(plane.y)))))


def _limits(values: Sequence[np.ndarray], diverging: bool) -> tuple[float, float]:
    """1st to 99th percentile of all finite values; symmetric about zero for a diverging colour map."""
    flat = np.concatenate([np.ravel(v) for v in values]) if values else np.empty(0)
    flat = flat[np.isfinite(flat)]
    if flat.size == 0:
        return 0.0, 1.0
    low, high = (float(q) for q in np.quantile(flat, [0.01, 0.99]))
    if diverging:
        top = max(abs(low), abs(high)) or 1.0
        return -top, top
    return (low, high) if high > low else (low - 0.5, low + 0.5)


def _palette(methods: Iterable[str]) -> list[str]:
    """A colour per method; those that we ship have the same one in every figure of every report."""
    names = list(methods)
    spare = [c for c in COLOURS if c not in {OWN_COLOURS.get(name) for name in names}] or list(COLOURS)
    others = [name for name in names if name not in OWN_COLOURS]
    return [OWN_COLOURS.get(name) or spare[others.index(name) % len(spare)] for name in names]


def _headline(figure: Figure, title: str) -> None:
    """The title of the figure, broken where it would be cut off."""
    figure.suptitle(textwrap.fill(title, int(11 * figure.get_figwidth())), fontsize=12)


def _legend_below(figure: Figure, axes: Sequence[Axes]) -> None:
    """One legend for all panels, each label once."""
    found: dict[str, Artist] = {}
    for ax in axes:
        for handle, label in zip(*ax.get_legend_handles_labels(), strict=True):
            found.setdefault(label, handle)
    inches = 0.8 + 0.085 * max(map(len, found), default=1)  # of one column, so that none is cut off
    columns = max(1, min(5, len(found), int(figure.get_figwidth() / inches)))
    rows = -(-len(found) // columns)
    figure.set_figheight(figure.get_figheight() + 0.22 * (rows - 1))
    figure.legend(
        handles=list(found.values()), labels=list(found), loc="outside lower center", ncols=columns, frameon=False
    )

"""One function per figure; every one returns a matplotlib Figure and touches no global state.

    comparison:  truth     mean of A    mean of B    ...   | colour bar
                 observed  spread of A  spread of B  ...   | colour bar        left out where there is neither
                 held out  error of A   error of B   ...   | colour bar

What the figures share is in `drawing.py`.
"""

__all__ = [
    "Answer",
    "Panel",
    "draw_comparison",
    "draw_levels",
    "draw_members",
    "draw_profiles",
    "draw_ranks",
    "draw_reliability",
    "draw_spectra",
]

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cmocean
import numpy as np
import xarray as xr
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from driftfield.evaluate import drawing


@dataclass(frozen=True)
class Answer:
    """What one method says in a plane: mean, and standard deviation where it has one."""

    mean: np.ndarray
    sd: np.ndarray | None


@dataclass(frozen=True)
class Panel:
    """A profile at one place: depth, truth, observed, and per method mean and sd."""

    place: str
    depth: np.ndarray
    truth: np.ndarray
    observed: np.ndarray
    answers: Mapping[str, Answer]


def draw_comparison(
    plane: drawing.MapPanel, answers: Mapping[str, Answer], *, name: str, units: str, title: str
) -> Figure:
    """Truth, observed and held-out cells beside mean, spread and error of every method."""
    columns = len(answers) + 1
    width, height = drawing.panel_size(plane, columns)
    observed = bool(np.isfinite(plane.observed[plane.domain]).any())
    # a single field of which nothing was seen has no middle row
    rows = 3 if observed or any(answer.sd is not None for answer in answers.values()) else 2
    figure = Figure(figsize=(columns * width + 2.2, rows * height + 1.1), layout="constrained")
    drawing.headline(figure, title)
    grid = np.array(figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True))
    values = drawing.scale_of(name, units, [plane.truth[plane.domain]])
    drawn = drawing.fill(grid[0, 0], plane, plane.truth, "truth", **values)
    if observed:
        drawing.fill(grid[1, 0], plane, plane.observed, "observed (scale of row 1)", **values)
    elif rows == 3:
        grid[1, 0].remove()  # nothing was observed here: no empty panel
    held_out = np.where(plane.held_out, 1.0, np.nan)
    drawing.fill(grid[-1, 0], plane, held_out, "held out: scored", cmap=ListedColormap(["#4C72B0"]), vmin=0, vmax=1)
    errors = {method: answer.mean - plane.truth for method, answer in answers.items()}
    scored = [np.abs(error[plane.held_out & np.isfinite(error)]) for error in errors.values()]
    worst = drawing.limits(scored, False)[1]
    spreads = [answer.sd[plane.domain] for answer in answers.values() if answer.sd is not None]
    widest = drawing.limits(spreads, False)[1] if spreads else 1.0
    spread_colours: drawing.ColourScale = {"cmap": cmocean.cm.amp, "vmin": 0, "vmax": widest}
    error_colours: drawing.ColourScale = {"cmap": cmocean.cm.balance, "vmin": -worst, "vmax": worst}
    scales: list[ScalarMappable | None] = [drawn, None, None]
    for column, (method, answer) in enumerate(answers.items(), start=1):
        label = method.replace("_", " ")
        drawing.fill(grid[0, column], plane, answer.mean, f"{label}: mean", **values)
        if answer.sd is None and rows == 3:
            grid[1, column].remove()
        elif answer.sd is not None:
            scales[1] = drawing.fill(grid[1, column], plane, answer.sd, f"{label}: spread", **spread_colours)
        rms = float(np.sqrt(np.nanmean(errors[method][plane.held_out] ** 2))) if plane.held_out.any() else np.nan
        scales[2] = drawing.fill(
            grid[-1, column], plane, errors[method], f"error, rms held out {rms:.3g}", **error_colours
        )
    labels = [f"{name} [{units}]", f"spread (1 sd) [{units}]", f"mean minus truth [{units}]"]
    drawn_rows = grid if rows == 3 else np.stack([grid[0], grid[0], grid[1]])
    _add_scales(figure, drawn_rows, scales, [textwrap.fill(label, max(16, int(9 * height))) for label in labels])
    drawing.label_edges(grid, plane)
    return figure


def _add_scales(
    figure: Figure, grid: np.ndarray, scales: Sequence[ScalarMappable | None], labels: Sequence[str]
) -> None:
    """A colour bar beside each row that has colours; a spread has no lower end."""
    for row, (scale, label) in enumerate(zip(scales, labels, strict=True)):
        if scale is not None:
            extend = "max" if row == 1 else "both"
            shown = [ax for ax in grid[row] if ax.figure is not None]
            figure.colorbar(scale, ax=shown, label=label, extend=extend, shrink=0.92, aspect=14, pad=0.015)


def draw_members(
    plane: drawing.MapPanel,
    ensembles: Mapping[str, tuple[np.ndarray, np.ndarray]],
    *,
    name: str,
    units: str,
    title: str,
) -> Figure:
    """The mean of every ensemble and some of its members, all on the scale of the truth.

    Arguments:
        plane: A map.
        ensembles: Per method the mean (y, x) and members (member, y, x), as many as are to be drawn.
        name, units: Of the variable.
        title: Of the figure.
    """
    columns = 1 + max(len(members) for _, members in ensembles.values())
    width, height = drawing.panel_size(plane, columns)
    figure = Figure(figsize=(columns * width + 2.0, len(ensembles) * height + 1.0), layout="constrained")
    drawing.headline(figure, title)
    grid = np.array(figure.subplots(len(ensembles), columns, squeeze=False, sharex=True, sharey=True))
    values = drawing.scale_of(name, units, [plane.truth[plane.domain]])
    for row, (method, (mean, members)) in zip(grid, ensembles.items(), strict=True):
        label = method.replace("_", " ")
        drawn = drawing.fill(row[0], plane, mean, f"{label}: mean", **values)
        for number, (ax, member) in enumerate(zip(row[1:], members, strict=False)):
            drawn = drawing.fill(ax, plane, member, f"member {number}", **values)
        for spare in row[1 + len(members) :]:
            spare.remove()
    shown = [ax for ax in grid.ravel() if ax.figure is not None]
    figure.colorbar(drawn, ax=shown, label=f"{name} [{units}]", extend="both", shrink=0.92, aspect=14, pad=0.015)
    drawing.label_edges(grid, plane)
    return figure


def draw_profiles(panels: Sequence[Panel], *, name: str, units: str, title: str) -> Figure:
    """Truth, observations and answers with their 90 % band against depth, where the column was hidden."""
    figure = Figure(figsize=(max(6.0, 3.1 * len(panels) + 0.6), 5.4), layout="constrained")
    drawing.headline(figure, title)
    for ax, panel in zip(figure.subplots(1, len(panels), squeeze=False, sharey=True)[0], panels, strict=True):
        for colour, (method, answer) in zip(drawing.palette(panel.answers), panel.answers.items(), strict=True):
            ax.plot(answer.mean, panel.depth, color=colour, label=method.replace("_", " "), lw=1.6, zorder=3)
            if answer.sd is not None:
                half = drawing.BAND_90 * answer.sd
                ax.fill_betweenx(
                    panel.depth, answer.mean - half, answer.mean + half, color=colour, alpha=0.18, lw=0, zorder=1
                )
        ax.plot(panel.truth, panel.depth, "o-", color=drawing.TRUTH, ms=3, lw=1.2, label="truth", zorder=4)
        if np.isfinite(panel.observed).any():
            ax.plot(panel.observed, panel.depth, "D", mfc="none", mec=drawing.TRUTH, ms=8, label="observed", zorder=5)
        ax.set(title=panel.place, xlabel=textwrap.fill(f"{name} [{units}]", 32))
        ax.title.set_fontsize(10)
        ax.grid(alpha=0.3)
    first = figure.axes[0]
    first.set_ylabel("depth [m]")
    drawing.depth_axis(first, panels[0].depth)
    drawing.legend_below(figure, figure.axes)
    return figure


def draw_ranks(ranks: Mapping[str, np.ndarray], *, title: str) -> Figure:
    """Rank of the truth among the members, as a multiple of what a perfect ensemble has."""
    figure = Figure(figsize=(max(6.0, 4.2 * len(ranks) + 0.6), 3.8), layout="constrained")
    drawing.headline(figure, title)
    axes = figure.subplots(1, len(ranks), squeeze=False, sharey=True)[0]
    for ax, colour, (method, frequency) in zip(axes, drawing.palette(ranks), ranks.items(), strict=True):
        ax.bar(np.arange(len(frequency)), frequency * len(frequency), width=0.9, color=colour, alpha=0.8)
        ax.axhline(1, color=drawing.TRUTH, lw=1.2, ls="--")
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
    for colour, (method, table) in zip(drawing.palette(bins), bins.items(), strict=True):
        ax.plot(table["spread"], table["error"], "o-", color=colour, label=method.replace("_", " "))
        top = max(top, float(table["spread"].max()), float(table["error"].max()))
        ratios.plot(np.arange(1, table.sizes["bin"] + 1), table["ratio"], "o-", color=colour)
    ax.plot([0, 1.05 * top], [0, 1.05 * top], color=drawing.TRUTH, lw=1, ls="--", label="reliable")
    ax.set(xlabel=f"spread [{units}]", ylabel=f"rms error of the mean [{units}]", xlim=(0, None), ylim=(0, None))
    ratios.axhline(1, color=drawing.TRUTH, lw=1, ls="--")
    ratios.set(xlabel="bin, from the most certain cells to the least", ylabel="spread / skill [1]", ylim=(0, None))
    ratios.xaxis.set_major_locator(MaxNLocator(integer=True))
    drawing.headline(figure, title)
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
    drawing.headline(figure, title)
    axes = figure.subplots(1, len(columns), squeeze=False, sharey=True)[0]
    depths: list[float] = []
    for ax, (score, label) in zip(axes, columns.items(), strict=True):
        for colour, (method, levels) in zip(drawing.palette(scores), scores.items(), strict=True):
            known = [(float(row[score]), float(depth)) for depth, row in levels.items() if row.get(score) is not None]  # type: ignore[arg-type]
            if known:
                value, depth = zip(*known, strict=True)
                depths.extend(depth)
                ax.plot(value, depth, "o-", ms=4, color=colour, label=method.replace("_", " "))
        ax.set_xlabel(textwrap.fill(label, 34))
        ax.grid(alpha=0.3)
        if score == "spread_skill":
            ax.axvline(1, color=drawing.TRUTH, lw=1, ls="--")
        else:
            ax.set_xlim(left=0)
    axes[0].set_ylabel("depth [m]")
    drawing.depth_axis(axes[0], np.array(depths))
    drawing.legend_below(figure, axes)
    return figure


def draw_spectra(spectra: Mapping[str, xr.Dataset], *, units: str, title: str) -> Figure:
    """Power against wavelength, a panel per level; members dashed, means solid, the truth black."""
    figure = Figure(figsize=(max(8.4, 4.2 * len(spectra) + 0.6), 4.8), layout="constrained")
    drawing.headline(figure, title)
    axes = figure.subplots(1, len(spectra), squeeze=False)[0]
    squared = f"{units}²" if units.isalpha() else f"({units})²"
    for ax, (level, curves) in zip(axes, spectra.items(), strict=True):
        methods = list(dict.fromkeys(str(curve).partition(": ")[0] for curve in curves if curve != "truth"))
        colours = dict(zip(methods, drawing.palette(methods), strict=True))
        for curve, power in curves.items():
            method, _, what = str(curve).partition(": ")
            style = {"color": colours.get(method, drawing.TRUTH), "ls": "--" if what == "members" else "-"}
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
    drawing.legend_below(figure, axes)
    return figure

"""The picture of a map from scattered values, a row per level:

    mean, with the values of that time as dots   | colour bar |   spread   | colour bar |

and below it what was tried: a bar per method, its error on values left out.
"""

__all__ = ["MapScene", "draw_map"]

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import cmocean
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from driftfield.evaluate.drawing import LAND, colour_map, headline, latitude, limits, longitude


@dataclass(frozen=True)
class MapScene:
    """One level at one date.

    Arguments:
        title: Of the row.
        lat, lon: Degrees of the cells.
        mean, sd: (lat, lon), NaN outside the domain.
        point_lat, point_lon, point_value: Of the values around that date, (n,).
    """

    title: str
    lat: np.ndarray
    lon: np.ndarray
    mean: np.ndarray
    sd: np.ndarray
    point_lat: np.ndarray
    point_lon: np.ndarray
    point_value: np.ndarray


def draw_map(scenes: list[MapScene], rmse: Mapping[str, float], *, name: str, units: str, title: str) -> Figure:
    """Mean and spread of every scene, and the errors of the methods, the chosen one first."""
    height = 2.6 * len(scenes) + 0.32 * len(rmse) + 1.2
    figure = Figure(figsize=(8.0, height), layout="constrained")
    headline(figure, title)
    ratios = [2.6 * len(scenes), 0.32 * len(rmse) + 0.7]
    maps, bars = np.ravel(figure.subfigures(2, 1, height_ratios=ratios, squeeze=False))
    panels = maps.subplots(len(scenes), 2, squeeze=False)
    cmap, diverging = colour_map(name, units)
    for row, scene in zip(panels, scenes, strict=True):
        low, high = limits([scene.mean, scene.point_value], diverging)
        mesh = _panel(row[0], scene, scene.mean, cmap=cmap, vmin=low, vmax=high)
        dots = {"cmap": cmap, "vmin": low, "vmax": high, "edgecolors": "black", "linewidths": 0.4, "s": 14}
        row[0].scatter(scene.point_lon, scene.point_lat, c=scene.point_value, **dots)
        row[0].set_title(scene.title, fontsize=9)
        maps.colorbar(mesh, ax=row[0], label=f"{name} [{units}]" if units else name)
        mesh = _panel(row[1], scene, scene.sd, cmap=cmocean.cm.amp, vmin=0.0, vmax=limits([scene.sd], False)[1])
        row[1].set_title("standard deviation", fontsize=9)
        maps.colorbar(mesh, ax=row[1], label=f"sd [{units}]" if units else "sd")
    axes = bars.subplots()
    axes.barh(list(rmse)[::-1], list(rmse.values())[::-1], color=["0.7"] * (len(rmse) - 1) + ["tab:blue"])
    axes.set_xlabel(f"RMSE on values left out {f'[{units}]' if units else ''}", fontsize=9)
    axes.tick_params(labelsize=8)
    return figure


def _panel(axes: Axes, scene: MapScene, values: np.ndarray, **colours: Any) -> ScalarMappable:
    axes.set_facecolor(LAND)
    mesh = axes.pcolormesh(scene.lon, scene.lat, values, shading="nearest", rasterized=True, **colours)
    axes.set_xlim(*_outline(scene.lon))
    axes.set_ylim(*_outline(scene.lat))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: longitude(value)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: latitude(value)))
    axes.tick_params(labelsize=8)
    return mesh


def _outline(centres: np.ndarray) -> tuple[float, float]:
    """From the outer edge of the first cell to that of the last one."""
    half = 0.5 * float(np.abs(np.diff(centres)).mean()) if centres.size > 1 else 0.5
    return float(centres.min()) - half, float(centres.max()) + half

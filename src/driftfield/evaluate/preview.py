"""A small picture of one sample while its network is trained, a row per variable:

    truth   observed   mean of the ensemble   one member   | colour bar |   standard deviation   | colour bar |

Values are departures from the mean field. Land is grey, water that nobody looked at is white.
"""

__all__ = ["Scene", "draw_preview"]

from dataclasses import dataclass
from functools import partial
from typing import Literal, Unpack

import cmocean
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure

from driftfield.evaluate.drawing import LAND, ColourScale, headline, limits


@dataclass(frozen=True)
class Scene:
    """One variable at one level, arrays (lat, lon) with latitude ascending, physical units up to the mean field.

    Arguments:
        name: What the row is called.
        truth: NaN where it is not known.
        observed: NaN where nothing was seen.
        held_out: Cells that are scored.
        domain: Where the variable exists.
        mean: Of the ensemble.
        member: One of the ensemble, None where all are alike.
        sd: Standard deviation of the ensemble, None where all are alike.
    """

    name: str
    truth: np.ndarray
    observed: np.ndarray
    held_out: np.ndarray
    domain: np.ndarray
    mean: np.ndarray
    member: np.ndarray | None
    sd: np.ndarray | None


def draw_preview(scenes: list[Scene], *, title: str) -> Figure:
    """One row of panels per scene, on one scale of values and one of spread each."""
    height, width = scenes[0].truth.shape
    columns = 5 if scenes[0].sd is not None else 3
    # a narrow strip is stretched: at its true shape nobody could see it
    tall = float(np.clip(height / width, 0.35, 2.0))
    figure = Figure(figsize=(2.1 * columns + 1.4, 2.1 * tall * len(scenes) + 0.8), layout="constrained")
    headline(figure, title)
    for axes, scene in zip(figure.subplots(len(scenes), columns, squeeze=False), scenes, strict=True):
        _draw_row(figure, list(axes), scene)
    return figure


def _draw_row(figure: Figure, axes: list[Axes], scene: Scene) -> None:
    top = limits([scene.truth[scene.domain], scene.observed[scene.domain]], diverging=True)[1]
    values: ColourScale = {"cmap": cmocean.cm.balance, "vmin": -top, "vmax": top}
    scored = scene.held_out & np.isfinite(scene.truth)
    error = f", rms error {_rms((scene.mean - scene.truth)[scored]):.2g}" if scored.any() else ""
    drawn = _fill(axes[0], scene, scene.truth, "truth", **values)
    _fill(axes[1], scene, scene.observed, "observed", **values)
    _fill(axes[2], scene, scene.mean, f"mean{error}", **values)
    axes[0].set_ylabel(scene.name, fontsize=9)
    if scene.sd is None or scene.member is None:
        _scale(figure, drawn, axes[2])
        return
    _fill(axes[3], scene, scene.member, "one member", **values)
    _scale(figure, drawn, axes[3])
    spread = scene.sd[scored if scored.any() else scene.domain]
    widest = limits([scene.sd[scene.domain]], diverging=False)[1]
    sds = _fill(axes[4], scene, scene.sd, f"sd, rms {_rms(spread):.2g}", cmap=cmocean.cm.amp, vmin=0, vmax=widest)
    _scale(figure, sds, axes[4])


def _fill(ax: Axes, scene: Scene, values: np.ndarray, title: str, **colours: Unpack[ColourScale]) -> ScalarMappable:
    height, width = values.shape
    aspect: Literal["equal", "auto"] = "equal" if 0.2 < height / width < 5 else "auto"
    show = partial(ax.imshow, origin="lower", interpolation="nearest", aspect=aspect)
    ax.set_facecolor(LAND)
    show(np.ma.masked_where(~scene.domain, np.ones_like(values)), cmap="gray", vmin=0, vmax=1)
    drawn = show(np.ma.masked_invalid(np.where(scene.domain, values, np.nan)), **colours)
    ax.set_title(title, fontsize=8)
    ax.set_xticks([])
    ax.set_yticks([])
    return drawn


def _scale(figure: Figure, drawn: ScalarMappable, ax: Axes) -> None:
    figure.colorbar(drawn, ax=ax, fraction=0.06).ax.tick_params(labelsize=7)


def _rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.nanmean(values**2))) if np.isfinite(values).any() else float("nan")

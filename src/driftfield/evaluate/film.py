"""Films: the same panels at one date after another, drawn on one scale of colours.

    Film --frames--> pictures (height, width, 3), both sides even --write_film--> .gif (Pillow) or .mp4 (H.264 by PyAV)

Land, scale, labels and the width of everything stay where they are from frame to frame; only values and the stamp change.
"""

__all__ = ["Film", "FilmPanel", "frames", "write_film"]

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import cmocean
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure
from PIL import Image

from driftfield.errors import ConfigurationError
from driftfield.evaluate.drawing import (
    ColourScale,
    MapPanel,
    colour_map,
    fill,
    headline,
    label_edges,
    limits,
    panel_size,
)
from driftfield.files import replacing

DPI = 110


@dataclass(frozen=True)
class FilmPanel:
    """What one panel shows.

    Arguments:
        title: Above it.
        values: (frame, y, x); NaN where nothing is known.
        spread: Whether it has the scale of the standard deviations, from 0 on.
    """

    title: str
    values: np.ndarray
    spread: bool = False


@dataclass(frozen=True)
class Film:
    """Panels side by side.

    Arguments:
        plane: Where the cells lie, and which of them are water.
        panels: One or more, with the same frames.
        stamps: Of every frame.
        name: Of the variable.
        units: Of the variable.
    """

    plane: MapPanel
    panels: list[FilmPanel]
    stamps: list[str]
    name: str
    units: str


def frames(film: Film) -> Iterator[np.ndarray]:
    """Pictures (height, width, 3) of 8 bits, one per frame; both sides are even, as films in colour need them."""
    figure, meshes = _stage(film)
    canvas = FigureCanvasAgg(figure)
    for number, stamp in enumerate(film.stamps):
        for panel, mesh in zip(film.panels, meshes, strict=True):
            mesh.set_array(np.ma.masked_invalid(np.where(film.plane.domain, panel.values[number], np.nan)))
        figure.suptitle(f"{film.name}, {stamp}" if stamp else film.name, fontsize=11)
        canvas.draw()
        if number == 0:
            # laid out once: a title of another length moves no panel
            figure.set_layout_engine("none")
        yield _even(np.asarray(canvas.buffer_rgba())[..., :3])


def _stage(film: Film) -> tuple[Figure, list[ScalarMappable]]:
    """The first frame and what changes in it."""
    columns = len(film.panels)
    width, height = panel_size(film.plane, columns)
    figure = Figure(figsize=(1.2 * columns * width + 1.9, 1.2 * height + 0.9), dpi=DPI, layout="constrained")
    headline(figure, film.name)
    grid = figure.subplots(1, columns, squeeze=False, sharex=True, sharey=True)
    cmap, diverging = colour_map(film.name, film.units)
    scales: dict[bool, ColourScale] = {}
    for spread in (False, True):
        shown = [panel.values[:, film.plane.domain] for panel in film.panels if panel.spread == spread]
        if shown and any(np.isfinite(part).any() for part in shown):
            low, high = limits(shown, diverging and not spread)
            scales[spread] = {"cmap": cmocean.cm.amp if spread else cmap, "vmin": 0 if spread else low, "vmax": high}
    nothing = ColourScale(cmap=cmap, vmin=0, vmax=1)
    meshes = [
        fill(ax, film.plane, panel.values[0], panel.title, **scales.get(panel.spread, nothing))
        for ax, panel in zip(grid[0], film.panels, strict=True)
    ]
    for spread in scales:
        own = [ax for ax, panel in zip(grid[0], film.panels, strict=True) if panel.spread == spread]
        mesh = next(mesh for mesh, panel in zip(meshes, film.panels, strict=True) if panel.spread == spread)
        label = f"{'standard deviation' if spread else film.name}{f' [{film.units}]' if film.units else ''}"
        figure.colorbar(mesh, ax=own, label=label, shrink=0.9, pad=0.02, extend="max" if spread else "both")
    label_edges(grid, film.plane)
    return figure, meshes


def _even(picture: np.ndarray) -> np.ndarray:
    """With a white row or column more, where a side is odd."""
    height, width, _ = picture.shape
    return np.pad(picture, ((0, height % 2), (0, width % 2), (0, 0)), constant_values=255)


def write_film(film: Film, out: Path, *, frames_per_second: float = 6.0, overwrite: bool = False) -> None:
    """Writes a film.

    Arguments:
        film: What it shows.
        out: A name that ends in .gif or .mp4.
        frames_per_second: Its speed.
        overwrite: Replace what is there.

    Raises:
        ConfigurationError: another ending, no frames, or .mp4 without PyAV.
    """
    if out.suffix.lower() not in (".gif", ".mp4"):
        raise ConfigurationError(f"Cannot write {out}: expected a name that ends in .gif or .mp4. Rename the output.")
    if not film.stamps or not film.panels:
        raise ConfigurationError("Found no frame to show: choose other dates, or another --layout.")
    if not 0 < frames_per_second <= 60:
        raise ConfigurationError(f"Found {frames_per_second:g} frames per second: expected a number above 0, up to 60.")
    write = _write_gif if out.suffix.lower() == ".gif" else _write_mp4
    with replacing(out, overwrite=overwrite) as temporary:
        write(frames(film), temporary, frames_per_second)


def _write_gif(pictures: Iterator[np.ndarray], path: Path, rate: float) -> None:
    # one palette for all frames: colours of their own per frame would flicker
    first = Image.fromarray(next(pictures)).quantize(256)
    rest = (Image.fromarray(picture).quantize(palette=first, dither=Image.Dither.NONE) for picture in pictures)
    first.save(path, format="GIF", save_all=True, append_images=rest, duration=round(1000 / rate), loop=0)


def _write_mp4(pictures: Iterator[np.ndarray], path: Path, rate: float) -> None:
    from fractions import Fraction

    try:
        import av
    except ImportError as error:
        raise ConfigurationError(
            "A film in .mp4 needs PyAV: pip install 'driftfield[film]', or write a .gif."
        ) from error
    first = next(pictures)
    with av.open(str(path), mode="w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=Fraction(rate).limit_denominator(1000), options={"crf": "18"})
        stream.height, stream.width = first.shape[:2]
        stream.pix_fmt = "yuv420p"
        for picture in chain([first], pictures):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())

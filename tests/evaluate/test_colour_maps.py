"""Colours that colour-blind readers, and printers without colours, can order: lightness rises or falls all the way."""

import numpy as np
import pytest
from matplotlib.colors import Colormap

from driftfield.evaluate import drawing
from driftfield.viewer.viewed_file import ViewedFile


def lightness(cmap: Colormap | list[str]) -> np.ndarray:
    """CIE L* of 128 colours."""
    from matplotlib.colors import to_rgb

    colours = np.array([to_rgb(c) for c in cmap]) if isinstance(cmap, list) else cmap(np.linspace(0.0, 1.0, 128))[:, :3]
    linear = np.where(colours <= 0.04045, colours / 12.92, ((colours + 0.055) / 1.055) ** 2.4)
    y = linear @ [0.2126, 0.7152, 0.0722]
    return np.where(y > 216 / 24389, 116 * np.cbrt(y) - 16, y * 24389 / 27)


@pytest.mark.parametrize(
    ("words", "cmap", "diverging"), [*drawing._MAPS, (("anything",), *drawing.colour_map("?", "1"))]
)
def test_default_maps_are_ordered_by_lightness(words: tuple[str, ...], cmap: Colormap, diverging: bool) -> None:
    steps = np.diff(lightness(cmap))
    halves = np.split(steps, [len(steps) // 2]) if diverging else [steps]
    for half in halves:
        # a neighbouring pair may be as light as each other; nothing turns back by more than an eye can tell (one L*)
        assert max(np.minimum(half, 0).sum(), -np.maximum(half, 0).sum()) > -1.0, words


def test_the_ends_of_a_diverging_map_are_alike_and_its_middle_is_light() -> None:
    for words, cmap, diverging in drawing._MAPS:
        if diverging:
            values = lightness(cmap)
            assert values[len(values) // 2] > 80, words
            assert max(values[0], values[-1]) < 30, words


def test_the_page_has_the_same_maps(ocean) -> None:  # type: ignore[no-untyped-def]
    about = ViewedFile(ocean, "ocean.nc").about
    for colours in (about["spread_colours"], about["variables"]["thetao"]["colours"]):  # type: ignore[call-overload, index]
        steps = np.diff(lightness(colours))  # type: ignore[arg-type]
        assert (steps > -0.2).all() or (steps < 0.2).all()

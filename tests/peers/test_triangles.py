"""Both interpolations over triangles agree with the nearest neighbour where no triangle reaches."""

import numpy as np
import pytest
from test_levels import on_grid

from driftfield.peers.cubic import Cubic
from driftfield.peers.linear import LinearInterpolation
from driftfield.peers.nearest import Nearest
from driftfield.peers.triangles import TriangleInterpolation

LAT, LON = np.linspace(-60.0, 60.0, 9), np.linspace(0.0, 100.0, 12)
EVERYWHERE = np.ones((9, 12), dtype=bool)
TRIANGLES = (LinearInterpolation, Cubic)


def seen_at(*cells: tuple[int, int]) -> np.ndarray:
    field = np.full((9, 12), np.nan)
    for value, cell in enumerate(cells, start=1):
        field[cell] = value
    return field


@pytest.mark.parametrize("cls", TRIANGLES)
@pytest.mark.parametrize(
    "cells",
    [((4, 5),), ((2, 3), (6, 8)), ((1, 2), (4, 2), (7, 2)), ((3, 3), (3, 6), (5, 4), (5, 6))],
    ids=["one", "two", "line", "four"],
)
def test_outside_the_hull_the_nearest_observation_decides(
    cls: type[TriangleInterpolation], cells: tuple[tuple[int, int], ...]
) -> None:
    seen = seen_at(*cells)
    filled, nearest = (on_grid(one, LAT, LON, periodic=False).fill(seen, EVERYWHERE) for one in (cls, Nearest))
    # no cell of the outer rows and columns lies in a triangle, unless it was seen
    border = EVERYWHERE.copy()
    border[2:-2, 2:-2] = False
    np.testing.assert_array_equal(filled[border], nearest[border])


@pytest.mark.parametrize("cls", TRIANGLES)
def test_near_means_on_the_sphere(cls: type[TriangleInterpolation]) -> None:
    lon = np.linspace(0.0, 300.0, 12)
    seen = seen_at((8, 0), (4, 11))
    filled = on_grid(cls, LAT, lon, periodic=False).fill(seen, EVERYWHERE)
    # at 60 N, 273 E: 41 degrees of arc from 60 N, 0 E, 64 from 0 N, 300 E; in a plane it would be the other way round
    assert filled[8, 10] == 1.0

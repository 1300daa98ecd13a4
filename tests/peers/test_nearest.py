"""The nearest observation decides, equally near ones together."""

import numpy as np
from test_levels import on_grid

from driftfield.peers.nearest import Nearest


def test_the_nearest_on_the_sphere_decides() -> None:
    peer = on_grid(Nearest, np.array([-10.0, 0.0, 80.0]), np.arange(36) * 10.0, periodic=True)
    seen = np.full((3, 36), np.nan)
    seen[2, 0], seen[0, 17], seen[1, 34] = 1.0, 2.0, 3.0
    filled = peer.fill(seen, np.ones((3, 36), dtype=bool))
    # across the pole it is 20 degrees, along the parallel 180
    assert filled[2, 18] == 1.0
    # across the date line
    assert filled[1, 1] == 3.0
    assert filled[1, 17] == 2.0


def test_equally_near_ones_are_averaged() -> None:
    peer = on_grid(Nearest, np.array([0.0]), np.arange(5.0), periodic=False)
    seen = np.array([[1.0, np.nan, np.nan, np.nan, 4.0]])
    np.testing.assert_allclose(peer.fill(seen, np.ones((1, 5), dtype=bool)), [[1.0, 1.0, 2.5, 4.0, 4.0]])

"""Cubic interpolation reproduces planes, is better than planes where fields are smooth, and does not run away."""

import numpy as np
from test_levels import on_grid, scattered

from driftfield.peers.cubic import Cubic
from driftfield.peers.linear import LinearInterpolation

LAT, LON = np.linspace(30, 40, 15), np.linspace(-20, -5, 20)
EVERYWHERE = np.ones((15, 20), dtype=bool)


def seen_of(field: np.ndarray, count: int, seed: int) -> np.ndarray:
    where = np.isfinite(scattered(field.shape, count, seed))
    where[[0, 0, -1, -1], [0, -1, 0, -1]] = True
    return np.where(where, field, np.nan)


def test_a_plane_is_exact() -> None:
    lat, lon = np.meshgrid(LAT, LON, indexing="ij")
    plane = 0.3 * lat - 0.2 * lon
    peer = on_grid(Cubic, LAT, LON, periodic=False)
    np.testing.assert_allclose(peer.fill(seen_of(plane, 20, 0), EVERYWHERE), plane, atol=1e-3)


def test_a_smooth_field_is_better_than_by_planes() -> None:
    lat, lon = np.meshgrid(LAT, LON, indexing="ij")
    field = np.sin(0.5 * lat) * np.cos(0.4 * lon)
    seen = seen_of(field, 60, 1)
    error = {
        cls: np.sqrt(np.mean((on_grid(cls, LAT, LON, periodic=False).fill(seen, EVERYWHERE) - field) ** 2))
        for cls in (Cubic, LinearInterpolation)
    }
    assert error[Cubic] < 0.9 * error[LinearInterpolation]


def test_observations_on_one_line_leave_it_to_the_nearest() -> None:
    seen = np.full((15, 20), np.nan)
    seen[7, [0, 9, 19]] = 1.0, 2.0, 3.0
    filled = on_grid(Cubic, LAT, LON, periodic=False).fill(seen, EVERYWHERE)
    assert (filled[0, 0], filled[14, 19]) == (1.0, 3.0)

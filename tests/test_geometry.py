"""Positions of cells: the rotated pole, areas, distances, and finding cells again; seeded members of every kind of grid."""

import numpy as np
import pytest

from driftfield.earth import EARTH_RADIUS_KM
from driftfield.errors import DataError
from driftfield.gaussian.covariance import EmbeddedGrid
from driftfield.geometry import Geometry, unrotated


def rotated(seed: int) -> tuple[Geometry, np.ndarray, np.ndarray]:
    """A grid of a random rotated pole, with its own latitudes and longitudes."""
    rng = np.random.default_rng(seed)
    row = rng.uniform(-30, 10) + rng.uniform(0.1, 0.5) * np.arange(rng.integers(6, 14))
    column = rng.uniform(-60, 60) + rng.uniform(0.1, 0.5) * np.arange(rng.integers(6, 14))
    places = unrotated(row[:, None], column[None], rng.uniform(20, 90), rng.uniform(-180, 180))
    return Geometry(*places), row, column


def stereographic(seed: int) -> Geometry:
    """A plane tangent to the pole, the pole inside or outside."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(-2000, 500) + rng.uniform(25, 80) * np.arange(12)
    y = rng.uniform(-2000, 500) + rng.uniform(25, 80) * np.arange(9)
    x, y = np.meshgrid(x, y)
    colatitude = 2 * np.degrees(np.arctan2(np.hypot(x, y), 2 * EARTH_RADIUS_KM))
    return Geometry(90 - colatitude, np.degrees(np.arctan2(x, -y)))


def bent(seed: int) -> Geometry:
    """Rows and columns that curve, as in an ocean model, in any hemisphere and across the dateline."""
    rng = np.random.default_rng(seed)
    j, i = np.meshgrid(np.arange(10.0), np.arange(14.0), indexing="ij")
    lat = rng.uniform(-60, 50) + 0.4 * j + 0.01 * (i - 7) ** 2
    lon = rng.uniform(-180, 180) + 0.5 * i + rng.uniform(-0.3, 0.3) * j
    return Geometry(lat, (lon + 180) % 360 - 180)


GRIDS = {
    **{f"rotated {n}": rotated(n)[0] for n in range(8)},
    **{f"stereographic {n}": stereographic(n) for n in range(8)},
    **{f"bent {n}": bent(n) for n in range(8)},
}


@pytest.mark.parametrize("seed", range(8))
def test_a_rotated_grid_has_the_distances_and_areas_of_its_own_degrees(seed: int) -> None:
    """A rotation keeps the sphere: what holds in rotated degrees holds in geographic ones."""
    geometry, row, column = rotated(seed)
    own = Geometry.of_axes(row, column)
    np.testing.assert_allclose(geometry.area, own.area, rtol=1e-9)
    np.testing.assert_allclose(geometry.row_step, own.row_step, rtol=1e-7)
    by_positions, by_axes = (EmbeddedGrid(row, column, False, p).separation for p in (geometry, None))
    for found, expected in zip(by_positions, by_axes, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=0.05)


def test_the_pole_of_a_rotated_grid_lies_where_it_is_said_to_lie() -> None:
    latitude, longitude = unrotated(np.array(90.0), np.array(0.0), 39.25, -162.0)
    assert float(latitude) == pytest.approx(39.25)
    assert float(longitude) == pytest.approx(-162.0)
    origin = [float(part) for part in unrotated(np.array(0.0), np.array(0.0), 39.25, -162.0)]
    assert origin == pytest.approx([50.75, 18.0])  # EUR-11: the middle of Europe


@pytest.mark.parametrize("name", GRIDS)
def test_a_place_is_found_between_its_cells(name: str) -> None:
    geometry = GRIDS[name]
    rng = np.random.default_rng(5)
    row, column = rng.uniform(0, geometry.shape[0] - 1, 40), rng.uniform(0, geometry.shape[1] - 1, 40)
    found = geometry.fractional(*geometry.at(row, column))
    np.testing.assert_allclose(found, [row, column], atol=2e-3)
    nearest = geometry.nearest(geometry.latitude.ravel(), geometry.longitude.ravel() + 360)
    np.testing.assert_array_equal(nearest, np.indices(geometry.shape).reshape(2, -1))


@pytest.mark.parametrize("name", GRIDS)
def test_places_beyond_the_grid_lie_in_no_cell(name: str) -> None:
    geometry = GRIDS[name]
    lat, lon = geometry.at(np.array([-3.0, 4.0, geometry.shape[0] + 2.0]), np.array([4.0, -3.0, 4.0]))
    assert np.isnan(geometry.fractional(lat, lon)).all()
    assert (geometry.nearest(lat, lon)[0] == -1).all()
    assert (geometry.nearest(np.array([np.nan]), np.array([3.0]))[0] == -1).all()


@pytest.mark.parametrize("name", GRIDS)
def test_a_block_of_a_grid_is_found_again_and_a_shifted_one_is_not(name: str) -> None:
    geometry = GRIDS[name]
    block = geometry.part(slice(1, 5), slice(2, 6))
    rows, columns = geometry.cells(Geometry(block.latitude + 1e-5, block.longitude - 720))
    assert rows.tolist() == [1, 2, 3, 4]
    assert columns.tolist() == [2, 3, 4, 5]
    shifted = Geometry(*geometry.at(*(np.indices((3, 3)) + 1.4)))
    with pytest.raises(DataError, match="no block of the grid of the run"):
        geometry.cells(shifted)


@pytest.mark.parametrize("seed", range(4))
def test_land_without_positions_does_not_hide_where_a_block_lies(seed: int) -> None:
    whole = bent(seed)
    latitude, longitude = whole.latitude.copy(), whole.longitude.copy()
    latitude[:3, :4] = longitude[:3, :4] = 0.0
    mended, count = Geometry(latitude, longitude).mended()
    assert count == 12
    part, _ = Geometry(latitude[1:8, 1:9], longitude[1:8, 1:9]).mended()
    rows, columns = mended.cells(part)
    assert rows[0] == columns[0] == 1
    np.testing.assert_array_equal(mended.latitude[3:], whole.latitude[3:])


def test_a_grid_round_the_globe_closes_and_a_block_may_cross_its_seam() -> None:
    """Tripolar grids begin anywhere: the last column has the first for its neighbour."""
    j, i = np.meshgrid(np.arange(8.0), np.arange(36.0), indexing="ij")
    globe = Geometry(-40 + 5 * j + np.sin(np.radians(i * 10)), 73 + 10 * i)
    assert globe.wraps
    assert not bent(0).wraps
    _, columns = globe.cells(globe.part(slice(2, 6), np.arange(33, 39) % 36))
    assert columns.tolist() == [33, 34, 35, 0, 1, 2]
    row, column = globe.fractional(*globe.at(np.array([3.0]), np.array([35.5])))
    assert (row[0], column[0]) == pytest.approx((3.0, 35.5), abs=5e-3)


def test_the_plane_around_the_middle_keeps_areas() -> None:
    geometry = bent(3)
    north, east = geometry.plane
    flat = np.abs(
        np.gradient(east, axis=1) * np.gradient(north, axis=0) - np.gradient(east, axis=0) * np.gradient(north, axis=1)
    )
    np.testing.assert_allclose(flat, geometry.area, rtol=5e-3)

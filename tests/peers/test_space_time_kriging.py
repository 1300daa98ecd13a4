"""Space-time kriging by leaves: the dense exact posterior, honoured observations, symmetries, members that agree with it."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from driftfield.gaussian.local_kriging import Scattered, solve_leaves
from driftfield.gaussian.neighbours import Neighbourhood, leaves
from driftfield.gaussian.space_time_covariance import SHAPES, Component, Places, SpaceTimeCovariance

LAT, LON = (a.ravel() for a in np.meshgrid(np.arange(36.0, 38.0, 0.4), np.arange(-4.0, -1.0, 0.5), indexing="ij"))
PLACES = Places(LAT, LON, np.zeros(LAT.size), 0.3 * np.sin(LAT + LON))
DAYS = np.array([100.0, 101.0, 103.5])
COVARIANCE = SpaceTimeCovariance(
    (Component(0.6, 150.0, 90.0, 2.0, 1.0, 1.5, 0.5), Component(0.35, 60.0, 60.0, 1.0, 1.0, 1.0, 1.5)), nugget=0.05
)


def sample(seed: int, share: float = 0.4, noise: float = 0.0) -> Scattered:
    rng = np.random.default_rng(seed)
    t, c = np.nonzero(rng.random((DAYS.size, LAT.size)) < share)
    return Scattered(t, c, DAYS[t], rng.standard_normal((t.size, 1)), np.full(t.size, noise))


def covariance_matrix(covariance: SpaceTimeCovariance, cells: np.ndarray, days: np.ndarray) -> np.ndarray:
    """Term by term, with distances from differences."""
    total = np.zeros((cells.size, cells.size))
    for component, phi in zip(covariance.components, covariance.embed(PLACES[cells], days), strict=True):
        d = np.sqrt(((phi[:, None] - phi[None]) ** 2).sum(-1))
        if component.shape == 0.5:
            total += component.share * np.exp(-d)
        elif component.shape == 1.5:
            total += component.share * (1 + np.sqrt(3) * d) * np.exp(-np.sqrt(3) * d)
        elif component.shape == 2.5:
            total += component.share * (1 + np.sqrt(5) * d + 5 / 3 * d**2) * np.exp(-np.sqrt(5) * d)
        else:
            total += component.share * np.exp(-0.5 * d**2)
    return total


def dense(covariance: SpaceTimeCovariance, seen: Scattered, day: float) -> tuple[np.ndarray, np.ndarray]:
    """The exact posterior at all cells on one day."""
    cells = np.concatenate([seen.cell, np.arange(LAT.size)])
    days = np.concatenate([seen.day, np.full(LAT.size, day)])
    full = covariance_matrix(covariance, cells, days)
    full += covariance.nugget * ((cells[:, None] == cells[None]) & (days[:, None] == days[None]))
    n = len(seen)
    gain = np.linalg.solve(full[:n, :n] + np.diag(seen.noise), full[:n, n:])
    return gain.T @ seen.innovations[:, 0], np.diag(full[n:, n:] - full[n:, :n] @ gain)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("noise", [0.0, 0.3])
def test_all_observations_as_neighbours_give_the_exact_posterior(shape: float, noise: float) -> None:
    first, second = COVARIANCE.components
    covariance = replace(COVARIANCE, components=(replace(first, shape=shape), second))
    seen = sample(0, noise=noise)
    groups = leaves(covariance.embed(PLACES, np.zeros(LAT.size))[-1], 7)
    for t, day in enumerate(DAYS):
        increments, variance = solve_leaves(covariance, seen, PLACES, groups, time=t, day=day, most=500)
        mean, exact = dense(covariance, seen, day)
        np.testing.assert_allclose(increments[:, 0], mean, atol=1e-5)
        np.testing.assert_allclose(variance, exact, atol=1e-6)


def test_exact_observations_are_honoured_however_few_neighbours_there_are() -> None:
    seen = sample(1, share=0.8)
    groups = leaves(np.stack([LAT, LON], axis=1), 6)
    increments, variance = solve_leaves(COVARIANCE, seen, PLACES, groups, time=1, day=DAYS[1], most=8)
    now = seen.time == 1
    np.testing.assert_allclose(increments[seen.cell[now], 0], seen.innovations[now, 0], atol=1e-5)
    assert variance[seen.cell[now]].max() < 1e-6


@pytest.mark.parametrize("most", [8, 40, 500])
def test_no_observation_makes_less_certain(most: int) -> None:
    seen = sample(2, noise=0.1)
    _, variance = solve_leaves(COVARIANCE, seen, PLACES, leaves(LAT[:, None], 5), time=0, day=DAYS[0], most=most)
    assert (variance <= COVARIANCE.variance + 1e-9).all()
    assert (variance > 0).all()


def test_time_has_no_direction_and_no_origin() -> None:
    seen, groups = sample(3), [np.arange(LAT.size)]
    forward, _ = solve_leaves(COVARIANCE, seen, PLACES, groups, time=1, day=DAYS[1], most=500)
    mirrored = replace(seen, day=-seen.day + 7.0)
    backward, _ = solve_leaves(COVARIANCE, mirrored, PLACES, groups, time=1, day=7.0 - DAYS[1], most=500)
    np.testing.assert_allclose(forward, backward, atol=1e-5)


@pytest.mark.parametrize("zonal", [150.0, 60.0])
def test_longitude_has_no_origin(zonal: float) -> None:
    first, second = COVARIANCE.components
    covariance = replace(COVARIANCE, components=(replace(first, zonal=zonal, middle=37.0), second))
    moved = replace(PLACES, lon=PLACES.lon + 77.0)
    one, two = (
        solve_leaves(covariance, sample(4), places, [np.arange(LAT.size)], time=0, day=DAYS[0], most=500)
        for places in (PLACES, moved)
    )
    np.testing.assert_allclose(one[0], two[0], atol=1e-5)
    np.testing.assert_allclose(one[1], two[1], atol=1e-6)


@pytest.mark.parametrize(("zonal", "meridional"), [(200.0, 80.0), (80.0, 200.0), (120.0, 120.0)])
def test_one_length_to_the_east_and_one_to_the_north(zonal: float, meridional: float) -> None:
    component = Component(1.0, zonal, meridional, 2.0, middle=45.0)
    east = zonal / (6371.0 * np.cos(np.radians(45.0)))
    north = meridional / 6371.0
    lat = 45.0 + np.degrees([0.0, 0.0, 0.5 * north, -0.5 * north])
    lon = 10.0 + np.degrees([-0.5 * east, 0.5 * east, 0.0, 0.0])
    phi = component.embed(Places(lat, lon, np.zeros(4), np.zeros(4)))
    assert np.linalg.norm(phi[0] - phi[1]) == pytest.approx(1.0, abs=0.01)
    assert np.linalg.norm(phi[2] - phi[3]) == pytest.approx(1.0, abs=0.01)


def test_longitude_closes() -> None:
    component = Component(1.0, 900.0, 600.0, 2.0)
    phi = component.embed(Places(np.zeros(2), np.array([0.0, 360.0]), np.zeros(2), np.zeros(2)))
    np.testing.assert_allclose(phi[0], phi[1], atol=1e-9)


@pytest.mark.parametrize("shape", SHAPES)
def test_draws_have_the_covariance_of_the_prior(shape: float) -> None:
    covariance = SpaceTimeCovariance((Component(1.0, 150.0, 90.0, 2.0, 1.0, 1.5, shape),), nugget=0.0)
    rng = np.random.default_rng(5)
    cells = np.array([0, 1, 6, 20])
    draws = np.stack([covariance.draw(PLACES[cells], DAYS, rng, waves=64).ravel() for _ in range(3000)])
    expected = covariance_matrix(covariance, np.tile(cells, 3), np.repeat(DAYS, 4))
    np.testing.assert_allclose(draws.T @ draws / len(draws), expected, atol=0.1)
    np.testing.assert_allclose(np.diag(draws.T @ draws / len(draws)), 1.0, atol=0.1)


def test_a_draw_at_one_time_does_not_depend_on_the_others() -> None:
    whole = COVARIANCE.draw(PLACES, DAYS, np.random.default_rng(6))
    alone = COVARIANCE.draw(PLACES, DAYS[1:2], np.random.default_rng(6))
    np.testing.assert_allclose(whole[1:2], alone, atol=1e-5)


def test_members_have_mean_and_spread_of_the_posterior() -> None:
    seen, rng = sample(7, noise=0.2), np.random.default_rng(8)
    draws = np.stack([COVARIANCE.draw(PLACES, DAYS, rng, waves=128) for _ in range(1500)])
    draws += np.sqrt(COVARIANCE.nugget) * rng.standard_normal(draws.shape)
    errors = np.sqrt(0.2) * rng.standard_normal((1500, len(seen)))
    of_members = seen.innovations[:, 0] - draws[:, seen.time, seen.cell] - errors
    both = replace(seen, innovations=np.concatenate([seen.innovations, of_members.T], axis=1))
    groups = leaves(np.stack([LAT, LON], axis=1), 6)
    increments, variance = solve_leaves(COVARIANCE, both, PLACES, groups, time=0, day=DAYS[0], most=12)
    members = draws[:, 0] + increments[:, 1:].T
    sd = np.sqrt(variance)
    assert np.abs((members.mean(axis=0) - increments[:, 0]) / sd).max() < 4 / np.sqrt(1500)
    assert np.abs(members.std(axis=0) / sd - 1).max() < 0.1


@pytest.mark.parametrize(("count", "size"), [(1, 4), (16, 16), (17, 16), (1000, 16)])
def test_leaves_hold_every_point_once(count: int, size: int) -> None:
    groups = leaves(np.random.default_rng(9).standard_normal((count, 3)), size)
    assert max(g.size for g in groups) <= size
    np.testing.assert_array_equal(np.sort(np.concatenate(groups)), np.arange(count))


def test_neighbours_are_near_include_their_own_and_come_once() -> None:
    rng = np.random.default_rng(10)
    points = rng.standard_normal((3000, 2))
    own = np.array([[0, -1, 5], [7, 8, -1]])
    found = Neighbourhood([points, points], 40).find([np.zeros((2, 2))] * 2, own)
    for row, mine in zip(found, own, strict=True):
        kept = row[row >= 0]
        assert np.unique(kept).size == kept.size
        assert set(mine[mine >= 0]) <= set(kept)
    nearest = np.argsort((points**2).sum(axis=1))[:10]
    assert set(nearest) <= set(found[0])
    # the thinned ones lie farther out than the same number of nearest ones would
    radius = np.sqrt((points**2).sum(axis=1))
    assert radius[found[0][found[0] >= 0]].max() > 1.5 * radius[nearest].max()


def test_the_nearest_are_the_same_with_a_tree_and_without(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(12)
    points, centres = 50 + rng.standard_normal((2500, 7)), 50 + rng.standard_normal((9, 7))
    points[:, 3], centres[:, 3] = 7.0, rng.standard_normal(9)
    alone = np.full((9, 1), -1)
    by_all = Neighbourhood([points, points], 60).find([centres, centres], alone)
    monkeypatch.setattr("driftfield.gaussian.neighbours._FEW_PAIRS", 0)
    by_tree = Neighbourhood([points, points], 60).find([centres, centres], alone)
    np.testing.assert_array_equal(by_all, by_tree)


def test_nothing_seen_leaves_the_prior() -> None:
    none = sample(11, share=0.0)
    increments, variance = solve_leaves(COVARIANCE, none, PLACES, [np.arange(4)], time=0, day=DAYS[0], most=10)
    assert not increments.any()
    np.testing.assert_allclose(variance, COVARIANCE.variance)
    assert torch.is_tensor(COVARIANCE.between(*[[torch.zeros(1, 2, 7).double()] * 2] * 2))

"""Leaves that overlap: weights of one in sum, nothing that jumps, what was seen stays, and no other field than before."""

import numpy as np
import pytest
import torch

from driftfield.gaussian.local_kriging import Scattered, solve_leaves
from driftfield.gaussian.neighbours import leaves
from driftfield.gaussian.shared_leaves import NEAREST, shares
from driftfield.gaussian.space_time_covariance import Component, Places, SpaceTimeCovariance
from driftfield.gaussian.tiled_leaves import tiled_leaves

LAT, LON = (
    axis.ravel() for axis in np.meshgrid(np.arange(36.0, 40.0, 0.125), np.arange(0.0, 6.0, 0.125), indexing="ij")
)
SHAPE = (32, 48)
PLACES = Places(LAT, LON, np.zeros(LAT.size), np.zeros(LAT.size))
COVARIANCE = SpaceTimeCovariance(
    (Component(0.5, 300.0, 300.0, 40.0, shape=1.5), Component(0.48, 80.0, 80.0, 12.0, shape=1.5)), 0.02
)
EMBEDDED = COVARIANCE.embed(PLACES, np.zeros(LAT.size))[-1]
GROUPS = leaves(EMBEDDED, 16)


def tracks(noise: float, columns: int = 1) -> Scattered:
    """Ten straight passes within ten days, of a smooth field with errors."""
    rng = np.random.default_rng(3)
    cell, day = [], []
    for number in range(10):
        along = np.linspace(0, 30, 32) + rng.integers(0, 17)
        column = np.round(47 - along if number % 2 else along).astype(int).clip(0, 47)
        cell.append(np.arange(32) * 48 + column)
        day.append(np.full(32, float(number - 5)))
    where, when = np.concatenate(cell), np.concatenate(day)
    value = np.sin(LAT[where] * 2) * np.cos(LON[where]) + 0.05 * when + noise * rng.standard_normal(where.size)
    innovations = value[:, None] + rng.standard_normal((where.size, columns)) * (np.arange(columns) > 0)
    return Scattered((when + 5).astype(int), where, when, innovations.astype(np.float32), np.full(where.size, noise**2))


def solved(seen: Scattered, most: int, *, overlapping: bool) -> tuple[np.ndarray, np.ndarray]:
    return solve_leaves(COVARIANCE, seen, PLACES, GROUPS, time=5, day=0.0, most=most, overlapping=overlapping)


def test_weights_of_a_cell_sum_to_one_and_no_weight_jumps() -> None:
    centres = np.stack([EMBEDDED[group].mean(axis=0) for group in GROUPS])
    parts = shares(EMBEDDED, GROUPS, centres, np.zeros(LAT.size, dtype=bool))
    weight = np.zeros((len(GROUPS), LAT.size))
    for k, (cells, how) in enumerate(zip(parts.cells, parts.weights, strict=True)):
        weight[k, cells] = how
    np.testing.assert_allclose(weight.sum(axis=0), 1.0)
    assert ((weight > 0).sum(axis=0) <= NEAREST).all()
    # on a line a hundred times as fine as the grid
    line = np.linspace(EMBEDDED[16 * 48], EMBEDDED[16 * 48 + 47], 4700)
    fine = shares(
        line, [np.arange(4700)] + [np.zeros(0, dtype=int)] * (len(GROUPS) - 1), centres, np.zeros(4700, dtype=bool)
    )
    along = np.zeros((len(GROUPS), 4700))
    for k, (cells, how) in enumerate(zip(fine.cells, fine.weights, strict=True)):
        along[k, cells] = how
    assert np.abs(np.diff(along, axis=1)).max() < 0.02
    assert along.max() > 0.5


def test_cells_that_are_alone_keep_their_leaf() -> None:
    alone = np.zeros(LAT.size, dtype=bool)
    alone[::7] = True
    centres = np.stack([EMBEDDED[group].mean(axis=0) for group in GROUPS])
    parts = shares(EMBEDDED, GROUPS, centres, alone)
    for group, cells, how in zip(GROUPS, parts.cells, parts.weights, strict=True):
        own = group[alone[group]]
        assert np.isin(own, cells).all()
        np.testing.assert_array_equal(how[np.isin(cells, own)], 1.0)
        assert np.isin(cells[alone[cells]], own).all()
    one_leaf = shares(EMBEDDED, [np.arange(LAT.size)], centres[:1], alone)
    np.testing.assert_array_equal(one_leaf.weights[0], 1.0)


@pytest.mark.parametrize("noise", [0.05, 0.3])
def test_nothing_jumps_where_a_leaf_ends_and_the_field_is_nearer_to_that_of_all_observations(noise: float) -> None:
    seen = tracks(noise)
    exact, _ = solve_leaves(COVARIANCE, seen, PLACES, [np.arange(LAT.size)], time=5, day=0.0, most=10_000)
    apart, _ = solved(seen, 60, overlapping=False)
    together, variance = solved(seen, 60, overlapping=True)
    off = [(field - exact)[:, 0].reshape(SHAPE) for field in (apart, together)]
    jumps = [np.quantile(np.abs(np.diff(error, axis=1)), 0.99) for error in off]
    assert jumps[1] < 0.6 * jumps[0]
    rms = [np.sqrt((error**2).mean()) for error in off]
    assert rms[1] < rms[0]
    assert (variance > 0).all()
    assert (variance < COVARIANCE.variance + 1e-9).all()


def clouded(seed: int) -> tuple[Scattered, np.ndarray]:
    """A draw of the prior at one time, seen between round clouds, and the cells beneath them."""
    rng = np.random.default_rng(seed)
    middle, radius = rng.uniform((36, 0), (40, 6), (14, 2)), rng.uniform(0.15, 0.7, 14)
    away = np.hypot(LAT[:, None] - middle[:, 0], LON[:, None] - middle[:, 1])
    hidden = (away < radius).any(axis=1) | (rng.uniform(size=LAT.size) < 0.15)
    phi = [torch.from_numpy(part)[None] for part in COVARIANCE.embed(PLACES, np.zeros(LAT.size))]
    root = np.linalg.cholesky(COVARIANCE.between(phi, phi)[0].numpy() + 1e-8 * np.eye(LAT.size))
    value = root @ rng.standard_normal(LAT.size)
    where = np.flatnonzero(~hidden)
    none = np.zeros(where.size)
    return Scattered(none.astype(int), where, none, value[where, None].astype(np.float32), none + 0.01), np.flatnonzero(
        hidden
    )


def test_leaves_of_scattered_gaps_do_not_hand_a_cell_the_observations_of_another_gap() -> None:
    """Without `trust` the error to the solution with all observations is .89 of that of single leaves, with it .69."""
    missed = np.zeros(2)
    for seed in range(3):
        seen, cells = clouded(seed)
        groups = tiled_leaves(PLACES, cells, EMBEDDED, spacing=120.0)
        exact, apart, together = (
            solve_leaves(COVARIANCE, seen, PLACES, leaves_, time=0, day=0.0, most=most, overlapping=overlapping)[0][
                cells, 0
            ]
            for leaves_, most, overlapping in (([cells], 10_000, False), (groups, 48, False), (groups, 48, True))
        )
        missed += [np.sqrt(((field - exact) ** 2).mean()) for field in (apart, together)]
    assert missed[1] < 0.8 * missed[0]


def test_where_every_leaf_knows_all_observations_nothing_changes() -> None:
    seen = tracks(0.1)
    for apart, together in zip(
        solved(seen, 10_000, overlapping=False), solved(seen, 10_000, overlapping=True), strict=True
    ):
        np.testing.assert_array_equal(apart, together)


def test_an_exact_observation_is_its_own_answer_and_members_are_linear() -> None:
    seen = tracks(0.0, columns=3)
    increments, variance = solved(seen, 60, overlapping=True)
    now = seen.cell[seen.time == 5]
    np.testing.assert_allclose(increments[now], seen.innovations[seen.time == 5], atol=2e-4)
    assert variance[now].max() < 1e-4
    doubled = Scattered(seen.time, seen.cell, seen.day, 2 * seen.innovations - 1, seen.noise)
    ones = Scattered(seen.time, seen.cell, seen.day, np.ones_like(seen.innovations), seen.noise)
    np.testing.assert_allclose(
        solved(doubled, 60, overlapping=True)[0],
        2 * increments - solved(ones, 60, overlapping=True)[0],
        atol=1e-4,
    )

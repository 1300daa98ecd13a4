"""The covariance of vectors: positive definite, without divergence or curl where it says so, isotropic, and in its draws."""

import numpy as np
import pytest

from driftfield.gaussian.space_time_covariance import Places
from driftfield.gaussian.vector_covariance import KINDS, Frames, VectorCovariance, curves
from driftfield.gaussian.vector_kriging import SeenComponents, solve_vector_leaves
from driftfield.gaussian.vector_likelihood import fit_vector_covariance

RNG = np.random.default_rng(0)
FLAT = np.array([[6371.0, 0.0, 0.0]])


def places(count: int, *, lat: float = 38.0, degrees: float = 3.0, seed: int = 0) -> Places:
    rng = np.random.default_rng(seed)
    rows, columns = lat + degrees * rng.random(count), -5 + degrees * rng.random(count)
    return Places(rows, columns, np.zeros(count), np.zeros(count))


def dense(covariance: VectorCovariance, frames: Frames) -> np.ndarray:
    sides = frames.seen_from(frames.place.mean(axis=0))
    return covariance.between(sides, sides, frames.day[:, None] - frames.day[None])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("share", "ratio"), [(0.0, 1.0), (0.3, 0.5), (0.5, 1.0), (1.0, 2.0)])
def test_it_is_positive_definite(kind: str, share: float, ratio: float) -> None:
    where = places(60)
    both = where[np.tile(np.arange(60), 2)]
    days = np.tile(RNG.uniform(0, 20, 60), 2)
    covariance = VectorCovariance(80.0, ratio, share, 5.0, 0.0, 2.0, kind)
    matrix = dense(covariance, Frames.of(both, np.arange(120) >= 60, days))
    np.testing.assert_allclose(matrix, matrix.T, atol=1e-12)
    np.testing.assert_allclose(np.diag(matrix), 2.0)
    assert np.linalg.eigvalsh(matrix).min() > -1e-9


@pytest.mark.parametrize("kind", KINDS)
def test_the_two_parts_are_derivatives_of_one_curve(kind: str) -> None:
    """g = f + r f', which is what makes the first part free of divergence and the second of curl."""
    x = np.linspace(0.05, 4.0, 50)
    _, excess = curves(kind, x)
    slope = (curves(kind, x + 1e-5)[0] - curves(kind, x - 1e-5)[0]) / 2e-5
    np.testing.assert_allclose(-excess, x * slope, atol=1e-8)
    assert curves(kind, np.array(0.0))[0] == 1


@pytest.mark.parametrize("kind", ["smooth", "gaussian"])
def test_a_streamfunction_has_no_divergence_and_a_potential_no_curl(kind: str) -> None:
    """Of every column of K as a field of the first place, by central differences."""
    step, at = 1e-3, np.array([37.0, -21.0])

    def derivative(covariance: VectorCovariance, axis: int) -> np.ndarray:
        shift = step * np.eye(2)[axis]
        return (covariance.tensor(at + shift) - covariance.tensor(at - shift)) / (2 * step)

    for share, divergent in ((0.0, False), (1.0, True)):
        covariance = VectorCovariance(40.0, 1.0, share, kind=kind)
        x, y = derivative(covariance, 0), derivative(covariance, 1)
        divergence, curl = x[0] + y[1], x[1] - y[0]
        gone, stays = (curl, divergence) if divergent else (divergence, curl)
        np.testing.assert_allclose(gone, 0.0, atol=1e-8)
        assert np.abs(stays).max() > 1e-4


def test_with_half_a_share_and_equal_lengths_the_components_decouple() -> None:
    offsets = RNG.uniform(-100, 100, (30, 2))
    tensor = VectorCovariance(50.0, 1.0, 0.5).tensor(offsets)
    np.testing.assert_allclose(tensor[:, 0, 1], 0.0, atol=1e-12)
    np.testing.assert_allclose(tensor[:, 0, 0], tensor[:, 1, 1])
    assert np.abs(VectorCovariance(50.0, 1.0, 0.0).tensor(offsets)[:, 0, 1]).max() > 0.1


def test_turned_offsets_turn_the_tensor() -> None:
    angle = 0.7
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    offsets = RNG.uniform(-100, 100, (30, 2))
    covariance = VectorCovariance(50.0, 0.6, 0.2)
    expected = turn @ covariance.tensor(offsets) @ turn.T
    np.testing.assert_allclose(covariance.tensor(offsets @ turn.T), expected, atol=1e-12)


def test_it_does_not_depend_on_where_north_is() -> None:
    """At 80 north, where the eastward directions of neighbours differ, as at the equator: the sphere has no axis."""
    here, covariance = places(40, lat=0.0, degrees=4.0), VectorCovariance(120.0, 0.8, 0.2)
    frames = Frames.of(here, np.arange(40) % 2 == 0, np.zeros(40))
    turn = np.linalg.qr(np.random.default_rng(3).standard_normal((3, 3)))[0]
    turn *= np.linalg.det(turn)
    turned = Frames(frames.place @ turn.T, frames.axis @ turn.T, frames.day)
    np.testing.assert_allclose(dense(covariance, turned), dense(covariance, frames), atol=1e-10)


@pytest.mark.parametrize(("kind", "share", "ratio"), [("smooth", 0.0, 1.0), ("gaussian", 0.3, 0.5)])
def test_draws_have_the_covariance(kind: str, share: float, ratio: float) -> None:
    where = places(9, lat=55.0)
    covariance = VectorCovariance(90.0, ratio, share, 4.0, 0.0, 1.5, kind)
    days = np.array([0.0, 3.0])
    rng = np.random.default_rng(5)
    draws = np.stack([covariance.draw(where, days, rng, waves=64).reshape(-1) for _ in range(4000)])
    northward, time, cell = (a.ravel() for a in np.meshgrid([0, 1], [0, 1], np.arange(9), indexing="ij"))
    expected = dense(covariance, Frames.of(where[cell], northward == 1, days[time]))
    np.testing.assert_allclose(draws.T @ draws / len(draws), expected, atol=0.12)


def observed(where: Places, days: np.ndarray, *, members: int = 0, seed: int = 2) -> SeenComponents:
    rng = np.random.default_rng(seed)
    values = rng.standard_normal((2, days.size, len(where)))
    values[rng.random(values.shape) < 0.4] = np.nan
    extra = rng.standard_normal((2, members, *values.shape))
    return SeenComponents.of(values, np.full(values.shape, 0.05), days, extra[0], extra[1])


def test_with_all_observations_it_is_the_exact_posterior() -> None:
    where, days = places(14), np.array([0.0, 2.0, 5.0])
    seen = observed(where, days)
    covariance = VectorCovariance(70.0, 0.7, 0.2, 3.0, 0.02, 1.3)
    frames = Frames.of(where[seen.cell], seen.northward, seen.day)
    middle = where.sphere.mean(axis=0)
    targets = Frames.of(where, np.ones(14, dtype=bool), np.full(14, 2.0))
    left, right = frames.seen_from(middle), targets.seen_from(middle)
    matrix = covariance.between(left, left, seen.day[:, None] - seen.day[None])
    matrix += np.diag(0.02 + seen.noise)
    same = (seen.northward & (seen.time == 1))[:, None] & (seen.cell[:, None] == np.arange(14))
    cross = covariance.between(left, right, seen.day[:, None] - 2.0) + 0.02 * same
    weights = np.linalg.solve(matrix, cross)
    found = solve_vector_leaves(covariance, seen, where, [np.arange(14)], northward=True, time=1, day=2.0, most=10_000)
    np.testing.assert_allclose(found[0][:, 0], weights.T @ seen.innovations[:, 0], atol=1e-5)
    np.testing.assert_allclose(found[1], 1.32 - (weights * cross).sum(axis=0), atol=1e-5)


def test_a_turned_vector_field_gives_the_turned_answer() -> None:
    """Both components seen at the same places: turning what was seen turns the answer."""
    cells = np.arange(20)
    angles = np.linspace(0, 2 * np.pi, 20, endpoint=False)
    ring = Places(1e-2 * np.sin(angles), 1e-2 * np.cos(angles), np.zeros(20), np.zeros(20))
    values = np.random.default_rng(8).standard_normal((2, 20))
    steps, turn = 3, 2 * np.pi * 3 / 20
    matrix = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    turned = matrix @ np.roll(values, steps, axis=1)
    covariance = VectorCovariance(0.8, 0.6, 0.1, nugget=1e-3)

    def answer(field: np.ndarray) -> np.ndarray:
        shown = (
            np.where(cells % 5 < 3, field, np.nan)
            if field is values
            else np.where((cells - steps) % 5 < 3, field, np.nan)
        )
        none = np.zeros((0, 2, 1, 20))
        seen = SeenComponents.of(shown[:, None], np.zeros((2, 1, 20)), np.zeros(1), none, none)
        parts = [
            solve_vector_leaves(covariance, seen, ring, [cells], northward=n, time=0, day=0.0, most=1000)[0][:, 0]
            for n in (False, True)
        ]
        return np.stack(parts)

    np.testing.assert_allclose(answer(turned), matrix @ np.roll(answer(values), steps, axis=1), atol=1e-5)


@pytest.mark.parametrize("share", [0.02, 0.5])
def test_the_share_of_the_divergent_part_is_found(share: float) -> None:
    side = np.linspace(0, 4, 24)
    lat, lon = (a.ravel() for a in np.meshgrid(36 + side, side, indexing="ij"))
    grid = Places(lat, lon, np.zeros(lat.size), np.zeros(lat.size))
    truth = VectorCovariance(40.0, 1.0, share, 4.0, 0.0, 1.0, "smooth")
    days = np.arange(6.0)
    values = truth.draw(grid, days, np.random.default_rng(4)).astype(np.float64)
    values[np.random.default_rng(1).random(values.shape) < 0.5] = np.nan
    none = np.zeros((0, *values.shape))
    fitted = fit_vector_covariance(SeenComponents.of(values, np.zeros(values.shape), days, none, none), grid)
    assert fitted.share == pytest.approx(share, abs=0.15)
    assert fitted.reach_km == pytest.approx(truth.reach_km, rel=0.4)
    assert fitted.days == pytest.approx(4.0, rel=0.5)
    assert fitted.variance == pytest.approx(1.0, abs=0.5)

"""Random fields, worlds and coasts: the covariance is the one that is stated, and chance has one source."""

import numpy as np
import pytest

from driftfield.gaussian.random_fields.kernels import matern_correlation
from driftfield.worlds.random_coasts import draw_domain
from driftfield.worlds.random_fields import MaternFields, draw_fields, draw_frames, grid_covariance
from driftfield.worlds.random_worlds import RandomWorlds

MANY = 1500


def repeated(matern: MaternFields, times: int) -> MaternFields:
    return MaternFields(
        *(np.repeat(part, times) for part in (matern.length, matern.smoothness, matern.stretch, matern.angle))
    )


@pytest.mark.parametrize(("length", "smoothness"), [(3.0, 1.5), (5.0, 0.5), (4.0, 4.0)])
def test_the_grid_covariance_is_the_matern_formula(length: float, smoothness: float) -> None:
    table = grid_covariance(MaternFields.single(length, smoothness), (64, 64))[0]
    lags = np.arange(1, 20)
    expected = matern_correlation(lags, length, smoothness)
    # a rough field has variance at scales below a cell, which a grid has not
    np.testing.assert_allclose(table[lags, 0], expected, atol=0.06 if smoothness < 1 else 0.006)
    np.testing.assert_allclose(table[0, lags], expected, atol=0.06 if smoothness < 1 else 0.006)
    assert table[0, 0] == pytest.approx(1)


@pytest.mark.parametrize("periodic", [False, True])
def test_the_sample_covariance_is_that_of_the_grid(periodic: bool) -> None:
    matern = MaternFields.single(3.0, 1.0, stretch=1.6, angle=0.5)
    fields = draw_fields(np.random.default_rng(0), repeated(matern, MANY), (12, 14), periodic=periodic)
    table = grid_covariance(matern, (12, 14), periodic=periodic)[0]
    for i, j in ((0, 0), (1, 0), (0, 1), (3, 2), (5, 13)):
        sample = float((fields[:, 0, 0] * fields[:, i, j]).mean())
        assert sample == pytest.approx(table[i, j], abs=4 / np.sqrt(MANY))
    negative = float((fields[:, 3, 0] * fields[:, 0, 2]).mean())
    assert negative == pytest.approx(table[-3, 2], abs=4 / np.sqrt(MANY))
    assert abs(table[3, 2] - table[-3, 2]) > 0.05  # turned against the axes
    assert (abs(table[0, 13] - table[0, 1]) < 1e-6) == periodic


def test_frames_decay_and_are_carried_along() -> None:
    matern, count = MaternFields.single(2.5, 1.5), 1200
    decay, move = np.full(count, 0.8), np.tile([1.0, -2.0], (count, 1))
    frames = draw_frames(
        np.random.default_rng(1), repeated(matern, count), (8, 8), decay=decay, displacement=move, count=3
    )
    table = grid_covariance(matern, (8, 8))[0]
    assert frames.shape == (3, count, 8, 8)
    for later in (1, 2):
        i, j = 2 + later, 5 - 2 * later
        carried = float((frames[0][:, 2, 5] * frames[later][:, i, j]).mean())
        assert carried == pytest.approx(0.8**later, abs=4 / np.sqrt(count))
        stayed = float((frames[0][:, 2, 5] * frames[later][:, 2, 5]).mean())
        assert stayed == pytest.approx(0.8**later * table[later, 2 * later], abs=4 / np.sqrt(count))
    assert float(frames[2].var()) == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("shape", [(16, 16), (33, 20), (1, 40), (48, 17)])
@pytest.mark.parametrize("periodic", [False, True])
def test_worlds_are_normalised_and_a_function_of_the_seed(shape: tuple[int, int], periodic: bool) -> None:
    everything = RandomWorlds(*[0.5] * 8, shaped=1.0)
    worlds = [everything.draw(np.random.default_rng(seed), 12, shape, periodic=periodic) for seed in (3, 3, 4)]
    assert worlds[0].shape == (12, *shape)
    assert worlds[0].dtype == np.float32
    np.testing.assert_array_equal(worlds[0], worlds[1])
    assert not np.allclose(worlds[0], worlds[2])
    for field in worlds[0]:
        assert abs(float(field.mean())) < 1e-4
        assert float(field.std()) == pytest.approx(1, abs=1e-3) or not field.any()


def test_periodic_worlds_meet_themselves() -> None:
    fields = RandomWorlds(fronts=1, eddies=1, warp=0.5, speckle=0, shaped=0).draw(
        np.random.default_rng(2), 40, (32, 48), periodic=True
    )
    seam = np.abs(fields[:, :, 0] - fields[:, :, -1]).mean()
    inside = np.abs(np.diff(fields, axis=2)).mean()
    assert seam < 1.3 * inside


def test_every_ingredient_changes_the_field() -> None:
    plain = dict.fromkeys(
        ("second", "trend", "fronts", "eddies", "speckle", "uneven", "patchwork", "warp", "shaped"), 0.0
    )
    base = RandomWorlds(**plain).draw(np.random.default_rng(6), 8, (24, 24))
    for name in plain:
        other = RandomWorlds(**plain | {name: 1.0}).draw(np.random.default_rng(6), 8, (24, 24))
        assert np.isfinite(other).all()
        assert not np.allclose(base, other), name


def test_domains_are_seeded_and_large_enough() -> None:
    rng, again = np.random.default_rng(8), np.random.default_rng(8)
    shares = []
    for _ in range(200):
        domain = draw_domain(rng, (24, 30))
        np.testing.assert_array_equal(domain, draw_domain(again, (24, 30)))
        assert domain.dtype == bool
        shares.append(domain.mean())
    assert min(shares) >= 0.1
    assert 0.25 < np.mean(np.array(shares) == 1) < 0.6
    assert np.mean(np.array(shares) < 0.7) > 0.15

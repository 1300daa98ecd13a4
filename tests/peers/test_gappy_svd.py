"""A matrix of low rank is found again; more gaps, other units and an exchange of its sides change nothing else."""

import numpy as np
import pytest

from driftfield.errors import ConfigurationError, DataError
from driftfield.gaussian.gappy_svd import diffusion_filter, dineof, random_points


def low_rank(rank: int, *, noise: float = 0.0, space: int = 300, times: int = 30, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    strength = np.linspace(3.0, 1.5, rank)
    modes = (rng.standard_normal((space, rank)) * strength) @ rng.standard_normal((rank, times))
    return modes + noise * rng.standard_normal((space, times))


def gaps(shape: tuple[int, int], share: float, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).random(shape) > share


def test_a_low_rank_matrix_is_recovered() -> None:
    matrix = low_rank(2)
    seen = gaps(matrix.shape, 0.3)
    # the mean that is subtracted is one mode more
    result = dineof(np.where(seen, matrix, np.nan), max_rank=3, tolerance=1e-7, max_iterations=1000)
    assert result.rank == 3
    np.testing.assert_allclose(result.filled, matrix, atol=1e-4 * matrix.std())
    assert result.cv_curve[-1] < 1e-4 * matrix.std()


def test_the_curve_finds_the_true_rank() -> None:
    matrix = low_rank(4, noise=0.5)
    seen = gaps(matrix.shape, 0.4)
    held_out = random_points(seen, np.random.default_rng(5))
    result = dineof(np.where(seen, matrix, np.nan), max_rank=12, held_out=held_out)
    assert result.rank == int(np.argmin(result.cv_curve)) + 1 == 4
    errors = (result.unaided - matrix)[held_out]
    np.testing.assert_allclose(np.sqrt(np.mean(errors**2)), result.cv_curve[3])
    hidden = np.sqrt(np.mean((result.filled - matrix)[~seen] ** 2))
    assert 0.5 < hidden < 0.65
    assert abs(result.cv_curve[3] / hidden - 1) < 0.2


def test_data_stay_and_gaps_have_no_say() -> None:
    matrix = low_rank(2, noise=0.2)
    seen = gaps(matrix.shape, 0.3)
    result = dineof(np.where(seen, matrix, np.nan))
    np.testing.assert_array_equal(result.filled[seen], matrix[seen])
    spoiled = dineof(np.where(seen, matrix, 1e6), seen)
    np.testing.assert_array_equal(spoiled.filled, result.filled)
    assert not np.array_equal(result.truncated[seen], matrix[seen])
    settled = (result.truncated - result.filled)[~seen]
    assert np.sqrt(np.mean(settled**2)) < 2e-3 * matrix.std()


def test_a_complete_matrix_has_its_own_modes() -> None:
    matrix = low_rank(3, noise=0.3)
    result = dineof(matrix, rank=5)
    u, s, vt = np.linalg.svd(matrix - matrix.mean(), full_matrices=False)
    np.testing.assert_allclose(result.S, s[:5])
    np.testing.assert_allclose(result.truncated - result.mean, (u[:, :5] * s[:5]) @ vt[:5], atol=1e-8)
    np.testing.assert_allclose(result.explained, 100 * s[:5] ** 2 / np.sum(s**2))
    assert result.cv_curve.size == 0


def test_units_and_sides_may_be_exchanged() -> None:
    matrix = low_rank(2, noise=0.2, space=40, times=25)
    seen = gaps(matrix.shape, 0.3)
    gappy = np.where(seen, matrix, np.nan)
    held_out = random_points(seen, np.random.default_rng(2))
    result = dineof(gappy, held_out=held_out)
    other = dineof(32 + 1.8 * gappy, held_out=held_out)
    np.testing.assert_allclose(other.filled, 32 + 1.8 * result.filled, atol=1e-6)
    turned = dineof(gappy.T, held_out=held_out.T)
    np.testing.assert_allclose(turned.filled, result.filled.T, atol=1e-12)
    np.testing.assert_allclose(np.abs(turned.U), np.abs(result.V), atol=1e-9)
    assert turned.held_out.shape == turned.unaided.shape == gappy.T.shape


def test_order_of_the_times_does_not_matter() -> None:
    matrix = low_rank(2, noise=0.2)
    seen = gaps(matrix.shape, 0.3)
    seen[:, ::3] = True
    order = np.random.default_rng(3).permutation(30)
    result = dineof(matrix, seen, rank=2)
    shuffled = dineof(matrix[:, order], seen[:, order], rank=2)
    np.testing.assert_allclose(shuffled.filled, result.filled[:, order], atol=1e-9)
    np.testing.assert_allclose(np.abs(shuffled.V), np.abs(result.V[order]), atol=1e-9)


def test_filter_smooths_and_keeps_what_is_the_same_at_all_times() -> None:
    times = np.array([0.0, 1.0, 2.0, 4.0, 5.0])
    smooth = diffusion_filter(times, strength=0.3, iterations=4)
    np.testing.assert_allclose(smooth.sum(axis=1), 1.0)
    assert (smooth >= 0).all()
    widths = np.diff([-0.5, 0.5, 1.5, 3.0, 4.5, 5.5])
    np.testing.assert_allclose(widths @ smooth, widths)  # nothing flows out through the ends
    np.testing.assert_array_equal(diffusion_filter(times, strength=0.0, iterations=4), np.eye(5))
    wave = np.array([1.0, -1.0, 1.0, -1.0, 1.0])
    assert np.abs(smooth @ wave).max() < 0.6


def test_float32_is_kept_and_nearly_as_exact() -> None:
    matrix = low_rank(2, noise=0.2)
    gappy = np.where(gaps(matrix.shape, 0.3), matrix, np.nan)
    single = dineof(gappy.astype(np.float32), rank=2)
    assert single.filled.dtype == np.float32
    np.testing.assert_allclose(single.filled, dineof(gappy, rank=2).filled, atol=1e-3)


def test_what_cannot_be_filled_is_refused() -> None:
    matrix = low_rank(2, space=20, times=10)
    with pytest.raises(DataError, match="No observed point is left"):
        dineof(np.full((20, 10), np.nan), rank=1)
    with pytest.raises(DataError, match="not finite"):
        dineof(np.where(gaps((20, 10), 0.5), matrix, np.inf), np.ones((20, 10), dtype=bool), rank=1)
    with pytest.raises(ConfigurationError, match="A rank of 11 was asked for: expected 1 to 10"):
        dineof(matrix, rank=11)
    with pytest.raises(ConfigurationError, match=r"'held_out' has shape \(3, 3\)"):
        dineof(matrix, held_out=np.zeros((3, 3), dtype=bool))
    with pytest.raises(ConfigurationError, match="held-out points were never observed"):
        dineof(matrix, np.zeros((20, 10), dtype=bool), held_out=np.ones((20, 10), dtype=bool))
    with pytest.raises(ConfigurationError, match=r"outside 0 to 0\.5"):
        diffusion_filter(np.arange(4.0), strength=0.6, iterations=1)
    with pytest.raises(ConfigurationError, match="do not ascend"):
        diffusion_filter(np.array([0.0, 2.0, 1.0]), strength=0.1, iterations=1)

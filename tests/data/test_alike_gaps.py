"""Blocks to validate with are as wide as the gaps of the record."""

import numpy as np
import pytest

from driftfield.data.masks.alike import AlikeGaps, distance_to_seen


def image_with_gap(width: int, shape: tuple[int, int] = (60, 80)) -> np.ndarray:
    """One date (1, lat, lon) with square gaps of one width."""
    seen = np.ones((1, *shape), dtype=bool)
    for row in range(5, shape[0] - width, 2 * width + 8):
        for column in range(5, shape[1] - width, 2 * width + 8):
            seen[0, row : row + width, column : column + width] = False
    return seen


def test_distance_is_zero_where_seen_and_wraps_where_the_circle_closes() -> None:
    seen = np.zeros((3, 10), dtype=bool)
    seen[1, 0] = True
    flat, round_ = distance_to_seen(seen, periodic=False), distance_to_seen(seen, periodic=True)
    assert flat[1, 0] == 0
    assert flat[1, 9] == pytest.approx(9)
    assert round_[1, 9] == pytest.approx(1)
    assert round_[1, 5] == pytest.approx(5)


def test_nothing_seen_is_as_far_as_the_grid_is_wide() -> None:
    assert (distance_to_seen(np.zeros((3, 4), dtype=bool), periodic=False) == 5).all()


@pytest.mark.parametrize("share", [0.1, 0.3])
def test_hides_the_share_of_what_is_seen_and_nothing_else(share: float) -> None:
    seen = image_with_gap(8)
    gaps = AlikeGaps.of(seen, np.ones(seen.shape[1:], dtype=bool), periodic=False, share=share)
    hidden = gaps.hide(seen, np.random.default_rng(0))
    assert not (hidden & ~seen).any()
    assert 0.6 * share < hidden.sum() / seen.sum() <= share + 1e-9


def test_wide_gaps_give_wide_blocks_and_speckles_give_speckles() -> None:
    domain = np.ones((60, 80), dtype=bool)

    def typical(seen: np.ndarray) -> float:
        distances = []
        for seed in range(4):
            gaps = AlikeGaps.of(seen, domain, periodic=False, seed=seed)
            hidden = gaps.hide(seen, np.random.default_rng(seed))
            distances.append(distance_to_seen(seen[0] & ~hidden[0], periodic=False)[hidden[0]])
        return float(np.mean(np.concatenate(distances)))

    speckles = np.random.default_rng(0).random((1, 60, 80)) > 0.3
    wide = image_with_gap(16)
    missing = distance_to_seen(wide[0], periodic=False)[~wide[0]].mean()
    assert typical(speckles) < 2.0
    assert 0.5 * missing < typical(wide) < 1.6 * missing


def test_gaps_that_stay_are_hidden_together() -> None:
    rng = np.random.default_rng(3)
    stays = np.repeat(image_with_gap(10), 12, axis=0)
    comes_and_goes = rng.permuted(stays.reshape(12, -1), axis=1).reshape(stays.shape)
    domain = np.ones(stays.shape[1:], dtype=bool)
    persistent = AlikeGaps.of(stays, domain, periodic=False).persistence
    assert persistent > 0.9
    assert AlikeGaps.of(comes_and_goes, domain, periodic=False).persistence < 0.2


def test_whole_columns_are_hidden_where_there_is_depth_and_the_same_for_the_same_seed() -> None:
    seen = np.repeat(image_with_gap(8)[:, None], 3, axis=1)
    gaps = AlikeGaps.of(seen, np.ones(seen.shape[1:], dtype=bool), periodic=False)
    hidden = gaps.hide(seen, np.random.default_rng(1))
    assert (hidden == hidden[:, :1]).all()
    assert (hidden == gaps.hide(seen, np.random.default_rng(1))).all()

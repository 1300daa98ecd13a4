"""The interval of a score holds what other dates would have given, and widens where dates repeat each other."""

import numpy as np
import pytest

from driftfield.evaluate.intervals import block_bootstrap, independent_dates


def dates(count: int, persistence: float, seed: int) -> np.ndarray:
    """Squared errors of dates whose logarithm is an AR(1)."""
    rng = np.random.default_rng(seed)
    state = np.zeros(count)
    state[0] = rng.standard_normal()
    for t in range(1, count):
        state[t] = persistence * state[t - 1] + np.sqrt(1 - persistence**2) * rng.standard_normal()
    return np.exp(0.7 * state)


@pytest.mark.parametrize("persistence", [0.0, 0.6])
def test_holds_the_score_of_an_endless_record_nine_times_in_ten(persistence: float) -> None:
    true = np.exp(0.5 * 0.7**2)
    inside = 0
    for seed in range(200):
        interval = block_bootstrap(dates(60, persistence, seed), np.ones(60), draws=199, seed=seed)
        assert interval is not None
        inside += interval.low <= true <= interval.high
    assert 0.72 < inside / 200 < 0.97


def test_is_wider_where_dates_repeat_each_other() -> None:
    single = dates(40, 0.0, 1)
    alone = block_bootstrap(single, np.ones(40))
    repeated = block_bootstrap(np.repeat(single, 5), np.ones(200))
    assert alone is not None
    assert repeated is not None
    assert repeated.high - repeated.low > 0.75 * (alone.high - alone.low)
    assert independent_dates(np.repeat(single, 5)) < 60 < independent_dates(dates(200, 0.0, 2))


def test_the_root_and_the_weights() -> None:
    sums, weights = np.full(10, 8.0), np.full(10, 2.0)
    interval = block_bootstrap(sums, weights, root=True)
    assert interval is not None
    assert interval.low == interval.high == pytest.approx(2.0)
    assert interval.dates == 10
    assert block_bootstrap(sums[:2], weights[:2]) is None

"""Ledger, ranges and spikes."""

import numpy as np
import pytest

from driftfield.observations.readers.quality import Ledger, in_range, is_spike


@pytest.mark.parametrize("seed", range(20))
def test_every_value_is_kept_or_dropped_once(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 50))
    present, flags, wrong = rng.random(n) < 0.8, rng.integers(-1, 10, n), rng.random(n) < 0.3
    ledger = Ledger(present)
    ledger.drop_flags("", flags, (1, 2))
    ledger.drop("wrong", wrong)
    ledger.drop("wrong", wrong)
    assert ledger.read == present.sum() == ledger.kept.sum() + sum(ledger.dropped.values())
    assert not (ledger.kept & wrong).any()
    assert (ledger.kept == (present & np.isin(flags, (1, 2)) & ~wrong)).all()


def test_ranges_narrow_with_depth_and_leave_warm_deep_seas_in() -> None:
    sea = "temperature of the sea"
    values = np.array([60.5, 39.0, 39.0, 21.7, 13.9, 10.0, 20.0, -1.9, -3.0])
    depth = np.array([0.0, 5.0, 500.0, 2000.0, 4500.0, 5000.0, 4000.0, 1000.0, 5.0])
    expected = [False, True, False, True, True, True, False, True, False]
    assert in_range(values, depth, sea).tolist() == expected
    assert in_range(np.array([1e9]), np.array([0.0]), None).all()
    assert in_range(np.array([38.0]), np.array([np.nan]), sea).all()
    assert in_range(np.array([43.0, 22.3, 3.0]), np.array([0.0, 2000.0, 2000.0]), "salinity").tolist() == [
        False,
        True,
        False,
    ]


def test_a_spike_stands_out_from_both_neighbours_of_its_profile() -> None:
    depth = np.tile([0.0, 10.0, 20.0, 30.0, 600.0], 2)
    cast = np.repeat([0, 1], 5)
    values = np.array([20.0, 20.0, 35.0, 19.0, 10.0, 25.0, 5.0, 24.0, 23.0, 9.0])
    kept = np.ones(10, dtype=bool)
    shuffled = np.random.default_rng(0).permutation(10)
    spike = is_spike(values[shuffled], depth[shuffled], cast[shuffled], kept, "temperature of the sea")
    assert sorted(shuffled[spike].tolist()) == [2, 6]
    assert not is_spike(values, depth, cast, kept, None).any()

"""No validation sample shares a cell and a time with a training sample: proved by brute force."""

from itertools import combinations

import cftime
import numpy as np
import pytest

from driftfield.data.patches import window_index
from driftfield.data.splits import Part, RandomBlocks, SpaceSplit, Splits, TimeSplit, check_disjoint, spread_over
from driftfield.errors import ConfigurationError, DataError, OverlapError
from driftfield.registry import build

DAYS = np.arange("2001-01-01", "2003-01-01", dtype="datetime64[D]").astype("datetime64[ns]")
GRID = (32, 48)


def parts(splits: Splits) -> list[Part]:
    return [splits.train, splits.validation, splits.test]


def gap_days(a: Part, b: Part) -> float:
    return float(np.min(np.abs(DAYS[a.times][:, None] - DAYS[b.times][None]) / np.timedelta64(1, "D")))


@pytest.mark.parametrize(
    "split",
    [
        TimeSplit(validation=0.2, test=0.1, buffer="30D"),
        TimeSplit(train=["2001", "2001"], validation=["2002-01", "2002-06"], test=["2002-08", "2002"], buffer="30D"),
        TimeSplit(validation=["2001-06", "2001-08"], test=["2002-03", "2002-03"], buffer="30D"),
        RandomBlocks(validation=0.2, test=0.1, length="60D", buffer="30D", seed=3),
    ],
)
def test_no_training_time_is_within_the_buffer(split: TimeSplit | RandomBlocks) -> None:
    splits = split.divide(DAYS)
    for a, b in combinations(parts(splits), 2):
        assert a.times.size > 0
        assert gap_days(a, b) >= 30
    check_disjoint(splits, times=DAYS, buffer="30D")
    with pytest.raises(OverlapError, match="closer than the buffer"):
        check_disjoint(splits, times=DAYS, buffer="400D")


@pytest.mark.parametrize("periodic", [False, True])
def test_no_validation_window_shares_a_cell_with_a_training_window(periodic: bool) -> None:
    windows, _ = window_index(np.ones(GRID, bool), 6, 2, periodic=periodic)
    splits = SpaceSplit(validation=0.25, test=0.25, block=12, seed=1).divide(DAYS, windows, GRID)
    covers = []
    for part in parts(splits):
        assert part.windows
        cover = np.zeros(GRID, bool)
        for window in part.windows:
            cover[np.ix_(window.rows, window.columns(GRID[1]))] = True
        covers.append(cover)
    for a, b in combinations(covers, 2):
        assert not (a & b).any()
    check_disjoint(splits, times=DAYS, buffer="30D", grid=GRID)


def test_an_overlap_is_named() -> None:
    windows, _ = window_index(np.ones(GRID, bool), 8, 4)
    here, shifted = tuple(windows[:1]), tuple(windows[1:2])
    splits = Splits(Part(np.arange(10), here), Part(np.arange(5, 15), shifted), Part(np.arange(0)))
    with pytest.raises(OverlapError, match=r"train and validation overlap: the window at row 0, column 4"):
        check_disjoint(splits, times=DAYS)
    apart = Splits(Part(np.arange(10), here), Part(np.arange(10, 15), here), Part(np.arange(0)))
    check_disjoint(apart, times=DAYS)
    with pytest.raises(OverlapError):
        check_disjoint(apart, times=DAYS, buffer="5D")


def test_shares_follow_each_other() -> None:
    splits = TimeSplit(validation=0.2, test=0.1).divide(DAYS)
    assert splits.train.times.max() < splits.validation.times.min()
    assert splits.validation.times.max() < splits.test.times.min()
    assert splits.validation.times.size == pytest.approx(0.2 * DAYS.size, abs=1)
    assert sum(p.times.size for p in parts(splits)) == DAYS.size


def test_other_calendars() -> None:
    times = [cftime.Datetime360Day(2001 + i // 12, i % 12 + 1, 16) for i in range(48)]
    splits = TimeSplit(validation=["2003", "2003"], test=["2004", "2004"], buffer="90D").divide(times)
    assert splits.validation.times.tolist() == list(range(24, 34))
    assert splits.train.times.tolist() == list(range(22))
    check_disjoint(splits, times=times, buffer="90D")


def test_random_blocks_depend_on_the_seed_only() -> None:
    a, b, c = (RandomBlocks(seed=s).divide(DAYS).validation.times for s in (1, 1, 2))
    assert a.tolist() == b.tolist() != c.tolist()


@pytest.mark.parametrize(("length", "count"), [(0, 3), (1, 3), (7, 3), (7, 7), (7, 20), (100, 8)])
def test_times_are_spread_evenly(length: int, count: int) -> None:
    times = np.arange(length) * 10 + 5
    chosen = spread_over(times, count)
    assert chosen.size == min(length, count)
    assert set(chosen) <= set(times)
    if chosen.size > 1:
        assert (chosen[0], chosen[-1]) == (times[0], times[-1])
        assert np.ptp(np.diff(chosen)) <= 10


def test_messages() -> None:
    with pytest.raises(OverlapError, match="train and validation share"):
        TimeSplit(train=["2001", "2002"], validation=["2002", "2002"]).divide(DAYS)
    with pytest.raises(DataError, match="validation part holds no time"):
        TimeSplit(validation=["1990", "1991"]).divide(DAYS)
    with pytest.raises(DataError, match="train part holds no time"):
        TimeSplit(validation=0.2, buffer="1000D").divide(DAYS)
    with pytest.raises(ConfigurationError, match="'30D'"):
        TimeSplit(buffer="a month")
    with pytest.raises(ConfigurationError, match="together below 1"):
        build("split", {"class": "SpaceSplit", "validation": 0.9, "test": 0.2})
    with pytest.raises(ConfigurationError, match="needs windows"):
        SpaceSplit().divide(DAYS)

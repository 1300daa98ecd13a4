"""What a perfect ensemble must score: truth and members drawn from the same distribution, cell by cell."""

import numpy as np
import pytest
import xarray as xr

from driftfield.errors import DataError
from driftfield.evaluate.scores import ensembles

CELLS = 60_000


def perfect(size: int, *, seed: int = 0, spread: float = 1.0) -> tuple[xr.DataArray, xr.DataArray]:
    """Members and truth with the same signal, and sds that vary from cell to cell."""
    rng = np.random.default_rng(seed)
    signal, sd = rng.standard_normal(CELLS), np.exp(0.5 * rng.standard_normal(CELLS))
    truth = signal + sd * rng.standard_normal(CELLS)
    members = signal + spread * sd * rng.standard_normal((size, CELLS))
    return xr.DataArray(members, dims=("member", "cell")), xr.DataArray(truth, dims="cell")


@pytest.mark.parametrize("size", [2, 4, 16])
def test_a_perfect_ensemble_has_ratio_one_for_every_size(size):
    assert float(ensembles.spread_skill(*perfect(size))) == pytest.approx(1, abs=0.02)


def test_too_little_spread_is_seen():
    members, truth = perfect(16, spread=0.5)
    assert float(ensembles.spread_skill(members, truth)) < 0.6
    assert float(ensembles.coverage(members, truth)) < 0.7
    ranks = ensembles.rank_histogram(members, truth)
    assert ranks[0] > 2 / 17
    assert ranks[-1] > 2 / 17


def test_fair_crps_does_not_depend_on_the_number_of_members():
    found = {size: float(ensembles.crps_fair(*perfect(size))) for size in (2, 5, 20)}
    assert found[2] == pytest.approx(found[20], rel=0.02)
    assert found[5] == pytest.approx(found[20], rel=0.02)
    members, truth = perfect(20)
    closed = ensembles.crps_gaussian(members.mean("member"), members.std("member", ddof=1), truth)
    assert found[20] == pytest.approx(float(closed), rel=0.05)


def test_one_member_has_the_crps_of_its_absolute_error_and_no_spread():
    members, truth = perfect(1)
    assert float(ensembles.crps_fair(members, truth)) == pytest.approx(float(abs(members[0] - truth).mean()))
    for score in (ensembles.spread_skill, ensembles.coverage, ensembles.spread_bins):
        with pytest.raises(DataError, match="2 members or more, found 1"):
            score(members, truth)


def test_no_spread_is_the_absolute_error():
    members, truth = perfect(1)
    zero = xr.zeros_like(truth)
    mean = members[0]
    assert float(ensembles.crps_gaussian(mean, zero, truth)) == pytest.approx(float(abs(mean - truth).mean()))


@pytest.mark.parametrize("level", [0.5, 0.9])
def test_coverage_of_a_perfect_large_ensemble_is_its_level(level):
    assert float(ensembles.coverage(*perfect(50), probability=level)) == pytest.approx(level, abs=0.01)


def test_coverage_beats_the_quantiles_of_sixteen_members():
    members, truth = perfect(16)
    # .90 but for the sampling error of the spread itself (Student's t)
    assert float(ensembles.coverage(members, truth)) == pytest.approx(0.877, abs=0.01)
    low, high = np.quantile(members, [0.05, 0.95], axis=0)
    assert np.mean((truth.values > low) & (truth.values < high)) == pytest.approx(0.8, abs=0.02)


def test_coverage_refuses_percent():
    with pytest.raises(DataError, match=r"Pass 0\.9 for 90 %"):
        ensembles.coverage(*perfect(2), probability=90)


def test_rank_histogram_is_flat_and_sums_to_one():
    ranks = ensembles.rank_histogram(*perfect(7))
    assert ranks.dims == ("rank",)
    assert float(ranks.sum()) == pytest.approx(1)
    np.testing.assert_allclose(ranks, 1 / 8, rtol=0.05)


def test_ties_are_broken_evenly_and_always_the_same_way():
    truth = xr.DataArray(np.zeros(20_000), dims="cell")
    members = truth.expand_dims(member=3)
    ranks = ensembles.rank_histogram(members, truth, seed=4)
    np.testing.assert_allclose(ranks, 1 / 4, rtol=0.05)
    chunked = ensembles.rank_histogram(members.chunk(cell=9000), truth.chunk(cell=7777), seed=4)
    np.testing.assert_array_equal(ranks, chunked.compute())


def test_spread_bins_of_a_perfect_ensemble_lie_on_the_diagonal():
    members, truth = perfect(100)
    table = ensembles.spread_bins(members, truth, bins=5)
    assert table.sizes["bin"] == 5
    assert int(table["count"].sum()) == CELLS
    assert (np.diff(table["spread"]) > 0).all()
    np.testing.assert_allclose(table["error"], table["spread"], rtol=0.05)


def test_spread_bins_keep_to_the_mask():
    members, truth = perfect(5)
    mask = truth > 0
    rubbish = ensembles.spread_bins(members.where(mask, 1e9), truth.where(mask), mask=mask)
    xr.testing.assert_allclose(rubbish, ensembles.spread_bins(members, truth, mask=mask))


def test_equal_spreads_make_one_bin():
    truth = xr.DataArray(np.zeros(10), dims="cell")
    members = xr.concat([truth - 1, truth + 1], dim="member")
    table = ensembles.spread_bins(members, truth)
    assert table["count"].values.tolist() == [10.0]


def test_energy_score_sees_wrong_correlation_that_crps_cannot():
    rng = np.random.default_rng(0)
    shape = (200, 30)
    common = rng.standard_normal((20, 200, 1)) * np.ones(30)
    alone = rng.standard_normal((20, *shape))
    truth = xr.DataArray(rng.standard_normal((200, 1)) * np.ones(30), dims=("time", "cell"))
    right, wrong = (xr.DataArray(a, dims=("member", "time", "cell")) for a in (common, alone))
    assert float(ensembles.crps_fair(right, truth)) == pytest.approx(float(ensembles.crps_fair(wrong, truth)), rel=0.1)
    score = {n: float(ensembles.energy_score(m, truth, dims="cell").mean()) for n, m in (("r", right), ("w", wrong))}
    assert score["r"] < 0.9 * score["w"]


def test_members_are_asked_for():
    truth = xr.DataArray(np.zeros(3), dims="cell")
    with pytest.raises(DataError, match="dimension 'member'"):
        ensembles.crps_fair(truth, truth)


@pytest.mark.parametrize("size", [4, 16])
def test_five_bins_of_a_perfect_ensemble_have_the_ratio_one(size):
    table = ensembles.spread_skill_bins(*perfect(size))
    assert table.sizes["bin"] == 5
    np.testing.assert_allclose(table["ratio"], 1, rtol=0.06)
    assert int(table["count"].sum()) == CELLS


def test_sorting_by_the_spread_that_is_judged_would_blame_noise():
    rng = np.random.default_rng(0)
    members = xr.DataArray(rng.standard_normal((16, CELLS)), dims=("member", "cell"))
    truth = xr.DataArray(rng.standard_normal(CELLS), dims="cell")
    np.testing.assert_allclose(ensembles.spread_skill_bins(members, truth)["ratio"], 1, rtol=0.03)
    table = ensembles.spread_bins(members, truth, bins=5)
    ratio = (table["spread"] / table["error"]).values
    assert ratio[0] < 0.85
    assert ratio[-1] > 1.2


def test_five_bins_show_a_wrong_pattern_that_one_factor_hides():
    members, truth = perfect(16)
    mean, sd = members.mean("member"), members.std("member", ddof=1)
    wrong = mean + (members - mean) / sd**2  # certain where it errs most
    wrong = mean + (wrong - mean) / ensembles.spread_skill(wrong, truth)
    assert float(ensembles.spread_skill(wrong, truth)) == pytest.approx(1)
    ratio = ensembles.spread_skill_bins(wrong, truth)["ratio"].values
    assert ratio[0] < 0.5
    assert ratio[-1] > 1.5
    assert (np.diff(ratio) > 0).all()


def test_five_bins_of_a_stated_spread():
    rng = np.random.default_rng(0)
    spread = np.exp(0.6 * rng.standard_normal(CELLS))
    truth = xr.DataArray(spread * rng.standard_normal(CELLS), dims="cell")
    mean, sd = xr.zeros_like(truth), xr.DataArray(spread, dims="cell")
    np.testing.assert_allclose(ensembles.spread_skill_bins_gaussian(mean, sd, truth)["ratio"], 1, rtol=0.06)
    half = ensembles.spread_skill_bins_gaussian(mean, sd / 2, truth, mask=truth > 0)
    np.testing.assert_allclose(half["ratio"], 0.5, rtol=0.06)


def test_the_energy_score_holds_no_matrix_of_pairs_of_fields():
    import tracemalloc

    rng = np.random.default_rng(0)
    members = xr.DataArray(rng.standard_normal((48, 20_000)), dims=("member", "cell"))
    truth = xr.DataArray(rng.standard_normal(20_000), dims="cell")
    tracemalloc.start()
    found = float(ensembles.energy_score(members, truth))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * members.nbytes
    # independent cells: E|x - y| = 2^(1/2), and the same between members
    assert found == pytest.approx(0.5 * np.sqrt(2), rel=0.01)


def test_equal_members_have_no_distance():
    truth = xr.DataArray(np.arange(5.0), dims="cell")
    members = (truth + 3).expand_dims(member=4)
    assert float(ensembles.energy_score(members, truth)) == pytest.approx(3)

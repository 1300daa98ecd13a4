"""Scores of large ensembles: a block of cells in double precision at a time, the same numbers."""

import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest
import xarray as xr

from driftfield.evaluate import cells
from driftfield.evaluate.cells import Picker, level_slice
from driftfield.evaluate.scores import counted
from driftfield.evaluate.scores.ensembles import (
    coverage,
    crps_fair,
    energy_score,
    rank_histogram,
    spread_skill,
    spread_skill_bins,
)
from driftfield.evaluate.scores.wasserstein import wasserstein_of_members
from driftfield.testing import tiny_ocean

MEMBERS, CELLS = 16, 20_000


@pytest.fixture(scope="module")
def ensemble() -> tuple[xr.DataArray, xr.DataArray]:
    rng = np.random.default_rng(0)
    truth = xr.DataArray(rng.normal(size=CELLS).astype(np.float32), dims="cell")
    drawn = truth.values + rng.normal(size=(MEMBERS, CELLS)).astype(np.float32)
    return xr.DataArray(drawn, dims=("member", "cell")), truth


@pytest.mark.parametrize(
    "score",
    [crps_fair, spread_skill, coverage, rank_histogram, spread_skill_bins, energy_score, wasserstein_of_members],
)
def test_blocks_change_no_score(
    ensemble: tuple[xr.DataArray, xr.DataArray],
    monkeypatch: pytest.MonkeyPatch,
    score: Callable[..., xr.DataArray | xr.Dataset],
) -> None:
    whole = score(*ensemble)
    monkeypatch.setattr(counted, "BLOCK", 3_001)
    by_blocks = score(*ensemble)
    xr.testing.assert_allclose(by_blocks, whole, rtol=1e-12)
    # lazily, too
    members, truth = ensemble
    xr.testing.assert_allclose(score(members.chunk(cell=999), truth.chunk(cell=999)), whole, rtol=1e-9)


@pytest.mark.parametrize("score", [crps_fair, energy_score])
def test_a_score_of_a_large_ensemble_takes_less_than_the_ensemble_again(
    ensemble: tuple[xr.DataArray, xr.DataArray], monkeypatch: pytest.MonkeyPatch, score: Callable[..., xr.DataArray]
) -> None:
    def peak() -> int:
        tracemalloc.start()
        score(*ensemble)
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    peak()
    members = ensemble[0].nbytes
    assert peak() > 4 * members
    monkeypatch.setattr(counted, "BLOCK", 20_000)
    assert peak() < members


def test_the_levels_of_an_ensemble_are_parts_of_what_is_pooled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Level after level, whatever is read at a time; no level is in memory beside the pool."""
    truth = tiny_ocean(times=5)["thetao"]
    rng = np.random.default_rng(3)
    noise = xr.DataArray(rng.normal(size=(MEMBERS, *truth.shape)).astype(np.float32), dims=("member", *truth.dims))
    drawn = (truth + noise).transpose("time", "member", ...)
    output = xr.Dataset({"thetao": drawn.mean("member"), "thetao_member": drawn, "thetao_sd": drawn.std("member")})
    domain = truth.notnull().any("time")
    masks = [rng.random((5, *domain.shape[-2:])) < 0.4 for _ in truth["depth"]]
    masks = [mask & level_slice(truth, index).notnull().values for index, mask in enumerate(masks)]
    masks[1] = np.zeros_like(masks[1])  # nothing scored there
    for at_a_time in (cells.AT_A_TIME, 1):
        monkeypatch.setattr(cells, "AT_A_TIME", at_a_time)
        pooled, places = Picker(truth, output, "thetao", domain, area_weighted=True).pool(masks)
        assert [place.stop - place.start for place in places] == [int(mask.sum()) for mask in masks]
        for index, place in enumerate(places):
            part = pooled.at(place)
            assert part.members is not None
            assert pooled.members is not None
            expected = level_slice(drawn.transpose("member", ...), index).values[:, masks[index]]
            np.testing.assert_array_equal(part.members.values, expected)
            np.testing.assert_array_equal(part.truth.values, level_slice(truth, index).values[masks[index]])
            assert not expected.size or np.shares_memory(part.members.values, pooled.members.values)


def test_the_distribution_of_members_is_sorted_and_not_copied_before(
    ensemble: tuple[xr.DataArray, xr.DataArray], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("driftfield.evaluate.scores.wasserstein.BLOCK", 20_000)
    wasserstein_of_members(*ensemble)
    tracemalloc.start()
    wasserstein_of_members(*ensemble)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # the members once more, and some fields in double precision: 1.7 times
    assert most < 2 * ensemble[0].nbytes

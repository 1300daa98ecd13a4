"""Scores of large ensembles: a block of cells in double precision at a time, the same numbers."""

import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest
import xarray as xr

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

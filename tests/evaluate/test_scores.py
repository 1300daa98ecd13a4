"""Laws that every score obeys: masks, NaN, weights, Dask, dims; and agreement with independent libraries."""

import dask
import numpy as np
import pytest
import scores as other
import scoringrules
import xarray as xr

from driftfield.errors import DataError
from driftfield.evaluate.scores import deterministic as ours
from driftfield.evaluate.scores import ensembles
from driftfield.evaluate.scores.score import all_scores

DIMS = ("time", "lat", "lon")
SHAPE = (3, 10, 12)


def _gaussian(score):
    """A score of (mean, sd) as a score of members, so that the same laws can be put to it."""
    return lambda members, truth, **given: score(
        members.mean("member", skipna=False), members.std("member"), truth, **given
    )


DETERMINISTIC = {n: s.deterministic for n, s in all_scores().items() if s.deterministic and not s.ensemble}

ALL = {
    **{name: lambda members, truth, s=score.deterministic, **given: s(members.isel(member=0, drop=True), truth, **given)
       for name, score in all_scores().items() if score.deterministic and not score.ensemble},
    **{name: score.ensemble for name, score in all_scores().items() if score.ensemble},
    "rank_histogram": ensembles.rank_histogram,
    "crps_gaussian": _gaussian(ensembles.crps_gaussian),
    "spread_skill_gaussian": _gaussian(ensembles.spread_skill_gaussian),
    "coverage_gaussian": _gaussian(ensembles.coverage_gaussian),
}  # fmt: skip
every = pytest.mark.parametrize("score", ALL.values(), ids=ALL.keys())


@pytest.fixture
def case() -> tuple[xr.DataArray, xr.DataArray, xr.DataArray]:
    """Members, truth and a mask."""
    rng = np.random.default_rng(1)
    truth = xr.DataArray(rng.standard_normal(SHAPE), dims=DIMS, coords={"time": [0, 1, 2]})
    noise = xr.DataArray(rng.standard_normal((5, *SHAPE)), dims=("member", *DIMS))
    mask = xr.DataArray(rng.random(SHAPE) < 0.6, dims=DIMS, coords=truth.coords)
    return (0.8 * truth + 0.5 * noise).transpose("member", ...), truth, mask


@every
@pytest.mark.parametrize("rubbish", [np.nan, 1e30])
def test_outside_the_mask_nothing_matters(score, case, rubbish):
    members, truth, mask = case
    expected = score(members, truth, mask=mask)
    assert np.isfinite(expected).all()
    found = score(members.where(mask, rubbish), truth.where(mask, rubbish), mask=mask)
    xr.testing.assert_allclose(found, expected)


@every
def test_a_hole_inside_the_mask_is_not_skipped(score, case):
    members, truth, mask = case
    hole = xr.zeros_like(mask)
    hole[1, 4, 5] = True
    assert np.isnan(score(members.where(~hole), truth, mask=mask | hole)).all()


@every
def test_without_a_mask_the_known_truth_counts(score, case):
    members, truth, mask = case
    known = score(members.where(mask), truth.where(mask))
    xr.testing.assert_allclose(known, score(members, truth, mask=mask))


@every
def test_an_empty_mask_has_no_score(score, case):
    members, truth, mask = case
    assert np.isnan(score(members, truth, mask=xr.zeros_like(mask))).all()


@every
def test_equal_weights_change_nothing(score, case):
    members, truth, mask = case
    weights = xr.full_like(truth.isel(time=0, lon=0, drop=True), 7.0)
    xr.testing.assert_allclose(score(members, truth, mask=mask, weights=weights), score(members, truth, mask=mask))


@pytest.mark.parametrize(
    "name", [n for n in ALL if n not in ("psnr", "ssim")]
)  # their range, their window ask the mask
def test_weight_zero_is_a_mask(name, case):
    members, truth, mask = case
    weighted = ALL[name](members, truth, mask=xr.ones_like(mask), weights=mask.astype(float))
    xr.testing.assert_allclose(weighted, ALL[name](members, truth, mask=mask))


@every
def test_dask_is_lazy_and_equal(score, case):
    members, truth, mask = case
    chunks = {"time": 1, "lat": 4}
    lazy = score(members.chunk({"member": 2, **chunks}), truth.chunk(chunks), mask=mask.chunk(chunks))
    assert dask.is_dask_collection(lazy)
    xr.testing.assert_allclose(lazy.compute(), score(members, truth, mask=mask))


@pytest.mark.parametrize("name", [n for n in ALL if n != "rank_histogram"])  # its lots differ from slice to slice
def test_dims_are_reduced_slice_by_slice(name, case):
    members, truth, mask = case
    found = ALL[name](members, truth, mask=mask, dims=("lat", "lon"))
    assert found.dims == ("time",)
    for k in range(3):
        alone = ALL[name](members.isel(time=k), truth.isel(time=k), mask=mask.isel(time=k))
        np.testing.assert_allclose(found.isel(time=k), alone)


@every
def test_wrong_questions_are_errors(score, case):
    members, truth, mask = case
    with pytest.raises(DataError, match="different coordinates"):
        score(members, truth.assign_coords(time=[0, 1, 5]), mask=mask)
    with pytest.raises(DataError, match=r"No dimension 'lng'.*'lon'"):
        score(members, truth, mask=mask, dims=("lng",))


def test_perfect_answers(case):
    _, truth, mask = case
    found = {name: float(score(truth, truth, mask=mask)) for name, score in DETERMINISTIC.items()}
    expected = {"bias": 0, "mae": 0, "rmse": 0, "correlation": 1, "psnr": np.inf, "ssim": 1, "r2": 1, "smape": 0}
    assert found == pytest.approx(expected)


def test_ssim_knows_no_units(case):
    members, truth, mask = case
    kelvin = [273.15 + 1.8 * array for array in (members[0], truth)]
    np.testing.assert_allclose(ours.ssim(*kelvin, mask=mask), ours.ssim(members[0], truth, mask=mask), rtol=1e-6)


def test_ssim_window_by_hand(case):
    """One cell, from the definition: Gaussian weights over the domain's cells only."""
    members, truth, mask = case
    x, y, inside = (array.isel(time=0).values.copy() for array in (members[0], truth, mask))
    i, j = 4, 5
    inside[i, j] = True
    rows, columns = np.meshgrid(np.arange(10) - i, np.arange(12) - j, indexing="ij")
    w = np.exp(-(rows**2 + columns**2) / (2 * 1.5**2)) * inside * (abs(rows) <= 5) * (abs(columns) <= 5)
    w /= w.sum()
    low, span = y[inside].min(), np.ptp(y[inside])
    x, y = x - low, y - low
    mx, my = (w * x).sum(), (w * y).sum()
    vx, vy, cov = (w * x**2).sum() - mx**2, (w * y**2).sum() - my**2, (w * x * y).sum() - mx * my
    c1, c2 = (0.01 * span) ** 2, (0.03 * span) ** 2
    expected = (2 * mx * my + c1) * (2 * cov + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2))
    found = ours.ssim_map(members[0, 0], truth[0], domain=xr.DataArray(inside, dims=("lat", "lon")))
    np.testing.assert_allclose(found[i, j], expected)


@pytest.mark.parametrize(
    ("name", "oracle"),
    [
        ("rmse", other.continuous.rmse),
        ("mae", other.continuous.mae),
        ("bias", other.continuous.additive_bias),
        ("correlation", other.continuous.correlation.pearsonr),
    ],
)
def test_agrees_with_the_scores_library(name, oracle, case):
    members, truth, mask = case
    x, y = members[0].where(mask), truth.where(mask)
    np.testing.assert_allclose(DETERMINISTIC[name](members[0], truth, mask=mask), oracle(x, y))
    if name != "correlation":
        weights = xr.DataArray(np.linspace(1, 2, 10), dims="lat")
        expected = (oracle(x, y, preserve_dims="all") ** (2 if name == "rmse" else 1)).weighted(weights).mean()
        found = DETERMINISTIC[name](members[0], truth, mask=mask, weights=weights) ** (2 if name == "rmse" else 1)
        np.testing.assert_allclose(found, expected)


def test_psnr_by_hand(case):
    members, truth, mask = case
    x, y = members[0].values[mask.values], truth.values[mask.values]
    expected = 20 * np.log10(np.ptp(y) / np.sqrt(np.mean((x - y) ** 2)))
    np.testing.assert_allclose(ours.psnr(members[0], truth, mask=mask), expected)


def test_ensembles_agree_with_scoringrules(case):
    members, truth, mask = case
    x, y = members.values[:, mask.values].T, truth.values[mask.values]
    np.testing.assert_allclose(
        ensembles.crps_fair(members, truth, mask=mask), scoringrules.crps_ensemble(y, x, estimator="fair").mean()
    )
    np.testing.assert_allclose(
        ensembles.crps_fair(members, truth, mask=mask),
        other.probability.crps_for_ensemble(members, truth.where(mask), "member", method="fair"),
    )
    found = ensembles.energy_score(members, truth, mask=mask)
    np.testing.assert_allclose(found * np.sqrt(len(y)), scoringrules.es_ensemble(y, x.T, estimator="fair"))
    mean, sd = members.mean("member"), members.std("member")
    np.testing.assert_allclose(
        ensembles.crps_gaussian(mean, sd, truth, mask=mask),
        scoringrules.crps_normal(y, mean.values[mask.values], sd.values[mask.values]).mean(),
    )

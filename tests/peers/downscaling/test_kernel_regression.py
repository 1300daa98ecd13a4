"""Kernel regression: the Gaussian process it is, residuals that a second fit would give, shifts, other targets, thinned dates."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from coarse_world import coarse_world

from driftfield.data.prepare import prepare
from driftfield.errors import ConfigurationError
from driftfield.interfaces import TrainingData
from driftfield.peers.downscaling.first_guess import OutOfFoldGuess
from driftfield.peers.downscaling.kernel_regression import CONSTANT, _left_out, _Metric
from driftfield.registry import build


def data_of(folder: Path, targets: list[str]) -> TrainingData:
    coarse_world().to_netcdf(folder / "fine.nc")
    split = {"class": "TimeSplit", "validation": 0.1, "test": 0.2}
    bounds = {"pr": {"lower": 0}} if "pr" in targets else None
    return prepare(str(folder / "fine.nc"), targets, coarse={"factor": 4}, split=split, bounds=bounds)


def method_of(**arguments: Any) -> Any:
    return build("downscaler", {"class": "KernelRegression", "folds": 3, "analogs": 8, **arguments})


def test_residuals_out_of_fold_are_those_of_a_second_fit() -> None:
    """To rounding: a block is predicted by the kernel of all other dates."""
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((30, 4)), rng.standard_normal((30, 5))
    kernel = _Metric(np.full((4, 1), 0.25), 2.0, 0.5).between(x, x, 0)
    weights, left = _left_out(kernel, y, 0.2, 4)
    np.testing.assert_allclose(kernel @ weights + 0.2 * weights, y, atol=1e-9)
    for block in np.array_split(np.arange(30), 4):
        others = np.setdiff1d(np.arange(30), block)
        inner = np.linalg.solve(kernel[np.ix_(others, others)] + 0.2 * np.eye(others.size), y[others])
        np.testing.assert_allclose(left[block], y[block] - kernel[np.ix_(block, others)] @ inner, atol=1e-9)


def test_the_kernel_by_hand() -> None:
    metric = _Metric(np.array([[0.75], [0.25]]), 2.0, 0.5)
    a, b = np.array([[1.0, 2.0]]), np.array([[0.0, 4.0]])
    r = np.sqrt(3.0) * np.sqrt(0.75 * 1 + 0.25 * 4) / 2.0
    expected = CONSTANT + 0.5 * 0.25 * 8.0 + (1 + r) * np.exp(-r)
    assert metric.between(a, b, 0)[0, 0] == pytest.approx(expected, rel=1e-12)
    applied = metric.applied(a[0], b.astype(np.float32), np.array([[2.0]], dtype=np.float32), np.array([0]))
    assert applied[0] == pytest.approx(2.0 * expected, rel=1e-12)


def test_a_straight_line_is_found_and_goes_on_where_nothing_was_seen(tmp_path: Path) -> None:
    """Of a relation that is linear, days 20 K warmer than any in training are on the line too."""
    data = data_of(tmp_path, ["tas"])
    method = method_of(residual="none", linear=3.0)
    method.fit(data)
    coarse = data.pair.coarse.isel(time=data.train[:4])
    shift = 20.0
    a, b = (
        method.reconstruct(coarse.assign(tas=(coarse["tas"] + d).assign_attrs(coarse["tas"].attrs)), members=1)[
            "tas"
        ].values
        for d in (0.0, shift)
    )
    slope = float((b - a).mean()) / shift
    assert 0.8 < slope < 1.2


def test_a_centred_target_follows_a_shift_inside_conserving_too(tmp_path: Path) -> None:
    data = data_of(tmp_path, ["tas", "pr"])
    inner = {
        "class": "KernelRegression",
        "folds": 3,
        "analogs": 8,
        "centred": ["tas"],
        "transform": {"pr": "square_root"},
    }
    method = build("downscaler", {"class": "Conserving", "downscaler": inner})
    method.fit(data)
    coarse = data.pair.coarse.isel(time=data.test[:3])
    warmer = coarse.assign(tas=(coarse["tas"] + 5.0).assign_attrs(coarse["tas"].attrs))
    a, b = (method.reconstruct(c, members=4, seed=1) for c in (coarse, warmer))
    np.testing.assert_allclose(b["tas_member"].values, a["tas_member"].values + 5.0, atol=1e-3)
    np.testing.assert_allclose(b["pr_member"].values, a["pr_member"].values, atol=1e-3)


def test_what_a_centred_target_cannot_be_is_refused(tmp_path: Path) -> None:
    data = data_of(tmp_path, ["tas", "pr"])
    with pytest.raises(ConfigurationError, match="no target"):
        method_of(centred=["tos"]).fit(data)
    with pytest.raises(ConfigurationError, match="Leave one out"):
        method_of(centred=["pr"]).fit(data)
    with pytest.raises(ConfigurationError, match="two dates for each fold"):
        method_of(dates=4)


def test_other_targets_are_looked_at_as_far_as_asked(tmp_path: Path) -> None:
    data = data_of(tmp_path, ["tas", "pr"])
    coarse = data.pair.coarse.isel(time=data.test[:3])
    wetter = coarse.assign(pr=(coarse["pr"] * 3.0).assign_attrs(coarse["pr"].attrs))
    for beside, alike in ((0.0, True), (0.4, False)):
        method = method_of(residual="none", beside=beside)
        method.fit(data)
        a, b = (method.reconstruct(c, members=1)["tas"].values for c in (coarse, wetter))
        assert np.allclose(a, b, atol=1e-6) == alike


def test_one_fit_is_a_first_guess_out_of_fold(tmp_path: Path) -> None:
    """As large as new residuals, far larger than those in sample; dates that were thinned out have a guess too."""
    data = data_of(tmp_path, ["tas"])
    guess = OutOfFoldGuess({"class": "KernelRegression", "residual": "none", "folds": 3, "dates": 40})
    assert guess.method.folds == 3
    train, _ = guess.fit(data, 0, tmp_path)
    truth = data.archive.dataset["tas"].isel(time=data.train).values
    fields = guess.method.reconstruct(data.pair.coarse.isel(time=data.train), members=1)["tas"].values
    thinned = guess.method.fitted["tas"]["weights"].shape[0]
    assert thinned == 40 < len(data.train)
    assert np.isfinite(train["tas"]).all()
    assert (train["tas"] - truth).std() > 1.05 * (fields - truth).std()
    assert guess.method.fitted["tas"]["residual_sd"][0] == pytest.approx((train["tas"] - truth).std(), rel=0.25)

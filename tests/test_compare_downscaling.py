"""A comparison of downscalers: coarse fields are shown, every fine cell is scored, and each pair is computed once."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from coarse_world import coarse_world

from driftfield.compare import read_comparison, run_comparison, write_tables
from driftfield.errors import ConfigurationError

RECIPE: dict[str, Any] = {
    "title": "A small world",
    "members": 4,
    "data": {
        "archive": "fine.nc",
        "targets": ["tas", "pr"],
        "coarse": {"factor": 4},
        "bounds": {"pr": {"lower": 0}},
        "split": {"class": "TimeSplit", "validation": 0.1, "test": 0.2},
    },
    "settings": {"test": {"coarse": True}, "another year": {"coarse": {"archive": "other.nc"}, "every": 2}},
    "methods": {
        "bilinear": {"class": "Bilinear"},
        "mean residual": {"class": "MeanResidual"},
        "analogs": {"class": "Conserving", "downscaler": {"class": "Analogs", "number": 8}},
    },
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    coarse_world(60).to_netcdf("fine.nc")
    coarse_world(20, seed=5).to_netcdf("other.nc")
    return tmp_path


def comparison(folder: Path, **changes: Any) -> Any:
    (folder / "small.yaml").write_text(yaml.safe_dump({**RECIPE, **changes}))
    return read_comparison(folder / "small.yaml", runs=folder / "runs")


def test_both_settings_are_scored_on_every_cell_and_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    results = run_comparison(comparison(folder), runs=folder / "runs")
    assert not results.notes
    assert results.facts["test"].held_out["tas"] == (12 * 12 * 16, 1.0)
    assert results.facts["another year"].times[2] == 10
    for name in ("test", "another year"):
        rmse = {label: rows[name].scores["tas"]["rmse"] for label, rows in results.rows.items()}
        assert rmse["mean residual"] < rmse["bilinear"]
        assert results.rows["bilinear"][name].members == 1
        assert results.rows["analogs"][name].members == 4
        assert results.rows["bilinear"][name].scores["tas"]["spread_skill"] is None
    # the bilinear row by hand
    truth = coarse_world(20, seed=5)["tas"].isel(time=slice(None, None, 2))
    from driftfield.data.coarsening import coarsened, regridding_by_factor

    regridding = regridding_by_factor(truth.to_dataset(), 4)
    up = regridding.interpolate(coarsened(truth.to_dataset(), regridding)["tas"].values)
    by_hand = float(np.sqrt(np.mean((up - truth.values) ** 2)))
    assert results.rows["bilinear"]["another year"].scores["tas"]["rmse"] == pytest.approx(by_hand, rel=1e-4)
    write_tables(results, folder / "page.md", command="driftfield compare small.yaml")
    assert "| analogs |" in (folder / "page.md").read_text()

    def fails(*arguments: Any, **options: Any) -> None:
        raise AssertionError("computed again")

    monkeypatch.setattr("driftfield.compare.running.reconstruct_variants", fails)
    again = run_comparison(comparison(folder), runs=folder / "runs")
    assert again.rows["analogs"]["test"].scores == results.rows["analogs"]["test"].scores


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"settings": {"gaps": {"observe": {"tas": "random:0.5"}}}}, "hides cells, and data.coarse is there"),
        ({"data": {**RECIPE["data"], "coarse": None}}, "shows coarse fields, and data.coarse is not"),
        ({"learn_from": "test"}, "data.coarse and learn_from"),
        ({"settings": {"test": {"coarse": {"file": "x"}}}}, "Unknown key 'file'"),
        ({"methods": {"oi": {"class": "OptimalInterpolation"}}}, "Unknown downscaler 'OptimalInterpolation'"),
    ],
)
def test_what_does_not_go_together_is_refused(folder: Path, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        comparison(folder, **changes)


def test_scores_of_whole_fields_are_asked_for_by_name(folder: Path) -> None:
    asked = {"scores": ["rmse", "p99", "wet_share", "coverage_90_wet", "correlation_bias"], "wet": {"pr": 1.0}}
    results = run_comparison(comparison(folder, **asked), runs=folder / "runs")
    found = results.rows["analogs"]["test"].scores
    assert found["pr"]["wet_share"] == pytest.approx(found["pr"]["wet_share_made"] / found["pr"]["wet_share_truth"])
    assert 0.3 < found["pr"]["coverage_90_wet"] <= 1.0
    assert found["tas"]["wet_share"] is None
    write_tables(results, folder / "page.md", command="driftfield compare small.yaml")
    page = (folder / "page.md").read_text()
    assert "P99 / truth" in page
    assert "CRPS" not in page
    for changes, said in (
        ({"scores": ["rsme"]}, "Did you mean 'rmse'"),
        ({"scores": "rmse"}, "expected a list"),
        ({"wet": {"prr": 1.0}}, "Did you mean 'pr'"),
        ({"wet": {"pr": "much"}}, "such as"),
    ):
        with pytest.raises(ConfigurationError, match=said):
            comparison(folder, **changes)


def test_windows_of_another_region_are_fields_of_their_own(folder: Path) -> None:
    changes: dict[str, Any] = {
        "data": {**RECIPE["data"], "targets": ["pr"], "split": {"class": "WholeRecord"},
                 "region": {"lon": [4.8, 6.9]}, "windows": {"size": 4, "holding": {"above": 0.5, "share": 0.1}}},
        "settings": {"east": {"coarse": {"region": {"lon": [6.9, 8.9]}}, "some": 30}},
        "methods": {"blocks": {"class": "AnalogBlocks", "number": 6, "reach": 1}, "nearest": {"class": "NearestCell"}},
    }  # fmt: skip
    changes["data"]["coarse"] = {"factor": 2}
    results = run_comparison(comparison(folder, **changes), runs=folder / "runs")
    assert not results.notes
    assert results.facts["east"].times[2] == 30
    assert results.facts["east"].held_out["pr"] == (30 * 16, 1.0)
    assert results.rows["nearest"]["east"].scores["pr"]["rmse"] > 0
    again = run_comparison(comparison(folder, **changes), runs=folder / "runs", afresh=True)
    assert again.facts["east"].observations == results.facts["east"].observations
    plain = {key: value for key, value in RECIPE["data"].items() if key != "coarse"}
    with pytest.raises(ConfigurationError, match=r"settings\.gaps\.some"):
        comparison(folder, data=plain, settings={"gaps": {"observe": {"tas": "random:0.5"}, "some": 3}})


def test_a_model_that_runs_freely_is_judged_by_distributions(folder: Path) -> None:
    """The quantiles of every cell: what quantile mapping learns comes out, and the dates of the model are its own."""
    from driftfield.data.coarsening import coarsened, regridding_by_factor

    free = coarse_world(200, seed=9)
    free["tas"] = (free["tas"] - 3.0).assign_attrs(free["tas"].attrs)
    coarsened(free, regridding_by_factor(free, 4)).assign_coords(
        time=free["time"].values + np.timedelta64(3650, "D")
    ).to_netcdf("free.nc")
    changes = {
        "data": {**RECIPE["data"], "coarse": {"archive": "free.nc", "paired": False}},
        "settings": {"test": {"coarse": True}},
        "scores": ["mae", "mean_in_cells"],
        "methods": {"bilinear": {"class": "Bilinear"}, "mapped": {"class": "QuantileMapping"}},
    }
    results = run_comparison(comparison(folder, **changes), runs=folder / "runs")
    assert not results.notes
    truth = coarse_world(60)["tas"].isel(time=slice(48, 60))
    assert results.facts["test"].times[2] == 12
    mae = {label: rows["test"].scores["tas"]["mae"] for label, rows in results.rows.items()}
    assert mae["mapped"] < 0.75 * mae["bilinear"]
    # the bilinear row by hand: Wasserstein distances of every cell
    from scipy.stats import wasserstein_distance

    regridding = regridding_by_factor(truth.to_dataset(), 4)
    up = regridding.interpolate(regridding.apply(free["tas"].values))
    by_hand = np.mean([wasserstein_distance(up[:, i, j], truth.values[:, i, j]) for i in range(12) for j in range(16)])
    assert mae["bilinear"] == pytest.approx(by_hand, rel=0.03)
    write_tables(results, folder / "page.md", command="driftfield compare small.yaml")
    assert "share no dates" in (folder / "page.md").read_text()

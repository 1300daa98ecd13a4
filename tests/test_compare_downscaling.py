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

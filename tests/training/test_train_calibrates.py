"""`train` calibrates what a network draws, says what that changed, and leaves it out when asked to."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from commands import hearing_all

from driftfield.compare import read_comparison, run_comparison
from driftfield.data.sources import write_dataset
from driftfield.testing import tiny_ocean, tiny_recipe


@pytest.mark.slow
def test_by_default_and_not_with_raw(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("lightning")
    monkeypatch.chdir(tmp_path)
    command = hearing_all(capsys)
    write_dataset(tiny_ocean(times=30), tmp_path / "truth.nc")
    Path("recipe.yaml").write_text(yaml.safe_dump(tiny_recipe()), encoding="utf-8")
    code, said = command("train", "recipe.yaml", "--out", "run")
    assert code == 0, said
    assert "thetao: calibrated on" in said
    assert "spread-skill" in said
    calibration = json.loads(Path("run/run.json").read_text(encoding="utf-8"))["extra"]["calibration"]
    assert {"raw", "calibrated"} == set(calibration["about"]["scores"]["thetao"])
    code, said = command("train", "recipe.yaml", "--out", "plain", "--raw")
    assert code == 0, said
    assert "calibrated" not in said
    assert "calibration" not in json.loads(Path("plain/run.json").read_text(encoding="utf-8"))["extra"]
    # a method without a network is fitted as it always was
    recipe = tiny_recipe()
    peer = {"data": recipe["data"], "reconstructor": {"class": "Climatology"}}
    Path("peer.yaml").write_text(yaml.safe_dump(peer), encoding="utf-8")
    code, said = command("train", "peer.yaml", "--out", "peer")
    assert (code, "calibrated" in said) == (0, False)


@pytest.mark.slow
def test_a_comparison_calibrates_the_networks_that_it_trains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("lightning")
    monkeypatch.chdir(tmp_path)
    ocean = tiny_ocean(times=30)
    write_dataset(ocean, tmp_path / "truth.nc")
    recipe = tiny_recipe()
    parts: Any = recipe["reconstructor"]
    last = ocean["time"].dt.strftime("%Y-%m-%d").values[-3:]
    comparison = {
        "title": "A tiny ocean",
        "members": 3,
        "data": {**recipe["data"], "split": {"class": "TimeSplit", "validation": 0.2, "test": 0.1}},  # type: ignore[dict-item]
        "truth": {"times": [str(last[0]), str(last[-1])]},
        "settings": {"half": {"observe": {"thetao": "profiles:0.5", "sst": "clouds:0.5"}}},
        "methods": {"model": {**parts, "trainer": recipe["trainer"]}, "climatology": {"class": "Climatology"}},
    }
    Path("tiny.yaml").write_text(yaml.safe_dump(comparison, sort_keys=False), encoding="utf-8")
    results = run_comparison(read_comparison(Path("tiny.yaml")), train=True)
    assert list(results.rows) == ["model", "model, raw", "climatology"], results.notes

"""`train` calibrates what a network draws, says what that changed, and leaves it out when asked to."""

import json
from pathlib import Path

import pytest
import yaml
from commands import hearing_all

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

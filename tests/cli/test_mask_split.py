"""`driftfield mask --split RECIPE`: the test part of a split is scored, and nothing else."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from commands import hearing_errors, succeed

from driftfield.data.prepare import divide
from driftfield.data.sources import open_archive
from driftfield.gridded.gridded_files import open_fields, write_dataset
from driftfield.testing import tiny_ocean

SPLITS: dict[str, dict[str, Any]] = {
    "TimeSplit": {"validation": 0.2, "test": 0.2},
    "SpaceSplit": {"validation": 0.25, "test": 0.25, "block": 4, "seed": 3},
}
OBSERVE = ("--observe", "thetao=random:0.5", "--observe", "sst=clouds:0.5")


def recipe_for(named: str, **changed: Any) -> dict[str, Any]:
    data: dict[str, Any] = {"archive": "truth.nc", "targets": ["thetao", "sst"]}
    data["split"] = {"class": named, **SPLITS[named]}
    if named == "SpaceSplit":
        data["windows"] = {"size": 4, "stride": 2}
    return {"data": data | changed, "reconstructor": {"class": "Climatology"}}


@pytest.fixture(autouse=True)
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_dataset(tiny_ocean(times=40, shape=(8, 16)), Path("truth.nc"))


@pytest.mark.parametrize("split", SPLITS)
def test_the_test_part_is_scored_and_nothing_else(split: str) -> None:
    content = recipe_for(split)
    Path("recipe.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    succeed("mask", "truth.nc", "plain.nc", *OBSERVE)
    succeed("mask", "truth.nc", "tested.nc", *OBSERVE, "--split", "recipe.yaml")
    plain, found = open_fields(Path("plain.nc")), open_fields(Path("tested.nc"))
    archive = open_archive(Path("truth.nc"), ["thetao", "sst"])
    data = content["data"]
    tested = divide(archive, data["targets"], split=data["split"], windows=data.get("windows")).held_out(
        "test", archive.dataset["sst"]
    )
    dates = np.flatnonzero(tested.any(("lat", "lon")).values)
    assert found.sizes["time"] == dates.size
    assert 0 < float(tested.mean()) < 1
    plain, tested = plain.isel(time=dates), tested.isel(time=dates)
    for name in ("thetao", "sst"):
        np.testing.assert_array_equal(found[name].values, plain[name].values)
        held = "held_out" if f"{name}_held_out" not in plain else f"{name}_held_out"
        wanted = (plain[held].astype(bool) & tested.values[(slice(None), *[None] * (plain[held].ndim - 3))]).values
        np.testing.assert_array_equal(found[held].astype(bool).values, wanted)
        assert wanted.any()


def test_what_makes_no_sense_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    command = hearing_errors(capsys)
    cases = {
        "another archive": (recipe_for("TimeSplit", archive="other.nc"), (), "is another file"),
        "sections": (recipe_for("TimeSplit", sections=["south.nc"]), (), "names data.sections"),
        "no test part": (
            recipe_for("TimeSplit", split={"class": "TimeSplit", "validation": 0.2}),
            (),
            "no test part",
        ),
        "no tested date": (recipe_for("TimeSplit"), ("--time", "2001-01:2001-02"), "No date of the observations"),
    }
    for content, more, message in cases.values():
        Path("recipe.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
        code, error = command("mask", "truth.nc", "never.nc", *OBSERVE, "--split", "recipe.yaml", *more)
        assert code == 2
        assert message in error.splitlines()[-1]
        assert not Path("never.nc").exists()

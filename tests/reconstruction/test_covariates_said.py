"""A method that looks at the targets alone says so when a recipe names covariates."""

import logging
from pathlib import Path

import pytest

from driftfield.data.sources import write_dataset
from driftfield.recipe import read_recipe
from driftfield.reconstruction.fitting import fit_recipe
from driftfield.registry import build, names
from driftfield.testing import tiny_ocean, tiny_recipe

LOOKING = {"OptimalInterpolation", "EOFOptimalInterpolation", "DINEOF"}


def test_peers_declare_whether_they_look_at_covariates() -> None:
    import driftfield.peers as room

    peers = set(room.__all__) & set(names("reconstructor"))
    looking = {name for name in peers if build("reconstructor", {"class": name}).abilities.covariates}
    assert looking == LOOKING


@pytest.mark.parametrize(
    ("name", "said"), [("LinearInterpolation", True), ("Persistence", True), ("OptimalInterpolation", False)]
)
def test_ignored_covariates_are_said(
    name: str, said: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    import yaml

    monkeypatch.chdir(tmp_path)
    write_dataset(tiny_ocean(times=20), tmp_path / "truth.nc")
    recipe = tiny_recipe(method=name)
    recipe["data"]["covariates"] = ["sst"]
    Path("recipe.yaml").write_text(yaml.safe_dump(recipe), encoding="utf-8")
    with caplog.at_level(logging.WARNING):
        fit_recipe(read_recipe(Path("recipe.yaml")), tmp_path / "run", source="recipe.yaml")
    assert (f"{name} looks at the targets alone: the covariates sst change nothing" in caplog.text) is said

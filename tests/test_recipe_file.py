"""Kinds of values in a recipe: a word where a list is meant is a mistake, not three variables of one letter each."""

from pathlib import Path

import pytest

from driftfield.errors import ConfigurationError
from driftfield.recipe import read_recipe

GOOD = "data: {archive: a.nc, targets: [thetao], covariates: [sst]}\nreconstructor: {class: Climatology}\n"


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "recipe.yaml"
    path.write_text(GOOD, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "override",
    [
        "data.targets=sst",
        "data.targets=[1]",
        "data.covariates=sst",
        "data.levels=5",
        "data.levels=[deep]",
        "data.time=2015",
        "data.archive=3",
        "data.domain=[a.nc]",
        "data.split=TimeSplit",
        "data.region=[1, 2]",
        "data.region.lat=3",
        "data.region.lat=[a, b]",
    ],
)
def test_a_value_of_the_wrong_kind_is_named(recipe: Path, override: str) -> None:
    key = override.partition("=")[0]
    with pytest.raises(ConfigurationError, match=f"{key} is .* expected"):
        read_recipe(recipe, [override])


@pytest.mark.parametrize(
    "override",
    [
        "data.targets=[thetao, so]",
        "data.levels=[5, 100.5]",
        "data.time=[2010-01, null]",
        "data.archive=[a.nc, b.nc]",
        "data.region={lat: [30, 45], lon: [-60, -30.5]}",
        "data.windows={size: 32}",
        "data.covariates=",
    ],
)
def test_a_value_of_the_right_kind_is_taken(recipe: Path, override: str) -> None:
    key, _, _ = override.removeprefix("data.").partition("=")
    assert key in read_recipe(recipe, [override]).data


def test_the_kept_content_names_variables_of_the_environment_and_not_their_values(
    recipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOME_FOLDER", "/secret")
    read = read_recipe(recipe, ["data.archive=$SOME_FOLDER/a.nc"])
    assert read.data["archive"] == "/secret/a.nc"
    assert "secret" not in str(read.content)

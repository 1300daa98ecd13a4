"""A recipe says what exists, and a mistake in it is named before anything is opened."""

from pathlib import Path

import pytest

from driftfield.errors import ConfigurationError, FileFormatError
from driftfield.recipe import read_recipe

GOOD = """
driftfield_format: 1
seed: 3
data: {archive: $OCEAN/a.nc, targets: [thetao]}
reconstructor: {class: Climatology}
"""


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "recipe.yaml"
    path.write_text(text)
    return path


def test_reads_expands_and_overrides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OCEAN", "/somewhere")
    path = write(tmp_path, GOOD)
    recipe = read_recipe(path, ["seed=4", "trainer.steps=7", "data.windows.size=[8, 8]"])
    assert (recipe.seed, recipe.trainer, recipe.data["archive"]) == (4, {"steps": 7}, "/somewhere/a.nc")
    assert recipe.data["windows"] == {"size": [8, 8]}
    assert read_recipe(path).hash == read_recipe(path, ["seed=3"]).hash != recipe.hash


def test_an_empty_section_can_be_filled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OCEAN", "/somewhere")
    recipe = read_recipe(write(tmp_path, GOOD + "trainer:\n"), ["trainer.steps=7"])
    assert recipe.trainer == {"steps": 7}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("seed:", "sed:"), "Did you mean 'seed'"),
        (("archive:", "archiv:"), "Did you mean 'archive'"),
        (("seed: 3", "seed: -1"), "whole number"),
        (("seed: 3", "seed: true"), "whole number"),
        (("driftfield_format: 1", "driftfield_format: 9"), "driftfield_format 9"),
        (("{archive: $OCEAN/a.nc, targets: [thetao]}", ""), "lacks 'data'"),
        (("{archive: $OCEAN/a.nc, targets: [thetao]}", "[1]"), "expected a mapping"),
        ((", targets: [thetao]", ""), "lacks 'targets'"),
        (("{class: Climatology}", "Climatology"), "must be a mapping"),
        (("reconstructor: {class: Climatology}", ""), "lacks 'reconstructor'"),
        (("{class: Climatology}", "{class: Climatology}\ntrainer: fast"), "must be a mapping"),
        (("$OCEAN", "$NO_SUCH_VARIABLE_HERE"), "environment variable is not set"),
    ],
)
def test_a_mistake_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: tuple[str, str], message: str
) -> None:
    monkeypatch.setenv("OCEAN", "/somewhere")
    assert change[0] in GOOD
    with pytest.raises(ConfigurationError, match=message):
        read_recipe(write(tmp_path, GOOD.replace(*change)))


@pytest.mark.parametrize("override", ["seed", "=3", "seed.deep=1", "seed=[1"])
def test_an_override_that_makes_no_sense_is_refused(tmp_path: Path, override: str) -> None:
    with pytest.raises(ConfigurationError):
        read_recipe(write(tmp_path, GOOD), [override])


@pytest.mark.parametrize("text", ["a: [", "- 1", ""])
def test_what_is_no_recipe_says_so(tmp_path: Path, text: str) -> None:
    with pytest.raises(FileFormatError):
        read_recipe(write(tmp_path, text))


def test_a_missing_recipe_says_so(tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match="Cannot read"):
        read_recipe(tmp_path / "none.yaml")


def test_a_recipe_may_train_an_emulator_in_place_of_a_reconstructor(tmp_path: Path) -> None:
    text = GOOD.replace("reconstructor: {class: Climatology}", "emulator: {class: DiffusionEmulator}")
    path = write(tmp_path, text.replace("$OCEAN/", ""))
    recipe = read_recipe(path)
    assert (recipe.emulator, recipe.reconstructor) == ({"class": "DiffusionEmulator"}, {})
    with pytest.raises(ConfigurationError, match="Leave one out"):
        read_recipe(path, ["reconstructor.class=Climatology"])

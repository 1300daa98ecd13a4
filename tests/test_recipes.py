"""Every recipe that is shipped can be read, and names classes and arguments that exist."""

from pathlib import Path
from typing import Any

import pytest

from driftfield.data.masks import parse_pattern
from driftfield.recipe import read_recipe
from driftfield.registry import build

RECIPES = sorted((Path(__file__).parents[1] / "recipes").glob("*.yaml"))


@pytest.fixture(autouse=True)
def _registered(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("lightning")
    monkeypatch.setenv("DRIFTFIELD_DATA", "/data")


def test_there_are_recipes() -> None:
    assert len(RECIPES) >= 9


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_names_what_exists(path: Path) -> None:
    recipe = read_recipe(path)
    kind, spec = recipe.learner
    learner = build(kind, spec)
    assert build("split", recipe.data.get("split", {"class": "TimeSplit"})) is not None
    assert bool(recipe.trainer) == learner.abilities.needs_training
    if recipe.trainer:
        assert build("trainer", recipe.trainer).steps > 0
        _check_network(spec, [*recipe.data["targets"], *recipe.data.get("covariates", [])])


def _check_network(spec: dict[str, Any], variables: list[str]) -> None:
    """The parts that are only built once the data is known."""
    # expectation-maximisation has what it trains inside
    spec = spec.get("reconstructor", spec)
    build("normalizer", spec.get("normalizer", {"class": "ClimatologicalAnomaly"}))
    build("network", spec["network"], channels=2, covariates=1, first_guess="first_guess" in spec)
    for kind in ("schedule", "parameterization", "noise_levels", "weighting"):
        if kind in spec.get("diffusion", {}):
            build(kind, spec["diffusion"][kind])
    if "observing" not in spec:  # an emulator is shown the whole state
        return
    build("observing", {"class": "ObservingSystem", **spec["observing"]}).check(variables)
    for patterns in spec["observing"]["observe"].values():
        for pattern in [patterns] if isinstance(patterns, str) else patterns:
            parse_pattern(pattern)


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_says_how_to_run_it_and_holds_no_path_of_ours(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.startswith("# ")
    assert f"driftfield train recipes/{path.name} --out runs/{path.stem}" in text
    archive = str(read_recipe(path).content["data"]["archive"])
    assert archive.startswith(("runs/", "$DRIFTFIELD_DATA/"))


@pytest.mark.parametrize("path", [p for p in RECIPES if "diffusion" in p.stem], ids=lambda path: path.stem)
def test_a_model_learns_from_the_split_of_its_peers(path: Path) -> None:
    own = read_recipe(path).data
    for peer in RECIPES:
        if peer.stem.partition("_")[0] == path.stem.partition("_")[0]:
            other = read_recipe(peer).data
            assert (other["archive"], other["split"]) == (own["archive"], own["split"])
            # a prior draws more than its peers are asked for
            assert other["targets"] == own["targets"] or "prior" in peer.stem

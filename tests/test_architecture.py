"""Data only falls: the floors of the design are a contract that a machine checks."""

import ast
import inspect
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from driftfield.data.codec import FieldCodec
from driftfield.data.sources import GriddedArchive
from driftfield.interfaces import Archive, Codec

ROOT = Path(__file__).parents[1]


def test_the_floor_contract_is_kept() -> None:
    command = Path(sys.executable).parent / "lint-imports"
    run = subprocess.run(
        [str(command), "--config", str(ROOT / "pyproject.toml"), "--no-cache"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr


def test_no_pickle_and_no_eval() -> None:
    """Weights are safetensors, recipes are names: nothing in the package can run what a file says."""
    forbidden = ("import pickle", "torch.load(", "yaml.load(", " eval(", " exec(", "allow_pickle=True", "weights_only")
    for path in (ROOT / "src" / "driftfield").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        found = [word for word in forbidden if word in text]
        assert not found, f"{path.name} uses {found}"


@pytest.mark.parametrize(("noun", "of"), [(Codec, FieldCodec), (Archive, GriddedArchive)])
def test_a_noun_is_what_a_class_has(noun: type, of: type) -> None:
    """Names, parameters and their order; the class may have more."""
    for name, member in vars(noun).items():
        if name.startswith("_"):
            continue
        if isinstance(member, property):
            assert name in {*vars(of), *vars(of).get("__annotations__", {})}, f"{of.__name__} has no {name}"
            continue
        asked = list(inspect.signature(member).parameters)
        has = [n for n, p in inspect.signature(getattr(of, name)).parameters.items() if p.kind is not p.KEYWORD_ONLY]
        assert has == asked, f"{of.__name__}.{name} takes {has}, the noun says {asked}"


@pytest.mark.parametrize("page", ["ARCHITECTURE.md", "CONTRIBUTING.md"])
def test_every_path_that_is_named_exists(page: str) -> None:
    """A file or a room in backticks lies in the package, or beside it; a dotted name is one that can be reached."""
    text = (ROOT / page).read_text(encoding="utf-8")
    package = ROOT / "src" / "driftfield"
    # a path has a slash or a suffix, and no capitals, which stand for what the reader fills in
    paths = [word for word in re.findall(r"`([a-z0-9_/]+(?:\.py|\.md|\.toml)?)`", text) if "/" in word or "." in word]
    assert len(paths) > 8
    lacking = [path for path in paths if not (package / path).exists() and not (ROOT / path).exists()]
    assert not lacking, f"{page} names {lacking}"
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", text) if "://" not in link]
    assert not [link for link in links if not (ROOT / link).exists()]


def test_every_room_stands_in_architecture() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    plan = text.split("## Rooms and floors")[1].split("```")[1]
    package = ROOT / "src" / "driftfield"
    rooms = {path.stem for path in package.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    assert {room for room in rooms if not room.startswith("__") and not re.search(rf"\b{room}\b", plan)} == set()


def definitions() -> Counter[str]:
    """How often each class name stands in the package, at the top of a module."""
    counted: Counter[str] = Counter()
    for path in (ROOT / "src" / "driftfield").rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        counted.update(node.name for node in tree.body if isinstance(node, ast.ClassDef) and node.name[0] != "_")
    return counted


def test_a_class_name_stands_for_one_class() -> None:
    """But for a noun and the base class of its members, which is that noun for all who import it."""
    nouns = {"Sampler", "Schedule"}
    assert {name for name, times in definitions().items() if times > 1} <= nouns


FUNCTION_WORDS = {"found", "given", "kept", "one", "own", "told"}


def test_variables_can_be_searched_for() -> None:
    """A name that is a function word is used in two lines of a function at most."""
    everywhere = []
    for path in (ROOT / "src" / "driftfield").rglob("*.py"):
        for function in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(function, ast.FunctionDef):
                continue
            lines: dict[str, set[int]] = {}
            for node in ast.walk(function):
                name = node.id if isinstance(node, ast.Name) else node.arg if isinstance(node, ast.arg) else None
                if name in FUNCTION_WORDS:
                    lines.setdefault(name, set()).add(node.lineno)
            everywhere += [f"{path.name}: {function.name}: {name}" for name, where in lines.items() if len(where) > 2]
    assert not everywhere

"""Data only falls: the floors of the design are a contract that a machine checks."""

import inspect
import os
import subprocess
import sys
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

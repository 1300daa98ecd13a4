"""Data only falls: the floors of the design are a contract that a machine checks."""

import os
import subprocess
import sys
from pathlib import Path

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

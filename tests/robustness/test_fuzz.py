"""Whatever is handed in: one line that names the culprit, exit code 2, no traceback, and everything as it was."""

import hashlib
import shutil
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import malformed_files
import malformed_settings
import malformed_values
import numpy as np
import pytest
from malformed import KINDS, LISTS, Case, write_good_inputs

from driftfield.cli import main

SEEDS = 6
LONGEST = 1500
"""Characters of a message that somebody still reads."""

pytest.importorskip("lightning")


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Sound inputs; nobody has changed them in the end."""
    folder = tmp_path_factory.mktemp("good")
    write_good_inputs(folder)
    before = content(folder)
    yield folder
    assert content(folder) == before


def content(folder: Path) -> dict[str, str]:
    """Every file below a folder, by what it holds."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "folder"
        for path in sorted(folder.rglob("*"))
    }


def outputs(place: Path, good: Path) -> None:
    """What stands already where the commands write."""
    (place / "out.nc").write_bytes(b"mine")
    (place / "out.zarr").mkdir()
    (place / "out.zarr" / "mine").write_text("mine")
    (place / "report").mkdir()
    (place / "report" / "mine").write_text("mine")
    shutil.copytree(good / "peer", place / "run")


def refused(case: Case, place: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    """Runs the command: everything that a malformed input must and must not do."""
    monkeypatch.chdir(place)
    monkeypatch.setattr(sys, "argv", ["driftfield", *case.arguments])
    before = content(place)
    capfd.readouterr()
    with pytest.raises(SystemExit) as end:
        main()
    said = capfd.readouterr().err
    line = said.strip().splitlines()[-1] if said.strip() else "nothing was said"
    shown = f"driftfield {' '.join(case.arguments)}\n{said[:3000]}"
    log = place / "driftfield-error.log"
    assert end.value.code == 2, shown + (log.read_text()[-3000:] if log.exists() else "")
    assert "Traceback" not in said, shown
    assert line.startswith("driftfield: "), shown
    assert len(line) < LONGEST, shown
    for word in case.culprits:
        assert any(one in line for one in word.split("|")), shown
    assert content(place) == before, shown


CASES = [(name, seed) for seed in range(SEEDS) for name in sorted(KINDS)]
LISTED = [(name, number) for name, entries in sorted(LISTS.items()) for number in range(len(entries))]


def test_there_are_enough_kinds() -> None:
    assert {malformed_files.__name__, malformed_settings.__name__, malformed_values.__name__} <= set(sys.modules)
    assert len(KINDS) >= 15
    assert len(CASES) >= 200


@pytest.mark.parametrize(
    ("name", "seed"), [pytest.param(*case, marks=[pytest.mark.slow] if case[1] else []) for case in CASES]
)
def test_malformed_input(
    name: str,
    seed: int,
    good: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    outputs(tmp_path, good)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        case = KINDS[name](np.random.default_rng([sorted(KINDS).index(name), seed]), tmp_path, good)
    refused(case, tmp_path, monkeypatch, capfd)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "number"), LISTED)
def test_every_entry_of_a_list(
    name: str,
    number: int,
    good: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    outputs(tmp_path, good)
    refused(LISTS[name][number](good), tmp_path, monkeypatch, capfd)

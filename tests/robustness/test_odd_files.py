"""Odd files of every kind, changed at random, met by any command: read, or refused in one line; never an internal error.

DRIFTFIELD_FUZZ=2000 DRIFTFIELD_FUZZ_FROM=0 pytest tests/robustness/test_odd_files.py     as many, from that seed on
"""

import os
import re
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from malformed import write_good_inputs
from odd_files import CHANGES, odd
from test_fuzz import content, outputs

from driftfield.cli import main

pytest.importorskip("lightning")

FIRST = int(os.environ.get("DRIFTFIELD_FUZZ_FROM", "0"))
NUMBER = int(os.environ.get("DRIFTFIELD_FUZZ", "64"))
LONGEST = 2500
LIBRARY = re.compile(r"Traceback|internal error|\w+Warning\b|site-packages|lib/python")
"""What only a library says."""


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("good")
    write_good_inputs(folder)
    return folder


def test_every_kind_is_among_the_changes() -> None:
    assert len(CHANGES) >= 25


@pytest.mark.parametrize(
    "seed",
    [pytest.param(seed, marks=[] if seed % 4 == 0 else [pytest.mark.slow]) for seed in range(FIRST, FIRST + NUMBER)],
)
def test_an_odd_file_is_read_or_refused(
    seed: int, good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    outputs(tmp_path, good)
    monkeypatch.chdir(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        arguments = odd(np.random.default_rng([2026, seed]), tmp_path, good)
    before = content(tmp_path)
    monkeypatch.setattr(sys, "argv", ["driftfield", *arguments])
    capfd.readouterr()
    code = 0
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        try:
            main()
        except SystemExit as end:
            code = int(end.code or 0)
    said = capfd.readouterr().err
    shown = f"seed {seed}: driftfield {' '.join(arguments)}\n{said[-3000:]}"
    log = tmp_path / "driftfield-error.log"
    assert code in (0, 2), shown + (log.read_text()[-4000:] if log.exists() else "")
    assert not LIBRARY.search(said), shown
    if code == 2:
        line = said.strip().splitlines()[-1]
        assert line.startswith(("driftfield: ", "Usage", "Error")) or "╰" in line, shown
        assert len(line) < LONGEST, shown
        assert content(tmp_path) == before, shown

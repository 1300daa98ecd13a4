"""Every kind of `docs/reading-real-files.md` has a row there and generated members in the tests: fifteen each, 400 in all."""

import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

HERE = Path(__file__).parent
PAGE = HERE.parent / "docs" / "reading-real-files.md"
KINDS = {
    1: "gridded/test_measures.py|gridded/test_one_unit.py",
    2: "gridded/test_removal.py",
    3: "gridded/test_sentinels.py",
    4: "data/test_generated_axes.py::test_(horizontal|vertical|a_variable|pressure|what_is_no_depth)",
    5: "data/test_two_dimensional_grids.py|observations/test_places_on_any_grid.py",
    6: "data/test_generated_axes.py::test_(dates|one_date|a_time)|data/test_sources.py::test_(calendars|hours)",
    7: "gridded/test_flags.py|gridded/test_acceptance.py|data/test_observation_files.py::test_a_missing_error",
    8: "gridded/test_domains.py",
    9: "gridded/test_copies.py",
    10: "gridded/test_fingerprint.py",
    11: "observations/test_tables_of_others.py|observations/readers/test_outliers.py",
    12: "data/test_observation_files.py::test_nothing",
    13: "data/test_generated_axes.py::test_axes_that_differ_by_rounding",
    14: "gridded/test_stores.py",
}
"""Where the cases of each kind are: the beginnings of their names, below `tests`."""


@pytest.mark.slow
def test_every_kind_has_its_cases() -> None:
    files = sorted({part for where in KINDS.values() for part in re.findall(r"\w+/[\w/]*\w+\.py", where)})
    call = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-m", "", *(f"tests/{file}" for file in files)]
    found = subprocess.run(call, cwd=HERE.parent, capture_output=True, text=True, check=True).stdout
    cases = [line.removeprefix("tests/") for line in found.splitlines() if "::" in line]
    numbers = Counter(kind for kind, where in KINDS.items() for case in cases if re.match(where, case))
    assert min(numbers[kind] for kind in KINDS) >= 15, numbers
    assert sum(numbers.values()) >= 400, numbers


def test_every_kind_has_its_row() -> None:
    rows = re.findall(r"^\| (\d+) \| .+ \| .+ \|$", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert [int(row) for row in rows] == sorted(KINDS)

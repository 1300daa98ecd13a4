"""What every test may ask for: a tiny ocean, and the folder of real data where there is one."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import fewer_cases
import pytest
import torch
import xarray as xr

from driftfield.interfaces import TrainingData
from driftfield.testing import tiny_ocean, tiny_training_data

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """Real data: $DRIFTFIELD_DATA, else the folder `shared/data` beside the repository; the test is skipped without it."""
    beside = Path(__file__).parents[2] / "shared" / "data"
    folder = Path(os.environ.get("DRIFTFIELD_DATA", beside))
    if not folder.is_dir():
        pytest.skip(f"no real data: {folder} is no folder (set the environment variable DRIFTFIELD_DATA)")
    return folder


@pytest.fixture
def ocean() -> xr.Dataset:
    """A tiny ocean: thetao and sst, 30 times, 2 depths, 8 x 12 cells."""
    return tiny_ocean()


@pytest.fixture
def training_data() -> TrainingData:
    """The tiny ocean, divided in time."""
    return tiny_training_data()


@pytest.fixture
def few_cases() -> Iterator[None]:
    """Interpolation in space and time is tuned on four cases of every pattern."""
    with fewer_cases.few_cases():
        yield


@pytest.fixture
def without_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reports are written without their figures, which take most of the time: for tests of other parts of them."""
    monkeypatch.setattr("driftfield.evaluate.report.write_figures", lambda *arguments: [])


@pytest.fixture
def cf_complaints(tmp_path: Path) -> Callable[[Path], dict[str, list[str]]]:
    """What IOOS's compliance checker says of a file under CF 1.10: `errors` and `warnings`."""
    pytest.importorskip("compliance_checker", reason="pip install compliance-checker")
    from compliance_checker.runner import CheckSuite, ComplianceChecker

    CheckSuite.load_all_available_checkers()

    def check(path: Path) -> dict[str, list[str]]:
        report = tmp_path / "complaints.json"
        ComplianceChecker.run_checker(
            str(path), ["cf:1.10"], 0, "strict", output_filename=str(report), output_format="json"
        )
        found = json.loads(report.read_text(encoding="utf-8"))["cf:1.10"]
        parts = {"errors": "high_priorities", "warnings": "medium_priorities"}
        return {kind: [text for one in found[part] for text in one["msgs"]] for kind, part in parts.items()}

    return check


@pytest.fixture
def cdo() -> Callable[..., str]:
    """Climate Data Operators: the arguments in, what it says out; the test is skipped where it is not installed."""
    if shutil.which("cdo") is None:
        pytest.skip("no cdo here (Debian: apt install cdo)")

    def run(*arguments: str | Path) -> str:
        done = subprocess.run(["cdo", *map(str, arguments)], capture_output=True, text=True, timeout=60)
        return done.stdout + done.stderr

    return run

from collections.abc import Iterator
from pathlib import Path

import pytest
from commands import Command, hearing_all
from faulty_files import FaultyFiles, faulty_files


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Command:
    """`driftfield ARGUMENTS` in a folder of its own, which never waits for a service."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("driftfield.sources.fetching.LONGEST_WAIT", 0.0)
    return hearing_all(capsys)


@pytest.fixture
def files(tmp_path: Path) -> Iterator[FaultyFiles]:
    """A folder behind http:// that fails on purpose."""
    (tmp_path / "served").mkdir()
    with faulty_files(tmp_path / "served") as state:
        yield state

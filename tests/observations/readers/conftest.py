from collections.abc import Callable
from pathlib import Path

import pytest
from argo_files import write_argo


@pytest.fixture
def argo_file() -> Callable[..., Path]:
    """Writes an Argo file: `argo_file(path, version=, modes=, platform=, POSITION_QC=, ...)`."""
    return write_argo


@pytest.fixture
def argo(tmp_path: Path) -> Path:
    return write_argo(tmp_path / "6900001_prof.nc")

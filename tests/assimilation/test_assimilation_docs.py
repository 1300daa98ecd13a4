"""The notebooks in docs/assimilation.md run, and the observations guide."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import driftfield.runs
from driftfield.models.diffusion import DiffusionReconstructor
from driftfield.observations.table import ObservationTable

EXAMPLES = re.findall(
    r"```python\n(.*?)```",
    (Path(__file__).parents[2] / "docs" / "assimilation.md").read_text(encoding="utf-8"),
    flags=re.DOTALL,
)


@pytest.fixture
def notebook(exact: DiffusionReconstructor, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, Any]:
    """Where the examples run: a table, and a run with a known prior in the place of theirs."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(driftfield.runs, "load_reconstructor", lambda folder: exact)
    rng = np.random.default_rng(0)
    ObservationTable.of(
        longitude=rng.uniform(-39.5, -37.0, 12),
        latitude=rng.uniform(30.6, 32.3, 12),
        depth=rng.uniform(10, 40, 12),
        time="2001-03-05T09:00",
        variable="thetao",
        value=rng.normal(15, 1, 12),
        error=0.4,
        platform=[f"float {i // 2}" for i in range(12)],
    ).to_frame().to_csv("points.csv", index=False)
    return {}


def test_a_table_and_what_is_withheld(notebook: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    exec(compile(EXAMPLES[0], "assimilation.md", "exec"), notebook)
    assert "12 values read, 12 kept" in capsys.readouterr().out
    assert notebook["analysis"].fields.sizes["member"] == 16


def test_coarse_means_and_a_function_by_hand(notebook: dict[str, Any]) -> None:
    exec(compile(EXAMPLES[1], "assimilation.md", "exec"), notebook)
    run, unguided = notebook["run"], notebook["nothing_seen"](notebook["run"].codec, np.array([notebook["date"]]))
    misfits = []
    for fields in (notebook["fields"], run.reconstruct(unguided, members=8)):
        x = notebook["torch"].from_numpy(fields["thetao_member"].values[:, 0]).double()
        misfits.append((notebook["operator"](x) - notebook["y"]) / notebook["errors"])
    guided, free = misfits
    for part in (slice(0, -1), slice(-1, None)):
        size, before = (float(misfit[:, part].square().mean().sqrt()) for misfit in (guided, free))
        assert size < 2
        assert before > 4

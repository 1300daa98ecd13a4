"""Tutorials: each runs from its first cell to its last in an empty folder, prints, draws, and is on their page."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from site_modules import DOCS, site_module

TUTORIALS = sorted(path.stem for path in (DOCS / "tutorials").glob("*.py"))
COSTLY = {"argo_to_maps", "assimilation", "gappy_training", "own_cloudy_sst"}
"""A quarter of a minute and more: run when the site is built, or with DRIFTFIELD_WHOLE_GALLERY=1."""


@pytest.fixture(scope="module")
def notebooks() -> Any:
    """The module that runs them."""
    return site_module("notebooks")


@pytest.mark.slow
@pytest.mark.parametrize("name", TUTORIALS)
def test_a_tutorial_runs(name: str, notebooks: Any, tmp_path: Path) -> None:
    if name in COSTLY and not os.environ.get("DRIFTFIELD_WHOLE_GALLERY"):
        pytest.skip("run when the site is built, or with DRIFTFIELD_WHOLE_GALLERY=1")
    notebooks.build(DOCS / "tutorials" / f"{name}.py", tmp_path)
    page = (tmp_path / f"{name}.md").read_text(encoding="utf-8")
    assert page.startswith("# ")
    assert "```text" in page
    assert list(tmp_path.glob(f"{name}_*.png"))
    assert json.loads((tmp_path / f"{name}.ipynb").read_text(encoding="utf-8"))["nbformat"] == 4


def test_cells_text_code_commands_and_figures(notebooks: Any, tmp_path: Path) -> None:
    source = tmp_path / "short.py"
    source.write_text(
        "# %% [markdown]\n# # A page\n#\n# Text.\n\n# %%\nx = 2\nprint('heard')\nx + 1\n\n"
        "# %%bash\n# driftfield recipes  # lists them\n\n"
        "# %%\nfrom matplotlib.figure import Figure\n\nFigure()\n",
        encoding="utf-8",
    )
    notebooks.build(source, tmp_path / "out")
    page = (tmp_path / "out" / "short.md").read_text(encoding="utf-8")
    assert page.startswith("# A page\n\nText.\n\n```python\nx = 2\n")
    assert "```text\nheard\n3\n```" in page
    assert "```sh\ndriftfield recipes  # lists them\n```\n\n```text\n" in page
    assert "ocean_oi" in page
    assert "![figure](short_4.png)" in page


def test_a_cell_that_fails_is_named(notebooks: Any, tmp_path: Path) -> None:
    source = tmp_path / "bad.py"
    source.write_text("# %%bash\n# driftfield fill nowhere.nc --out a.nc\n", encoding="utf-8")
    with pytest.raises(RuntimeError, match=r"bad.py, cell 1[\s\S]*No file at nowhere.nc"):
        notebooks.build(source, tmp_path)


def test_every_tutorial_is_on_their_page() -> None:
    page = (DOCS / "tutorials" / "index.md").read_text(encoding="utf-8")
    for name in TUTORIALS:
        assert page.count(f"(../generated/tutorials/{name}.md)") == 1

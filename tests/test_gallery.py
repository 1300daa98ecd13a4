"""The gallery: scripts run and make their figures, each is on the page, and figures of old are not kept beside them.

All scripts are run when the site is built. Here run some that are cheap and touch most of the package;
DRIFTFIELD_WHOLE_GALLERY=1 runs every one.
"""

import ast
import os
import runpy
from pathlib import Path

import pytest

GALLERY = Path(__file__).parent.parent / "docs" / "gallery"
SCRIPTS = sorted(path.stem for path in GALLERY.glob("*.py"))
NEEDS_A_RUN = {"lorenz96_climate"}
HERE = {
    "altimeter_pass",
    "block_bootstrap",
    "calibration_pit",
    "downscaling",
    "kalman_exact",
    "random_fields",
    "sphere_fields",
    "tiles_without_seams",
}
"""Run with the other tests: the cheap ones that touch most of the package; the site runs all."""
COMMITTED = {"lorenz96_climate", "noise_cover"}
"""Figures that other pages show."""


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(SCRIPTS) - NEEDS_A_RUN))
def test_a_script_makes_its_figure(name: str, tmp_path: Path) -> None:
    if name not in HERE and not os.environ.get("DRIFTFIELD_WHOLE_GALLERY"):
        pytest.skip("run when the site is built, or with DRIFTFIELD_WHOLE_GALLERY=1")
    made = runpy.run_path(str(GALLERY / f"{name}.py"))["main"](tmp_path)
    assert made == tmp_path / f"{name}.png"
    assert made.read_bytes().startswith(b"\x89PNG")


def test_there_are_thirty_and_the_page_shows_every_one() -> None:
    page = (GALLERY / "README.md").read_text(encoding="utf-8")
    assert len(SCRIPTS) >= 30
    for name in SCRIPTS:
        assert page.count(f"| [{name}.py]({name}.py) | ") == 1
    assert page.count(".py](") == len(SCRIPTS)


def test_a_script_says_its_idea_first_and_how_it_is_run() -> None:
    for name in SCRIPTS:
        idea, _, rest = (
            ast.get_docstring(ast.parse((GALLERY / f"{name}.py").read_text(encoding="utf-8"))) or ""
        ).partition("\n")
        assert idea.endswith("."), name
        assert f"    python docs/gallery/{name}.py [FOLDER]" in rest, name


def test_committed_figures_are_those_that_other_pages_show() -> None:
    assert {path.stem for path in GALLERY.glob("*.png")} == COMMITTED

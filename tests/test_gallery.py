"""Every script of the gallery runs, makes its figure, and is shown on the page."""

import runpy
from pathlib import Path

import pytest

GALLERY = Path(__file__).parent.parent / "docs" / "gallery"
SCRIPTS = sorted(path.stem for path in GALLERY.glob("*.py"))
NEEDS_A_RUN = {"lorenz96_climate"}


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(SCRIPTS) - NEEDS_A_RUN))
def test_a_script_makes_its_figure(name: str, tmp_path: Path) -> None:
    made = runpy.run_path(str(GALLERY / f"{name}.py"))["main"](tmp_path)
    assert made == tmp_path / f"{name}.png"
    assert made.read_bytes().startswith(b"\x89PNG")


def test_the_page_shows_every_script() -> None:
    page = (GALLERY / "README.md").read_text(encoding="utf-8")
    assert SCRIPTS
    for name in SCRIPTS:
        assert f"[{name}.py]({name}.py)" in page
        assert f"({name}.png)" in page
        assert (GALLERY / f"{name}.png").exists()

"""The site: `make docs`, or `sphinx-build -W docs site`. Pages are Markdown; some are made by docs/site/generate.py."""

import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE / "site"), str(HERE.parent / "src")]

import figures  # noqa: E402
import generate  # noqa: E402

from driftfield import __version__  # noqa: E402

project = "Driftfield"
author = "The Driftfield developers"
copyright = "The Driftfield developers, Apache-2.0"
version = release = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build", "gallery/README.md"]
myst_heading_anchors = 4
html_theme = "furo"
html_title = f"Driftfield {release}"
html_show_sourcelink = False
autodoc_typehints = "none"
default_role = "code"
autodoc_member_order = "bysource"
suppress_warnings = ["misc.highlighting_failure", "myst.header"]


def _turn_links(app: object, page: str, source: list[str]) -> None:
    path = HERE / f"{page}.md"
    if not path.is_relative_to(generate.GENERATED):
        source[0] = generate.relinked(source[0], path, path)


def _escape(app: object, what: str, name: str, obj: object, options: object, lines: list[str]) -> None:
    if what != "attribute":
        lines[:] = generate.as_restructured(lines)


def _make(app: Any) -> None:
    if app.config.draw_gallery:
        seconds = figures.draw_all(print)
        print(f"gallery: {seconds:.0f} s")
    generate.write_all()


def setup(app: Any) -> None:
    """Draws the gallery, writes the generated pages, and turns links of the others that lead out of the site.

    `sphinx-build -D draw_gallery=0` leaves the scripts alone: pages then show those of the last time, or say so.
    """
    app.add_config_value("draw_gallery", True, "env", bool)
    app.connect("builder-inited", _make)
    app.connect("autodoc-process-docstring", _escape, priority=100)
    app.connect("source-read", _turn_links)

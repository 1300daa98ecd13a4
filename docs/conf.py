"""The site: `make docs`, or `sphinx-build -W docs site`. Pages are Markdown; some are made by docs/site/generate.py."""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE / "site"), str(HERE.parent / "src")]

import generate  # noqa: E402

from driftfield import __version__  # noqa: E402

project = "Driftfield"
author = "The Driftfield developers"
copyright = "The Driftfield developers, Apache-2.0"
version = release = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build"]
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


def setup(app: object) -> None:
    """Writes the generated pages, and turns links of the others that lead out of the site."""
    app.connect("builder-inited", lambda _: generate.write_all())  # type: ignore[attr-defined]
    app.connect("autodoc-process-docstring", _escape, priority=100)  # type: ignore[attr-defined]
    app.connect("source-read", _turn_links)  # type: ignore[attr-defined]

"""The site: every page can be reached, every class, argument and command is on its page, and it builds without a warning."""

import inspect
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from site_modules import DOCS, site_module

import driftfield
from driftfield.cli import app
from driftfield.registry import ROOMS, members, parameters_of
from driftfield.runs import shipped_runs


@pytest.fixture(scope="module")
def generate() -> object:
    """The module that makes pages."""
    return site_module("generate")


def test_every_page_is_in_the_table_of_contents() -> None:  # the page of the gallery is made anew, with figures
    entries: set[Path] = set()
    for page in [p for p in DOCS.rglob("*.md") if not {"_build", "generated"} & set(p.relative_to(DOCS).parts)]:
        for block in re.findall(r"```\{toctree\}\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
            for line in [line for line in block.splitlines() if line and not line.startswith(":")]:
                entries |= set(page.parent.glob(f"{line}.md"))
    pages = {p for p in DOCS.rglob("*.md") if not {"_build", "generated"} & set(p.relative_to(DOCS).parts)}
    assert {p.relative_to(DOCS).as_posix() for p in pages - entries} == {"index.md", "gallery/README.md"}


def test_every_public_function_is_on_the_page_of_python() -> None:
    shown = re.findall(r"autofunction:: (\w+)", (DOCS / "api.md").read_text(encoding="utf-8"))
    assert sorted(shown) == sorted(set(driftfield.__all__) - {"__version__"})


def test_every_class_and_argument_is_on_the_page_of_recipes(generate) -> None:  # type: ignore[no-untyped-def]
    page = generate.recipes()
    for kind in ROOMS:
        section = page.split(f"## {generate.title_of(kind)}\n")[1].split("\n## ")[0]
        for name, member in members(kind).items():
            if not member.__module__.startswith("driftfield."):
                continue  # a toy of another test of this process
            entry = section.split(f"### `{name}`\n")[1].split("\n### ")[0]
            for argument, parameter in parameters_of(member).items() if inspect.isclass(member) else ():
                if parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
                    row = next(line for line in entry.splitlines() if line.startswith(f"| `{argument}` | "))
                    assert row.split(" | ")[2].strip(" |"), f"{name}.{argument} says nothing"


def test_defaults_and_meanings_are_those_of_the_class(generate) -> None:  # type: ignore[no-untyped-def]
    entry = generate.recipes().split("### `OptimalInterpolation`\n")[1].split("\n### ")[0]
    assert "| `samples` | `150` | Past fields that enter the covariance. |" in entry
    assert generate.arguments_in(
        "Sum.\n\nArguments:\n    a, b: Metres,\n        of both.\n    c: Last.\n\nReturns:\n    d: no."
    ) == {
        "a": "Metres, of both.",
        "b": "Metres, of both.",
        "c": "Last.",
    }


def test_every_command_is_on_the_page_of_commands(generate) -> None:  # type: ignore[no-untyped-def]
    page = generate.commands()
    for command in app.registered_commands:
        name = command.name or command.callback.__name__  # type: ignore[union-attr]
        assert f"### `driftfield {name}`" in page
    assert "### `driftfield simulate ocean`" in page
    assert "| `--members` | `16` |" in page.split("### `driftfield reconstruct`")[1].split("###")[0]


def test_every_shipped_run_has_a_card(generate) -> None:  # type: ignore[no-untyped-def]
    page = generate.models()
    for name in shipped_runs():
        card = page.split(f"## `shipped:{name}`\n")[1].split("\n## ")[0]
        assert f"driftfield reconstruct shipped:{name} " in card, name
        assert len(card.splitlines()) > 5, name
    assert "## How they were made" in page


def test_links_are_turned_to_the_pages_of_the_site(generate) -> None:  # type: ignore[no-untyped-def]
    root, page = DOCS.parent, DOCS / "generated" / "architecture.md"
    text = "[a](docs/files.md#axes) [b](CHANGELOG.md) [c](tests/test_site.py) [d](https://x.org) ![e](docs/images/fill.png)"
    assert generate.relinked(text, root / "ARCHITECTURE.md", page) == (
        "[a](../files.md#axes) [b](changelog.md) c [d](https://x.org) ![e](docs/images/fill.png)"
    )


@pytest.mark.slow
@pytest.mark.skipif(
    find_spec("sphinx") is None or find_spec("myst_parser") is None or find_spec("furo") is None,
    reason="needs driftfield[docs]; `make docs` does the same",
)
def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    build = [
        sys.executable,
        "-m",
        "sphinx",
        "-W",
        "--keep-going",
        "-q",
        "-D",
        "draw_gallery=0",
        str(DOCS),
        str(tmp_path),
    ]
    done = subprocess.run(build, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "autofunction" not in (tmp_path / "api.html").read_text(encoding="utf-8")
    assert "driftfield fill" in (tmp_path / "index.html").read_text(encoding="utf-8")

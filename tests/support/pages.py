"""The commands that README and site show, taken out of their pages."""

__all__ = ["PAGES", "ROOT", "commands_of", "text_of"]

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    page.relative_to(ROOT).as_posix()
    for page in (ROOT / "README.md", *(ROOT / "docs").rglob("*.md"))
    if not {"generated", "_build", "decisions"} & set(page.parts)
)
"""Paths of the written pages."""


def text_of(page: str) -> str:
    """The whole page."""
    return (ROOT / page).read_text(encoding="utf-8")


def commands_of(text: str) -> Iterator[str]:
    """The lines of all blocks of the shell, without comments."""
    for block in re.findall(r"^ *```(?:sh|bash)\n(.*?)^ *```", text, re.DOTALL | re.MULTILINE):
        for line in block.replace("\\\n", " ").splitlines():
            for command in re.sub(r"(^|\s)#.*", "", line).split("&&"):
                if command.strip():
                    yield command.strip()

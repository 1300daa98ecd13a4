"""Every command that README and site show, in blocks and in the text, is parsed by the command line itself.

What stands in blocks is run besides, by test_pages_run.py and sources/test_page_of_sources.py; Python of the README, tutorials
and the examples of help have tests of their own.
"""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from pages import PAGES, ROOT, commands_of, text_of
from typer.main import get_command

from driftfield.cli import app

OTHERS = {"cd", "git", "make", "pip", "python"}
"""Programs that a page may call beside driftfield."""


def parse(line: str) -> None:
    """As the command line does; torchrun and the like are looked through."""
    words = shlex.split(line.replace("$(which driftfield)", "driftfield"))
    if "driftfield" not in words:
        assert words[0].split("/")[-1].removesuffix("3") in OTHERS or words[0] == ".", line
        for script in (word for word in words if word.startswith(("scripts/", "docs/", "benchmarks/"))):
            assert (ROOT / script).exists(), line
        return
    words = words[words.index("driftfield") + 1 :]
    command: Any = get_command(app)
    while words and words[0] in getattr(command, "commands", {}):
        command, words = command.commands[words[0]], words[1:]
    assert not hasattr(command, "commands"), f"no command of driftfield: {line}"
    command.make_context(command.name, words)


@pytest.mark.parametrize("page", PAGES)
def test_every_command_of_a_page_can_be_parsed(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = text_of(page)
    for line in commands_of(text):
        parse(line)
    for line in re.findall(r"`(driftfield [a-z][^`]*--[^`]*)`", text):
        if (
            "..." not in line
            and line == line.replace("[", "").replace("|", "")
            and not re.search(r"\b[A-Z]{2,}\b", line)
        ):
            parse(line)


@pytest.mark.parametrize(
    "line",
    ["driftfield fil a.nc", "driftfield fill a.nc --out b.nc --lenght-km 3", "rm -r x", "python scripts/none.py"],
)
def test_a_wrong_command_is_noticed(line: str) -> None:
    # click's own errors have no public name in every version of typer
    with pytest.raises(Exception, match=r"fil|lenght|rm|none"):
        parse(line)

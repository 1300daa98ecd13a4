"""Every command that README and site show: all are parsed by the command line itself, those that need nothing are run.

Run here is the README's first command; its Python, the tutorials and the examples of help have tests of their own. The other
blocks name files, runs or services that a test does not have: `NOT_RUN` says which pages, and why.
"""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from commands import succeed
from typer.main import get_command

from driftfield.cli import app

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted(
    page.relative_to(ROOT).as_posix()
    for page in (ROOT / "README.md", *(ROOT / "docs").rglob("*.md"))
    if not {"generated", "_build", "decisions"} & set(page.parts)
)
NOT_RUN = {
    "docs/assimilation.md": "runs of priors that take hours to train; its notebooks run in test_assimilation_docs.py",
    "docs/function-space.md": "minutes of turbulence; the commands are those of test_navier_stokes.py",
    "docs/index.md": "a file of the reader, and a viewer that stays open",
    "docs/mapping.md": "files of the reader; test_map_command.py runs the same",
    "docs/models/anyfield.md": "a training of days, and a file of the reader",
    "docs/newcomer.md": "a clone and an installation, as they went",
    "docs/observations.md": "files of the reader; test_gather_command.py runs the same",
    "docs/reading-real-files.md": "a file of the reader",
    "docs/scale.md": "several GPUs and machines",
    "docs/user-guide.md": "minutes of an ocean; test_cli.py goes the same way with a tiny one, and a test of its own downscales",
    "docs/sources.md": "the network; tests/sources runs them against recorded answers",
    "docs/at-home.md": "files of the reader",
}
RUN = {"README.md"}
OTHERS = {"cd", "git", "make", "pip", "python"}
"""Programs that a page may call beside driftfield."""


def commands_of(text: str) -> Iterator[str]:
    """The lines of all blocks of the shell, without comments."""
    for block in re.findall(r"^ *```(?:sh|bash)\n(.*?)^ *```", text, re.DOTALL | re.MULTILINE):
        for line in block.replace("\\\n", " ").splitlines():
            for command in re.sub(r"(^|\s)#.*", "", line).split("&&"):
                if command.strip():
                    yield command.strip()


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
    text = (ROOT / page).read_text(encoding="utf-8")
    for line in commands_of(text):
        parse(line)
    for line in re.findall(r"`(driftfield [a-z][^`]*--[^`]*)`", text):
        if (
            "..." not in line
            and line == line.replace("[", "").replace("|", "")
            and not re.search(r"\b[A-Z]{2,}\b", line)
        ):
            parse(line)


def test_every_page_with_commands_is_run_or_says_why_not() -> None:
    with_commands = {page for page in PAGES if any(commands_of((ROOT / page).read_text(encoding="utf-8")))}
    assert with_commands <= set(NOT_RUN) | RUN


@pytest.mark.parametrize(
    "line",
    ["driftfield fil a.nc", "driftfield fill a.nc --out b.nc --lenght-km 3", "rm -r x", "python scripts/none.py"],
)
def test_a_wrong_command_is_noticed(line: str) -> None:
    # click's own errors have no public name in every version of typer
    with pytest.raises(Exception, match=r"fil|lenght|rm|none"):
        parse(line)


@pytest.mark.slow
def test_the_first_command_of_the_readme_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    line = next(commands_of((ROOT / "README.md").read_text(encoding="utf-8")))
    assert line.startswith("driftfield fill shipped:sst_scene --out filled.nc")
    # one method in place of all: that they are tried is tested with smaller files
    succeed(*shlex.split(line)[1:], "--method", "linear")
    assert {"filled.nc", "filled.png", "filled.recipe.yaml"} <= {path.name for path in tmp_path.iterdir()}

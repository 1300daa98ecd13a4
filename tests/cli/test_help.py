"""The help groups every command by what it is for, and `doctor` says what is installed."""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import requires
from typing import Any

import pytest
from packaging.requirements import Requirement
from typer.main import get_command
from typer.testing import CliRunner

from driftfield import __version__
from driftfield.cli import app
from driftfield.cli.doctor import _extras, _state_of
from driftfield.cli.shared import Job


def test_every_command_has_a_job() -> None:
    jobs = [command.rich_help_panel for command in app.registered_commands]
    assert set(jobs) == set(Job)
    assert jobs == sorted(jobs, key=list(Job).index)  # type: ignore[arg-type]


def _leaves(command: Any) -> Iterator[Any]:
    """All commands, those of a group too."""
    for below in getattr(command, "commands", {}).values():
        yield from _leaves(below) if hasattr(below, "commands") else [below]


@pytest.mark.parametrize("command", list(_leaves(get_command(app))), ids=lambda command: command.name)
def test_every_help_has_an_example_that_can_be_parsed(command: Any) -> None:
    example = re.search(r"Example: driftfield (.*)", command.help, re.DOTALL)
    assert example, f"{command.name} shows no example"
    words = shlex.split(example[1])
    assert command.name in words[:2]
    command.make_context(command.name, words[words.index(command.name) + 1 :])


def test_the_help_shows_the_jobs_in_order() -> None:
    shown = CliRunner().invoke(app, ["--help"], terminal_width=100).output
    places = [shown.find(f" {job.value} ") for job in Job]
    assert min(places) > 0
    assert places == sorted(places)


def test_a_shell_completes_commands_and_options() -> None:
    def completed(words: str) -> str:
        code = "import sys; from driftfield.cli import main; sys.argv = ['driftfield']; main()"
        asked = {"_DRIFTFIELD_COMPLETE": "complete_zsh", "_TYPER_COMPLETE_ARGS": words}
        done = subprocess.run(
            [sys.executable, "-c", code], env=os.environ | asked, capture_output=True, text=True, check=False
        )
        return done.stdout

    assert "reconstruct" in completed("driftfield rec")
    assert "--members" in completed("driftfield reconstruct --mem")


def test_doctor_says_what_is_here_and_what_each_extra_needs() -> None:
    done = CliRunner().invoke(app, ["doctor"])
    assert done.exit_code == 0
    assert done.output.startswith(f"driftfield {__version__}, Python 3.")
    for text in requires("driftfield") or ():
        requirement = Requirement(text)
        if requirement.name != "driftfield":
            assert re.search(rf"\b{re.escape(requirement.name)} (\d|MISSING)", done.output), requirement.name
    assert re.search(r"devices: cpu.*threads.*GiB of memory", done.output)


@pytest.mark.parametrize(
    ("requirement", "said"),
    [
        ("numpy>=1", r"numpy \d\S*$"),
        ("numpy<1", r"numpy \S+ \(EXPECTED <1\)$"),
        ("no-such-thing>=2", "no-such-thing MISSING$"),
    ],
)
def test_what_is_missing_or_too_old_is_said(requirement: str, said: str) -> None:
    assert re.fullmatch(said, _state_of(Requirement(requirement)))


@pytest.mark.parametrize("extra", ["wandb", "film", "train"])
def test_an_extra_is_known_by_its_whole_name(extra: str) -> None:
    assert _extras(Requirement(f"anything>=1; extra == '{extra}'")) == [extra]


UNITS = {
    r".*km": r"\bkm\b",
    r".*days": r"\b[Dd]ays\b",
    r"error|noise|wet|perturb": r"units of the variable",
    r"depth|levels|max_gap|surface": r"\b([Mm]etres|m)\b",
    r"level": r"\bhPa\b",
    r"region|box|in_box|places": r"\bdegrees\b",
    r"hours": r"\bUTC\b",
    r"every|step|steps|spin_up": r"\b([Dd]egrees|5D|[Tt]ime steps?|States|Step at which|same units|units of the equations)\b",
    r"smooth|overlap|tile": r"\b([Cc]ells|columns)\b",
}
"""Name of an option -> what its help has to say."""


@pytest.mark.parametrize("command", list(_leaves(get_command(app))), ids=lambda command: command.name)
def test_what_has_a_unit_says_it(command: Any) -> None:
    for option in command.params:
        for names, unit in UNITS.items():
            if option.param_type_name == "option" and re.fullmatch(names, option.name):
                assert re.search(unit, option.help), f"{command.name} --{option.name}: {option.help}"

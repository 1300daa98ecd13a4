"""`driftfield ARGUMENTS` in this process, as a user types it."""

__all__ = ["Command", "Done", "Doing", "exit_code", "hearing_all", "hearing_apart", "hearing_errors", "succeed"]

import sys
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from driftfield.cli import main

Command = Callable[..., tuple[int, str]]
"""Arguments -> exit code, and what it says."""


@dataclass
class Done:
    """How a command ended, and what it said where."""

    code: int
    out: str
    err: str


Doing = Callable[..., Done]
"""Arguments -> how it ended."""


def exit_code(*arguments: object) -> int:
    """Of the command with these arguments."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["driftfield", *map(str, arguments)])
        try:
            main()
        except SystemExit as end:
            return end.code if isinstance(end.code, int) else int(bool(end.code))
    return 0


def succeed(*arguments: object) -> None:
    """The command, which has to."""
    assert exit_code(*arguments) == 0, arguments


def hearing_all(capsys: pytest.CaptureFixture[str]) -> Command:
    """Hears what goes to both streams."""

    def run(*arguments: object) -> tuple[int, str]:
        capsys.readouterr()
        code = exit_code(*arguments)
        heard = capsys.readouterr()
        return code, heard.out + heard.err

    return run


def hearing_errors(capsys: pytest.CaptureFixture[str]) -> Command:
    """Hears what goes to stderr."""

    def run(*arguments: object) -> tuple[int, str]:
        capsys.readouterr()
        code = exit_code(*arguments)
        return code, capsys.readouterr().err.strip()

    return run


def hearing_apart(capfd: pytest.CaptureFixture[str]) -> Doing:
    """Hears both streams, each by itself, also what libraries write there."""

    def run(*arguments: object) -> Done:
        capfd.readouterr()
        code = exit_code(*arguments)
        heard = capfd.readouterr()
        return Done(code, heard.out, heard.err)

    return run

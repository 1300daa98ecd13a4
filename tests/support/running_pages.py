"""One command of a page, run as a shell would: words, globs, smaller numbers where the page would take hours."""

__all__ = ["Stage", "run_line"]

import _thread
import re
import runpy
import shlex
import shutil
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from glob import glob
from pathlib import Path
from threading import Thread
from urllib.request import urlopen

import pytest
from commands import exit_code
from page_files import make
from training_together import command


@dataclass(frozen=True)
class Stage:
    """What a page needs to be run.

    Arguments:
        files: Names of `page_files.MAKERS` that lie in the folder before the first command.
        smaller: Regular expression -> text that stands in a command in its place.
        left_out: Beginning of a command that is not run -> why, and which test runs its like.
        replaced: Beginning of a command -> name of `page_files.MAKERS`: a smaller file in place of what it wrote.
        processes: Beginning of a command -> on how many processes it runs, as a launcher starts them.
        more: Options behind every command of `driftfield` that does not have them.
    """

    files: tuple[str, ...] = ()
    smaller: Mapping[str, str] = field(default_factory=dict)
    left_out: Mapping[str, str] = field(default_factory=dict)
    replaced: Mapping[str, str] = field(default_factory=dict)
    processes: Mapping[str, int] = field(default_factory=dict)
    more: str = ""


def run_line(line: str, stage: Stage) -> bool:
    """Runs a command in the folder that is current, which has to succeed; whether it was run at all."""
    if any(line.startswith(beginning) for beginning in stage.left_out):
        return False
    typed = line
    for pattern, text in stage.smaller.items():
        typed = re.sub(pattern, text, typed)
    program, *words = _expanded(typed)
    if program == "python":
        _run_script(words)
        return True
    assert program == "driftfield", f"who runs {line}?"
    if stage.more and stage.more.split()[0] not in words:
        words += stage.more.split()
    out = Path(words[words.index("--out") + 1]) if "--out" in words else None
    if out is not None and out.exists():
        words.append("--overwrite")  # the page shows other ways to the same file
    many = next((count for beginning, count in stage.processes.items() if typed.startswith(beginning)), 1)
    browser = _Browser()
    with pytest.MonkeyPatch.context() as patch, _keyboard():
        patch.setattr("webbrowser.open", browser.open)
        codes = command(Path.cwd(), words, many) if many > 1 else [exit_code(*words)]
    assert not any(codes), typed
    assert browser.statuses == [200] * browser.asked, typed
    assert out is None or out.exists(), typed
    for beginning, name in stage.replaced.items():
        if line.startswith(beginning):
            shutil.rmtree(name) if Path(name).is_dir() else Path(name).unlink()
            make(Path.cwd(), name)
    return True


def _expanded(line: str) -> list[str]:
    """Words as a shell hands them over: what is quoted stays as it is."""
    words: list[str] = []
    for word in shlex.split(line, posix=False):
        plain = shlex.split(word)[0]
        words += sorted(glob(word)) if plain == word and glob(word) else [plain]
    return words


def _run_script(words: list[str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", words)
        runpy.run_path(words[0], run_name="__main__")


@contextmanager
def _keyboard() -> Iterator[None]:
    """Ctrl-C means what it means in a terminal, also in tests that were started in the background, where it is ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


class _Browser:
    """In place of a browser: asks for the page, then presses Ctrl-C."""

    def __init__(self) -> None:
        self.asked, self.statuses = 0, list[int]()

    def open(self, address: str) -> None:
        """As `webbrowser.open`."""
        self.asked += 1
        Thread(target=self._look, args=(address.partition("#")[0],), daemon=True).start()

    def _look(self, page: str) -> None:
        try:
            with urlopen(page, timeout=30) as answer:
                self.statuses.append(answer.status)
        finally:
            _thread.interrupt_main()

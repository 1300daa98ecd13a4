"""The command line, one file a command: a new one in this folder is found by itself.

Bad input ends with exit code 2 and one readable message; an error of our own ends with 1, and keeps its traceback in a log
file. Heavy libraries are imported inside the commands, so that `--help` answers at once.
"""

__all__ = ["app", "main"]

import logging
import platform
import re
import shlex
import sys
import tempfile
import traceback
from datetime import UTC, datetime
from pathlib import Path

from driftfield import __version__
from driftfield.cli.shared import app, by_job
from driftfield.errors import UserError, visible
from driftfield.files import cannot_look_up
from driftfield.registry import discover

discover(__name__)
app.registered_commands.sort(key=by_job)

LOG = "driftfield-error.log"
"""Where an error of our own leaves its traceback."""


def main() -> None:
    """Entry point: turns a `UserError` into one line and exit code 2, anything else into a log and exit code 1."""
    try:
        _run()
    except UserError as error:
        logging.getLogger(__name__).debug("bad input", exc_info=True)
        print(f"driftfield: {_one_line(error)}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("driftfield: interrupted; what was finished is kept.", file=sys.stderr)
        sys.exit(130)
    except Exception as error:
        logging.getLogger(__name__).debug("internal error", exc_info=True)
        said = f"internal error: {type(error).__name__}: {_one_line(error)}"
        print(f"driftfield: {said}. {_kept_traceback()}. Please report it.", file=sys.stderr)
        sys.exit(1)


def _run() -> None:
    try:
        app()
    except OSError as error:
        if (wrong_name := cannot_look_up(error)) is not None:
            raise wrong_name from error
        raise


def _one_line(error: BaseException) -> str:
    """What an error says, without the line breaks of a library, and without the bulk of what a file holds."""
    text = visible(" ".join(str(error).split()))
    text = re.sub(r"(?<!\w)'([^']*)'(?!\w)", lambda quoted: _quoted(quoted[1]), text)
    return text if len(text) <= 1000 else f"{text[:700]} ... {text[-290:]}"


def _quoted(text: str) -> str:
    return f"'{text}'" if len(text) <= 160 else f"'{text[:40]}...'"


def _kept_traceback() -> str:
    """Adds the traceback in the works to a log, here or in the folder for temporary files; says where."""
    text = (
        f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} driftfield {__version__}, Python {platform.python_version()}, "
        f"{platform.platform()}\n{shlex.join(sys.argv)}\n{traceback.format_exc()}\n"
    )
    for folder in (Path.cwd(), Path(tempfile.gettempdir())):
        try:
            with (folder / LOG).open("a", encoding="utf-8", errors="backslashreplace") as file:
                file.write(text)
        except OSError:
            continue
        return f"The traceback is in {folder / LOG}"
    return "The traceback could not be written anywhere: use --verbose to see it"

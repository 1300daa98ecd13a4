"""The command line: `driftfield simulate | mask | train | reconstruct | evaluate | diagnose | demo`, one file each.

Bad input ends with exit code 2 and one readable message; an error of our own ends with 1. Heavy libraries are imported inside
the commands, so that `--help` answers at once.
"""

__all__ = ["app", "main"]

import logging
import sys

from driftfield.cli import demo, diagnose, evaluate, mask, reconstruct, simulate, train  # noqa: F401 - register themselves
from driftfield.cli.shared import app
from driftfield.errors import UserError


def main() -> None:
    """Entry point: turns a `UserError` into one line and exit code 2."""
    try:
        app()
    except UserError as error:
        # messages that quote a library may hold line breaks
        print(f"driftfield: {' '.join(str(error).split())}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("driftfield: interrupted; what was finished is kept.", file=sys.stderr)
        sys.exit(130)
    except Exception as error:
        logging.getLogger(__name__).debug("internal error", exc_info=True)
        print(f"driftfield: internal error: {type(error).__name__}: {error}. Please report it.", file=sys.stderr)
        sys.exit(1)

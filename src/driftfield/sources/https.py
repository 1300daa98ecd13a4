"""A piece over plain HTTPS: what is missing of it is asked for (Range: bytes=n-), and its length is checked."""

__all__ = ["carry_over_https"]

import http.client
import os
import urllib.error
import urllib.request
from pathlib import Path

from driftfield import __version__
from driftfield.errors import DataError
from driftfield.files import writing
from driftfield.sources.asked import Piece
from driftfield.sources.fetching import EMPTY, TryAgainError, seconds_asked, transient

TIMEOUT = 60.0
"""Seconds without an answer."""


def carry_over_https(piece: Piece, part: Path) -> None:
    """Adds to the part what is missing of it, see `fetching.Carrier`.

    Raises:
        TryAgainError: the service failed, or the line broke.
        DataError: the service refuses the request.
    """
    try:
        _ask(piece, part)
    except urllib.error.HTTPError as error:
        if error.code == 404 and piece.may_be_empty:
            part.write_bytes(EMPTY)
            return
        if error.code == 416:  # what is there is no beginning of it
            part.unlink(missing_ok=True)
            raise TryAgainError("status 416", seconds_asked(error.headers)) from error
        raise transient(error) or DataError(_refused(piece, error)) from error
    except (OSError, http.client.HTTPException) as error:
        raise TryAgainError(str(error) or type(error).__name__) from error


def _ask(piece: Piece, part: Path) -> None:
    begun = part.stat().st_size if part.exists() else 0
    headers = {"User-Agent": f"driftfield/{__version__}"} | ({"Range": f"bytes={begun}-"} if begun else {})
    request = urllib.request.Request(piece.url, headers=headers)
    with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
        goes_on = answer.status == 206
        expected = answer.headers.get("Content-Length")
        with writing(part), part.open("ab" if goes_on else "wb") as file:
            before = file.tell() if goes_on else 0
            while block := answer.read(1 << 16):
                file.write(block)
            file.flush()
            os.fsync(file.fileno())
            size = file.tell() - before
    if expected is not None and size != int(expected):
        raise ConnectionError(f"the line broke after {size} of {expected} bytes")


def _refused(piece: Piece, error: urllib.error.HTTPError) -> str:
    said = " ".join(error.read(600).decode("utf-8", "replace").split())[:300]
    return (
        f"{piece.url} was refused with status {error.code}: {said or error.reason}. Check region, dates and variables."
    )

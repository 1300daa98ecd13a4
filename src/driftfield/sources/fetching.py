"""URL -> file, in spite of a service that fails.

    NAME.part --Range: bytes=n- --> NAME.part, longer --length and kind checked--> NAME

A piece that broke off goes on where it ended, if the service can; statuses 429 and 5xx and broken lines are asked again after
1, 2, 4 ... seconds, or after what the service says (Retry-After). Others are the user's business, and end it at once.
"""

__all__ = ["EMPTY", "Fetcher"]

import http.client
import logging
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from driftfield import __version__
from driftfield.errors import DataError, FileFormatError
from driftfield.files import writing
from driftfield.sources.asked import Piece

log = logging.getLogger(__name__)

AGAIN = (429, 500, 502, 503, 504)
LONGEST_WAIT = 120.0
EMPTY = b"nothing in this box"
"""What a file holds that stands for an answer without a row."""
SIGNATURES = (b"CDF", b"\x89HDF", EMPTY[:4])


@dataclass(frozen=True)
class Fetcher:
    """Fetches pieces into a folder.

    Arguments:
        tries: For one piece, all in all.
        first_wait: Seconds before the second try; doubled for each further one.
        timeout: Seconds without an answer.
        sleep: Waits.
    """

    tries: int = 7
    first_wait: float = 1.0
    timeout: float = 60.0
    sleep: Callable[[float], None] = time.sleep

    def fetch(self, piece: Piece, folder: Path) -> Path:
        """The file of a piece; one that is there is not asked for again.

        Raises:
            DataError: the service refuses the request, or fails at every try.
            FileFormatError: the answer is no NetCDF file.
        """
        path, part = folder / piece.name, folder / f"{piece.name}.part"
        if path.exists():
            return path
        for attempt in range(1, self.tries + 1):
            try:
                self._ask(piece, part)
                break
            except urllib.error.HTTPError as error:
                if error.code == 404 and piece.may_be_empty:
                    part.write_bytes(EMPTY)
                    break
                if error.code == 416:  # what is there is no beginning of it
                    part.unlink(missing_ok=True)
                elif error.code not in AGAIN:
                    raise DataError(_refused(piece, error)) from error
                self._wait(piece, attempt, f"status {error.code}", error.headers.get("Retry-After"))
            except (OSError, http.client.HTTPException) as error:
                self._wait(piece, attempt, str(error) or type(error).__name__, None)
        else:
            raise DataError(
                f"{piece.url} failed {self.tries} times. What was fetched is kept: give the same command again later."
            )
        return _checked(part, path, piece)

    def _ask(self, piece: Piece, part: Path) -> None:
        """Adds to the part what is missing of it."""
        begun = part.stat().st_size if part.exists() else 0
        headers = {"User-Agent": f"driftfield/{__version__}"} | ({"Range": f"bytes={begun}-"} if begun else {})
        request = urllib.request.Request(piece.url, headers=headers)
        with urllib.request.urlopen(request, timeout=self.timeout) as answer:
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

    def _wait(self, piece: Piece, attempt: int, reason: str, asked: str | None) -> None:
        if attempt == self.tries:
            return
        stated = float(asked) if asked is not None and asked.isdecimal() else 0.0
        seconds = min(max(self.first_wait * 2 ** (attempt - 1), stated), LONGEST_WAIT)
        log.warning("%s: %s; asked again in %g s (try %d of %d)", piece.name, reason, seconds, attempt + 1, self.tries)
        self.sleep(seconds)


def _checked(part: Path, path: Path, piece: Piece) -> Path:
    with part.open("rb") as file:
        begin = file.read(4)
    if not begin.startswith(SIGNATURES):
        part.unlink()
        raise FileFormatError(
            f"The answer to {piece.url} is no NetCDF file: it begins with {begin!r}. Look at the address."
        )
    part.replace(path)
    return path


def _refused(piece: Piece, error: urllib.error.HTTPError) -> str:
    said = " ".join(error.read(600).decode("utf-8", "replace").split())[:300]
    return (
        f"{piece.url} was refused with status {error.code}: {said or error.reason}. Check region, dates and variables."
    )

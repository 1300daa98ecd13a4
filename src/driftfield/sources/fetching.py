"""Piece -> file, in spite of a service that fails.

    NAME.part --carrier: adds what is missing--> NAME.part, whole --kind checked--> NAME

Whoever carries a piece (`https`, or the client of a service) raises `TryAgainError` for what may be better later: statuses 429
and 5xx, broken lines. It is asked again after 1, 2, 4 ... seconds, or after what the service says (Retry-After). Others are the
user's business, and end it at once.
"""

__all__ = [
    "AGAIN",
    "EMPTY",
    "Carrier",
    "Fetcher",
    "TryAgainError",
    "client_errors",
    "public_fsspec",
    "seconds_asked",
    "transient",
]

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import Any

from driftfield.errors import DataError, FileFormatError, UserError, need
from driftfield.sources.asked import Piece

log = logging.getLogger(__name__)

AGAIN = (408, 429, 500, 502, 503, 504)
LONGEST_WAIT = 120.0
EMPTY = b"nothing in this box"
"""What a file holds that stands for an answer without a row."""
SIGNATURES = (b"CDF", b"\x89HDF", b"PAR1", EMPTY[:4])

Carrier = Callable[[Piece, Path], None]
"""Writes the answer to a piece into a file, or goes on with one that broke off."""


class TryAgainError(Exception):
    """A failure that may be none a little later.

    Arguments:
        reason: What happened.
        seconds: How long the service asks to wait.
    """

    def __init__(self, reason: str, seconds: float = 0.0) -> None:
        super().__init__(reason)
        self.reason, self.seconds = reason, seconds


@dataclass(frozen=True)
class Fetcher:
    """Fetches pieces into a folder.

    Arguments:
        carrier: Who asks the service; over HTTPS if not given.
        tries: For one piece, all in all.
        first_wait: Seconds before the second try; doubled for each further one.
        sleep: Waits.
    """

    carrier: Carrier | None = None
    tries: int = 7
    first_wait: float = 1.0
    sleep: Callable[[float], None] = time.sleep

    def fetch(self, piece: Piece, folder: Path) -> Path:
        """The file of a piece; one that is there is not asked for again.

        Raises:
            DataError: the service refuses the request, or fails at every try.
            FileFormatError: the answer is no file of data.
        """
        from driftfield.sources.https import carry_over_https

        path, part = folder / piece.name, folder / f"{piece.name}.part"
        if path.exists():
            return path
        carry = self.carrier or carry_over_https
        for attempt in range(1, self.tries + 1):
            try:
                carry(piece, part)
                break
            except TryAgainError as failure:
                self._wait(piece, attempt, failure)
        else:
            raise DataError(
                f"{piece.url} failed {self.tries} times. What was fetched is kept: give the same command again later."
            )
        return _checked(part, path, piece)

    def _wait(self, piece: Piece, attempt: int, failure: TryAgainError) -> None:
        if attempt == self.tries:
            log.warning("%s: %s", piece.name, failure.reason)
            return
        seconds = min(max(self.first_wait * 2 ** (attempt - 1), failure.seconds), LONGEST_WAIT)
        asked = (piece.name, failure.reason, seconds, attempt + 1, self.tries)
        log.warning("%s: %s; asked again in %g s (try %d of %d)", *asked)
        self.sleep(seconds)


def transient(error: BaseException) -> TryAgainError | None:
    """What a client library raised, if it may be better later: by the status behind it, or because a line broke.

    Arguments:
        error: Of any library; what caused it counts, too.
    """
    for cause in _causes(error):
        response = _stated(cause, "response")
        status = _stated(response, "status_code") or _stated(cause, "status", "code")
        if isinstance(response, dict):  # as botocore has it
            status = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        if isinstance(status, int) and 400 <= status < 600:
            headers = _stated(response, "headers") or _stated(cause, "headers") or {}
            return TryAgainError(f"status {status}", seconds_asked(headers)) if status in AGAIN else None
    for cause in _causes(error):
        lineage = {each.__name__ for each in type(cause).__mro__}
        if lineage & {"ConnectionError", "TimeoutError", "Timeout", "ClientConnectionError", "IncompleteRead"}:
            return TryAgainError(str(cause).splitlines()[0] if str(cause) else type(cause).__name__)
    return None


def _stated(thing: object, *names: str) -> Any:
    """What an error of somebody's library says under the first of some names that it knows; they agree on none."""
    known = (getattr(thing, name, None) for name in names)
    return next((value for value in known if value is not None), None)


def seconds_asked(headers: Message | Mapping[str, str]) -> float:
    """How long a service asks to wait (Retry-After, in seconds); 0 where it does not say."""
    stated = str(headers.get("Retry-After", ""))
    return float(stated) if stated.isdecimal() else 0.0


@contextmanager
def client_errors(refused: Callable[[Exception], str]) -> Iterator[None]:
    """What the client of a service raises in the block, as a `Carrier` raises it.

    Arguments:
        refused: What to tell the user of an error that will be no better later.

    Raises:
        TryAgainError: what may be better later, see `transient`.
        DataError: anything else; errors of our own stay as they are.
    """
    try:
        yield
    except TryAgainError:
        raise
    except Exception as error:  # each client has its own
        if (again := transient(error)) is not None:
            raise again from error
        if isinstance(error, UserError):
            raise
        raise DataError(refused(error)) from error


def public_fsspec(asker: str) -> Any:
    """fsspec, which reads public buckets without credentials unless its configuration asks for some.

    Arguments:
        asker: What needs it, for the message where it is not installed.
    """
    fsspec = need("fsspec", "remote", asker)
    fsspec.config.conf.setdefault("gcs", {}).setdefault("token", "anon")
    return fsspec


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    next_one: BaseException | None = error
    while next_one is not None and id(next_one) not in seen:
        seen.add(id(next_one))
        yield next_one
        next_one = next_one.__cause__ or next_one.__context__


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

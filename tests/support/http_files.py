"""A folder behind http://, with ranges of bytes as object stores have them, and a count of what was asked for."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from serving import QuietHandler, ranged, serving


@dataclass
class Served:
    """Where the folder is, and the bytes of every answer by name."""

    address: str
    answers: list[tuple[str, int]] = field(default_factory=list)

    def bytes_of(self, pattern: str) -> int:
        """Of the names that match."""
        return sum(size for name, size in self.answers if re.search(pattern, name))


@contextmanager
def served(folder: Path) -> Iterator[Served]:
    """Serves the files of a folder, and lists nothing."""
    here = Served("")

    class Handler(QuietHandler):
        def answer(self, *, with_body: bool) -> None:
            file = folder / self.path.lstrip("/")
            if not file.is_file():
                self.send_error(404)
                return
            status, content, more = ranged(file.read_bytes(), self.headers.get("Range"))
            self.send_response(status)
            for name, value in {**more, "Content-Length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            if with_body:
                here.answers.append((self.path, len(content)))
                self.wfile.write(content)

    with serving(Handler) as here.address:
        yield here

"""Files behind http:// that fail on purpose: by lists of statuses, with ranges of bytes, folders listed as pages of links."""

__all__ = ["FaultyFiles", "faulty_files"]

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from serving import QuietHandler, ranged, serving


@dataclass
class FaultyFiles:
    """A folder, what goes wrong before an answer is given, and what was asked.

    Arguments:
        folder: What is served.
        failures: Statuses of the next answers whose path matches `faulty`; 0 for none.
        faulty: Which answers can fail.
        posts: Answers to POST and GET by path, before the folder is looked at.
    """

    folder: Path
    failures: list[int] = field(default_factory=list)
    faulty: str = ""
    posts: dict[str, Callable[[Any], Any]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    url: str = ""


@contextmanager
def faulty_files(folder: Path) -> Iterator[FaultyFiles]:
    """Serves a folder."""
    state = FaultyFiles(folder)

    class Handler(QuietHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            self.answer(with_body=True, content=json.loads(body or b"{}"))

        def answer(self, *, with_body: bool, content: Any = None) -> None:
            path = unquote(urlsplit(self.path).path)
            state.asked.append(f"{self.command} {path}")
            state.headers.append(dict(self.headers))
            if re.search(state.faulty, path) and state.failures and (status := state.failures.pop(0)):
                self.send(status, b'{"title": "on purpose"}', "application/json", {"Retry-After": "3"}, with_body)
                return
            known = next((make for pattern, make in state.posts.items() if re.fullmatch(pattern, path)), None)
            file = state.folder / path.strip("/")
            if known is not None:
                made = known(content)
                status, body = made if isinstance(made, tuple) else (200, made)
                self.send(status, json.dumps(body).encode(), "application/json", {}, with_body)
            elif file.is_dir():
                links = "".join(f'<a href="{path.rstrip("/")}/{p.name}">{p.name}</a>' for p in sorted(file.iterdir()))
                self.send(200, links.encode(), "text/html", {}, with_body)
            elif file.is_file():
                self.send_file(file.read_bytes(), with_body)
            else:
                self.send(404, b"", "text/plain", {}, with_body)

        def send_file(self, body: bytes, with_body: bool) -> None:
            status, part, more = ranged(body, self.headers.get("Range"))
            self.send(status, part, "application/octet-stream", more, with_body)

        def send(self, status: int, body: bytes, kind: str, more: dict[str, str], with_body: bool) -> None:
            self.send_response(status)
            for name, value in {"Content-Type": kind, "Content-Length": str(len(body)), **more}.items():
                self.send_header(name, value)
            self.end_headers()
            if with_body:
                self.wfile.write(body)

    with serving(Handler) as state.url:
        yield state

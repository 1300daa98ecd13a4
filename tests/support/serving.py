"""A server of this machine while a block lasts."""

__all__ = ["QuietHandler", "ranged", "serving"]

import re
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread


class QuietHandler(BaseHTTPRequestHandler):
    """Logs nothing; HEAD and GET are answered alike, the one without a body."""

    def do_HEAD(self) -> None:
        self.answer(with_body=False)

    def do_GET(self) -> None:
        self.answer(with_body=True)

    def answer(self, *, with_body: bool) -> None:
        raise NotImplementedError

    def log_message(self, format: str, *arguments: object) -> None:
        pass


def ranged(body: bytes, header: str | None) -> tuple[int, bytes, dict[str, str]]:
    """Status, bytes and headers of an answer, cut to a header such as Range: bytes=10-19."""
    span, more = re.fullmatch(r"bytes=(\d+)-(\d*)", header or ""), {"Accept-Ranges": "bytes"}
    if span is None:
        return 200, body, more
    first, total = int(span[1]), len(body)
    part = body[first : int(span[2] or total - 1) + 1]
    return 206, part, more | {"Content-Range": f"bytes {first}-{first + len(part) - 1}/{total}"}


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """Its address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()

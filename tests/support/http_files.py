"""A folder behind http://, with ranges of bytes as object stores have them, and a count of what was asked for."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread


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

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.answer(with_body=False)

        def do_GET(self) -> None:
            self.answer(with_body=True)

        def answer(self, *, with_body: bool) -> None:
            file = folder / self.path.lstrip("/")
            if not file.is_file():
                self.send_error(404)
                return
            content, total = file.read_bytes(), file.stat().st_size
            asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
            if asked is not None:
                first = int(asked[1])
                content = content[first : int(asked[2] or total - 1) + 1]
                self.send_response(206)
                self.send_header("Content-Range", f"bytes {first}-{first + len(content) - 1}/{total}")
            else:
                self.send_response(200)
            self.send_header("Accept-Ranges", "bytes")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if with_body:
                here.answers.append((self.path, len(content)))
                self.wfile.write(content)

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    here.address = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield here
    finally:
        server.shutdown()
        server.server_close()

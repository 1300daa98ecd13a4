"""HTTP on the loopback: the page, and what it asks for, to whoever holds the token.

    GET /?token=T                the page
    GET /static/page.js          its parts, the same for everybody
    GET /api/files               names
    GET /api/about?file=         description
    GET /api/plane?file=&variable=&kind=&number=&time=&depth=    float32, then a byte per cell that exists
    GET /api/line?...&row=&column=&along=depth|time              JSON
    GET /api/section?...&row=&column=&to_row=&to_column=         JSON

The token is a header `X-Driftfield-Token` or the parameter `token`. A request that names another host than the loopback is
refused: no page of elsewhere reaches it through a name that it points here.
"""

__all__ = ["ViewerServer"]

import json
import logging
import secrets
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from urllib.parse import parse_qs, urlsplit

from driftfield.errors import ConfigurationError, UserError
from driftfield.plain import JSONObject
from driftfield.viewer.folder import OutsideError, ViewedFolder
from driftfield.viewer.viewed_file import PlaneChoice, ViewedFile

log = logging.getLogger(__name__)

LOOPBACK = "127.0.0.1"
STATIC = {
    "page.js": "text/javascript; charset=utf-8",
    "page.css": "text/css; charset=utf-8",
    "charts.js": "text/javascript; charset=utf-8",
}
ALWAYS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' blob: data:",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}


class ViewerServer(ThreadingHTTPServer):
    """Serves one folder on the loopback.

    Arguments:
        folder: What may be looked at.
        port: 0 for any free one.
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, folder: ViewedFolder, port: int = 0) -> None:
        self.folder, self.token = folder, secrets.token_urlsafe(24)
        super().__init__((LOOPBACK, port), _Handler)

    @property
    def url(self) -> str:
        """Of the page, with the token."""
        return f"http://{LOOPBACK}:{self.server_address[1]}/?token={self.token}"


class _Asked:
    """Parameters of a request."""

    def __init__(self, query: str) -> None:
        self._values = {name: values[-1] for name, values in parse_qs(query).items()}

    def text(self, name: str, default: str | None = None) -> str:
        value = self._values.get(name, default)
        if value is None:
            raise ConfigurationError(f"The request has no {name!r}: expected one.")
        return value

    def whole(self, name: str, default: str | None = None) -> int:
        text = self.text(name, default)
        if not text.isdecimal():
            raise ConfigurationError(f"Found {name}={text!r}: expected a whole number, 0 or more.")
        return int(text)

    def number(self, name: str) -> float | None:
        text = self._values.get(name)
        try:
            return None if text is None else float(text)
        except ValueError as error:
            raise ConfigurationError(f"Found {name}={text!r}: expected a number.") from error

    def choice(self) -> PlaneChoice:
        return PlaneChoice(
            self.text("variable"),
            self.text("kind", "mean"),
            self.whole("number", "0"),
            self._values.get("time"),
            self.number("depth"),
        )


class _Handler(BaseHTTPRequestHandler):
    """One connection; it answers GET alone."""

    protocol_version = "HTTP/1.1"
    server: ViewerServer

    def do_GET(self) -> None:
        """Answers, or says why not."""
        parts = urlsplit(self.path)
        try:
            self._answer(parts.path, _Asked(parts.query))
        except OutsideError as error:
            self._json({"error": str(error)}, HTTPStatus.FORBIDDEN)
        except UserError as error:
            self._json({"error": str(error)}, HTTPStatus.BAD_REQUEST)
        except (BrokenPipeError, ConnectionResetError):
            log.debug("the page went away")
        except Exception as error:
            log.exception("the request %s failed", parts.path)
            self._json({"error": f"internal error: {type(error).__name__}"}, HTTPStatus.INTERNAL_SERVER_ERROR)

    def _answer(self, path: str, asked: _Asked) -> None:
        if self.headers.get("Host", "").rpartition(":")[0] not in (LOOPBACK, "localhost"):
            self._json({"error": "another host"}, HTTPStatus.FORBIDDEN)
            return
        if path.startswith("/static/") and (name := path.removeprefix("/static/")) in STATIC:
            self._send(_part(name), STATIC[name])
            return
        shown = self.headers.get("X-Driftfield-Token") or asked.text("token", "")
        if not secrets.compare_digest(shown.encode(), self.server.token.encode()):
            self._json(
                {"error": "no token, or a wrong one: open the address that the command printed"}, HTTPStatus.FORBIDDEN
            )
            return
        if path == "/":
            self._send(_part("page.html"), "text/html; charset=utf-8")
        elif path == "/api/files":
            self._json({"files": self.server.folder.names(), "named": list(self.server.folder.named)})
        elif path in _ANSWERS:
            viewed = self.server.folder.open(asked.text("file"))
            with self.server.folder.lock:
                answer = _ANSWERS[path](viewed, asked)
            self._send(*answer)
        else:
            self._json({"error": f"nothing at {path}"}, HTTPStatus.NOT_FOUND)

    def _json(self, answer: JSONObject, status: HTTPStatus = HTTPStatus.OK) -> None:
        self._send(*_as_json(answer), status=status)

    def _send(
        self, body: bytes, kind: str, more: dict[str, str] | None = None, *, status: HTTPStatus = HTTPStatus.OK
    ) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(body)), **ALWAYS, **(more or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Into the log, without the token."""
        log.debug("%s %s", self.command, urlsplit(self.path).path)


Answer = tuple[bytes, str] | tuple[bytes, str, dict[str, str]]


def _as_json(answer: JSONObject) -> tuple[bytes, str]:
    return json.dumps(answer, allow_nan=False).encode(), "application/json"


def _plane(viewed: ViewedFile, asked: _Asked) -> Answer:
    values, inside, step = viewed.plane(asked.choice())
    shape = {"X-Rows": str(values.shape[0]), "X-Columns": str(values.shape[1]), "X-Step": str(step)}
    return values.tobytes() + inside.tobytes(), "application/octet-stream", shape


def _line(viewed: ViewedFile, asked: _Asked) -> Answer:
    place = asked.whole("row"), asked.whole("column")
    return _as_json(viewed.line(asked.choice(), *place, asked.text("along")))


def _section(viewed: ViewedFile, asked: _Asked) -> Answer:
    start, end = (asked.whole("row"), asked.whole("column")), (asked.whole("to_row"), asked.whole("to_column"))
    return _as_json(viewed.section(asked.choice(), start, end))


_ANSWERS: dict[str, Callable[[ViewedFile, _Asked], Answer]] = {
    "/api/about": lambda viewed, asked: _as_json(viewed.about),
    "/api/plane": _plane,
    "/api/line": _line,
    "/api/section": _section,
}


def _part(name: str) -> bytes:
    return (files("driftfield.viewer") / name).read_bytes()

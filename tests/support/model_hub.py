"""A stand-in of a model hub on this machine: what huggingface_hub asks of the service, answered from memory.

Repositories keep every commit; weights go the way of large files (LFS, plain transfer); a private
repository answers to TOKEN alone.
"""

__all__ = ["TOKEN", "ModelHub", "model_hub"]

import base64
import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlsplit

from serving import QuietHandler, serving

TOKEN = "hf_standin"


@dataclass
class Repository:
    """Commits in their order, each all files by name."""

    private: bool = False
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)

    def commit(self, files: dict[str, bytes]) -> str:
        """Adds one to the main branch."""
        text = f"{len(self.commits)}" + "".join(f"{n}{hashlib.sha256(b).hexdigest()}" for n, b in sorted(files.items()))
        name = hashlib.sha1(text.encode()).hexdigest()
        self.commits[name], self.refs["main"] = dict(files), name
        return name

    def at(self, revision: str) -> str | None:
        """The commit behind a name."""
        return self.refs.get(revision, revision if revision in self.commits else None)

    @property
    def files(self) -> dict[str, bytes]:
        """Of the main branch."""
        return self.commits[self.refs["main"]]


@dataclass
class ModelHub:
    """What it holds, and what it was asked."""

    repositories: dict[str, Repository] = field(default_factory=dict)
    large: dict[str, bytes] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    authorized: list[str | None] = field(default_factory=list)
    failure: int = 0
    url: str = ""


@contextmanager
def model_hub() -> Iterator[ModelHub]:
    """Serves an empty hub."""
    hub = ModelHub()
    with serving(type("Handler", (_Handler,), {"hub": hub})) as hub.url:
        yield hub


class _Handler(QuietHandler):
    hub: ModelHub
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self._file(with_body=False)

    def do_GET(self) -> None:
        path = self._begin()
        if match := re.fullmatch(r"/api/models/([^/]+/[^/]+)/tree/([^/]+)", path):
            if (files := self._files(*match.groups())) is not None:
                self._json([{"type": "file", "path": n, "size": len(b), "oid": _oid(b)} for n, b in files.items()])
        elif match := re.fullmatch(r"/api/models/([^/]+/[^/]+?)(?:/revision/([^/]+))?", path):
            if (files := self._files(match[1], match[2] or "main")) is not None:
                sha = self.hub.repositories[match[1]].at(unquote(match[2] or "main"))
                self._json({"id": match[1], "sha": sha, "siblings": [{"rfilename": name} for name in files]})
        else:
            self._file(with_body=True, begun=True)

    def do_PUT(self) -> None:
        path = self._begin()
        self.hub.large[path.rpartition("/")[2]] = self._body()
        self._json({})

    def do_POST(self) -> None:
        path, body = self._begin(), self._body()
        if self.hub.failure:
            self._refuse(self.hub.failure, "")
        elif path == "/api/repos/create":
            self._create(json.loads(body))
        elif path == "/api/validate-yaml":
            wrong = (
                [{"message": "license must be one of the list"}]
                if "license: nonsense" in json.loads(body)["content"]
                else []
            )
            self._json({"errors": wrong, "warnings": []}, status=400 if wrong else 200)
        elif "/preupload/" in path:
            names = [file["path"] for file in json.loads(body)["files"]]
            modes = {name: "lfs" if name.endswith(".safetensors") else "regular" for name in names}
            self._json({"files": [{"path": n, "uploadMode": m, "shouldIgnore": False} for n, m in modes.items()]})
        elif path.endswith(".git/info/lfs/objects/batch"):
            objects = json.loads(body)["objects"]
            action = [o | {"actions": {"upload": {"href": f"{self.hub.url}/large/{o['oid']}"}}} for o in objects]
            self._json({"transfer": "basic", "objects": action})
        elif match := re.fullmatch(r"/api/models/([^/]+/[^/]+)/commit/([^/]+)", path):
            self._commit(match[1], [json.loads(line) for line in body.splitlines()])
        else:
            self._refuse(404, "")

    def _begin(self) -> str:
        path = unquote(urlsplit(self.path).path)
        self.hub.asked.append(f"{self.command} {path}")
        self.hub.authorized.append(self.headers.get("Authorization"))
        return path

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", "0")))

    def _create(self, asked: dict[str, Any]) -> None:
        name = f"{asked['organization']}/{asked['name']}"
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self._refuse(401, "")
        elif name in self.hub.repositories:
            self._json({"url": f"{self.hub.url}/{name}"}, status=409)
        else:
            made = Repository(private=asked.get("visibility") == "private" or bool(asked.get("private")))
            made.commit({".gitattributes": b"*.safetensors filter=lfs"})
            self.hub.repositories[name] = made
            self._json({"url": f"{self.hub.url}/{name}"})

    def _commit(self, name: str, lines: list[dict[str, Any]]) -> None:
        files = dict(self.hub.repositories[name].files)
        for line in lines:
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                files[value["path"]] = self.hub.large[value["oid"]]
            elif line["key"] == "deletedFile":
                del files[value["path"]]
        commit = self.hub.repositories[name].commit(files)
        self._json({"commitUrl": f"{self.hub.url}/{name}/commit/{commit}", "commitOid": commit, "pullRequestUrl": None})

    def _files(self, name: str, revision: str) -> dict[str, bytes] | None:
        """All of a revision; refuses what is not there, or not to be seen."""
        repository = self.hub.repositories.get(name)
        hidden = repository is not None and repository.private
        if self.hub.failure:
            self._refuse(self.hub.failure, "")
        elif repository is None or (hidden and self.headers.get("Authorization") != f"Bearer {TOKEN}"):
            self._refuse(404, "RepoNotFound")
        elif (commit := repository.at(unquote(revision))) is None:
            self._refuse(404, "RevisionNotFound")
        else:
            return repository.commits[commit]
        return None

    def _file(self, *, with_body: bool, begun: bool = False) -> None:
        path = unquote(urlsplit(self.path).path) if begun else self._begin()
        match = re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path)
        if match is None:
            self._refuse(404, "")
            return
        files = self._files(match[1], match[2])
        if files is None:
            return
        if match[3] not in files:
            self._refuse(404, "EntryNotFound")
            return
        body = files[match[3]]
        self.send_response(200)
        self.send_header("X-Repo-Commit", str(self.hub.repositories[match[1]].at(unquote(match[2]))))
        self.send_header("ETag", f'"{_oid(body)}"')
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if with_body:
            self.wfile.write(body)

    def _json(self, content: Any, status: int = 200) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _refuse(self, status: int, code: str) -> None:
        self.send_response(status)
        if code:
            self.send_header("X-Error-Code", code)
        self.send_header("Content-Length", "0")
        self.end_headers()


def _oid(body: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(body) + body).hexdigest()

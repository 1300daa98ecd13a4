"""Which files a run on a hub consists of, and their hashes.

    driftfield.json    {"driftfield_format": 1, "driftfield_version": "0.1.0", "sha256": {"run.json": "...", ...}}

Weights are safetensors, descriptions JSON, the recipe YAML, the card Markdown. A repository with any other file is refused by
that file's name, so that nothing which a program might run lies beside a run. The card has no hash: people mend it on the
service's pages, and nothing is ever loaded from it. `.gitattributes` is the service's own and is not fetched.
"""

__all__ = ["CARD", "MANIFEST", "read_manifest", "parts_of", "refuse_foreign", "verify", "write_manifest"]

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from driftfield import __version__
from driftfield.errors import FileFormatError

MANIFEST, CARD = "driftfield.json", "README.md"
FORMAT = 1
SUFFIXES = (".safetensors", ".json")
OF_THE_SERVICE = (".gitattributes",)
INNER = ("first_guess", "emulator", "prior")
"""Folders of a run that hold another run which it needs."""
_PLAIN = re.compile(r"(?:[A-Za-z0-9_-][A-Za-z0-9._-]*/)*[A-Za-z0-9_-][A-Za-z0-9._-]*")


def parts_of(folder: Path) -> tuple[dict[str, Path], list[str]]:
    """The files of a run that a repository gets, by their names there, and what stays behind.

    Arguments:
        folder: Of a run.
    """
    parts = {name: folder / name for name in ("run.json", "arrays.safetensors", "recipe.yaml")}
    for inner in INNER:
        if (folder / inner / "run.json").is_file():
            parts |= {f"{inner}/{name}": path for name, path in parts_of(folder / inner)[0].items()}
    parts = {name: path for name, path in parts.items() if path.is_file()}
    tops = {name.partition("/")[0] for name in parts}
    return parts, sorted(path.name for path in folder.iterdir() if path.name not in tops)


def write_manifest(parts: Mapping[str, Path]) -> str:
    """The text of a manifest of these files."""
    content = {
        "driftfield_format": FORMAT,
        "driftfield_version": __version__,
        "sha256": {name: _hash(path) for name, path in parts.items()},
    }
    return json.dumps(content, indent=2, sort_keys=True) + "\n"


def read_manifest(path: Path, where: str) -> dict[str, str]:
    """Hashes by name.

    Raises:
        FileFormatError: no manifest, one of a newer format, or one that names files which no run has.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        version, hashes = content["driftfield_format"], content["sha256"]
        hashes = {str(name): str(text) for name, text in hashes.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise FileFormatError(
            f"{MANIFEST} of {where} cannot be read: {error}. Ask its owner to push it again."
        ) from error
    if version != FORMAT:
        raise FileFormatError(
            f"{MANIFEST} of {where} has format {version}; this version reads {FORMAT}. Install another driftfield."
        )
    refuse_foreign(hashes, where)
    if "run.json" not in hashes:
        raise FileFormatError(f"{MANIFEST} of {where} names no run.json: that is no run. Name another repository.")
    return hashes


def refuse_foreign(names: Iterable[str], where: str) -> None:
    """Refuses a repository with a file that is no part of a run.

    Raises:
        FileFormatError: it has one; the message names it.
    """
    for name in sorted(names):
        plain = _PLAIN.fullmatch(name) is not None
        allowed = name in (CARD, *OF_THE_SERVICE) or (
            plain and (name.endswith(SUFFIXES) or name.rpartition("/")[2] == "recipe.yaml")
        )
        if not allowed:
            raise FileFormatError(
                f"{where} holds {name!r}, and nothing of it was loaded: expected only safetensors, JSON, recipe.yaml and "
                f"{CARD}. Ask its owner to take that file away, or name another repository or revision."
            )


def verify(folder: Path, hashes: Mapping[str, str], where: str) -> None:
    """Holds what was fetched against the manifest.

    Raises:
        FileFormatError: a file is missing, or has other bytes than were pushed, or stands in no manifest.
    """
    present = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    refuse_foreign(present, where)
    if extra := sorted(present - set(hashes) - {MANIFEST, CARD, *OF_THE_SERVICE}):
        raise FileFormatError(
            f"{where} holds {extra[0]!r}, which its {MANIFEST} does not know: it was added later, unseen."
        )
    for name, digest in hashes.items():
        if name not in present:
            raise FileFormatError(
                f"{where} lacks {name!r}, which its {MANIFEST} names. Ask its owner to push it again."
            )
        if _hash(folder / name) != digest:
            raise FileFormatError(
                f"{name} of {where} has other bytes than were pushed (sha256 differs from {MANIFEST}), and was not loaded. "
                f"Remove {folder.parent.parent} to fetch it again; if it differs again, ask its owner."
            )


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

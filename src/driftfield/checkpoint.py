"""A run is a folder: `run.json` says what it is, `arrays.safetensors` holds its numbers. No pickle is read, ever.

    run.json    {"driftfield_format": 1, "driftfield_version": "0.1.0", "class": "OptimalInterpolation",
                 "arguments": {...}, "extra": {...}, "arrays_sha256": "..."}

The two belong together. A run is written in three steps, of which the second decides; a reader takes the arrays that
`run.json` names by their hash, wherever the writer was stopped, and notices a byte that has changed since:

    .arrays-HASH.safetensors        new run.json with HASH        rename to arrays.safetensors

Where the writer was killed before the third step, the next reader takes it.

An older format is brought up to date by `MIGRATIONS[version]`, a function from description and arrays to the next version's.
"""

__all__ = [
    "MIGRATIONS",
    "RUN_FORMAT",
    "Run",
    "amend_run",
    "called",
    "find_run",
    "load_as",
    "read_run",
    "read_run_of",
    "refuse_borrowed",
    "is_borrowed",
    "shipped_run",
    "shipped_runs",
    "write_run",
]

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any, Protocol, Self, TypeVar

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from driftfield import __version__
from driftfield.errors import ConfigurationError, FileFormatError, UserError, suggest
from driftfield.files import replacing, write_text
from driftfield.hub.reference import PREFIX, HubReference
from driftfield.plain import JSONObject

RUN_FORMAT = 1
SHIPPED = "shipped:"

Arrays = dict[str, np.ndarray]
MIGRATIONS: dict[int, Callable[[JSONObject, Arrays], tuple[JSONObject, Arrays]]] = {}
"""From format n to n + 1."""


class Loadable(Protocol):
    """What is kept as a run."""

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Reads what `save` wrote."""
        ...


Kept = TypeVar("Kept", bound=Loadable)


@dataclass(frozen=True)
class Run:
    """What a run folder holds.

    Arguments:
        class_name: Registered class that the run is of.
        arguments: Its constructor arguments.
        arrays: Its numbers.
        extra: Everything else worth knowing: recipe, recipe hash, splits, training history, calibration.
    """

    class_name: str
    arguments: Mapping[str, Any]
    arrays: Arrays
    extra: Mapping[str, Any] = field(default_factory=dict)


def write_run(
    folder: Path,
    class_name: str,
    arguments: Mapping[str, Any],
    arrays: Mapping[str, np.ndarray],
    extra: Mapping[str, Any] | None = None,
) -> None:
    """Writes `run.json` and `arrays.safetensors` into `folder` (made if missing): both of them, or neither."""
    folder = Path(folder)
    arrays = {name: _native(array) for name, array in arrays.items()}
    digest = _digest(arrays)
    description = {
        "driftfield_format": RUN_FORMAT,
        "driftfield_version": __version__,
        "class": class_name,
        "arguments": dict(arguments),
        "extra": dict(extra or {}),
        "arrays_sha256": digest,
    }
    text = json.dumps(description, indent=2, sort_keys=True, allow_nan=False)
    pending = _pending(folder, digest)
    with replacing(pending, overwrite=True) as temporary:
        save_file(arrays, temporary)
    write_text(folder / "run.json", text + "\n")
    _settle(pending)
    for left in folder.glob(f"*{_pending(folder, '*').name}"):  # of writers that were killed before they decided
        left.unlink(missing_ok=True)


def amend_run(folder: Path, extra: Mapping[str, Any]) -> None:
    """Adds to the `extra` of a run, or replaces a part of it; its arrays are not touched.

    Raises:
        FileFormatError: the folder is no run.
    """
    folder = Path(folder)
    read_run(folder)
    description = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    description["extra"] = description.get("extra", {}) | dict(extra)
    write_text(folder / "run.json", json.dumps(description, indent=2, sort_keys=True, allow_nan=False) + "\n")


def read_run(folder: Path) -> Run:
    """Reads a run folder.

    Raises:
        FileFormatError: the folder is no run, a file is damaged, or its format is newer than this version reads.
    """
    folder = Path(folder)
    try:
        description = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    except OSError as error:
        raise FileFormatError(
            f"{folder} is not a run: it holds no readable run.json. Name a folder that `driftfield train` wrote."
        ) from error
    except ValueError as error:
        raise FileFormatError(f"{folder}/run.json is damaged: {error}. Train again or restore the file.") from error
    _check_description(description, folder)
    arrays = _read_arrays(folder, description.get("arrays_sha256"))
    version = description["driftfield_format"]
    while version < RUN_FORMAT:
        description, arrays = MIGRATIONS[version](description, arrays)
        version += 1
    return Run(description["class"], description["arguments"], arrays, description.get("extra", {}))


def read_run_of(class_name: str, folder: Path) -> Run:
    """Reads a run folder of this class.

    Raises:
        FileFormatError: as `read_run`, or the run is of another class.
    """
    run = read_run(folder)
    if run.class_name != class_name:
        raise FileFormatError(f"{folder} holds a {run.class_name}, expected a {class_name}. Load it as what it is.")
    return run


def load_as(run_class: type[Kept], folder: Path) -> Kept:
    """Loads a run by the class that wrote it.

    Raises:
        FileFormatError: what the folder describes cannot be built.
    """
    try:
        return run_class.load(Path(folder))
    except UserError:
        raise
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise FileFormatError(
            f"{folder}/run.json is no description of a {run_class.__name__} that this version can build: "
            f"{type(error).__name__} {error}. Restore the run, or train again."
        ) from error


def hash_run(folder: Path) -> str:
    """Of all that a reconstruction takes from a run: description and arrays, its first guess included.

    Raises:
        FileFormatError: as `read_run`.
    """
    folder = Path(folder)
    run = read_run(folder)
    own = json.dumps([run.class_name, run.arguments, run.extra, _digest(run.arrays)], sort_keys=True)
    inner = hash_run(folder / "first_guess") if (folder / "first_guess").is_dir() else ""
    return hashlib.sha256((own + inner).encode()).hexdigest()[:16]


def find_run(run: str | Path) -> Path:
    """A folder, `shipped:NAME` for a run that comes with the package, or `hub:REPO[@REVISION]` for one on a hub.

    Raises:
        ConfigurationError: no such shipped run, or no name of a repository.
        DataError, FileFormatError, MissingExtraError: see `hub.service.fetch`.
    """
    text = str(run)
    if text.startswith(PREFIX):
        from driftfield.hub.service import fetch

        return fetch(HubReference.parse(text))
    return shipped_run(text.removeprefix(SHIPPED)) if text.startswith(SHIPPED) else Path(run)


def is_borrowed(run: str | Path) -> bool:
    """Whether this names a run that belongs to the package or to the cache of a hub, and is not to be written to."""
    return str(run).startswith((SHIPPED, PREFIX))


def refuse_borrowed(run: str | Path) -> None:
    """Refuses to write to a run of the package or of a hub.

    Raises:
        ConfigurationError: it is one.
    """
    if is_borrowed(run):
        owner = "the package" if str(run).startswith(SHIPPED) else "the cache of a hub"
        raise ConfigurationError(f"{run} belongs to {owner}: expected a run folder. Copy {find_run(run)} and name it.")


def called(run: str | Path, folder: Path) -> str:
    """What an output says of the run that made it: the name of its folder, or the repository with the commit.

    Arguments:
        run: As a user named it.
        folder: Where it was found.
    """
    if str(run).startswith(PREFIX):
        return str(HubReference(HubReference.parse(run).repo, folder.name))
    return Path(run).name


def shipped_run(name: str) -> Path:
    """The folder of a run that comes with the package.

    Raises:
        ConfigurationError: no such run.
    """
    known = shipped_runs()
    if name not in known:
        raise ConfigurationError(f"No shipped run {name!r}: {suggest(name, sorted(known))}")
    return known[name]


def shipped_runs() -> dict[str, Path]:
    """The runs that come with the package: their folders by their names."""
    folder = Path(str(files("driftfield"))) / "shipped"
    found = sorted(folder.iterdir()) if folder.is_dir() else []
    return {path.name: path for path in found if (path / "run.json").exists()}


def _check_description(description: Any, folder: Path) -> None:
    kinds = {"driftfield_format": int, "class": str, "arguments": dict, "extra": dict}
    stated: Mapping[str, Any] = {"extra": {}} | description if isinstance(description, dict) else {}
    if odd := [key for key, kind in kinds.items() if type(stated.get(key)) is not kind]:
        raise FileFormatError(
            f"{folder}/run.json lacks {odd[0]!r}, or holds no {kinds[odd[0]].__name__} there: no Driftfield run. "
            "Name a folder that `driftfield train` wrote."
        )
    version = stated["driftfield_format"]
    if version > RUN_FORMAT:
        raise FileFormatError(
            f"{folder} has run format {version}; this version reads up to {RUN_FORMAT}. Install a newer driftfield."
        )
    if version < min((RUN_FORMAT, *MIGRATIONS)):
        raise FileFormatError(f"{folder} has run format {version}, which no version wrote. Restore run.json.")


def _read_arrays(folder: Path, digest: str | None) -> Arrays:
    """The arrays with this hash; runs of the first versions state none."""
    path = folder / "arrays.safetensors"
    pending = [_pending(folder, digest)] if digest else []
    failure = "other bytes than run.json was written with"
    for candidate in (path, *pending):
        try:
            arrays = load_file(candidate)
        except (OSError, SafetensorError) as error:
            failure = failure if candidate != path else str(error)
            continue
        if digest is None or _digest(arrays) == digest:
            if candidate != path:
                with suppress(OSError):  # a folder that may only be read keeps the other name
                    _settle(candidate)
            return arrays
    raise FileFormatError(f"{path} cannot be read: {failure}. Restore the file, or train again.")


def _settle(pending: Path) -> None:
    """The third step; a reader may have been quicker."""
    with suppress(FileNotFoundError):
        os.replace(pending, pending.with_name("arrays.safetensors"))


def _pending(folder: Path, digest: str) -> Path:
    return folder / f".arrays-{digest[:16]}.safetensors"


def _native(array: np.ndarray) -> np.ndarray:
    array = np.asarray(array, order="C")
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def _digest(arrays: Mapping[str, np.ndarray]) -> str:
    """Of names, types, shapes and bytes."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = np.asarray(arrays[name], order="C")
        digest.update(f"{name} {array.dtype} {array.shape} ".encode())
        digest.update(array.reshape(-1).view(np.uint8).data)
    return digest.hexdigest()

"""What a reconstruction is made of and how far it has come, so that a killed one goes on and never mixes two.

    OUT.zarr.partial/journal.json    {"driftfield_format": 1, "made_of": {"run": HASH, "observations": HASH, "members": 16, ...},
                                      "finished": [0, 1, 2, 5]}

Dates are finished in any order, where several workers share them. A date counts as finished once all of it is in the store; the
journal is written after it, in one piece.
"""

__all__ = ["Journal", "UnfinishedError", "hash_dataset", "hash_path", "partial_of", "plainly"]

import hashlib
import json
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from driftfield.conventions import FORMAT
from driftfield.errors import ConfigurationError, ExistsError, FileFormatError
from driftfield.files import refuse_existing, write_text
from driftfield.plain import JSONObject


class UnfinishedError(ConfigurationError):
    """What is to be gone on with was begun as something else."""


@dataclass
class Journal:
    """The record of one unfinished output.

    Arguments:
        folder: The `.partial` folder.
        made_of: Everything that the output depends on, as JSON holds it.
        finished: Numbers of the dates that are written.
        seconds: What they have taken, in all sessions.
    """

    folder: Path
    made_of: JSONObject
    finished: set[int] = field(default_factory=set)
    seconds: float = 0.0
    _since: float = field(default_factory=time.perf_counter)

    @classmethod
    def begin(cls, folder: Path, made_of: Mapping[str, Any], *, overwrite: bool) -> "Journal":
        """An empty folder with a journal in it.

        Raises:
            ExistsError: an unfinished output is there and `overwrite` is false.
        """
        if (folder / "journal.json").exists() and not overwrite:
            raise ExistsError(
                f"{folder} holds an unfinished reconstruction. Pass --resume to go on, or --overwrite to start again."
            )
        shutil.rmtree(folder, ignore_errors=True)
        journal = cls(folder, dict(made_of))
        journal.write()
        return journal

    @classmethod
    def resume(cls, folder: Path, made_of: Mapping[str, Any]) -> "Journal":
        """The journal that is there.

        Raises:
            ConfigurationError: there is none.
            UnfinishedError: the output was begun with something else.
            FileFormatError: it cannot be read.
        """
        path = folder / "journal.json"
        if not path.exists():
            raise ConfigurationError(
                f"Nothing to resume: there is no {path}. Leave out --resume to start, or name the output as it was."
            )
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            dates = content["finished"]
            # a journal of before: they were finished one after the other
            journal = cls(
                folder,
                dict(content["made_of"]),
                set(range(dates) if isinstance(dates, int) else map(int, dates)),
                float(content.get("seconds", 0.0)),
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise FileFormatError(f"{path} is damaged: {error}. Pass --overwrite to start again.") from error
        for key in sorted({*journal.made_of, *made_of}):
            before, now = journal.made_of.get(key), made_of.get(key)
            if before != now:
                raise UnfinishedError(
                    f"{folder} was begun with another {key}: found {now}, expected {before}. "
                    "Resume with what it was begun with, or pass --overwrite without --resume to start again."
                )
        return journal

    @classmethod
    def of(cls, out: Path, made_of: Mapping[str, Any], *, resume: bool, overwrite: bool) -> "Journal":
        """That of an output: the one that was begun, or a new one.

        Raises:
            ExistsError: `out` is there, or an unfinished one, and may not be replaced.
            ConfigurationError, FileFormatError: as of `resume`.
        """
        if resume:
            return cls.resume(partial_of(out), made_of)
        refuse_existing(out, overwrite=overwrite)
        return cls.begin(partial_of(out), made_of, overwrite=overwrite)

    def finish(self, date: int) -> None:
        """One more date is finished."""
        now = time.perf_counter()
        self.seconds, self._since = self.seconds + now - self._since, now
        self.finished.add(date)
        self.write()

    def write(self) -> None:
        """In one piece."""
        content = {"driftfield_format": FORMAT, "made_of": self.made_of, "finished": sorted(self.finished)}
        content |= {"seconds": round(self.seconds, 3)}
        write_text(self.folder / "journal.json", json.dumps(content, indent=2, sort_keys=True) + "\n")

    def close(self) -> None:
        """The output is where it belongs: the folder goes, the journal first."""
        (self.folder / "journal.json").unlink(missing_ok=True)
        shutil.rmtree(self.folder, ignore_errors=True)


def partial_of(out: Path) -> Path:
    """Where the unfinished `out` lies: OUT.zarr.partial."""
    return out.with_name(f"{out.name}.partial")


def plainly(made_of: Mapping[str, Any]) -> JSONObject:
    """As JSON gives it back: tuples are lists, paths are text."""
    content: JSONObject = json.loads(json.dumps(made_of, sort_keys=True, default=str))
    return content


def hash_path(path: Path | None) -> str:
    """Of the bytes of a file, or of all files of a folder; what lies elsewhere has its address."""
    if path is None or not path.exists():
        return str(path or "")
    digest = hashlib.sha256()
    for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
        if file.is_file():
            digest.update(str(file.relative_to(path)).encode())
            with file.open("rb") as stream:
                while piece := stream.read(2**20):
                    digest.update(piece)
    return digest.hexdigest()[:16]


def hash_dataset(dataset: xr.Dataset) -> str:
    """Of names, dimensions and values; read date by date, so that a lazy data set stays lazy."""
    digest = hashlib.sha256()
    for name in sorted(map(str, dataset.variables)):
        array = dataset.variables[name]
        digest.update(f"{name} {array.dims} {array.shape} {array.dtype} ".encode())
        rows = range(array.shape[0]) if array.ndim and array.chunks is not None else [...]
        for row in rows:
            values = np.asarray(array[row].values, order="C")
            text = values.dtype.kind in "OUSMm"
            digest.update(str(values.tolist()).encode() if text else values.reshape(-1).view(np.uint8).data)
    return digest.hexdigest()[:16]

"""Batches of members that lie in a folder, so that whoever was killed, or works beside others, draws none of them twice.

    OUT.partial/journal.json                  what the output is made of
    OUT.partial/draws/PART/0-15.safetensors   members 0 to 15 of a part: a date, a forecast, an analysis of one

A batch is a function of its numbers, and appears whole: drawing it twice, also at the same time, does no harm.
"""

__all__ = ["KeptDraws", "OneBatch", "kept_while", "made_of_run"]

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from driftfield import __version__
from driftfield.checkpoint import hash_run
from driftfield.errors import DataError, DivergenceError
from driftfield.files import replacing
from driftfield.plain import JSONObject
from driftfield.reconstruction.draws import Keeper
from driftfield.reconstruction.journal import Journal, hash_path, plainly


class KeptDraws:
    """A `draws.Keeper` in a folder.

    Arguments:
        folder: Where the batches lie.
        unless: Size of a batch that is not worth keeping, being the whole ensemble of a date that is written at once.
        progress: Is told how many more members are there.
    """

    def __init__(
        self, folder: Path, *, unless: int | None = None, progress: Callable[[int], None] = lambda members: None
    ) -> None:
        self.folder, self.unless, self.progress = folder, unless, progress

    def recall(self, members: Sequence[int]) -> Tensor | None:
        try:
            fields: Tensor = load_file(self._path(members))["fields"]
        except (OSError, SafetensorError):
            return None
        self.progress(len(members))
        return fields

    def keep(self, members: Sequence[int], fields: Tensor) -> None:
        if len(members) != self.unless:
            with replacing(self._path(members), overwrite=True) as temporary:
                save_file({"fields": fields.detach().to("cpu", torch.float32).contiguous()}, temporary)
        self.progress(len(members))

    def part(self, name: str) -> "KeptDraws":
        return KeptDraws(self.folder / name, unless=self.unless, progress=self.progress)

    def _path(self, members: Sequence[int]) -> Path:
        return self.folder / f"{members[0]}-{members[-1]}.safetensors"


class BatchIsKept(Exception):
    """What was to be drawn is there."""


class OneBatch:
    """A `draws.Keeper` with which one batch is drawn and no other.

    Arguments:
        kept: Where it is kept.
        members: Whose batch.
    """

    def __init__(self, kept: KeptDraws, members: range) -> None:
        self.kept, self.members = kept, members

    def recall(self, members: Sequence[int]) -> Tensor | None:
        if members != self.members:
            return torch.empty(0)
        if self.kept.recall(members) is not None:
            raise BatchIsKept
        return None

    def keep(self, members: Sequence[int], fields: Tensor) -> None:
        self.kept.keep(members, fields)
        raise BatchIsKept

    def part(self, name: str) -> "OneBatch":
        return OneBatch(self.kept.part(name), self.members)

    def drawn_by(self, draw: Callable[[Keeper], Any]) -> None:
        """Lets `draw` come as far as the batch."""
        with suppress(BatchIsKept):
            draw(self)


@contextmanager
def kept_while(out: Path, made_of: Mapping[str, Any], *, resume: bool, overwrite: bool) -> Iterator[KeptDraws]:
    """Where the batches of an output are kept until the block has written it.

    Arguments:
        out: The output.
        made_of: All that it depends on.
        resume: Go on with what is there.
        overwrite: Begin again, in spite of an unfinished one.

    Raises:
        ExistsError, ConfigurationError: as of `Journal.of`.
    """
    journal = Journal.of(out, made_of, resume=resume, overwrite=overwrite)
    draws = journal.folder / "draws"
    try:
        yield KeptDraws(draws)
    except BaseException as error:
        # nothing to go on with, or nowhere to go
        if not draws.exists() or isinstance(error, DataError | DivergenceError):
            journal.close()
        raise
    journal.close()


def made_of_run(folder: Path, asked: Mapping[str, Any], files: Mapping[str, Path | None]) -> JSONObject:
    """What an output depends on, that a run makes of some files.

    Arguments:
        folder: Of the run.
        asked: Options, by their names.
        files: By the names of their options; None for those that were not named.
    """
    of_run = {"run": hash_run(folder), "version of driftfield": __version__}
    return plainly(of_run | {name: hash_path(path) for name, path in files.items()} | dict(asked))

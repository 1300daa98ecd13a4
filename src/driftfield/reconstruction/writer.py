"""A reconstruction that grows on disk date by date, needs the memory of one date, and goes on where it was killed.

    OUT.zarr.partial/journal.json    what it is made of, and how many dates are finished
    OUT.zarr.partial/draws/          batches of members of the date in the works
    OUT.zarr.partial/store.zarr      the finished dates, one chunk per date and some members
        -- after the last date -->   OUT.zarr, renamed (or OUT.nc, copied)

Member m of a date is a function of (run, observations, seed, m, date), so it does not matter how often the work was stopped.
"""

__all__ = ["Work", "write_reconstruction"]

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import dask.array
import numpy as np
import torch
import xarray as xr
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from driftfield.errors import DataError, DivergenceError
from driftfield.files import refuse_existing, replacing, swap, writing
from driftfield.gridded.cf import as_cf, chunks_of
from driftfield.gridded.gridded_files import write_dataset
from driftfield.gridded.stores import without_forecasts
from driftfield.interfaces import Reconstructor
from driftfield.plain import JSONObject
from driftfield.reconstruction.draws import Draws, Keeper, TakesDraws
from driftfield.reconstruction.journal import Journal, hash_dataset, partial_of

CHUNK = 2**24
"""Bytes of a chunk in the store, at most, where one field is smaller."""

Progress = Callable[[int], None]
"""Is told how many more members of a date are done."""


@dataclass
class Work:
    """What is to be reconstructed, and how.

    Arguments:
        reconstructor: A fitted method.
        observations: An observation data set, lazy where it is large.
        draws: Which members, and how many at a time.
        finish: What is done to each date afterwards, such as smoothing and attributes.
        depends_on: What the output depends on besides observations, members and seed: the run's hash, options, version.
    """

    reconstructor: Reconstructor
    observations: xr.Dataset
    draws: Draws
    finish: Callable[[xr.Dataset], xr.Dataset] = lambda part: part
    depends_on: Mapping[str, Any] = field(default_factory=dict)
    _whole: xr.Dataset | None = None

    @property
    def dates(self) -> int:
        """How many there are."""
        return int(self.observations.sizes["time"])

    @property
    def made_of(self) -> JSONObject:
        """Equal for equal outputs."""
        own: JSONObject = {
            "observations": hash_dataset(self.observations),
            "members": self.draws.members,
            "seed": self.draws.seed,
        }
        return own | dict(self.depends_on)

    def date(self, index: int, keeper: Keeper | None = None) -> xr.Dataset:
        """The reconstruction of one date, as a data set with one time."""
        draws = replace(self.draws, keeper=keeper)
        if not self.reconstructor.abilities.uses_other_times:
            part = self._completed(self.observations.isel(time=[index]).load(), draws)
        elif self.reconstructor.abilities.chooses_times:
            part = self._completed(self.observations, replace(draws, times=[index]))
        else:  # a method that completes all dates together
            if self._whole is None:
                self._whole = self._completed(self.observations.load(), draws)
            part = self._whole.isel(time=[index])
        return self.finish(part)

    def _completed(self, observations: xr.Dataset, draws: Draws) -> xr.Dataset:
        if self.reconstructor.abilities.takes_draws:
            return cast(TakesDraws, self.reconstructor).complete(observations, draws)
        return self.reconstructor.reconstruct(observations, members=draws.members, seed=draws.seed)


class _KeptDraws:
    """A `draws.Keeper` in a folder; nothing is kept where one batch is the whole ensemble."""

    def __init__(self, folder: Path, members: int, progress: Progress) -> None:
        self.folder, self.members, self.progress = folder, members, progress

    def recall(self, members: Sequence[int]) -> Tensor | None:
        try:
            found: Tensor = load_file(self._path(members))["fields"]
        except (OSError, SafetensorError):
            return None
        self.progress(len(members))
        return found

    def keep(self, members: Sequence[int], fields: Tensor) -> None:
        if len(members) < self.members:
            with replacing(self._path(members), overwrite=True) as temporary:
                save_file({"fields": fields.detach().to("cpu", torch.float32).contiguous()}, temporary)
        self.progress(len(members))

    def _path(self, members: Sequence[int]) -> Path:
        return self.folder / f"{members[0]}-{members[-1]}.safetensors"


def write_reconstruction(
    work: Work, out: Path, *, resume: bool = False, overwrite: bool = False, progress: Progress = lambda members: None
) -> None:
    """Reconstructs into `out` (.zarr or .nc) by way of `OUT.partial`; what stood at `out` stays until the end.

    Arguments:
        work: What to do.
        out: The output.
        resume: Go on with `OUT.partial`.
        overwrite: Replace `out`, and start again in spite of an `OUT.partial`.
        progress: Is told how many more members of a date are done.

    Raises:
        ExistsError: `out` is there, or an unfinished one, and may not be replaced.
        ConfigurationError: nothing to resume, or it was begun with another run, other observations or other options.
    """
    partial = partial_of(out)
    if not work.dates:
        raise DataError(
            "The observations hold no date: there is nothing to reconstruct. Name a file of one date or more."
        )
    if resume:
        journal = Journal.resume(partial, work.made_of)
    else:
        refuse_existing(out, overwrite=overwrite)
        journal = Journal.begin(partial, work.made_of, overwrite=overwrite)
    store = partial / "store.zarr"
    if resume and journal.finished == work.dates and not store.exists() and out.exists():
        journal.close()  # killed after the store was renamed
        return
    if not store.exists():
        journal.finished = 0
    refuse_existing(out, overwrite=overwrite)
    progress(journal.finished * work.draws.members)
    try:
        for index in range(journal.finished, work.dates):
            _write_date(work, index, store, partial / "draws", progress)
            journal.advance()
            shutil.rmtree(partial / "draws", ignore_errors=True)
    except BaseException as error:
        begun = journal.finished > 0 or (partial / "draws").exists()
        if not begun or isinstance(error, DataError | DivergenceError):
            journal.close()  # nothing to go on with, or nowhere to go
        raise
    _deliver(store, out, overwrite=overwrite)
    journal.close()


def _write_date(work: Work, index: int, store: Path, draws: Path, progress: Progress) -> None:
    if work.reconstructor.abilities.keeps_draws:
        part = as_cf(work.date(index, keeper=_KeptDraws(draws / str(index), work.draws.members, progress)))
    else:
        part = as_cf(work.date(index))
        progress(work.draws.members)
    moving = part.drop_vars([*part.coords, *(n for n, a in part.data_vars.items() if "time" not in a.dims)])
    with writing(store):
        if index == 0:
            _lay_out(part, work.observations, store)
        moving.drop_encoding().to_zarr(store, region={"time": slice(index, index + 1)}, mode="r+", consolidated=False)


def _lay_out(part: xr.Dataset, observations: xr.Dataset, store: Path) -> None:
    """An empty store for all dates; whatever has no time is written. How a file packed its dates is that file's business."""
    dates = observations.sizes["time"]
    template = part.drop_vars(part.data_vars).drop_encoding()
    dated = [name for name in part.coords if "time" in part[name].dims]
    template = template.drop_vars(dated).assign_coords(
        {name: observations[name].load().drop_encoding().assign_attrs(part[name].attrs) for name in dated}
    )
    encoding = {}
    for name, array in part.data_vars.items():
        if "time" not in array.dims:
            template[name] = array
            continue
        shape = tuple(dates if d == "time" else array.sizes[d] for d in array.dims)
        chunks = chunks_of(array, most=CHUNK, dates=1)
        empty = dask.array.full(shape, np.nan, dtype=array.dtype, chunks=chunks)
        template[name] = (array.dims, empty, array.attrs)
        encoding[name] = {"chunks": chunks}
    with without_forecasts():
        template.to_zarr(store, mode="w", compute=False, consolidated=False, encoding=encoding)


def _deliver(store: Path, out: Path, *, overwrite: bool) -> None:
    """The finished store takes its place."""
    refuse_existing(out, overwrite=overwrite)
    if out.suffix == ".zarr":
        for left in store.rglob("*.partial"):  # of a chunk whose writer was killed
            left.unlink()
        swap(store, out)
        return
    with without_forecasts(), xr.open_zarr(store, consolidated=False, chunks={}, decode_times=False) as whole:
        finished = whole[sorted(whole.data_vars)]
        del finished.attrs["history"]  # written anew
        write_dataset(finished, out, overwrite=overwrite)

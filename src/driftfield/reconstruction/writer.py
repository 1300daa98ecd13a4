"""A reconstruction that grows on disk date by date, needs the memory of one date, and goes on where it was killed.

    OUT.zarr.partial/journal.json    what it is made of, and which dates are finished
    OUT.zarr.partial/draws/          batches of members of the dates in the works
    OUT.zarr.partial/store.zarr      the finished dates, one chunk per date and some members
        -- after the last date -->   OUT.zarr, renamed (or OUT.nc, copied)

Member m of a date is a function of (run, observations, seed, m, date), so it does not matter how often the work was stopped, nor
by how many workers (`clusters`) in what order it is done: each writes chunks of its own.
"""

__all__ = ["Work", "write_date", "write_reconstruction"]

import shutil
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, cast

import dask.array
import numpy as np
import xarray as xr
import zarr

from driftfield.clusters import Crew, Errand
from driftfield.errors import ConfigurationError, DataError, DivergenceError
from driftfield.files import refuse_existing, swap, writing
from driftfield.gridded.cf import as_cf, chunks_of
from driftfield.gridded.gridded_files import write_dataset
from driftfield.gridded.packing import Packing
from driftfield.gridded.stores import consolidate, without_forecasts
from driftfield.interfaces import Reconstructor
from driftfield.plain import JSONObject
from driftfield.reconstruction.draws import Draws, Keeper, TakesDraws
from driftfield.reconstruction.journal import Journal, hash_dataset, partial_of
from driftfield.reconstruction.kept_draws import KeptDraws, OneBatch
from driftfield.reconstruction.settings import check_shareable
from driftfield.reconstruction.units import Again, Unit, do_unit, units_of

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
        again: How another process makes the same work; None where that cannot be said.
        packing: Of the output, which is packed when it is whole; as it is if None.
    """

    reconstructor: Reconstructor
    observations: xr.Dataset
    draws: Draws
    finish: Callable[[xr.Dataset], xr.Dataset] = lambda part: part
    depends_on: Mapping[str, Any] = field(default_factory=dict)
    again: Again | None = None
    packing: Packing | None = None
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
        return own | dict(self.depends_on) | ({} if self.packing is None else {"pack": str(self.packing)})

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

    @property
    def is_shared(self) -> bool:
        """Whether its dates can be completed one without the other."""
        return self.reconstructor.abilities.takes_dates_apart

    def draw(self, index: int, members: range, folder: Path) -> None:
        """One batch of members of a date, kept in a folder, from where `date` recalls it."""
        OneBatch(KeptDraws(folder, unless=self.draws.members), members).drawn_by(partial(self.date, index))

    def _completed(self, observations: xr.Dataset, draws: Draws) -> xr.Dataset:
        if self.reconstructor.abilities.takes_draws:
            return cast(TakesDraws, self.reconstructor).complete(observations, draws)
        return self.reconstructor.reconstruct(observations, members=draws.members, seed=draws.seed)


def write_reconstruction(
    work: Work,
    out: Path,
    *,
    resume: bool = False,
    overwrite: bool = False,
    progress: Progress = lambda members: None,
    crew: Crew | None = None,
) -> float:
    """Reconstructs into `out` (.zarr or .nc) by way of `OUT.partial`; what stood at `out` stays until the end.

    Arguments:
        work: What to do.
        out: The output.
        resume: Go on with `OUT.partial`.
        overwrite: Replace `out`, and start again in spite of an `OUT.partial`.
        progress: Is told how many more members of a date are done.
        crew: Workers that share the dates and the batches of members.

    Returns:
        Seconds that all dates have taken, also before the command was killed.

    Raises:
        ExistsError: `out` is there, or an unfinished one, and may not be replaced.
        ConfigurationError: nothing to resume, or it was begun with another run, other observations or other options.
    """
    folder = partial_of(out)
    if crew is not None:
        _check_shared(work)
    if not work.dates:
        raise DataError(
            "The observations hold no date: there is nothing to reconstruct. Name a file of one date or more."
        )
    journal = Journal.of(out, work.made_of, resume=resume, overwrite=overwrite)
    store = folder / "store.zarr"
    if resume and len(journal.finished) == work.dates and not store.exists() and out.exists():
        journal.close()  # killed after the store was renamed
        return journal.seconds
    if not store.exists():
        journal.finished = set()
    refuse_existing(out, overwrite=overwrite)
    progress(len(journal.finished) * work.draws.members)
    try:
        if crew is None:
            _write_alone(work, journal, progress)
        else:
            _write_together(work, journal, progress, crew)
    except BaseException as error:
        begun = bool(journal.finished) or (folder / "draws").exists()
        if not begun or isinstance(error, DataError | DivergenceError):
            journal.close()  # nothing to go on with, or nowhere to go
        raise
    _deliver(store, out, overwrite=overwrite, packing=work.packing)
    journal.close()
    return journal.seconds


def _write_alone(work: Work, journal: Journal, progress: Progress) -> None:
    for index in range(work.dates):
        if index not in journal.finished:
            _note(journal, index, write_date(work, index, journal.folder, progress))


def _check_shared(work: Work) -> None:
    """Raises `ConfigurationError` where there is nothing to share."""
    check_shareable(work.reconstructor)
    if work.again is None:
        raise ConfigurationError("This work cannot be made again by another process. Leave out --cluster.")


def _write_together(work: Work, journal: Journal, progress: Progress, crew: Crew) -> None:
    assert work.again is not None
    crew.check(journal.folder)
    tasks: dict[Errand, Unit] = {}
    batches: list[Errand] = []
    for unit in units_of(work, journal.finished):
        part = "" if unit.members is None else f", members {unit.members[0]} to {unit.members[-1]}"
        task = Errand(
            do_unit,
            (work.again, unit, str(journal.folder.absolute())),
            f"date {unit.date + 1} of {work.dates}{part}",
            tuple(batches) if unit.members is None else (),
        )
        batches = [] if unit.members is None else [*batches, task]
        tasks[task] = unit
    for task, attrs in crew.done(list(tasks)):
        unit = tasks[task]
        if unit.members is None:
            _note(journal, unit.date, attrs)
        progress(unit.count)


def _note(journal: Journal, index: int, attrs: JSONObject | None) -> None:
    """A date is in the store; what the first one says of itself is said of all, whoever laid out the store."""
    if attrs is not None:
        group = zarr.open_group(journal.folder / "store.zarr", mode="r+")
        if dict(group.attrs) != attrs:
            group.attrs.put(attrs)
    journal.finish(index)
    shutil.rmtree(journal.folder / "draws" / str(index), ignore_errors=True)


def write_date(work: Work, index: int, folder: Path, progress: Progress = lambda members: None) -> JSONObject | None:
    """One date into the store of an unfinished output, which is laid out if it is not there.

    Returns:
        The attributes of the first date; None of any other.
    """
    store, draws = folder / "store.zarr", folder / "draws" / str(index)
    if work.reconstructor.abilities.keeps_draws:
        part = as_cf(work.date(index, keeper=KeptDraws(draws, unless=work.draws.members, progress=progress)))
    else:
        part = as_cf(work.date(index))
        progress(work.draws.members)
    moving = part.drop_vars([*part.coords, *(n for n, a in part.data_vars.items() if "time" not in a.dims)])
    with writing(store):
        if not store.exists():
            _lay_out(part, work.observations, store)
        moving.drop_encoding().to_zarr(store, region={"time": slice(index, index + 1)}, mode="r+", consolidated=False)
    if index:
        return None
    return {str(k): v.tolist() if isinstance(v, np.ndarray | np.generic) else v for k, v in part.attrs.items()}


def _lay_out(part: xr.Dataset, observations: xr.Dataset, store: Path) -> None:
    """An empty store for all dates; whatever has no time is written. How a file packed its dates is that file's business.

    It appears whole, and once, however many processes lay it out.
    """
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
    laid_out = store.with_name(f".{uuid.uuid4().hex}.{store.name}")
    with without_forecasts():
        template.to_zarr(laid_out, mode="w", compute=False, consolidated=False, encoding=encoding)
    try:
        laid_out.rename(store)
    except OSError:  # another process was first
        shutil.rmtree(laid_out, ignore_errors=True)
        if not store.exists():
            raise


def _deliver(store: Path, out: Path, *, overwrite: bool, packing: Packing | None) -> None:
    """The finished store takes its place."""
    refuse_existing(out, overwrite=overwrite)
    if out.suffix == ".zarr" and packing is None:
        for left in store.rglob("*.partial"):  # of a chunk whose writer was killed
            left.unlink()
        consolidate(store)
        swap(store, out)
        return
    with without_forecasts(), xr.open_zarr(store, consolidated=False, chunks={}, decode_times=False) as whole:
        finished = whole[sorted(whole.data_vars)]
        del finished.attrs["history"]  # written anew
        write_dataset(finished, out, overwrite=overwrite, packing=packing)

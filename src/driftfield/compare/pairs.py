"""What one method makes of one setting, date by date in a store beside its scores, so that it goes on where it was killed.

    runs/compare/NAME/SETTING/METHOD/unfinished.zarr.partial  ->  unfinished.zarr  ->  KEY.json, and the store goes

Workers make the pair again from the recipe: the observations of a setting are a function of it and of its seed.
"""

__all__ = ["AskedComparison", "PairPlace", "Sharing", "reconstruct_variants"]

import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import xarray as xr
import zarr

from driftfield.clusters import Crew
from driftfield.interfaces import Reconstructor
from driftfield.reconstruction.draws import Draws
from driftfield.reconstruction.journal import partial_of
from driftfield.reconstruction.settings import uncalibrated
from driftfield.reconstruction.units import Again
from driftfield.reconstruction.writer import Work, write_reconstruction
from driftfield.runs import load_downscaler, load_reconstructor

LARGE = 2**22
"""Bytes of observations times members from which on a pair is kept date by date; a smaller one is soon done again."""


@dataclass(frozen=True)
class AskedComparison:
    """How another process reads the same comparison: its recipe, what replaces values of it, and the folder of runs."""

    recipe: Path
    overrides: tuple[str, ...]
    runs: Path


@dataclass(frozen=True)
class Sharing:
    """How pairs are computed.

    Arguments:
        resume: Go on with those that were begun.
        crew: Workers that share the dates; nobody if None.
        asked: What they read.
        progress: Is told how many members of dates there are to do in a pair; returns what is told how many are done.
    """

    resume: bool = False
    crew: Crew | None = None
    asked: AskedComparison | None = None
    progress: Callable[[int], Callable[[int], None]] = field(default=lambda length: lambda members: None)


@dataclass(frozen=True)
class PairPlace:
    """Where a pair is computed.

    Arguments:
        store: The finished reconstruction, until it is scored.
        key: Of the pair.
        made_of: What the key is of, by names that a message can say.
        setting: Its name.
        run: Folder of the method.
    """

    store: Path
    key: str
    made_of: Mapping[str, Any]
    setting: str
    run: Path

    def remove(self) -> None:
        """The pair is scored."""
        shutil.rmtree(self.store, ignore_errors=True)


@dataclass(frozen=True)
class _AskedPair:
    comparison: AskedComparison
    setting: str
    run: Path
    key: str
    members: int
    plain: bool


def reconstruct_variants(
    reconstructor: Reconstructor,
    seen: xr.Dataset,
    draws: Draws,
    calibrated: bool,
    place: PairPlace,
    sharing: Sharing,
) -> tuple[list[xr.Dataset], float]:
    """The reconstruction as the run makes it and, where it has a calibration, without it: the same members twice.

    Returns:
        Both, and the seconds that it took in all.

    Raises:
        UnfinishedError: what was begun is to be gone on with, and was of something else.
    """
    method: Any = reconstructor
    maker = uncalibrated(method) if calibrated else method
    if sharing.crew is None and not partial_of(place.store).exists() and seen.nbytes * draws.members < LARGE:
        began = time.perf_counter()
        raw = maker.reconstruct(seen, members=draws.members, seed=draws.seed)
        seconds = time.perf_counter() - began
    else:
        raw, seconds = _written(maker, seen, draws, calibrated, place, sharing)
    return ([method.calibration.apply(raw), raw] if calibrated else [raw]), seconds


def _written(
    method: Reconstructor, seen: xr.Dataset, draws: Draws, plain: bool, place: PairPlace, sharing: Sharing
) -> tuple[xr.Dataset, float]:
    again = None
    if sharing.asked is not None:
        asked = _AskedPair(sharing.asked, place.setting, place.run, place.key, draws.members, plain)
        again = Again(_make_work, asked)
    work = Work(method, seen, draws, _Marked(place.key), place.made_of, again)
    begun = sharing.resume and partial_of(place.store).exists()
    if begun or not (sharing.resume and _attrs_of(place.store).get("pair") == place.key):
        seconds = write_reconstruction(
            work,
            place.store,
            resume=begun,
            overwrite=True,
            progress=sharing.progress(work.dates * draws.members),
            crew=sharing.crew if work.is_shared else None,
        )
        zarr.open_group(place.store, mode="r+").attrs["seconds"] = seconds
    with xr.open_zarr(place.store, consolidated=False) as opened:
        made = opened.load().transpose("member", "time", ..., missing_dims="ignore")
    seconds = float(made.attrs.pop("seconds"))
    del made.attrs["pair"]
    return made.assign_coords(time=seen["time"]), seconds


@dataclass(frozen=True)
class _Marked:
    """What is done to the reconstruction of each date: it says which pair it is of."""

    key: str

    def __call__(self, part: xr.Dataset) -> xr.Dataset:
        return part.assign_attrs(pair=self.key)


def _attrs_of(store: Path) -> Mapping[str, Any]:
    return dict(zarr.open_group(store, mode="r").attrs) if store.exists() else {}


def _make_work(asked: _AskedPair) -> Work:
    """On a worker."""
    from driftfield.compare.reading import read_comparison
    from driftfield.compare.running import opened_setting
    from driftfield.compare.settings import open_truth

    comparison = read_comparison(asked.comparison.recipe, list(asked.comparison.overrides), runs=asked.comparison.runs)
    (setting,) = (setting for setting in comparison.settings if setting.name == asked.setting)
    shown = opened_setting(comparison, setting, open_truth(comparison)).shown
    loaded: Any = (load_downscaler if comparison.data.get("coarse") else load_reconstructor)(asked.run)
    method = uncalibrated(loaded) if asked.plain else loaded
    return Work(method, shown, Draws(asked.members, comparison.seed), _Marked(asked.key))

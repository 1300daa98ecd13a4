"""From the `data` section of a recipe to what a reconstructor is fitted to: archive, windows, splits that never touch."""

__all__ = ["divide", "prepare"]

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from driftfield.conventions import require
from driftfield.data.pairing import make_pair
from driftfield.data.patches import Window, window_index, window_size
from driftfield.data.sections import open_sections
from driftfield.data.sources import GriddedArchive, open_archive
from driftfield.data.splits import Splits, check_disjoint
from driftfield.data.statics import statics_on
from driftfield.data.window_dates import windows_as_dates
from driftfield.errors import ConfigurationError, DataError, suggest
from driftfield.gridded.acceptance import Acceptance
from driftfield.interfaces import TrainingData
from driftfield.registry import build, lookup

log = logging.getLogger(__name__)


def prepare(
    archive: str,
    targets: Sequence[str],
    *,
    covariates: Sequence[str] = (),
    split: Mapping[str, Any] | None = None,
    windows: Mapping[str, Any] | None = None,
    levels: Sequence[float] | None = None,
    region: Mapping[str, Any] | None = None,
    time: Sequence[Any] | None = None,
    domain: str | None = None,
    quality_level: int | None = None,
    reject_flags: Sequence[str] = (),
    vector_pairs: Sequence[Sequence[str]] = (),
    bounds: Mapping[str, Mapping[str, float]] | None = None,
    coarse: Mapping[str, Any] | None = None,
    statics: Mapping[str, Any] | None = None,
    sections: Sequence[str] = (),
) -> TrainingData:
    """Opens the archive and divides it; what is neither for training nor for validation is NaN in what comes back.

    Arguments:
        archive: Path, glob or store.
        targets: Variables to reconstruct.
        covariates: Variables that are given.
        split: Class and arguments of the split; the last tenth of the times validates by default.
        windows: `size` [lat, lon], `stride`, `max_nodata_fraction`; the whole grid by default. Beside `coarse` complete windows
            are fields of their own: `size`, `stride`, `holding` (`window_dates.windows_as_dates`).
        levels: Depths in metres.
        region: {lat: [a, b], lon: [a, b]}.
        time: [first, last].
        domain: File with the domain.
        quality_level: Least quality that is accepted, where the archive has a flag of that name.
        reject_flags: Meanings of flags that reject beside the usual ones.
        vector_pairs: [eastward, northward] components of vectors.
        bounds: {target: {lower, upper}}, one of them or both: no reconstruction leaves them.
        coarse: {factor} or {archive, names, halo, paired}: the coarse fields that a downscaler starts from (`pairing.make_pair`).
        statics: {file, variables, coarse}: static fields, `coarse` for a downscaler alone.
        sections: Further sections beside `archive`, at other places and of other lengths (`sections.open_sections`).

    Raises:
        ConfigurationError: a variable is both target and covariate, a vector pair names another, or a window size makes no sense.
        DataError: a variable is missing, or a split has no sample.
        OverlapError: two splits share cells or times.
    """
    _check_names(targets, covariates, vector_pairs)
    options: dict[str, Any] = {"levels": levels, "region": region, "domain": domain, "time": time}
    options["acceptance"] = Acceptance.of(quality_level, reject_flags)
    if sections:
        _check_sections(coarse=coarse, statics=statics, region=region, domain=domain)
        opened = open_sections([archive, *sections], [*targets, *covariates], windows, **options)
    else:
        opened = open_archive(archive, [*targets, *covariates], **options)
    require(opened.dataset, [*targets, *covariates], str(archive))
    pair = None
    if coarse is not None:
        if windows:
            opened, windows = windows_as_dates(opened, targets, windows), None
        opened, pair = make_pair(opened, coarse, statics)
    elif "holding" in (windows or {}):
        raise ConfigurationError(
            "data.windows.holding chooses windows for a downscaler: expected data.coarse. Leave it out."
        )
    splits = divide(opened, targets, split=split, windows=windows)
    validates = lookup("split", (split or {"class": "TimeSplit"})["class"]).validates
    _check_filled(splits, archive, validates=validates)
    learnt, checked = _known(opened, splits)
    return TrainingData(
        archive=learnt,
        train=np.asarray(splits.train.times),
        validation=np.asarray(splits.validation.times),
        test=np.asarray(splits.test.times),
        targets=tuple(targets),
        covariates=tuple(covariates),
        train_windows=tuple(splits.train.windows),
        validation_windows=tuple(splits.validation.windows),
        vector_pairs=tuple((u, v) for u, v in vector_pairs),
        bounds=_bounds(targets, bounds or {}),
        validation_archive=checked,
        pair=pair,
        statics=statics_on(opened.dataset, statics) if statics is not None and pair is None else {},
    )


def _check_sections(**others: Any) -> None:
    for name, value in others.items():
        if value:
            raise ConfigurationError(
                f"data.{name} is of one place, and data.sections names several: expected one of both. Leave one out."
            )


def _check_names(targets: Sequence[str], covariates: Sequence[str], vector_pairs: Sequence[Sequence[str]]) -> None:
    if twice := set(targets) & set(covariates):
        raise ConfigurationError(
            f"{sorted(twice)} are targets and covariates: a field is given or reconstructed, not both."
        )
    for name in (name for pair in vector_pairs for name in pair):
        if name not in (*targets, *covariates):
            raise ConfigurationError(
                f"data.vector_pairs names {name!r}, which is neither target nor covariate: "
                f"{suggest(str(name), (*targets, *covariates))}"
            )


def _check_filled(splits: Splits, archive: str, *, validates: bool) -> None:
    """Refuses a part without a sample, and says how many the others have."""
    parts = {"train": splits.train, "validation": splits.validation, "test": splits.test}
    for name in ("train", "validation") if validates else ("train",):
        if not len(parts[name].times) or not len(parts[name].windows):
            raise DataError(f"The {name} split of {archive} is empty. Choose longer periods or smaller windows.")
    for name, part in parts.items():
        times, places = len(part.times), len(part.windows)
        log.info("%s: %d times x %d windows = %d samples", name, times, places, times * places)


def divide(
    archive: GriddedArchive,
    targets: Sequence[str],
    *,
    split: Mapping[str, Any] | None = None,
    windows: Mapping[str, Any] | None = None,
) -> Splits:
    """The parts of an archive, proved to be disjoint.

    Arguments:
        archive: What is divided.
        targets: Variables whose domains choose the windows.
        split, windows: As of `prepare`.

    Raises:
        ConfigurationError: a window size or a split that makes no sense.
        DataError: a part that was asked for is empty.
        OverlapError: two parts share cells or times.
    """
    chosen = _windows(archive, targets, dict(windows or {}))
    dividing = build("split", split or {"class": "TimeSplit"})
    grid = (archive.dataset.sizes["lat"], archive.dataset.sizes["lon"])
    splits: Splits = dividing.divide(archive.times, chosen, grid)
    check_disjoint(splits, times=archive.times, buffer=(split or {}).get("buffer", "0D"), grid=grid)
    return splits


def _known(archive: GriddedArchive, splits: Splits) -> tuple[GriddedArchive, GriddedArchive | None]:
    """What may be learnt from, and what may validate where that is another archive: all else is NaN before anyone is fitted."""
    train, validation = splits.train, splits.validation
    if train.cells is None and validation.cells is None:
        return archive.only(np.union1d(train.times, validation.times)), None
    return archive.only(train.times, train.cells), archive.only(validation.times, validation.cells)


def _bounds(targets: Sequence[str], bounds: Mapping[str, Mapping[str, float]]) -> dict[str, tuple[float, float]]:
    """(lower, upper) per target; infinite where there is none."""
    limits = {}
    for name, ends in bounds.items():
        if name not in targets:
            raise ConfigurationError(f"data.bounds names {name!r}, which is no target: {suggest(str(name), targets)}")
        if not isinstance(ends, Mapping) or not ends or not set(ends) <= {"lower", "upper"}:
            raise ConfigurationError(
                f"data.bounds.{name} is {ends!r}: expected lower, upper or both, such as {{lower: 0}}."
            )
        low, high = ends.get("lower", -np.inf), ends.get("upper", np.inf)
        if any(isinstance(end, bool) or not isinstance(end, int | float) for end in (low, high)) or not low < high:
            raise ConfigurationError(
                f"data.bounds.{name} is {dict(ends)}: expected numbers, the lower below the upper."
            )
        limits[name] = (float(low), float(high))
    return limits


def _windows(archive: GriddedArchive, targets: Sequence[str], windows: Mapping[str, Any]) -> list[Window]:
    height, width = archive.dataset.sizes["lat"], archive.dataset.sizes["lon"]
    size = window_size(windows.get("size", (height, width)))
    masks = [archive.domain(name).values for name in targets]
    exists = np.logical_or.reduce([mask if mask.ndim == 2 else mask.any(axis=0) for mask in masks])
    found, _ = window_index(
        exists,
        size,
        windows.get("stride", max(1, min(size) // 2)),
        periodic=archive.periodic,
        max_nodata_fraction=windows.get("max_nodata_fraction", 0.95),
    )
    return list(found)

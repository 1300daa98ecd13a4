"""From a setting to the observations that every method is shown.

    truth, setting -> held out (time, [depth,] lat, lon) -> y = truth + N(0, error^2) where it is not held out

The cells that are held out come from patterns (`data.twin`), from the reference benchmark's masks, from a file, from
the clouds of another day, or are a whole part of the split. Where a split divides the cells, only those of its test part
are scored: the others were learnt from.
"""

__all__ = ["CoarseTask", "coarse_setting", "content_hash", "open_truth", "setting_observations"]

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import xarray as xr

from driftfield.compare.recipe import Comparison, Setting
from driftfield.conventions import held_out_of
from driftfield.data.masks import reference_mask
from driftfield.data.pairing import Pair, make_pair
from driftfield.data.prepare import divide
from driftfield.data.sources import GriddedArchive, open_archive
from driftfield.data.splits import Splits
from driftfield.data.transplant import transplant_clouds
from driftfield.data.twin import observe
from driftfield.data.window_dates import windows_as_dates
from driftfield.errors import ConfigurationError, DataError
from driftfield.evaluate.alignment import time_keys
from driftfield.gridded.acceptance import Acceptance
from driftfield.gridded.gridded_files import open_fields


def open_truth(comparison: Comparison) -> GriddedArchive:
    """The archive that the methods are scored on, all of its times."""
    data = comparison.data
    acceptance = Acceptance.of(data.get("quality_level"), data.get("reject_flags"))
    names = [*data["targets"], *data.get("covariates", ())]
    return _in_windows(comparison, open_archive(comparison.truth[0], names, acceptance=acceptance, **_extent(data)))


def _extent(data: Mapping[str, Any]) -> Mapping[str, Any]:
    """What part of an archive a recipe asks for."""
    return {key: data.get(key) for key in ("levels", "region", "domain")}


def _in_windows(comparison: Comparison, archive: GriddedArchive) -> GriddedArchive:
    """The windows that a downscaler learns from and is scored on, where the recipe asks for them."""
    data = comparison.data
    if data.get("coarse") is None or not data.get("windows"):
        return archive
    return windows_as_dates(archive, data["targets"], data["windows"])


def setting_observations(comparison: Comparison, setting: Setting, archive: GriddedArchive) -> xr.Dataset:
    """The observation file of a setting (see `driftfield.conventions`), the same for every method.

    Raises:
        ConfigurationError: the setting does not fit the variables.
        DataError: its times or cells are not those of the truth.
    """
    period = setting.times or comparison.truth[1]
    tested = _tested(comparison, setting, archive, period)
    times = _times(archive, period, setting.name)
    if tested is not None:
        times = times[tested.values[times].any(axis=(1, 2))]
    fields = archive.dataset.isel(time=times)
    kind, value = setting.hides
    if kind == "observe":
        seen = observe(fields, value, error=setting.error, seed=comparison.seed, domain=archive.domains)
    else:
        if comparison.data.get("covariates"):
            raise ConfigurationError(
                f"The setting {setting.name!r} must say how the covariates are seen: expected 'observe', found {kind!r}."
            )
        seen = xr.Dataset()
        for number, name in enumerate(comparison.targets):
            held_out = _held_out(kind, value, setting, archive, name, times, tested)
            part = _hide(fields[name], held_out, archive.domain(name), setting, comparison.seed)
            # the first variable's masks carry the plain names
            plain = {key: f"{name}_{key}" for key in ("domain", "held_out")} if number else {}
            seen = seen.merge(part.rename(plain))
    if tested is not None:
        seen = _score_only(seen, comparison.targets, tested.isel(time=times))
    missing = [name for name in comparison.targets if name not in seen]
    if missing:
        raise ConfigurationError(
            f"The setting {setting.name!r} does not say how {missing} are seen. Add them to 'observe'."
        )
    return seen.assign_attrs(comparison=comparison.name, setting=setting.name)


@dataclass(frozen=True)
class CoarseTask:
    """What a setting of a downscaling comparison shows, and what it scores.

    Arguments:
        shown: The coarse fields.
        scored: The fine truth as an observation file of which every cell is held out.
        archive: The truth itself.
        pair: Both with the map between them.
    """

    shown: xr.Dataset
    scored: xr.Dataset
    archive: GriddedArchive
    pair: Pair


def coarse_setting(comparison: Comparison, setting: Setting, archive: GriddedArchive) -> CoarseTask:
    """What a setting of a downscaling comparison shows, what it scores, and its truth.

    Raises:
        DataError: its archives are no pair, or hold none of its times.
    """
    data, spec = comparison.data, setting.hides[1]
    stated: Mapping[str, Any] = spec if isinstance(spec, dict) else {}
    other = bool({"archive", "region"} & set(stated))
    if other:
        extent = _extent(data)
        extent = {**extent, "region": stated.get("region", extent["region"])}
        path = stated.get("archive", comparison.truth[0])
        archive = _in_windows(comparison, open_archive(path, data["targets"], **extent))
    archive, pair = make_pair(archive, {**data["coarse"], **(stated.get("coarse") or {})})
    period = setting.times or (None if other else comparison.truth[1])
    if period is None and not other and comparison.truth[0] == str(data["archive"]):
        times = _divided(comparison, archive)[0].test.times
    else:
        times = _times(archive, period, setting.name)
    times = times[:: setting.every]
    if setting.some is not None:
        times = np.sort(np.random.default_rng(comparison.seed).permutation(times)[: setting.some])
    parts = []
    for number, name in enumerate(comparison.targets):
        fields = archive.dataset[name].isel(time=times)
        everything = np.ones(fields.shape, dtype=bool)
        part = _hide(fields, everything, archive.domain(name), setting, comparison.seed)
        parts.append(part.rename({key: f"{name}_{key}" for key in ("domain", "held_out")} if number else {}))
    scored = xr.merge(parts).assign_attrs(comparison=comparison.name, setting=setting.name)
    # fields of a model that runs freely have dates of their own: all of them are shown
    return CoarseTask(pair.coarse.isel(time=times) if pair.paired else pair.coarse, scored, archive, pair)


def content_hash(dataset: xr.Dataset) -> str:
    """Of all values, masks and coordinates of a data set: equal content has equal hashes, on every machine."""
    digest = hashlib.sha256()
    for name in sorted(map(str, dataset.variables)):
        array = dataset[name]
        digest.update(f"{name} {array.dims} {array.shape}".encode())
        if array.dtype.kind == "M" or name == "time":
            digest.update(" ".join(time_keys(array)).encode())
        elif array.dtype.kind in "OSU":
            # names of stations, dates of a model calendar
            digest.update("\n".join(map(str, array.values.ravel())).encode())
        else:
            digest.update(np.ascontiguousarray(array.values).tobytes())
    return digest.hexdigest()[:16]


def _times(archive: GriddedArchive, period: tuple[Any, Any] | None, name: str) -> np.ndarray:
    """Time indices of [first, last]."""
    stamps = archive.times
    index = xr.DataArray(np.arange(stamps.size), dims="time", coords={"time": stamps.values})
    if period is None:
        return index.values
    try:
        chosen = index.sel(time=slice(*(None if date is None else str(date) for date in period))).values
    except (ValueError, TypeError, KeyError) as error:
        raise ConfigurationError(f"Cannot read the times {list(period)} of the setting {name!r}: {error}.") from error
    if not chosen.size:
        span = time_keys(stamps[[0, -1]])
        raise DataError(f"No time of the truth lies in {list(period)} ({name!r}): it runs from {span[0]} to {span[1]}.")
    return chosen


def _tested(
    comparison: Comparison, setting: Setting, archive: GriddedArchive, period: tuple[Any, Any] | None
) -> xr.DataArray | None:
    """Where the part of the split lies that is scored: boolean (time, lat, lon); None where the period alone says it.

    Raises:
        ConfigurationError: a part is to be hidden of what was not divided.
    """
    data, whole = comparison.data, setting.hides[0] == "split"
    if comparison.learn_from is not None or comparison.truth[0] != str(data["archive"]):
        if whole:
            raise ConfigurationError(
                f"The setting {setting.name!r} hides a part of the split of {data['archive']}, but another truth is scored: "
                "expected the same. Leave out truth.archive and learn_from, or hide by 'observe'."
            )
        return None
    part = str(setting.hides[1]) if whole else "test"
    splits, field = _divided(comparison, archive)
    if not whole and period is not None and splits.train.cells is None:
        return None
    return splits.held_out(part, field).reindex(time=archive.dataset["time"], fill_value=False)


def _divided(comparison: Comparison, archive: GriddedArchive) -> tuple[Splits, xr.DataArray]:
    """The split of the training data, and a field on the times that it divides."""
    data = comparison.data
    chosen = _times(archive, data.get("time"), "data")
    inside = replace(archive, dataset=archive.dataset.isel(time=chosen))
    windows = None if data.get("coarse") else data.get("windows")
    splits = divide(inside, data["targets"], split=data.get("split"), windows=windows)
    return splits, inside.dataset[data["targets"][0]]


def _score_only(seen: xr.Dataset, targets: Sequence[str], tested: xr.DataArray) -> xr.Dataset:
    """The same observations; held out, and so scored, are the cells of a part alone."""
    masks = {}
    for name in targets:
        held_out = held_out_of(seen, name)
        if held_out is not None:
            key = str(held_out.name)
            masks[key] = (held_out & tested.drop_vars(("time", "lat", "lon"))).transpose(*held_out.dims)
    return seen.assign(masks)


def _held_out(
    kind: str,
    value: Any,
    setting: Setting,
    archive: GriddedArchive,
    name: str,
    times: np.ndarray,
    tested: xr.DataArray | None,
) -> np.ndarray:
    """Cells to hide, boolean in the shape of the field (time, [depth,] lat, lon)."""
    domain = archive.domain(name)
    fields = archive.dataset[name].isel(time=times)
    if kind == "held_out":
        return _from_file(value, fields)
    if kind == "split" and tested is not None:
        return tested.isel(time=times).broadcast_like(fields).transpose(*fields.dims).values
    if domain.ndim != 2:
        raise ConfigurationError(
            f"The setting {setting.name!r} hides surface fields, {name!r} has levels. Use 'observe'."
        )
    if kind == "transplant":
        return transplant_clouds(fields, domain=domain, **value).transpose("time", "lat", "lon").values
    pattern, _, share = str(value).partition(":")
    seen = [
        reference_mask(pattern, float(share), int(t), domain.values, north_first=setting.north_first) for t in times
    ]
    return domain.values & ~np.stack(seen)


def _from_file(path: str, fields: xr.DataArray) -> np.ndarray:
    observations = open_fields(path)
    name = next((n for n in (f"{fields.name}_held_out", "held_out") if n in observations), None)
    if name is None:
        raise DataError(
            f"{path} holds no 'held_out': found {sorted(map(str, observations))}. Name a file that says it."
        )
    mask = observations[name].transpose(*fields.dims)
    have = {key: place for place, key in enumerate(time_keys(mask["time"]))}
    wanted = time_keys(fields["time"])
    if lacking := [key for key in wanted if key not in have]:
        raise DataError(f"{path} lacks {len(lacking)} of {len(wanted)} times, the first is {lacking[0]}.")
    mask = mask.isel(time=[have[key] for key in wanted])
    for axis in (str(d) for d in fields.dims if d != "time"):
        if mask.sizes[axis] != fields.sizes[axis] or not np.allclose(mask[axis], fields[axis], atol=1e-3):
            raise DataError(f"'held_out' in {path} lies on another {axis} axis than the truth. Regrid it first.")
    return np.nan_to_num(mask.values).astype(bool)


def _hide(field: xr.DataArray, held_out: np.ndarray, domain: xr.DataArray, setting: Setting, seed: int) -> xr.Dataset:
    """The observation file of one variable from the cells to hide; what the truth does not know is neither."""
    name = str(field.name)
    error = setting.error.get(name, 0.0) if isinstance(setting.error, dict) else setting.error
    std = float(error)
    known = np.isfinite(field.values) & domain.values
    seen = known & ~held_out
    noise = np.random.default_rng(seed).standard_normal(field.shape, dtype=np.float32) if std > 0 else 0.0
    values = np.where(seen, field.values + std * noise, np.nan).astype(np.float32)
    return xr.Dataset(
        {
            name: field.copy(data=values),
            f"{name}_error": field.copy(data=np.where(seen, std, np.nan).astype(np.float32)),
            "domain": domain.rename("domain"),
            "held_out": field.copy(data=known & held_out).drop_attrs(),
        }
    )

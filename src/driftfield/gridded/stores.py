"""Stores and files with rooms inside: what the metadata of Zarr may not do, what its fill value does not mean, and groups.

codec "pickle"      runs whatever code the store holds as soon as a chunk is read: refused before anything is opened
fill_value 0        what zarr puts there if nobody says anything: zeros are values, unless `_FillValue` says otherwise
groups              a file whose variables are all in one group is that group, with a line; of several nobody knows which is meant
"""

__all__ = [
    "consolidate",
    "group_of",
    "opened_with_texts",
    "options_for",
    "refuse_pickle_codecs",
    "refuse_pickles",
    "undeclared_fills",
    "with_outer_coordinates",
    "with_true_zeros",
    "without_forecasts",
]

import json
import logging
import warnings
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
import xarray as xr

from driftfield.errors import FileFormatError

log = logging.getLogger(__name__)

_METADATA = ("zarr.json", ".zarray", ".zmetadata")


def options_for(path: Path) -> dict[str, Any]:
    """Options of `xarray.open_dataset` for a file or a store, which has been looked through before it is opened.

    Raises:
        FileFormatError: a store that asks for a codec which executes code.
    """
    if not path.is_dir():
        return {}
    refuse_pickles(path)
    return {"engine": "zarr", "consolidated": False}


def group_of(path: Path) -> dict[str, str]:
    """Options that open the one group with fields of a NetCDF-4 file that has none outside of groups; none for any other.

    Coordinates outside of groups are those of the group, too (`with_outer_coordinates`).

    Raises:
        FileFormatError: several groups hold fields.
    """
    if path.is_dir() or not _is_hdf(path):
        return {}
    groups = _contents(path)[0]
    if len(groups) > 1:
        raise FileFormatError(
            f"The variables of {path} are in the groups {', '.join(groups)}: expected them outside of groups, or in one. Copy "
            "one of them, for example with ncks -G : -g GROUP."
        )
    if groups:
        log.info("%s: its variables are in the group %s: that is read", path, groups[0])
    return {"group": groups[0]} if groups else {}


def opened_with_texts(path: Path, **options: Any) -> xr.Dataset:
    """`xarray.open_dataset`, with the text of a NetCDF-4 file, or of its `group`, in memory.

    Text is read once in each state of the file: read through two open handles of one file it makes the HDF5 library crash at
    the next opening.
    """
    if "engine" in options or path.is_dir() or not _is_hdf(path):
        return xr.open_dataset(path, **options)
    texts = _contents(path)[1].get(options.get("group", ""), {})
    # an axis is read as soon as the file is opened, everything else when it is asked for
    axes = [name for name, text in texts.items() if name in text.dims]
    return xr.open_dataset(path, drop_variables=axes, **options).assign(texts).set_coords(axes)


def _contents(path: Path) -> tuple[tuple[str, ...], dict[str, dict[str, xr.Variable]]]:
    """`_looked_through` of the file as it is now."""
    state = path.stat()
    return _looked_through(path.resolve(), (state.st_ino, state.st_size, state.st_mtime_ns))


@lru_cache(maxsize=64)
def _looked_through(
    path: Path, _state: tuple[int, int, int]
) -> tuple[tuple[str, ...], dict[str, dict[str, xr.Variable]]]:
    """Groups with fields of a file that has none outside of groups, and texts by group."""
    with netCDF4.Dataset(path) as file:
        texts = {"": _texts(file)} | {group.path: _texts(group) for group in _walk(file)}
        if not file.groups or any(v.ndim >= 2 for v in file.variables.values()):
            return (), texts
        return tuple(g.path for g in _walk(file) if any(v.ndim >= 2 for v in g.variables.values())), texts


def _texts(group: Any) -> dict[str, xr.Variable]:
    return {
        name: xr.Variable(v.dimensions, np.asarray(v[...], dtype=object), {a: v.getncattr(a) for a in v.ncattrs()})
        for name, v in group.variables.items()
        if v.dtype is str
    }


def with_outer_coordinates(dataset: xr.Dataset, path: Path, **options: Any) -> xr.Dataset:
    """A group with the coordinates that its file keeps outside of groups.

    Arguments:
        dataset: The group.
        path: The file.
        options: Of `xarray.open_dataset`, without the group.
    """
    outer = opened_with_texts(path, **options)
    inherited = [
        n for n, a in outer.variables.items() if n not in dataset.variables and set(a.dims) <= set(dataset.dims)
    ]
    return dataset.assign_coords({n: outer[n] for n in inherited})


def _walk(group: Any) -> Iterator[Any]:
    for inner in group.groups.values():
        yield inner
        yield from _walk(inner)


def _is_hdf(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(8) == b"\x89HDF\r\n\x1a\n"


@contextmanager
def without_forecasts() -> Iterator[None]:
    """Silences what zarr says of text in a store: that its own format of it may change one day."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*does not have a Zarr V3 specification.*")
        yield


def consolidate(store: Path) -> None:
    """Writes what a store says of all its arrays into one place, so that others open it without listing folders or a warning."""
    import zarr

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Consolidated metadata is currently not part")
        zarr.consolidate_metadata(store)


def refuse_pickles(store: Path) -> None:
    """Refuses a store that asks for a codec which executes code.

    Raises:
        FileFormatError: as said, with the file that asks for it.
    """
    metadata = {}
    # the group itself and its arrays: nothing deeper is ever opened
    for path in (file for name in _METADATA for file in (store / name, *store.glob(f"*/{name}"))):
        try:
            metadata[str(path)] = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            continue  # the reader says what is wrong with it
    refuse_pickle_codecs(metadata)


def refuse_pickle_codecs(metadata: Mapping[str, Any]) -> None:
    """Refuses metadata of arrays, by where they stand, that ask for a codec which executes code.

    Raises:
        FileFormatError: as said, with the place that asks for it.
    """
    for place, described in metadata.items():
        if any("pickle" in codec.lower() for codec in _codecs(described)):
            raise FileFormatError(
                f"{place} asks for the codec 'pickle', which runs code that the store holds: expected codecs that only "
                "unpack numbers. Ask whoever wrote the store for one without it."
            )


def _codecs(metadata: Any) -> Iterator[str]:
    """Names of codecs: `id` in version 2, `name` in version 3, at any depth."""
    waiting = [metadata]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            yield from (part[key] for key in ("id", "name") if isinstance(part.get(key), str))
            # attributes are whatever somebody wrote there
            waiting.extend(value for key, value in part.items() if key not in ("attributes", ".zattrs"))
        elif isinstance(part, list):
            waiting.extend(part)


def undeclared_fills(store: Path) -> set[str]:
    """The arrays of a store of version 2 that declare no fill value of their own."""
    return {path.parent.name for path in store.glob("*/.zarray") if _is_default(path.parent)}


def with_true_zeros(dataset: xr.Dataset, store: Any, undeclared: Collection[str], **options: Any) -> xr.Dataset:
    """The data set with zeros that are values, where a store of version 2 has a fill value of 0 and declares none.

    Arguments:
        dataset: As xarray opened the store: fill values are missing.
        store: The folder, or a store of zarr.
        undeclared: Arrays that declare no fill value of their own.
        options: Of `xarray.open_dataset`.
    """
    zeroed = [
        str(name)
        for name, array in dataset.variables.items()
        if array.encoding.get("_FillValue") == 0 and name in undeclared
    ]
    if not zeroed:
        return dataset
    # xarray hands `use_zarr_fill_value_as_mask` on to nobody (2026.9): decoded by hand
    raw = xr.open_dataset(store, **options | {"mask_and_scale": False})[zeroed].reset_coords()
    for name in zeroed:
        del raw[name].attrs["_FillValue"]
        log.info(
            "%s: the fill_value 0 of %r is zarr's own: zeros are values. Set the attribute _FillValue if they are not",
            store,
            name,
        )
    unmasked = xr.decode_cf(raw, decode_times=False, decode_timedelta=False)
    return dataset.assign({name: unmasked[name] for name in zeroed if name in dataset.data_vars}).assign_coords(
        {name: unmasked[name] for name in zeroed if name in dataset.coords}
    )


def _is_default(array: Path) -> bool:
    """Whether a version 2 array declares no fill value of its own."""
    try:
        attributes = json.loads((array / ".zattrs").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return True
    return not {"_FillValue", "missing_value"} & set(attributes)

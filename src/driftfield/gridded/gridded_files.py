"""Gridded files: opened with the axes and units of the program, written under a temporary name.

file, glob, list or store  --open_fields-->  canonical data set (lazy)  --write_dataset-->  NetCDF or Zarr
"""

__all__ = ["expand_paths", "open_fields", "open_raw", "write_dataset"]

import glob
import importlib.util
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import xarray as xr

from driftfield.errors import ConfigurationError, DataError, FileFormatError, MissingExtraError, UserError
from driftfield.files import replacing
from driftfield.gridded.acceptance import USUAL, Acceptance
from driftfield.gridded.axes import canonical
from driftfield.gridded.cf import PLANES, as_cf, chunks_of
from driftfield.gridded.copies import without_copies
from driftfield.gridded.domains import as_masks, sound_masks
from driftfield.gridded.flags import flag_meanings, honour_flags
from driftfield.gridded.joining import joined_files
from driftfield.gridded.lazy import lazily
from driftfield.gridded.one_unit import in_one_unit
from driftfield.gridded.packing import Packing
from driftfield.gridded.remote import address_of, open_remote
from driftfield.gridded.sentinels import find_constants, without_constants
from driftfield.gridded.stores import (
    consolidate,
    group_of,
    opened_with_texts,
    options_for,
    undeclared_fills,
    with_outer_coordinates,
    with_true_zeros,
    without_forecasts,
)
from driftfield.gridded.units import canonical_units
from driftfield.gridded.valid_range import inside_valid_range

_GRIB = (".grib", ".grb", ".grib2", ".grb2")


def open_fields(
    path: str | Path | Sequence[str | Path],
    *,
    decode: bool = True,
    variables: Sequence[str] | None = None,
    marks: bool = False,
    acceptance: Acceptance = USUAL,
) -> xr.Dataset:
    """Opens NetCDF, GRIB (one file, a glob, a list) or a Zarr store lazily, with canonical axes and units.

    Axes are those of `axes`, units those of `units` where it knows the quantity. What the file itself calls no value is missing:
    outside `valid_range`, the default fill of netCDF (`valid_range`).

    Arguments:
        path: Several files are joined along time, or side by side where they hold different variables.
        decode: Turn the time axis into dates.
        variables: Keep these only; their grid is chosen where a file holds several.
        marks: Keep beside every variable what was removed of it and why (`gridded.removal`), to be counted.
        acceptance: Which quality flags reject a value, where the usual is not wanted.

    Raises:
        ConfigurationError: an acceptance that no flag of the files knows.
        DataError: nothing there, no latitude and longitude, unknown units of a variable that was asked for, or files
            that do not fit together.
        FileFormatError: a file that cannot be read.
    """
    paths = expand_paths(path, remote=True)
    raws = [open_raw(file) for file in paths]
    if acceptance != USUAL:
        acceptance.check({name: words for raw in raws for name, words in flag_meanings(raw).items()}, str(path))
    parts = [
        _understood(raw, file, variables, decode=decode, acceptance=acceptance)
        for raw, file in zip(raws, paths, strict=True)
    ]
    # before units are converted: -9999 is a number of the file
    constants = find_constants(parts)
    parts = [canonical_units(without_constants(p, constants), asked=variables, source=str(path)) for p in parts]
    parts = in_one_unit(parts, paths)
    dataset = parts[0] if len(parts) == 1 else joined_files(parts, str(path))
    if not marks:
        dataset = dataset.drop_vars([str(name) for name in dataset.data_vars if str(name).endswith("_removed")])
    if variables is None:
        return dataset
    parts_of = ("domain", "error", "held_out", "removed")
    masks = [n for v in variables for part in parts_of if (n := f"{v}_{part}") in dataset]
    return dataset[[*variables, *masks, *(n for n in ("domain", "held_out") if n in dataset and n not in variables)]]


def write_dataset(
    dataset: xr.Dataset, path: str | Path, *, overwrite: bool = False, packing: Packing | None = None
) -> None:
    """Writes NetCDF (.nc, compressed) or a Zarr store (.zarr) under a temporary name and renames it at the end.

    Order of dimensions, descriptions and chunks are those of `gridded.cf`.

    Arguments:
        dataset: In memory or lazy.
        path: The file.
        overwrite: Replace it.
        packing: Of the fields; they stay as they are if None.

    Raises:
        ConfigurationError: another suffix.
        ExistsError: the file exists and `overwrite` is false.
    """
    path = Path(path)
    if path.suffix not in (".nc", ".zarr"):
        raise ConfigurationError(f"Cannot write {path}: expected a name that ends in .nc or .zarr. Rename the output.")
    dataset = as_cf(dataset.drop_encoding())
    dataset, packed = (dataset, {}) if packing is None else packing.packed(dataset)
    with replacing(path, overwrite=overwrite) as temporary:
        if path.suffix == ".nc":
            encoding = _encoding(dataset)
            dataset.to_netcdf(temporary, encoding=encoding | {n: encoding[n] | how for n, how in packed.items()})
        else:
            chunks = {name: chunks_of(dataset[name]) for name in _gridded(dataset)}
            for name, sizes in chunks.items():
                if dataset[name].chunks is not None:  # dask writes whole chunks
                    dataset[name] = dataset[name].chunk(dict(zip(dataset[name].dims, sizes, strict=True)))
            with without_forecasts():
                encoding = {n: {"chunks": c} | packed.get(n, {}) for n, c in chunks.items()}
                dataset.to_zarr(temporary, consolidated=False, encoding=encoding)
            consolidate(temporary)


def expand_paths(path: str | Path | Sequence[str | Path], *, remote: bool = False) -> list[Path]:
    """The files that a path, a glob or a list of them names.

    Arguments:
        path: What was named.
        remote: Whether it may be an address (`gridded.remote.address_of`); one address is one file or store.

    Raises:
        DataError: none, or an address where files are expected.
    """
    if not isinstance(path, str | Path):
        paths = [file for item in path for file in expand_paths(item, remote=remote)]
    elif (address := address_of(path)) is not None:
        if not remote:
            raise DataError(f"{address} is an address: expected a file of this machine here. Fetch it first.")
        return [Path(path)]
    elif any(c in str(path) for c in "*?[") and not Path(path).exists():
        paths = [Path(file) for file in sorted(glob.glob(str(path), recursive=True))]
    else:
        paths = [Path(path)] if Path(path).exists() else []
    if odd := [file for file in paths if not (file.is_file() or file.is_dir())]:
        raise DataError(f"{odd[0]} is a device or a pipe and no file. Expected a NetCDF or GRIB file, or a Zarr store.")
    if not paths:
        raise DataError(f"No file at {path}. Expected a NetCDF or GRIB file, a glob of them, or a Zarr store.")
    return paths


def _understood(
    raw: xr.Dataset, path: Path, variables: Sequence[str] | None, *, decode: bool, acceptance: Acceptance
) -> xr.Dataset:
    """A file with canonical axes, NaN where the file itself says that a number is no value, and each place once."""
    source = str(path)
    values = honour_flags(
        inside_valid_range(as_masks(raw)), asked=variables or (), source=source, acceptance=acceptance
    )
    dataset = canonical(values, variables=variables, decode=decode, source=source)
    return sound_masks(without_copies(dataset, source), source)


def open_raw(path: Path) -> xr.Dataset:
    """As the file has it, or the address that a path stands for (`remote`), lazily, times not decoded."""
    if (address := address_of(path)) is not None:
        return lazily(open_remote(address), address)
    options: dict[str, Any] = {"decode_times": False, "decode_timedelta": False}
    _refuse_bufr(path)
    if path.is_dir():
        if not any((path / name).exists() for name in ("zarr.json", ".zgroup", ".zmetadata")):
            raise FileFormatError(f"{path} is a folder and no Zarr store. Name a file, or a glob such as {path}/*.nc.")
        options |= options_for(path)
    elif path.suffix.lower() in _GRIB:
        if importlib.util.find_spec("cfgrib") is None:
            raise MissingExtraError(f"Reading {path} needs cfgrib. Install it with `pip install 'driftfield[grib]'`.")
        options |= {"engine": "cfgrib", "backend_kwargs": {"indexpath": ""}}
    try:
        options |= group_of(path) if "engine" not in options else {}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", xr.SerializationWarning)
            opened = opened_with_texts(path, chunks=None, cache=False, **options)
        if options.pop("group", None):
            opened = with_outer_coordinates(opened, path, chunks=None, cache=False, **options)
        if path.is_dir():
            opened = with_true_zeros(opened, path, undeclared_fills(path), chunks=None, cache=False, **options)
    except UserError:
        raise
    except PermissionError as error:
        raise DataError(f"No permission to read {path}. Ask its owner, or name another file.") from error
    except Exception as error:  # each backend has its own exceptions for a broken file
        raise FileFormatError(
            f"Cannot read {path} as NetCDF, GRIB or Zarr: {error}. Check that the file is complete."
        ) from error
    return lazily(opened, str(path))


def _refuse_bufr(path: Path) -> None:
    try:
        with path.open("rb") as file:
            begin = file.read(4)
    except OSError:
        return  # a folder, or a file that whoever opens it complains of
    if begin == b"BUFR":
        raise FileFormatError(
            f"{path} is BUFR: points, which `driftfield gather`, `map` and `assimilate` read. Expected NetCDF, GRIB or Zarr here."
        )


def _gridded(dataset: xr.Dataset) -> list[str]:
    """The variables that are laid out in chunks."""
    return [
        str(n)
        for n, a in dataset.data_vars.items()
        if a.dtype.kind in "fiub" and any(set(plane) <= set(a.dims) for plane in PLANES) and a.size
    ]


def _encoding(dataset: xr.Dataset) -> dict[str, dict[str, object]]:
    """Compressed fields in chunks, no fill value where a coordinate is complete."""
    packed = {"zlib": True, "complevel": 2, "shuffle": True}
    encoding: dict[str, dict[str, object]] = {
        str(n): dict(packed) for n, a in dataset.data_vars.items() if a.dtype.kind in "fiub" and a.ndim > 1
    }
    for name in _gridded(dataset):
        encoding[name] = encoding.get(name, {}) | {"chunksizes": chunks_of(dataset[name])}
    return encoding | {str(name): {"_FillValue": None} for name in dataset.indexes if dataset[name].dtype.kind in "fiu"}

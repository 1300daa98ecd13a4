"""Zarr stores at an address: https://, s3:// or whatever fsspec knows.

    https://host/fields.zarr  --metadata-->  looked through for codecs that run code  --chunks, when asked for-->  variables

Storage options (keys, end points, `anon`) are those of fsspec: its configuration files and the environment (FSSPEC_S3_ANON=true).
They are no part of a recipe, so that no run holds a credential. A NetCDF file is fetched first.
"""

__all__ = ["address_of", "open_remote"]

import re
from pathlib import Path
from typing import Any

import xarray as xr

from driftfield.errors import DataError, FileFormatError, MissingExtraError, UserError
from driftfield.gridded.stores import refuse_pickle_codecs, with_true_zeros

_FILES = (".nc", ".nc4", ".h5", ".hdf", ".hdf5", ".grib", ".grb", ".grib2", ".grb2", ".csv", ".parquet")
_ADDRESS = re.compile(r"([a-z][a-z0-9+.\-]+):/+(.+)", re.IGNORECASE)


def address_of(path: str | Path) -> str | None:
    """The address that a text or a path (which swallows one of two slashes) stands for; None for a file of this machine."""
    if (found := _ADDRESS.fullmatch(str(path))) is None or Path(path).exists():
        return None
    return f"{found[1].lower()}://{found[2]}"


def open_remote(address: str) -> xr.Dataset:
    """As it is stored, lazily, times not decoded.

    Raises:
        DataError: an unknown protocol, or a file that is no store.
        FileFormatError: no Zarr store, or one that asks for a codec which executes code.
        MissingExtraError: the library that speaks the protocol is not installed.
    """
    # here: both take long to import, and hardly anybody needs them
    import fsspec
    from fsspec.implementations.local import LocalFileSystem

    try:
        file_system, place = fsspec.url_to_fs(address)
        if isinstance(file_system, LocalFileSystem):
            raise DataError(f"{address} is a file of this machine. Name it without the protocol.")
        if (suffix := Path(place.rstrip("/")).suffix.lower()) in _FILES:
            raise DataError(f"{address} is a {suffix} file: at an address only Zarr stores are read. Fetch it first.")
        return _store(address)
    except UserError:
        raise
    except ImportError as error:
        raise MissingExtraError(
            f"Reading {address} needs another library: {error}. Install it with `pip install 'driftfield[remote]'`."
        ) from error
    except ValueError as error:
        if "Protocol not known" in str(error):
            raise DataError(
                f"Cannot read {address}: {error}. Expected a protocol of fsspec, such as https or s3."
            ) from error
        raise _unreadable(address, error) from error
    except Exception as error:  # each file system has its own exceptions
        raise _unreadable(address, error) from error


def _unreadable(address: str, error: Exception) -> FileFormatError:
    said = " ".join(str(error).split()) or type(error).__name__
    return FileFormatError(
        f"Cannot read {address} as a Zarr store: {said}. Check the address; a store needs consolidated "
        "metadata where its folder cannot be listed, and what is not public needs storage options of fsspec."
    )


def _store(address: str) -> xr.Dataset:
    import zarr

    store: Any = zarr.storage.FsspecStore.from_url(address, read_only=True)
    group = zarr.open_group(store, mode="r")
    arrays = dict(group.arrays())
    refuse_pickle_codecs({f"{address}/{name}": array.metadata.to_dict() for name, array in arrays.items()})
    options: dict[str, Any] = {"decode_times": False, "decode_timedelta": False, "chunks": None, "cache": False}
    options |= {"engine": "zarr", "consolidated": group.metadata.consolidated_metadata is not None}
    opened = xr.open_dataset(store, **options)
    undeclared = {
        name
        for name, array in arrays.items()
        if array.metadata.zarr_format == 2 and not {"_FillValue", "missing_value"} & set(array.attrs)
    }
    return with_true_zeros(opened, store, undeclared, **options)

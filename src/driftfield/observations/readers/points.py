"""Any file of points in, points out: finds out what a file is, and which of its variables is meant.

A variable is asked for as `thetao=TEMP`; upper and lower case do not matter, and where files of several kinds are read together
the names are separated by commas: `thetao=TEMP,Temperature`.
"""

__all__ = ["read_points"]

import logging
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import xarray as xr

from driftfield.errors import DataError, FileFormatError, UserError, suggest
from driftfield.gridded.gridded_files import expand_paths
from driftfield.gridded.stores import options_for
from driftfield.observations.columns import PARQUETS, TEXTS, header_of, is_bufr, read_rows, separator_of
from driftfield.observations.readers.argo import read_csv, read_frame
from driftfield.observations.readers.bufr import keys_of, read_bufr
from driftfield.observations.readers.collection import collect
from driftfield.observations.readers.quality import Quality
from driftfield.observations.readers.reader import PointReader, Reading
from driftfield.registry import members

log = logging.getLogger(__name__)


def read_points(
    paths: str | Path | Sequence[str | Path], variables: Mapping[str, str], quality: Quality | None = None
) -> xr.Dataset:
    """Reads files of profiles and tracks, of any kinds, into points (see `collection`).

    Arguments:
        paths: Files or globs.
        variables: Our name -> name in the files, or names separated by commas.
        quality: What is asked of a value; the default honours flags, modes and ranges.

    Raises:
        DataError: no such file, a variable that no file or a file has not, units that do not convert.
        FileFormatError: a file that is none of the known kinds, or damaged.
    """
    quality = quality or Quality()
    if not variables:
        raise DataError("No variable was asked for: expected at least one, such as thetao=TEMP.")
    return collect([_read(path, variables, quality) for path in expand_paths(paths)], quality)


def _read(path: Path, variables: Mapping[str, str], quality: Quality) -> Reading:
    if is_bufr(path):
        units = keys_of(path)
        return read_bufr(path, _found(variables, list(units), str(path)), quality, units)
    if path.suffix.lower() in TEXTS:
        columns = [name.strip().strip('"') for name in header_of(path).split(separator_of(path))]
        return read_csv(path, _found(variables, columns, str(path)), quality)
    if path.suffix.lower() in PARQUETS:
        return read_frame(path, _found(variables, list(map(str, read_rows(path).columns)), str(path)), quality)
    with _open(path) as dataset:
        readers: dict[str, PointReader] = members("point_reader")
        for kind, reader in readers.items():
            if reader.fits(dataset):
                log.info("%s: %s", path, kind)
                names = reader.names(dataset) if reader.names else list(map(str, dataset.variables))
                found = _found(variables, names, str(path))
                return reader.read(dataset, found, quality, source=str(path))
        raise FileFormatError(
            f"{path} is none of: {', '.join(readers)}. Found the dimensions "
            f"{tuple(map(str, dataset.dims))}. Gridded files need no gathering: they are observation files themselves."
        )


def _open(path: Path) -> xr.Dataset:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", xr.SerializationWarning)
            return xr.open_dataset(path, decode_times=False, decode_timedelta=False, **options_for(path))
    except UserError:
        raise
    except PermissionError as error:
        raise DataError(f"No permission to read {path}. Ask its owner, or name another file.") from error
    except Exception as error:  # each backend has its own exceptions for a broken file
        raise FileFormatError(f"Cannot read {path} as NetCDF: {error}. Check that the file is complete.") from error


def _found(variables: Mapping[str, str], names: Sequence[str], source: str) -> dict[str, str]:
    """The names as this file spells them; a variable that it lacks is left to the other files, unless it has none at all."""
    spelled = {name.lower(): name for name in reversed(names)}
    columns = {}
    for ours, wanted in variables.items():
        hit = [spelled[w.strip().lower()] for w in wanted.split(",") if w.strip().lower() in spelled]
        if hit:
            columns[ours] = hit[0]
        else:
            log.info("%s holds no %s (%s)", source, wanted, ours)
    if not columns:
        first = next(iter(variables.values()))
        raise DataError(f"No variable {first!r} in {source}: {suggest(first, names)}")
    return columns

"""Columns of tables: what they are called, whoever wrote them, and how tables of text are read.

    time, date, JULD, OBS_TIMESTAMP    LAT, latitude, CLATH, YOB    pres, pressure, PRES    depth, z, height ...

CSV with a comma, a semicolon or a tab, with a byte-order mark or without one, with a second line of units as ERDDAP writes it.
Where the columns are parted by another mark than a comma, 3,5 is three and a half.
"""

__all__ = [
    "CSV_ENCODING",
    "PARQUETS",
    "SAME_AS",
    "TEXTS",
    "column_kinds",
    "header_of",
    "is_bufr",
    "read_rows",
    "separator_of",
]

import itertools
import re
import warnings
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from driftfield.errors import DataError, FileFormatError, MissingExtraError

CSV_ENCODING = "utf-8-sig"
"""Of tables of text: a byte-order mark, which Excel writes, is no part of the first name."""

TEXTS, PARQUETS = (".csv", ".tsv", ".txt"), (".parquet", ".pq")
"""How names of tables end: of text, and of Parquet."""

SAME_AS = {
    "juld": "time",
    "juld_qc": "time_qc",
    "date": "time",
    "datetime": "time",
    "date_time": "time",
    "timestamp": "time",
    "obs_timestamp": "time",
    "report_timestamp": "time",
    "lat": "latitude",
    "clat": "latitude",
    "clath": "latitude",
    "yob": "latitude",
    "lon": "longitude",
    "long": "longitude",
    "clon": "longitude",
    "clonh": "longitude",
    "xob": "longitude",
    "z": "depth",
    "depth_m": "depth",
    "depth (m)": "depth",
    "pressure": "pres",
    "platform": "platform_number",
    "platform_id": "platform_number",
    "station_id": "platform_number",
    "rpid": "platform_number",
    "cycle": "cycle_number",
}
"""Other names of the columns that place a value; upper and lower case do not matter. LAT, LON and OBS_TIMESTAMP are NNJA's."""

_KINDS = {
    "time": "time",
    "latitude": "latitude",
    "longitude": "longitude",
    "depth": "depth",
    "height": "depth",
    "altitude": "depth",
    "pres": "pressure",
    "platform_number": "platform",
    "cycle_number": "cycle",
    "data_mode": "mode",
}


def column_kinds(names: Iterable[str]) -> dict[str, str]:
    """What columns are, by their names, as far as they place a value."""
    kinds = {str(name): _KINDS.get(SAME_AS.get(low, low)) for name in names if (low := str(name).strip().lower())}
    return {name: kind for name, kind in kinds.items() if kind is not None}


def separator_of(path: Path) -> str:
    """What stands between the columns of a table of text: a comma, unless the first line has none and something else."""
    line = header_of(path)
    return next((mark for mark in (",", ";", "\t") if mark in line), ",")


def header_of(path: Path) -> str:
    """The first line of a table of text.

    Raises:
        DataError: no permission.
    """
    try:
        with path.open(encoding=CSV_ENCODING, errors="replace") as file:
            return file.readline()
    except PermissionError as error:
        raise DataError(f"No permission to read {path}. Ask its owner, or name another file.") from error


def read_rows(path: Path, most: int | None = None) -> pd.DataFrame:
    """The first rows of a table.

    Arguments:
        path: CSV or Parquet.
        most: Rows; all if not given.

    Raises:
        FileFormatError: no table.
        MissingExtraError: Parquet without the library that reads it.
    """
    try:
        if path.suffix.lower() in PARQUETS:
            rows = pd.read_parquet(path)
            return rows if most is None else rows.head(most)
        return read_text(path, most=most)
    except ImportError as error:
        raise MissingExtraError(
            f"Reading {path} needs a library for Parquet: pip install 'driftfield[parquet]', or write the table as .csv or .nc."
        ) from error
    except (OSError, UnicodeDecodeError, ValueError) as error:  # ParserError and ArrowInvalid are ValueErrors
        if isinstance(error, DataError | FileFormatError):
            raise
        raise FileFormatError(
            f"Cannot read {path} as a table: {error}. Expected a line of names, then rows."
        ) from error


def read_text(path: Path, *, most: int | None = None, **options: Any) -> pd.DataFrame:
    """A table of text; every row has as many values as the first line has names.

    Arguments:
        path: CSV, however its columns are parted.
        most: Rows; all if not given.
        options: Of `pandas.read_csv`.

    Raises:
        FileFormatError: rows with more values than there are names: which is which cannot be known.
        ValueError, OSError: what `pandas.read_csv` raises.
    """
    mark = separator_of(path)
    comma = mark != "," and _has_decimal_commas(path, mark)
    decimal = "," if comma else "."
    read = partial(pd.read_csv, path, sep=mark, encoding=CSV_ENCODING, skipinitialspace=True, decimal=decimal)
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always", pd.errors.ParserWarning)
        frame = read(nrows=most, index_col=False, low_memory=False, **options)
    if any(issubclass(one.category, pd.errors.ParserWarning) for one in heard):
        bare = read(header=None, skiprows=1, dtype=str)
        if not bare.iloc[:, len(frame.columns) :].isna().all(axis=None):
            raise FileFormatError(
                f"The rows of {path} have {bare.shape[1]} values and its first line {len(frame.columns)} names: expected as "
                "many. Correct the first line."
            )
    return frame


def _has_decimal_commas(path: Path, mark: str) -> bool:
    """Whether the first rows hold numbers such as 3,5 in columns that something else parts."""
    with path.open(encoding=CSV_ENCODING, errors="replace") as file:
        rows = [line.strip().split(mark) for line in itertools.islice(file, 1, 20)]
    return any(re.fullmatch(r"\s*[-+]?\d+,\d+\s*", text) for row in rows for text in row)


def is_bufr(path: Path) -> bool:
    """Whether the file begins with a BUFR message, perhaps behind a bulletin's header."""
    if not path.is_file():
        return False
    try:
        with path.open("rb") as file:
            begin = file.read(256)
    except OSError:
        return False  # whoever opens it says why
    return begin.startswith(b"BUFR") or (
        b"BUFR" in begin and path.suffix.lower() in ("", ".bufr", ".bfr", ".bufr_d", ".nr", ".tm00")
    )

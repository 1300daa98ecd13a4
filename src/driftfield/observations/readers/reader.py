"""What a reader makes of one file: its rows, and a ledger of values for every variable.

an opened file --PointReader.read--> Reading (rows; Measured by variable)      collected with others by `collection.collect`
"""

__all__ = ["Measured", "PointReader", "Reading", "dates_of", "drop_unplaced", "is_value_table"]

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
import xarray as xr

from driftfield.errors import FileFormatError
from driftfield.observations.readers.quality import Ledger

_ROWS = ("time", "lat", "lon", "depth", "platform", "cycle", "mode", "cast", "copy_of")


@dataclass
class Measured:
    """One variable of a file, a value per row.

    Arguments:
        values, error: (row,); NaN where there is none.
        quality: (row,) flag, 0 where there is none.
        ledger: Which values are believed so far.
        attrs: `units`, `standard_name` and `long_name` of the file.
    """

    values: np.ndarray
    error: np.ndarray
    quality: np.ndarray
    ledger: Ledger
    attrs: dict[str, str]


@dataclass
class Reading:
    """All rows of one file.

    Arguments:
        rows: Columns time (datetime64), lat, lon, depth (metres), platform, cycle, mode, cast (number of the profile in the
            file), copy_of (the same text for copies of the same profile; empty if it has no identity).
        measured: By our names.
    """

    rows: pd.DataFrame
    measured: dict[str, Measured]

    def __post_init__(self) -> None:
        assert set(_ROWS) <= set(self.rows), set(_ROWS) - set(self.rows)


@dataclass(frozen=True)
class PointReader:
    """A kind of file of points; registered as "point_reader" under what it is called in messages.

    Arguments:
        fits: Whether an opened, undecoded file is of this kind; a file is of one kind at most.
        read: Reads all rows of a file that was opened, times not decoded. It takes the file, our name -> its name, such as
            {"thetao": "TEMP"}, what is asked of a value, and `source=`, what messages call the file. It raises `DataError` for a
            variable that the file does not have, and `FileFormatError` for dates or row sizes that make no sense.
        names: What can be asked of a file; its variables if not given.
    """

    fits: Callable[[xr.Dataset], bool]
    read: Callable[..., Reading]
    names: Callable[[xr.Dataset], list[str]] | None = None


def is_value_table(dataset: xr.Dataset) -> bool:
    """Whether this is one dimension of rows with a column `variable` and a column `value`."""
    names = {str(name) for name in dataset.variables}
    return len(dataset.dims) == 1 and {"variable", "value", "time", "latitude", "longitude"} <= names


def dates_of(dataset: xr.Dataset, source: str) -> np.ndarray:
    """The variable `time` of an undecoded file as datetime64.

    Raises:
        FileFormatError: dates that cannot be decoded.
    """
    try:
        return xr.decode_cf(dataset[["time"]].reset_coords())["time"].values.astype("datetime64[us]")
    except (ValueError, OverflowError, TypeError) as error:
        raise FileFormatError(f"Cannot decode the dates of {source}: {error}. Correct their units.") from error


def drop_unplaced(ledger: Ledger, rows: pd.DataFrame) -> None:
    """Counts and drops rows without a position or a date."""
    lat, lon = rows["lat"].to_numpy(float), rows["lon"].to_numpy(float)
    ledger.drop("no position", ~(np.isfinite(lat) & np.isfinite(lon) & (np.abs(lat) <= 90) & (np.abs(lon) <= 360)))
    ledger.drop("no date", rows["time"].isna().to_numpy())

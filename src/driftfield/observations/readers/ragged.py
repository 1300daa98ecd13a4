"""World Ocean Database and IQuOD: many casts of different length behind each other (CF contiguous ragged arrays).

    z               | 0 10 25 45 | 0 10 20 ... |        z_row_size            4  8 ...
    Temperature     | 27.5 ...   | 27.5 ...    |        Temperature_row_size  4  8 ...      0: this cast has none

The values of a variable lie on the depths of their cast. Flags of the database say 0 = accepted; they come as 1 (good) and
4 (bad) of the Argo scale in the table, and under their own number in the counts.
"""

__all__ = ["is_ragged", "read_ragged"]

import logging
from collections.abc import Mapping

import numpy as np
import pandas as pd
import xarray as xr

from driftfield.conventions import description_of
from driftfield.errors import DataError, FileFormatError, suggest
from driftfield.observations.readers.quality import Ledger, Quality
from driftfield.observations.readers.reader import Measured, PointReader, Reading, dates_of, drop_unplaced
from driftfield.registry import register

log = logging.getLogger(__name__)

_NAMES = ("WOD_cruise_identifier", "Platform", "platform", "wod_unique_cast")


def is_ragged(dataset: xr.Dataset) -> bool:
    """Whether values lie behind each other with a variable that counts those of each cast."""
    return bool(_row_sizes(dataset)) and {"time", "lat", "lon", "z"} <= set(dataset.variables)


def read_ragged(
    dataset: xr.Dataset, variables: Mapping[str, str], quality: Quality, *, source: str = "the file"
) -> Reading:
    """Reads a file of the World Ocean Database, see `PointReader.read`; flags 1 or 2 ask for accepted values."""
    sizes = _row_sizes(dataset)
    depths = _sizes(dataset, sizes, "z", source)
    rows = _rows_of(dataset, depths, source)
    measured = {}
    for name, in_file in variables.items():
        if in_file not in sizes:
            raise DataError(f"No variable {in_file!r} in {source}: {suggest(in_file, [s for s in sizes if s != 'z'])}")
        where = _places(_sizes(dataset, sizes, in_file, source), depths, f"{in_file!r} of {source}")
        measured[name] = _judged(dataset, in_file, where, rows, quality)
    return Reading(rows, measured)


def _rows_of(dataset: xr.Dataset, depths: np.ndarray, source: str) -> pd.DataFrame:
    """A row per depth of every cast."""
    cast = np.repeat(np.arange(len(depths)), depths)
    nothing = np.array([""] * len(depths))
    text = next((name for name in _NAMES if name in dataset), None)
    platform = nothing if text is None else _texts(dataset[text].values)
    unique = _texts(dataset["wod_unique_cast"].values) if "wod_unique_cast" in dataset else nothing
    return pd.DataFrame(
        {
            "time": dates_of(dataset, source)[cast],
            "lat": np.asarray(dataset["lat"].values)[cast].astype(float),
            "lon": np.asarray(dataset["lon"].values)[cast].astype(float),
            "depth": dataset["z"].values.astype(float),
            "platform": platform[cast],
            "cycle": -1,
            "mode": "",
            "cast": cast,
            "copy_of": unique[cast],
        }
    )


def _judged(dataset: xr.Dataset, name: str, where: np.ndarray, rows: pd.DataFrame, quality: Quality) -> Measured:
    """One variable on all rows, with what its flags, those of its depths and of the whole profile say."""
    n, depth = len(rows), rows["depth"].to_numpy(float)
    measured = _spread(dataset, name, where, n)
    drop_unplaced(measured.ledger, rows)
    honours_flags = quality.flags is not None
    accepted = tuple(range(1, 10)) if honours_flags and not {1, 2} & set(quality.flags or ()) else (0,)
    asked = accepted if honours_flags else None
    stated = _flag_column(dataset, name, dataset[name].size)
    flags = None if stated is None else _on_rows(stated, where, n, 0)
    profile = dataset.get(f"{name}_WODprofileflag")
    whole = None if profile is None else profile.values.astype(np.int64)[rows["cast"].to_numpy()]
    depth_flags = _flag_column(dataset, "z", n)
    for word, column in (("WOD ", flags), ("WOD profile ", whole), ("WOD depth ", depth_flags)):
        measured.ledger.drop_flags(word, column, asked)
    measured.ledger.drop("no depth", ~(np.isfinite(depth) & (depth >= 0) & (depth <= 12000)))
    bad = np.zeros(n, dtype=bool)
    for column in (flags, whole, depth_flags):
        bad |= False if column is None else column > 0
    measured.quality = np.where(bad, 4, 1 if flags is not None else 0).astype(np.int8)
    return measured


def _row_sizes(dataset: xr.Dataset) -> dict[str, str]:
    """variable -> the variable that counts its values per cast."""
    sizes = {}
    for name, array in dataset.variables.items():
        dim = array.attrs.get("sample_dimension")
        variable = str(name).removesuffix("_row_size")
        if dim is not None and variable in dataset and dataset[variable].dims == (dim,):
            sizes[variable] = str(name)
    return sizes


def _sizes(dataset: xr.Dataset, sizes: Mapping[str, str], variable: str, source: str) -> np.ndarray:
    """Values per cast; they must add up to the length of the variable."""
    if variable not in sizes:
        raise FileFormatError(
            f"{source} lacks {variable}_row_size, which says how long each cast is. Download it again."
        )
    count = np.nan_to_num(dataset[sizes[variable]].values.astype(float)).astype(np.int64)
    if (count < 0).any() or count.sum() != dataset[variable].size:
        raise FileFormatError(
            f"{sizes[variable]} of {source} adds up to {count.sum()}, expected {dataset[variable].size}, the number of values "
            f"of {variable!r}. The file is damaged: download it again."
        )
    return count


def _places(sizes: np.ndarray, depths: np.ndarray, what: str) -> np.ndarray:
    """The row of every value: a cast has as many values of a variable as depths, or none."""
    odd = np.flatnonzero((sizes > 0) & (sizes != depths))
    if odd.size:
        raise FileFormatError(
            f"Cast {odd[0]} has {sizes[odd[0]]} values of {what} on {depths[odd[0]]} depths: expected as many, or none. "
            "The file is damaged: download it again."
        )
    return np.flatnonzero(np.repeat(sizes > 0, depths))


def _spread(dataset: xr.Dataset, name: str, where: np.ndarray, n: int) -> Measured:
    values = _on_rows(dataset[name].values.astype(float), where, n, np.nan)
    uncertainty = dataset.get(f"{name}_uncertainty")
    error = np.full(n, np.nan) if uncertainty is None else _on_rows(uncertainty.values.astype(float), where, n, np.nan)
    attrs = description_of(dataset[name].attrs)
    return Measured(values, error, np.zeros(n, np.int8), Ledger(np.isfinite(values)), attrs)


def _flag_column(dataset: xr.Dataset, name: str, n: int) -> np.ndarray | None:
    for suffix in ("_WODflag", "_IQUODflag"):
        flags = dataset.get(f"{name}{suffix}")
        if flags is not None and flags.size == n:
            return np.nan_to_num(flags.values.astype(float)).astype(np.int64)
    return None


def _on_rows(values: np.ndarray, where: np.ndarray, n: int, fill: float) -> np.ndarray:
    spread = np.full(n, fill, dtype=values.dtype)
    spread[where] = values
    return spread


def _texts(values: np.ndarray) -> np.ndarray:
    plain = [v.decode("utf-8", "replace") if isinstance(v, bytes) else str(v) for v in values]
    return np.array([p.strip(" \0") for p in plain], dtype=object)


register("point_reader", "ragged file of the World Ocean Database")(PointReader(is_ragged, read_ragged))

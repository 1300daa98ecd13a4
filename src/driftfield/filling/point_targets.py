"""`driftfield map --at`: what a map says at places of one's own - a track, withheld profiles, a mooring - without any grid.

    points --values_of--> PointValues --choose--> Choice --at (lat, lon, depth, time) of every row--> table

Nothing is interpolated between cells: kriging answers at the place, the depth and the time of a row.
"""

__all__ = ["map_at", "read_targets"]

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from driftfield.errors import DataError
from driftfield.filling.map_grid import days_of
from driftfield.filling.point_choice import Choice, Progress
from driftfield.filling.points import Points, chosen_for, table_of_points
from driftfield.gaussian.point_likelihood import Stated
from driftfield.gaussian.space_time_covariance import Places
from driftfield.observations.columns import column_kinds, read_rows

log = logging.getLogger(__name__)

_LEVELS = 12
_NEEDED = ("time", "latitude", "longitude")


def read_targets(source: pd.DataFrame | str | Path) -> pd.DataFrame:
    """Places and times to answer at: a table with columns time, latitude, longitude and, below the surface, depth.

    Raises:
        DataError: a column is missing, there is no row, or a row has no place, no date or a depth above the surface.
    """
    table = source if isinstance(source, pd.DataFrame) else read_rows(Path(source))
    label = "the table of places" if isinstance(source, pd.DataFrame) else str(source)
    kinds = {kind: name for name, kind in column_kinds(map(str, table.columns)).items() if kind in (*_NEEDED, "depth")}
    if lacking := [kind for kind in _NEEDED if kind not in kinds]:
        raise DataError(f"{label} lacks the column(s) {lacking}: found {list(map(str, table.columns))}. Add them.")
    if not len(table):
        raise DataError(f"{label} has no row: expected a place and a time in each. Check the table.")
    rows = pd.DataFrame({kind: pd.to_numeric(table[kinds[kind]], errors="coerce") for kind in kinds if kind != "time"})
    rows["time"] = pd.to_datetime(table[kinds["time"]], errors="coerce", format="mixed").to_numpy()
    odd = rows.isna().any(axis=1) | (rows["latitude"].abs() > 90) | (rows.get("depth", pd.Series(0.0, rows.index)) < 0)
    if odd.any():
        raise DataError(
            f"{int(odd.sum())} of {len(rows)} rows of {label} have no place, no date or an impossible one, the first of them "
            f"row {int(np.flatnonzero(odd)[0]) + 1}: expected numbers in degrees and metres (0 or more), and dates. Correct them."
        )
    return rows


def map_at(
    points: Points,
    at: pd.DataFrame | str | Path,
    *,
    variables: Mapping[str, str] | None = None,
    levels: Sequence[float] | None = None,
    method: str | None = None,
    stated: Stated | None = None,
    seed: int = 0,
    progress: Progress = lambda what, done, of: None,
) -> tuple[pd.DataFrame, dict[str, Choice]]:
    """Maps scattered values to the rows of a table.

    Arguments:
        points: As of `map_points`.
        at: Columns time, latitude, longitude and perhaps depth; a row per answer.
        variables: Our name -> name in the data set or in the files.
        levels: Depths that profiles are brought to, metres; the depths of the rows if not given, twelve of them at most.
        method, stated, seed, progress: As of `map_points`.

    Returns:
        The rows in their order with `<variable>` and `<variable>_sd` added, and what was chosen per variable.

    Raises:
        DataError: see `read_targets`; points without what is needed, or too few of them.
    """
    rows = read_targets(at)
    centre = _middle(rows["longitude"].to_numpy(np.float64))
    lon = centre + (rows["longitude"].to_numpy(np.float64) - centre + 180.0) % 360.0 - 180.0
    lat, depth = rows["latitude"].to_numpy(np.float64), rows.get("depth")
    deep = np.zeros(len(rows)) if depth is None else depth.to_numpy(np.float64)
    levels = _levels(deep) if levels is None and deep.any() else levels
    table = table_of_points(points, variables, lat, lon)
    days = days_of(rows["time"].to_numpy("datetime64[ns]"))
    choices: dict[str, Choice] = {}
    for name in dict.fromkeys(str(v) for v in table.variable):
        choices[name], _ = chosen_for(
            table, name, levels, centre, 0.25, method=method, stated=stated, seed=seed, progress=progress
        )
        rows[name], rows[f"{name}_sd"] = choices[name].at(Places(lat, lon, deep, np.zeros(len(rows))), days)
    return rows, choices


def _middle(lon: np.ndarray) -> float:
    """The middle of longitudes, whatever their convention: opposite of the widest gap between them."""
    east = np.unique(lon % 360.0)
    gaps = np.diff([*east, east[0] + 360.0])
    widest = int(gaps.argmax())
    return float((east[widest] + gaps[widest] + (360.0 - gaps[widest]) / 2) % 360.0)


def _levels(depth: np.ndarray) -> list[float]:
    """Depths that profiles are brought to, for rows at some depths."""
    wanted = np.unique(depth)
    if wanted.size <= _LEVELS:
        return [float(z) for z in wanted]
    levels = np.unique(np.quantile(wanted, np.linspace(0, 1, _LEVELS)).round(1))
    log.info(
        "profiles are brought to %d of the depths of the rows: %s m", levels.size, ", ".join(f"{z:g}" for z in levels)
    )
    return [float(z) for z in levels]

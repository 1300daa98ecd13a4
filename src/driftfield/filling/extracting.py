"""`driftfield extract`: what a file of fields says at places and times of one's own.

    fields (time, [depth,] lat, lon) --H of the rows (`observations.stencils.points`)--> value, spread and members of every row

Interpolation is bilinear in longitude and latitude, linear in depth and time; corners on land are dropped and the others share
their weight. The spread of a row is that of its interpolated members, which knows how neighbours vary together; in a file without
members it is the interpolated standard deviation, which takes them as varying as one.
"""

__all__ = ["extract"]

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from driftfield.conventions import require, state_variables
from driftfield.errors import DataError
from driftfield.fields import Channel
from driftfield.filling.point_targets import read_targets
from driftfield.geometry import Geometry
from driftfield.gridded.encodings import time_days
from driftfield.gridded.region import is_periodic
from driftfield.observations.grid import ObservedPlaces, StateGrid
from driftfield.observations.readers.places import days_like
from driftfield.observations.stencils import Stencil, points

log = logging.getLogger(__name__)

NOWHERE = dict.fromkeys(
    ("below the sea floor", "on land"), "no value there: land, below the sea floor, or a gap of the file"
)
"""A state has no gaps, a file may have some: what is said of cells that are NaN."""


def extract(
    fields: xr.Dataset,
    at: pd.DataFrame | str | Path,
    *,
    variables: Sequence[str] | None = None,
    members: bool = False,
) -> pd.DataFrame:
    """The rows of a table with what the fields say there.

    Arguments:
        fields: As `open_fields` gives them: complete fields, reconstructions, maps, forecasts.
        at: Columns time, latitude, longitude and, for variables with depth, depth in metres.
        variables: All of the file by default.
        members: Whether every member has a column, too.

    Returns:
        time, latitude, longitude, perhaps depth; `<variable>`, `<variable>_sd` where the file states a spread,
        `<variable>_member_<n>`, and `problem`: why a row has no value, else empty.

    Raises:
        DataError: see `point_targets.read_targets`; a variable that the file has not, a variable with depth and no such
            column, or a grid whose axes do not ascend.
    """
    rows = read_targets(at)
    wanted = list(variables or state_variables(fields))
    require(fields, wanted, "the file")
    fields = fields.sortby("lat")
    problem = np.full(len(rows), "", dtype=object)
    for name in wanted:
        field = fields[name].transpose(..., "lat", "lon")
        if "depth" in field.dims and "depth" not in rows:
            raise DataError(f"{name!r} has depths and the table has no column 'depth': expected metres. Add it.")
        window = _near(fields, rows)
        grid = _grid(fields[name].isel(time=window) if "time" in field.dims else field, name)
        stencil = points(grid, _places(rows, name, field))
        spread, drawn = fields.get(f"{name}_sd"), fields.get(f"{name}_member")
        rows[name] = _at(stencil, fields[name], window)
        if drawn is not None and drawn.sizes["member"] > 1:
            each = np.stack([_at(stencil, drawn.isel(member=n), window) for n in range(drawn.sizes["member"])])
            rows[f"{name}_sd"] = each.std(axis=0, ddof=1)
            if members:
                columns = {f"{name}_member_{n}": values for n, values in enumerate(each)}
                rows = pd.concat([rows, pd.DataFrame(columns, index=rows.index)], axis=1)
        elif spread is not None:
            rows[f"{name}_sd"] = _at(stencil, spread, window)
        said = np.array(
            [f"{name}: {NOWHERE.get(text, text)}" if text else "" for text in stencil.problem], dtype=object
        )
        problem = np.array(
            [f"{a}; {b}" if a and b else a or b for a, b in zip(problem, said, strict=True)], dtype=object
        )
        for text, count in zip(*np.unique(said[said != ""].astype(str), return_counts=True), strict=True):
            log.warning("%d of %d rows have no value, %s", count, len(rows), text)
    rows["problem"] = problem
    return rows


def _near(fields: xr.Dataset, rows: pd.DataFrame) -> slice:
    """The dates around those of the rows: no others are read."""
    if "time" not in fields.dims:
        return slice(None)
    days, asked = time_days(fields["time"]), _days(rows, fields["time"])
    first = max(0, int(np.searchsorted(days, asked.min(), side="right")) - 1)
    last = min(len(days), int(np.searchsorted(days, asked.max(), side="left")) + 1)
    return slice(min(first, len(days) - 1), max(last, first + 1))


def _grid(field: xr.DataArray, name: str) -> StateGrid:
    """The cells, levels and dates of one variable."""
    depths = [float(z) for z in field["depth"].values] if "depth" in field.dims else [None]
    days = time_days(field["time"]) if "time" in field.dims else np.array([])
    channels = tuple(Channel(name, level, date) for date in range(max(1, len(days))) for level in depths)
    positions = None
    if "latitude" in field.coords and field["latitude"].ndim == 2:
        positions = Geometry(field["latitude"].values, field["longitude"].values)
    lat, lon = (field[axis].values.astype(np.float64) for axis in ("lat", "lon"))
    known = np.isfinite(_flat(field)).reshape(len(channels), lat.size, lon.size)
    return StateGrid(
        lat=lat,
        lon=lon,
        channels=channels,
        domain=known,
        periodic=is_periodic(field["lon"]),
        days=dict(enumerate(days.tolist())),
        step_days=float(np.median(np.diff(days))) if len(days) > 1 else 1.0,
        positions=positions,
    )


def _places(rows: pd.DataFrame, name: str, field: xr.DataArray) -> ObservedPlaces:
    depth = rows["depth"].to_numpy(np.float64) if "depth" in field.dims else np.nan
    days = _days(rows, field["time"]) if "time" in field.dims else np.nan
    return ObservedPlaces.of(name, rows["latitude"].to_numpy(), rows["longitude"].to_numpy(), depth, days)


def _days(rows: pd.DataFrame, times: xr.DataArray) -> np.ndarray:
    """Days since 1970 of the rows, in the calendar of the fields."""
    return days_like(rows["time"].to_numpy("datetime64[ns]"), times)


def _flat(field: xr.DataArray) -> np.ndarray:
    order = [dim for dim in ("time", "depth", "lat", "lon") if dim in field.dims]
    return field.transpose(*order).values.astype(np.float64).reshape(-1)


def _at(stencil: Stencil, field: xr.DataArray, window: slice) -> np.ndarray:
    """H of one field; NaN where a row has a problem."""
    values = np.nan_to_num(_flat(field.isel(time=window) if "time" in field.dims else field))
    made = np.bincount(stencil.rows, stencil.weights * values[stencil.columns], minlength=len(stencil.problem))
    return np.where(stencil.usable, made, np.nan)

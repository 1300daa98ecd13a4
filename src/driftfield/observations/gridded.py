"""Gridded observations as a table: every observed cell is a row at its centre.

    (time, [depth,] lat, lon), NaN where not seen   ->   longitude latitude depth time variable value error platform

At the centre of a cell H is that cell alone, so that `points` sees what `cells` would. What lies below one another is one
instrument: the cells of a column share a platform.
"""

__all__ = ["table_of_cells"]

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from driftfield.conventions import description_of, error_of, geometry_of
from driftfield.errors import DataError
from driftfield.observations.table import ObservationTable


def table_of_cells(
    observations: xr.Dataset, variables: Sequence[str], times: np.ndarray | None = None
) -> ObservationTable:
    """The observed cells of an observation data set.

    Arguments:
        observations: Canonical, NaN where not seen; `<variable>_error` where it is stated.
        variables: Which of its variables; those that it has not are passed over.
        times: A datetime64 for each date, where the calendar of the data set has others.

    Raises:
        DataError: none of the variables is there.
    """
    observed = [name for name in variables if name in observations]
    if not observed:
        raise DataError(f"The observations hold none of {list(variables)}: found {sorted(map(str, observations))}.")
    stamps = observations["time"].values if times is None else times
    return ObservationTable.join([_of_variable(observations, name, stamps) for name in observed])


def _of_variable(observations: xr.Dataset, name: str, stamps: np.ndarray) -> ObservationTable:
    array = observations[name]
    dims = [dim for dim in ("time", "depth", "lat", "lon") if dim in array.dims]
    array = array.transpose(*dims)
    at = dict(zip(dims, np.nonzero(np.isfinite(array.values)), strict=True))
    places = tuple(at.values())
    error: Any = np.nan
    if (stated := error_of(observations, name)) is not None:
        error = stated.broadcast_like(array).transpose(*dims).values[places]
    described = description_of(array.attrs)
    cells = geometry_of(array)
    return ObservationTable.of(
        longitude=cells.longitude[at["lat"], at["lon"]],
        latitude=cells.latitude[at["lat"], at["lon"]],
        depth=array["depth"].values[at["depth"]] if "depth" in at else np.full(len(at["lat"]), np.nan),
        time=stamps[at["time"]],
        variable=np.full(len(at["lat"]), name, dtype=object),
        value=array.values[places],
        error=error,
        platform=np.array(
            [f"column {row} {column}" for row, column in zip(at["lat"], at["lon"], strict=True)], dtype=object
        ),
        attrs={name: described},
    )

"""DINEOF of one gappy field with a time axis, as the original program does it: one mean, no season, no archive.

    field (time, ..., lat, lon)  ->  matrix (cells of the domain, time)  ->  `gappy_svd.dineof`  ->  field

`dineof.DINEOF` is the method as a peer of the models; this is the short way for a file that is to be filled once.
"""

__all__ = ["fill_gaps"]

import numpy as np
import xarray as xr

from driftfield.data.encodings import time_days
from driftfield.errors import DataError
from driftfield.reconstruct.baselines.gappy_svd import DineofResult, diffusion_filter, dineof


def fill_gaps(
    field: xr.DataArray,
    *,
    rank: int | None = None,
    max_rank: int = 20,
    held_out: xr.DataArray | None = None,
    domain: xr.DataArray | None = None,
    filter_strength: float = 0.0,
    filter_iterations: int = 3,
) -> tuple[xr.DataArray, DineofResult]:
    """Fills the gaps of a series of fields.

    Arguments:
        field: (time, ..., lat, lon), NaN where not seen.
        rank: Number of modes, if it is known already.
        max_rank: The largest number that is tried.
        held_out: Points of the cross-validation, boolean, like `field`.
        domain: Where the field exists, without time; where it was ever seen, if not given.
        filter_strength: alpha of the temporal filter, days squared.
        filter_iterations: Its number of steps.

    Returns:
        The filled field, NaN outside the domain, and the decomposition; its rows are the cells of the domain.

    Raises:
        DataError: no time axis, or nothing seen.
    """
    if "time" not in field.dims:
        raise DataError(f"DINEOF needs a time axis, found {field.dims}. Give a series of fields.")
    space = [d for d in field.dims if d != "time"]
    field = field.transpose("time", *space)
    where = field.notnull().any("time") if domain is None else domain.transpose(*space).astype(bool)
    time_filter = None
    if filter_strength > 0:
        days = time_days(field["time"])
        time_filter = diffusion_filter(days, strength=filter_strength, iterations=filter_iterations)
    points = None if held_out is None else held_out.transpose("time", *space).values[:, where.values].T
    matrix = field.values[:, where.values].T
    result = dineof(matrix, rank=rank, max_rank=max_rank, held_out=points, time_filter=time_filter)
    filled = np.full(field.shape, np.nan)
    filled[:, where.values] = result.filled.T
    return field.copy(data=filled.astype(field.dtype)), result

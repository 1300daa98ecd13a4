"""Fields that share no dates with the truth, as the quantiles of every cell: then scores cell by cell have a meaning again.

fields ([member,] time, lat, lon)  ->  (quantile, lat, lon)        MAE of these is the mean Wasserstein distance in a cell
"""

__all__ = ["COUNT", "as_quantiles"]

from collections.abc import Sequence

import numpy as np
import pandas as pd
import xarray as xr

COUNT = 100
"""Quantiles of a cell, at (k + 1/2) / COUNT."""


def as_quantiles(fields: xr.Dataset, names: Sequence[str]) -> xr.Dataset:
    """The quantiles over all dates, and all members together; NaN in a cell without a value. `time` counts them.

    Arguments:
        fields: (time, lat, lon) each, and `<name>_member` where there is an ensemble.
        names: Variables.
    """
    probabilities = (np.arange(COUNT) + 0.5) / COUNT
    stamps = pd.date_range("2000-01-01", periods=COUNT, freq="D")
    places = {n: c for n, c in fields.coords.items() if set(c.dims) <= {"lat", "lon"}}
    as_fields = {}
    for name in names:
        drawn = fields.get(f"{name}_member")
        values = fields[name] if drawn is None else drawn
        pooled = values.transpose(..., "lat", "lon").values.reshape(-1, values.sizes["lat"], values.sizes["lon"])
        known = np.isfinite(pooled).any(axis=0)
        quantiles = np.nanquantile(np.where(known, pooled, 0.0).astype(np.float64), probabilities, axis=0)
        as_fields[name] = (("time", "lat", "lon"), np.where(known, quantiles, np.nan), dict(fields[name].attrs))
    return xr.Dataset(as_fields, coords={"time": stamps, **places})

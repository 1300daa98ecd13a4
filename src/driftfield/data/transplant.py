"""Real gaps for real data: the clouds of one day are laid over another.

    held out(t, x) = seen at t  and  not seen at t + lag (around the end)         inside the domain
    where that is more than `most` of what the day saw: only those of them that a simulated cloud hides as well

What is held out was measured, so a reconstruction can be scored on it; how it is hidden is what clouds over this sea look
like. No complete field is needed.
"""

__all__ = ["hide", "transplant_clouds"]

import numpy as np
import xarray as xr

from driftfield.data.masks import reference_mask
from driftfield.errors import ConfigurationError, DataError


def transplant_clouds(
    fields: xr.DataArray, *, domain: xr.DataArray | None = None, lag: int = 5, most: float = 0.7, cloud: float = 0.5
) -> xr.DataArray:
    """Cells to hold out for scoring.

    Arguments:
        fields: Gappy observations (time, lat, lon), NaN where not seen.
        domain: Where the field exists, boolean (lat, lon); what was ever seen if not given.
        lag: How many times later (modulo their number) the clouds are taken from.
        most: Largest share of a day's observations to hold out as they are; where it would be more, the cloud mask of
            the reference benchmark (`driftfield.data.masks.reference_mask`) decides which of them.
        cloud: Share of the domain under that mask.

    Returns:
        Boolean (time, lat, lon), true only where `fields` is finite inside the domain.

    Raises:
        DataError: `fields` has other dimensions.
        ConfigurationError: a lag that is a multiple of the number of times, or a share that is none.
    """
    if set(fields.dims) != {"time", "lat", "lon"}:
        raise DataError(
            f"Clouds are transplanted between fields (time, lat, lon), found {fields.dims}. Select a level."
        )
    fields = fields.transpose("time", "lat", "lon")
    count = fields.sizes["time"]
    if count == 0 or lag % count == 0:
        raise ConfigurationError(
            f"Cannot take the clouds of a field {lag} times later out of {count}: it would be the same field. "
            "Choose a lag that is no multiple of the number of times."
        )
    if not (0.0 <= most <= 1.0 and 0.0 <= cloud <= 1.0):
        raise ConfigurationError(f"Found most={most} and cloud={cloud}: expected shares from 0 to 1.")
    seen = np.isfinite(fields.values)
    exists = seen.any(axis=0) if domain is None else domain.transpose("lat", "lon").values.astype(bool)
    # np.roll by -lag: position t holds what was seen at t + lag
    held_out = seen & ~np.roll(seen, -lag, axis=0) & exists
    for t, (hidden, day) in enumerate(zip(held_out, seen, strict=True)):
        if hidden.sum() > most * day.sum():
            hidden &= ~reference_mask("clouds", cloud, t, exists)
    return xr.DataArray(held_out, dims=fields.dims, coords=fields.coords, name="held_out")


def hide(fields: xr.DataArray, held_out: xr.DataArray) -> xr.DataArray:
    """What is left to see."""
    return fields.where(~held_out)

"""A share of what a file saw, hidden from a reconstruction and scored: blocks as wide as the gaps of the file.

hidden   a share of the seen cells of every date and variable, drawn as `AlikeGaps`; `<variable>_held_out` says which
"""

__all__ = ["withhold_share"]

import numpy as np
import xarray as xr

from driftfield.conventions import DIMS, domain_of, state_variables
from driftfield.data.masks.alike import AlikeGaps
from driftfield.errors import ConfigurationError, DataError
from driftfield.gridded.region import is_periodic


def withhold_share(observations: xr.Dataset, share: float, *, seed: int = 0) -> xr.Dataset:
    """The observations without a share of every variable, and where it was.

    Arguments:
        observations: An observation file, opened.
        share: Of the seen cells of every date.
        seed: Of what is hidden.

    Raises:
        ConfigurationError: a share that is none.
        DataError: too little was seen to hide any.
    """
    if not 0 < share < 1:
        raise ConfigurationError(f"Found --withhold {share:g}: expected a share between 0 and 1, such as 0.1.")
    changed: dict[str, xr.DataArray] = {}
    for k, name in enumerate(state_variables(observations)):
        field = observations[name]
        dims = [dim for dim in DIMS if dim in field.dims]
        seen = field.transpose(*dims).notnull()
        stated = domain_of(observations, name)
        domain = (
            seen.any("time") if stated is None else stated.broadcast_like(seen.isel(time=0, drop=True)).astype(bool)
        )
        inside = domain.transpose(*dims[1:]).values
        periodic = is_periodic(field["lon"])
        gaps = AlikeGaps.of(seen.values & inside, inside, periodic=periodic, share=share, seed=seed)
        hidden = gaps.hide(seen.values & inside, np.random.default_rng(np.random.SeedSequence([seed, 29, k])))
        mask = xr.DataArray(hidden, dims=dims)
        changed |= {name: field.where(~mask), f"{name}_held_out": mask}
    if not any(bool(mask.any()) for name, mask in changed.items() if name.endswith("_held_out")):
        raise DataError(f"Too little was seen to withhold {share:g} of it: leave --withhold out.")
    return observations.assign(changed)

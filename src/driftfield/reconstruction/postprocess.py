"""After the reconstruction: smoothing of every member, inside the water only.

    member'_m = S member_m        mean' = S mean        sd' = (1/(M-1) sum_m (member'_m - mean of member')^2)^(1/2)

S is `driftfield.data.smoothing.smooth`. It is linear, so the smoothed mean is the mean of the smoothed members; the spread is
not, and is taken from the members again: small scales that differ between members leave it.
"""

__all__ = ["smoothed"]

import numpy as np
import xarray as xr

from driftfield.conventions import state_variables
from driftfield.data.smoothing import smooth
from driftfield.errors import ConfigurationError


def smoothed(result: xr.Dataset, sigma: float, periodic: bool) -> xr.Dataset:
    """Smooths a reconstruction horizontally; what it was made from stays untouched.

    Arguments:
        result: A reconstruction (`driftfield.conventions`): NaN outside the domain and nowhere else.
        sigma: Standard deviation of the Gaussian in grid cells; 0 changes nothing.
        periodic: Whether longitude wraps.

    Returns:
        The same layout; attributes `smoothing_sigma_cells` and, per variable, a `comment`.

    Raises:
        ConfigurationError: a negative sigma, or a spread without at least two members to take it from anew.
    """
    if not 0.0 <= sigma < np.inf:
        raise ConfigurationError(f"Cannot smooth with sigma = {sigma} cells: expected 0 or more. Choose another sigma.")
    output = result.copy().assign_attrs(smoothing_sigma_cells=float(sigma))
    if sigma == 0.0:
        return output
    note = f"smoothed within the domain by a Gaussian of {sigma:g} grid cells"
    for name in state_variables(result):
        spread, ensemble = f"{name}_sd", f"{name}_member"
        # a smoothed field errs otherwise than the one that the interval was found for
        output = output.drop_vars([f"{name}_lower", f"{name}_upper", f"{name}_quantile"], errors="ignore")
        count = result[ensemble].sizes["member"] if ensemble in result else 0
        if spread in result and count < 2:
            raise ConfigurationError(
                f"Found {count} member(s) of {name!r}: the spread of a smoothed field needs 2 or more. "
                "Ask for more members, or leave out the smoothing."
            )
        for part in (name, ensemble):
            if part in result:
                output[part] = _smooth(result[part], sigma, periodic).assign_attrs(comment=note)
        if spread in result:
            sd = output[ensemble].std("member", ddof=1, skipna=False).transpose(*result[spread].dims)
            output[spread] = _like(result[spread], sd.values).assign_attrs(comment=note)
    return output


def _smooth(field: xr.DataArray, sigma: float, periodic: bool) -> xr.DataArray:
    """One field after the other along its first dimension, so that little is held twice."""
    values = np.asarray(field.transpose(..., "lat", "lon").values)
    stacked = values.reshape(-1, *values.shape[-2:])
    done = np.stack([smooth(one, np.isfinite(one), sigma, periodic=periodic) for one in stacked])
    order = field.transpose(..., "lat", "lon").dims
    return _like(field, xr.DataArray(done.reshape(values.shape), dims=order).transpose(*field.dims).values)


def _like(field: xr.DataArray, values: np.ndarray) -> xr.DataArray:
    """Other values with the same coordinates, attributes, type and chunks in the file."""
    made = field.copy(data=values.astype(field.dtype))
    made.encoding = dict(field.encoding)
    return made

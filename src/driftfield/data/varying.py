"""What a network is shown has to vary: z-scores of fields that stay, and a refusal of those that say nothing."""

__all__ = ["refuse_still", "z_score"]

import numpy as np
import xarray as xr

from driftfield.errors import DataError

_LEAST_SD = 1e-6


def z_score(values: np.ndarray, domain: np.ndarray, name: str) -> np.ndarray:
    """(x - mean) / sd over a domain, 0 outside.

    Raises:
        DataError: a field that is the same everywhere, which says nothing.
    """
    inside = values[domain]
    mean, sd = float(inside.mean()), float(inside.std())
    if sd <= _LEAST_SD * max(1.0, abs(mean)):
        raise DataError(
            f"The static field {name!r} is {mean:.4g} in all {inside.size} cells: expected one that varies. Leave it out."
        )
    return np.where(domain, (values - mean) / sd, 0.0)


def refuse_still(name: str, sd: np.ndarray, field: xr.DataArray) -> None:
    """Refuses a covariate that is the same at all times or everywhere once it is encoded, and so says nothing.

    Arguments:
        name: Of the covariate.
        sd: Standard deviation of what is left once the normaliser's mean is taken off, by level.
        field: (time, [depth,] lat, lon) of some dates of the training; NaN outside its domain.

    Raises:
        DataError: it does not vary; a field that never changes has no departure from a seasonal cycle.
    """
    values = field.values.astype(np.float64)
    values = values[np.isfinite(values)]
    size = float(np.sqrt(np.mean(values**2))) if values.size else 0.0
    if float(np.max(sd)) <= 1.001 * _LEAST_SD * max(1.0, size):
        raise DataError(
            f"The covariate {name!r} does not vary once its mean is taken off: it would be 0 everywhere. A field that "
            "never changes "
            f"needs 'normalizer: {{{name}: {{class: ZScore}}, ...}}', or data.statics of a downscaler. Change it, or "
            "leave it out."
        )

"""One place on an axis and one date of several, as a user names them."""

__all__ = ["dates_beginning", "nearest_on_axis"]

import numpy as np
import xarray as xr

from driftfield.errors import ConfigurationError
from driftfield.gridded.encodings import date_text


def nearest_on_axis(fields: xr.Dataset | xr.DataArray, axis: str, value: float) -> int:
    """The index of the place on an axis that is nearest.

    Raises:
        ConfigurationError: there is no such axis, or it does not reach there.
    """
    if axis not in fields.dims:
        raise ConfigurationError(f"The file has no {axis}: leave out --{axis}.")
    values = np.asarray(fields[axis].values, dtype=float)
    away = np.abs(values - value)
    if axis == "lon":
        away = np.abs((values - value + 180.0) % 360.0 - 180.0)
    step = float(np.abs(np.diff(values)).max()) if values.size > 1 else float("inf")
    if away.min() > step:
        raise ConfigurationError(
            f"Found --{axis} {value:g}: expected {values.min():g} to {values.max():g}, which the file holds."
        )
    return int(away.argmin())


def dates_beginning(fields: xr.Dataset, text: str | None) -> tuple[list[str], list[int]]:
    """All dates of a data set as text, none without a time axis, and the indices of those that begin so; None: of all."""
    dates = [date_text(date) for date in fields["time"].values] if "time" in fields.dims else []
    return dates, [index for index, date in enumerate(dates) if date.startswith(text or "")]

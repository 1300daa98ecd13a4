"""What a file says along one axis at one place: a profile, a time series, a row; with its ensemble.

    variable, sd, members, quantiles (time, [depth,] lat, lon)  --all axes but one held-->  (n,) each

Nothing but that line is read.
"""

__all__ = ["Line", "line_at"]

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr

from driftfield.evaluate.alignment import time_keys


@dataclass(frozen=True)
class Line:
    """What the file says at one place.

    Arguments:
        title: Above it.
        along: "depth", "lon" or "time".
        places: Metres, degrees, or dates.
        mean, sd, members, quantiles: (n,), (n,), (member, n), (quantile, n); None where the file does not say.
        probabilities: Of the quantiles.
        other: Of the second file, (n,).
    """

    title: str
    along: str
    places: np.ndarray
    mean: np.ndarray
    sd: np.ndarray | None = None
    members: np.ndarray | None = None
    quantiles: np.ndarray | None = None
    probabilities: Sequence[float] = ()
    other: np.ndarray | None = None


def line_at(
    dataset: xr.Dataset,
    variable: str,
    along: str,
    where: Mapping[str, int],
    *,
    title: str = "",
    other: xr.Dataset | None = None,
) -> Line:
    """The line along one axis at one place.

    Arguments:
        dataset: Of the file, as `open_fields` gives it.
        variable: Which one.
        along: "depth", "lon" or "time". Levels and cells where the variable is not known are left out, dates are not.
        where: Index on every other axis.
        title: Of the line.
        other: A second file on the same dates, levels and cells.
    """
    place = {axis: index for axis, index in where.items() if axis != along}

    def cut(array: xr.DataArray | None) -> np.ndarray | None:
        if array is None:
            return None
        return np.asarray(array.isel(place, missing_dims="ignore").transpose(..., along).values)

    mean = cut(dataset[variable])
    assert mean is not None
    inside = np.isfinite(mean) if along != "time" else np.ones(mean.shape, dtype=bool)

    def known(values: np.ndarray | None) -> np.ndarray | None:
        return None if values is None else values[..., inside]

    quantiles = known(cut(dataset.get(f"{variable}_quantile")))
    return Line(
        title,
        along,
        (_dates_of(dataset) if along == "time" else dataset[along].values)[inside],
        mean[inside],
        known(cut(dataset.get(f"{variable}_sd"))),
        known(cut(dataset.get(f"{variable}_member"))),
        quantiles,
        () if quantiles is None else tuple(float(p) for p in dataset["quantile"].values),
        None if other is None else known(cut(other[variable])),
    )


def _dates_of(dataset: xr.Dataset) -> np.ndarray:
    """Dates as numpy has them; of a calendar with dates that it does not know, years as numbers."""
    keys = time_keys(dataset["time"])
    try:
        return np.array(keys, dtype="datetime64[s]")
    except ValueError:
        dates = dataset["time"].dt
        return np.asarray(dates.year + (dates.dayofyear - 1) / 360.0)

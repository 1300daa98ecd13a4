"""A part of a grid by its degrees: rows and columns of a regular grid, or the block of rows and columns that holds it.

{lat: [30, 35], lon: [170, -170]}   ->   longitudes in either convention, also across the dateline
"""

__all__ = ["is_periodic", "select_region"]

import logging
from collections.abc import Mapping, Sequence

import numpy as np
import xarray as xr

from driftfield.conventions import WRAPS, positions_of
from driftfield.errors import ConfigurationError, DataError, suggest
from driftfield.geometry import Geometry

log = logging.getLogger(__name__)


def is_periodic(lon: xr.DataArray | np.ndarray) -> bool:
    """Whether evenly spaced longitudes (increasing) close the circle; columns of a grid with positions say it themselves."""
    if isinstance(lon, xr.DataArray) and WRAPS in lon.attrs:
        return bool(lon.attrs[WRAPS])
    values = np.asarray(lon, dtype=np.float64)
    if values.size < 4:
        return False
    step = np.diff(values)
    even = bool(np.all(np.abs(step - step.mean()) < 0.05 * abs(step.mean())))
    return even and bool(abs(values[-1] - values[0] + step.mean() - 360.0) < 0.5 * step.mean())


def select_region(dataset: xr.Dataset, region: Mapping[str, Sequence[float]]) -> xr.Dataset:
    """The cells of a data set with canonical axes whose centres lie in a region.

    Arguments:
        dataset: Of any grid; lazy where it is lazy.
        region: `{lat: [a, b], lon: [a, b]}` in degrees, one of them or both; nothing is everything.

    Raises:
        ConfigurationError: another key.
        DataError: no cell lies inside.
    """
    for key in region:
        if key not in ("lat", "lon"):
            raise ConfigurationError(f"Unknown key {key!r} in region: {suggest(key, ('lat', 'lon'))}")
    if region and (positions := positions_of(dataset)) is not None:
        return _select_block(dataset, positions, region)
    if "lat" in region:
        low, high = sorted(map(float, region["lat"]))
        lat = dataset["lat"].values
        dataset = dataset.isel(lat=np.flatnonzero((lat >= low) & (lat <= high)))
    if "lon" in region:
        west, east = map(float, region["lon"])
        lon = dataset["lon"].values
        span = 360.0 if east - west >= 360.0 else (east - west) % 360.0
        offset = (lon - west) % 360.0
        columns = np.flatnonzero(offset <= span)
        columns = columns[np.argsort(offset[columns], kind="stable")]
        dataset = dataset.isel(lon=columns)
        # rolled across the dateline: longitudes run on (..., 179, 180, 181, ...)
        dataset = dataset.assign_coords(lon=("lon", np.unwrap(lon[columns], period=360.0), dataset["lon"].attrs))
    if 0 in (dataset.sizes["lat"], dataset.sizes["lon"]):
        raise DataError(f"The region {dict(region)} holds no cell of the file. Widen it, or check its degrees.")
    return dataset


def _select_block(dataset: xr.Dataset, positions: Geometry, region: Mapping[str, Sequence[float]]) -> xr.Dataset:
    """The smallest block of rows and columns that holds every cell of the region."""
    inside = np.ones(positions.shape, dtype=bool)
    if "lat" in region:
        low, high = sorted(map(float, region["lat"]))
        inside &= (positions.latitude >= low) & (positions.latitude <= high)
    if "lon" in region:
        west, east = map(float, region["lon"])
        span = 360.0 if east - west >= 360.0 else (east - west) % 360.0
        inside &= (positions.longitude - west) % 360.0 <= span
    if not inside.any():
        raise DataError(f"The region {dict(region)} holds no cell of the file. Widen it, or check its degrees.")
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    chosen = dataset.isel(lat=slice(rows[0], rows[-1] + 1), lon=slice(columns[0], columns[-1] + 1))
    beyond = chosen.sizes["lat"] * chosen.sizes["lon"] - int(inside.sum())
    if beyond:
        log.info(
            "region: a block of %d x %d cells, %d of them outside", chosen.sizes["lat"], chosen.sizes["lon"], beyond
        )
    whole = chosen.sizes["lon"] == dataset.sizes["lon"] and is_periodic(dataset["lon"])
    chosen["lon"].attrs[WRAPS] = int(whole)
    return chosen

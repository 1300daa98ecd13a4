"""The same place twice: longitudes 0 and 360, halo columns of ocean models.

    ..., 358, 359, 360 (= 0)   ->   ..., 358, 359       where both hold the same, and a line says so

A copy would be a place of its own to every method: hidden at 0 and shown at 360. Where copies differ, nobody knows which is
right.
"""

__all__ = ["without_copies"]

import logging

import numpy as np
import xarray as xr

from driftfield.conventions import WRAPS, positions_of
from driftfield.errors import DataError
from driftfield.geometry import Geometry

log = logging.getLogger(__name__)

_SAMPLE = 2**28
"""Bytes of the data set above which some dates are compared and not all."""


def without_copies(dataset: xr.Dataset, source: str) -> xr.Dataset:
    """Drops columns whose longitude is that of an earlier one, a turn later.

    Arguments:
        dataset: Canonical axes, longitudes increasing.
        source: What messages call it.

    Raises:
        DataError: the two columns hold different values.
    """
    lon = np.asarray(dataset["lon"].values, dtype=np.float64)
    positions = positions_of(dataset)
    if positions is not None:
        lon, first = positions.longitude[0], _halo(positions)
    elif lon.size < 2 or lon.max() - lon.min() < 359.0:
        return dataset
    else:
        first = _first_of_each(lon)
    copies = np.flatnonzero(first != np.arange(lon.size))
    if not copies.size:
        return dataset
    west, other = dataset.isel(lon=first[copies]), dataset.isel(lon=copies)
    for name in (n for n, a in dataset.data_vars.items() if "lon" in a.dims):
        if not _equal(west[name], other[name], dataset.nbytes):
            raise DataError(
                f"{source} holds longitude {lon[copies[0]]:g} and {lon[first[copies[0]]]:g}, the same place, and {str(name)!r} "
                "differs between them: expected each place once. Drop one of the columns."
            )
    log.info(
        "%s: dropped %d column(s) at longitude %s: the same place, with the same values, as a turn before",
        source, copies.size, ", ".join(f"{place:g}" for place in lon[copies][:4]) + (", ..." if copies.size > 4 else ""),
    )  # fmt: skip
    single = dataset.isel(lon=np.flatnonzero(first == np.arange(lon.size)))
    if (rest := positions_of(single)) is not None:
        single["lon"].attrs[WRAPS] = int(rest.wraps)
    return single


def _halo(positions: Geometry) -> np.ndarray:
    """Index of the first column at the same place: ocean models repeat one or two columns where the grid closes."""
    columns = positions.shape[1]
    first = np.arange(columns)
    for width in (2, 1):
        if columns < 4 + width:
            continue
        apart = np.linalg.norm(positions.points[:, :width] - positions.points[:, -width:], axis=-1)
        if np.mean(apart <= 0.05 * positions.spacing) > 0.9:
            first[-width:] = np.arange(width)
            break
    return first


def _first_of_each(lon: np.ndarray) -> np.ndarray:
    """Index of the first column at the same place, to a hundredth of the spacing; increasing longitudes."""
    room = 0.01 * min(float(np.median(np.diff(lon))), 5.0)
    apart = np.abs((lon[:, None] - lon[None, :] + 180.0) % 360.0 - 180.0)
    return np.asarray((apart <= room).argmax(axis=1))


def _equal(first: xr.DataArray, other: xr.DataArray, size: int) -> bool:
    if size > _SAMPLE and "time" in first.dims:
        times = sorted({0, first.sizes["time"] // 2, first.sizes["time"] - 1})
        first, other = first.isel(time=times), other.isel(time=times)
    a, b = first.values, other.values
    if a.dtype.kind in "fc":
        return bool(np.allclose(a, b, rtol=1e-5, atol=0.0, equal_nan=True))
    return bool(np.array_equal(a, b))

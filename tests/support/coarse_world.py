"""A small world at two resolutions: temperature over hills, rain that comes and goes, and a sea."""

from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
from scipy.ndimage import gaussian_filter


def hills(rows: int = 12, columns: int = 16) -> np.ndarray:
    """Heights (row, column), m."""
    return (
        800.0 * np.abs(gaussian_filter(np.random.default_rng(7).standard_normal((rows, columns)), 1.0, mode="wrap")) * 3
    )


def coarse_world(days: int = 90, *, rows: int = 12, columns: int = 16, seed: int = 0, sea: bool = False) -> xr.Dataset:
    """Daily fields on 12 x 16 cells: `tas` falls by 6 K/km, `pr` is rain; NaN over the sea where asked for."""
    rng = np.random.default_rng(seed)
    height = hills(rows, columns)
    time = pd.date_range("2001-01-01", periods=days, freq="D")
    large = gaussian_filter(rng.standard_normal((days, rows, columns)), (0.5, 4, 4), mode="wrap") * 40
    small = gaussian_filter(rng.standard_normal((days, rows, columns)), (0, 0.7, 0.7), mode="wrap")
    tas = 285.0 + large - 0.006 * height + 0.5 * small
    pr = np.maximum(
        gaussian_filter(rng.standard_normal((days, rows, columns)), (0.5, 1.5, 1.5), mode="wrap") * 30 - 1, 0
    )
    coords = {
        "time": time,
        "lat": ("lat", 40.0 + 0.25 * np.arange(rows), {"units": "degrees_north"}),
        "lon": ("lon", 5.0 + 0.25 * np.arange(columns), {"units": "degrees_east"}),
    }
    fields = xr.Dataset(
        {
            "tas": (("time", "lat", "lon"), tas.astype(np.float32), {"units": "K", "standard_name": "air_temperature"}),
            "pr": (("time", "lat", "lon"), pr.astype(np.float32), {"units": "mm day-1", "long_name": "rain"}),
        },
        coords,
    )
    if sea:
        land = np.ones((rows, columns), dtype=bool)
        land[:5, :7] = False
        fields = fields.where(xr.DataArray(land, dims=("lat", "lon")))
        for name, units in (("tas", "K"), ("pr", "mm day-1")):
            fields[name].attrs["units"] = units
    return fields


def write_statics(path: Path, rows: int = 12, columns: int = 16) -> Path:
    """The heights as a file."""
    world = coarse_world(1, rows=rows, columns=columns)
    orog = xr.DataArray(
        hills(rows, columns), {"lat": world["lat"], "lon": world["lon"]}, ("lat", "lon"), attrs={"units": "m"}
    )
    flat = orog.copy(data=np.full(orog.shape, 3.0))
    xr.Dataset({"orog": orog, "flat": flat}).to_netcdf(path)
    return path

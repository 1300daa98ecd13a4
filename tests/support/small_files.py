"""Small real files for the kinds of `docs/reading-real-files.md`: written with the attributes that a case asks for only."""

__all__ = ["DIMS", "FORMATS", "coords", "smooth", "write"]

from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from driftfield.conventions import LATITUDE, LONGITUDE

DIMS = ("time", "lat", "lon")
FORMATS = ("NETCDF4", "NETCDF3_64BIT", "zarr3", "zarr2")


def coords(times: int = 6, shape: tuple[int, int] = (4, 6), lon: np.ndarray | None = None) -> dict[str, Any]:
    """Axes of a small box, six days apart."""
    days = np.arange(times) * np.timedelta64(6, "D")
    return {
        "time": np.datetime64("2001-01-01", "s") + days,
        "lat": ("lat", 30.0 + np.arange(shape[0]), LATITUDE),
        "lon": ("lon", -40.0 + np.arange(shape[1]) if lon is None else lon, LONGITUDE),
    }


def smooth(
    times: int = 6, shape: tuple[int, int] = (4, 6), *, low: float = 0.0, high: float = 1.0, seed: int = 0
) -> np.ndarray:
    """Different values everywhere, all of them between `low` and `high`: (time, lat, lon)."""
    rng = np.random.default_rng(seed)
    ranks = rng.permutation(times * shape[0] * shape[1]).reshape(times, *shape)
    return low + (high - low) * (ranks + 0.5) / ranks.size


def write(dataset: xr.Dataset, path: Path, form: str = "NETCDF4") -> Path:
    """Writes numbers as they are: fill values and packing are attributes of the data set, or nothing."""
    bare = dataset.copy()
    for name in bare.variables:
        bare[name].encoding = {} if "_FillValue" in bare[name].attrs else {"_FillValue": None}
    if form.startswith("zarr"):
        path = path.with_suffix(".zarr")
        bare.drop_encoding().to_zarr(path, zarr_format=int(form[-1]), consolidated=False)
        return path
    bare.to_netcdf(path.with_suffix(".nc"), format=form)
    return path.with_suffix(".nc")

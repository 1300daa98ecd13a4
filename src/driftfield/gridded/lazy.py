"""Lazy arrays that say which file is broken: a damaged chunk is only met when somebody reads it, far from where it was opened.

file  --xarray, lazily-->  variable  --dask, chunk by chunk-->  values     or a FileFormatError with file and variable
"""

__all__ = ["lazily"]

from typing import Any

import dask.array
import numpy as np
import xarray as xr
from dask.array.core import normalize_chunks

from driftfield.errors import FileFormatError


def lazily(dataset: xr.Dataset, source: str) -> xr.Dataset:
    """The same with every variable as dask chunks, of a size that suits file and memory.

    Arguments:
        dataset: As `xarray.open_dataset(..., chunks=None, cache=False)` gives it.
        source: What messages call the file.
    """
    chunked: dict[Any, xr.Variable] = {}
    for name, variable in dataset.variables.items():
        if name in dataset.indexes or variable.ndim == 0:
            continue
        array = dask.array.from_array(_Source(variable, f"{name!r} in {source}"), chunks=_chunks(variable), fancy=False)
        chunked[name] = xr.Variable(variable.dims, array, variable.attrs, variable.encoding)
    found = dataset.assign({name: variable for name, variable in chunked.items() if name in dataset.data_vars})
    return found.assign_coords({name: variable for name, variable in chunked.items() if name in dataset.coords})


class _Source:
    """An array in a file, with what dask asks of an array."""

    def __init__(self, variable: xr.Variable, what: str) -> None:
        self.variable, self.what = variable, what
        self.shape, self.dtype, self.ndim = variable.shape, variable.dtype, variable.ndim

    def __getitem__(self, key: Any) -> np.ndarray:
        try:
            # a scale that is no number makes everything missing, which is counted
            with np.errstate(all="ignore"):
                return np.asarray(self.variable[key].values)
        except MemoryError:
            raise
        except Exception as error:  # each backend and each codec has its own exceptions for broken bytes
            raise FileFormatError(
                f"Cannot read the values of {self.what}: {error}. Check that the file is complete."
            ) from error


def _chunks(variable: xr.Variable) -> Any:
    """Multiples of the chunks in the file; strings of any length have no size to plan with."""
    if variable.dtype == object or 0 in variable.shape:
        return variable.shape
    preferred = variable.encoding.get("preferred_chunks", {})
    shape = tuple(preferred.get(dim, size) for dim, size in variable.sizes.items())
    return normalize_chunks("auto", shape=variable.shape, dtype=variable.dtype, previous_chunks=shape)

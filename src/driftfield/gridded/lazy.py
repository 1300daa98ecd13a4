"""Lazy arrays that say which file is broken: a damaged chunk is only met when somebody reads it, far from where it was opened.

file  --xarray, lazily-->  variable  --dask, chunk by chunk-->  values     or a FileFormatError with file and variable
"""

__all__ = ["dates_at_once", "lazily", "loaded"]

import math
from typing import Any

import dask.array
import numpy as np
import xarray as xr

from driftfield.errors import FileFormatError

MOST_CHUNKS = 20_000
"""Of a variable: more of them cost more to plan with than to read."""

SMALL = 2**12
"""Bytes of a chunk under which planning with it takes longer than reading it and its neighbour; 32 x 32 short floats."""

BLOCK = 2**25
"""Bytes of fields in double precision that statistics hold at a time."""

PLENTY = 2**24
"""Bytes of a chunk of a file that says nothing of chunks, about."""


def dates_at_once(array: xr.DataArray, *, usual: int = 64) -> int:
    """How many dates of a lazy array to hold at a time: as many as usual, but no more than a block of memory has room for."""
    cells = array.size // max(1, array.sizes.get("time", 1))
    return max(1, min(usual, BLOCK // max(1, 8 * cells)))


def loaded(dataset: xr.Dataset) -> xr.Dataset:
    """The same in memory, read some dates at a time: what dask computes as a whole is there twice before it is joined."""
    large = [
        str(n) for n, a in dataset.data_vars.items() if a.chunks is not None and "time" in a.dims and a.nbytes > PLENTY
    ]
    if not large:
        return dataset.load()
    lazy = dataset[large]
    room = {name: np.empty(lazy[name].shape, lazy[name].dtype) for name in large}
    dates, first = lazy[large[0]].chunksizes["time"], 0
    step = max(1, 2 * PLENTY * sum(dates) // lazy.nbytes)
    while dates:
        count = next((n for n in range(1, len(dates) + 1) if sum(dates[:n]) >= step), len(dates))
        some, dates = slice(first, first + sum(dates[:count])), dates[count:]
        first = some.stop
        for name, part in lazy.isel(time=some).compute().data_vars.items():
            axis = part.get_axis_num("time")
            room[str(name)][(slice(None),) * int(axis) + (some,)] = part.values
    return dataset.assign({name: lazy[name].copy(data=values) for name, values in room.items()}).load()


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


def _chunks(variable: xr.Variable) -> tuple[int, ...]:
    """Multiples of the chunks in the file, no larger than need be: what a window of some cells and dates touches is what is read.

    Strings of any length have no size to plan with.
    """
    if variable.dtype == object or 0 in variable.shape:
        return variable.shape
    preferred = variable.encoding.get("preferred_chunks", {})
    chunks = [min(int(preferred.get(dim, size)), size) for dim, size in variable.sizes.items()]
    if not preferred:
        _cut(chunks, PLENTY // variable.dtype.itemsize)
    _grow(chunks, variable.shape, SMALL // variable.dtype.itemsize)
    # the last axes first: neighbouring cells are asked for together more often than neighbouring dates
    for axis in reversed(range(len(chunks))):
        number = math.prod(-(-size // chunk) for size, chunk in zip(variable.shape, chunks, strict=True))
        if number > MOST_CHUNKS:
            chunks[axis] = min(variable.shape[axis], chunks[axis] * -(-number // MOST_CHUNKS))
    return tuple(chunks)


def _grow(chunks: list[int], shape: tuple[int, ...], least: int) -> None:
    """Joins tiny chunks of a file until one has `least` numbers: square ones in space first, then along the other axes."""
    axes = list(range(len(chunks)))
    for group in (axes[-2:], axes[:-2]):
        while math.prod(chunks) < least and (growing := [axis for axis in group if chunks[axis] < shape[axis]]):
            axis = min(growing, key=lambda a: chunks[a])
            chunks[axis] = min(2 * chunks[axis], shape[axis])


def _cut(chunks: list[int], most: int) -> None:
    """Makes a chunk of the whole into one of `most` numbers at most, along the first axes first."""
    for axis, size in enumerate(chunks):
        rest = math.prod(chunks[axis + 1 :])
        chunks[axis] = max(1, min(size, most // rest))

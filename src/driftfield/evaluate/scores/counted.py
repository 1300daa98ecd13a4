"""What every score is a mean over: the cells that count, each with its weight.

    <e> = sum_i w_i m_i e_i / sum_i w_i m_i

The mask m says which cells count; whatever lies outside it, NaN included, has no influence. A NaN *inside* it makes the mean
NaN: a missing answer is never skipped in silence. All of it is lazy on Dask arrays.
"""

__all__ = ["MEMBER", "Counted", "Dims", "Over", "dims_of", "masked_mean"]

from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Self, TypedDict, Unpack

import numpy as np
import xarray as xr

from driftfield.errors import DataError, suggest

Dims = str | Iterable[Hashable] | None

MEMBER = "member"

BLOCK = 2**22
"""Numbers of an ensemble that are in double precision at a time, where cells are looked at one by one."""


class Over(TypedDict, total=False):
    """What every score takes by name, each of them may be left out.

    mask: Cells that count; by default those where the truth is finite.
    weights: Relative weight of each cell (area, for instance), broadcast against the truth.
    dims: Dimensions to average over; all by default.
    """

    mask: xr.DataArray | None
    weights: xr.DataArray | None
    dims: Dims


@dataclass(frozen=True)
class Counted:
    """Estimates and truth on one grid, with the cells that count.

    Arguments:
        stored: Fields, or one ensemble, in the precision that they came in.
        truth: What they are compared with.
        mask: Cells that count, boolean.
        weights: Relative weight of each cell.
        dims: Dimensions to average over; all by default.
    """

    stored: tuple[xr.DataArray, ...]
    truth: xr.DataArray
    mask: xr.DataArray
    weights: xr.DataArray | None = None
    dims: Dims = None

    @classmethod
    def of(
        cls,
        *estimates: xr.DataArray,
        truth: xr.DataArray,
        mask: xr.DataArray | None = None,
        weights: xr.DataArray | None = None,
        dims: Dims = None,
    ) -> Self:
        """Brings everything to one grid.

        Raises:
            DataError: the coordinates differ; nothing is ever cut to the common part in silence.
        """
        mask = truth.notnull() if mask is None else mask.fillna(0).astype(bool)
        stated = [*estimates, truth, mask, *([] if weights is None else [weights])]
        try:
            aligned = xr.align(*stated, join="exact", copy=False)
        except ValueError as error:
            raise DataError(
                f"Estimate, truth, mask and weights lie on different coordinates: {error}. "
                "Select the same times, depths, latitudes and longitudes from each first."
            ) from error
        count = len(estimates)
        truth, mask = aligned[count].astype(np.float64), aligned[count + 1]
        return cls(tuple(aligned[:count]), truth, mask, None if weights is None else aligned[-1], dims)

    @classmethod
    def ensemble(cls, members: xr.DataArray, truth: xr.DataArray, *, at_least: int = 1, **over: Unpack[Over]) -> Self:
        """The same of an ensemble, whose dimension `member` becomes one chunk.

        Raises:
            DataError: there is no such dimension, there are fewer members than `at_least`, or the coordinates differ.
        """
        if MEMBER not in members.dims:
            raise DataError(f"An ensemble needs the dimension 'member', found {members.dims}. Rename the member axis.")
        if members.sizes[MEMBER] < at_least:
            raise DataError(
                f"A spread needs {at_least} members or more, found {members.sizes[MEMBER]}. "
                "Reconstruct with more members."
            )
        counted = cls.of(members, truth=truth, **over)
        (x,) = counted.stored
        whole = x if x.chunks is None else x.chunk({MEMBER: -1})
        return cls((whole,), counted.truth, counted.mask, counted.weights, counted.dims)

    @property
    def estimates(self) -> tuple[xr.DataArray, ...]:
        """The fields in double precision, all at once."""
        return tuple(array.astype(np.float64) for array in self.stored)

    def by_cell(
        self, kernel: Callable[[xr.DataArray, xr.DataArray], tuple[xr.DataArray, ...]]
    ) -> tuple[xr.DataArray, ...]:
        """What a function says of every cell of an ensemble, with few cells in double precision at a time.

        Arguments:
            kernel: (members, truth) of some cells -> fields without members, each cell by itself.
        """
        along, parts = self._longest, [kernel(block.estimates[0], block.truth) for block in self.blocks()]
        return parts[0] if len(parts) == 1 else tuple(xr.concat(p, dim=along) for p in zip(*parts, strict=True))

    def blocks(self) -> Iterator[Self]:
        """Parts of the cells of a large ensemble, all of a lazy or a small one."""
        (x,), along = self.stored, self._longest
        if x.chunks is not None or x.size <= BLOCK:
            yield self
            return
        step = max(1, BLOCK * x.sizes[along] // x.size)
        for start in range(0, x.sizes[along], step):

            def part(array: xr.DataArray, some: slice = slice(start, start + step)) -> xr.DataArray:
                return array.isel({along: some}) if along in array.dims else array

            weights = None if self.weights is None else part(self.weights)
            yield replace(self, stored=(part(x),), truth=part(self.truth), mask=part(self.mask), weights=weights)

    @property
    def _longest(self) -> Hashable:
        """Of the dimensions of an ensemble without its members."""
        sizes = {d: size for d, size in self.stored[0].sizes.items() if d != MEMBER}
        return max(sizes, key=lambda d: sizes[d], default=MEMBER)

    def mean(self, values: xr.DataArray) -> xr.DataArray:
        """<values> over the cells that count."""
        return masked_mean(values, self.mask, weights=self.weights, dims=self.dims)


def masked_mean(
    values: xr.DataArray, mask: xr.DataArray, *, weights: xr.DataArray | None = None, dims: Dims = None
) -> xr.DataArray:
    """Weighted mean over the cells of `mask`; NaN where no cell counts, and where a cell that counts is NaN.

    Arguments:
        values: Any quantity.
        mask: Boolean, broadcast against `values`.
        weights: Relative weights, broadcast against `values`.
        dims: Dimensions to average over; all by default.
    """
    dims = dims_of(values, dims)
    weight = mask.astype(np.float64) if weights is None else weights.where(mask, 0.0).astype(np.float64)
    weight = weight.broadcast_like(values)
    total = weight.sum(dims)
    # where() before the product: 0 * NaN is NaN
    summed = (values.where(mask, 0.0) * weight).sum(dims, skipna=False)
    return summed / total.where(total > 0)


def dims_of(values: xr.DataArray, dims: Dims) -> list[Hashable]:
    """The dimensions to reduce; an unknown one is an error."""
    if dims is None:
        return list(values.dims)
    wanted: list[Hashable] = [dims] if isinstance(dims, str) else list(dims)
    for name in wanted:
        if name not in values.dims:
            raise DataError(f"No dimension {name!r} to average over: {suggest(str(name), map(str, values.dims))}")
    return wanted

"""The energy score of an ensemble: judges how cells vary together, which the CRPS cannot.

    ES = 1/M sum_i |x_i - y|  -  1/(2 M (M - 1)) sum_ij |x_i - x_j|            |.|^2 = <(.)^2>, the mean over the cells

    |x_i - x_j|^2 = G_ii + G_jj - 2 G_ij,   G_ij = <x'_i x'_j>,   x' = x - mean of the members

The pairs come from the matrix G (member, member), so that memory grows with the members and not with their pairs.
"""

__all__ = ["energy_score"]

from collections.abc import Hashable
from typing import Unpack

import numpy as np
import xarray as xr

from driftfield.evaluate.scores.counted import MEMBER, Counted, Over, dims_of
from driftfield.evaluate.scores.score import Score
from driftfield.registry import register

OTHER = "other member"


def energy_score(members: xr.DataArray, truth: xr.DataArray, **over: Unpack[Over]) -> xr.DataArray:
    """Fair energy score (Gneiting and Raftery 2007, doi:10.1198/016214506000001437) of the field over `dims` as one
    vector.

    Distances are root mean squares over the cells, the Euclidean norm divided by n^(1/2): the score keeps the units
    of the field and can be compared between regions. One member has its root mean square error.

    Arguments:
        members: Ensemble with the dimension `member`.
        truth: Field without it.
        over: See `counted.Over`.
    """
    counted = Counted.ensemble(members, truth, **over)
    (x,), size = counted.stored, members.sizes[MEMBER]
    cells = [d for d in x.dims if d != MEMBER]
    reduced = cells if counted.dims is None else dims_of(x, counted.dims)
    # sums over blocks of cells are those over all, but only where all are summed over
    parts = [_sums(p, reduced) for p in (counted.blocks() if set(reduced) == set(cells) else [counted])]
    total, squares, products, squared_lengths = (sum(found[1:], found[0]) for found in zip(*parts, strict=True))
    total = total.where(total > 0)
    error = ((squares / total) ** 0.5).mean(MEMBER, skipna=False)
    if size == 1:
        return error
    gram, length = products / total, squared_lengths / total
    # rounding may leave a pair of equal members below zero
    squared = (length + length.rename({MEMBER: OTHER}) - 2 * gram).clip(min=0.0)
    off_diagonal = xr.DataArray(1.0 - np.eye(size), dims=(MEMBER, OTHER))
    between = (squared**0.5 * off_diagonal).sum([MEMBER, OTHER], skipna=False) / (size * (size - 1))
    return error - 0.5 * between


def _sums(counted: Counted, dims: list[Hashable]) -> tuple[xr.DataArray, ...]:
    """Weight, squared errors of the members, products of their departures from the mean, and squares of these."""
    (x,), y, mask, weights = counted.estimates, counted.truth, counted.mask, counted.weights
    share = mask.astype(np.float64) if weights is None else weights.where(mask, 0.0).astype(np.float64)
    share = share.broadcast_like((x - y).isel({MEMBER: 0}, drop=True))
    # where() before the product: 0 * NaN is NaN
    squares = (((x - y) ** 2).where(mask, 0.0) * share).sum(dims, skipna=False)
    departure = (x - x.mean(MEMBER, skipna=False)).where(mask, 0.0)
    products = xr.dot(departure * share, departure.rename({MEMBER: OTHER}), dim=dims)
    return share.sum(dims), squares, products, (departure**2 * share).sum(dims, skipna=False)


register("score", "energy")(Score("energy score", 0.0, ensemble=energy_score, in_units=True))

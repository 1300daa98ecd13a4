"""How far the distribution of all values is from that of the truth, wherever and whenever they occur.

    W1 = integral |F_x(v) - F_y(v)| dv            of an ensemble: F_x of all members together

A field may be right in its distribution and wrong in every place; the other scores see the places.
"""

__all__ = ["wasserstein"]

from collections.abc import Hashable
from typing import Unpack

import numpy as np
import xarray as xr
from scipy.stats import wasserstein_distance

from driftfield.evaluate.scores.counted import BLOCK, MEMBER, Counted, Over, dims_of
from driftfield.evaluate.scores.score import Score
from driftfield.registry import register


def wasserstein(estimate: xr.DataArray, truth: xr.DataArray, **over: Unpack[Over]) -> xr.DataArray:
    """First Wasserstein distance over the cells that count, in the units of the field (Vallender 1974)."""
    counted = Counted.of(estimate, truth=truth, **over)
    return _distance(counted.estimates[0], counted)


def wasserstein_of_members(members: xr.DataArray, truth: xr.DataArray, **over: Unpack[Over]) -> xr.DataArray:
    """The same of all members together."""
    counted = Counted.ensemble(members, truth, **over)
    # in the precision of the file: sorting changes no value
    return _distance(counted.stored[0], counted)


def _distance(values: xr.DataArray, counted: Counted) -> xr.DataArray:
    reduced = [d for d in dims_of(counted.truth, counted.dims) if d != MEMBER]
    weights = counted.mask.astype(np.float64) if counted.weights is None else counted.weights.where(counted.mask, 0.0)
    weights = weights.broadcast_like(counted.truth)
    inner: list[Hashable] = [MEMBER, *reduced] if MEMBER in values.dims else reduced
    return xr.apply_ufunc(
        lambda x, y, w: _of_slices(x, y, w, len(inner), len(reduced)),
        values,
        counted.truth,
        weights,
        input_core_dims=[inner, reduced, reduced],
        dask="parallelized",
        dask_gufunc_kwargs={"allow_rechunk": True},
        output_dtypes=[np.float64],
    )


def _of_slices(x: np.ndarray, y: np.ndarray, w: np.ndarray, inner: int, reduced: int) -> np.ndarray:
    """Over the last axes; NaN where no cell counts, and where one that counts is NaN."""
    lead = x.shape[: x.ndim - inner]
    size = int(np.prod(y.shape[y.ndim - reduced :]))
    members = x.reshape(-1, x.size // max(1, int(np.prod(lead))) // max(size, 1), size)
    truth, weight = y.reshape(-1, size), w.reshape(-1, size)
    return np.array([_of_one(*parts) for parts in zip(members, truth, weight, strict=True)]).reshape(lead)


def _of_one(members: np.ndarray, truth: np.ndarray, weight: np.ndarray) -> float:
    used = weight > 0
    if not used.all():  # else nothing is copied
        members, truth, weight = members[:, used], truth[used], weight[used]
    if not truth.size or not all(np.isfinite(values).all() for values in (truth, *members)):
        return float("nan")
    if np.ptp(weight) == 0:  # all alike: the k-th of M n values against the one of n at the same place
        ordered, sought = np.sort(members, axis=None).reshape(truth.size, len(members)), np.sort(truth)[:, None]
        step = max(1, BLOCK // len(members))
        blocks = (slice(start, start + step) for start in range(0, truth.size, step))
        return float(sum(np.abs(ordered[some] - sought[some]).sum() for some in blocks) / ordered.size)
    return float(wasserstein_distance(members.ravel(), truth, np.tile(weight, len(members)), weight))


register("score", "wasserstein")(Score("Wasserstein", 0.0, wasserstein, wasserstein_of_members, in_units=True))

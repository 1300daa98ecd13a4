"""Reliability of the spread: does the error grow where the spread says so?

cells in equally full bins of spread      <error^2>^(1/2) = ((M + 1)/M <var>)^(1/2)  in every bin of a perfect ensemble
"""

__all__ = ["spread_bins", "spread_skill_bins", "spread_skill_bins_gaussian"]

from typing import Unpack

import numpy as np
import xarray as xr

from driftfield.evaluate.scores.counted import MEMBER, Counted, Over, masked_mean


def spread_bins(members: xr.DataArray, truth: xr.DataArray, *, bins: int = 10, **over: Unpack[Over]) -> xr.Dataset:
    """Reliability of the spread: cells sorted into equally full bins of it, and the error found in each.

    Returns:
        `spread` (corrected by (M + 1)/M), `error` (root mean square error of the mean) and `count` over the dimension
        `bin`; a perfect ensemble has error = spread in every bin. Empty bins (all spreads equal) are left out.
    """
    counted = Counted.ensemble(members, truth, at_least=2, **over)
    (x,), y = counted.estimates, counted.truth
    size = x.sizes[MEMBER]
    variance = x.var(MEMBER, ddof=1, skipna=False) * (size + 1) / size
    table = _binned(variance, variance, (x.mean(MEMBER, skipna=False) - y) ** 2, counted, bins)
    return _ratios(table).drop_vars("ratio")


def spread_skill_bins(members: xr.DataArray, truth: xr.DataArray, *, bins: int = 5, **over: Unpack[Over]) -> xr.Dataset:
    """Spread over skill in equally full bins of spread: one ratio for all cells can be 1 while the pattern is wrong.

    The spread of M members is noisy, and sorting by it sorts the noise: even perfect members would look overconfident
    in the first bin and too cautious in the last. So the cells are sorted by the spread of one half of the members and
    judged by the spread of the other half, both ways around; a perfect ensemble of any size has the ratio 1 in every bin.
    Fewer than four members have no halves and are sorted by their own spread (`spread_bins`).

    Returns:
        `spread` (corrected by (M + 1)/M), `error` (root mean square error of the mean), `ratio` and `count` over the
        dimension `bin`, from the most certain cells to the least. Empty bins (all spreads equal) are left out.
    """
    counted = Counted.ensemble(members, truth, at_least=2, **over)
    size = members.sizes[MEMBER]
    parts = [slice(0, None, 2), slice(1, None, 2)] if size > 3 else [slice(None)] * 2

    def error_and_variances(x: xr.DataArray, y: xr.DataArray) -> tuple[xr.DataArray, ...]:
        halves = (x.isel({MEMBER: part}).var(MEMBER, ddof=1, skipna=False) * (size + 1) / size for part in parts)
        return ((x.mean(MEMBER, skipna=False) - y) ** 2, *halves)

    squared, *halves = counted.by_cell(error_and_variances)
    ways = [_binned(a, b, squared, counted, bins) for a, b in (halves, halves[::-1])]
    count = min(len(way) for way in ways)
    return _ratios((ways[0][:count] + ways[1][:count]) / 2)


def spread_skill_bins_gaussian(
    mean: xr.DataArray, sd: xr.DataArray, truth: xr.DataArray, *, bins: int = 5, **over: Unpack[Over]
) -> xr.Dataset:
    """`spread_skill_bins` of a stated standard deviation, which is not noisy."""
    counted = Counted.of(mean, sd, truth=truth, **over)
    mean, sd = counted.estimates
    return _ratios(_binned(sd**2, sd**2, (mean - counted.truth) ** 2, counted, bins))


def _binned(
    sorted_by: xr.DataArray, variance: xr.DataArray, squared: xr.DataArray, counted: Counted, bins: int
) -> np.ndarray:
    """Mean variance, mean squared error and number of cells (bin, 3) in equally full bins of another variance."""
    sorted_by, mask = xr.broadcast(sorted_by, counted.mask)
    variance, squared = variance.broadcast_like(sorted_by), squared.broadcast_like(sorted_by)
    edges = np.unique(sorted_by.where(mask).quantile(np.linspace(0, 1, bins + 1)[1:-1], skipna=True).values)
    index = xr.zeros_like(sorted_by, dtype=int)
    for edge in edges:
        index = index + (sorted_by >= edge)
    rows = []
    for b in range(len(edges) + 1):
        here = mask & (index == b)
        if count := int(here.sum()):
            means = (float(masked_mean(values, here, weights=counted.weights)) for values in (variance, squared))
            rows.append((*means, count))
    return np.array(rows, dtype=np.float64).reshape(-1, 3)


def _ratios(table: np.ndarray) -> xr.Dataset:
    """The table of `_binned` as spread, error, ratio (NaN where there is no error) and count."""
    variance, squared, count = table.T
    ratio = np.sqrt(np.divide(variance, squared, out=np.full_like(variance, np.nan), where=squared > 0))
    columns = {"spread": np.sqrt(variance), "error": np.sqrt(squared), "ratio": ratio, "count": np.round(count)}
    return xr.Dataset({name: ("bin", values) for name, values in columns.items()})

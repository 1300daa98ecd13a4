"""Scores of one field against the truth: means over the cells that count.

    <e> = sum_i w_i m_i e_i / sum_i w_i m_i

    bias = <x - y>      mae = <|x - y|>      rmse = <(x - y)^2>^(1/2)      psnr = 20 log10(range(y) / rmse)
    correlation = <x'y'> / (<x'^2> <y'^2>)^(1/2)
    ssim = <(2 mu_x mu_y + C1)(2 s_xy + C2) / ((mu_x^2 + mu_y^2 + C1)(s_x^2 + s_y^2 + C2))>

Every score has one call shape: `score(estimate, truth, *, mask, weights, dims)`. The mask m says which cells count;
whatever lies outside it, NaN included, has no influence. A NaN *inside* it makes the score NaN: a missing answer is
never skipped in silence. All of it is lazy on Dask arrays.
"""

__all__ = [
    "MEMBER",
    "bias",
    "correlation",
    "mae",
    "masked_mean",
    "prepare",
    "prepare_ensemble",
    "psnr",
    "rmse",
    "ssim",
    "ssim_map",
]

from collections.abc import Hashable, Iterable
from math import inf

import numpy as np
import xarray as xr
from scipy.ndimage import gaussian_filter

from driftfield.errors import DataError, suggest
from driftfield.evaluate.scores.score import Score
from driftfield.registry import register

Dims = str | Iterable[Hashable] | None

MEMBER = "member"


def prepare(
    *arrays: xr.DataArray,
    truth: xr.DataArray,
    mask: xr.DataArray | None,
    weights: xr.DataArray | None,
) -> tuple[list[xr.DataArray], xr.DataArray, xr.DataArray, xr.DataArray | None]:
    """Brings everything to float64 on one grid.

    Arguments:
        arrays: Estimates or members.
        truth: What they are compared with.
        mask: Cells that count; by default those where the truth is finite.
        weights: Relative weight of each cell (area, for instance), broadcast against the truth.

    Returns:
        The arrays, the truth, the mask and the weights.

    Raises:
        DataError: the coordinates differ; nothing is ever cut to the common part in silence.
    """
    mask = truth.notnull() if mask is None else mask.fillna(0).astype(bool)
    given = [*arrays, truth, mask, *([] if weights is None else [weights])]
    try:
        aligned = xr.align(*given, join="exact", copy=False)
    except ValueError as error:
        raise DataError(
            f"Estimate, truth, mask and weights lie on different coordinates: {error}. "
            "Select the same times, depths, latitudes and longitudes from each first."
        ) from error
    floats = [array.astype(np.float64) for array in aligned[: len(arrays) + 1]]
    return floats[:-1], floats[-1], aligned[len(arrays) + 1], None if weights is None else aligned[-1]


def prepare_ensemble(
    members: xr.DataArray,
    truth: xr.DataArray,
    mask: xr.DataArray | None,
    weights: xr.DataArray | None,
    *,
    at_least: int = 1,
) -> tuple[xr.DataArray, xr.DataArray, xr.DataArray, xr.DataArray | None]:
    """Checks the dimension `member` and makes it one chunk."""
    if MEMBER not in members.dims:
        raise DataError(f"An ensemble needs the dimension 'member', found {members.dims}. Rename the member axis.")
    if members.sizes[MEMBER] < at_least:
        raise DataError(
            f"A spread needs {at_least} members or more, found {members.sizes[MEMBER]}. Reconstruct with more members."
        )
    (x,), y, mask, weights = prepare(members, truth=truth, mask=mask, weights=weights)
    if x.chunks is not None:
        x = x.chunk({MEMBER: -1})
    return x, y, mask, weights


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
    dims = _dims(values, dims)
    weight = mask.astype(np.float64) if weights is None else weights.where(mask, 0.0).astype(np.float64)
    weight = weight.broadcast_like(values)
    total = weight.sum(dims)
    # where() before the product: 0 * NaN is NaN
    summed = (values.where(mask, 0.0) * weight).sum(dims, skipna=False)
    return summed / total.where(total > 0)


def bias(
    estimate: xr.DataArray,
    truth: xr.DataArray,
    *,
    mask: xr.DataArray | None = None,
    weights: xr.DataArray | None = None,
    dims: Dims = None,
) -> xr.DataArray:
    """Mean of estimate minus truth, in the units of the field."""
    (x,), y, mask, weights = prepare(estimate, truth=truth, mask=mask, weights=weights)
    return masked_mean(x - y, mask, weights=weights, dims=dims)


def mae(
    estimate: xr.DataArray,
    truth: xr.DataArray,
    *,
    mask: xr.DataArray | None = None,
    weights: xr.DataArray | None = None,
    dims: Dims = None,
) -> xr.DataArray:
    """Mean absolute error, in the units of the field."""
    (x,), y, mask, weights = prepare(estimate, truth=truth, mask=mask, weights=weights)
    return masked_mean(abs(x - y), mask, weights=weights, dims=dims)


def rmse(
    estimate: xr.DataArray,
    truth: xr.DataArray,
    *,
    mask: xr.DataArray | None = None,
    weights: xr.DataArray | None = None,
    dims: Dims = None,
) -> xr.DataArray:
    """Root mean square error, in the units of the field."""
    (x,), y, mask, weights = prepare(estimate, truth=truth, mask=mask, weights=weights)
    return masked_mean((x - y) ** 2, mask, weights=weights, dims=dims) ** 0.5


def correlation(
    estimate: xr.DataArray,
    truth: xr.DataArray,
    *,
    mask: xr.DataArray | None = None,
    weights: xr.DataArray | None = None,
    dims: Dims = None,
) -> xr.DataArray:
    """Pearson correlation over the cells that count; NaN where one of the fields is constant."""
    (x,), y, mask, weights = prepare(estimate, truth=truth, mask=mask, weights=weights)

    def mean(values: xr.DataArray) -> xr.DataArray:
        return masked_mean(values, mask, weights=weights, dims=dims)

    x, y = x - mean(x), y - mean(y)
    scale = (mean(x**2) * mean(y**2)) ** 0.5
    return mean(x * y) / scale.where(scale > 0)


def psnr(
    estimate: xr.DataArray,
    truth: xr.DataArray,
    *,
    mask: xr.DataArray | None = None,
    weights: xr.DataArray | None = None,
    dims: Dims = None,
) -> xr.DataArray:
    """Peak signal-to-noise ratio in dB; the peak is the range of the truth over the cells that count."""
    (x,), y, mask, weights = prepare(estimate, truth=truth, mask=mask, weights=weights)
    reduced = _dims(x - y, dims)
    inside = y.where(mask)
    peak = inside.max([d for d in reduced if d in y.dims]) - inside.min([d for d in reduced if d in y.dims])
    noise = masked_mean((x - y) ** 2, mask, weights=weights, dims=dims)
    # a perfect answer has an infinite ratio, and that is not worth a warning
    return xr.apply_ufunc(_decibel, peak**2, noise, dask="parallelized", output_dtypes=[np.float64])


def _decibel(signal: np.ndarray, noise: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore", invalid="ignore"):
        return 10 * np.log10(np.asarray(signal) / np.asarray(noise))


def ssim(
    estimate: xr.DataArray,
    truth: xr.DataArray,
    *,
    mask: xr.DataArray | None = None,
    weights: xr.DataArray | None = None,
    dims: Dims = None,
    domain: xr.DataArray | None = None,
) -> xr.DataArray:
    """Structural similarity (`ssim_map`), averaged over the cells that count."""
    (x,), y, mask, weights = prepare(estimate, truth=truth, mask=mask, weights=weights)
    return masked_mean(ssim_map(x, y, domain=mask if domain is None else domain), mask, weights=weights, dims=dims)


def ssim_map(
    estimate: xr.DataArray, truth: xr.DataArray, *, domain: xr.DataArray | None = None, sigma: float = 1.5
) -> xr.DataArray:
    """Structural similarity around every cell (Wang et al. 2004, doi:10.1109/TIP.2003.819861), blind to land.

    The Gaussian window is normalised by the part of it that lies in the domain, and both fields are counted from the
    truth's minimum, so that a change of unit (degC to K) changes nothing. C1 = (0.01 L)^2, C2 = (0.03 L)^2 with L the
    range of the truth over the domain of one horizontal slice.

    Arguments:
        estimate: Field (..., lat, lon).
        truth: Field (..., lat, lon).
        domain: Where the field exists; by default where both are finite.
        sigma: Width of the window in cells; it is cut at 3.5 sigma.

    Returns:
        Map (..., lat, lon), NaN outside the domain.
    """
    domain = estimate.notnull() & truth.notnull() if domain is None else domain.astype(bool)
    x, y, inside = xr.broadcast(estimate.astype(np.float64), truth.astype(np.float64), domain)
    plane = ["lat", "lon"]
    if any(array.chunks is not None for array in (x, y, inside)):
        x, y, inside = (a.chunk({"lat": -1, "lon": -1}) for a in (x, y, inside))
    return xr.apply_ufunc(
        _similarity,
        x,
        y,
        inside,
        kwargs={"sigma": sigma},
        input_core_dims=[plane, plane, plane],
        output_core_dims=[plane],
        dask="parallelized",
        output_dtypes=[np.float64],
    ).transpose(*x.dims)


def _similarity(x: np.ndarray, y: np.ndarray, inside: np.ndarray, *, sigma: float) -> np.ndarray:
    """`ssim_map` of stacks (..., lat, lon)."""
    axes = (-2, -1)
    low = np.where(inside, y, np.inf).min(axes, keepdims=True)
    span = np.where(inside, y, -np.inf).max(axes, keepdims=True) - low
    low, span = np.where(np.isfinite(low), low, 0.0), np.where(np.isfinite(span), span, 0.0)
    x, y = np.where(inside, x - low, 0.0), np.where(inside, y - low, 0.0)

    def smooth(values: np.ndarray) -> np.ndarray:
        return gaussian_filter(values, sigma=(0,) * (values.ndim - 2) + (sigma, sigma), mode="constant", truncate=3.5)

    weight = smooth(inside.astype(np.float64))
    weight = np.where(inside, weight, 1.0)
    mean_x, mean_y = smooth(x) / weight, smooth(y) / weight
    # a rounding error below zero would make a constant field look structured
    var_x = np.maximum(smooth(x * x) / weight - mean_x**2, 0.0)
    var_y = np.maximum(smooth(y * y) / weight - mean_y**2, 0.0)
    cov = smooth(x * y) / weight - mean_x * mean_y
    c1, c2 = (0.01 * span) ** 2, (0.03 * span) ** 2
    above = (2 * mean_x * mean_y + c1) * (2 * cov + c2)
    below = (mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2)
    # 0 / 0 is a constant field that is met exactly; NaN stays NaN
    similarity = np.divide(above, below, out=np.ones_like(below), where=below != 0)
    return np.where(inside, similarity, np.nan)


def _dims(values: xr.DataArray, dims: Dims) -> list[Hashable]:
    """The dimensions to reduce; an unknown one is an error."""
    if dims is None:
        return list(values.dims)
    wanted: list[Hashable] = [dims] if isinstance(dims, str) else list(dims)
    for name in wanted:
        if name not in values.dims:
            raise DataError(f"No dimension {name!r} to average over: {suggest(str(name), map(str, values.dims))}")
    return wanted


for _name, _score in {
    "rmse": Score("RMSE", 0.0, rmse, in_units=True, headline=True, by_level=True),
    "mae": Score("MAE", 0.0, mae, in_units=True, headline=True),
    "bias": Score("bias", 0.0, bias, in_units=True, headline=True),
    "correlation": Score("correlation", 1.0, correlation),
    "psnr": Score("PSNR [dB]", inf, psnr),
    "ssim": Score("SSIM", 1.0, ssim),
}.items():
    register("score", _name)(_score)

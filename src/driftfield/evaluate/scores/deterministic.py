"""Scores of one field against the truth: means over the cells that count.

    bias = <x - y>      mae = <|x - y|>      rmse = <(x - y)^2>^(1/2)      psnr = 20 log10(range(y) / rmse)
    correlation = <x'y'> / (<x'^2> <y'^2>)^(1/2)
    ssim = <(2 mu_x mu_y + C1)(2 s_xy + C2) / ((mu_x^2 + mu_y^2 + C1)(s_x^2 + s_y^2 + C2))>

Every score has one call shape: `score(estimate, truth, *, mask, weights, dims)`, see `counted.Over`; <.> is the mean of
`counted` over the cells that count.
"""

__all__ = ["bias", "correlation", "mae", "psnr", "rmse", "ssim", "ssim_map"]

from collections.abc import Callable
from math import inf
from typing import Unpack

import numpy as np
import xarray as xr
from scipy.ndimage import gaussian_filter

from driftfield.evaluate.scores.counted import Counted, Over, dims_of
from driftfield.evaluate.scores.score import Score
from driftfield.registry import register


def bias(estimate: xr.DataArray, truth: xr.DataArray, **over: Unpack[Over]) -> xr.DataArray:
    """Mean of estimate minus truth, in the units of the field."""
    return _mean_of(estimate, truth, lambda error: error, over)


def mae(estimate: xr.DataArray, truth: xr.DataArray, **over: Unpack[Over]) -> xr.DataArray:
    """Mean absolute error, in the units of the field."""
    return _mean_of(estimate, truth, abs, over)


def rmse(estimate: xr.DataArray, truth: xr.DataArray, **over: Unpack[Over]) -> xr.DataArray:
    """Root mean square error, in the units of the field."""
    return _mean_of(estimate, truth, lambda error: error**2, over) ** 0.5


def correlation(estimate: xr.DataArray, truth: xr.DataArray, **over: Unpack[Over]) -> xr.DataArray:
    """Pearson correlation over the cells that count; NaN where one of the fields is constant."""
    counted = Counted.of(estimate, truth=truth, **over)
    mean = counted.mean
    x, y = (values - mean(values) for values in (counted.estimates[0], counted.truth))
    scale = (mean(x**2) * mean(y**2)) ** 0.5
    return mean(x * y) / scale.where(scale > 0)


def psnr(estimate: xr.DataArray, truth: xr.DataArray, **over: Unpack[Over]) -> xr.DataArray:
    """Peak signal-to-noise ratio in dB; the peak is the range of the truth over the cells that count."""
    counted = Counted.of(estimate, truth=truth, **over)
    y, error = counted.truth, counted.estimates[0] - counted.truth
    reduced = dims_of(error, counted.dims)
    inside = y.where(counted.mask)
    peak = inside.max([d for d in reduced if d in y.dims]) - inside.min([d for d in reduced if d in y.dims])
    noise = counted.mean(error**2)
    # a perfect answer has an infinite ratio, and that is not worth a warning
    return xr.apply_ufunc(_decibel, peak**2, noise, dask="parallelized", output_dtypes=[np.float64])


def _mean_of(
    estimate: xr.DataArray, truth: xr.DataArray, part: Callable[[xr.DataArray], xr.DataArray], over: Over
) -> xr.DataArray:
    """The mean of something of the error, estimate minus truth."""
    counted = Counted.of(estimate, truth=truth, **over)
    return counted.mean(part(counted.estimates[0] - counted.truth))


def _decibel(signal: np.ndarray, noise: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore", invalid="ignore"):
        return 10 * np.log10(np.asarray(signal) / np.asarray(noise))


def ssim(
    estimate: xr.DataArray, truth: xr.DataArray, *, domain: xr.DataArray | None = None, **over: Unpack[Over]
) -> xr.DataArray:
    """Structural similarity (`ssim_map`), averaged over the cells that count."""
    counted = Counted.of(estimate, truth=truth, **over)
    inside = counted.mask if domain is None else domain
    return counted.mean(ssim_map(counted.estimates[0], counted.truth, domain=inside))


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


for _name, _score in {
    "rmse": Score("RMSE", 0.0, rmse, in_units=True, headline=True, by_level=True),
    "mae": Score("MAE", 0.0, mae, in_units=True, headline=True),
    "bias": Score("bias", 0.0, bias, in_units=True, headline=True),
    "correlation": Score("correlation", 1.0, correlation),
    "psnr": Score("PSNR [dB]", inf, psnr),
    "ssim": Score("SSIM", 1.0, ssim),
}.items():
    register("score", _name)(_score)

"""A season from little: pooled over cells, near the truth where plain means are the observations themselves."""

import logging

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from driftfield.data.climatology import MonthlyClimatology

LAT, LON = np.arange(40.0, 44.0, 0.5), np.arange(-60.0, -55.0, 0.5)


def record(
    *, times: pd.DatetimeIndex, seen: float, seed: int = 0, noise: float = 2.0, bumps: float = 0.0
) -> tuple[xr.DataArray, xr.DataArray]:
    """What was seen of a season with a slope, fixed bumps and noise; and the season with the bumps alone."""
    rng = np.random.default_rng(seed)
    shape = (times.size, LAT.size, LON.size)
    season = 8 * np.cos(2 * np.pi * (times.day_of_year.to_numpy() - 230) / 365.25)[:, None, None]
    fixed = bumps * rng.standard_normal(shape[1:])
    mean = np.broadcast_to(15 - 2 * (LAT - 42)[:, None] + season + fixed, shape)
    values = np.where(rng.random(shape) < seen, mean + noise * rng.standard_normal(shape), np.nan)
    coords = {"time": times, "lat": LAT, "lon": LON}
    return tuple(xr.DataArray(part, dims=("time", "lat", "lon"), coords=coords, name="tos") for part in (values, mean))  # type: ignore[return-value]


def rmse(array: xr.DataArray, mean: xr.DataArray) -> float:
    error = MonthlyClimatology.fit(array).at(mean["time"]) - mean
    return float(np.sqrt((error**2).mean()))


def plain_rmse(array: xr.DataArray, mean: xr.DataArray) -> float:
    """Of the mean of each cell and month, of its level where it saw nothing."""
    months = array.groupby("time.month").mean()
    months = months.fillna(months.mean(["lat", "lon"]))
    return float(np.sqrt(((months.sel(month=mean["time"].dt.month) - mean) ** 2).mean()))


def test_a_sparse_archive_has_nearly_the_true_season(caplog: pytest.LogCaptureFixture) -> None:
    times = pd.date_range("2002-01-01", "2013-12-31", freq="5D")
    array, mean = record(times=times, seen=0.01)
    with caplog.at_level(logging.INFO):
        error = rmse(array, mean)
    assert error < 0.35
    assert plain_rmse(array, mean) > 4 * error
    assert "too few for means of its own" in caplog.text


def test_what_a_cell_has_of_its_own_is_learnt_as_more_is_seen() -> None:
    times = pd.date_range("2002-01-01", "2003-12-31", freq="5D")
    errors = []
    for seen in (0.02, 0.1, 0.7):
        array, mean = record(times=times, seen=seen, noise=1.0, bumps=1.5)
        errors.append(rmse(array, mean))
    assert errors[0] > errors[1] > errors[2]
    assert errors[2] < 0.6
    # never worse than the pooled season, whose error is the bumps
    assert errors[0] < 1.7


def test_a_complete_record_of_two_years_keeps_its_plain_means() -> None:
    times = pd.date_range("2002-01-01", periods=24, freq="MS")
    array, _ = record(times=times, seen=2.0)
    climatology = MonthlyClimatology.fit(array)
    assert not climatology.pooled
    np.testing.assert_allclose(climatology.mean.values, array.groupby("time.month").mean().values, rtol=1e-6)


def test_a_single_image_has_a_large_scale_mean() -> None:
    array, mean = record(times=pd.date_range("2002-05-01", periods=1), seen=0.4, noise=0.3)
    climatology = MonthlyClimatology.fit(array)
    assert climatology.pooled
    assert rmse(array, mean) < 0.3
    # the image itself would leave nothing
    rest = (array - climatology.at(array["time"]).values).values
    assert np.nanstd(rest) == pytest.approx(0.3, rel=0.3)


def test_levels_and_land_and_another_calendar() -> None:
    times = xr.date_range("2002-01-01", periods=40, freq="7D", calendar="noleap", use_cftime=True)
    rng = np.random.default_rng(0)
    values = rng.standard_normal((40, 2, LAT.size, LON.size)) + np.array([5.0, -20.0])[:, None, None]
    values[:, :, 0] = np.nan
    values[:, 1, :4] = np.nan
    coords = {"time": times, "depth": [5.0, 500.0], "lat": LAT, "lon": LON}
    climatology = MonthlyClimatology.fit(
        xr.DataArray(values, dims=("time", "depth", "lat", "lon"), coords=coords, name="x")
    )
    assert climatology.mean.shape == (12, 2, LAT.size, LON.size)
    assert np.isfinite(climatology.mean).all()
    np.testing.assert_allclose(climatology.mean.mean(["month", "lat", "lon"]), [5.0, -20.0], atol=0.2)


def test_lazy_and_loaded_agree() -> None:
    array, _ = record(times=pd.date_range("2002-01-01", periods=60, freq="5D"), seen=0.2)
    lazy = MonthlyClimatology.fit(array.chunk(time=7))
    np.testing.assert_allclose(lazy.mean.values, MonthlyClimatology.fit(array).mean.values)

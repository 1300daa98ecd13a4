"""A season from little: pooled over cells, near the truth where plain means are the observations themselves."""

import functools
import logging

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from driftfield.data.climatology import MonthlyClimatology
from driftfield.data.normalise import ClimatologicalAnomaly

LONG = pd.date_range("2002-01-01", "2013-12-31", freq="5D")
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
    array, mean = record(times=LONG, seen=0.01)
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


def changing(array: xr.DataArray, per_year: float) -> xr.DataArray:
    years = (array["time"] - array["time"][0]) / np.timedelta64(1, "D") / 365.2425
    return array + per_year * years


@functools.cache
def fitted_to_warming() -> MonthlyClimatology:
    return MonthlyClimatology.fit(changing(record(times=LONG, seen=0.01)[0], 0.2))


def test_a_trend_is_learnt_where_years_left_out_show_one() -> None:
    array, mean = record(times=LONG, seen=0.01)
    steady = MonthlyClimatology.fit(array)
    assert steady.trend is None
    warming = fitted_to_warming()
    assert warming.trend is not None
    assert 365.2425 * float(warming.trend.slope) == pytest.approx(0.2, rel=0.1)
    # the months are those of the middle of the record, where the trend adds nothing
    offset = float((warming.mean - steady.mean).mean())
    assert offset == pytest.approx(0.2 * 6, abs=0.1)
    error = warming.at(mean["time"]) - changing(mean, 0.2)
    assert float(np.sqrt((error**2).mean())) < 0.35


def test_a_trend_stays_where_it_ended_and_is_kept_with_the_months() -> None:
    fitted = fitted_to_warming()
    again = MonthlyClimatology.from_arrays(fitted.to_arrays())
    dates = pd.to_datetime(["1990-07-01", "2001-07-01", "2008-07-01", "2014-07-01", "2030-07-01"])
    at = fitted.at(dates).mean(["lat", "lon"]).values
    np.testing.assert_allclose(again.at(dates).mean(["lat", "lon"]), at, rtol=1e-6)
    assert at[0] == pytest.approx(at[1], abs=0.02)
    assert at[3] == pytest.approx(at[4], abs=0.02)
    assert at[4] - at[1] == pytest.approx(0.2 * 12, rel=0.1)
    part = fitted.values_at(fitted.at(dates)["time"], slice(1, 3), slice(2, 5))
    np.testing.assert_array_equal(part, fitted.at(dates).values[:, 1:3, 2:5])


def test_levels_have_trends_of_their_own_and_the_normaliser_takes_them_out() -> None:
    array, _ = record(times=LONG[::2], seen=0.04, noise=1.0)
    two = xr.concat([changing(array, 0.3), array - 10], "depth").assign_coords(depth=[5.0, 500.0])
    two = two.transpose("time", "depth", "lat", "lon")
    for per in ("cell", "domain"):
        normaliser = ClimatologicalAnomaly(per=per)
        normaliser.fit(two, xr.ones_like(two.isel(time=0, drop=True), dtype=bool), np.arange(len(two)))
        trend = normaliser.climatology.trend
        assert trend is not None
        np.testing.assert_allclose(365.2425 * trend.slope, [0.3, 0.0], atol=0.03)
        left = two.values - normaliser.mean_at(two["time"])
        early, late = (np.nanmean(left[part], axis=(0, 2, 3)) for part in (slice(0, 150), slice(-150, None)))
        np.testing.assert_allclose(late - early, 0.0, atol=0.25)


def test_cells_that_were_seen_early_are_no_colder_than_others() -> None:
    """What a cell has of its own is learnt about the trend."""
    times = LONG[:292]
    array, _ = record(times=times, seen=0.3, noise=0.5)
    late = (np.add.outer(np.arange(LAT.size), np.arange(LON.size)) % 2).astype(bool)
    second = (np.arange(times.size) >= times.size // 2)[:, None, None]
    whole = changing(array, 1.0)
    fitted = MonthlyClimatology.fit(whole.where(second == late))
    assert fitted.trend is not None
    at = fitted.mean.values
    assert at[:, late].mean() - at[:, ~late].mean() == pytest.approx(0.0, abs=0.15)

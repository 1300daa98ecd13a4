"""The climatology of a pure seasonal cycle is that cycle."""

import cftime
import numpy as np
import pytest
import xarray as xr

from driftfield.data.climatology import MonthlyClimatology, left_out_factor
from driftfield.errors import DataError


def months(years: int = 3) -> np.ndarray:
    return np.arange("2001-01", f"{2001 + years:04d}-01", dtype="datetime64[M]").astype("datetime64[ns]")


def field(times: np.ndarray, values: np.ndarray) -> xr.DataArray:
    shape = np.broadcast_to(np.asarray(values, dtype=np.float64)[:, None, None], (len(times), 3, 4)).copy()
    return xr.DataArray(
        shape, dims=("time", "lat", "lon"), coords={"time": times, "lat": [0.0, 30.0, 60.0], "lon": np.arange(4.0)}
    )


def test_a_pure_cycle_is_found_and_given_back() -> None:
    cycle = np.tile(np.arange(12.0), 3)
    climatology = MonthlyClimatology.fit(field(months(), cycle))
    assert climatology.stepwise
    assert climatology.mean.dims == ("month", "lat", "lon")
    np.testing.assert_allclose(climatology.at(months()).values[:, 0, 0], cycle)


def test_left_out_years_have_no_say() -> None:
    values = np.concatenate([np.ones(12), 5 * np.ones(12), 100 * np.ones(12)])
    climatology = MonthlyClimatology.fit(field(months(), values), leave_out_years=[2003])
    np.testing.assert_allclose(climatology.mean, 3.0)
    with pytest.raises(DataError, match="No year is left"):
        MonthlyClimatology.fit(field(months(), values), leave_out_years=[2001, 2002, 2003])


def test_daily_data_run_through_the_middles_of_the_months_without_a_step() -> None:
    days = np.arange("2001-01-01", "2005-01-01", dtype="datetime64[D]").astype("datetime64[ns]")
    month = days.astype("datetime64[M]").astype(int) % 12
    climatology = MonthlyClimatology.fit(field(days, np.cos(2 * np.pi * month / 12)))
    assert not climatology.stepwise
    at = climatology.at(days).values[:, 0, 0]
    middle = climatology.at(np.array(["2001-06-16T00:00", "2001-01-16T12:00"], dtype="datetime64[ns]")).values[:, 0, 0]
    np.testing.assert_allclose(middle, [np.cos(2 * np.pi * 5 / 12), 1.0], atol=1e-6)
    assert np.abs(np.diff(at)).max() < 0.02, "no jump at the ends of the months or of the year"
    np.testing.assert_allclose(climatology.weights(days) @ climatology.mean.values[:, 0, 0], at, atol=1e-6)


def test_missing_months_come_from_their_neighbours_and_missing_cells_from_their_level() -> None:
    array = field(months(), np.tile(np.arange(12.0), 3))
    array[{"time": slice(5, None, 12), "lat": 0, "lon": 0}] = np.nan
    array[{"lat": 1, "lon": 1}] = np.nan
    climatology = MonthlyClimatology.fit(array)
    assert np.isfinite(climatology.mean).all()
    assert float(climatology.mean[5, 0, 0]) == pytest.approx(5.0)
    np.testing.assert_allclose(climatology.mean[:, 1, 1], np.arange(12.0), atol=1e-6)


def test_lazy_and_loaded_agree() -> None:
    array = field(months(), np.random.default_rng(0).standard_normal(36))
    lazy = MonthlyClimatology.fit(array.chunk({"time": 7, "lat": 2}))
    xr.testing.assert_equal(lazy.mean, MonthlyClimatology.fit(array).mean)


def test_other_calendars() -> None:
    times = np.array([cftime.Datetime360Day(2001 + i // 12, i % 12 + 1, 30) for i in range(24)])
    climatology = MonthlyClimatology.fit(field(times, np.tile(np.arange(12.0), 2)))
    np.testing.assert_allclose(climatology.at(times).values[:, 0, 0], np.tile(np.arange(12.0), 2))


def test_arrays_bring_it_back() -> None:
    climatology = MonthlyClimatology.fit(field(months(), np.random.default_rng(0).standard_normal(36)))
    again = MonthlyClimatology.from_arrays(climatology.to_arrays())
    assert again.stepwise == climatology.stepwise
    xr.testing.assert_equal(again.mean, climatology.mean)


def test_the_factor_makes_anomalies_those_of_a_climatology_without_the_time() -> None:
    values = np.random.default_rng(0).standard_normal(36)
    array = field(months(), values)
    learnt = np.r_[0:25, 30:36]
    anomaly = values - MonthlyClimatology.fit(array.isel(time=learnt)).at(array["time"]).values[:, 0, 0]
    factor = left_out_factor(array["time"], learnt, learnt)
    for time, found in zip(learnt, factor * anomaly[learnt], strict=True):
        others = [t for t in learnt if t != time and t % 12 == time % 12]
        assert found == pytest.approx(values[time] - values[others].mean(), abs=1e-5)
    # alone in its month, a time is all that the climatology has
    assert left_out_factor(array["time"], np.array([3]), np.array([3])) == 1.0

"""A map of scattered values: chosen on profiles left out, honest in its spread, at every date that was asked for."""

import json
import logging

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy.special import erf

from driftfield.errors import ConfigurationError, DataError
from driftfield.filling.map_grid import MapCells, MapGrid, days_of
from driftfield.filling.point_choice import choose, crps_of, table_of
from driftfield.filling.point_selection import near_box, thinned, values_of
from driftfield.filling.point_values import PointValues, folds_of, month_of
from driftfield.filling.points import map_points
from driftfield.gaussian.point_likelihood import Stated
from driftfield.gaussian.space_time_covariance import Component, Places, SpaceTimeCovariance
from driftfield.observations.table import ObservationTable

EDDIES = SpaceTimeCovariance((Component(4.0, 90.0, 90.0, 25.0),), 0.1)
GRID = MapGrid(box=(42.0, 45.0, -60.0, -56.0), step=0.5, every="1M")


def profiles(count: int = 260, *, seed: int = 0, eddies: bool = True, years: float = 3.0) -> PointValues:
    """Temperatures of profiles at the surface: a season, a slope, and eddies if wanted."""
    rng = np.random.default_rng(seed)
    lat, lon = rng.uniform(42, 45, count), rng.uniform(-60, -56, count)
    days = 15_000 + rng.uniform(0, 365.25 * years, count)
    zero = np.zeros(count)
    value = 12 - 2 * (lat - 43.5) + 6 * np.cos(2 * np.pi * (days - 230) / 365.25)
    value = value + (EDDIES.draw_at(Places(lat, lon, zero, zero), days, rng) if eddies else 0.0)
    value = value + 0.3 * rng.standard_normal(count)
    return PointValues("thetao", lat, lon, zero, days, value, zero, np.arange(count), {"units": "degC"})


def frame_of(values: PointValues) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "longitude": values.lon % 360,
            "latitude": values.lat,
            "time": (values.days * 86_400_000).astype("timedelta64[ms]") + np.datetime64("1970-01-01"),
            "variable": values.name,
            "value": values.value,
            "platform": [f"float {g}" for g in values.group],
        }
    )


def test_kriging_wins_where_there_are_eddies_and_its_spread_covers_new_values() -> None:
    both = profiles(700, seed=1)
    rng = np.random.default_rng(2)
    out = rng.random(len(both)) < 0.3
    choice = choose(both[np.flatnonzero(~out)])
    new = both[np.flatnonzero(out)]
    mean, sd = choice.at(new.places, new.days)
    assert choice.name.startswith("kriging")
    assert 0.84 < (np.abs(mean - new.value) < 1.645 * sd).mean() < 0.96
    tried = {t.name: t for t in choice.tried}
    assert {"box-mean", "month-mean", "climatology"} <= set(tried)
    assert tried[choice.name].rmse < 0.9 * tried["climatology"].rmse < tried["box-mean"].rmse
    # what is said of values left out holds for new ones
    assert np.sqrt(((mean - new.value) ** 2).mean()) == pytest.approx(tried[choice.name].rmse, rel=0.15)


def test_white_noise_around_a_season_is_left_to_the_climatology(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        choice = choose(profiles(300, seed=3, eddies=False))
    best, climatology = choice.tried[0], next(t for t in choice.tried if t.name == "climatology")
    assert best.rmse <= climatology.rmse * 1.02
    assert climatology.rmse == pytest.approx(0.3, rel=0.15)


def test_a_stated_method_is_taken_and_its_loss_is_said(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        choice = choose(profiles(150, seed=4), method="box-mean")
    assert choice.name == "box-mean"
    assert "box-mean loses to" in caplog.text
    marked = [line for line in table_of(choice, "degC").splitlines() if line.startswith("*")]
    assert len(marked) == 1
    assert "box-mean" in marked[0]


def test_a_mean_that_knows_its_values_too_well_is_named(caplog: pytest.LogCaptureFixture) -> None:
    sparse = profiles(60, seed=5, years=12.0)
    with caplog.at_level(logging.WARNING):
        choose(sparse, method="climatology")
    assert "month-mean explains the values that it was fitted to" in caplog.text
    assert "climatology explains" not in caplog.text


def test_too_few_values_and_unknown_methods_are_refused() -> None:
    with pytest.raises(DataError, match="4 values of"):
        choose(profiles(4))
    with pytest.raises(ConfigurationError, match="climatology"):
        choose(profiles(30), method="climatolgy")
    with pytest.raises(ConfigurationError, match="length"):
        Stated.checked(-1.0, None, None)


def test_folds_keep_a_profile_together_and_cut_a_single_pass() -> None:
    values = profiles(90, seed=6)
    grouped = PointValues(**{**vars(values), "group": np.arange(90) // 3})
    fold, unit = folds_of(grouped)
    assert unit == "profile"
    assert all(np.unique(fold[grouped.group == g]).size == 1 for g in range(30))
    assert np.bincount(fold).tolist() == [18] * 5
    track = PointValues(
        **{
            **vars(values),
            "group": np.zeros(90, int),
            "lat": np.linspace(40, 45, 90),
            "lon": np.zeros(90),
            "days": np.zeros(90),
        }
    )
    fold, unit = folds_of(track)
    assert "piece" in unit
    # neighbours on the track are left out together
    assert (np.diff(fold) != 0).sum() < 20


def test_crps_is_that_of_the_definition() -> None:
    error, sd = np.array([0.7]), np.array([1.3])
    x = np.linspace(-30, 30, 40_001)
    below = 0.5 * (1 + erf(x / (1.3 * np.sqrt(2))))
    assert crps_of(error, sd) == pytest.approx(((below - (x >= 0.7)) ** 2).sum() * (x[1] - x[0]), rel=1e-3)


def test_every_date_is_there_and_the_spread_grows_where_nothing_was_seen() -> None:
    values = profiles(260, seed=7)
    first, last = np.datetime64("2010-06-01"), np.datetime64("2013-06-01")
    result, choices = map_points(frame_of(values), MapGrid(GRID.box, 0.5, "1M", None, (str(first), str(last))))
    months = (last.astype("datetime64[M]") - first.astype("datetime64[M]")).astype(int) + 1
    assert result.sizes == {"time": months, "lat": 7, "lon": 9}
    assert np.isfinite(result["thetao"].values).all()
    assert (result["thetao_sd"].values > 0).all()
    before = days_of(result["time"].values) < values.days.min() - 31
    assert before.any()
    assert result["thetao_sd"].values[before].mean() > 1.05 * result["thetao_sd"].values[~before].mean()
    tried = json.loads(result.attrs["driftfield_tried"])["thetao"]
    assert [t["name"] for t in tried] == [t.name for t in choices["thetao"].tried]


def test_a_cell_is_what_the_choice_says_at_its_place_and_mid_month() -> None:
    result, choices = map_points(frame_of(profiles(200, seed=8)), GRID)
    cell = result.isel(time=20, lat=3, lon=4)
    month = cell["time"].values.astype("datetime64[M]")
    middle = 0.5 * (days_of(month) + days_of(month + 1))
    zero = np.zeros(1)
    mean, sd = choices["thetao"].at(
        Places(zero + cell["lat"].item(), zero + cell["lon"].item(), zero, zero), zero + middle
    )
    assert cell["thetao"].item() == pytest.approx(mean[0], abs=0.05)
    assert cell["thetao_sd"].item() == pytest.approx(sd[0], rel=0.05)


def test_members_have_the_mean_and_the_spread_of_the_map() -> None:
    grid = MapGrid(box=(42.0, 44.0, -60.0, -58.0), step=1.0, dates=np.array(["2012-01-15"], "datetime64[ns]"))
    result, _ = map_points(frame_of(profiles(120, seed=9)), grid, members=200)
    drawn = result["thetao_member"].values
    assert drawn.shape == (200, 1, 3, 3)
    sd = result["thetao_sd"].values
    np.testing.assert_allclose(drawn.mean(axis=0), result["thetao"].values, atol=4 * float(sd.max()) / np.sqrt(200))
    np.testing.assert_allclose(drawn.std(axis=0), sd, rtol=0.3)


def test_chlorophyll_is_mapped_as_its_logarithm_and_given_in_its_units(caplog: pytest.LogCaptureFixture) -> None:
    temperatures = profiles(150, seed=12)
    frame = frame_of(temperatures).assign(variable="chl", value=10 ** ((temperatures.value - 12) / 8))
    dates = np.array(["2012-01-15", "2012-07-15"], "datetime64[ns]")
    with caplog.at_level(logging.INFO):
        result, choices = map_points(frame, MapGrid(GRID.box, 1.0, dates=dates), members=3, method="climatology")
    assert "chl is filled as its logarithm" in caplog.text
    assert (result["chl"].values > 0).all()
    assert (result["chl_member"].values > 0).all()
    assert frame["value"].min() < float(result["chl"].mean()) < frame["value"].max()
    assert "log10" in table_of(choices["chl"])
    # what is scored are logarithms: the eddies and the noise of the temperatures over eight
    assert choices["chl"].tried[0].rmse < 0.5


def test_land_of_a_grid_is_left_empty() -> None:
    land = np.ones((7, 9), dtype=bool)
    land[:2] = False
    grid = MapGrid(GRID.box, 0.5, domain=land, dates=np.array(["2012-01-15", "2012-01-20"], "datetime64[ns]"))
    result, _ = map_points(frame_of(profiles(80, seed=10)), grid, method="climatology")
    assert np.isnan(result["thetao"].values[:, :2]).all()
    assert np.isfinite(result["thetao"].values[:, 2:]).all()


def test_a_profile_is_brought_to_the_levels_but_never_beyond_its_ends() -> None:
    depth = np.array([4.0, 20.0, 40.0, 60.0])
    table = ObservationTable.of(
        longitude=-58.0,
        latitude=43.0,
        depth=depth,
        time="2012-01-01",
        variable="thetao",
        value=20 - depth / 10,
        platform="7",
    )
    values = values_of(table, "thetao", levels=[0, 30, 100])
    np.testing.assert_allclose(values.depth, [0, 30])
    np.testing.assert_allclose(values.value, [19.6, 17.0])
    assert np.unique(values.group).size == 1
    np.testing.assert_allclose(values_of(table, "thetao", levels=None).value, [19.6])
    with pytest.raises(DataError, match="thetao"):
        values_of(table, "so", levels=None)


def test_what_one_instrument_saw_within_half_a_day_goes_together() -> None:
    time = np.datetime64("2012-01-01") + np.array([0, 1, 2, 0, 0, 48], "timedelta64[h]")
    table = ObservationTable.of(
        longitude=[0, 1, 2, 0, 5, 5], latitude=0.0, time=time, variable="x", value=0.0,
        platform=["ship", "ship", "ship", "other", "buoy", "buoy"],
    )  # fmt: skip
    group = values_of(table, "x", levels=None).group
    assert group[0] == group[1] == group[2]
    assert group[4] == group[5]
    assert np.unique(group).size == 3


def test_flagged_rows_and_far_ones_are_left_out_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    table = ObservationTable.of(
        longitude=[-58, -58.5, 20, -57],
        latitude=43.0,
        time="2012-01-01",
        variable="x",
        value=[1, 2, 3, 4],
        flag=[1, 4, 1, 0],
    )
    lat, lon = GRID.axes()
    with caplog.at_level(logging.INFO):
        near = near_box(table, lat, lon)
        values = values_of(near, "x", levels=None)
    np.testing.assert_allclose(values.value, [1, 4])
    assert "1 of 4 observations lie far" in caplog.text
    assert "1 rows are left out" in caplog.text
    with pytest.raises(DataError, match="Name another box"):
        near_box(table, np.array([-50.0, -49.0]), np.array([100.0, 101.0]))


def test_very_many_values_are_thinned_to_their_means(monkeypatch: pytest.MonkeyPatch) -> None:
    values = profiles(300, seed=11)
    assert thinned(values, 0.5) is values
    monkeypatch.setattr("driftfield.filling.point_selection._MANY", 10)
    fewer = thinned(PointValues(**{**vars(values), "days": np.full(300, 15_000.25)}), 2.0)
    assert len(fewer) <= 4 * 5
    assert fewer.value.mean() == pytest.approx(values.value.mean(), abs=1.5)


def test_grids_that_are_none_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="box"):
        MapGrid(box=(45.0, 42.0, 0.0, 1.0), step=0.5).axes()
    with pytest.raises(ConfigurationError, match="box and a step"):
        MapGrid().axes()
    with pytest.raises(ConfigurationError, match="dates"):
        MapGrid(GRID.box, 0.5).when(np.array([0.0, 1.0]))
    with pytest.raises(ConfigurationError, match="1 fortnight"):
        MapGrid(GRID.box, 0.5, "1 fortnight").when(np.array([0.0, 1.0]))
    with pytest.raises(ConfigurationError, match="time"):
        MapGrid.like(xr.Dataset(coords={"lat": [0.0], "lon": [0.0]}))


def test_months_are_whole_and_a_box_may_cross_the_date_line() -> None:
    dates = GRID.when(days_of(np.array(["2010-01-20", "2010-03-05"], "datetime64[ns]")))
    assert [str(d)[:10] for d in dates] == ["2010-01-01", "2010-02-01", "2010-03-01"]
    cells = MapCells.of(GRID, days_of(np.array(["2010-01-20", "2010-03-05"], "datetime64[ns]")))
    np.testing.assert_allclose(cells.days[1] - days_of(np.datetime64("2010-02-01")), 14.0)
    assert month_of(cells.days).tolist() == [480, 481, 482]
    _, lon = MapGrid(box=(0.0, 1.0, 179.0, -179.0), step=1.0).axes()
    np.testing.assert_allclose(lon, [179, 180, 181])

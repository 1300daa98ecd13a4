"""Space-time optimal interpolation on a small moving sea: no complete field, other times speak, members are reproducible."""

import json
import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from driftfield.data.sources import GriddedArchive
from driftfield.errors import ConfigurationError, DataError
from driftfield.gaussian.gappy_mean import RunningSums
from driftfield.gaussian.space_time_covariance import SHAPES, Component, Places, SpaceTimeCovariance
from driftfield.gaussian.space_time_tuning import SpaceTimeConstants
from driftfield.interfaces import TrainingData
from driftfield.peers.daily_cycle import DailyCycle
from driftfield.peers.space_time import SpaceTimeOptimalInterpolation
from driftfield.peers.space_time_cases import CaseDrawer
from driftfield.testing import tiny_training_data

SHAPE = (9, 12)


def moving_sea(times: int = 24, calendar: str = "standard", start: str = "2005-05-01") -> xr.DataArray:
    """A draw from a known covariance: length 120 km, 4 days; land in one corner."""
    lat, lon = 40 + 0.25 * np.arange(SHAPE[0]), 5 + 0.3 * np.arange(SHAPE[1])
    places = Places(*(a.ravel() for a in np.meshgrid(lat, lon, indexing="ij")), *np.zeros((2, lat.size * lon.size)))
    covariance = SpaceTimeCovariance((Component(1.0, 120.0, 120.0, 4.0, 1.0, 1.0, 1.5),), 0.0)
    z = covariance.draw(places, np.arange(times, dtype=float), np.random.default_rng(0), waves=500)
    field = 18.0 + z.reshape(times, *SHAPE)
    field[:, :2, :3] = np.nan
    dates = xr.date_range(start, periods=times, freq="1D", calendar=calendar, use_cftime=calendar != "standard")
    return xr.DataArray(
        field.astype(np.float32),
        dims=("time", "lat", "lon"),
        coords={"time": dates, "lat": lat, "lon": lon},
        name="sst",
    )


def with_gaps(field: xr.DataArray, share: float = 0.6, seed: int = 1) -> xr.DataArray:
    kept = np.random.default_rng(seed).random(field.shape) > share
    return field.where(xr.DataArray(kept, dims=field.dims))


def training(field: xr.DataArray) -> TrainingData:
    archive = GriddedArchive(field.to_dataset(), {"sst": field.notnull().any("time")}, periodic=False)
    return TrainingData(archive, np.arange(field.sizes["time"]), np.array([], dtype=int), ("sst",))


@pytest.fixture(scope="module")
def sea() -> xr.DataArray:
    return moving_sea()


@pytest.fixture(scope="module")
def method(sea: xr.DataArray) -> SpaceTimeOptimalInterpolation:
    """Fitted to gappy fields alone."""
    fitted = SpaceTimeOptimalInterpolation()
    fitted.fit(training(with_gaps(sea)), seed=0)
    return fitted


def test_learns_from_gaps_alone(method: SpaceTimeOptimalInterpolation, sea: xr.DataArray) -> None:
    observed = with_gaps(sea)
    found = method.reconstruct(observed.to_dataset(), members=1, seed=0)
    hidden = (sea.notnull() & observed.isnull()).values
    error = (found["sst"] - sea).values[hidden]
    assert set(method.validation_crps["sst"]) == {"own"}
    assert np.sqrt(np.mean(error**2)) < 0.35 * float(sea.std())
    spread = found["sst_sd"].values[hidden]
    # calibrated where the gaps were doubled, with a few days of a small sea: a factor of one and a half is allowed
    assert 0.67 < np.sqrt(np.mean(spread**2) / np.mean(error**2)) < 1.5


def test_other_times_speak(method: SpaceTimeOptimalInterpolation, sea: xr.DataArray) -> None:
    """A day without any observation is known from the days around it, and less well from far ones."""
    observed = with_gaps(sea, 0.3)
    observed[10] = np.nan
    alone = method.reconstruct(observed.isel(time=[10]).to_dataset(), members=1)
    among = method.reconstruct(observed.to_dataset(), members=1)
    truth = sea.isel(time=10)
    errors = [float(np.sqrt(((f["sst"].sel(time=truth["time"]) - truth) ** 2).mean())) for f in (alone, among)]
    assert errors[1] < 0.6 * errors[0]
    assert float(among["sst_sd"][10].mean()) < 0.8 * float(alone["sst_sd"][0].mean())


def test_the_window_ends_what_is_used(method: SpaceTimeOptimalInterpolation, sea: xr.DataArray, tmp_path: Path) -> None:
    method.save(tmp_path)
    narrow = SpaceTimeOptimalInterpolation.load(tmp_path)
    narrow.window = 1.5
    observed = with_gaps(sea)
    whole = narrow.reconstruct(observed.to_dataset(), members=2).isel(time=slice(5, 6))
    part = narrow.reconstruct(observed.isel(time=slice(4, 7)).to_dataset(), members=2).isel(time=slice(1, 2))
    for name in ("sst", "sst_sd", "sst_member"):
        np.testing.assert_allclose(part[name], whole[name], atol=1e-5)


def test_of_one_pass_the_spread_is_least_on_it_and_grows_with_time(
    method: SpaceTimeOptimalInterpolation, sea: xr.DataArray
) -> None:
    on = np.zeros(SHAPE, dtype=bool)
    on[np.arange(9), np.arange(9) + 2] = True
    seen = sea.where(xr.DataArray(on, dims=("lat", "lon")))
    seen[np.arange(24) != 10] = np.nan
    found = method.reconstruct(seen.to_dataset().assign(sst_error=0.05 + 0 * seen), members=1, seed=0)
    # in units of what a place varies by itself
    spread = (found["sst_sd"] / method.sd["sst"]).values
    sea_cells = sea.notnull().any("time").values & ~on
    off = spread[:, sea_cells].mean(axis=1)
    track = spread[:, on & sea.notnull().any("time").values].mean(axis=1)
    assert (track[10:18] < off[10:18]).all()
    assert (np.diff(track[10:18]) > 0).all()
    assert (track[3:11][::-1] < off[3:11][::-1]).all()


def test_times_without_observations_change_nothing(method: SpaceTimeOptimalInterpolation, sea: xr.DataArray) -> None:
    observed = with_gaps(sea)
    blank = observed.where(observed["time"] == observed["time"][3])
    many = method.reconstruct(blank.to_dataset(), members=2).isel(time=slice(3, 4))
    one = method.reconstruct(blank.isel(time=slice(3, 4)).to_dataset(), members=2)
    for name in ("sst", "sst_sd", "sst_member"):
        np.testing.assert_allclose(one[name], many[name], atol=1e-5)


def test_observations_are_honoured_as_far_as_their_error_allows(
    method: SpaceTimeOptimalInterpolation, sea: xr.DataArray
) -> None:
    observed = with_gaps(sea).isel(time=slice(0, 4))
    seen = observed.notnull().values
    exact = method.reconstruct(observed.to_dataset(), members=2)
    np.testing.assert_allclose(exact["sst"].values[seen], observed.values[seen], atol=1e-3)
    for member in exact["sst_member"].values:
        np.testing.assert_allclose(member[seen], observed.values[seen], atol=1e-2)
    noisy = method.reconstruct(observed.to_dataset().assign(sst_error=xr.full_like(observed, 0.5)), members=2)
    assert np.abs(noisy["sst"].values - observed.values)[seen].max() > 0.05
    assert (noisy["sst_sd"].values[seen] > exact["sst_sd"].values[seen]).all()


def test_members_are_one_field_not_noise(method: SpaceTimeOptimalInterpolation, sea: xr.DataArray) -> None:
    """Neighbouring cells of a member depart from the mean together, on one day and on the next."""
    observed = with_gaps(sea, 0.97)
    found = method.reconstruct(observed.to_dataset(), members=20)
    departure = (found["sst_member"] - found["sst"]) / found["sst_sd"].clip(min=1e-3)
    values = departure.values[:, :, 4:, 4:]
    across = float(np.mean(values[..., 1:] * values[..., :-1]))
    in_time = float(np.mean(values[:, 1:] * values[:, :-1]))
    assert across > 0.6
    assert in_time > 0.5
    assert np.abs(values.std(axis=0) - 1).mean() < 0.25


def test_memory_speaks_for_later_dates_and_never_for_its_own(
    method: SpaceTimeOptimalInterpolation, sea: xr.DataArray
) -> None:
    remembering = SpaceTimeOptimalInterpolation(memory=3)
    for key in ("background", "sd", "constants", "spread", "validation_crps", "cycle"):
        setattr(remembering, key, getattr(method, key))
    first = training(sea.isel(time=slice(0, 12)))
    remembering._keep(first, np.arange(9, 12))
    later, own = sea.isel(time=slice(12, 14)), sea.isel(time=slice(9, 12))
    for field, helps in ((later, True), (own, False)):
        observed = with_gaps(field, 0.95).to_dataset()
        without, found = (peer.reconstruct(observed, members=1) for peer in (method, remembering))
        error = [float(np.sqrt(((r["sst"] - field) ** 2).mean())) for r in (without, found)]
        assert (error[1] < 0.8 * error[0]) == helps
        if not helps:
            np.testing.assert_allclose(found["sst"], without["sst"], atol=1e-5)


def test_any_calendar(few_cases: None) -> None:
    field = moving_sea(12, calendar="360_day", start="2005-02-25")
    fitted = SpaceTimeOptimalInterpolation()
    fitted.fit(training(with_gaps(field, 0.4)))
    found = fitted.reconstruct(with_gaps(field).to_dataset(), members=2)
    assert np.isfinite(found["sst"].where(field.notnull(), 0)).all()


def test_long_records_keep_their_seasons(few_cases: None) -> None:
    years = xr.date_range("2001-01-01", periods=48, freq="MS")
    field = moving_sea(48).assign_coords(time=years)
    season = 6 * np.cos(2 * np.pi * np.arange(48) / 12)
    field = field + xr.DataArray(season, dims="time", coords={"time": years})
    fitted = SpaceTimeOptimalInterpolation(patterns=["random:0.8"], nearest=60)
    fitted.fit(training(field.astype(np.float32).rename("sst")))
    winter, summer = fitted.background.mean(
        "sst", years.to_series().iloc[[0, 6]].to_xarray().rename(index="time")["time"]
    )
    assert np.nanmean(winter - summer) > 9
    assert float(np.mean(fitted.sd["sst"])) < 2


@pytest.mark.parametrize("wrong", [{"nearest": 2}, {"window": -1.0}, {"context": -1}, {"patterns": ["mist:0.5"]}])
def test_arguments_that_make_no_sense_are_named(wrong: dict) -> None:
    with pytest.raises(ConfigurationError, match=str(next(iter(wrong.values()))).strip("[]'")[:4]):
        SpaceTimeOptimalInterpolation(**wrong)


def test_a_negative_error_is_named(method: SpaceTimeOptimalInterpolation, sea: xr.DataArray) -> None:
    observed = with_gaps(sea).isel(time=slice(0, 2))
    with pytest.raises(DataError, match="sst_error"):
        method.reconstruct(observed.to_dataset().assign(sst_error=xr.full_like(observed, -0.5)), members=1)


def test_nothing_to_hide_is_said(sea: xr.DataArray) -> None:
    with pytest.raises(DataError, match="all"):
        SpaceTimeOptimalInterpolation(patterns=["all"]).fit(training(sea))


def test_some_cells_are_those_of_the_whole_and_exact_ones_what_was_seen(
    method: SpaceTimeOptimalInterpolation, sea: xr.DataArray
) -> None:
    observed = with_gaps(sea, 0.5, seed=7).isel(time=slice(4, 9)).to_dataset()
    wanted = np.random.default_rng(8).random(observed["sst"].shape) < 0.3
    mean, sd = method.estimate_cells(observed, "sst", wanted)
    whole = method.reconstruct(observed, members=2, seed=0)
    hidden = wanted & observed["sst"].isnull().values & sea.notnull().any("time").values
    # neighbours are chosen about the middle of the cells that are asked for
    assert np.abs(mean - whole["sst"].values)[hidden].max() < 0.05 * float(sea.std())
    assert np.abs(sd - whole["sst_sd"].values)[hidden].max() < 0.05 * float(sea.std())
    exact = observed["sst"].notnull().values
    mean, sd = method.estimate_cells(observed, "sst", np.ones(exact.shape, dtype=bool))
    np.testing.assert_allclose(mean[exact], observed["sst"].values[exact], rtol=1e-6)
    assert not sd[exact].any()


def test_a_walk_downhill_that_ends_worse_with_all_observations_is_not_taken(
    method: SpaceTimeOptimalInterpolation, sea: xr.DataArray, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = replace(method.constants["sst"], length=1e-2, days=1e-3)
    monkeypatch.setattr("driftfield.gaussian.space_time_search.refine", lambda *_, **__: bad)
    again = SpaceTimeOptimalInterpolation()
    again.start = method.constants
    again.fit(training(with_gaps(sea)))
    assert again.constants == method.constants


def test_constants_survive_json() -> None:
    for shape in SHAPES:
        constants = SpaceTimeConstants(80.0, 3.0, shape=shape, second_shape=1.5)
        assert SpaceTimeConstants.from_json(json.loads(json.dumps(constants.to_json(), allow_nan=False))) == constants


def test_constants_make_a_covariance_of_unit_variance() -> None:
    for second in (0.0, 0.4):
        assert SpaceTimeConstants(100.0, 2.0, second=second).covariance.variance == pytest.approx(1.0)


def test_a_course_of_the_day_is_known_where_a_record_has_one() -> None:
    days = 100 + np.arange(0, 20, 0.125)
    slope = np.linspace(0.0, 3.0, 12)[None, None] + np.zeros((1, 9, 1))
    fields = slope * np.cos(2 * np.pi * days)[:, None, None] + 0.1 * np.random.default_rng(0).standard_normal(
        (160, 9, 12)
    )
    fields[:, :2, :3] = np.nan
    assert DailyCycle.exists(days)
    assert not DailyCycle.exists(np.arange(100.0, 120.0))
    cycle = DailyCycle.fit([(days[:50], fields[:50]), (days[50:], fields[50:])], kappa=1.0)
    expected = slope * np.cos(2 * np.pi * np.array([7.0, 7.25, 7.5]))[:, None, None]
    np.testing.assert_allclose(cycle.at(np.array([7.0, 7.25, 7.5]))[:, 2:], expected[:, 2:], atol=0.12)
    assert np.abs(cycle.at(days)[:, :2, :3]).max() < 1e-6


def test_a_long_search_says_how_far_it_is(
    few_cases: None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("driftfield.gaussian.space_time_tuning._SECONDS", 0.0)
    with caplog.at_level(logging.INFO):
        SpaceTimeOptimalInterpolation(nearest=16, context=1, patterns=["random:0.7"]).fit(tiny_training_data())
    for stage in ("1 of 3", "2 of 3", "3 of 3"):
        assert f"space-time covariance, {stage}" in caplog.text


def test_the_tuning_of_a_sparse_archive_shows_the_other_dates_as_they_are() -> None:
    """Two values a date: the gaps of another date would leave nothing to see, and nothing to tune on."""
    rng = np.random.default_rng(0)
    fields = np.full((60, 8, 9), np.nan)
    for t in range(60):
        fields[t].ravel()[rng.choice(72, 2, replace=False)] = rng.standard_normal(2)
    axes = {"lat": np.arange(40.0, 44.0, 0.5), "lon": np.arange(-60.0, -55.5, 0.5)}
    domain = xr.DataArray(np.ones((8, 9), dtype=bool), dims=("lat", "lon"), coords=axes)
    times = np.arange(60)
    drawer = CaseDrawer(
        fields=lambda index: fields[index],
        sums=RunningSums.of([fields]),
        domain=domain,
        periodic=False,
        days=5.0 * times,
        times=times,
        scored=times[45:],
        short=False,
        learnt=False,
        context=3,
    )
    cases = drawer.draw(["own"], 0)
    assert sum(group.size for case in cases for group in case.groups) >= 200
    for case in cases:
        seen = np.bincount(case.seen.time + 3, minlength=7)
        assert seen[3] == 1, "one of two is hidden"
        inside = [t for t in range(7) if seen[t]]
        assert all(seen[t] == 2 for t in inside if t != 3), "other dates are shown whole"


def test_a_fit_that_begins_at_constants_walks_on_from_them_and_does_not_search(
    method: SpaceTimeOptimalInterpolation, sea: xr.DataArray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("driftfield.gaussian.space_time_tuning._grid", None)
    again = SpaceTimeOptimalInterpolation()
    again.start = method.constants
    again.fit(training(with_gaps(sea)))
    # on the same cases: no worse than where it began
    assert again.validation_crps["sst"]["own"] <= method.validation_crps["sst"]["own"]
    again.start = {"sst": replace(method.constants["sst"], length=3 * method.constants["sst"].length)}
    again.fit(training(with_gaps(sea)))
    assert again.constants["sst"].length < 3 * method.constants["sst"].length

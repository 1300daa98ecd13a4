"""The smoother with a learned prior: what it learns from, which dates it takes, what its members depend on."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr

from driftfield.cli import main
from driftfield.data.sources import GriddedArchive
from driftfield.data.twin import observe
from driftfield.errors import ConfigurationError, DataError
from driftfield.interfaces import TrainingData
from driftfield.reconstruction.calibration_cases import calibrate
from driftfield.registry import build
from driftfield.trajectories.courses import cells, course, state_numbers
from driftfield.trajectories.prior_courses import draw_courses
from driftfield.trajectories.state_windows import runs
from driftfield.trajectories.trajectory import TrajectoryReconstructor
from driftfield.worlds.lorenz import Lorenz96, simulate_lorenz

SAMPLER = {"class": "DPMSolverPP2M", "evaluations": 8}
GUIDANCE = {"method": "mmps", "iterations": 2}
NETWORK = {"class": "CircleUNet", "widths": [8, 8], "depths": [1, 1], "embedding": 8}


@pytest.fixture(scope="module")
def world() -> xr.Dataset:
    return simulate_lorenz(Lorenz96(variables=12), steps=120)


def training_data(world: xr.Dataset, train: slice = slice(0, 80), validation: slice = slice(85, 110)) -> TrainingData:
    domain = xr.DataArray(np.ones((1, 12), bool), dims=("lat", "lon"))
    archive = GriddedArchive(world, {"x": domain}, periodic=True)
    times = np.arange(world.sizes["time"])
    return TrainingData(archive=archive, train=times[train], validation=times[validation], targets=("x",))


def trained(data: TrainingData, folder: Path) -> TrajectoryReconstructor:
    pytest.importorskip("lightning")
    from driftfield.training import LightningTrainer

    method = TrajectoryReconstructor(
        NETWORK, states=3, normalizer={"class": "ZScore"}, validation_samples=8, sampler=SAMPLER, guidance=GUIDANCE
    )
    trainer = LightningTrainer(steps=6, batch_size=8, validate_every=3, loggers=(), accelerator="cpu")
    method.fit(data, seed=1, trainer=trainer, folder=folder)
    return method


@pytest.fixture(scope="module")
def smoother(world: xr.Dataset, tmp_path_factory: pytest.TempPathFactory) -> TrajectoryReconstructor:
    return trained(training_data(world), tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def observations(world: xr.Dataset) -> xr.Dataset:
    return observe(world.isel(time=slice(111, 118)), {"x": "random:0.5"}, error=0.5, seed=1)


def test_windows_follow_each_other_and_stay_inside_their_split(world: xr.Dataset) -> None:
    gappy = world.isel(time=[*range(10), *range(14, 30)])
    data = training_data(gappy, slice(0, 26))
    archive = data.archive
    assert isinstance(archive, GriddedArchive)
    found = runs(archive, np.array([9, 8, 7, 6, 10, 11, 12, 20, 21, 22, 23]), 3)
    np.testing.assert_array_equal(found, [[6, 7, 8], [7, 8, 9], [10, 11, 12], [20, 21, 22], [21, 22, 23]])
    assert len(runs(archive, np.arange(5), 1)) == 5
    with pytest.raises(DataError, match="No 17 of 26 dates"):
        runs(archive, np.arange(26), 17)
    with pytest.raises(DataError, match="fewer states"):
        runs(archive, np.arange(2), 3)


def test_dates_become_numbers_of_steps() -> None:
    dates = xr.DataArray(np.array(["2000-01-03", "2000-01-01", "2000-01-02T12"], "datetime64[s]"), dims="time")
    np.testing.assert_array_equal(state_numbers(dates, 0.5), [4, 0, 3])
    months = xr.DataArray(np.arange("2000-01", "2012-01", dtype="datetime64[M]").astype("datetime64[s]"), dims="time")
    np.testing.assert_array_equal(state_numbers(months, 31.0), np.arange(144))
    with pytest.raises(DataError, match="multiples of the run's step of 1 days"):
        state_numbers(dates, 1.0)


@pytest.mark.parametrize("calendar", ["standard", "noleap"])
def test_a_course_holds_its_dates_and_the_steps_between_them(calendar: str) -> None:
    """Also across months of different length, and past the last date if a window needs it."""
    cftime = calendar != "standard"
    for frequency, step, monthly in (("12h", 0.5, False), ("MS", 30.4, True)):
        whole = xr.DataArray(
            xr.date_range("2000-11-01", periods=7, freq=frequency, calendar=calendar, use_cftime=cftime), dims="time"
        )
        found = course(whole[[4, 0, 3]], step, states=7, monthly=monthly)
        np.testing.assert_array_equal(found.dates.values, whole.values)
        np.testing.assert_array_equal(found.numbers, [4, 0, 3])
        assert len(course(whole[[4, 0, 3]], step, monthly=monthly)) == 5


def test_dates_that_are_left_out_are_as_dates_without_observations(
    smoother: TrajectoryReconstructor, observations: xr.Dataset
) -> None:
    blind = observations.copy(deep=True)
    blind["x"][1::2] = np.nan
    whole = smoother.reconstruct(blind, members=2, seed=3)
    part = smoother.reconstruct(observations.isel(time=slice(None, None, 2)), members=2, seed=3)
    xr.testing.assert_allclose(part["x_member"], whole["x_member"].isel(time=slice(None, None, 2)), atol=1e-4)


def test_observations_speak_for_the_dates_beside_them(
    smoother: TrajectoryReconstructor, observations: xr.Dataset
) -> None:
    other = observations.copy(deep=True)
    other["x"][3] = other["x"][3] + 3
    a, b = (smoother.reconstruct(part, members=2, seed=3)["x"] for part in (observations, other))
    change = np.abs(a - b).mean(("lat", "lon")).values
    assert change[3] > 0.5
    # six steps of training have taught it little of what neighbours have to do with each other, but something
    assert min(change[2], change[4]) > 1e-5
    assert change[0] < 1e-3 * change[3]


def test_members_do_not_depend_on_who_is_drawn_beside_them(
    smoother: TrajectoryReconstructor, observations: xr.Dataset
) -> None:
    together = smoother.reconstruct(observations, members=4, seed=5)
    alone = smoother.reconstruct(observations, members=4, seed=5, batch_size=1)
    xr.testing.assert_allclose(together["x_member"], alone["x_member"], atol=1e-4)


def test_a_single_date_is_a_part_of_a_window(smoother: TrajectoryReconstructor, observations: xr.Dataset) -> None:
    found = smoother.reconstruct(observations.isel(time=[2]), members=2, seed=0)
    assert found["x_member"].shape == (2, 1, 1, 12)
    assert np.isfinite(found["x_member"]).all()


def test_observed_cells_are_where_they_were_seen(smoother: TrajectoryReconstructor, observations: xr.Dataset) -> None:
    from driftfield.data.observed_batch import observation_batch

    seen = [observation_batch(smoother.codec, observations, time) for time in (0, 1)]
    observed = cells(seen, np.array([3, 1]), 5)
    x = torch.arange(60.0).view(1, 5, 1, 12)
    expected = [float(x[0, s, 0, c]) for s in (1, 3) for c in range(12) if seen[(3, 1).index(s)].seen.where[0, 0, 0, c]]
    assert observed.apply(x)[0].tolist() == expected
    assert observed.covariance.size == len(expected)


@pytest.mark.parametrize("method", ["sda", "pseudo_inverse", "replacement", "prior_covariance"])
def test_every_way_of_guidance_draws_nearer_to_what_was_seen(
    smoother: TrajectoryReconstructor, observations: xr.Dataset, method: str
) -> None:
    other = TrajectoryReconstructor(NETWORK, states=3, sampler=SAMPLER, guidance={"method": method})
    other.learner = smoother.learner
    found = other.reconstruct(observations, members=2, seed=1)
    seen = observations["x"].notnull()
    blind = observations.copy(deep=True)
    blind["x"][:] = np.nan
    prior = other.reconstruct(blind, members=2, seed=1)
    error, without = (float(abs(part["x"] - observations["x"]).where(seen).mean()) for part in (found, prior))
    assert error < 0.8 * without


def test_runs_are_kept(smoother: TrajectoryReconstructor, observations: xr.Dataset, tmp_path: Path) -> None:
    smoother.save(tmp_path / "run")
    loaded = TrajectoryReconstructor.load(tmp_path / "run")
    a, b = (method.reconstruct(observations, members=1, seed=2) for method in (smoother, loaded))
    np.testing.assert_array_equal(a["x"].values, b["x"].values)


def test_messages(world: xr.Dataset, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="odd number"):
        TrajectoryReconstructor(NETWORK, states=4)
    with pytest.raises(ConfigurationError, match="a method, such as"):
        build("reconstructor", {"class": "TrajectoryReconstructor", "network": NETWORK, "guidance": {"sda_scale": 1}})
    with pytest.raises(ConfigurationError, match="Unknown guidance method"):
        TrajectoryReconstructor(NETWORK, guidance={"method": "enkf"})
    with pytest.raises(ConfigurationError, match="needs a trainer"):
        TrajectoryReconstructor(NETWORK).fit(training_data(world))


def test_a_prior_of_windows_draws_courses_without_observations(smoother: TrajectoryReconstructor) -> None:
    found = draw_courses(smoother, members=4, states=5, seed=2, date="2000-03-01")
    assert found["x_member"].shape == (4, 5, 1, 12)
    assert np.isfinite(found["x_member"]).all()
    assert (found.attrs["observations"], found.attrs["guidance"], found.attrs["network_evaluations"]) == (
        "none",
        "none",
        8,
    )
    np.testing.assert_allclose(np.diff(found["time"].values) / np.timedelta64(1, "D"), smoother.codec.step_days)
    again = draw_courses(smoother, members=2, states=5, seed=2, date="2000-03-01", batch_size=1)
    xr.testing.assert_allclose(again["x_member"], found["x_member"][:2], atol=1e-5)
    assert draw_courses(smoother, members=1).sizes["time"] == smoother.states
    with pytest.raises(ConfigurationError, match="expected 3 or more"):
        draw_courses(smoother, members=1, states=2)


@pytest.mark.parametrize(
    ("option", "why"), [("--precision=bfloat16", "in float32"), ("--replacement", "guided by its observations")]
)
def test_what_is_refused_is_refused_for_the_right_reason(
    smoother: TrajectoryReconstructor,
    observations: xr.Dataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    option: str,
    why: str,
) -> None:
    smoother.save(tmp_path / "run")
    observations.to_netcdf(tmp_path / "obs.nc")
    command = ["reconstruct", str(tmp_path / "run"), str(tmp_path / "obs.nc"), "--out", str(tmp_path / "out.nc")]
    monkeypatch.setattr(sys, "argv", ["driftfield", *command, option])
    with pytest.raises(SystemExit) as end:
        main()
    said = capsys.readouterr().err
    assert end.value.code == 2
    assert why in said
    assert f"leave out {option.split('=')[0]}" in said
    assert "draws no samples" not in said


def test_courses_are_not_drawn_around_a_first_guess(
    smoother: TrajectoryReconstructor,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    smoother.save(tmp_path / "run")
    around = ["--around", str(tmp_path / "guess.nc"), "--start-level", "1"]
    out = tmp_path / "never.nc"
    monkeypatch.setattr(sys, "argv", ["driftfield", "sample", str(tmp_path / "run"), *around, "--out", str(out)])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 2
    assert "this run is a prior of trajectories: leave out --around" in capsys.readouterr().err
    assert not out.exists()


def test_no_field_of_a_course_leaves_the_bounds(world: xr.Dataset, observations: xr.Dataset, tmp_path: Path) -> None:
    method = trained(replace(training_data(world), bounds={"x": (0.0, 5.0)}), tmp_path)
    method.save(tmp_path / "run")
    for run in (method, TrajectoryReconstructor.load(tmp_path / "run")):
        result = run.reconstruct(observations, members=3)
        for label in ("x", "x_member"):
            assert 0.0 <= float(result[label].min()) < float(result[label].max()) <= 5.0


def test_a_calibration_is_applied_and_kept(world: xr.Dataset, observations: xr.Dataset, tmp_path: Path) -> None:
    data = replace(training_data(world), bounds={"x": (-3.0, 11.0)})
    method = trained(data, tmp_path)
    raw = method.reconstruct(observations, members=4)
    found = calibrate(method, data, cases=4, members=4, patterns={"x": ["random:0.5"]}, error={"x": 0.5})
    assert method.calibration is None
    method.calibration = found
    method.save(tmp_path / "run")
    for run in (method, TrajectoryReconstructor.load(tmp_path / "run")):
        result = run.reconstruct(observations, members=4)
        assert "calibration" in result.attrs
        np.testing.assert_allclose(result["x_sd"], found.apply(raw)["x_sd"], rtol=1e-5)
        assert -3.0 <= float(result["x_member"].min()) < float(result["x_member"].max()) <= 11.0
        # it was fitted to reconstructions from observations
        assert "calibration" not in draw_courses(run, members=2).attrs

"""What a diagnosis shows is what the run does: same ensemble, same scores, exact identities between its curves."""

import json
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import xarray as xr
from typer.testing import CliRunner

from driftfield.cli import app
from driftfield.data.sources import open_fields, write_dataset
from driftfield.data.twin import observe
from driftfield.errors import ConfigurationError, DataError, ExistsError, UserError
from driftfield.evaluate.diagnostics_figures import _moments
from driftfield.evaluate.evaluation import evaluate
from driftfield.interfaces import Abilities
from driftfield.models.diagnostics import diagnose, schedule_curves, training_curves
from driftfield.models.diffusion import DiffusionReconstructor
from driftfield.models.first_guess import FirstGuess
from driftfield.models.watch import Watch
from driftfield.reconstruction.draws import Draws
from driftfield.reconstruction.output import Estimate
from driftfield.registry import build
from driftfield.runs import load_reconstructor
from driftfield.testing import tiny_ocean, tiny_training_data

pytest.importorskip("lightning")

NETWORK = {"class": "ResidualUNet", "widths": [8, 16], "depths": [1, 1], "condition_depths": [1, 1], "embedding": 8}
PATTERNS = {"thetao": "profiles:0.7", "sst": "clouds:0.5"}
FIGURES = ["denoising.png", "sample.png", "schedule.png", "steps.png", "training.png"]


@pytest.fixture(scope="module")
def truth() -> xr.Dataset:
    return tiny_ocean(times=40).isel(time=slice(36, 39))


@pytest.fixture(scope="module")
def observations(truth: xr.Dataset) -> xr.Dataset:
    return observe(truth, PATTERNS, error=0.05, seed=2)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A diffusion run of two optimizer steps, with its log."""
    from driftfield.training import LightningTrainer

    folder = tmp_path_factory.mktemp("runs") / "tiny"
    method = DiffusionReconstructor(
        network=NETWORK,
        observing={"observe": PATTERNS, "error": 0.05},
        validation_samples=4,
        sampler={"class": "DPMSolverPP2M", "evaluations": 6},
    )
    trainer = LightningTrainer(steps=2, batch_size=2, validate_every=1, loggers=("csv",), accelerator="cpu")
    method.fit(tiny_training_data(tiny_ocean(times=40)), seed=1, trainer=trainer, folder=folder)
    method.save(folder)
    return folder


@pytest.fixture
def method(run: Path) -> Any:
    return load_reconstructor(run)


@pytest.fixture(scope="module")
def files(truth: xr.Dataset, observations: xr.Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """truth.nc, obs.nc with errors and exact.nc without."""
    folder = tmp_path_factory.mktemp("files")
    write_dataset(truth, folder / "truth.nc")
    write_dataset(observations, folder / "obs.nc")
    write_dataset(observe(truth, PATTERNS, seed=2), folder / "exact.nc")
    return folder


def watched(method: Any, observations: xr.Dataset, truth: xr.Dataset, members: int) -> tuple[Watch, xr.Dataset]:
    watch = Watch(method, observations, truth)
    result = method.complete(observations, Draws(members, 3, batch_size=members, watcher=watch))
    return watch, result


def test_the_last_estimate_is_the_reconstruction(method: Any, observations: xr.Dataset, truth: xr.Dataset) -> None:
    one, true = observations.isel(time=[1]), truth.isel(time=[1])
    watch, result = watched(method, one, true, 3)
    unwatched = method.reconstruct(observations, members=3, seed=3).isel(time=[1])
    xr.testing.assert_equal(result, unwatched)
    scores = evaluate(true, {"diffusion": result}, one).scores["diffusion"]["thetao"]
    steps = watch.scores("thetao")
    assert steps.mean_rmse[-1] == pytest.approx(scores["rmse"], rel=1e-5)
    assert steps.spread[-1] / steps.mean_rmse[-1] == pytest.approx(scores["spread_skill"], rel=1e-5)
    kept = watch.denoising()
    domain = one["domain"].isel(depth=watch.level).values
    last = result["thetao_member"].isel(member=0, time=0, depth=watch.level).values
    np.testing.assert_allclose(kept.estimates[-1][domain], last[domain], rtol=1e-6)


class Flat:
    """A peer that says 12 +- 0.5 everywhere."""

    abilities = Abilities(first_guess=True)

    def first_guess(self, observations: xr.Dataset, **_: Any) -> Any:
        shape = observations["thetao"].shape
        return {"thetao": Estimate(np.full(shape, 12.0), np.full(shape, 0.5))}


def test_a_first_guess_is_added_to_every_estimate(method: Any, observations: xr.Dataset, truth: xr.Dataset) -> None:
    method.guess = FirstGuess(cast(Any, Flat()))
    one, true = observations.isel(time=[1]), truth.isel(time=[1])
    watch, result = watched(method, one, true, 2)
    scores = evaluate(true, {"diffusion": result}, one).scores["diffusion"]["thetao"]
    assert watch.scores("thetao").mean_rmse[-1] == pytest.approx(scores["rmse"], rel=1e-5)


def test_members_mean_and_spread_obey_their_identity(method: Any, observations: xr.Dataset, truth: xr.Dataset) -> None:
    """<member error^2> = <mean error^2> + (M - 1)/M <var>, at every evaluation, and `spread` is ((M + 1)/M <var>)^(1/2)."""
    watch, _ = watched(method, observations.isel(time=[0]), truth.isel(time=[0]), 4)
    steps = watch.scores("thetao")
    assert steps.member_rmse.shape == (6, 4)
    right = steps.mean_rmse**2 + 3 / 5 * steps.spread**2
    np.testing.assert_allclose((steps.member_rmse**2).mean(axis=1), right, rtol=1e-9)


def test_the_sampling_grid_is_what_the_sampler_visits(method: Any, observations: xr.Dataset, truth: xr.Dataset) -> None:
    curves = schedule_curves(method)
    watch, _ = watched(method, observations.isel(time=[0]), truth.isel(time=[0]), 2)
    np.testing.assert_allclose(watch.noise_level, curves.sampling_level, rtol=1e-4)
    np.testing.assert_allclose(np.interp(curves.sampling_t, curves.t, curves.gamma), -2 * np.log(curves.sampling_level))
    for density in (curves.own, curves.training):
        middle = (density[1:] + density[:-1]) / 2
        assert (middle * np.diff(2 * np.log(curves.level))).sum() == pytest.approx(1, abs=1e-3)


def test_only_held_out_cells_are_scored(method: Any, observations: xr.Dataset, truth: xr.Dataset) -> None:
    one = observations.isel(time=[0])
    cells = Watch(method, one, truth.isel(time=[0])).scored["thetao"]
    expected = (one["held_out"] & one["domain"]).isel(time=0).transpose("depth", "lat", "lon")
    np.testing.assert_array_equal(cells.mask, expected.values)
    elsewhere = truth.isel(time=[0]).where(one["held_out"], 99.0)
    again = Watch(method, one, elsewhere.where(truth.isel(time=[0]).notnull())).scored["thetao"]
    np.testing.assert_array_equal(again.truth, cells.truth)


def test_training_curves_follow_history_and_log(method: Any, run: Path) -> None:
    curves = training_curves(method, run)
    np.testing.assert_array_equal(curves.history["validation_loss"][0], [1, 2])
    assert {"validation_rmse", "validation_crps", "validation_ssim"} <= set(curves.history)
    without = training_curves(method, None)
    assert len(without.loss[0]) == len(without.learning_rate[0]) == 0
    assert without.history.keys() == curves.history.keys()


def test_the_log_of_a_resumed_training_is_moved_to_its_end(method: Any, tmp_path: Path) -> None:
    (tmp_path / "logs" / "csv").mkdir(parents=True)
    lines = ["loss,step,learning_rate", "0.5,49,", ",60,", "0.4,99,0.1"]
    (tmp_path / "logs" / "csv" / "metrics.csv").write_text("\n".join(lines) + "\n")
    method.extra["history"] = [{"step": 300.0, "validation_loss": 0.3}]
    np.testing.assert_array_equal(training_curves(method, tmp_path).loss[0], [249, 299])
    method.extra["history"] = [{"step": 120.0, "validation_loss": 0.3}]
    np.testing.assert_array_equal(training_curves(method, tmp_path).loss[0], [49, 99])


def test_shown_moments_are_equally_different_and_hold_both_ends() -> None:
    estimates = np.concatenate([np.zeros(10), np.arange(11.0), np.full(10, 10.0)])[:, None]
    np.testing.assert_array_equal(np.diff(estimates[_moments(estimates, 6), 0]), 2.0)
    still = _moments(np.ones((20, 3)), 6)
    assert (still[0], still[-1], len(still)) == (0, 19, 6)
    assert list(_moments(np.arange(3.0)[:, None], 6)) == [0, 1, 2]


def test_the_command_writes_figures_and_numbers(run: Path, files: Path, tmp_path: Path) -> None:
    out = tmp_path / "look"
    command = ["diagnose", str(run), str(files / "obs.nc"), "--truth", str(files / "truth.nc"), "--out", str(out)]
    answer = CliRunner().invoke(app, [*command, "--members", "3", "--time", "1"], catch_exceptions=False)
    assert answer.exit_code == 0
    assert sorted(path.name for path in out.iterdir()) == sorted([*FIGURES, "denoising.gif", "diagnostics.json"])
    for name in FIGURES:
        assert (out / name).read_bytes()[:4] == b"\x89PNG"
    numbers = json.loads((out / "diagnostics.json").read_text())
    assert len(numbers["steps"]["thetao"]["rmse_mean"]) == 6 == numbers["schedule"]["evaluations"]
    assert numbers["steps"]["thetao"]["rmse_mean"][-1] == pytest.approx(numbers["scores"]["thetao"]["rmse"], rel=1e-5)
    assert numbers["steps"]["thetao"]["units"] == "degC"
    with pytest.raises(ExistsError, match="--overwrite"):
        CliRunner().invoke(app, command, catch_exceptions=False)


@pytest.mark.parametrize(
    ("options", "found", "message"),
    [
        ({"members": 1}, ConfigurationError, "2 or more"),
        ({"time": 3}, ConfigurationError, "hold 3 times. Choose 0 to 2"),
        ({"variable": "thetap"}, ConfigurationError, "Did you mean 'thetao'"),
    ],
)
def test_a_users_mistake_is_said(
    method: Any, observations: xr.Dataset, truth: xr.Dataset, tmp_path: Path, options: Any, found: Any, message: str
) -> None:
    with pytest.raises(found, match=message):
        diagnose(method, observations, truth, tmp_path / "look", **options)
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_diagnosed_says_so(
    method: Any, observations: xr.Dataset, truth: xr.Dataset, tmp_path: Path
) -> None:
    peer = build("reconstructor", {"class": "Climatology"})
    with pytest.raises(ConfigurationError, match=r"Climatology.*driftfield evaluate"):
        diagnose(peer, observations, truth, tmp_path / "look")
    with pytest.raises(ConfigurationError, match="not fitted"):
        diagnose(build("reconstructor", {**_spec(method)}), observations, truth, tmp_path / "look")
    with pytest.raises(DataError, match="driftfield mask"):
        diagnose(method, observations.drop_vars(["held_out"]), truth, tmp_path / "look")
    with pytest.raises(UserError, match="lacks"):
        diagnose(method, observations, truth.isel(time=[2]), tmp_path / "look")


def _spec(method: Any) -> dict[str, Any]:
    return {"class": "DiffusionReconstructor", "network": method.network_spec, "observing": method.observing_spec}


# -- options of `driftfield reconstruct` ---------------------------------------------------------------------------------


def reconstruct(run: Path, observations: Path, out: Path, *options: str) -> xr.Dataset:
    command = ["reconstruct", str(run), str(observations), "--out", str(out), "--members", "3", *options]
    assert CliRunner().invoke(app, command, catch_exceptions=False).exit_code == 0
    return open_fields(out).load()


def test_replacement_reproduces_exact_observations(run: Path, files: Path, tmp_path: Path) -> None:
    free = reconstruct(run, files / "exact.nc", tmp_path / "free.nc")
    imposed = reconstruct(run, files / "exact.nc", tmp_path / "imposed.nc", "--replacement")
    with xr.open_dataset(files / "exact.nc") as seen:
        y = seen["thetao"].values
    for member in imposed["thetao_member"].values:
        np.testing.assert_allclose(member[np.isfinite(y)], y[np.isfinite(y)], atol=1e-4)
    assert np.abs(free["thetao"].values - y)[np.isfinite(y)].max() > 1e-2
    assert (free.attrs["replacement"], imposed.attrs["replacement"]) == ("false", "true")


def test_smoothing_is_an_option(run: Path, files: Path, tmp_path: Path) -> None:
    rough = reconstruct(run, files / "obs.nc", tmp_path / "rough.nc")
    smooth = reconstruct(run, files / "obs.nc", tmp_path / "smooth.nc", "--smooth", "1.5")
    assert float(smooth["thetao_sd"].mean()) < float(rough["thetao_sd"].mean())
    np.testing.assert_array_equal(np.isnan(smooth["thetao"].values), np.isnan(rough["thetao"].values))
    assert smooth.attrs["smoothing_sigma_cells"] == 1.5
    with pytest.raises(ConfigurationError, match="--smooth -1"):
        reconstruct(run, files / "obs.nc", tmp_path / "no.nc", "--smooth", "-1")


def test_what_cannot_be_looked_into_says_so_whatever_else_is_asked(run: Path, files: Path, tmp_path: Path) -> None:
    """And the sampler that is asked for is the one that is watched."""
    peer = build("reconstructor", {"class": "Climatology"})
    peer.fit(tiny_training_data(tiny_ocean(times=40)), seed=0)
    peer.save(tmp_path / "peer")
    obs, truth, out = (str(path) for path in (files / "obs.nc", files / "truth.nc", tmp_path / "out"))
    options = [obs, "--truth", truth, "--out", out, "--sampler", "HeunSampler:5", "--members", "2"]
    with pytest.raises(ConfigurationError, match="only a DiffusionReconstructor"):
        CliRunner().invoke(app, ["diagnose", str(tmp_path / "peer"), *options], catch_exceptions=False)
    assert CliRunner().invoke(app, ["diagnose", str(run), *options], catch_exceptions=False).exit_code == 0
    assert json.loads((tmp_path / "out" / "diagnostics.json").read_text())["training"] is not None
    assert "HeunSampler" in (tmp_path / "out" / "diagnostics.json").read_text()


def test_a_peer_has_nothing_to_replace(files: Path, tmp_path: Path) -> None:
    peer = build("reconstructor", {"class": "Climatology"})
    peer.fit(tiny_training_data(tiny_ocean(times=40)), seed=0)
    peer.save(tmp_path / "peer")
    with pytest.raises(ConfigurationError, match="leave out --replacement"):
        reconstruct(tmp_path / "peer", files / "obs.nc", tmp_path / "out.nc", "--replacement")

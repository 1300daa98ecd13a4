"""A noise with a colour through a run: its range from the spectra, refused where it cannot work, kept, drawn and diagnosed."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from driftfield.data.sources import GriddedArchive
from driftfield.data.twin import observe
from driftfield.errors import ConfigurationError
from driftfield.gaussian.random_fields import Matern, PeriodicField, SquaredExponential
from driftfield.gaussian.random_fields.cover import NoiseCover
from driftfield.interfaces import TrainingData
from driftfield.models.around import draw_around
from driftfield.models.diagnostics import noise_against
from driftfield.models.diffusion import DiffusionReconstructor
from driftfield.models.noise_check import noise_tables
from driftfield.models.unconditional import draw_unconditionally
from driftfield.registry import build
from driftfield.testing import tiny_training_data
from driftfield.trajectories.emulators import DiffusionEmulator
from driftfield.trajectories.prior_courses import draw_courses
from driftfield.trajectories.trajectory import TrajectoryReconstructor

pytest.importorskip("lightning")

from driftfield.training import LightningTrainer

NETWORK = {"class": "FourierOperator", "width": 6, "modes": 4, "layers": 1, "embedding": 8}
MATERN = {"class": "Matern", "length": 0.1, "smoothness": 1.5}
N = 16


def torus(kernel: Any = None, times: int = 40) -> xr.Dataset:
    """Gaussian fields on a torus."""
    field = PeriodicField(Matern(0.1, 1.5) if kernel is None else kernel, (N, N))
    values = 3 * field.sample(np.random.default_rng(5), times).astype(np.float32)
    return xr.Dataset(
        {"w": (("time", "lat", "lon"), values, {"units": "1"})},
        coords={
            "time": np.datetime64("2001-01-01", "ns") + np.arange(times) * np.timedelta64(1, "D"),
            "lat": ("lat", np.linspace(-5, 5, N, endpoint=False), {"units": "degrees_north"}),
            "lon": ("lon", np.linspace(0, 10, N, endpoint=False), {"units": "degrees_east"}),
        },
    )


def data_of(fields: xr.Dataset) -> TrainingData:
    domains = {"w": fields["w"].notnull().any("time")}
    archive = GriddedArchive(fields, domains, periodic=False)
    return TrainingData(archive, np.arange(28), np.arange(28, 36), targets=("w",))


def trainer() -> LightningTrainer:
    return LightningTrainer(steps=2, batch_size=2, validate_every=2, loggers=(), accelerator="cpu")


def fitted(folder: Path, diffusion: dict[str, Any], fields: xr.Dataset | None = None) -> DiffusionReconstructor:
    run = DiffusionReconstructor(
        NETWORK,
        {"observe": {"w": ["none", "random:0.5"]}},
        normalizer={"class": "ZScore"},
        diffusion=diffusion,
        sampler={"class": "DPMSolverPP2M", "evaluations": 3},
        validation_samples=2,
    )
    run.fit(data_of(torus() if fields is None else fields), seed=1, trainer=trainer(), folder=folder)
    return run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> DiffusionReconstructor:
    return fitted(tmp_path_factory.mktemp("run"), {"noise": MATERN})


def test_the_range_follows_from_the_spectra(run: DiffusionReconstructor) -> None:
    """Data with the covariance of the noise: every wave is as large as it at s = 1, so that sd is 1 and the range 1/8 to 8."""
    schedule = run.diffusion["schedule"]
    assert 8 < schedule["s_max"] < 11
    assert 0.09 < schedule["s_min"] < 0.125
    assert run.diffusion["sd"] == pytest.approx(1, abs=0.05)
    levels = run.diffusion["noise_levels"]
    assert abs(levels["mean"]) < 0.1
    assert levels["std"] == pytest.approx(np.log(4) / 2, abs=0.1)
    assert len(run.extra["noise_cover"]["0"]["s"]) == 7


def test_the_recipe_key_comes_back_and_draws_what_it_drew(run: DiffusionReconstructor, tmp_path: Path) -> None:
    run.save(tmp_path / "run")
    again = DiffusionReconstructor.load(tmp_path / "run")
    assert again.arguments()["diffusion"]["noise"] == MATERN
    first, second = (draw_unconditionally(one, members=3, seed=4) for one in (run, again))
    xr.testing.assert_identical(first["w_member"], second["w_member"])
    alone = draw_unconditionally(run, members=2, seed=4, batch_size=1)
    xr.testing.assert_allclose(alone["w_member"], first["w_member"][:2], atol=1e-4)


def test_near_the_smallest_level_members_are_the_first_guess(run: DiffusionReconstructor) -> None:
    guess = torus().isel(time=[3])
    drawn = draw_around(run, guess, start_level=run.diffusion["schedule"]["s_min"] * 1.01, members=2)
    away = float(((drawn["w_member"] - guess["w"]) ** 2).mean() ** 0.5)
    assert away < 0.5 * float(guess["w"].std())


def test_replacement_and_emulators_refuse_it_by_name(run: DiffusionReconstructor, tmp_path: Path) -> None:
    seen = observe(torus().isel(time=[30]), {"w": "random:0.5"})
    run.replacement = True
    try:
        with pytest.raises(ConfigurationError, match=r"replacement, which sets single cells.*MaternNoise"):
            run.reconstruct(seen, members=2)
    finally:
        run.replacement = False
    emulator = DiffusionEmulator(NETWORK, validation_samples=2, diffusion={"noise": MATERN})
    with pytest.raises(ConfigurationError, match="an emulator knows white noise only"):
        emulator.fit(data_of(torus()), seed=0, trainer=trainer(), folder=tmp_path)


def test_a_prior_of_trajectories_draws_with_it(tmp_path: Path) -> None:
    made = TrajectoryReconstructor(NETWORK, states=3, diffusion={"noise": MATERN}, validation_samples=2)
    made.sampler = build("sampler", {"class": "DPMSolverPP2M", "evaluations": 3})
    made.fit(data_of(torus()), seed=0, trainer=trainer(), folder=tmp_path / "work")
    made.save(tmp_path / "run")
    courses = draw_courses(made, members=2, states=4, seed=1)
    assert np.isfinite(courses["w_member"]).all()
    # smooth in space as the noise is: white noise would have neighbours without correlation
    w = courses["w_member"].values
    assert np.corrcoef(w[..., 1:].ravel(), w[..., :-1].ravel())[0, 1] > 0.5


def test_what_cannot_work_is_refused_before_training(tmp_path: Path) -> None:
    rough, smooth = torus(Matern(0.1, 0.5)), torus(SquaredExponential(0.15))
    with pytest.raises(ConfigurationError, match=r"does not cover the data.*Raise s_max"):
        fitted(tmp_path / "a", {"noise": MATERN, "schedule": {"class": "LogLinearSchedule", "s_max": 0.5}})
    with pytest.raises(ConfigurationError, match=r"outlasts the data.*Lower s_min"):
        fitted(tmp_path / "b", {"noise": MATERN, "schedule": {"class": "LogLinearSchedule", "s_min": 2.0}})
    with pytest.raises(ConfigurationError, match=r"much smoother than the data.*rougher kernel"):
        fitted(tmp_path / "c", {"noise": {"class": "SquaredExponential", "length": 0.15}}, rough)
    with pytest.raises(ConfigurationError, match=r"much rougher than the data.*smoother kernel"):
        fitted(tmp_path / "d", {"noise": {"class": "Matern", "length": 0.1, "smoothness": 0.5}}, smooth)
    gappy = torus()
    gappy["w"][:, 2, 2] = np.nan
    with pytest.raises(ConfigurationError, match="cells on land or in gaps"):
        fitted(tmp_path / "e", {"noise": MATERN}, gappy)


def test_diagnose_says_for_every_wave_whether_it_is_covered(
    run: DiffusionReconstructor, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    text = noise_against(run, torus())
    assert text is not None
    assert "The noise covers every wave." in text
    assert text.count("\n|") == 9
    narrow = fitted(tmp_path / "white", {"schedule": {"class": "LogLinearSchedule", "s_min": 0.3, "s_max": 4.0}})
    text = noise_against(narrow, torus())
    assert text is not None
    assert "does not cover the waves 0.5" in text
    ocean = DiffusionReconstructor(NETWORK, {"observe": {"thetao": "none", "sst": "none"}}, validation_samples=2)
    data = tiny_training_data()
    ocean.fit(data, seed=1, trainer=trainer(), folder=tmp_path / "ocean")
    with caplog.at_level(logging.WARNING):
        assert noise_against(ocean, data.archive.dataset) is None
    assert "noise.md is left out: Found" in caplog.text


def test_the_table_names_the_waves_that_are_not_drowned_and_those_that_are_not_free_of_noise() -> None:
    channel = NoiseCover(np.array([1.0, 2.0, 3.0]), np.array([16.0, 1.0, 0.04]), np.ones(3))  # equal at 4, 1 and .2
    assert "covers every wave" in noise_tables([channel], ["w"], 0.1, 8.0)
    assert "does not cover the waves 1." in noise_tables([channel], ["w"], 0.1, 7.9)
    assert "does not cover the waves 3." in noise_tables([channel], ["w"], 0.11, 8.0)
    assert "does not cover the waves 1, 3." in noise_tables([channel], ["w"], 0.3, 6.0)

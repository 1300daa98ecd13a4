"""Draws without observations, anywhere and around a first guess, and runs that have not learnt to see nothing."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from driftfield.errors import ConfigurationError, DataError
from driftfield.interfaces import TrainingData
from driftfield.models.around import draw_around
from driftfield.models.diffusion import DiffusionReconstructor
from driftfield.models.unconditional import draw_unconditionally
from driftfield.reconstruction.calibration import Calibration, LevelMap
from driftfield.testing import tiny_ocean, tiny_training_data

NETWORK = {"class": "ResidualUNet", "widths": [4, 8], "depths": [1, 1], "condition_depths": [1, 1], "embedding": 8}


def run_of(data: TrainingData, observe: dict[str, Any], folder: Path) -> DiffusionReconstructor:
    pytest.importorskip("lightning")
    from driftfield.training import LightningTrainer

    sampler = {"class": "DPMSolverPP2M", "evaluations": 3}
    made = DiffusionReconstructor(NETWORK, {"observe": observe}, validation_samples=2, sampler=sampler)
    trainer = LightningTrainer(steps=2, batch_size=2, validate_every=2, loggers=(), accelerator="cpu")
    made.fit(data, seed=1, trainer=trainer, folder=folder)
    return made


@pytest.fixture(scope="module")
def data() -> TrainingData:
    return tiny_training_data(tiny_ocean(times=30))


def test_members_are_their_own(data: TrainingData, tmp_path: Path) -> None:
    run = run_of(data, {"thetao": ["none", "profiles:0.7"], "sst": "none"}, tmp_path)
    found = draw_unconditionally(run, members=5, seed=3, date="2000-07-15")
    grid = data.archive.dataset["thetao"]
    assert found["thetao_member"].dims == ("member", "time", "depth", "lat", "lon")
    assert found["thetao_member"].shape[2:] == grid.shape[1:]
    exists = grid.notnull().any("time").values
    assert (np.isfinite(found["thetao_member"].values) == exists).all()
    again = draw_unconditionally(run, members=3, seed=3, date="2000-07-15", batch_size=2)
    xr.testing.assert_allclose(again["thetao_member"], found["thetao_member"][:3], atol=1e-5)
    other = draw_unconditionally(run, members=3, seed=4, date="2000-07-15")
    assert not np.allclose(other["thetao_member"], again["thetao_member"], equal_nan=True)
    with pytest.raises(ConfigurationError, match="Cannot read the date 'soon'"):
        draw_unconditionally(run, members=1, date="soon")


def test_a_prior_is_not_calibrated_as_reconstructions_are(data: TrainingData, tmp_path: Path) -> None:
    run = run_of(data, {"thetao": "none", "sst": "none"}, tmp_path)
    before = draw_unconditionally(run, members=3)
    levels = {"thetao": tuple(LevelMap(depth, 5.0, 3.0, 1.0, 0.1, 1.0, 2.0, 9) for depth in (10.0, 40.0))}
    run.calibration = Calibration(levels, None, {})
    xr.testing.assert_equal(draw_unconditionally(run, members=3), before)
    assert run.calibration is not None


def test_a_run_that_always_saw_something_is_refused(data: TrainingData, tmp_path: Path) -> None:
    run = run_of(data, {"thetao": "profiles:0.7", "sst": "none"}, tmp_path)
    with pytest.raises(ConfigurationError, match="has not learnt to see nothing"):
        draw_unconditionally(run, members=1)
    with pytest.raises(ConfigurationError, match="draws no samples"):
        draw_unconditionally(object(), members=1)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def prior(data: TrainingData, tmp_path_factory: pytest.TempPathFactory) -> DiffusionReconstructor:
    return run_of(data, {"thetao": "none", "sst": "none"}, tmp_path_factory.mktemp("prior"))


def test_near_the_smallest_level_members_are_the_first_guess_and_at_the_largest_they_forget_it(
    prior: DiffusionReconstructor, data: TrainingData
) -> None:
    guess = data.archive.dataset[["thetao"]].isel(time=[3, 11])
    other = guess.copy(data={"thetao": guess["thetao"].values[::-1]})
    spread = float(guess["thetao"].std())

    def distance(level: float) -> tuple[float, float]:
        """Of members to their guess, and to the members of another guess with the same noise, in degC."""
        a, b = (
            draw_around(prior, fields, start_level=level, members=4, seed=1)["thetao_member"]
            for fields in (guess, other)
        )
        return float(abs(a - guess["thetao"]).mean()), float(abs(a - b).mean())

    apart = float(abs(guess["thetao"] - other["thetao"]).mean())
    near, kept = distance(0.011)
    assert near < 0.02 * spread
    assert kept == pytest.approx(apart, rel=0.05)
    # what lies between is drawn anew in part
    assert near < distance(1.0)[0]
    assert distance(prior.model.schedule.s_max)[1] < 0.1 * apart  # type: ignore[union-attr]


def test_members_around_a_first_guess_are_their_own(prior: DiffusionReconstructor, data: TrainingData) -> None:
    guess = data.archive.dataset[["thetao"]].isel(time=[3, 11])
    found = draw_around(prior, guess, start_level=0.5, members=3, seed=2)
    assert found["thetao_member"].shape == (3, *guess["thetao"].shape)
    assert found.attrs["start_level"] == 0.5
    assert (np.isfinite(found["thetao_member"].values) == guess["thetao"].notnull().values).all()
    again = draw_around(prior, guess.isel(time=[1]), start_level=0.5, members=2, seed=2, batch_size=1)
    xr.testing.assert_allclose(again["thetao_member"], found["thetao_member"][:2, [1]], atol=1e-5)


def test_a_first_guess_is_complete_and_its_level_one_of_the_schedule(
    prior: DiffusionReconstructor, data: TrainingData
) -> None:
    guess = data.archive.dataset[["thetao"]].isel(time=[3])
    for level in (0.01, 81.0, -1.0, float("nan")):
        with pytest.raises(ConfigurationError, match=r"a noise level above 0.01"):
            draw_around(prior, guess, start_level=level, members=1)
    with pytest.raises(DataError, match="lacks 10 of 152 cells"):
        draw_around(prior, guess.where(guess["lon"] > -40 + 0.2, other=np.nan), start_level=1.0, members=1)
    with pytest.raises(DataError, match="No variable 'thetao'"):
        draw_around(prior, guess.rename(thetao="so"), start_level=1.0, members=1)

"""A prior from gappy fields: rounds of filling and fitting end at the true covariance."""

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import xarray as xr

from driftfield import registry
from driftfield.data.sources import GriddedArchive
from driftfield.errors import ConfigurationError
from driftfield.interfaces import Abilities, TrainingData
from driftfield.models.diffusion import DiffusionReconstructor
from driftfield.models.expectation_maximisation import ExpectationMaximisation, fill_gaps
from driftfield.registry import build
from driftfield.runs import load_reconstructor
from driftfield.testing import tiny_ocean, tiny_training_data

CELLS = 8
DISTANCE = np.abs(np.arange(CELLS)[:, None] - np.arange(CELLS)[None])
SCALE = np.sqrt(1 + 0.1 * np.arange(CELLS))
MEAN, TRUE = 0.5 * np.arange(CELLS), np.exp(-DISTANCE / 3.0) * SCALE[:, None] * SCALE[None]


def gappy_vectors(times: int, *, seed: int = 0) -> np.ndarray:
    """Draws of the Gaussian, each cell hidden with probability one half."""
    rng = np.random.default_rng(seed)
    x = rng.multivariate_normal(MEAN, TRUE, times)
    return np.where(rng.random(x.shape) < 0.5, np.nan, x)


def error_of(covariance: np.ndarray) -> float:
    return float(np.linalg.norm(covariance - TRUE) / np.linalg.norm(TRUE))


class DenseGaussian:
    """N(mean, covariance) of a few cells, and its exact posterior given some of them."""

    def __init__(self, mean: np.ndarray, covariance: np.ndarray) -> None:
        self.mean, self.covariance = mean, covariance

    def draw(self, y: np.ndarray, rng: np.random.Generator, members: int) -> np.ndarray:
        """Vectors (member, cell) that agree with `y` where it is finite."""
        seen = np.isfinite(y)
        gain = self.covariance[:, seen] @ np.linalg.inv(self.covariance[seen][:, seen])
        free = rng.multivariate_normal(self.mean, self.covariance, members)
        return free + (y[seen] - free[:, seen]) @ gain.T


# -- the rounds --------------------------------------------------------------------------------------------------------


class LinearModel:
    """The exact M step of a linear denoiser: mean and covariance of the filled fields; its E step is the exact posterior."""

    abilities, method = Abilities(needs_training=True), "linear"
    found: ClassVar[list[float]] = []

    def __init__(self) -> None:
        self.extra: dict[str, Any] = {}

    def fit(self, data: TrainingData, *, seed: int, trainer: Any, folder: Path, resume: bool) -> None:
        x = data.archive.dataset["x"].isel(time=data.train).values.reshape(len(data.train), -1).astype(float)
        self.gaussian = DenseGaussian(x.mean(axis=0), np.cov(x.T))
        self.found.append(error_of(self.gaussian.covariance))

    def reconstruct(self, observations: xr.Dataset, *, members: int, seed: int) -> xr.Dataset:
        x = observations["x"]
        rng = np.random.default_rng(seed + len(self.found) + int(observations["time"].values[0].astype(int) % 1000))
        drawn = np.stack(
            [self.gaussian.draw(y, rng, members) for y in x.values.reshape(len(x), -1).astype(float)], axis=1
        )
        return observations.assign(x_member=(("member", *x.dims), drawn.reshape(members, *x.shape)))

    def save(self, folder: Path) -> None:
        pass


class Untaught:
    """Stands for a trainer where nothing is trained."""

    def starting_from(self, run: Path) -> "Untaught":
        return self


def world(times: int) -> TrainingData:
    """The gappy vectors as fields of 2 x 4 cells."""
    fields = gappy_vectors(times).reshape(times, 2, 4).astype(np.float32)
    dates = np.datetime64("2001-01-01", "s") + np.arange(times) * np.timedelta64(1, "D")
    dataset = xr.Dataset(
        {"x": (("time", "lat", "lon"), fields)}, {"time": dates, "lat": [0.0, 1.0], "lon": np.arange(4.0)}
    )
    domains = {"x": dataset["x"].notnull().any("time")}
    train = np.arange(times - 2)
    return TrainingData(GriddedArchive(dataset, domains, False), train, np.array([times - 2]), ("x",), (), None)


def test_rounds_of_draws_and_exact_fits_end_at_the_true_covariance(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(registry._KINDS["reconstructor"], "LinearModel", LinearModel)
    monkeypatch.setattr(LinearModel, "found", [])
    em = ExpectationMaximisation({"class": "LinearModel"}, rounds=10, members=1, start={"class": "Climatology"})
    em.fit(world(1000), trainer=Untaught(), folder=tmp_path)  # type: ignore[arg-type]
    errors = LinearModel.found
    assert len(errors) == 10
    # the start knows no pattern at all; 1000 complete fields would leave .07
    assert errors[0] > 0.2
    assert np.mean(errors[-3:]) < 0.14
    assert np.mean(errors[-3:]) < np.mean(errors[3:6]) + 0.02


# -- filling -----------------------------------------------------------------------------------------------------------


def gappy_ocean(times: int = 30, every_days: float = 12.0) -> TrainingData:
    """The tiny ocean behind gaps: a random third of the surface is missing every day, at all depths."""
    ocean = tiny_ocean(times=times, every_days=every_days)
    rng = np.random.default_rng(1)
    hidden = xr.DataArray(rng.random((times, 8, 12)) < 0.35, dims=("time", "lat", "lon"))
    gappy = ocean.assign({name: ocean[name].where(~hidden).transpose(*ocean[name].dims) for name in ("thetao", "sst")})
    return tiny_training_data(gappy)


@pytest.mark.parametrize("error", [0.0, 0.1])
def test_filled_fields_keep_what_was_seen_and_leave_land_and_validation_alone(error: float) -> None:
    data = gappy_ocean()
    start = build("reconstructor", {"class": "OptimalInterpolation"})
    start.fit(data)
    filled = fill_gaps(start, data, members=2, seed=3, error=error)
    archive: Any = filled.archive
    before, after = data.archive.dataset, archive.dataset
    count = len(data.train)
    assert filled.train.tolist() == list(range(2 * count))
    for name in data.targets:
        one = after[name].isel(time=slice(0, count))
        other = after[name].isel(time=slice(count, 2 * count))
        truth = before[name].isel(time=data.train)
        domain = data.archive.domain(name)
        assert bool((one.notnull() == domain).all())
        same = np.abs(one.values - truth.values)[truth.notnull().values]
        assert same.max() == 0 if error == 0 else 0 < same.mean() < 3 * error
        gaps = (truth.isnull() & domain).transpose(*one.dims).values
        assert (one.values[gaps] != other.values[gaps]).mean() > 0.99
        xr.testing.assert_equal(after[name].isel(time=filled.validation), before[name].isel(time=data.validation))
        # the gaps are remembered
        np.testing.assert_array_equal(archive.seen[name].isel(time=slice(0, count)).values, truth.notnull().values)
    xr.testing.assert_equal(after["sst"].isel(time=slice(0, count)), before["sst"].isel(time=data.train))


def test_the_default_start_fills_gaps_better_than_the_season_does(few_cases: None) -> None:
    data, truth = gappy_ocean(100, 1.0), tiny_ocean(times=100, every_days=1.0)["thetao"].isel(time=slice(0, 60))
    observations = data.archive.dataset.isel(time=data.train).assign(thetao_domain=data.archive.domain("thetao"))
    gaps = observations["thetao"].isnull() & data.archive.domain("thetao")

    def error(spec: dict[str, Any]) -> float:
        method = build("reconstructor", spec)
        method.fit(data)
        mean = method.reconstruct(observations, members=1)["thetao"]
        return float(np.sqrt(((mean - truth) ** 2).where(gaps).mean()))

    assert error({"class": "SpaceTimeOptimalInterpolation"}) < 0.3 * error({"class": "Climatology"})


# -- with a network ----------------------------------------------------------------------------------------------------

NETWORK = {"class": "ResidualUNet", "widths": [4, 8], "depths": [1, 1], "condition_depths": [1, 1], "embedding": 8}
SPEC = {
    "class": "DiffusionReconstructor",
    "network": NETWORK,
    "observing": {"observe": {"thetao": "own", "sst": "all"}, "error": 0.05, "visible": {"thetao": "all"}},
    "validation_samples": 2,
}


def trained(folder: Path, *, resume: bool = False, **options: Any) -> ExpectationMaximisation:
    pytest.importorskip("lightning")
    from driftfield.training import LightningTrainer

    trainer = LightningTrainer(steps=3, batch_size=2, validate_every=3, loggers=(), accelerator="cpu")
    em = ExpectationMaximisation(SPEC, rounds=2, members=1, start={"class": "Climatology"}, **options)
    em.fit(gappy_ocean(), seed=1, trainer=trainer, folder=folder, resume=resume)
    return em


def test_what_is_saved_is_a_run_of_the_model(tmp_path: Path) -> None:
    em = trained(tmp_path)
    em.save(tmp_path)
    loaded = load_reconstructor(tmp_path)
    assert type(loaded) is DiffusionReconstructor
    assert loaded.extra["expectation_maximisation"]["rounds"] == 2
    # a resume finds both rounds done, and the same weights
    weights = dict(em.inner.model.named_parameters())
    (tmp_path / "checkpoints" / "round_2" / "run.json").unlink()
    again = trained(tmp_path, resume=True)
    for name, value in again.inner.model.named_parameters():
        np.testing.assert_array_equal(value.detach().numpy(), weights[name].detach().numpy())
    first = dict(load_reconstructor(tmp_path / "checkpoints" / "round_1").model.named_parameters())  # type: ignore[attr-defined]
    assert any(not np.array_equal(v.detach().numpy(), weights[n].detach().numpy()) for n, v in first.items())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rounds": 0}, "rounds=0"),
        ({"members": "two"}, "members='two'"),
        ({"start": {"class": "DINEOF", "max_ranks": 3}}, "Did you mean 'max_rank'"),
        ({"start": {"class": "ProbabilisticPCA"}}, "use SpaceTimeOptimalInterpolation"),
        ({"start": SPEC}, "train it beforehand"),
        ({"start": {"run": "runs/a", "rank": 3}}, "names a run"),
        ({"reconstructor": {"class": "Climatology"}}, "fitted at once"),
    ],
)
def test_what_makes_no_sense_is_refused_before_hours_of_work(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        ExpectationMaximisation(**({"reconstructor": SPEC} | arguments))


def test_an_error_of_something_else_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="no target"):
        fill_gaps(LinearModel(), gappy_ocean(), error={"sst": 0.1})  # type: ignore[arg-type]

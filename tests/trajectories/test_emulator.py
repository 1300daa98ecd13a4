"""Emulators: pairs inside a split, increments that are decoded rightly, members of their own, runs that come back."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr
from torch import Tensor, nn

from driftfield.data.codec import FieldCodec
from driftfield.data.sources import GriddedArchive
from driftfield.diffusion.model import DiffusionModel
from driftfield.diffusion.schedule import LogLinearSchedule, Schedule
from driftfield.errors import ConfigurationError, DataError, DivergenceError, FileFormatError
from driftfield.fields import FieldBatch
from driftfield.interfaces import TrainingData
from driftfield.models.learner import Learner
from driftfield.networks.codecs import IncrementCodec
from driftfield.trajectories.emulator import Emulator, load_emulator
from driftfield.trajectories.emulators import DeterministicEmulator, DiffusionEmulator
from driftfield.trajectories.transitions import TransitionDataset, successors
from driftfield.trajectories.whole_states import encoded_states
from driftfield.worlds.lorenz import Lorenz96, simulate_lorenz

NETWORK = {"class": "CircleUNet", "widths": [4, 8], "depths": [1, 1], "embedding": 8}
NO_DATE = np.array(["2000-01-01"], "datetime64[s]")
ARGUMENTS: dict[str, Any] = {"network": NETWORK, "normalizer": {"class": "ZScore"}, "validation_samples": 4}


def world_data(fields: xr.Dataset) -> TrainingData:
    """A world divided in time."""
    domain = fields["x"].notnull().any("time")
    steps = np.arange(fields.sizes["time"])
    cut = int(0.8 * steps.size)
    return TrainingData(
        archive=GriddedArchive(fields, {"x": domain}, periodic=True),
        train=steps[:cut],
        validation=steps[cut:],
        targets=("x",),
    )


@pytest.fixture(scope="module")
def data() -> TrainingData:
    return world_data(simulate_lorenz(Lorenz96(variables=8), steps=60, spin_up=100))


def trained(emulator: Emulator, data: TrainingData, folder: Path) -> Emulator:
    pytest.importorskip("lightning")
    from driftfield.training import LightningTrainer

    trainer = LightningTrainer(steps=3, batch_size=4, validate_every=3, loggers=(), accelerator="cpu")
    emulator.fit(data, seed=1, trainer=trainer, folder=folder)
    return emulator


@pytest.fixture(scope="module", params=[DiffusionEmulator, DeterministicEmulator])
def emulator(request: pytest.FixtureRequest, data: TrainingData, tmp_path_factory: pytest.TempPathFactory) -> Emulator:
    return trained(request.param(**ARGUMENTS), data, tmp_path_factory.mktemp("run"))


# -- pairs ---------------------------------------------------------------------------------------------------------------


def test_pairs_never_cross_a_gap(data: TrainingData) -> None:
    times = np.array([3, 4, 5, 20, 22, 23, 10])
    first, second = successors(data.archive, times)  # type: ignore[arg-type]
    assert list(zip(first, second, strict=True)) == [(3, 4), (4, 5), (22, 23)]
    with pytest.raises(DataError, match="No two of 3 dates"):
        successors(data.archive, np.array([1, 3, 5]))  # type: ignore[arg-type]


def pairs_of(data: TrainingData, **options: Any) -> TransitionDataset:
    archive: Any = data.archive
    codec = FieldCodec.fit(archive, data.train, ("x",), (), {"class": "ZScore"})
    states = encoded_states(archive, codec)
    pairs = successors(archive, data.train)
    increments = IncrementCodec.fit(states[pairs[1]], states[pairs[0]])
    return TransitionDataset(states, pairs, codec, increments, dates=codec.dates(archive.times), **options)


def test_a_sample_is_a_function_of_seed_and_index(data: TrainingData) -> None:
    dataset = pairs_of(data, samples=8, seed=3)
    (batch,) = dataset.__getitems__(range(8))
    alone = FieldBatch.stack([dataset[index] for index in range(8)])
    resumed = pairs_of(data, samples=8, seed=3)
    resumed.start = 5
    assert len(resumed) == 3
    for one, other in ((batch, alone), (resumed[0], batch[5:6])):
        arrays = other.to_arrays()
        for name, array in one.to_arrays().items():
            np.testing.assert_array_equal(array, arrays[name])
    assert not torch.equal(batch.target, pairs_of(data, samples=8, seed=4).__getitems__(range(8))[0].target)


def test_what_is_learnt_has_mean_0_and_variance_1(data: TrainingData) -> None:
    (batch,) = pairs_of(data, samples=2000, seed=0).__getitems__(range(2000))
    assert batch.guess is not None
    z = (batch.target - batch.guess.mean) / batch.guess.scale
    assert float(z.mean()) == pytest.approx(0, abs=0.03)
    assert float(z.std()) == pytest.approx(1, abs=0.03)


def test_a_gap_in_the_archive_teaches_nothing(data: TrainingData) -> None:
    archive: Any = data.archive
    holed = archive.dataset.copy(deep=True)
    holed["x"][{"time": 5, "lon": 2}] = np.nan
    dataset = pairs_of(world_data(holed), samples=200, seed=0)
    (batch,) = dataset.__getitems__(range(200))
    gaps = ~batch.held_out
    assert 0 < int(gaps.sum()) < 40
    assert torch.isfinite(batch.target).all()
    assert not batch.target[gaps & ~batch.domain].any()


# -- stepping ------------------------------------------------------------------------------------------------------------


class AutoregressiveModel(DiffusionModel):
    """The exact denoiser of the increments of x_(t+1) = a x_t + b eps, in the units of an emulator."""

    def __init__(self, schedule: Schedule, a: float, b: float, codec: FieldCodec, increments: IncrementCodec) -> None:
        nn.Module.__init__(self)
        self.schedule, self.a, self.increments = schedule, a, increments
        normalizer = codec.normalizers["x"]
        self.b = b / float(normalizer.std.item())
        # where the world rests, 0, in network units
        self.rest = float(codec.encode("x", np.zeros((1, 1, 1, 6)), NO_DATE, np.arange(1), np.arange(6))[0, 0, 0, 0])

    def denoiser(self, batch: FieldBatch, *, members: int = 1, wrap: bool = False) -> Any:
        assert batch.guess is not None
        now = batch.guess.mean - float(self.increments.mean[0])
        mean = (self.rest + self.a * (now - self.rest) - batch.guess.mean) / batch.guess.scale
        variance = (self.b / batch.guess.scale) ** 2

        def denoise(x_t: Tensor, t: Tensor) -> Tensor:
            alpha, sigma = (part.view(-1, 1, 1, 1) for part in self.schedule.alpha_sigma(t))
            return mean + variance / (variance + (sigma / alpha) ** 2) * (x_t / alpha - mean)

        denoise.schedule = self.schedule  # type: ignore[attr-defined]
        return denoise


def test_the_exact_denoiser_gives_the_exact_forecast(data: TrainingData) -> None:
    """Rolled out, an AR(1) world keeps mean a^n x and variance b^2 (1 - a^2n) / (1 - a^2)."""
    a, b, steps, members = 0.9, 0.5, 6, 400
    rng = np.random.default_rng(0)
    states = np.zeros((500, 1, 6))
    for row in range(1, 500):
        states[row] = a * states[row - 1] + b * rng.standard_normal((1, 6))
    template = simulate_lorenz(Lorenz96(variables=6), steps=500, spin_up=0)
    fields = template.copy(data={"x": states.astype(np.float32)})
    own = world_data(fields)
    emulator = DiffusionEmulator(NETWORK, {"class": "ZScore"}, sampler={"class": "DPMSolverPP2M", "evaluations": 16})
    archive: Any = own.archive
    codec = FieldCodec.fit(archive, own.train, ("x",), (), {"class": "ZScore"})
    encoded, (first, second) = encoded_states(archive, codec), successors(archive, own.train)
    emulator._increments = IncrementCodec.fit(encoded[second], encoded[first])
    model = AutoregressiveModel(LogLinearSchedule(0.005, 20.0), a, b, codec, emulator._increments)
    emulator.learner = Learner(codec, model)

    start = fields["time"].values[7]
    rows, columns = np.arange(1), np.arange(6)
    x = np.full((1, 1, 1, 6), 2.0, np.float32)
    begun = codec.encode("x", x, np.array([start]), rows, columns)
    walked = emulator.roll_out(np.repeat(begun, members, 0), [start] * members, range(members), steps=steps, seed=1)
    found = codec.decode("x", walked, emulator.valid_dates(start, steps), rows, columns)
    for lead in range(steps):
        sd = b * np.sqrt((1 - a ** (2 * lead + 2)) / (1 - a**2))
        assert found[:, lead].mean() == pytest.approx(2.0 * a ** (lead + 1), abs=4 * sd / np.sqrt(6 * members))
        assert found[:, lead].std() == pytest.approx(sd, rel=0.05)


def test_a_future_depends_on_its_own_member_alone(emulator: Emulator, data: TrainingData) -> None:
    states = encoded_states(data.archive, emulator.codec)[:5]  # type: ignore[arg-type]
    starts, members = list(data.archive.dataset["time"].values[:5]), [3, 0, 1, 2, 7]
    whole = emulator.roll_out(states, starts, members, steps=3, seed=2)
    apart = emulator.roll_out(states, starts, members, steps=3, seed=2, batch_size=2)
    alone = emulator.roll_out(states[2:3], starts[2:3], members[2:3], steps=2, seed=2)
    assert np.allclose(whole, apart, atol=1e-5)
    assert np.allclose(whole[2:3, :2], alone, atol=1e-5)
    other = emulator.roll_out(states, starts, members, steps=3, seed=3)
    assert np.array_equal(whole, other) == isinstance(emulator, DeterministicEmulator)


def test_a_run_comes_back(emulator: Emulator, data: TrainingData, tmp_path: Path) -> None:
    emulator.save(tmp_path / "run")
    loaded = load_emulator(tmp_path / "run")
    assert type(loaded) is type(emulator)
    states = encoded_states(data.archive, emulator.codec)[:2]  # type: ignore[arg-type]
    starts = list(data.archive.dataset["time"].values[:2])
    found, expected = (one.roll_out(states, starts, [0, 1], steps=2, seed=0) for one in (loaded, emulator))
    assert np.allclose(found, expected, atol=1e-6)
    with pytest.raises(FileFormatError, match="expected a"):
        (DeterministicEmulator if isinstance(emulator, DiffusionEmulator) else DiffusionEmulator).load(tmp_path / "run")


def test_a_forecast_that_explodes_is_named(emulator: Emulator, data: TrainingData) -> None:
    states = np.full((1, 1, 1, 8), 3e38, np.float32)
    with pytest.raises(DivergenceError, match="not finite at step"):
        emulator.roll_out(states, data.archive.dataset["time"].values[:1], [0], steps=3)


def test_dates_go_on_in_their_own_calendar(emulator: Emulator) -> None:
    import cftime

    start = cftime.DatetimeNoLeap(2001, 2, 28, 18)
    assert [str(date) for date in emulator.valid_dates(start, 2)] == ["2001-03-01 00:00:00", "2001-03-01 06:00:00"]
    numbers = emulator.valid_dates(np.datetime64("2000-02-28T18", "ns"), 2)
    assert list(numbers) == [np.datetime64("2000-02-29T00"), np.datetime64("2000-02-29T06")]


def test_what_no_emulator_can_learn_is_refused(data: TrainingData, tmp_path: Path) -> None:
    from dataclasses import replace

    from driftfield.data.patches import Window

    with pytest.raises(ConfigurationError, match="covariates"):
        trained(DiffusionEmulator(**ARGUMENTS), replace(data, covariates=("x",)), tmp_path)
    with pytest.raises(ConfigurationError, match="whole grid"):
        trained(DiffusionEmulator(**ARGUMENTS), replace(data, train_windows=(Window(0, 0, 1, 4),)), tmp_path)
    with pytest.raises(ConfigurationError, match="validation_samples"):
        DiffusionEmulator(NETWORK, validation_samples=0)
    with pytest.raises(ConfigurationError, match="not fitted"):
        _ = DiffusionEmulator(NETWORK).codec

"""A learned step as a filter's forward model: the emulator's own forecast, the same at any batch size, exact where known."""

from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr
from torch import Tensor

from driftfield.assimilation.kalman import ETKF, EmulatorDynamics, Observing, assimilate
from driftfield.data.codec import FieldCodec
from driftfield.data.sources import GriddedArchive
from driftfield.errors import ConfigurationError
from driftfield.fields import FieldBatch
from driftfield.interfaces import Dynamics
from driftfield.models.learner import Learner
from driftfield.networks.codecs import IncrementCodec
from driftfield.sampling.base import Noise
from driftfield.trajectories.emulator import Emulator
from driftfield.trajectories.transitions import successors
from driftfield.trajectories.whole_states import encoded_states

A, START = 0.9, np.datetime64("2001-03-04T06", "s")


class Autoregressive(Emulator):
    """x_(t+1) = A x_t + b eps in physical units, as an emulator steps: in network units, cell by cell."""

    method = "autoregressive"

    def __init__(self, fields: xr.Dataset, domain: np.ndarray, b: float) -> None:
        super().__init__({"class": "CircleUNet"}, {"class": "ZScore"})
        masks = {"x": xr.DataArray(domain, dims=("lat", "lon"))}
        archive, times = GriddedArchive(fields, masks, periodic=True), np.arange(fields.sizes["time"])
        codec = FieldCodec.fit(archive, times, ("x",), (), {"class": "ZScore"})
        self.learner = Learner(codec, torch.nn.Identity())
        states, (first, second) = encoded_states(archive, codec), successors(archive, times)
        self._increments = IncrementCodec.fit(states[second], states[first])
        rows, columns = (np.arange(size) for size in domain.shape)
        zero = codec.encode("x", np.zeros((1, 1, *domain.shape)), np.array([START]), rows, columns)
        # where the world rests, 0, and its noise, in network units
        self.rest = torch.from_numpy(np.nan_to_num(zero))
        self.b = b / float(codec.normalizers["x"].std.item())

    def objective(self, network: torch.nn.Module) -> torch.nn.Module:
        raise NotImplementedError

    def step(self, batch: FieldBatch, noise: Noise) -> Tensor:
        assert batch.guess is not None
        now = batch.guess.mean - torch.from_numpy(self.increments.mean[:, None, None]).float()
        then = self.rest + A * (now - self.rest) + self.b * noise(0)
        return torch.where(batch.domain, then, 0)


def emulator(b: float, rows: int = 1) -> Autoregressive:
    rng = np.random.default_rng(0)
    domain = np.ones((rows, 6), bool)
    domain[0, 2] = rows == 1
    fields = xr.Dataset(
        {"x": (("time", "lat", "lon"), np.where(domain, 3 + 2 * rng.standard_normal((40, rows, 6)), np.nan))},
        {
            "time": np.datetime64("2000-01-01", "ns") + np.arange(40) * np.timedelta64(6, "h"),
            "lat": 10.0 * np.arange(rows),
            "lon": 60.0 * np.arange(6),
        },
    )
    return Autoregressive(fields, domain, b)


def states(count: int, variables: int) -> np.ndarray:
    return np.random.default_rng(1).standard_normal((count, variables))


@pytest.mark.parametrize("steps", [1, 3])
def test_a_call_is_the_emulators_forecast(steps: int) -> None:
    model, x = emulator(0.5), states(4, 6)
    dynamics = EmulatorDynamics(model, START, seed=2)
    assert isinstance(dynamics, Dynamics)
    for _ in range(2):
        date, places = dynamics.date, (np.arange(1), np.arange(6))
        begun = model.codec.encode("x", x[:, None, None], np.array([date]), *places)
        walked = model.roll_out(begun, [date] * 4, range(4), steps=steps, seed=2)[:, -1]
        expected = model.codec.decode("x", walked, np.array([date]), *places)
        x = dynamics.advance(x, steps)
        np.testing.assert_allclose(x, expected[:, 0, 0], atol=1e-6)
    assert dynamics.date == START + 2 * steps * np.timedelta64(6, "h")


def test_the_same_calls_give_the_same_states_at_any_batch_size() -> None:
    def course(count: int = 5, **options: Any) -> np.ndarray:
        dynamics = EmulatorDynamics(emulator(0.5), START, **options)
        return dynamics.advance(dynamics.advance(states(5, 6)[:count]), 2)

    whole = course()
    np.testing.assert_array_equal(course(), whole)
    np.testing.assert_allclose(course(batch_size=2), whole, atol=1e-6)
    np.testing.assert_allclose(course(count=2), whole[:2], atol=1e-6)
    assert np.abs(course(seed=1) - whole).min() > 0


def test_every_date_and_member_has_its_own_draw() -> None:
    dynamics, same = EmulatorDynamics(emulator(1.0), START), np.ones((2, 6))
    first, second = dynamics.advance(same), dynamics.advance(same)
    drawn = np.concatenate([first, second])
    assert all(np.abs(drawn[i] - drawn[j]).min() > 0 for i in range(4) for j in range(i))


def test_the_shape_stays_and_no_step_changes_nothing() -> None:
    dynamics, x = EmulatorDynamics(emulator(0.0), START), states(6, 6)
    np.testing.assert_array_equal(dynamics.advance(x, 0), x)
    np.testing.assert_allclose(dynamics.advance(x.reshape(2, 3, 6), 2), A**2 * x.reshape(2, 3, 6), atol=1e-5)
    np.testing.assert_allclose(dynamics.advance(x[0]), A * x[0], atol=1e-5)


def test_land_is_no_variable() -> None:
    dynamics = EmulatorDynamics(emulator(0.0, rows=2), START)
    assert dynamics.variables == 11
    x = states(3, 11)
    fields = dynamics.fields(x)
    assert fields.shape == (3, 1, 2, 6)
    assert np.isnan(fields[:, 0, 0, 2]).all()
    np.testing.assert_array_equal(dynamics.vector(fields), x)
    np.testing.assert_allclose(dynamics.advance(x), A * x, atol=1e-5)
    with pytest.raises(ConfigurationError, match=r"12 variables .* expected 11"):
        dynamics.advance(states(3, 12))


def test_a_filter_with_a_learned_step_finds_the_kalman_filters_error() -> None:
    b, cycles = 0.5, 300
    rng = np.random.default_rng(4)
    truth = np.zeros((cycles, 6))
    for cycle in range(1, cycles):
        truth[cycle] = A * truth[cycle - 1] + b * rng.standard_normal(6)
    observing = Observing.of_variables(np.arange(6), 1.0)
    dynamics = EmulatorDynamics(emulator(b), START)
    found = assimilate(
        dynamics, ETKF(rotation=True), rng.standard_normal((60, 6)), observing.draw(truth, rng), observing
    )
    ((error, ratio),) = found.scores(truth, spin_up=20)
    # the stationary variance of the scalar Kalman filter
    variance = 1.0
    for _ in range(100):
        forecast = A**2 * variance + b**2
        variance = forecast / (forecast + 1)
    assert error == pytest.approx(variance**0.5, rel=0.1)
    assert ratio == pytest.approx(1, abs=0.1)

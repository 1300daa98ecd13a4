"""Lorenz's worlds: fixed points, conserved energy, order of the steps, and the climate that is published."""

import numpy as np
import pytest

from driftfield.errors import ConfigurationError
from driftfield.interfaces import Dynamics
from driftfield.worlds.lorenz import (
    Lorenz63,
    Lorenz96,
    LorenzWorld,
    TwoScaleLorenz96,
    runge_kutta,
    simulate_lorenz,
)


def test_the_steps_are_of_fourth_order() -> None:
    world = Lorenz96()
    x = world.advance(world.start(1, np.random.default_rng(0)), 200)

    def after(parts: int) -> np.ndarray:
        y = x
        for _ in range(parts):
            y = runge_kutta(world.tendency, y, 0.2 / parts)
        return y

    exact = after(512)
    errors = [np.abs(after(n) - exact).max() for n in (8, 16, 32)]
    assert np.log2(errors[0] / errors[1]) == pytest.approx(4, abs=0.35)
    assert np.log2(errors[1] / errors[2]) == pytest.approx(4, abs=0.35)


@pytest.mark.parametrize("world", [Lorenz63(), Lorenz96(), TwoScaleLorenz96(substeps=4)])
def test_a_world_is_a_dynamics(world: LorenzWorld) -> None:
    """Members step on their own, one step after the other, and leave what they are given alone."""
    assert isinstance(world, Dynamics)
    states = world.start(3, np.random.default_rng(0))
    before = states.copy()
    stepped = world.advance(states, 3)
    assert np.array_equal(states, before)
    assert np.allclose(stepped, world.advance(world.advance(world.advance(states)), 1), rtol=1e-12)
    assert np.allclose(stepped[1], world.advance(states[1], 3), rtol=1e-12)


def test_rest_is_a_fixed_point() -> None:
    assert np.allclose(Lorenz96().tendency(np.full((1, 40), 8.0)), 0)
    r = np.sqrt(8 / 3 * 27)
    assert np.allclose(Lorenz63().tendency(np.array([[r, r, 27.0], [-r, -r, 27.0]])), 0)


def test_advection_conserves_energy() -> None:
    """Without forcing and friction sum x dx/dt = 0; the coupling of the two scales conserves it, too."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((5, 40))
    nonlinear = Lorenz96().tendency(x) + x - 8.0
    assert np.allclose((x * nonlinear).sum(-1), 0)
    world = TwoScaleLorenz96(forcing=0.0)
    state = rng.standard_normal((5, 36 * 11))
    friction = np.concatenate([state[:, :36], world.ratio * state[:, 36:]], axis=-1)
    assert np.allclose((state * (world.tendency(state) + friction)).sum(-1), 0)


def test_the_circle_has_no_first_variable() -> None:
    world = Lorenz96()
    x = np.random.default_rng(0).standard_normal((2, 40))
    assert np.allclose(world.advance(np.roll(x, 7, -1), 3), np.roll(world.advance(x, 3), 7, -1))


def test_the_climate_of_lorenz_96() -> None:
    """Mean 2.34 and standard deviation 3.64 at F = 8."""
    world = Lorenz96()
    state = world.advance(world.start(200, np.random.default_rng(0)), 400)
    states = []
    for _ in range(60):
        state = world.advance(state, 4)
        states.append(state)
    assert np.mean(states) == pytest.approx(2.34, abs=0.03)
    assert np.std(states) == pytest.approx(3.64, abs=0.03)


def test_two_near_states_part() -> None:
    """The leading Lyapunov exponent of Lorenz-96 is about 1.68 per unit of time."""
    world = Lorenz96()
    rng = np.random.default_rng(0)
    x = world.advance(world.start(50, rng), 400)
    near = x + 1e-8 * rng.standard_normal(x.shape)
    grown = []
    for _ in range(2):
        first = np.linalg.norm(near - x, axis=-1)
        x, near = world.advance(x, 80), world.advance(near, 80)
        grown.append(np.log(np.linalg.norm(near - x, axis=-1) / first).mean() / 4.0)
    assert grown[1] == pytest.approx(1.68, abs=0.2)


def test_what_is_written() -> None:
    fields = simulate_lorenz(Lorenz96(), steps=5, every=2, spin_up=10, seed=3)
    assert fields["x"].dims == ("time", "lat", "lon")
    assert fields.sizes == {"time": 5, "lat": 1, "lon": 40}
    assert (np.diff(fields["time"].values) == np.timedelta64(12, "h")).all()
    again = simulate_lorenz(Lorenz96(), steps=5, every=2, spin_up=10, seed=3)
    assert np.array_equal(fields["x"], again["x"])
    slow = simulate_lorenz(TwoScaleLorenz96(substeps=10), steps=3, spin_up=2)
    assert slow.sizes["lon"] == 36
    butterfly = simulate_lorenz(Lorenz63(), steps=4, spin_up=5, seed=2)
    assert list(butterfly.data_vars) == ["x", "y", "z"]
    assert butterfly["z"].sizes == {"time": 4, "lat": 1, "lon": 1}
    state = Lorenz63().advance(Lorenz63().start(1, np.random.default_rng(2)), 5)[0]
    assert [float(butterfly[name][0, 0, 0]) for name in "xyz"] == pytest.approx(state.tolist(), rel=1e-6)


@pytest.mark.parametrize("arguments", [{"steps": 0}, {"every": 0}, {"spin_up": -1}])
def test_impossible_records_are_refused(arguments: dict[str, int]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(arguments))):
        simulate_lorenz(Lorenz96(), **({"steps": 3} | arguments))
    with pytest.raises(ConfigurationError, match="4 or more"):
        Lorenz96(variables=3)

"""Ensemble filters and smoothers against the Kalman filter and the Rauch-Tung-Striebel smoother, which are exact."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch

from driftfield.assimilation.kalman import (
    ETKF,
    Analyses,
    Localisation,
    Observing,
    Sighting,
    StochasticEnKF,
    assimilate,
    gaspari_cohn,
    walk,
)
from driftfield.assimilation.kalman.ensemble_filter import EnsembleFilter
from driftfield.errors import ConfigurationError, DivergenceError
from driftfield.interfaces import Dynamics
from driftfield.observations.derived import Derived
from driftfield.worlds.lorenz import Lorenz96


@dataclass(frozen=True)
class Turning:
    """x <- M x with M a damped rotation of pairs: linear, and without a random number."""

    matrix: np.ndarray

    def advance(self, state: np.ndarray, steps: int = 1) -> np.ndarray:
        return state @ np.linalg.matrix_power(self.matrix, steps).T


def turning(variables: int = 6) -> Turning:
    rng = np.random.default_rng(5)
    q = np.linalg.qr(rng.standard_normal((variables, variables)))[0]
    return Turning(0.98 * q)


def exact(dynamics: Turning, mean, cov, observations, h, r2, lag: int):
    """Kalman filter, and RTS smoother with a fixed lag: means and covariances of every cycle that has `lag` later ones."""
    m, filtered, forecasts = dynamics.matrix, [], []
    for y in observations:
        mean, cov = m @ mean, m @ cov @ m.T
        forecasts.append((mean, cov))
        gain = cov @ h.T @ np.linalg.inv(h @ cov @ h.T + r2 * np.eye(len(h)))
        mean, cov = mean + gain @ (y - h @ mean), cov - gain @ h @ cov
        filtered.append((mean, cov))
    answers = []
    for end in range(lag, len(observations)):
        mean, cov = filtered[end]
        for c in range(end - 1, end - lag - 1, -1):
            g = filtered[c][1] @ m.T @ np.linalg.inv(forecasts[c + 1][1])
            mean = filtered[c][0] + g @ (mean - forecasts[c + 1][0])
            cov = filtered[c][1] + g @ (cov - forecasts[c + 1][1]) @ g.T
        answers.append((mean, np.diag(cov)))
    return np.array([a[0] for a in answers]), np.array([a[1] for a in answers])


def sampled(ensemble: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return ensemble.mean(0), np.cov(ensemble.T)


def problem(members: int, cycles: int = 6):
    rng = np.random.default_rng(1)
    dynamics = turning()
    observing = Observing.of_variables(np.array([0, 2, 3]), 0.5)
    truth = rng.standard_normal(6)
    y = observing.draw(np.stack([dynamics.advance(truth, c + 1) for c in range(cycles)]), rng)
    root = np.linalg.cholesky(np.eye(6) + 0.5)
    ensemble = 0.3 + rng.standard_normal((members, 6)) @ root.T
    return dynamics, observing, y, np.eye(6)[[0, 2, 3]], ensemble


@pytest.mark.parametrize("rotation", [False, True])
@pytest.mark.parametrize("lag", [0, 1, 3])
def test_etkf_is_the_kalman_filter_and_the_smoother_of_its_sample(rotation: bool, lag: int) -> None:
    dynamics, observing, y, h, ensemble = problem(members=9)
    found = assimilate(dynamics, ETKF(rotation=rotation), ensemble, y, observing, lags=[lag])
    mean, variance = exact(dynamics, *sampled(ensemble), y, h, 0.25, lag)
    last = len(y) - lag
    np.testing.assert_allclose(found.mean[0, :last], mean, atol=1e-8)
    np.testing.assert_allclose(found.sd[0, :last] ** 2, variance, atol=1e-8)
    assert np.isnan(found.mean[0, last:]).all()


def test_stochastic_enkf_and_its_smoother_converge_as_members_grow() -> None:
    errors = []
    for members in (100, 10_000):
        dynamics, observing, y, h, ensemble = problem(members)
        found = assimilate(dynamics, StochasticEnKF(), ensemble, y, observing, lags=[0, 2])
        parts = []
        for row, lag in enumerate((0, 2)):
            mean, variance = exact(dynamics, *sampled(ensemble), y, h, 0.25, lag)
            last = len(y) - lag
            parts.append(np.abs(found.mean[row, :last] - mean).max())
            parts.append(np.abs(found.sd[row, :last] / np.sqrt(variance) - 1).max())
        errors.append(max(parts))
    assert errors[1] < 0.03
    assert errors[1] < errors[0] / 3


@pytest.mark.parametrize("method", [StochasticEnKF, ETKF])
def test_wide_localisation_changes_nothing_and_narrow_localisation_keeps_far_places(method) -> None:
    rng = np.random.default_rng(2)
    states, y = rng.standard_normal((2, 12, 20)), np.array([1.0])
    observing = Observing.of_variables(np.array([0]), 0.1)
    predicted = observing.operator(states[-1])

    def updated(localisation):
        method_ = method(localisation=localisation)
        return method_.update(states, predicted, y, observing, np.random.default_rng(3))

    np.testing.assert_allclose(updated(Localisation(1e6)), updated(None), atol=1e-6)
    changed = np.abs(updated(Localisation(2.0, period=20)) - states).max((0, 1))
    assert changed[0] > 0.1
    assert changed[19] > 0
    np.testing.assert_allclose(changed[5:16], 0, atol=1e-12)


def test_an_update_leaves_members_of_an_exactly_known_state_alone() -> None:
    states = np.ones((1, 5, 4))
    observing = Observing.of_variables(np.arange(4), 1.0)
    for method in (StochasticEnKF(), ETKF(rotation=True)):
        found = method.update(states, states[-1], np.zeros(4), observing, np.random.default_rng(0))
        np.testing.assert_allclose(found, states, atol=1e-12)


def test_inflation_keeps_the_mean() -> None:
    ensemble = np.random.default_rng(0).standard_normal((7, 3))
    inflated = ETKF(1.5).inflate(ensemble)
    np.testing.assert_allclose(inflated.mean(0), ensemble.mean(0), atol=1e-12)
    np.testing.assert_allclose(inflated.std(0), 1.5 * ensemble.std(0))


def test_gaspari_cohn_is_one_smooth_and_compact() -> None:
    r = np.linspace(0, 3, 3001)
    rho = gaspari_cohn(r)
    assert rho[0] == 1
    assert (np.diff(rho) <= 1e-12).all()
    assert (rho[r >= 2] == 0).all()
    assert np.abs(np.diff(rho, 2)).max() < 5e-6
    np.testing.assert_allclose(gaspari_cohn(np.array([1.0])), 5 / 24)


@pytest.mark.parametrize("radius", [0.7, 3.0, 9.0, 15.0, 100.0])
@pytest.mark.parametrize("period", [None, 40.0])
def test_localisation_is_symmetric_and_positive_semi_definite(radius: float, period: float | None) -> None:
    places = np.arange(40.0)
    rho = Localisation(radius, period).weights(places, places)
    np.testing.assert_allclose(rho, rho.T)
    np.testing.assert_allclose(np.diag(rho), 1)
    assert np.linalg.eigvalsh(rho).min() > -1e-10
    if period is not None:
        np.testing.assert_allclose(rho[0, 1], rho[0, -1])


@pytest.mark.parametrize("members", [2, 5, 40])
def test_a_perfect_ensemble_of_any_size_has_a_spread_skill_ratio_of_one(members: int) -> None:
    """Truth and members are draws of one distribution: nobody could do better, and the score has to say so."""
    rng = np.random.default_rng(0)
    centre = 5 * rng.standard_normal((200, 500))
    truth = centre + rng.standard_normal(centre.shape)
    drawn = centre + rng.standard_normal((members, *centre.shape))
    found = Analyses((0,), drawn.mean(0)[None], drawn.std(0, ddof=1)[None], members)
    ((error, ratio),) = found.scores(truth)
    assert ratio == pytest.approx(1, abs=0.01)
    assert error == pytest.approx((1 + 1 / members) ** 0.5, rel=0.01)


def test_where_nothing_is_seen_the_ensemble_walks_on() -> None:
    dynamics, observing, y, _, ensemble = problem(members=9)
    nothing = Observing.of_variables(np.array([], int), 1.0)
    looks = [Sighting(2, y[0], observing), Sighting(1, np.array([]), nothing), Sighting(3, y[1], observing)]
    for method in (StochasticEnKF(1.1), ETKF(1.1, rotation=True), ETKF(1.1, Localisation(2.0))):
        first, second, last = (kept[-1] for kept in walk(dynamics, method, ensemble, looks, seed=1))
        np.testing.assert_array_equal(second, dynamics.advance(first))
        (*_, found) = walk(dynamics, method, ensemble, [looks[0], Sighting(4, y[1], observing)], seed=1)
        np.testing.assert_allclose(found[-1], last, atol=1e-10)


def test_places_in_space_are_a_chord_apart() -> None:
    angle = 2 * np.pi * np.arange(40) / 40
    circle = 20 / np.pi * np.stack([np.cos(angle), np.sin(angle), 0 * angle], axis=-1)
    expected = Localisation(5.0, period=40).weights(np.arange(40.0), np.arange(40.0))
    np.testing.assert_allclose(Localisation(5.0).weights(circle, circle), expected, atol=1e-12)
    with pytest.raises(ConfigurationError, match="period=40"):
        Localisation(5.0, period=40).weights(circle, circle)


def test_messages() -> None:
    observing = Observing.of_variables(np.arange(3), 1.0)
    ensemble, y = np.zeros((4, 3)), np.zeros((5, 3))
    still = Turning(np.eye(3))
    with pytest.raises(ConfigurationError, match="inflation=0"):
        ETKF(0)
    with pytest.raises(ConfigurationError, match="radius=0"):
        Localisation(0)
    with pytest.raises(ConfigurationError, match="above 0 per observation"):
        Observing.of_variables(np.arange(3), 0.0)
    with pytest.raises(ConfigurationError, match="2 or more"):
        assimilate(still, ETKF(), ensemble[:1], y, observing)
    with pytest.raises(ConfigurationError, match="from 0 to 4"):
        assimilate(still, ETKF(), ensemble, y, observing, lags=[5])
    unplaced = Observing(lambda x: x, np.ones(3))
    with pytest.raises(ConfigurationError, match="places"):
        assimilate(still, ETKF(localisation=Localisation(1)), ensemble, y, unplaced)
    with pytest.raises(DivergenceError, match=r"ETKF .* observation time 1 of 5"):
        assimilate(still, ETKF(), np.full((4, 3), np.nan), y, observing)


def test_lorenz_is_dynamics() -> None:
    assert isinstance(Lorenz96(), Dynamics)


def lorenz_rmse(method, members: int, lags=(0,), cycles: int = 400) -> list[tuple[float, float]]:
    world, rng = Lorenz96(), np.random.default_rng(7)
    state = world.advance(world.start(1, rng), 300)[0]
    # a small ensemble does not find its way from the climate, so it begins near the truth
    ensemble = state + rng.standard_normal((members, 40))
    truth = np.empty((cycles, 40))
    for c in range(cycles):
        truth[c] = state = world.advance(state)
    observing = Observing.of_variables(np.arange(40), 1.0)
    y = observing.draw(truth, rng)
    return assimilate(world, method, ensemble, y, observing, lags=lags).scores(truth, spin_up=150)


def test_lorenz_twin_experiment_is_as_good_as_published() -> None:
    ((error, ratio),) = lorenz_rmse(StochasticEnKF(1.06), 40)
    assert error < 0.27
    assert 0.8 < ratio < 1.4
    scores = lorenz_rmse(ETKF(1.015, rotation=True), 24, lags=(0, 5, 10))
    assert scores[0][0] < 0.21
    assert scores[0][0] > scores[1][0] > scores[2][0]
    assert scores[1][0] < 0.16


@pytest.mark.parametrize("method", [StochasticEnKF, ETKF])
def test_localisation_rescues_a_small_ensemble(method) -> None:
    ((lost, _),) = lorenz_rmse(method(1.05), 10, cycles=250)
    ((found, _),) = lorenz_rmse(method(1.05, Localisation(6.0, period=40)), 10, cycles=250)
    assert found < 0.4
    assert lost > 2 * found


@pytest.mark.parametrize(("made", "members"), [(StochasticEnKF(), 4000), (ETKF(), 400)])
def test_a_nonlinear_observation_enters_by_the_departures_of_the_ensemble(made: EnsembleFilter, members: int) -> None:
    """The speed of a wind: gain = Cov(x, h(x)) / (Var h(x) + r²), whatever h is; ETKF draws nothing and needs few members."""
    rng = np.random.default_rng(3)
    ensemble = np.array([6.0, 4.0]) + rng.standard_normal((members, 2)) @ np.array([[1.0, 0.0], [0.5, 0.8]])
    speed = Derived.named("speed", ["u", "v"]).function

    def seen(x: np.ndarray) -> np.ndarray:
        return speed(torch.from_numpy(x[..., None, :])).numpy()

    observing, y = Observing(seen, np.array([0.4])), np.array([9.0])
    predicted = seen(ensemble)
    found = made.update(ensemble[None], predicted, y, observing, rng)[0]
    both = np.cov(np.column_stack([ensemble, predicted]).T)
    gain = both[:2, 2] / (both[2, 2] + 0.4**2)
    np.testing.assert_allclose(found.mean(0), ensemble.mean(0) + gain * (9.0 - predicted.mean()), atol=0.02)
    np.testing.assert_allclose(np.cov(found.T), both[:2, :2] - np.outer(gain, both[:2, 2]), atol=0.05)

"""Filter and smoother over many observation times: forecast, look, update; earlier states learn from later observations.

    filter     p(x_c | y_1 ... y_c)           lag 0
    smoother   p(x_c | y_1 ... y_(c+L))       lag L: the last L + 1 ensembles are updated together

The smoother (EnKS; Evensen and van Leeuwen 2000, with the fixed lag of Raanes 2016) applies to each kept ensemble what the filter
does to the newest, through the covariance between them that the members carry. Only the newest is inflated.

    spread-skill = sqrt((M + 1) / M) sd / RMSE      M members; 1 for a perfect ensemble of any size (`evaluate.ensembles`)
"""

__all__ = ["Analyses", "Sighting", "assimilate", "walk"]

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from driftfield.assimilation.kalman.ensemble_filter import EnsembleFilter, Observing
from driftfield.errors import ConfigurationError, DivergenceError
from driftfield.interfaces import Dynamics


@dataclass(frozen=True)
class Analyses:
    """Mean and spread of the state at every observation time, seen from different lags.

    Arguments:
        lags: How many later observation times each row has seen.
        mean, sd: (lag, cycle, variable); NaN at the end, where fewer than `lag` later observations exist.
        members: Size of the ensemble.
    """

    lags: tuple[int, ...]
    mean: np.ndarray
    sd: np.ndarray
    members: int

    def scores(self, truth: np.ndarray, spin_up: int = 0) -> list[tuple[float, float]]:
        """(time-mean RMSE, spread-skill ratio) per lag.

        Arguments:
            truth: (cycle, variable).
            spin_up: Cycles at the beginning that do not count.
        """
        rmse = np.sqrt(((self.mean - truth) ** 2)[:, spin_up:].mean(-1))
        # the mean of a finite ensemble is itself off by its spread over the root of the members
        spread = np.sqrt((self.sd**2 * (self.members + 1) / self.members)[:, spin_up:].mean(-1))
        return [
            (float(error), float(own / error))
            for error, own in zip(np.nanmean(rmse, axis=1), np.nanmean(spread, axis=1), strict=True)
        ]


@dataclass(frozen=True)
class Sighting:
    """One observation time.

    Arguments:
        steps: Time steps of the model since the one before, or since the initial ensemble.
        y: What was seen, (observation,); of length 0 where nothing was.
        observing: What y is.
    """

    steps: int
    y: np.ndarray
    observing: Observing


def walk(
    dynamics: Dynamics,
    method: EnsembleFilter,
    initial: np.ndarray,
    looks: Sequence[Sighting],
    *,
    lag: int = 0,
    seed: int = 0,
) -> Iterator[list[np.ndarray]]:
    """Runs an ensemble through a series of observations of any kind, at any of the model's steps.

    Arguments:
        dynamics: The forward model.
        method: How an ensemble meets observations.
        initial: (member, variable), at the time from which `looks` counts.
        looks: The observation times, in their order.
        lag: How many earlier ensembles are updated with the newest.
        seed: Of perturbations and rotations.

    Yields:
        After each observation time the last `lag` + 1 ensembles (member, variable), or as many as there are, the newest last.

    Raises:
        ConfigurationError: fewer than two members.
        DivergenceError: the ensemble left the range of finite numbers.
    """
    if initial.ndim != 2 or len(initial) < 2:
        raise ConfigurationError(f"Found an ensemble of shape {initial.shape}: expected (member, variable), 2 or more.")
    rng = np.random.default_rng(seed)
    lagged: deque[np.ndarray] = deque(maxlen=lag + 1)
    ensemble = initial
    for number, look in enumerate(looks):
        ensemble = dynamics.advance(ensemble, look.steps)
        if not np.isfinite(ensemble).all():
            raise DivergenceError(
                f"{type(method).__name__} met numbers that are not finite at observation time {number + 1} of {len(looks)}. "
                "Raise the inflation or the number of members, or localise."
            )
        lagged.append(ensemble)
        # where nothing is seen nothing was eaten that inflation would have to give back
        if look.y.size:
            updated = method.update(np.stack(lagged), look.observing.operator(ensemble), look.y, look.observing, rng)
            ensemble = method.inflate(updated[-1])
            lagged = deque([*updated[:-1], ensemble], maxlen=lagged.maxlen)
        yield list(lagged)


def assimilate(
    dynamics: Dynamics,
    method: EnsembleFilter,
    initial: np.ndarray,
    observations: np.ndarray,
    observing: Observing,
    *,
    steps: int = 1,
    lags: Sequence[int] = (0,),
    seed: int = 0,
) -> Analyses:
    """Mean and spread of `walk` through a series of the same observations at equal intervals.

    Arguments:
        dynamics: The forward model.
        method: How an ensemble meets observations.
        initial: (member, variable), `steps` time steps before the first observations.
        observations: (cycle, observation).
        observing: What they are.
        steps: Time steps of the model between observation times.
        lags: In observation times; 0 is the filter.
        seed: Of perturbations and rotations.

    Raises:
        ConfigurationError: fewer than two members, or a lag that is negative or longer than the series.
        DivergenceError: the ensemble left the range of finite numbers.
    """
    chosen = tuple(sorted(set(lags)))
    if not chosen or chosen[0] < 0 or chosen[-1] >= len(observations):
        raise ConfigurationError(f"Found lags={tuple(lags)}: expected numbers from 0 to {len(observations) - 1}.")
    mean = np.full((len(chosen), len(observations), initial.shape[-1]), np.nan)
    sd = np.full_like(mean, np.nan)
    looks = [Sighting(steps, y, observing) for y in observations]
    for cycle, lagged in enumerate(walk(dynamics, method, initial, looks, lag=chosen[-1], seed=seed)):
        for row, lag in enumerate(chosen):
            if lag < len(lagged):
                mean[row, cycle - lag] = lagged[-1 - lag].mean(0)
                sd[row, cycle - lag] = lagged[-1 - lag].std(0, ddof=1)
    return Analyses(chosen, mean, sd, len(initial))

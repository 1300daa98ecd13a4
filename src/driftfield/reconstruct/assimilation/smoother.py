"""Filter and smoother over many observation times: forecast, look, update; earlier states learn from later observations.

    filter     p(x_c | y_1 ... y_c)           lag 0
    smoother   p(x_c | y_1 ... y_(c+L))       lag L: the last L + 1 ensembles are updated together

The smoother (EnKS; Evensen and van Leeuwen 2000, with the fixed lag of Raanes 2016) applies to each kept ensemble what the filter
does to the newest, through the covariance between them that the members carry. Only the newest is inflated.
"""

__all__ = ["Analyses", "assimilate"]

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from driftfield.errors import ConfigurationError, DivergenceError
from driftfield.interfaces import Dynamics
from driftfield.reconstruct.assimilation.ensemble_filter import EnsembleFilter, Observing


@dataclass(frozen=True)
class Analyses:
    """Mean and spread of the state at every observation time, seen from different lags.

    Arguments:
        lags: How many later observation times each row has seen.
        mean, sd: (lag, cycle, variable); NaN at the end, where fewer than `lag` later observations exist.
    """

    lags: tuple[int, ...]
    mean: np.ndarray
    sd: np.ndarray

    def scores(self, truth: np.ndarray, spin_up: int = 0) -> list[tuple[float, float]]:
        """(time-mean RMSE, spread / RMSE) per lag.

        Arguments:
            truth: (cycle, variable).
            spin_up: Cycles at the beginning that do not count.
        """
        rmse = np.sqrt(((self.mean - truth) ** 2)[:, spin_up:].mean(-1))
        spread = np.sqrt((self.sd**2)[:, spin_up:].mean(-1))
        return [
            (float(error), float(own / error))
            for error, own in zip(np.nanmean(rmse, axis=1), np.nanmean(spread, axis=1), strict=True)
        ]


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
    """Runs an ensemble through a series of observations.

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
    if initial.ndim != 2 or len(initial) < 2:
        raise ConfigurationError(f"Found an ensemble of shape {initial.shape}: expected (member, variable), 2 or more.")
    chosen = tuple(sorted(set(lags)))
    if not chosen or chosen[0] < 0 or chosen[-1] >= len(observations):
        raise ConfigurationError(f"Found lags={tuple(lags)}: expected numbers from 0 to {len(observations) - 1}.")
    rng = np.random.default_rng(seed)
    mean = np.full((len(chosen), len(observations), initial.shape[1]), np.nan)
    sd = np.full_like(mean, np.nan)
    kept: deque[np.ndarray] = deque(maxlen=chosen[-1] + 1)
    ensemble = initial
    for cycle, y in enumerate(observations):
        forecast = dynamics.advance(ensemble, steps)
        if not np.isfinite(forecast).all():
            raise DivergenceError(
                f"{type(method).__name__} met numbers that are not finite at observation time {cycle + 1} of "
                f"{len(observations)}. Raise the inflation or the number of members, or localise."
            )
        kept.append(forecast)
        updated = method.update(np.stack(kept), observing.operator(forecast), y, observing, rng)
        ensemble = method.inflate(updated[-1])
        kept = deque([*updated[:-1], ensemble], maxlen=kept.maxlen)
        for row, lag in enumerate(chosen):
            if lag < len(kept):
                mean[row, cycle - lag] = kept[-1 - lag].mean(0)
                sd[row, cycle - lag] = kept[-1 - lag].std(0, ddof=1)
    return Analyses(chosen, mean, sd)

"""The stochastic ensemble Kalman filter: every member meets its own perturbed copy of the observations.

    x_m <- x_m + K (y + r e_m - H x_m),      K = Cov(x, Hx) (Cov(Hx, Hx) + R)^-1

(Burgers, van Leeuwen and Evensen 1998), the covariances over the ensemble and, with localisation, faded by distance
(Houtekamer and Mitchell 2001). The perturbations e are centred, so that the mean is moved by y alone.
"""

__all__ = ["StochasticEnKF"]

import numpy as np

from driftfield.assimilation.kalman.ensemble_filter import EnsembleFilter, Observing


class StochasticEnKF(EnsembleFilter):
    """Simple and robust; perturbing the observations costs accuracy in small ensembles."""

    def update(
        self, states: np.ndarray, predicted: np.ndarray, y: np.ndarray, observing: Observing, rng: np.random.Generator
    ) -> np.ndarray:
        members = len(predicted)
        departures = states - states.mean(1, keepdims=True)
        seen = predicted - predicted.mean(0)
        cross = np.swapaxes(departures, 1, 2) @ seen / (members - 1)
        seen_covariance = seen.T @ seen / (members - 1)
        rho = self.local_weights(states.shape[-1], observing)
        if rho is not None and self.localisation is not None and observing.places is not None:
            cross, seen_covariance = (
                rho * cross,
                self.localisation.weights(observing.places, observing.places) * seen_covariance,
            )
        perturbations = rng.standard_normal(predicted.shape)
        # centred they have lost a degree of freedom, which the factor gives back
        perturbations = (perturbations - perturbations.mean(0)) * np.sqrt(members / (members - 1))
        innovations = y + observing.error_std * perturbations - predicted
        solved = np.linalg.solve(seen_covariance + np.diag(observing.error_std**2), innovations.T)
        return states + np.swapaxes(cross @ solved, 1, 2)

"""What all ensemble Kalman filters share: what is seen, and one call that brings states nearer to it.

A filter updates any states of an ensemble by what their present prediction of the observations got wrong. Given the forecast
alone that is a filter; given earlier states of the same members too it is a smoother (`smoother.py`). States are arrays
(time, member, variable).
"""

__all__ = ["EnsembleFilter", "Observing"]

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from driftfield.assimilation.kalman.localisation import Localisation
from driftfield.errors import ConfigurationError


@dataclass(frozen=True)
class Observing:
    """y = operator(x) + independent errors.

    Arguments:
        operator: (..., variable) -> (..., observation).
        error_std: Standard deviation of the errors, (observation,).
        places: Where the observations lie, (observation,), or (observation, axis) in space; only localisation asks.
        variable_places: Where the variables lie, in the same way; a variable's place is its number if not given.
    """

    operator: Callable[[np.ndarray], np.ndarray]
    error_std: np.ndarray
    places: np.ndarray | None = None
    variable_places: np.ndarray | None = None

    def __post_init__(self) -> None:
        if self.error_std.ndim != 1 or not (self.error_std > 0).all():
            raise ConfigurationError(
                f"Found error_std of shape {self.error_std.shape}, smallest {self.error_std.min(initial=np.inf):g}: "
                "expected one number above 0 per observation."
            )

    @classmethod
    def of_variables(cls, variables: np.ndarray, error_std: float) -> "Observing":
        """Some variables of the state, all with the same error; a variable's place is its number."""
        chosen = np.asarray(variables)
        return cls(lambda x: x[..., chosen], np.full(chosen.size, error_std), chosen.astype(float))

    def draw(self, x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Observations (..., observation) of states (..., variable)."""
        exact = self.operator(x)
        return exact + self.error_std * rng.standard_normal(exact.shape)


class EnsembleFilter(ABC):
    """A Kalman update with the covariance of an ensemble.

    Arguments:
        inflation: Factor on the departures from the mean after an update, against what sampling errors have eaten.
        localisation: Fades covariances out by distance; None where the ensemble is large enough.

    Raises:
        ConfigurationError: the inflation is not a number above 0.
    """

    def __init__(self, inflation: float = 1.0, localisation: Localisation | None = None) -> None:
        if not 0 < inflation < np.inf:
            raise ConfigurationError(f"Found inflation={inflation!r}: expected a number above 0, such as 1.02.")
        self.inflation, self.localisation = inflation, localisation

    @abstractmethod
    def update(
        self, states: np.ndarray, predicted: np.ndarray, y: np.ndarray, observing: Observing, rng: np.random.Generator
    ) -> np.ndarray:
        """The states after the observations.

        Arguments:
            states: (time, member, variable).
            predicted: What each member expected to be seen, (member, observation).
            y: What was seen, (observation,).
            observing: Errors and places of y.
            rng: Of perturbations and rotations.

        Returns:
            (time, member, variable), not inflated.
        """

    def inflate(self, ensemble: np.ndarray) -> np.ndarray:
        """(..., member, variable) with the departures from the mean multiplied."""
        mean = ensemble.mean(-2, keepdims=True)
        return mean + self.inflation * (ensemble - mean)

    def local_weights(self, variables: int, observing: Observing) -> np.ndarray | None:
        """rho between variables and observations, (variable, observation); None without localisation.

        Raises:
            ConfigurationError: the observations have no places.
        """
        if self.localisation is None:
            return None
        variable_places = observing.variable_places
        variable_places = np.arange(variables, dtype=float) if variable_places is None else variable_places
        return self.localisation.weights(variable_places, _places(observing))


def _places(observing: Observing) -> np.ndarray:
    if observing.places is None:
        raise ConfigurationError("Localisation needs to know where observations lie. Give Observing its `places`.")
    return observing.places

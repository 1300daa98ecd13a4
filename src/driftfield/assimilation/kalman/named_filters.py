"""Ensemble filters by the names that a recipe uses, and what goes with which.

    etkf     square root, one rotation for all variables
    letkf    square root, every variable by itself: needs a length
    enkf     perturbed observations, with a length or without

A rotation would mix what localisation keeps apart, so that the LETKF has none.
"""

__all__ = ["FILTERS", "named_filter"]

from driftfield.assimilation.kalman.enkf import StochasticEnKF
from driftfield.assimilation.kalman.ensemble_filter import EnsembleFilter
from driftfield.assimilation.kalman.etkf import ETKF
from driftfield.assimilation.kalman.localisation import Localisation
from driftfield.errors import ConfigurationError

FILTERS = ("etkf", "letkf", "enkf")


def named_filter(name: str, inflation: float, localisation_km: float | None) -> EnsembleFilter:
    """The filter of that name.

    Arguments:
        name: One of `FILTERS`.
        inflation: Factor on the departures from the mean after every update.
        localisation_km: c of Gaspari and Cohn, or None.

    Raises:
        ConfigurationError: no such filter, or one that does not go with localisation, or not without.
    """
    if name not in FILTERS:
        raise ConfigurationError(f"Unknown filter {name!r}: expected one of {list(FILTERS)}.")
    if isinstance(inflation, bool) or not isinstance(inflation, int | float):
        raise ConfigurationError(f"Found inflation={inflation!r}: expected a number above 0, such as 1.02.")
    near = None if localisation_km is None else Localisation(localisation_km)
    if name == "enkf":
        return StochasticEnKF(inflation, near)
    if (name == "letkf") != (near is not None):
        raise ConfigurationError(
            "Found filter='letkf' without localisation_km: add a length in km, or take 'etkf'."
            if near is None
            else f"Found filter='etkf' with localisation_km={localisation_km:g}: take 'letkf', which is that."
        )
    return ETKF(inflation, near, rotation=near is None)

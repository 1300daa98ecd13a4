"""Ensemble Kalman filters and smoothers, on a forward model that is known or learned."""

from driftfield.assimilation.kalman.emulator_dynamics import EmulatorDynamics
from driftfield.assimilation.kalman.enkf import StochasticEnKF
from driftfield.assimilation.kalman.ensemble_filter import EnsembleFilter, Observing
from driftfield.assimilation.kalman.etkf import ETKF
from driftfield.assimilation.kalman.localisation import Localisation, gaspari_cohn
from driftfield.assimilation.kalman.smoother import Analyses, Sighting, assimilate, walk

__all__ = [
    "ETKF",
    "Analyses",
    "EmulatorDynamics",
    "EnsembleFilter",
    "Localisation",
    "Sighting",
    "Observing",
    "StochasticEnKF",
    "assimilate",
    "gaspari_cohn",
    "walk",
]

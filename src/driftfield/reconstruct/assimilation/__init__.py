"""Ensemble Kalman filters and smoothers, on a forward model that is known or learned."""

from driftfield.reconstruct.assimilation.emulator_dynamics import EmulatorDynamics
from driftfield.reconstruct.assimilation.enkf import StochasticEnKF
from driftfield.reconstruct.assimilation.ensemble_filter import EnsembleFilter, Observing
from driftfield.reconstruct.assimilation.etkf import ETKF
from driftfield.reconstruct.assimilation.localisation import Localisation, gaspari_cohn
from driftfield.reconstruct.assimilation.smoother import Analyses, Look, assimilate, walk

__all__ = [
    "ETKF",
    "Analyses",
    "EmulatorDynamics",
    "EnsembleFilter",
    "Localisation",
    "Look",
    "Observing",
    "StochasticEnKF",
    "assimilate",
    "gaspari_cohn",
    "walk",
]

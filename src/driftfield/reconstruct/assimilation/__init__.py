"""Peers that know the forward model: ensemble Kalman filters and smoothers."""

from driftfield.reconstruct.assimilation.enkf import StochasticEnKF
from driftfield.reconstruct.assimilation.ensemble_filter import EnsembleFilter, Observing
from driftfield.reconstruct.assimilation.etkf import ETKF
from driftfield.reconstruct.assimilation.localisation import Localisation, gaspari_cohn
from driftfield.reconstruct.assimilation.smoother import Analyses, assimilate

__all__ = [
    "ETKF",
    "Analyses",
    "EnsembleFilter",
    "Localisation",
    "Observing",
    "StochasticEnKF",
    "assimilate",
    "gaspari_cohn",
]

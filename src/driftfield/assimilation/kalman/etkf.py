"""The ensemble transform Kalman filter: mean and covariance as the Kalman filter would have them, with no random number.

With S the departures of the predicted observations in units of their error, one row per member, over sqrt(members - 1):

    x_m <- mean + sum_j (w_j + T_mj) departure_j,    T = (I + S S')^-1/2,    w = (I + S S')^-1 S d / sqrt(members - 1)

d = (y - mean prediction) / r (Bishop, Etherton and Majumdar 2001; the symmetric root of Hunt, Kostelich and Szunyogh 2007). With
localisation every variable has its own T and w, from observations whose precision fades with distance: the LETKF of Hunt et al.
"""

__all__ = ["ETKF"]

import numpy as np

from driftfield.assimilation.kalman.ensemble_filter import EnsembleFilter, Observing
from driftfield.assimilation.kalman.localisation import Localisation


class ETKF(EnsembleFilter):
    """The square-root filter; with localisation the LETKF.

    Arguments:
        inflation, localisation: See `EnsembleFilter`.
        rotation: Turn the departures at random after each update, keeping mean and covariance: outliers do not grow old
            (Sakov and Oke 2008). One rotation for all variables.
    """

    def __init__(
        self, inflation: float = 1.0, localisation: Localisation | None = None, *, rotation: bool = False
    ) -> None:
        super().__init__(inflation, localisation)
        self.rotation = rotation

    def update(
        self, states: np.ndarray, predicted: np.ndarray, y: np.ndarray, observing: Observing, rng: np.random.Generator
    ) -> np.ndarray:
        members = len(predicted)
        mean = states.mean(1, keepdims=True)
        departures = states - mean
        s = (predicted - predicted.mean(0)) / observing.error_std / np.sqrt(members - 1)
        d = (y - predicted.mean(0)) / observing.error_std
        turn = mean_preserving_rotation(members, rng) if self.rotation else None
        rho = self.local_weights(states.shape[-1], observing)
        if rho is None:
            weights = _weights(s, d, turn)
            return mean + weights @ departures
        root = np.sqrt(rho)[:, None]
        weights = _weights(root * s, root[:, 0] * d, turn)
        # (variable, time, member): one matrix product per variable
        local = np.transpose(departures, (2, 0, 1)) @ np.swapaxes(weights, -1, -2)
        return mean + np.transpose(local, (1, 2, 0))


def _weights(s: np.ndarray, d: np.ndarray, turn: np.ndarray | None) -> np.ndarray:
    """w_j + T_mj as (..., member, member), from S (..., member, observation) and d (..., observation)."""
    values, vectors = np.linalg.eigh(s @ np.swapaxes(s, -1, -2))
    gain = 1 / (1 + np.maximum(values, 0))
    back = np.swapaxes(vectors, -1, -2)
    # T keeps the vector of ones, which S S' sends to zero: the departures still sum to zero
    transform = (vectors * np.sqrt(gain)[..., None, :]) @ back
    if turn is not None:
        transform = turn @ transform
    along = back @ (s @ d[..., None])
    mean = (vectors @ (gain[..., None] * along))[..., 0] / np.sqrt(s.shape[-2] - 1)
    return transform + mean[..., None, :]


def mean_preserving_rotation(members: int, rng: np.random.Generator) -> np.ndarray:
    """A random orthogonal matrix (member, member) that leaves the vector of ones alone."""
    basis = np.linalg.qr(np.column_stack([np.ones(members), rng.standard_normal((members, members - 1))]))[0]
    inner = np.eye(members)
    q, r = np.linalg.qr(rng.standard_normal((members - 1, members - 1)))
    inner[1:, 1:] = q * np.sign(np.diag(r))
    return basis @ inner @ basis.T

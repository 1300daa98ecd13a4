"""The mean course of the day in every cell, where a record has several times a day.

    d(t, x) = sum_k a_k(x) cos(2 pi k t) + b_k(x) sin(2 pi k t),   k = 1, 2,   t in days

    (X'X + kappa P) beta = X'y      per cell, over what was seen; P leaves the constant alone

Land warms by day where the sea beside it does not: no covariance of distances knows that.
"""

__all__ = ["DailyCycle"]

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class DailyCycle:
    """Two harmonics per cell.

    Arguments:
        coefficients: a_1, b_1, a_2, b_2: (4, [depth,] lat, lon), units of the variable.
    """

    coefficients: np.ndarray

    @staticmethod
    def exists(days: np.ndarray) -> bool:
        """Whether the dates are close enough to tell day from night: several a day, at four hours or more."""
        hours = np.unique(np.round(24 * (np.asarray(days) % 1.0), 1))
        return bool(hours.size >= 4 and np.median(np.diff(np.unique(days))) <= 0.26)

    @classmethod
    def fit(cls, blocks: Iterable[tuple[np.ndarray, np.ndarray]], *, kappa: float = 20.0) -> "DailyCycle":
        """Least squares, drawn towards no cycle where little was seen.

        Arguments:
            blocks: Dates (time,) and fields (time, [depth,] lat, lon), NaN where not seen.
            kappa: Number of values at which the cycle has half its size, about.
        """
        gram: np.ndarray | float = 0.0
        moment: np.ndarray | float = 0.0
        shape: tuple[int, ...] = ()
        for days, fields in blocks:
            shape = fields.shape[1:]
            y = fields.reshape(len(fields), -1)
            seen = np.isfinite(y)
            x = np.concatenate([np.ones((1, len(days))), _harmonics(days)])
            gram = gram + np.einsum("it,jt,tc->cij", x, x, seen.astype(np.float64), optimize=True)
            moment = moment + np.einsum("it,tc->ci", x, np.where(seen, y, 0.0))
        # half a value's weight per harmonic: the mean square of a cosine; a touch on the constant for empty cells
        ridge = np.diag([1e-9, *[0.5 * kappa] * 4])
        beta = np.linalg.solve(gram + ridge, np.asarray(moment)[..., None])[..., 0]
        return cls(beta[:, 1:].T.reshape(4, *shape))

    def at(self, days: np.ndarray) -> np.ndarray:
        """The departure from the day's mean on some dates: (time, [depth,] lat, lon)."""
        return np.tensordot(_harmonics(days).T, self.coefficients, axes=1)


def _harmonics(days: np.ndarray) -> np.ndarray:
    angle = 2 * np.pi * np.asarray(days, dtype=np.float64)
    return np.stack([np.cos(angle), np.sin(angle), np.cos(2 * angle), np.sin(2 * angle)])

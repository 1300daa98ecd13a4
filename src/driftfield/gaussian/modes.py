"""Empirical orthogonal functions: the patterns in which a state varies most, and how much of each a few cells tell.

    z = sum_k a_k e_k + r        a_k ~ N(0, lambda_k)        e_k: right singular vectors of sqrt(area) z over time

    a | y ~ N(P E'S^-1 y, P),    P = (Lambda^-1 + E'S^-1 E)^-1        y = E a + noise, E the patterns at the observed places,
                                                                      S the covariance of the noise

Lambda is the ridge that a regression on few observations needs. In a gappy archive the coefficients of a time come from what
is known of it, what is not known is filled with the sum of the patterns, and the patterns are found anew until they rest.
"""

__all__ = ["Modes", "coefficients", "filled"]

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

import numpy as np
from scipy.linalg import cho_factor, cho_solve


@dataclass(frozen=True)
class Modes:
    """Patterns and the variances of their coefficients, the largest first.

    Arguments:
        patterns: e_k (mode, row, cell).
        variances: lambda_k (mode,).
    """

    patterns: np.ndarray
    variances: np.ndarray

    @classmethod
    def fit(cls, fields: np.ndarray, area: np.ndarray, count: int) -> Self:
        """The leading patterns of complete fields.

        Arguments:
            fields: Anomalies (time, row, cell), 0 outside the domain.
            area: Weight of the squares (row, cell), not negative.
            count: At most so many modes.
        """
        n = len(fields)
        root = np.sqrt(area).astype(np.float32)
        weighted = (fields * root).reshape(n, -1)
        # the matrix between times is the smaller one
        squares, vectors = np.linalg.eigh((weighted @ weighted.T).astype(np.float64))
        squares, vectors = squares[::-1], vectors[:, ::-1]
        count = min(count, int((squares > 1e-6 * max(squares[0], 1e-30)).sum()))
        squares, vectors = squares[:count], vectors[:, :count]
        # fields regressed on unit coefficients: area 0 has no say, and has a pattern all the same
        scores = vectors * np.sqrt(squares)
        patterns = (vectors / np.sqrt(np.maximum(squares, 1e-30))).T @ fields.reshape(n, -1)
        variances = np.square(scores).sum(axis=0) / max(n - 1, 1)
        return cls(patterns.reshape(count, *fields.shape[1:]).astype(np.float32), variances)

    def __len__(self) -> int:
        return len(self.variances)

    def first(self, count: int) -> "Modes":
        """The leading ones of them."""
        return Modes(self.patterns[:count], self.variances[:count])

    def sum(self, coefficients: np.ndarray) -> np.ndarray:
        """sum_k a_k e_k: (..., mode) -> (..., row, cell)."""
        return np.tensordot(coefficients.astype(np.float32), self.patterns, axes=1)

    def project(self, fields: np.ndarray, area: np.ndarray) -> np.ndarray:
        """Coefficients of complete fields (time, row, cell): (time, mode), least squares."""
        weighted = (self.patterns * area).reshape(len(self), -1).astype(np.float32)
        gram = weighted @ self.patterns.reshape(len(self), -1).T
        return np.linalg.lstsq(gram, weighted @ fields.reshape(len(fields), -1).T, rcond=None)[0].T


def coefficients(modes: Modes, parts: Iterable[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """Posterior mean (mode,) and covariance (mode, mode) of the coefficients.

    Arguments:
        modes: The prior.
        parts: Blocks of observations whose errors are independent of the other blocks: whitened patterns S^-1/2 E
            (observation, mode) and whitened values S^-1/2 y (observation,).
    """
    information, pull = np.diag(1 / modes.variances), np.zeros(len(modes))
    for patterns, values in parts:
        patterns = patterns.astype(np.float64)
        information += patterns.T @ patterns
        pull += patterns.T @ values
    factor = cho_factor(information)
    return cho_solve(factor, pull), cho_solve(factor, np.eye(len(modes)))


def filled(known: np.ndarray, area: np.ndarray, count: int, *, rounds: int = 30, tolerance: float = 1e-3) -> np.ndarray:
    """Fills what is not known of an archive with the leading modes, which are found anew until they rest.

    Arguments:
        known: (time, row, cell), NaN where not known.
        area: Weight of the squares (row, cell), 0 outside the domain.
        count: Modes to fill with.
        rounds: At most so many.
        tolerance: Change of the filled values, relative to the standard deviation, at which they rest.

    Returns:
        The same fields, finite; 0 outside the domain.
    """
    seen = np.isfinite(known)
    gaps = ~seen & (area > 0)
    fields = np.where(seen, known, 0.0).astype(np.float32)
    if not gaps.any():
        return fields
    for _ in range(rounds):
        modes = Modes.fit(fields, area, count)
        left = fields - modes.sum(modes.project(fields, area))
        noise = max(float(np.mean(left[seen] ** 2)), 1e-6)
        change = total = 0.0
        for t in range(len(fields)):
            e, y = modes.patterns[:, seen[t]].T / np.sqrt(noise), known[t][seen[t]] / np.sqrt(noise)
            guess = modes.sum(coefficients(modes, [(e, y)])[0])[gaps[t]]
            change += float(np.square(guess - fields[t][gaps[t]]).sum())
            total += gaps[t].sum()
            fields[t][gaps[t]] = guess
        if np.sqrt(change / total) < tolerance:
            break
    return fields

"""How wrong a field of few EOFs is: the Gaussian posterior of their amplitudes, and what the EOFs leave out.

    x = L a + r        L = U S / sqrt(times)        a ~ N(0, I)        r: what the modes do not hold
    y = x at the observed points, the rest taken as noise of variance m = inflation * mu^2 + error^2

    C = (I + L_o' L_o / m)^-1                       covariance of the amplitudes given y; L_o: rows that were observed
    a = C L_o' y / m                                their mean
    Var x = diag(L C L') + scale * Var r            members: mean + L C^1/2 xi + sqrt(scale) (a mixture of past r)

This is optimal interpolation with the covariance L L' (Beckers et al. 2006, doi:10.5194/os-2-183-2006). mu^2 is the mean
square of the residual where there are data; the residuals of neighbours are alike, so they tell less than their number
says: the inflation answers that. It and the scale are those of the least CRPS at the points of the cross-validation.
"""

__all__ = ["EofError", "amplitudes", "fit_error_scale"]

from dataclasses import dataclass

import numpy as np

from driftfield.gaussian.tuning import gaussian_crps

INFLATIONS = tuple(float(v) for v in np.geomspace(1.0, 1e6, 13))
SCALES = tuple(float(v) for v in np.geomspace(0.25, 256.0, 21))

FEW = 3
"""A row with fewer residuals has the mean variance of all."""


@dataclass(frozen=True)
class EofError:
    """Modes, residuals, and the two numbers that calibrate them; standardised units.

    Arguments:
        loadings: L (space, rank).
        residuals: r of all times (space, time), 0 where there are no data.
        known: Where there are data (space, time), boolean.
        inflation: Factor on the noise.
        scale: Factor on the variance of the residual.
    """

    loadings: np.ndarray
    residuals: np.ndarray
    known: np.ndarray
    inflation: float = 1.0
    scale: float = 1.0

    @classmethod
    def of(cls, matrix: np.ndarray, known: np.ndarray, rank: int) -> "EofError":
        """From a centred and filled matrix (space, time), its `rank` leading modes."""
        variances, v = np.linalg.eigh(matrix.T @ matrix)
        v = v[:, ::-1][:, :rank]
        amplitude = np.sqrt(np.maximum(variances[::-1][:rank], 0.0))
        modes = matrix @ v  # U S
        residuals = np.where(known, matrix - modes @ v.T, 0.0)
        return cls(modes[:, amplitude > 0] / np.sqrt(matrix.shape[1]), residuals, known)

    @property
    def noise(self) -> float:
        """mu^2: mean square of the residuals."""
        return float(np.square(self.residuals).sum() / max(int(self.known.sum()), 1)) + 1e-12

    @property
    def residual_variance(self) -> np.ndarray:
        """Var r, unscaled: (space,)."""
        count = self.known.sum(axis=1)
        own = np.square(self.residuals).sum(axis=1) / np.maximum(count, 1)
        return np.where(count >= FEW, own, self.noise)

    def posterior(
        self, seen: np.ndarray, values: np.ndarray, error_variance: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Mean (rank,) and covariance (rank, rank) of the amplitudes of one time.

        Arguments:
            seen: Boolean (space,).
            values: Centred (space,), read where seen.
            error_variance: Of the observations (space,), beyond the residual.
        """
        noise = self.inflation * self.noise + (0.0 if error_variance is None else error_variance[seen])
        return amplitudes(self.loadings[seen], values[seen], noise)

    def variance(self, covariance: np.ndarray) -> np.ndarray:
        """Of the field (space,), given the covariance of the amplitudes."""
        return ((self.loadings @ covariance) * self.loadings).sum(axis=1) + self.scale * self.residual_variance

    def draw(self, covariance: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """A departure from the mean (space,): in the amplitudes, and a random mixture of the residuals of all times."""
        root = np.linalg.cholesky(covariance + 1e-12 * np.eye(len(covariance)))
        amplitude = root @ rng.standard_normal(len(root))
        mixture = self.residuals @ rng.standard_normal(self.residuals.shape[1])
        count = self.known.sum(axis=1)
        few = count < FEW
        mixture /= np.sqrt(np.maximum(count, 1))
        lone = np.sqrt(self.noise) * rng.standard_normal(count.size)
        return self.loadings @ amplitude + np.sqrt(self.scale) * np.where(few, lone, mixture)


def amplitudes(loadings: np.ndarray, values: np.ndarray, noise: np.ndarray | float) -> tuple[np.ndarray, np.ndarray]:
    """Posterior of a ~ N(0, I) given values = loadings a + N(0, noise): mean (rank,), covariance (rank, rank).

    Arguments:
        loadings: (observation, rank).
        values: (observation,).
        noise: Variance, one or (observation,).
    """
    weighted = loadings / (np.asarray(noise)[..., None] if np.ndim(noise) else noise)
    precision = np.eye(loadings.shape[1]) + loadings.T @ weighted
    covariance = np.linalg.inv(precision)
    covariance = 0.5 * (covariance + covariance.T)
    return covariance @ (weighted.T @ values), covariance


def fit_error_scale(
    model: EofError, matrix: np.ndarray, known: np.ndarray, held_out: np.ndarray, filled: np.ndarray | None
) -> tuple[float, float]:
    """Inflation and scale of the least CRPS at held-out points.

    Arguments:
        model: Of the modes that have not seen these points.
        matrix: Centred data (space, time).
        known: Where there are data, held-out points included.
        held_out: The points to score.
        filled: Centred estimate of the mean there (space, time); the posterior mean if not given.

    Returns:
        (inflation, scale); (1, 1) without held-out points.
    """
    times = np.flatnonzero(held_out.any(axis=0))
    if not times.size:
        return 1.0, 1.0
    best, least = (1.0, 1.0), np.inf
    for inflation in INFLATIONS:
        errors, explained, rest = [], [], []
        trial = EofError(model.loadings, model.residuals, model.known, inflation)
        residual_variance = trial.residual_variance
        for t in times:
            here = held_out[:, t]
            mean, covariance = trial.posterior(known[:, t] & ~here, matrix[:, t])
            loadings = model.loadings[here]
            errors.append((loadings @ mean if filled is None else filled[here, t]) - matrix[here, t])
            explained.append(((loadings @ covariance) * loadings).sum(axis=1))
            rest.append(residual_variance[here])
        error, variance, residual = (np.concatenate(part) for part in (errors, explained, rest))
        for scale in SCALES:
            crps = float(gaussian_crps(error, np.sqrt(variance + scale * residual)).mean())
            if crps < least:
                best, least = (inflation, scale), crps
    return best

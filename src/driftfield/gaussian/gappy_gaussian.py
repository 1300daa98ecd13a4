"""A Gaussian of low rank, learnt from vectors with gaps by expectation-maximisation.

    x = mu + W a + sqrt(v) e,    a ~ N(0, I_k),  e ~ N(0, I)                known: x in O_t, the observed cells of vector t

    E   M_t = I + W_O' W_O / v,    E[a_t] = M_t^-1 W_O' (x_O - mu_O) / v,    Cov[a_t] = M_t^-1
    M   (W_i, mu_i) = argmin over the times that saw cell i,    v = mean over what was seen of E (x - mu - W a)^2

Each step is exact, so the (penalised) likelihood of what was seen never falls. No vector need be complete, only any two cells
be seen together now and then. k = cells - 1 is every covariance there is. Tipping & Bishop (1999), doi:10.1111/1467-9868.00196;
with missing values Ilin & Raiko (2010), JMLR 11, 1957-2000.
"""

__all__ = ["GappyGaussian"]

from dataclasses import dataclass, replace

import numpy as np

from driftfield.errors import DataError

FLOOR = 1e-6
"""Least v, as a part of the variance of the data."""


@dataclass(frozen=True)
class GappyGaussian:
    """N(mean, factor factor' + variance I).

    Arguments:
        mean: (cell,)
        factor: W, (cell, rank).
        variance: v.
        likelihood: Log likelihood of what was seen, less the penalty, at every iteration.
    """

    mean: np.ndarray
    factor: np.ndarray
    variance: float
    likelihood: tuple[float, ...] = ()

    @classmethod
    def fit(
        cls,
        x: np.ndarray,
        rank: int,
        *,
        iterations: int = 60,
        ridge: float = 1.0,
        tolerance: float = 1e-5,
        seed: int = 0,
    ) -> "GappyGaussian":
        """Fits by expectation-maximisation.

        Arguments:
            x: (time, cell), NaN where not seen.
            rank: k; at most one less than the times or the cells.
            iterations: At most.
            ridge: Precision of a Gaussian prior on W and mu, in units of the data's deviation, so that a cell that was seen a few
                times is not overfitted; 0 none.
            tolerance: Ends once the likelihood per number gains less.
            seed: Of the start.

        Raises:
            DataError: nothing was seen.
        """
        seen = np.isfinite(x)
        if not seen.any():
            raise DataError("No number was seen: a covariance cannot be learnt. Check the archive and its domain.")
        # about the mean of all numbers, which is where a cell that was hardly ever seen stays
        overall = float(np.nanmean(x))
        y = np.where(seen, x - overall, 0.0).astype(np.float64)
        mean = y.sum(axis=0) / (seen.sum(axis=0) + 1.0)
        spread = float(np.sum(seen * (y - mean) ** 2) / seen.sum())
        rank = max(1, min(rank, x.shape[1] - 1, x.shape[0] - 1))
        rng = np.random.default_rng(seed)
        now = cls(mean, np.sqrt(0.1 * spread) * rng.standard_normal((x.shape[1], rank)), spread)
        penalty, found = ridge / max(spread, 1e-30), []
        for _ in range(iterations):
            a, second, likelihood = now._expect(y, seen)
            parameters = float(np.square(now.factor).sum() + np.square(now.mean).sum())
            found.append(likelihood - 0.5 * penalty * parameters)
            if len(found) > 1 and found[-1] - found[-2] < tolerance * seen.sum():
                break
            now = now._maximise(y, seen, a, second, penalty, FLOOR * spread)
        now = now._unbiased(y, seen, penalty)
        return cls(now.mean + overall, now.factor, now.variance, tuple(found))

    @property
    def covariance(self) -> np.ndarray:
        """(cell, cell)."""
        return self.factor @ self.factor.T + self.variance * np.eye(len(self.mean))

    def condition(
        self, y: np.ndarray, *, noise: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """The posterior of one vector.

        Arguments:
            y: (cell,), NaN where not seen.
            noise: Variance of the observation error (cell,).

        Returns:
            Mean of a (rank,), a root of its covariance (rank, rank), and what is left to the cell itself once a is known: the
            weight of its own departure from mu + W a, and its variance, (cell,) each.
        """
        seen = np.isfinite(y)
        r = np.zeros(len(y)) if noise is None else noise
        total = self.variance + r
        w = np.where(seen, 1 / total, 0.0)
        precision = np.eye(self.factor.shape[1]) + (self.factor * w[:, None]).T @ self.factor
        root = np.linalg.inv(np.linalg.cholesky(precision)).T
        a = root @ (root.T @ (self.factor.T @ (w * (np.where(seen, y, 0.0) - self.mean))))
        return a, root, self.variance * w, np.where(seen, self.variance * r / total, self.variance)

    def mean_and_variance(self, y: np.ndarray, *, noise: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Of every cell (cell,), given some of them."""
        a, root, weight, own = self.condition(y, noise=noise)
        mean = self.mean + self.factor @ a
        left = np.where(np.isfinite(y), y - mean, 0.0)
        return mean + weight * left, np.square((1 - weight)[:, None] * (self.factor @ root)).sum(axis=1) + own

    def draw(
        self, y: np.ndarray, rng: np.random.Generator, members: int = 1, *, noise: np.ndarray | None = None
    ) -> np.ndarray:
        """Draws (member, cell) from the posterior; what was seen without an error keeps its value."""
        a, root, weight, own = self.condition(y, noise=noise)
        some = a + rng.standard_normal((members, a.size)) @ root.T
        fields = self.mean + some @ self.factor.T
        left = np.where(np.isfinite(y), y - fields, 0.0)
        return fields + weight * left + np.sqrt(own) * rng.standard_normal(fields.shape)

    def _expect(self, y: np.ndarray, seen: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
        """E[(a, 1)] (time, k + 1), E[(a, 1)(a, 1)'] (time, k + 1, k + 1), and the log likelihood."""
        k, w, v = self.factor.shape[1], self.factor, self.variance
        outer = (w[:, :, None] * w[:, None, :]).reshape(len(w), -1)
        precision = np.eye(k) + (seen.astype(np.float64) @ outer).reshape(-1, k, k) / v
        departure = np.where(seen, y - self.mean, 0.0)
        spread = np.linalg.inv(precision)
        projected = departure @ w / v
        a = np.einsum("tkl,tl->tk", spread, projected)
        numbers = seen.sum(axis=1)
        square = np.square(departure).sum(axis=1) / v - np.einsum("tk,tk->t", projected, a)
        logdet = numbers * np.log(v) + np.linalg.slogdet(precision)[1]
        likelihood = -0.5 * float(np.sum(numbers * np.log(2 * np.pi) + logdet + square))
        a = np.concatenate([a, np.ones((len(a), 1))], axis=1)
        second = a[:, :, None] * a[:, None, :]
        second[:, :k, :k] += spread
        return a, second, likelihood

    def _maximise(
        self, y: np.ndarray, seen: np.ndarray, a: np.ndarray, second: np.ndarray, penalty: float, floor: float
    ) -> "GappyGaussian":
        size = a.shape[1]
        grams, ridge = self._grams(seen, second), self._ridge(penalty, size)
        right = y.T @ a
        solved = np.linalg.solve(grams + ridge, right[..., None])[..., 0]
        error = np.square(y).sum(axis=0) - 2 * np.einsum("ck,ck->c", solved, right)
        error += np.einsum("ck,ckl,cl->c", solved, grams, solved)
        variance = max(float(error.sum() / seen.sum()), floor)
        return GappyGaussian(solved[:, -1], solved[:, :-1], variance)

    def _grams(self, seen: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Sum of E[(a, 1)(a, 1)'] over the times that saw a cell: (cell, k + 1, k + 1)."""
        size = second.shape[1]
        return (seen.astype(np.float64).T @ second.reshape(len(seen), -1)).reshape(-1, size, size)

    def _ridge(self, penalty: float, size: int) -> np.ndarray:
        """Prior precision of W and mu, times v; never quite 0, so that a cell that was never seen has a solution."""
        return max(penalty * self.variance, 1e-9) * np.eye(size)

    def _unbiased(self, y: np.ndarray, seen: np.ndarray, penalty: float) -> "GappyGaussian":
        """v divided by the numbers less the parameters that they had to determine, as a regression does."""
        _, second, _ = self._expect(y, seen)
        grams, ridge = self._grams(seen, second), self._ridge(penalty, second.shape[1])
        used = float(np.trace(np.linalg.solve(grams + ridge, grams), axis1=1, axis2=2).sum())
        left = max(seen.sum() - used, 0.05 * seen.sum())
        return replace(self, variance=self.variance * float(seen.sum() / left))

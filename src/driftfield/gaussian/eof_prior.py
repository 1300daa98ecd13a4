"""A Gaussian of leading modes and a local residual, and what observations make of it.

    z = sum_k a_k e_k + q r        a ~ N(0, Lambda)     q(x): standard deviation of the residual     r ~ N(0, C), C local

    coefficients    a | y ~ N(m, P)                  with the noise q C q + R of the observations        (`modes.py`)
    residual        r | y, a = G (y - E a)           G = q C_xo q (q C_oo q + R)^-1                      (`conditioning.py`)
    together        mean  E m + G (y - E_o m)        covariance  (E - G E_o) P (E - G E_o)' + Var[r | y, a]

This is the exact posterior of the sum, in the two steps of regression on EOFs and interpolation of what they leave. Where
observations are many, they are divided into compact blocks between which residuals are independent (first step), and every
tile uses the nearest of them (second step). What residuals have in common over long distances, and what is wrong with EOFs
of a short record, makes observations say less of the coefficients than they seem to: `trust` is the share that is believed.
"""

__all__ = ["EofPrior"]

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.linalg import cholesky, solve_triangular

from driftfield.gaussian.conditioning import SeenCells, condition
from driftfield.gaussian.covariance import HybridCovariance
from driftfield.gaussian.modes import Modes, coefficients


@dataclass(frozen=True)
class EofPrior:
    """The prior of standardised anomalies.

    Arguments:
        modes: e_k and lambda_k.
        scale: q (row, cell), positive.
        residual: C, with unit variance; local.
        trust: Share of the information on the coefficients that is used; 1 is exact for this prior.
    """

    modes: Modes
    scale: np.ndarray
    residual: HybridCovariance
    trust: float = 1.0

    @property
    def sd(self) -> np.ndarray:
        """Standard deviation of the prior: (row, cell)."""
        rows, cells = (np.arange(n) for n in self.scale.shape)
        leading = np.einsum("k,krx->rx", self.modes.variances, self.modes.patterns**2)
        return np.sqrt(leading + self.scale**2 * self.residual.variance(rows, cells))

    def condition(
        self,
        seen: SeenCells,
        *,
        rows: np.ndarray,
        wanted: np.ndarray,
        generators: tuple[np.random.Generator, ...] = (),
        most: int = 300,
        tiles: np.ndarray | None = None,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Posterior mean, variance and members of some rows.

        Arguments:
            seen: What was observed, standardised.
            rows: Rows to reconstruct.
            wanted: Cells to reconstruct, boolean (lat * lon,).
            generators: The random numbers of every member.
            most: Observations of one block or tile.
            tiles: Numbers of the tiles to do, all if not given (the others stay NaN).

        Returns:
            Mean (row, cell), variance (row, cell), members (member, row, cell), all standardised.
        """
        q = self.scale[seen.rows, seen.cells]
        # from here on in units of the residual
        patterns, scale = self.modes.patterns / self.scale, self.scale[rows]
        leading = patterns[:, seen.rows, seen.cells].T
        here = SeenCells(seen.rows, seen.cells, seen.values / q, seen.noise / q**2)
        m, covariance = coefficients(self.modes, self._blocks(here, leading, most))
        left = SeenCells(here.rows, here.cells, here.values - leading @ m, here.noise)
        draws, noise, normals = self._draw(seen, generators)
        # a pattern goes through as a member without noise: what comes out is e - G e_o
        mean, variance, drawn = condition(
            self.residual,
            left,
            rows=rows,
            wanted=wanted,
            draws=np.concatenate([draws, patterns]),
            draw_noise=np.concatenate([noise, np.zeros((len(self.modes), len(seen)), dtype=np.float32)]),
            most=most,
            tiles=tiles,
        )
        members, through = drawn[: len(draws)], drawn[len(draws) :] - mean
        root = np.linalg.cholesky(covariance)
        open_modes = np.tensordot(root.T, through, axes=1).astype(np.float32)
        leading_mean = np.tensordot(m, patterns[:, rows], axes=1).astype(np.float32)
        members = members + leading_mean + np.tensordot(normals, open_modes, axes=1)
        variance = variance + np.square(open_modes).sum(axis=0)
        return scale * (mean + leading_mean), scale**2 * variance, scale * members

    def _draw(
        self, seen: SeenCells, generators: tuple[np.random.Generator, ...]
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Per member a residual (row, cell), errors (seen,) and normal numbers for the coefficients (mode,)."""
        shape = self.scale.shape
        draws = np.zeros((len(generators), *shape), dtype=np.float32)
        noise = np.zeros((len(generators), len(seen)), dtype=np.float32)
        normals = np.zeros((len(generators), len(self.modes)), dtype=np.float32)
        for m, generator in enumerate(generators):
            normals[m] = generator.standard_normal(len(self.modes), dtype=np.float32)
            draws[m] = self.residual.draw(generator)
            # drawn for every cell of every row, so that a member does not depend on what else was observed
            noise[m] = generator.standard_normal(shape, dtype=np.float32)[seen.rows, seen.cells]
        return draws, noise, normals

    def _blocks(self, seen: SeenCells, leading: np.ndarray, most: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Whitened patterns and values of compact blocks of observations, all in units of the residual."""
        for block in _compact(self.residual.grid.points[seen.cells], most):
            here = seen[block]
            matrix = self.residual.among(here.rows, here.cells).astype(np.float64)
            matrix[np.diag_indices_from(matrix)] += here.noise + 1e-6
            factor = cholesky(matrix, lower=True, overwrite_a=True, check_finite=False)
            columns = np.column_stack([leading[block], here.values])
            whitened = solve_triangular(factor, columns, lower=True, check_finite=False)
            whitened *= np.sqrt(self.trust)
            yield whitened[:, :-1], whitened[:, -1]


def _compact(points: np.ndarray, most: int) -> Iterator[np.ndarray]:
    """Indices of blocks of at most `most` points, halved along their longest side until they are small enough."""
    pending = [np.arange(len(points))]
    while pending:
        index = pending.pop()
        if len(index) > most:
            side = int(np.argmax(np.ptp(points[index], axis=0)))
            order = index[np.argsort(points[index, side], kind="stable")]
            pending += [order[: len(order) // 2], order[len(order) // 2 :]]
        elif len(index):
            yield index

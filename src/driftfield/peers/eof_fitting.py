"""From an archive to priors of leading modes and residual, one for every number of modes.

    times in `folds` blocks:    residual of a block = its fields - their projection on the modes of the other blocks
    q(x)                        standard deviation of the residual, where known, smoothed from cell to cell
    C                           structure of residual / q (`tuning.Structure`)

In sample, m modes of n times take up m / n of any noise, and the residual looks smaller than it will be.
"""

__all__ = ["Candidates", "complete"]

import numpy as np

from driftfield.gaussian.covariance import EmbeddedGrid
from driftfield.gaussian.eof_prior import EofPrior
from driftfield.gaussian.modes import Modes, filled
from driftfield.gaussian.structure import Constants, Structure
from driftfield.peers.state import smooth_sd

FILLING = 6
"""Modes that a gappy archive is filled with before anything is learnt from it."""


class Candidates:
    """Priors for any number of modes up to `most`.

    Arguments:
        known: Standardised anomalies (time, row, cell), NaN where not known or outside the domain.
        domain: Boolean (row, cell).
        grid: Where.
        folds: Blocks of times.
        most: At most so many modes; half of the times of the other blocks is a limit of its own.
    """

    def __init__(self, known: np.ndarray, domain: np.ndarray, grid: EmbeddedGrid, *, folds: int, most: int) -> None:
        self.domain, self.grid, self.known = domain, grid, np.isfinite(known)
        self.fields, self.area = complete(known, domain, grid)
        blocks = np.array_split(np.arange(len(known)), min(folds, len(known)))
        self.most = max(1, min(most, (len(known) - len(blocks[0])) // 2))
        self.modes = Modes.fit(self.fields, self.area, self.most)
        self.most = len(self.modes)
        others = [np.delete(self.fields, block, axis=0) for block in blocks]
        self.folds = [(b, Modes.fit(rest, self.area, self.most)) for b, rest in zip(blocks, others, strict=True)]
        self._structures: dict[int, tuple[np.ndarray, Structure]] = {}

    def prior(self, count: int, constants: Constants, trust: float = 1.0) -> EofPrior:
        """The prior with so many modes."""
        scale, structure = self._residual(count)
        nothing = np.zeros((0, *scale.shape), dtype=np.float32)
        residual = structure.covariance(constants, nothing)
        return EofPrior(self.modes.first(count), scale, residual, trust)

    def _residual(self, count: int) -> tuple[np.ndarray, Structure]:
        if count not in self._structures:
            left = np.empty_like(self.fields)
            for block, modes in self.folds:
                own = modes.first(count)
                left[block] = self.fields[block] - own.sum(own.project(self.fields[block], self.area))
            left = np.where(self.known, left, 0.0)
            seen = np.maximum(self.known.sum(axis=0), 1)
            sd = np.sqrt(np.square(left).sum(axis=0, dtype=np.float64) / seen)
            shape = (-1, *self.grid.shape)
            scale = smooth_sd(sd.reshape(shape), self.domain.reshape(shape), periodic=self.grid.periodic)
            scale = scale.reshape(sd.shape).astype(np.float32)
            self._structures[count] = scale, Structure.estimate(left / scale, self.domain, self.grid, seen=self.known)
        return self._structures[count]


def complete(known: np.ndarray, domain: np.ndarray, grid: EmbeddedGrid) -> tuple[np.ndarray, np.ndarray]:
    """Fields without gaps (time, row, cell), 0 outside the domain, and the area of their cells (row, cell)."""
    area = domain * grid.cell_area.reshape(-1)[None]
    return filled(known, area, min(FILLING, len(known) // 2)), area

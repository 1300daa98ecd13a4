"""Analog blocks of rain: the shape of the fine block under the most similar coarse neighbourhoods, times the coarse value.

    x_block = y x'_block / y'          x', y': of the training blocks whose neighbourhoods, divided by y', are nearest

Every member has the coarse means. What is nearly dry stays even. For grids of any size.
"""

__all__ = ["AnalogBlocks"]

import numpy as np

from driftfield.errors import ConfigurationError, DataError
from driftfield.interfaces import Cannot
from driftfield.linalg.regridding import Regridding
from driftfield.peers.downscaling.analogs import shuffled
from driftfield.peers.downscaling.base import SPREADS, Date, Downscaler, Fitted, Samples
from driftfield.peers.downscaling.blocks import CoarseBlocks, neighbours
from driftfield.peers.downscaling.grids import PairGrids
from driftfield.reconstruction.output import Estimate
from driftfield.registry import register

POOL = 40_000
"""Training blocks at most."""


@register("downscaler")
class AnalogBlocks(Downscaler):
    """An ensemble of shapes of rain; members keep the coarse means. Needs a whole factor.

    Arguments:
        number: How many analogs; no more members can be drawn.
        reach: Coarse cells to every side that are compared.
        dry: What counts as dry, units of the variable.
    """

    method = "analog blocks"
    abilities = SPREADS
    follows_shifts = Cannot("scales rain, whose 0 has a meaning")

    def __init__(self, number: int = 16, reach: int = 2, dry: float = 0.02) -> None:
        if number < 1 or reach < 0 or dry <= 0:
            raise ConfigurationError(
                f"Found number {number}, reach {reach}, dry {dry}: expected 1, 0 and above 0 at least."
            )
        self.number, self.reach, self.dry = number, reach, dry

    def learn(self, samples: Samples, regridding: Regridding, grids: PairGrids) -> dict[str, np.ndarray]:
        """Shapes (block, cell) and what they are compared by."""
        if np.nanmin(samples.fine) < 0:
            raise DataError(
                f"AnalogBlocks needs fields that are not negative: found {np.nanmin(samples.fine):.4g}. Use it for rain."
            )
        blocks = CoarseBlocks.of(regridding, type(self).__name__)
        cells = blocks.split(samples.fine).reshape(-1, blocks.rows * blocks.columns)
        usable = np.flatnonzero((samples.coarse.ravel() > self.dry) & np.isfinite(cells).all(axis=1))
        if usable.size < self.number:
            raise DataError(
                f"Found {usable.size} wet blocks of {samples.name!r}: {self.number} analogs need as many. Give more dates."
            )
        chosen = np.sort(np.random.default_rng(self.seed).permutation(usable)[:POOL])
        compared = self._compared(samples.coarse).reshape(len(cells), -1)[chosen]
        shape = cells[chosen] / cells[chosen].mean(axis=1, keepdims=True)
        return {"compared": compared.astype(np.float32), "shape": shape.astype(np.float32)}

    def _compared(self, coarse: np.ndarray) -> np.ndarray:
        """(..., row, column, feature): neighbourhood over its middle, and half the logarithm of that."""
        around = neighbours(coarse + self.dry, self.reach)
        middle = np.maximum(around[..., around.shape[-1] // 2, None], 2.5 * self.dry)
        return np.concatenate([around / middle, 0.5 * np.log(middle)], axis=-1)

    def estimate(self, date: Date, fitted: Fitted, regridding: Regridding, grids: PairGrids) -> Estimate:
        """Members; the mean is that of all analogs."""
        blocks = CoarseBlocks.of(regridding, type(self).__name__)
        coarse = np.maximum(date.coarse, 0.0)
        wet = coarse > self.dry
        cells = np.broadcast_to(
            coarse[None, ..., None], (self.number, *coarse.shape, blocks.rows * blocks.columns)
        ).copy()
        if wet.any():
            near = _nearest(self._compared(coarse)[wet].astype(np.float32), fitted["compared"], self.number)
            cells[:, wet] = fitted["shape"][near.T] * coarse[wet][:, None]
        fields = blocks.join(cells)
        order = shuffled(date, self.number)
        return Estimate(fields.mean(axis=0), members=fields[order])


def _nearest(wanted: np.ndarray, pool: np.ndarray, number: int) -> np.ndarray:
    """(wanted, number) places in the pool, nearest first."""
    places = np.empty((len(wanted), number), dtype=int)
    size = np.square(pool).sum(axis=1)
    for start in range(0, len(wanted), 256):
        distance = size - 2 * (wanted[start : start + 256] @ pool.T)
        best = np.argpartition(distance, min(number, len(pool) - 1), axis=1)[:, :number]
        order = np.argsort(np.take_along_axis(distance, best, axis=1), axis=1, kind="stable")
        places[start : start + 256] = np.take_along_axis(best, order, axis=1)
    return places

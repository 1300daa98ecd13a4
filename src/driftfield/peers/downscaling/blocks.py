"""Coarse cells as blocks of fine cells, for methods that look at a neighbourhood and so work on a grid of any size.

fine (time, row, column)  <->  (time, coarse row, coarse column, cells of the block)          coarse  ->  its (2 r +
1)^2 neighbours
"""

__all__ = ["CoarseBlocks"]

from dataclasses import dataclass

import numpy as np

from driftfield.errors import DataError
from driftfield.linalg.regridding import Regridding


@dataclass(frozen=True)
class CoarseBlocks:
    """Whole blocks of equal size that fill the fine grid.

    Arguments:
        rows, columns: Fine cells along the edges of a block.
        shape: Of the coarse grid.
    """

    rows: int
    columns: int
    shape: tuple[int, int]

    @classmethod
    def of(cls, regridding: Regridding, method: str) -> "CoarseBlocks":
        """Of a map that was made by a whole factor.

        Raises:
            DataError: the coarse cells are no such blocks.
        """
        fine, coarse = regridding.fine.shape, regridding.coarse.shape
        nested = regridding.edges is not None and all(f % c == 0 for f, c in zip(fine, coarse, strict=True))
        if not nested:
            raise DataError(
                f"{method} works block by block: expected data.coarse.factor with a whole number, found {fine} fine and "
                f"{coarse} coarse "
                "cells. Use another method."
            )
        return cls(fine[0] // coarse[0], fine[1] // coarse[1], coarse)

    def split(self, fine: np.ndarray) -> np.ndarray:
        """(..., row, column) -> (..., coarse row, coarse column, cell)."""
        lead = fine.shape[:-2]
        parts = fine.reshape(*lead, self.shape[0], self.rows, self.shape[1], self.columns)
        return np.moveaxis(parts, -3, -2).reshape(*lead, *self.shape, self.rows * self.columns)

    def join(self, cells: np.ndarray) -> np.ndarray:
        """The inverse of `split`."""
        lead = cells.shape[:-3]
        parts = np.moveaxis(cells.reshape(*lead, *self.shape, self.rows, self.columns), -2, -3)
        return parts.reshape(*lead, self.shape[0] * self.rows, self.shape[1] * self.columns)


def neighbours(coarse: np.ndarray, reach: int) -> np.ndarray:
    """(..., row, column) -> (..., row, column, (2 reach + 1)^2); beyond the border the outermost values go on."""
    width = [(0, 0)] * (coarse.ndim - 2) + [(reach, reach)] * 2
    padded = np.pad(coarse, width, mode="edge")
    rows, columns = coarse.shape[-2:]
    steps = range(2 * reach + 1)
    return np.stack([padded[..., a : a + rows, b : b + columns] for a in steps for b in steps], axis=-1)

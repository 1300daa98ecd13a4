"""Cells and dates that hold complete fields together, for regressions that need them; and back to all cells."""

__all__ = ["complete", "everywhere"]

import logging

import numpy as np

from driftfield.errors import DataError
from driftfield.linalg.regridding import Regridding

log = logging.getLogger(__name__)

MOSTLY = 0.9
"""A cell that is known on this share of the dates is worth the dates on which it is not."""


def complete(fine: np.ndarray, domain: np.ndarray | None, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Cells (row, column) and dates (time,) that hold complete fields together; says what is left out.

    Arguments:
        fine: (time, row, column), NaN where unknown.
        domain: Where the variable exists.
        name: Of the variable.

    Raises:
        DataError: there is no such cell.
    """
    known = np.isfinite(fine)
    cells = known.mean(axis=0) >= MOSTLY
    dates = known[:, cells].all(axis=1)
    if dates.mean() < MOSTLY:
        cells, dates = known.all(axis=0), np.ones(len(fine), dtype=bool)
    if not cells.any():
        raise DataError(
            f"No cell of {name!r} is known at all training times: regression needs complete fields. "
            "Fill them first, or use another method."
        )
    if not dates.all():
        log.warning("%r: %d of %d training times have gaps: left out", name, int((~dates).sum()), dates.size)
    exists = known.any(axis=0) if domain is None else domain
    if lacking := int((exists & ~cells).sum()):
        log.warning(
            "%r: %d of %d cells have gaps in training: they get the interpolated coarse field, without a spread",
            name,
            lacking,
            int(exists.sum()),
        )
    return cells, dates


def everywhere(values: np.ndarray, cells: np.ndarray, regridding: Regridding, coarse: np.ndarray) -> np.ndarray:
    """From the cells of the regression to all cells; the others have the interpolated coarse field."""
    field = np.broadcast_to(regridding.interpolate(coarse, "bilinear"), (*values.shape[:-1], *cells.shape)).copy()
    field[..., cells] = values
    return field

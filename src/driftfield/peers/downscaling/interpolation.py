"""Interpolation of the coarse field to the centres of the fine cells: what every other method has to beat.

nearest      the value of the coarse cell around        bilinear      straight lines        bicubic      Keys (1981), a = -1/2
"""

__all__ = ["Bicubic", "Bilinear", "NearestCell"]

from typing import ClassVar

from driftfield.linalg.regridding import Kind, Regridding
from driftfield.peers.downscaling.base import Date, Downscaler, Fitted
from driftfield.peers.downscaling.grids import PairGrids
from driftfield.reconstruction.output import Estimate
from driftfield.registry import register


class _Interpolation(Downscaler):
    kind: ClassVar[Kind]
    needs_pairs = False

    def estimate(self, date: Date, fitted: Fitted, regridding: Regridding, grids: PairGrids) -> Estimate:
        """The interpolated field; one member, no spread."""
        return Estimate(regridding.interpolate(date.coarse, self.kind))


@register("downscaler")
class NearestCell(_Interpolation):
    """Every fine cell has the value of the nearest coarse one; deterministic."""

    method = "nearest cell"
    kind = "nearest"


@register("downscaler")
class Bilinear(_Interpolation):
    """Linear between the centres of the coarse cells; deterministic."""

    method = "bilinear"
    kind = "bilinear"


@register("downscaler")
class Bicubic(_Interpolation):
    """Cubic between the centres of the coarse cells; on blocks and regular grids; deterministic."""

    method = "bicubic"
    kind = "bicubic"

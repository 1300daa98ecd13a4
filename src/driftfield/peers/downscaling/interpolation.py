"""Interpolation of the coarse field to the centres of the fine cells: what every other method has to beat.

nearest      the value of the coarse cell around        bilinear      straight lines        bicubic      Keys (1981)
"""

__all__ = ["Bicubic", "Bilinear", "NearestCell"]

from typing import ClassVar

from driftfield.errors import ConfigurationError
from driftfield.linalg.interpolation import KEYS
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
class Bicubic(Downscaler):
    """Cubic between the centres of the coarse cells; on blocks and regular grids; deterministic.

    Arguments:
        constant: Of the kernel: -0.5 is Keys' and of third order; torch and OpenCV have -0.75, which is sharper.
    """

    method = "bicubic"
    needs_pairs = False

    def __init__(self, constant: float = KEYS) -> None:
        if isinstance(constant, bool) or not isinstance(constant, int | float) or not -3.0 <= constant <= 0.0:
            raise ConfigurationError(f"Found constant: {constant!r}: expected a number from -3 to 0, such as -0.5.")
        self.constant = float(constant)

    def estimate(self, date: Date, fitted: Fitted, regridding: Regridding, grids: PairGrids) -> Estimate:
        """The interpolated field; one member, no spread."""
        return Estimate(regridding.interpolate(date.coarse, "bicubic", constant=self.constant))

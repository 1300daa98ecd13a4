"""The peers that every report shows beside the model; importing the room makes them known to recipes."""

from driftfield.reconstruct.baselines.climatology import Climatology
from driftfield.reconstruct.baselines.linear import LinearInterpolation
from driftfield.reconstruct.baselines.optimal_interpolation import OptimalInterpolation

__all__ = ["Climatology", "LinearInterpolation", "OptimalInterpolation"]

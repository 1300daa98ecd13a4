"""The peers that every report shows beside the model; importing the room makes them known to recipes."""

from driftfield.reconstruct.baselines.climatology import Climatology
from driftfield.reconstruct.baselines.cubic import Cubic
from driftfield.reconstruct.baselines.dineof import DINEOF
from driftfield.reconstruct.baselines.eof import EOFOptimalInterpolation
from driftfield.reconstruct.baselines.inverse_distance import InverseDistance
from driftfield.reconstruct.baselines.linear import LinearInterpolation
from driftfield.reconstruct.baselines.nearest import Nearest
from driftfield.reconstruct.baselines.optimal_interpolation import OptimalInterpolation
from driftfield.reconstruct.baselines.persistence import Persistence
from driftfield.reconstruct.baselines.probabilistic_pca import ProbabilisticPCA
from driftfield.reconstruct.baselines.space_time import SpaceTimeOptimalInterpolation

__all__ = [
    "DINEOF",
    "Climatology",
    "Cubic",
    "EOFOptimalInterpolation",
    "InverseDistance",
    "LinearInterpolation",
    "Nearest",
    "OptimalInterpolation",
    "Persistence",
    "ProbabilisticPCA",
    "SpaceTimeOptimalInterpolation",
]

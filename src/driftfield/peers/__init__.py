"""The peers that every report shows beside the model; each is imported when it is asked for."""

from typing import TYPE_CHECKING, Any

from driftfield.registry import lookup

if TYPE_CHECKING:
    from driftfield.peers.climatology import Climatology
    from driftfield.peers.cubic import Cubic
    from driftfield.peers.dineof import DINEOF
    from driftfield.peers.eof import EOFOptimalInterpolation
    from driftfield.peers.inverse_distance import InverseDistance
    from driftfield.peers.linear import LinearInterpolation
    from driftfield.peers.nearest import Nearest
    from driftfield.peers.optimal_interpolation import OptimalInterpolation
    from driftfield.peers.persistence import Persistence
    from driftfield.peers.season_and_position import SeasonAndPosition
    from driftfield.peers.space_time import SpaceTimeOptimalInterpolation

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
    "SeasonAndPosition",
    "SpaceTimeOptimalInterpolation",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(
            f"module 'driftfield.peers' has no attribute {name!r}: expected one of {', '.join(__all__)}"
        )
    return lookup("reconstructor", name)

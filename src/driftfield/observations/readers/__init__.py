"""Observations as they are really delivered: profiles and tracks, each with its own traps, as points.

Argo or EN4 profile file | ERDDAP table (NetCDF, CSV) | World Ocean Database | along-track     --read_points-->     points
points  --superobs.bin_to_grid-->  observation file on the grid of a run or an archive
"""

from driftfield.observations.readers.collection import Counts, counts, to_frame
from driftfield.observations.readers.points import read_points
from driftfield.observations.readers.quality import Quality

__all__ = ["Counts", "Quality", "counts", "read_points", "to_frame"]

"""Which observations follow each other along a track, and how far apart: what errors that hang together are counted in.

pass of a satellite    rows in the order of time       kilometres along the ground
profile                rows in the order of depth      10 m down count as much as 1 km along the ground
"""

__all__ = ["KM_PER_METRE", "tracks"]

import numpy as np
import pandas as pd

from driftfield.earth import EARTH_RADIUS_KM
from driftfield.gridded.encodings import unit_sphere
from driftfield.observations.table import ObservationTable

KM_PER_METRE = 0.1


def tracks(table: ObservationTable) -> tuple[np.ndarray, np.ndarray]:
    """Number of the track (n,) and kilometres along it (n,), for `diffusion.covariance.along_track`.

    The rows of a platform and variable are a track; where it measures several depths at one time, each time is a track.
    """
    frame = table.to_frame()
    profile = frame.groupby(["platform", "variable", "time"]).depth.transform("nunique") > 1
    stamp = frame["time"].where(profile, pd.Timestamp(0))
    keys = ["platform", "variable", stamp, profile]
    number = frame.groupby(keys, dropna=False, sort=False).ngroup().to_numpy().copy()
    depth = np.nan_to_num(table.depth)
    order = np.lexsort((depth, table.time, number))
    place = unit_sphere(table.latitude, table.longitude)[order]
    chord = np.linalg.norm(np.diff(place, axis=0), axis=1)
    step = 2.0 * EARTH_RADIUS_KM * np.arcsin(np.minimum(0.5 * chord, 1.0)) + KM_PER_METRE * np.abs(
        np.diff(depth[order])
    )
    step[np.diff(number[order]) != 0] = 0.0
    along = np.zeros(len(table))
    along[order[1:]] = np.cumsum(step)
    return number, along

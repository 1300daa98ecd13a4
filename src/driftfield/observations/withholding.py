"""Observations kept for scoring: whole instruments or whole regions, and a margin around them that nobody uses.

used | margin | withheld          a neighbour of what is withheld would give the answer away
"""

__all__ = ["Withholding", "withhold"]

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.spatial import cKDTree

from driftfield.earth import EARTH_RADIUS_KM
from driftfield.errors import ConfigurationError, DataError, suggest
from driftfield.gridded.encodings import unit_sphere
from driftfield.observations.table import ObservationTable


@dataclass(frozen=True)
class Withholding:
    """Which rows are used, which are kept for scoring, and which are neither; a row is one of these."""

    used: np.ndarray
    withheld: np.ndarray
    margin: np.ndarray

    def __str__(self) -> str:
        return f"{self.used.sum()} used, {self.withheld.sum()} withheld, {self.margin.sum()} in the margin between them"


def withhold(
    table: ObservationTable,
    fraction: float,
    *,
    by: Literal["platform", "region"] = "platform",
    variables: Sequence[str] | None = None,
    buffer_km: float = 0.0,
    buffer_days: float | None = None,
    region_degrees: float = 5.0,
    seed: int = 0,
) -> Withholding:
    """Chooses groups of observations at random until a share of the rows is withheld.

    The choice depends on the groups, their sizes and the seed, not on the order of the rows. Of two possible ends the
    one nearer to the share is taken, but at least one group is withheld and one is used.

    Arguments:
        table: The observations.
        fraction: Share of the rows to withhold, in (0, 1).
        by: What goes together: the rows of a platform, or those in a box of latitude and longitude.
        variables: What may be withheld, such as the temperature of floats beside altimetry; `fraction` is of these rows. Other
            rows of a chosen group belong to the margin. All variables by default.
        buffer_km: Rows nearer than this to a withheld one are not used.
        buffer_days: As long as they are also nearer in time than this; None for any time.
        region_degrees: Side of the boxes.
        seed: Of the choice.

    Raises:
        ConfigurationError: a fraction, distance or group that cannot be.
        DataError: all rows are of one group, or the margin leaves nothing to use.
    """
    _check(fraction, by, buffer_km, buffer_days, region_degrees)
    eligible = _eligible(table, variables)
    group = np.unique(_groups(table, by, region_degrees), return_inverse=True)[1]
    groups, size = np.unique(group[eligible], return_counts=True)
    if groups.size < 2:
        raise DataError(
            f"All {eligible.sum()} observations are of one {by}: nothing is left to use. Withhold by "
            f"{'region' if by == 'platform' else 'platform, or in smaller regions'}."
        )
    order = np.random.default_rng(seed).permutation(groups.size)
    reached = np.cumsum(size[order])
    number = 1 + int(np.abs(reached[:-1] - fraction * eligible.sum()).argmin())
    chosen = np.isin(group, groups[order[:number]])
    withheld = chosen & eligible
    margin = ~withheld & (chosen | _near(table, withheld, buffer_km, buffer_days))
    if (withheld | margin).all():
        raise DataError(
            f"A margin of {buffer_km:g} km around what is withheld leaves nothing to use. Make it narrower."
        )
    return Withholding(~withheld & ~margin, withheld, margin)


def _eligible(table: ObservationTable, variables: Sequence[str] | None) -> np.ndarray:
    """Rows that may be withheld."""
    if variables is None:
        return np.ones(len(table), dtype=bool)
    known = set(table.variable)
    for name in variables:
        if name not in known:
            raise ConfigurationError(f"Nothing of {name!r} can be withheld: {suggest(name, known)}")
    return np.isin(table.variable.astype(str), list(variables))


def _groups(table: ObservationTable, by: str, region_degrees: float) -> np.ndarray:
    if by == "platform":
        return table.platform.astype(str)
    row = np.floor((table.latitude + 90.0) / region_degrees).astype(np.int64)
    column = np.floor(table.longitude % 360.0 / region_degrees).astype(np.int64)
    return row * (int(360.0 / region_degrees) + 1) + column


def _near(table: ObservationTable, withheld: np.ndarray, km: float, days: float | None) -> np.ndarray:
    """Rows that lie near to a withheld one."""
    if km == 0:
        return np.zeros(len(table), dtype=bool)
    place = unit_sphere(table.latitude, table.longitude) * EARTH_RADIUS_KM
    reach = 2.0 * EARTH_RADIUS_KM * np.sin(min(0.5 * km / EARTH_RADIUS_KM, 0.5 * np.pi))
    if days is None:
        distance, _ = cKDTree(place[withheld]).query(place, distance_upper_bound=reach * (1 + 1e-9))
        return np.isfinite(distance)
    # within both: a box in time and a ball in space, as the largest of two scaled distances is at most one
    stamp = table.time.astype("datetime64[s]").astype(np.int64) / 86400.0
    near = np.zeros(len(table), dtype=bool)
    tree = cKDTree(place[withheld])
    hidden = stamp[withheld]
    for row, found in enumerate(tree.query_ball_point(place, reach * (1 + 1e-9))):
        near[row] = bool(found) and float(np.abs(hidden[found] - stamp[row]).min()) <= days
    return near


def _check(fraction: float, by: str, buffer_km: float, buffer_days: float | None, region_degrees: float) -> None:
    if not 0 < fraction < 1:
        raise ConfigurationError(
            f"Found the share {fraction:g} to withhold: expected one between 0 and 1, such as 0.1."
        )
    if by not in ("platform", "region"):
        raise ConfigurationError(f"Found by={by!r}: expected 'platform' or 'region'.")
    if not 0 <= buffer_km < np.inf or (buffer_days is not None and not 0 <= buffer_days < np.inf):
        raise ConfigurationError(f"Found a margin of {buffer_km} km, {buffer_days} days: expected 0 or more.")
    if not 0 < region_degrees <= 180:
        raise ConfigurationError(f"Found regions of {region_degrees} degrees: expected above 0, up to 180.")

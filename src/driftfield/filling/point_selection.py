"""From the table of observations to the values of a map: on its levels, in its box, with what belongs together numbered.

profile  --linear in depth, never beyond its ends-->  the levels           the shallowest value, for the surface
track, float, station  -->  what one instrument saw within half a day, or at one place, is left out together
"""

__all__ = ["near_box", "thinned", "values_of"]

import logging
from collections.abc import Sequence

import numpy as np
import pandas as pd

from driftfield.errors import DataError, suggest
from driftfield.filling.map_grid import days_of
from driftfield.filling.point_values import PointValues
from driftfield.observations.readers.superobs import align
from driftfield.observations.table import ObservationTable

log = logging.getLogger(__name__)

_TOGETHER_DAYS = 0.5
_MANY = 20_000
_MARGIN = 0.5


def values_of(
    table: ObservationTable, name: str, *, levels: Sequence[float] | None, centre: float = 0.0, surface: float = 10.0
) -> PointValues:
    """The values of a variable on the levels of the map: a profile is interpolated to them, never beyond its ends.

    Arguments:
        table: All observations.
        name: Of the variable.
        levels: Metres; None for the surface, which takes the shallowest value of a profile.
        centre: Longitude around which longitudes are unwrapped.
        surface: Down to which depth a value counts for the surface or for a level above it.

    Raises:
        DataError: no such variable, or nothing of it that can be used.
    """
    known = sorted({str(v) for v in table.variable})
    if name not in known:
        raise DataError(f"No variable {name!r} among the observations: {suggest(name, known)}")
    mine = table.select((table.variable.astype(str) == name) & _usable(table))
    if not len(mine):
        raise DataError(f"Nothing of {name!r} can be used: no row has a finite value, a place and a date.")
    frame = pd.DataFrame(
        {
            "lat": mine.latitude,
            "lon": centre + (mine.longitude - centre + 180.0) % 360.0 - 180.0,
            "depth": np.nan_to_num(mine.depth),
            "days": days_of(mine.time),
            "value": mine.value,
            "error": np.nan_to_num(mine.error),
            "group": _together(mine),
        }
    )
    if (frame["depth"] > 0).any():
        frame = _on_levels(frame, levels, surface)
    elif levels is not None and max(levels) > surface:
        raise DataError(
            f"The values of {name!r} have no depth: nothing can be said of {max(levels):g} m. Drop the levels."
        )
    if not len(frame):
        raise DataError(f"No profile of {name!r} reaches the levels {levels or f'above {surface:g} m'}. Name others.")
    log.info("%s: %d values of %d profiles or passes", name, len(frame), frame["group"].nunique())
    arrays = {key: frame[key].to_numpy(np.float64) for key in ("lat", "lon", "depth", "days", "value", "error")}
    return PointValues(name, **arrays, group=frame["group"].to_numpy(), attrs=dict(table.attrs.get(name, {})))


def _usable(table: ObservationTable) -> np.ndarray:
    """Rows with a finite value, a place and a date that no flag speaks against; says how many have not."""
    good = np.isfinite(table.value) & np.isfinite(table.latitude) & np.isfinite(table.longitude) & ~np.isnat(table.time)
    good &= table.flag <= 2
    if dropped := int((~good).sum()):
        log.info("%d rows are left out: no value, place or date, or a flag of 3 or more", dropped)
    return good


def _together(table: ObservationTable) -> np.ndarray:
    """Number of the profile, pass or station of every row: what one instrument saw within half a day, or at one place."""
    days = days_of(table.time)
    place = [f"{a:.3f} {b:.3f}" for a, b in zip(table.latitude, table.longitude, strict=True)]
    frame = pd.DataFrame({"platform": table.platform.astype(str), "days": days, "place": place})
    nameless = frame["platform"] == ""
    frame.loc[nameless, "platform"] = frame.loc[nameless, "place"]
    fixed = frame.groupby("platform")["place"].transform("nunique") == 1
    ordered = frame.assign(fixed=fixed).sort_values(["platform", "days"], kind="stable")
    other = (ordered["platform"] != ordered["platform"].shift()).to_numpy()
    late = (ordered["days"].diff() > _TOGETHER_DAYS).to_numpy() & ~ordered["fixed"].to_numpy()
    return pd.Series(np.cumsum(other | late), index=ordered.index).sort_index().to_numpy()


def _on_levels(frame: pd.DataFrame, levels: Sequence[float] | None, surface: float) -> pd.DataFrame:
    """Every profile on the levels; a level above its first value has that value, if both lie within `surface`."""
    wanted = np.array([0.0] if levels is None else sorted(levels), dtype=np.float64)
    casts = frame.groupby(["group", "lat", "lon", "days"], sort=False)
    parts = []
    for (group, lat, lon, days), cast in casts:
        depth, value, error = (cast[key].to_numpy() for key in ("depth", "value", "error"))
        first = int(depth.argmin())
        if depth[first] <= surface:
            depth, value, error = (
                np.append(a, b) for a, b in ((depth, 0.0), (value, value[first]), (error, error[first]))
            )
        y, e, _ = align(depth, value, error, wanted, max_gap=50.0)
        seen = np.isfinite(y)
        columns = {"depth": wanted[seen], "value": y[seen], "error": e[seen]}
        parts.append(pd.DataFrame({"group": group, "lat": lat, "lon": lon, "days": days} | columns))
    return pd.concat(parts, ignore_index=True)


def thinned(values: PointValues, step: float) -> PointValues:
    """Means of what lies within half a step and a day, where there are more values than can be worked with."""
    if len(values) <= _MANY:
        return values
    keys = np.stack(
        [values.lat // (0.5 * step), values.lon // (0.5 * step), values.depth, np.floor(values.days)], axis=1
    )
    inverse = np.unique(keys, axis=0, return_inverse=True)[1].ravel()
    count = np.bincount(inverse)
    mean = {
        k: np.bincount(inverse, getattr(values, k)) / count for k in ("lat", "lon", "depth", "days", "value", "error")
    }
    group = np.zeros(count.size, dtype=np.int64)
    group[inverse] = values.group
    log.info("%d values are %d means of half a cell and a day", len(values), count.size)
    return PointValues(values.name, **mean, group=group, attrs=values.attrs)


def near_box(table: ObservationTable, lat: np.ndarray, lon: np.ndarray) -> ObservationTable:
    """What lies in the box or not far outside: half of its size, which still says something of its edge."""
    height, width = max(float(np.ptp(lat)), 0.5), max(float(np.ptp(lon)), 0.5)
    east = (table.longitude - float(lon.mean()) + 180.0) % 360.0 - 180.0
    inside = np.abs(table.latitude - float(lat.mean())) <= (0.5 + _MARGIN) * height
    inside &= np.abs(east) <= (0.5 + _MARGIN) * width
    if not inside.any():
        raise DataError(
            f"None of the {len(table)} observations lies near the box {lat.min():g} to {lat.max():g} N, {lon.min():g} to "
            f"{lon.max():g} E: they are within {np.nanmin(table.latitude):g} to {np.nanmax(table.latitude):g} N, "
            f"{np.nanmin(table.longitude):g} to {np.nanmax(table.longitude):g} E. Name another box."
        )
    if not inside.all():
        log.info("%d of %d observations lie far from the box and are left out", int((~inside).sum()), len(table))
    return table.select(inside)

"""Dates in groups that have constants of their own: none, hour, month or season."""

__all__ = ["group_of", "groups_of", "refuse_untrained"]

import numpy as np
import xarray as xr

from driftfield.errors import ConfigurationError, DataError

BY = ("none", "hour", "month", "season")
SEASONS = ("DJF", "MAM", "JJA", "SON")


def check_by(by: str) -> str:
    """The word itself.

    Raises:
        ConfigurationError: it is none of `BY`.
    """
    if by not in BY:
        raise ConfigurationError(f"Found by: {by!r}: expected one of {BY}.")
    return by


def groups_of(dates: xr.DataArray, by: str) -> np.ndarray:
    """The number of the group of every date: an hour 0 to 23, a month 1 to 12, a season 0 (winter of the north) to 3, or 0."""
    if by == "none":
        return np.zeros(dates.size, dtype=int)
    if by == "hour":
        return np.asarray(dates.dt.hour.values, dtype=int)
    month = np.asarray(dates.dt.month.values, dtype=int)
    return month if by == "month" else (month % 12) // 3


def group_of(date: xr.DataArray, by: str) -> int:
    """Of one date."""
    return int(groups_of(date.expand_dims("time"), by)[0])


def refuse_untrained(group: int, trained: np.ndarray, by: str, method: str) -> int:
    """The place of a group among those that were trained.

    Raises:
        DataError: none of its dates was in training; says which were.
    """
    place = np.flatnonzero(np.asarray(trained).astype(int) == group)
    if not place.size:
        names = [SEASONS[int(g)] if by == "season" else str(int(g)) for g in np.asarray(trained)]
        here = SEASONS[group] if by == "season" else str(group)
        raise DataError(
            f"{method} has constants by {by} and no training data of {by} {here}: found {', '.join(names)}. Train on such "
            "dates, or "
            "with by: none."
        )
    return int(place[0])

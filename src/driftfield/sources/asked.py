"""What a user asks of a service, and the pieces that it is asked in."""

__all__ = ["AskedBox", "Piece", "Source", "cells_in", "eastward", "spans", "write_piece"]

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Protocol

import xarray as xr

from driftfield.errors import ConfigurationError, DataError, suggest

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class AskedBox:
    """A box of space and time.

    Arguments:
        lat: South and north, degrees.
        lon: West and east, degrees, in either convention; west may lie beyond east across the dateline.
        first, last: Dates, both included.
        depth: Shallowest and deepest, metres.
        variables: Names of the service; its usual ones if empty.
        levels: Of pressure, hPa; fields at the surface if empty.
        hours: Of each day, UTC; the service's usual ones if empty.
        dataset: Which of the service's data sets; its usual one if empty.
    """

    lat: tuple[float, float]
    lon: tuple[float, float]
    first: date
    last: date
    depth: tuple[float, float] | None = None
    variables: Sequence[str] = ()
    levels: Sequence[int] = ()
    hours: Sequence[int] = ()
    dataset: str = ""

    def __post_init__(self) -> None:
        if not -90 <= self.lat[0] < self.lat[1] <= 90:
            raise ConfigurationError(
                f"Found latitudes {self.lat[0]:g} to {self.lat[1]:g}: expected south before north."
            )
        if self.lon[0] == self.lon[1] or not all(-180 <= x <= 360 for x in self.lon):
            raise ConfigurationError(f"Found longitudes {self.lon[0]:g} to {self.lon[1]:g}: expected -180 to 360.")
        if self.last < self.first:
            raise ConfigurationError(f"Found dates {self.first} to {self.last}: expected the first before the last.")
        if self.depth is not None and not 0 <= self.depth[0] < self.depth[1]:
            raise ConfigurationError(
                f"Found depths {self.depth[0]:g} to {self.depth[1]:g}: expected metres, 0 or more."
            )


@dataclass(frozen=True)
class Piece:
    """One request.

    Arguments:
        url: What is asked.
        name: Of the file that the answer is kept in.
        bytes: How large the answer will be, if the service's files are all alike.
        may_be_empty: Whether "not found" says that there is nothing in this box.
        request: What a client library is asked, where the service has one; `url` then says the same for people.
    """

    url: str
    name: str
    bytes: int | None = None
    may_be_empty: bool = False
    request: Mapping[str, Any] = field(default_factory=dict)


class Source(Protocol):
    """A service.

    `server` is its address, `terms` under which its data may be used, `account` what it asks of whoever fetches them, and `takes`
    says which of depth, levels, hours and dataset can be asked for.
    """

    @property
    def server(self) -> str: ...
    @property
    def terms(self) -> str: ...
    @property
    def account(self) -> str: ...
    @property
    def takes(self) -> tuple[str, ...]: ...

    def carrier(self, server: str) -> Callable[[Piece, Path], None] | None:
        """Who asks for the pieces, see `fetching.Carrier`; None for plain HTTPS."""

    def pieces(self, asked: AskedBox, server: str) -> list[Piece]:
        """The requests that answer what was asked."""

    def joined(self, files: Sequence[Path], asked: AskedBox) -> xr.Dataset:
        """One data set from the answers, cut to what was asked."""


def spans(first: date, last: date, days: int, *, within_months: bool = False) -> list[tuple[date, date]]:
    """The dates in spans of so many days; none of them in two months, if that is asked for."""
    parts, begin = [], first
    while begin <= last:
        end = min(begin + timedelta(days=days - 1), last)
        if within_months and (end.year, end.month) != (begin.year, begin.month):
            end = date(begin.year + begin.month // 12, begin.month % 12 + 1, 1) - timedelta(days=1)
        parts.append((begin, end))
        begin = end + timedelta(days=1)
    return parts


def eastward(west: float, east: float) -> tuple[float, float]:
    """West and an east that lies east of it: (170, -170) is (170, 190)."""
    if east - west >= 360:
        return -180.0, 180.0
    return west, west + (east - west) % 360.0


def cells_in(asked: AskedBox, spacing: float) -> int:
    """How many cells of a regular grid lie in the box, about."""
    west, east = eastward(*asked.lon)
    return math.ceil((asked.lat[1] - asked.lat[0]) / spacing + 1) * math.ceil(
        min((east - west) / spacing + 1, 360 / spacing)
    )


def write_piece(fields: xr.Dataset, part: Path, names: Sequence[str]) -> None:
    """Writes the fields of a piece, once it is sure that they are what was asked for.

    Raises:
        DataError: a variable is not there, or nothing of it has a value.
    """
    present = [str(name) for name in fields.data_vars]
    for name in names:
        if name not in present:
            raise DataError(f"The service has no variable {name!r}: {suggest(name, present)}")
    for name in present:
        if not bool(fields[name].notnull().any()):
            raise DataError(f"The service has no value of {name!r} in this box and time. Ask for another.")
    fields.drop_encoding().to_netcdf(
        part, engine="netcdf4", encoding={n: {"zlib": True, "complevel": 1} for n in present}
    )

"""What a user asks of a service, and the pieces that it is asked in."""

__all__ = ["AskedBox", "Piece", "Source"]

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Protocol

import xarray as xr

from driftfield.errors import ConfigurationError


@dataclass(frozen=True)
class AskedBox:
    """A box of space and time.

    Arguments:
        lat: South and north, degrees.
        lon: West and east, degrees, in either convention; west may lie beyond east across the dateline.
        first, last: Dates, both included.
        depth: Shallowest and deepest, metres.
        variables: Names of the service; its usual ones if empty.
    """

    lat: tuple[float, float]
    lon: tuple[float, float]
    first: date
    last: date
    depth: tuple[float, float] | None = None
    variables: Sequence[str] = ()

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
    """

    url: str
    name: str
    bytes: int | None = None
    may_be_empty: bool = False


class Source(Protocol):
    """A service."""

    server: str
    terms: str

    def pieces(self, asked: AskedBox, server: str) -> list[Piece]:
        """The requests that answer what was asked."""

    def joined(self, files: Sequence[Path], asked: AskedBox) -> xr.Dataset:
        """One data set from the answers, cut to what was asked."""

"""What a picture of a file shows and where it looks: parts, a date, a level, a place, as a user names them."""

__all__ = ["PARTS", "FieldPlot"]

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import xarray as xr

from driftfield.conventions import positions_of
from driftfield.errors import ConfigurationError, suggest
from driftfield.evaluate.drawing import place
from driftfield.gridded.choosing import dates_beginning, nearest_on_axis

PARTS = ("mean", "spread", "difference", "members", "quantiles", "section", "profile", "series")


@dataclass(frozen=True)
class FieldPlot:
    """What to draw, and where to look.

    Arguments:
        parts: Some of `PARTS`; all that the file has by default.
        time: Index of the date.
        depth: Index of the level.
        row, column: Indices of the latitude and longitude that section, profile and series go through; by default where the
            spread, or else the field, varies most.
        members: Panels of members, at most.
        along: "lon" for a section along the row, "lat" for one along the column.
    """

    parts: Sequence[str] | None = None
    time: int = 0
    depth: int = 0
    row: int | None = None
    column: int | None = None
    members: int = 4
    along: str = "lon"

    @classmethod
    def at(
        cls,
        fields: xr.Dataset,
        parts: Sequence[str] | None = None,
        *,
        time: str | None = None,
        depth: float | None = None,
        lat: float | None = None,
        lon: float | None = None,
        members: int = 4,
        along: str = "lon",
    ) -> Self:
        """By the beginning of a date, metres and degrees in place of indices; the nearest that the file holds.

        Raises:
            ConfigurationError: a date, a depth or a place that the file does not have.
        """
        level = 0 if depth is None else nearest_on_axis(fields, "depth", depth)
        return cls(parts, _date(fields, time), level, *_cell(fields, lat, lon), members, along)

    def __post_init__(self) -> None:
        for part in self.parts or ():
            if part not in PARTS:
                raise ConfigurationError(f"No part {part!r} of a picture: {suggest(part, PARTS)}")
        if self.along not in ("lon", "lat"):
            raise ConfigurationError(f"Found a section along {self.along!r}: expected 'lon' or 'lat'.")

    def wants(self, part: str) -> bool:
        """Whether this part was asked for, or nothing in particular."""
        return self.parts is None or part in self.parts


def _cell(fields: xr.Dataset, lat: float | None, lon: float | None) -> tuple[int | None, int | None]:
    """Row and column of a place; of a grid whose rows are no latitudes, of the cell that it lies in."""
    positions = positions_of(fields)
    if positions is None or (lat is None and lon is None):
        return (
            None if lat is None else nearest_on_axis(fields, "lat", lat),
            None if lon is None else nearest_on_axis(fields, "lon", lon),
        )
    if lat is None or lon is None:
        raise ConfigurationError(
            "Found --lat without --lon or --lon without --lat: expected both, the rows of this grid are no latitudes."
        )
    rows, columns = positions.nearest(np.array([lat]), np.array([lon]))
    if rows[0] < 0:
        raise ConfigurationError(
            f"Found {place(lat, lon)}: expected a place on the grid of the file, which ends before."
        )
    return int(rows[0]), int(columns[0])


def _date(fields: xr.Dataset, text: str | None) -> int:
    """The first date that begins so."""
    if text is None:
        return 0
    dates, matching = dates_beginning(fields, text)
    if not matching:
        holds = f"{dates[0]} ... {dates[-1]}" if dates else "no dates"
        raise ConfigurationError(f"No date in the file begins with {text!r}: it holds {holds}.")
    return matching[0]

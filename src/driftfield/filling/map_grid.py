"""Where a map is wanted: a step and a box, or axes; levels; and dates at a step, all of them.

box S, N, W, E and step -> cell centres from edge to edge          every 1M -> the months, mapped in their middle
"""

__all__ = ["MapCells", "MapGrid", "days_of"]

from dataclasses import dataclass
from typing import Self

import numpy as np
import pandas as pd
import xarray as xr

from driftfield.conventions import DIMS, LATITUDE, LONGITUDE
from driftfield.errors import ConfigurationError
from driftfield.gaussian.space_time_covariance import Places
from driftfield.gridded.encodings import as_dates, is_monthly


@dataclass(frozen=True)
class MapGrid:
    """Where the map is wanted.

    Arguments:
        box: South, north, west, east, degrees; the edges are cell centres.
        step: Degrees between cell centres.
        every: Step of the dates, such as 1D, 5D or 1M (the months).
        levels: Depths in metres; None for the surface.
        times: First and last date; those of the observations where not given.
        lat, lon: Instead of box and step, degrees.
        dates: Instead of `every` and `times`.
        domain: Boolean (lat, lon) or (level, lat, lon): where the field exists; everywhere if not given.
    """

    box: tuple[float, float, float, float] | None = None
    step: float | None = None
    every: str | None = None
    levels: tuple[float, ...] | None = None
    times: tuple[str | None, str | None] = (None, None)
    lat: np.ndarray | None = None
    lon: np.ndarray | None = None
    dates: np.ndarray | None = None
    domain: np.ndarray | None = None

    def axes(self) -> tuple[np.ndarray, np.ndarray]:
        """Latitudes and longitudes, ascending.

        Raises:
            ConfigurationError: neither axes nor a box with a step, or an empty box.
        """
        if self.lat is not None and self.lon is not None:
            return np.asarray(self.lat, dtype=np.float64), np.asarray(self.lon, dtype=np.float64)
        if self.box is None or self.step is None:
            raise ConfigurationError("The grid needs a box and a step, or latitudes and longitudes. Name them.")
        south, north, west, east = self.box
        east = east if east > west else east + 360.0
        if not (-90 <= south < north <= 90) or not 0 < self.step <= min(north - south, east - west):
            raise ConfigurationError(
                f"Found the box {self.box} with a step of {self.step}: expected south < north within -90 and 90, west < "
                "east, and a step that fits in."
            )
        return _centres(south, north, self.step), _centres(west, east, self.step)

    @classmethod
    def like(cls, dataset: xr.Dataset) -> Self:
        """The coordinates of a data set: lat, lon, time and, if there is one, depth.

        Raises:
            ConfigurationError: one of them is missing.
        """
        for axis in ("lat", "lon", "time"):
            if axis not in dataset.coords:
                found = sorted(map(str, dataset.coords))
                raise ConfigurationError(f"The grid has no coordinate {axis!r}: found {found}. Add it.")
        levels = tuple(dataset["depth"].values.tolist()) if "depth" in dataset.dims else None
        lat, lon, dates = (dataset[axis].values for axis in ("lat", "lon", "time"))
        return cls(lat=lat, lon=lon, dates=dates, levels=levels)

    def when(self, days: np.ndarray) -> np.ndarray:
        """The dates, datetime64; by default from the first to the last of the observations, given in days since 1970.

        Raises:
            ConfigurationError: no step, one that is none, or no date.
        """
        if self.dates is not None:
            return np.asarray(self.dates).astype("datetime64[ns]")
        if self.every is None:
            raise ConfigurationError("The map needs dates: a step such as every='1M', or dates themselves. Name one.")
        ends = [pd.Timestamp(np.floor(d), unit="D") for d in (days.min(), days.max())]
        first, last = (end if text is None else pd.Timestamp(text) for end, text in zip(ends, self.times, strict=True))
        try:
            offset = pd.tseries.frequencies.to_offset(_starting(self.every))
            if self.times[0] is None:
                first = offset.rollback(first)
            dates = pd.date_range(first, last, freq=offset)
        except (ValueError, TypeError) as error:
            raise ConfigurationError(f"Cannot make dates every {self.every!r}: {error}. Say 1D, 5D or 1M.") from error
        if not len(dates):
            raise ConfigurationError(f"No date from {first:%Y-%m-%d} to {last:%Y-%m-%d}. Widen the period.")
        return dates.to_numpy()


@dataclass(frozen=True)
class MapCells:
    """All cells of one map, at every date.

    Arguments:
        template: Coordinates of the result.
        dims: Of a field, time first.
        domain: Boolean, where the field exists, without time.
    """

    template: xr.Dataset
    dims: tuple[str, ...]
    domain: np.ndarray

    @classmethod
    def of(cls, grid: MapGrid, days: np.ndarray) -> Self:
        """The cells of a grid for observations at some days since 1970."""
        lat, lon = grid.axes()
        coords = {
            "time": ("time", grid.when(days), {"standard_name": "time"}),
            "lat": ("lat", lat, dict(LATITUDE)),
            "lon": ("lon", lon, dict(LONGITUDE)),
        }
        if grid.levels is not None:
            attrs = {"standard_name": "depth", "units": "m", "positive": "down", "axis": "Z"}
            coords["depth"] = ("depth", np.array(sorted(grid.levels), dtype=np.float64), attrs)
        dims = tuple(d for d in DIMS if d in coords)
        template = xr.Dataset(coords=coords)
        shape = tuple(template.sizes[d] for d in dims[1:])
        exists = True if grid.domain is None else grid.domain
        return cls(template, dims, np.broadcast_to(np.asarray(exists, dtype=bool), shape))

    @property
    def shape(self) -> tuple[int, ...]:
        """Of a field."""
        return tuple(self.template.sizes[d] for d in self.dims)

    @property
    def places(self) -> Places:
        """Of the cells in the domain."""
        depth = self.template["depth"].values if "depth" in self.dims else np.zeros(1)
        cells = np.meshgrid(depth, self.template["lat"].values, self.template["lon"].values, indexing="ij")
        z, y, x = (part.ravel()[self.domain.ravel()] for part in cells)
        return Places(y, x, z, np.zeros(y.size))

    @property
    def days(self) -> np.ndarray:
        """Days since 1970 that the dates stand for: the middle of the month, where they are a month or more apart."""
        days = days_of(self.template["time"].values)
        if not is_monthly(self.template["time"]):
            return days
        dates = as_dates(self.template["time"]).dt
        middle: np.ndarray = days - (dates.day.values - 1.0) + dates.days_in_month.values / 2.0
        return middle


def days_of(times: np.ndarray) -> np.ndarray:
    """Days since 1970 of datetime64."""
    return times.astype("datetime64[ms]").astype(np.int64) / 86_400_000.0


def _centres(first: float, last: float, step: float) -> np.ndarray:
    return first + step * np.arange(int((last - first) / step + 1e-6) + 1)


def _starting(every: str) -> str:
    """1M means the months, from their first day, as 1MS does; Y the years."""
    text = every.strip()
    number = text.rstrip("MY")
    return text + "S" if text[-1:] in ("M", "Y") and (not number or number.isdigit()) else text

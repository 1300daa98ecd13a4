"""Windows over the grid.

    +--------+            row, col: the south-west corner; longitude wraps where the grid is periodic:
    | window |            col + width may pass the last column and goes on at the first
    +--------+

A sample is (time, window). The index lists the windows with the share of cells that do not exist in each.
"""

__all__ = ["Window", "centre", "cut", "nodata_fractions", "window_index", "window_size", "window_table"]

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from driftfield.errors import ConfigurationError


@dataclass(frozen=True, order=True)
class Window:
    """A rectangle of cells.

    Arguments:
        row: First row (from the south).
        col: First column.
        height: Number of rows.
        width: Number of columns.
    """

    row: int
    col: int
    height: int
    width: int

    @property
    def rows(self) -> np.ndarray:
        """Rows of the grid."""
        return np.arange(self.row, self.row + self.height)

    def columns(self, grid_width: int) -> np.ndarray:
        """Columns of a grid, wrapped."""
        return np.arange(self.col, self.col + self.width) % grid_width


def cut(array: xr.DataArray, rows: np.ndarray, columns: np.ndarray) -> xr.DataArray:
    """Some rows and columns of a field (..., lat, lon), by slices, so that of a lazy field nothing else is read.

    Arguments:
        array: On the whole grid.
        rows: Neighbouring ones, from the south.
        columns: As of `Window.columns`; they may go on at the first behind the last.
    """
    band = array.isel(lat=slice(int(rows[0]), int(rows[-1]) + 1))
    runs = np.split(columns, np.flatnonzero(np.diff(columns) != 1) + 1)
    parts = [band.isel(lon=slice(int(run[0]), int(run[-1]) + 1)) for run in runs]
    return parts[0] if len(parts) == 1 else xr.concat(parts, "lon")


def window_index(
    domain: np.ndarray | xr.DataArray,
    size: int | Sequence[int],
    stride: int | Sequence[int],
    *,
    periodic: bool = False,
    max_nodata_fraction: float = 1.0,
) -> tuple[list[Window], np.ndarray]:
    """All windows of one size, row by row; the last row and column end at the border of the grid.

    Arguments:
        domain: Where the field exists: boolean ([level,] lat, lon); a cell exists if one of its levels does.
        size: Edge in cells, or (height, width).
        stride: Step in cells, or (in rows, in columns).
        periodic: Whether longitude wraps: windows then start at every `stride` columns.
        max_nodata_fraction: Leave out windows with a larger share of cells that do not exist.

    Returns:
        The windows, and the share of cells that do not exist in each.

    Raises:
        ConfigurationError: a window that is larger than the grid, a stride below 1, or no window left.
    """
    levels = np.asarray(domain, dtype=bool)
    exists = np.any(levels.reshape(-1, *levels.shape[-2:]), axis=0)
    (height, width), (down, right) = _pair(size), _pair(stride)
    if min(height, width, down, right) < 1 or height > exists.shape[0] or width > exists.shape[1]:
        raise ConfigurationError(
            f"Windows of {height} x {width} every {down} x {right} cells on a grid of {exists.shape[0]} x "
            f"{exists.shape[1]}: expected at least 1 and at most the grid. Choose a smaller size."
        )
    windows = [
        Window(row, col, height, width)
        for row in _starts(exists.shape[0], height, down, wraps=False)
        for col in _starts(exists.shape[1], width, right, wraps=periodic)
    ]
    nodata = nodata_fractions(exists, windows)
    keep = [i for i, share in enumerate(nodata) if share <= max_nodata_fraction]
    if not keep:
        raise ConfigurationError(
            f"Every window has more than {max_nodata_fraction:.0%} cells without data (least: {min(nodata):.0%}). "
            "Raise max_nodata_fraction, or choose smaller windows."
        )
    return [windows[i] for i in keep], np.array([nodata[i] for i in keep])


def window_size(size: Any) -> tuple[int, int]:
    """Cells (lat, lon) of a window: one edge, or both."""
    pair = (size, size) if isinstance(size, int) else size
    if not isinstance(pair, Sequence) or len(pair) != 2 or not all(type(edge) is int for edge in pair):
        raise ConfigurationError(f"Found the window size {size!r}: expected cells, such as 64 or [48, 64].")
    return pair[0], pair[1]


def nodata_fractions(exists: np.ndarray, windows: Sequence[Window]) -> np.ndarray:
    """Share of cells that do not exist in each window.

    Arguments:
        exists: Boolean (lat, lon).
        windows: On this grid; longitude may wrap.
    """
    total = np.zeros((exists.shape[0] + 1, 2 * exists.shape[1] + 1))
    total[1:, 1:] = np.cumsum(np.cumsum(np.concatenate([exists, exists], axis=1), axis=0), axis=1)

    def share(window: Window) -> float:
        row, col, top, end = window.row, window.col, window.row + window.height, window.col + window.width
        cells = total[top, end] - total[row, end] - total[top, col] + total[row, col]
        return float(1.0 - cells / (window.height * window.width))

    return np.array([share(window) for window in windows])


def window_table(exists: np.ndarray, lat: np.ndarray, lon: np.ndarray, windows: Mapping[str, Sequence[Window]]) -> str:
    """The windows of every split as CSV: place on the grid, centre in degrees, and the share of cells that do not exist.

    Arguments:
        exists: Boolean (lat, lon).
        lat, lon: Of the grid.
        windows: By split.
    """
    rows = ["split,row,column,height,width,lat,lon,nodata_fraction"]
    for split, found in windows.items():
        for window, nodata in zip(found, nodata_fractions(exists, found), strict=True):
            north, east = centre(lat[window.rows], lon[window.columns(len(lon))])
            place = f"{window.row},{window.col},{window.height},{window.width},{north:.6g},{east:.6g}"
            rows.append(f"{split},{place},{nodata:.6g}")
    return "\n".join(rows) + "\n"


def centre(lat: np.ndarray | xr.DataArray, lon: np.ndarray | xr.DataArray) -> tuple[float, float]:
    """The middle of a window from its latitudes and longitudes, safe across the dateline.

    Arguments:
        lat: Latitudes of the window.
        lon: Longitudes of the window from west to east, in any convention; they may cross the dateline.

    Returns:
        Latitude, and longitude in [-180, 180).
    """
    lats = np.asarray(lat, dtype=np.float64)
    lons = np.unwrap(np.asarray(lon, dtype=np.float64), period=360.0)
    middle = 0.5 * (lons[0] + lons[-1])
    return float(0.5 * (lats[0] + lats[-1])), float((middle + 180.0) % 360.0 - 180.0)


def _pair(value: int | Sequence[int]) -> tuple[int, int]:
    if isinstance(value, int | np.integer):
        return int(value), int(value)
    if len(value) != 2:
        raise ConfigurationError(f"Expected one number or (rows, columns), found {list(value)}.")
    return int(value[0]), int(value[1])


def _starts(cells: int, size: int, stride: int, *, wraps: bool) -> list[int]:
    if wraps and size < cells:
        return list(range(0, cells, stride))
    starts = list(range(0, cells - size + 1, stride))
    return starts if starts[-1] == cells - size else [*starts, cells - size]

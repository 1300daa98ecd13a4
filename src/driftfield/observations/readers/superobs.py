"""From points to the cells of a grid: superobservations.

    profile  --linear in depth, inside what it reached-->  levels         never above its first or below its last value,
                                                                         never across a gap wider than a limit
    values of one cell and date  -->  mean,    error^2 = sum(instrument^2) / n^2 + representativeness^2

A cell takes what lies nearest to its centre in latitude, longitude and time. The instrument's part of the error falls with the
number of values; what a point cannot know of a whole cell (representativeness) does not.
"""

__all__ = ["Binned", "Target", "align", "bin_to_grid"]

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import xarray as xr

from driftfield.conventions import DIMS, FORMAT, LATITUDE, LONGITUDE, Coordinate
from driftfield.errors import DataError
from driftfield.geometry import Geometry
from driftfield.observations.readers.places import nearest_cell, nearest_date


@dataclass(frozen=True)
class Target:
    """The grid and the dates to bin to.

    Arguments:
        lat, lon: Degrees, ascending, two cells or more; rows and columns of a grid with positions.
        times: Dates (time,), ascending.
        levels: Depths in metres per variable, (None,) for a surface field.
        domains: Boolean ([depth,] lat, lon) per variable, as far as it is known where it exists.
        attrs: Attributes per variable (units and names).
    """

    lat: np.ndarray
    lon: np.ndarray
    times: xr.DataArray
    levels: Mapping[str, tuple[float | None, ...]]
    domains: Mapping[str, np.ndarray] = field(default_factory=dict)
    attrs: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    axes: Mapping[str, xr.DataArray] = field(default_factory=dict)
    """Coordinates of a grid with positions: lat, lon, latitude, longitude."""

    @property
    def coordinates(self) -> Mapping[str, Coordinate]:
        """Of a data set on these cells."""
        degrees = {"lat": ("lat", self.lat, dict(LATITUDE)), "lon": ("lon", self.lon, dict(LONGITUDE))}
        return dict(self.axes) or degrees

    def cells(self, table: xr.Dataset) -> tuple[np.ndarray, np.ndarray]:
        """Row and column of every row of a table, -1 outside of the grid."""
        lat, lon = table["lat"].values, table["lon"].values
        if self.axes:
            places = Geometry(*(self.axes[n].values.astype(np.float64) for n in ("latitude", "longitude")))
            return places.nearest(lat, lon)
        return nearest_cell(lat, self.lat, 0.0), nearest_cell(lon, self.lon, 360.0)


@dataclass(frozen=True)
class Binned:
    """The observation file, and what became of the values: read = used + sum(unused), per variable."""

    dataset: xr.Dataset
    read: dict[str, int]
    used: dict[str, int]
    unused: dict[str, dict[str, int]]

    def account(self, name: str) -> str:
        """What became of the values of a variable, in words."""
        reasons = ", ".join(f"{n} {reason}" for reason, n in self.unused[name].items() if n)
        cells = int(self.dataset[name].notnull().sum())
        return f"{self.used[name]} of {self.read[name]} values used, {cells} cells observed" + (
            f" ({reasons})" if reasons else ""
        )


def align(
    depth: np.ndarray, values: np.ndarray, error: np.ndarray, levels: np.ndarray, *, max_gap: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A profile on fixed levels: linear between its neighbours, NaN above the first, below the last and in wide gaps.

    Arguments:
        depth: (n,) metres, in any order; values at the same depth are averaged.
        values, error: (n,) finite values; the error may be NaN.
        levels: (level,) metres.
        max_gap: Widest gap that is bridged, in metres; below four times that depth, a quarter of the depth.

    Returns:
        Values and errors (level,), and which of the n values had a part in them (n,). Errors are interpolated as the
        values are, since those of one instrument go together.
    """
    levels = np.asarray(levels, dtype=np.float64)
    z, inverse, number = np.unique(depth, return_inverse=True, return_counts=True)
    v = np.bincount(inverse, values) / number
    e = np.bincount(inverse, error) / number
    right = np.clip(np.searchsorted(z, levels), 0, len(z) - 1)
    exact = z[right] == levels
    left = np.where(exact, right, np.clip(right - 1, 0, None))
    inside = (levels >= z[0]) & (levels <= z[-1])
    gap = z[right] - z[left]
    inside &= gap <= np.maximum(max_gap, 0.25 * levels)
    weight = np.where(gap > 0, (levels - z[left]) / np.where(gap > 0, gap, 1.0), 0.0)

    def between(y: np.ndarray) -> np.ndarray:
        # an end of weight zero must not hand on its NaN
        low, high = np.where(weight < 1, (1 - weight) * y[left], 0.0), np.where(weight > 0, weight * y[right], 0.0)
        return np.where(inside, low + high, np.nan)

    part = np.zeros(len(z), dtype=bool)
    part[left[inside]] = part[right[inside]] = True
    return between(v), between(e), part[inverse]


def bin_to_grid(
    table: xr.Dataset,
    target: Target,
    *,
    representativeness: Mapping[str, float] | float = 0.0,
    max_gap: float = 50.0,
    surface: float = 10.0,
) -> Binned:
    """Bins points to cells, levels and dates.

    Arguments:
        table: Of `read_points`.
        target: Where to; its variables are binned.
        representativeness: Standard deviation of what a point says of a cell, in the units of the variable.
        max_gap: As for `align`.
        surface: A surface field takes the shallowest value of a profile, if it lies within this depth in metres.

    Returns:
        An observation data set (`conventions`) and the account of the values. An instrument that states no error counts as exact.

    Raises:
        DataError: a variable that the table does not have, or other units than those of the grid.
    """
    row, column = target.cells(table)
    date = nearest_date(table["time"].values, target.times)
    coords = {
        "time": target.times,
        **target.coordinates,
    }
    binned = Binned(
        xr.Dataset(coords=coords, attrs={"Conventions": "CF-1.10", "driftfield_format": FORMAT}), {}, {}, {}
    )
    places = _Places(row, column, date, (target.lat.size, target.lon.size))
    parts = []
    for name, levels in target.levels.items():
        if name not in table:
            raise DataError(f"No variable {name!r} in the table of points: found {sorted(map(str, table))}.")
        points = _points(table, name, target)
        samples = (
            _on_surface(points, places, surface) if levels == (None,) else _on_levels(points, places, levels, max_gap)
        )
        finite = np.isfinite(points.values)
        dry = ~np.any(points.exists, axis=0).reshape(-1)[places.cell] & ~places.outside
        binned.read[name], binned.used[name] = int(finite.sum()), int(samples.used.sum())
        binned.unused[name] = {
            "outside the grid": int((finite & places.outside).sum()),
            "far from the dates": int((finite & ~places.outside & places.late).sum()),
            "where the variable does not exist": int((finite & dry & ~places.late).sum()),
            "beside the levels": int((finite & ~places.outside & ~dry & ~places.late & ~samples.used).sum()),
        }
        own = representativeness.get(name, 0.0) if isinstance(representativeness, Mapping) else representativeness
        parts.append(_gridded(name, samples, target, table[name].attrs, float(own)))
    dataset = xr.merge([binned.dataset, *parts], combine_attrs="override", compat="no_conflicts", join="outer")
    return replace(binned, dataset=dataset.transpose(*(d for d in DIMS if d in dataset.dims)))


@dataclass(frozen=True)
class _Places:
    """Row, column and date of every value of a table, -1 for none; the shape of the grid."""

    row: np.ndarray
    column: np.ndarray
    date: np.ndarray
    shape: tuple[int, int]

    @property
    def outside(self) -> np.ndarray:
        return (self.row < 0) | (self.column < 0)

    @property
    def late(self) -> np.ndarray:
        return self.date < 0

    @property
    def cell(self) -> np.ndarray:
        return self.row * self.shape[1] + self.column


@dataclass(frozen=True)
class _Points:
    """One variable of a table; `exists` is (level, cell)."""

    values: np.ndarray
    error: np.ndarray
    depth: np.ndarray
    profile: np.ndarray
    exists: np.ndarray


@dataclass(frozen=True)
class _Samples:
    """Values on levels: flat index (time, level, lat, lon), value, error; and which values of the table they were made of."""

    where: np.ndarray
    value: np.ndarray
    error: np.ndarray
    used: np.ndarray


def _points(table: xr.Dataset, name: str, target: Target) -> _Points:
    stated, wanted = str(table[name].attrs.get("units", "")), str(target.attrs.get(name, {}).get("units", ""))
    if stated and wanted and stated != wanted:
        raise DataError(
            f"{name!r} is observed in {stated!r}, and the grid has {wanted!r}. Choose the variable that measures the same, or "
            "correct the attribute units of the file."
        )
    exists = target.domains.get(name)
    if exists is None:
        exists = np.ones((len(target.levels[name]), target.lat.size, target.lon.size), dtype=bool)
    exists = np.asarray(exists, dtype=bool).reshape(len(target.levels[name]), -1)
    values, error, depth, profile = (table[n].values for n in (name, f"{name}_error", "depth", "profile"))
    return _Points(values, error, depth, profile, exists)


def _on_surface(points: _Points, places: _Places, surface: float) -> _Samples:
    """Tracks as they are; of a profile the shallowest value, if it is shallow enough."""
    rows = np.flatnonzero(np.isfinite(points.values) & ~places.outside & ~places.late & (points.depth <= surface))
    rows = rows[points.exists[0, places.cell[rows]]]
    order = rows[np.lexsort((points.depth[rows], points.profile[rows]))]
    shallowest = points.depth[order[np.unique(points.profile[order], return_index=True)[1]]]
    of = np.unique(points.profile[order], return_inverse=True)[1]
    rows = order[points.depth[order] == shallowest[of]] if order.size else order
    used = np.zeros(points.values.shape, dtype=bool)
    used[rows] = True
    where = places.date[rows] * points.exists.shape[1] + places.cell[rows]
    return _Samples(where, points.values[rows], points.error[rows], used)


def _on_levels(points: _Points, places: _Places, levels: tuple[float | None, ...], max_gap: float) -> _Samples:
    """Every profile on the levels that exist where it is."""
    z = np.array(levels, dtype=np.float64)
    rows = np.flatnonzero(np.isfinite(points.values) & ~places.outside & ~places.late)
    order = rows[np.argsort(points.profile[rows], kind="stable")]
    used = np.zeros(points.values.shape, dtype=bool)
    where, value, error = [np.array([], dtype=np.int64)], [np.array([])], [np.array([])]
    for profile in np.split(order, np.flatnonzero(np.diff(points.profile[order])) + 1) if order.size else []:
        cell, date = places.cell[profile[0]], places.date[profile[0]]
        here = np.flatnonzero(points.exists[:, cell])
        y, e, part = align(
            points.depth[profile], points.values[profile], points.error[profile], z[here], max_gap=max_gap
        )
        seen = np.isfinite(y)
        where.append((date * len(z) + here[seen]) * points.exists.shape[1] + cell)
        value.append(y[seen])
        error.append(e[seen])
        used[profile[part]] = True
    return _Samples(np.concatenate(where), np.concatenate(value), np.concatenate(error), used)


def _gridded(name: str, samples: _Samples, target: Target, described: Mapping[str, str], own: float) -> xr.Dataset:
    """Mean, error and domain on the grid."""
    levels = target.levels[name]
    shape = (target.times.size, len(levels), target.lat.size, target.lon.size)
    size = int(np.prod(shape))
    number = np.bincount(samples.where, minlength=size)
    total = np.bincount(samples.where, samples.value, minlength=size)
    squares = np.bincount(samples.where, np.nan_to_num(samples.error) ** 2, minlength=size)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(number > 0, total / number, np.nan)
        error = np.where(number > 0, np.sqrt(squares / number**2 + own**2), np.nan)
    flat = levels == (None,)
    dims = ("time", "lat", "lon") if flat else ("time", "depth", "lat", "lon")
    keep = slice(None) if not flat else 0
    attrs = {k: v for k, v in described.items() if not k.startswith("values_")} | dict(target.attrs.get(name, {}))
    units = {"units": attrs["units"]} if "units" in attrs else {}
    part = xr.Dataset(
        {
            name: (dims, mean.reshape(shape)[:, keep].astype(np.float32), attrs),
            f"{name}_error": (dims, error.reshape(shape)[:, keep].astype(np.float32), units),
        }
    )
    if name in target.domains:
        exists = np.asarray(target.domains[name], dtype=bool).reshape(shape[1:])
        part[f"{name}_domain"] = (dims[1:], exists[keep])
    if not flat:
        depth = {"standard_name": "depth", "units": "m", "positive": "down", "axis": "Z"}
        part = part.assign_coords(depth=("depth", np.array(levels, dtype=np.float64), depth))
    return part

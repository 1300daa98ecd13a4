"""Where the cells of a grid lie, when two axes do not say it.

    cell (row, column)  ->  latitude[row, column], longitude[row, column]  ->  a point of the sphere

Rotated poles, tripolar and stereographic grids, projected radar images and sections of stations are one thing: numbered rows
and columns, with a position for every cell. Positions give areas, distances, and the cell in which an observation lies; row
and column say which cells are neighbours.
"""

__all__ = ["Geometry", "distance_along", "unrotated"]

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.spatial import KDTree

from driftfield.earth import EARTH_RADIUS_KM
from driftfield.errors import DataError

_SAME = 0.05
"""Share of the spacing within which two positions are one place."""


@dataclass(frozen=True, eq=False)
class Geometry:
    """Positions of the cells of a grid.

    Arguments:
        latitude, longitude: Degrees, (row, column); longitude in any convention.
    """

    latitude: np.ndarray
    longitude: np.ndarray

    @classmethod
    def of_axes(cls, lat: np.ndarray, lon: np.ndarray) -> "Geometry":
        """A regular grid: latitudes of its rows, longitudes of its columns."""
        return cls(*(np.asarray(part, dtype=np.float64) for part in np.meshgrid(lat, lon, indexing="ij")))

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        rows, columns = self.latitude.shape
        return rows, columns

    def part(self, rows: np.ndarray | slice, columns: np.ndarray | slice) -> "Geometry":
        """The positions of some rows and columns."""
        return Geometry(self.latitude[rows][:, columns], self.longitude[rows][:, columns])

    @cached_property
    def points(self) -> np.ndarray:
        """All cells on the sphere, km: (row, column, 3)."""
        return EARTH_RADIUS_KM * _unit(self.latitude, self.longitude)

    @cached_property
    def column_step(self) -> np.ndarray:
        """Kilometres from a cell to the next of its row, the median of each row: (row,)."""
        return _median_step(self.points, axis=1)

    @cached_property
    def row_step(self) -> np.ndarray:
        """Kilometres from each row to the next, the median over the columns: (row - 1,)."""
        if self.shape[0] < 2:
            return np.zeros(0)
        return np.median(_arc(np.linalg.norm(np.diff(self.points, axis=0), axis=-1)), axis=1)

    @property
    def spacing(self) -> float:
        """Kilometres between neighbours, the smaller of both directions; 1 for a single cell."""
        steps = [float(np.median(s)) for s in (self.column_step[self.column_step > 0], self.row_step) if s.size]
        return min(steps) if steps else 1.0

    @property
    def stretching(self) -> float:
        """Largest step along a row over the smallest of the same row: 1 where the columns are evenly spaced."""
        if self.shape[1] < 3:
            return 1.0
        steps = np.linalg.norm(np.diff(self.points, axis=1), axis=-1)
        steps = np.where(self.repeated[:, 1:] | self.repeated[:, :-1], self.column_step[:, None], steps)
        return float((steps.max(axis=1) / np.maximum(steps.min(axis=1), 1e-6)).max())

    @cached_property
    def area(self) -> np.ndarray:
        """Square kilometres of every cell (row, column): step along the rows times step across them, and their angle."""
        east, north = (_central(self.points, axis) for axis in (1, 0))
        if self.shape[1] == 1:
            return np.linalg.norm(north, axis=-1) if self.shape[0] > 1 else np.ones(self.shape)
        if self.shape[0] == 1:
            return np.linalg.norm(east, axis=-1)
        return np.linalg.norm(np.cross(east, north), axis=-1)

    @cached_property
    def plane(self) -> tuple[np.ndarray, np.ndarray]:
        """Kilometres north and east of the middle, of equal areas (Lambert's azimuthal projection): two (row, column)."""
        unit = self.points / EARTH_RADIUS_KM
        middle = unit.mean(axis=(0, 1))
        middle = middle / max(float(np.linalg.norm(middle)), 1e-9)
        pole = np.array([0.0, 0.0, 1.0]) if abs(middle[2]) < 0.999 else np.array([1.0, 0.0, 0.0])
        east = np.cross(pole, middle)
        east = east / np.linalg.norm(east)
        scale = EARTH_RADIUS_KM * np.sqrt(2.0 / np.maximum(1.0 + unit @ middle, 1e-9))
        return scale * (unit @ np.cross(middle, east)), scale * (unit @ east)

    @property
    def middle(self) -> tuple[float, float]:
        """Latitude and longitude (-180 to 180) of the middle of all cells, safe across the dateline and the poles."""
        x, y, z = self.points.mean(axis=(0, 1))
        return float(np.degrees(np.arctan2(z, np.hypot(x, y)))), float(
            (np.degrees(np.arctan2(y, x)) + 180.0) % 360 - 180
        )

    @cached_property
    def one_turn(self) -> "Geometry":
        """The same with longitudes that do not jump within the grid, as far as it has no pole inside."""
        middle = self.points.mean(axis=(0, 1))
        centre = np.degrees(np.arctan2(middle[1], middle[0]))
        return Geometry(self.latitude, centre + (self.longitude - centre + 180.0) % 360.0 - 180.0)

    @property
    def wraps(self) -> bool:
        """Whether the last column has the first for its neighbour, as round the globe."""
        if self.shape[1] < 4:
            return False
        closing = _arc(np.linalg.norm(self.points[:, 0] - self.points[:, -1], axis=-1))
        return bool(np.median(closing / np.maximum(self.column_step, 1e-6)) < 1.5)

    @cached_property
    def _tree(self) -> KDTree:
        return KDTree(self.points.reshape(-1, 3))

    def nearest(self, latitude: np.ndarray, longitude: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Row and column of the cell in which each place lies, -1 beyond the grid: two (n,).

        A place lies in the cell whose centre is nearest; beyond the outer centres a cell reaches half its diagonal.
        """
        lat, lon = np.asarray(latitude, dtype=np.float64), np.asarray(longitude, dtype=np.float64)
        finite = np.isfinite(lat) & np.isfinite(lon)
        where = EARTH_RADIUS_KM * _unit(np.where(finite, lat, 0.0), np.where(finite, lon, 0.0))
        distance, flat = self._tree.query(where)
        row, column = np.divmod(flat, self.shape[1])
        inside = finite & (distance <= self._reach[row, column])
        return np.where(inside, row, -1), np.where(inside, column, -1)

    def at(self, row: np.ndarray, column: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Latitude and longitude of fractional rows and columns, between the cells and as far beyond the outer ones as asked."""
        where = self._between(np.asarray(row, dtype=np.float64), np.asarray(column, dtype=np.float64))[0]
        unit = where / np.linalg.norm(where, axis=-1, keepdims=True)
        return np.degrees(np.arcsin(unit[..., 2].clip(-1, 1))), np.degrees(np.arctan2(unit[..., 1], unit[..., 0]))

    def fractional(self, latitude: np.ndarray, longitude: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Fractional row and column of places, the inverse of `at` (Newton's method); NaN beyond half a cell of the border.

        Of a grid of one row (a section) a place counts as far off the line as half the way to the next station, at least 50 km.
        """
        lat, lon = np.asarray(latitude, dtype=np.float64), np.asarray(longitude, dtype=np.float64)
        finite = np.isfinite(lat) & np.isfinite(lon)
        where = EARTH_RADIUS_KM * _unit(np.where(finite, lat, 0.0), np.where(finite, lon, 0.0))
        row, column = (part.astype(np.float64) for part in np.divmod(self._tree.query(where)[1], self.shape[1]))
        for _ in range(12):
            point, south, west = self._between(row, column)
            step = _solved(south, west, where - point)
            row, column = row + step[0].clip(-2, 2), column + step[1].clip(-2, 2)
            row = row.clip(-2.0, self.shape[0] + 1.0)
            column = column % self.shape[1] if self.wraps else column.clip(-2.0, self.shape[1] + 1.0)
        off = np.linalg.norm(where - self._between(row, column)[0], axis=-1)
        near = off <= max(50.0 if min(self.shape) == 1 else 0.0, 0.5 * self.spacing)
        low, high = -0.5 - 1e-6, np.array(self.shape) - 0.5 + 1e-6
        inside = finite & near & (row >= low) & (row <= high[0])
        inside &= self.wraps | ((column >= low) & (column <= high[1]))
        return np.where(inside, row, np.nan), np.where(inside, column, np.nan)

    def _between(self, row: np.ndarray, column: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The point at fractional indices, and how it moves with the row and with the column: three (n, 3)."""
        rows, columns = self.shape
        r = np.clip(np.floor(row), 0, max(rows - 2, 0)).astype(np.int64)
        c = np.floor(column).astype(np.int64)
        c = c % columns if self.wraps else np.clip(c, 0, max(columns - 2, 0))
        down, across = np.minimum(r + 1, rows - 1), (c + 1) % columns if self.wraps else np.minimum(c + 1, columns - 1)
        u, v = (row - r)[..., None], ((column - c) % columns if self.wraps else column - c)[..., None]
        p = self.points
        west, east = (1 - u) * p[r, c] + u * p[down, c], (1 - u) * p[r, across] + u * p[down, across]
        south, north = (1 - v) * p[r, c] + v * p[r, across], (1 - v) * p[down, c] + v * p[down, across]
        return (1 - v) * west + v * east, north - south, east - west

    @cached_property
    def _reach(self) -> np.ndarray:
        """Half the diagonal of every cell, km."""
        east, north = (np.linalg.norm(_central(self.points, axis), axis=-1) for axis in (1, 0))
        alone = np.maximum(east, north) if min(self.shape) == 1 else 0.0
        reach = 0.5 * np.hypot(np.maximum(east, alone), np.maximum(north, alone))
        return np.where(reach > 0, reach * 1.01, 0.5 * self.spacing)

    def cells(
        self, other: "Geometry", what: str = "The observations", grid: str = "the grid of the run"
    ) -> tuple[np.ndarray, np.ndarray]:
        """The rows and columns of this grid on which another one lies.

        Arguments:
            other: A block of neighbouring cells of this grid, in the same order; columns may go round.
            what: What messages call it.
            grid: What messages call this grid.

        Raises:
            DataError: it is no block of this grid.
        """
        rows, columns = self.overlap(other, what, grid)
        if min(rows.min(), columns.min()) < 0:
            raise self._no_block(other, what, grid, np.inf)
        return rows, columns

    def overlap(
        self, other: "Geometry", what: str = "The observations", grid: str = "the grid of the run"
    ) -> tuple[np.ndarray, np.ndarray]:
        """As `cells`, of a grid that may reach beyond this one: -1 for rows and columns out there.

        Raises:
            DataError: no cell of it lies on this grid, or its cells lie between those of this one.
        """
        nearest = np.inf
        for corner in other._anchors():
            distance, flat = self._tree.query(other.points[corner])
            first = np.array(divmod(int(flat), self.shape[1])) - corner
            rows, columns = first[0] + np.arange(other.shape[0]), first[1] + np.arange(other.shape[1])
            columns = columns % self.shape[1] if self.wraps and other.shape[1] <= self.shape[1] else columns
            rows = np.where((rows >= 0) & (rows < self.shape[0]), rows, -1)
            columns = np.where((columns >= 0) & (columns < self.shape[1]), columns, -1)
            apart = self._apart(other, rows, columns)
            nearest = min(nearest, max(apart, float(distance)))
            if apart <= _SAME * self.spacing + 1e-3:
                return rows, columns
        raise self._no_block(other, what, grid, nearest)

    def _apart(self, other: "Geometry", rows: np.ndarray, columns: np.ndarray) -> float:
        """Largest distance in km of the cells of another grid from given rows and columns of this one; inf without a cell."""
        i, j = np.flatnonzero(rows >= 0), np.flatnonzero(columns >= 0)
        here = np.ix_(rows[i], columns[j])
        single = ~(self.repeated[here] | other.repeated[np.ix_(i, j)])
        off = np.linalg.norm(self.points[here] - other.points[np.ix_(i, j)], axis=-1)[single]
        return float(off.max(initial=0.0 if single.any() else np.inf))

    def _no_block(self, other: "Geometry", what: str, grid: str, apart: float) -> DataError:
        lat, lon = other.latitude[0, 0], other.longitude[0, 0]
        off = f", apart by {apart:.3g} km" if np.isfinite(apart) else ""
        return DataError(
            f"{what} begin at latitude {lat:g}, longitude {lon:g} with {other.shape[0]} x {other.shape[1]} cells, and are no "
            f"block of {grid} ({self.shape[0]} x {self.shape[1]} cells, spacing {self.spacing:.3g} km{off}). Interpolate one to "
            "the other, or train a run on theirs."
        )

    @cached_property
    def repeated(self) -> np.ndarray:
        """Cells whose position another cell has too: land that got a position from its neighbour, or a seam (row, column)."""
        pairs = np.stack([self.latitude, self.longitude], axis=-1).reshape(-1, 2)
        _, inverse, count = np.unique(pairs, axis=0, return_inverse=True, return_counts=True)
        repeated: np.ndarray = (count[inverse.reshape(-1)] > 1).reshape(self.shape)
        return repeated

    def _anchors(self) -> list[tuple[int, int]]:
        """A few cells with a position of their own, spread over the grid."""
        alone = np.argwhere(~self.repeated)
        chosen = alone[np.linspace(0, len(alone) - 1, 5).astype(int)] if len(alone) else np.zeros((1, 2), dtype=int)
        return [(int(row), int(column)) for row, column in chosen]

    def mended(self) -> tuple["Geometry", int]:
        """The same with a position for cells that have none (NaN, or one place repeated), and how many these are.

        Ocean models leave out land: such cells take the position of the nearest cell that has one.
        """
        bad = ~(np.isfinite(self.latitude) & np.isfinite(self.longitude))
        pairs = np.stack([np.where(bad, 1e9, self.latitude), np.where(bad, 1e9, self.longitude)], axis=-1).reshape(
            -1, 2
        )
        _, inverse, count = np.unique(pairs, axis=0, return_inverse=True, return_counts=True)
        bad |= (count[inverse.reshape(-1)] > 4).reshape(self.shape)
        if not bad.any() or bad.all():
            return self, int(bad.sum())
        places = np.argwhere(~bad)
        rows, columns = places[KDTree(places).query(np.argwhere(bad))[1]].T
        latitude, longitude = self.latitude.copy(), self.longitude.copy()
        latitude[bad], longitude[bad] = latitude[rows, columns], longitude[rows, columns]
        return Geometry(latitude, longitude), int(bad.sum())


def unrotated(
    grid_latitude: np.ndarray, grid_longitude: np.ndarray, pole_latitude: float, pole_longitude: float
) -> tuple[np.ndarray, np.ndarray]:
    """Geographic latitude and longitude of a rotated grid, degrees (CF: rotated_latitude_longitude).

    Arguments:
        grid_latitude, grid_longitude: Degrees, any shape that broadcasts.
        pole_latitude, pole_longitude: `grid_north_pole_latitude` and `grid_north_pole_longitude`.
    """
    phi, lam = np.broadcast_arrays(np.radians(grid_latitude), np.radians(grid_longitude))
    pole = np.radians(pole_latitude)
    sine = np.sin(phi) * np.sin(pole) + np.cos(phi) * np.cos(pole) * np.cos(lam)
    east = np.cos(phi) * np.sin(lam)
    north = np.cos(phi) * np.cos(lam) * np.sin(pole) - np.sin(phi) * np.cos(pole)
    longitude = pole_longitude + 180.0 + np.degrees(np.arctan2(east, north))
    return np.degrees(np.arcsin(np.clip(sine, -1.0, 1.0))), (longitude + 180.0) % 360.0 - 180.0


def _solved(a: np.ndarray, b: np.ndarray, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """x, y of least squares of x a + y b = wanted, for vectors (n, 3); 0 along a direction that has no length."""
    aa, bb, ab = (a * a).sum(-1), (b * b).sum(-1), (a * b).sum(-1)
    aw, bw = (a * wanted).sum(-1), (b * wanted).sum(-1)
    floor = 1e-9
    aa, bb = np.where(aa > floor, aa, 1.0), np.where(bb > floor, bb, 1.0)
    whole = np.maximum(aa * bb - ab**2, floor)
    return (aw * bb - bw * ab) / whole, (bw * aa - aw * ab) / whole


def distance_along(points: np.ndarray) -> np.ndarray:
    """Distance from the first of some points to each of them, from one to the next: (point, 3) -> (point,), in their units."""
    return np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=-1))])


def _unit(latitude: np.ndarray, longitude: np.ndarray) -> np.ndarray:
    phi, lam = np.radians(latitude), np.radians(longitude)
    return np.stack([np.cos(phi) * np.cos(lam), np.cos(phi) * np.sin(lam), np.sin(phi)], axis=-1)


def _arc(chord: np.ndarray) -> np.ndarray:
    return 2.0 * EARTH_RADIUS_KM * np.arcsin(np.minimum(0.5 * chord / EARTH_RADIUS_KM, 1.0))


def _median_step(points: np.ndarray, axis: int) -> np.ndarray:
    if points.shape[axis] < 2:
        return np.zeros(points.shape[1 - axis])
    return np.median(_arc(np.linalg.norm(np.diff(points, axis=axis), axis=-1)), axis=axis)


def _central(points: np.ndarray, axis: int) -> np.ndarray:
    """Half the way from the cell before to the cell behind, along an axis; the whole way at the ends."""
    return np.gradient(points, axis=axis) if points.shape[axis] > 1 else np.zeros_like(points)

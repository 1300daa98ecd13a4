"""How anomalies at two places go together: a zonally homogeneous part, a part that knows the places, and white noise.

    z_r(x)               = anomaly of row r (a level of a variable) / its standard deviation at x
    cov(z_r(x), z_s(x')) = (1 - w) sum_k A_rk A_sk C_k(lat, lat', lon' - lon)   coregionalised modes (EOFs over rows)
                           + w rho(|x - x'|) 1/M sum_m z_mr(x) z_ms(x')         M past fields, localised
                           + n_r^2 [r = s, x = x']                              what the grid does not resolve

C_k is estimated from the scores of mode k by pairs of cells at the same lag (Gaussian taper), blended with an
exponential, and made positive definite wave number by wave number; so it may be as anisotropic as the data are, and
draws cost one FFT. Grids that do not close around the globe are embedded in a circle twice as long. rho is a Gaussian
of the chord through the Earth, kept as a pivoted Cholesky factor.

After Wackernagel (2003), Multivariate Geostatistics; Hamill and Snyder (2000), "A hybrid ensemble Kalman filter - 3D
variational analysis scheme", Mon. Wea. Rev. 128; Dietrich and Newsam (1997), doi:10.1137/S1064827592240555 (embedding).
"""

__all__ = ["EmbeddedGrid", "HybridCovariance", "ZonalCovariance", "lag_correlation", "localisation", "positive"]

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.fft import irfft, next_fast_len, rfft

from driftfield.earth import EARTH_RADIUS_KM
from driftfield.geometry import Geometry


@dataclass(frozen=True)
class EmbeddedGrid:
    """A grid and its embedding in a circle of columns.

    Distances of a grid with positions are those of its rows: the median step along each row, times the number of columns
    between two cells, and the median way from row to row.

    Arguments:
        lat: Degrees north.
        lon: Degrees east, evenly spaced.
        periodic: Whether longitude closes.
        positions: Where the cells lie, if the axes do not say it.
    """

    lat: np.ndarray
    lon: np.ndarray
    periodic: bool
    positions: Geometry | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.lat.size, self.lon.size

    @property
    def lags(self) -> int:
        """Length of the circle in columns."""
        return self.lon.size if self.periodic else next_fast_len(2 * self.lon.size, real=True)

    @cached_property
    def cell_area(self) -> np.ndarray:
        """(lat, lon), up to a factor, above 0."""
        if self.positions is not None:
            return (self.positions.area / self.positions.area.mean()).clip(1e-3)
        return np.repeat(np.cos(np.radians(self.lat)).clip(1e-3)[:, None], self.lon.size, axis=1)

    @cached_property
    def separation(self) -> tuple[np.ndarray, np.ndarray]:
        """Zonal and meridional distance in km for (lat, lat', lag): shapes (lat, lat, lags) and (lat, lat, 1)."""
        lag = np.arange(self.lags)
        if self.positions is not None:
            return self._along_rows(self.positions, np.minimum(lag, self.lags - lag))
        lat = np.radians(self.lat)
        step = (
            2 * np.pi / self.lags
            if self.periodic
            else np.radians(self.lon[1] - self.lon[0] if self.lon.size > 1 else 1.0)
        )
        angle = np.minimum(step * np.minimum(lag, self.lags - lag), np.pi)
        shrink = np.sqrt(np.cos(lat)[:, None] * np.cos(lat)[None])
        zonal = EARTH_RADIUS_KM * shrink[:, :, None] * 2 * np.sin(angle / 2)
        return zonal, EARTH_RADIUS_KM * np.abs(lat[:, None] - lat[None])[:, :, None]

    def _along_rows(self, positions: Geometry, lag: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        step = np.sqrt(positions.column_step[:, None] * positions.column_step[None])[:, :, None]
        if self.periodic:  # chords of a circle of that length
            zonal = step * self.lags / np.pi * np.sin(np.pi * lag / self.lags)
        else:
            zonal = 2 * EARTH_RADIUS_KM * np.sin(np.minimum(step * lag / (2 * EARTH_RADIUS_KM), np.pi / 2))
        north = np.concatenate([[0.0], np.cumsum(positions.row_step)])
        return zonal, np.abs(north[:, None] - north[None])[:, :, None]

    @cached_property
    def points(self) -> np.ndarray:
        """All cells on the sphere, km: (lat * lon, 3)."""
        if self.positions is not None:
            return self.positions.points.reshape(-1, 3)
        lat, lon = np.meshgrid(np.radians(self.lat), np.radians(self.lon), indexing="ij")
        xyz = np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], axis=-1)
        return EARTH_RADIUS_KM * xyz.reshape(-1, 3)


@dataclass(frozen=True)
class ZonalCovariance:
    """A covariance that depends on both latitudes and on the difference of the longitudes.

    Arguments:
        table: (lat, lat', lag): covariance of a cell at lat with one at lat', lag columns further east.
        columns: Columns of the grid proper; `lag` runs around the embedding circle.
    """

    table: np.ndarray
    columns: int

    def between(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Covariance of the cells a (flat indices) with the cells b: (a, b)."""
        return np.take(self.table.reshape(-1), self.index(a, b))

    def index(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Where in the flat table the covariance of a with b stands: (a, b)."""
        n_lat, _, lags = self.table.shape
        (i, x), (j, y) = np.divmod(a, self.columns), np.divmod(b, self.columns)
        lag = y.astype(np.int32)[None, :] - x.astype(np.int32)[:, None]
        np.add(lag, lags, out=lag, where=lag < 0)
        lag += (i * (n_lat * lags)).astype(np.int32)[:, None]
        lag += (j * lags).astype(np.int32)[None]
        return lag

    @cached_property
    def roots(self) -> np.ndarray:
        """Square root of the spectrum: (wave number, lat, lat'), complex64."""
        w, v = np.linalg.eigh(_spectrum(self.table))
        scale = np.sqrt(np.maximum(w, 0.0) * self.table.shape[-1])
        return (v.conj() * scale[:, None, :]).astype(np.complex64)

    def draw(self, rng: np.random.Generator) -> np.ndarray:
        """One field (lat, lon) with this covariance, float32."""
        waves, n_lat, _ = self.roots.shape
        lags = self.table.shape[-1]
        noise = rng.standard_normal((2, waves, n_lat), dtype=np.float32) * np.float32(np.sqrt(0.5))
        xi = noise[0] + 1j * noise[1]
        # the mean and, on an even circle, the shortest wave are real
        for wave in (0, *((waves - 1,) if lags % 2 == 0 else ())):
            xi[wave] = np.sqrt(2.0) * noise[0, wave]
        amplitude = (self.roots @ xi[:, :, None])[:, :, 0]
        return irfft(amplitude.T, lags, axis=-1)[:, : self.columns].astype(np.float32)


def lag_correlation(fields: np.ndarray, known: np.ndarray, grid: EmbeddedGrid) -> tuple[np.ndarray, np.ndarray]:
    """Correlation of all pairs of cells with the same two latitudes and the same lag.

    Arguments:
        fields: (time, lat, lon), any value where not known.
        known: Boolean (lat, lon), or (time, lat, lon) where what is known changes.

    Returns:
        Correlation (lat, lat', lag), 0 where there are no pairs, and the mean number of pairs at one time.
    """
    lags = grid.lags
    waves = rfft(np.where(known, fields, 0.0), lags, axis=-1)
    cross = np.einsum("tik,tjk->ijk", waves.conj(), waves, optimize=True)
    mask = rfft(known.astype(np.float64), lags, axis=-1)
    if known.ndim == 2:
        pairs = np.rint(irfft(mask.conj()[:, None] * mask[None], lags, axis=-1))
    else:
        counts = irfft(np.einsum("tik,tjk->ijk", mask.conj(), mask, optimize=True), lags, axis=-1)
        pairs = np.rint(counts) / len(fields)
    covariance = irfft(cross, lags, axis=-1) / np.maximum(pairs * len(fields), 1)
    covariance[pairs * len(fields) < 0.5] = 0.0
    sd = np.sqrt(np.einsum("iil->il", covariance)[:, 0])
    sd = np.where(sd > 0, sd, 1.0)
    return covariance / sd[:, None, None] / sd[None, :, None], pairs


def positive(table: np.ndarray) -> np.ndarray:
    """The nearest correlation table: negative eigenvalues of every wave number are set to 0, the variance to 1."""
    w, v = np.linalg.eigh(_spectrum(table))
    spectrum = (v * np.maximum(w, 0.0)[:, None, :]) @ v.conj().transpose(0, 2, 1)
    clipped = irfft(spectrum.transpose(1, 2, 0), table.shape[-1], axis=-1)
    variance = np.einsum("iil->il", clipped)[:, 0]
    sd = np.sqrt(np.maximum(variance, 1e-12))
    clipped = clipped / sd[:, None, None] / sd[None, :, None]
    clipped[np.arange(len(sd)), np.arange(len(sd)), 0] = 1.0
    return clipped.astype(np.float32)


def _spectrum(table: np.ndarray) -> np.ndarray:
    """Cross spectrum (wave number, lat, lat'), Hermitian."""
    spectrum = rfft(table.astype(np.float64), axis=-1).transpose(2, 0, 1)
    return 0.5 * (spectrum + spectrum.conj().transpose(0, 2, 1))


def localisation(points: np.ndarray, length: float, *, tolerance: float = 0.01, largest: int = 400) -> np.ndarray:
    """Factor F of a Gaussian correlation of the distance, F F' = rho, by pivoted Cholesky.

    Arguments:
        points: Positions in km, (cell, 3).
        length: Standard deviation of the Gaussian, km.
        tolerance: Variance that may be missing in any cell before the rows are scaled to one.
        largest: Most columns.

    Returns:
        (cell, rank), rows of length one, float32.
    """
    n = len(points)
    factor = np.zeros((n, min(n, largest)), dtype=np.float32)
    missing = np.ones(n)
    rank = 0
    while rank < factor.shape[1] and missing.max() > tolerance:
        pivot = int(np.argmax(missing))
        column = np.exp(-0.5 * ((points - points[pivot]) ** 2).sum(axis=1) / length**2)
        column -= factor[:, :rank] @ factor[pivot, :rank]
        factor[:, rank] = column / np.sqrt(missing[pivot])
        missing = np.maximum(missing - factor[:, rank].astype(np.float64) ** 2, 0.0)
        rank += 1
    factor = factor[:, :rank]
    return factor / np.maximum(np.linalg.norm(factor, axis=1, keepdims=True), 1e-6)


@dataclass(frozen=True)
class HybridCovariance:
    """Covariance of standardised anomalies of all rows; rows are horizontal fields, cells flat indices of the grid.

    Arguments:
        grid: Where.
        loadings: A (row, mode).
        modes: C_k, one per mode.
        nugget: Variance n_r^2 of the white part, (row,).
        samples: Past standardised fields (sample, row, cell), 0 where not known.
        locality: Factor of rho, (cell, rank).
        weight: w, share of the samples.
    """

    grid: EmbeddedGrid
    loadings: np.ndarray
    modes: tuple[ZonalCovariance, ...]
    nugget: np.ndarray
    samples: np.ndarray
    locality: np.ndarray
    weight: float

    @property
    def rows(self) -> int:
        """Number of rows."""
        return len(self.loadings)

    @property
    def dtype(self) -> np.dtype:
        """Precision of all that is computed: that of the tables."""
        return self.modes[0].table.dtype

    @cached_property
    def spread(self) -> np.ndarray:
        """Variance of the past fields: (row, cell)."""
        return np.einsum("mrx,mrx->rx", self.samples, self.samples) / len(self.samples)

    def without(self, chosen: np.ndarray) -> "HybridCovariance":
        """The same with only some of the samples (boolean); without any, the homogeneous part stands alone."""
        weight = self.weight if chosen.any() else 0.0
        return HybridCovariance(
            self.grid, self.loadings, self.modes, self.nugget, self.samples[chosen], self.locality, weight
        )

    def variance(self, rows: np.ndarray, cells: np.ndarray) -> np.ndarray:
        """Prior variance, nugget included: (row, cell)."""
        smooth = (self.loadings[rows] ** 2).sum(axis=1)
        variance = np.repeat((1 - self.weight) * smooth[:, None], cells.size, axis=1) + self.nugget[rows][:, None]
        if self.weight > 0:
            variance = variance + self.weight * self.spread[np.ix_(rows, cells)]
        return variance

    def cross(self, rows: np.ndarray, cells: np.ndarray, seen_rows: np.ndarray, seen_cells: np.ndarray) -> np.ndarray:
        """Covariance without nugget of whole columns (rows x cells) with scattered observations: (row, cell, seen)."""
        places, where = np.unique(seen_cells, return_inverse=True)
        index = self.modes[0].index(cells, places)
        result = np.zeros((rows.size, cells.size, seen_cells.size), dtype=self.dtype)
        if self.weight < 1:
            tables = np.stack([np.take(mode.table.reshape(-1), index) for mode in self.modes], axis=-1)
            if len(self.modes) == 1:
                spread = tables[:, where, 0] * ((1 - self.weight) * self.loadings[seen_rows, 0]).astype(self.dtype)
                result = self.loadings[rows, 0][:, None, None] * spread[None]
            else:
                weights = (1 - self.weight) * self.loadings[rows][:, None, :] * self.loadings[seen_rows][None]
                for o, (place, load) in enumerate(zip(where, weights.transpose(1, 2, 0), strict=True)):
                    result[:, :, o] = (tables[:, place] @ load).T
        if self.weight > 0:
            local = (self.locality[cells] @ self.locality[places].T)[:, where]
            seen = self.samples[:, seen_rows, seen_cells] * self.dtype.type(self.weight / len(self.samples))
            for r, row in enumerate(rows):
                result[r] += (self.samples[:, row, cells].T @ seen) * local
        return result

    def among(self, seen_rows: np.ndarray, seen_cells: np.ndarray) -> np.ndarray:
        """Covariance of scattered observations with each other, nugget on the diagonal: (seen, seen)."""
        places, where = np.unique(seen_cells, return_inverse=True)
        index = self.modes[0].index(places, places)
        # one row: every place is seen once, and in order
        pairs = np.ix_(where, where) if self.rows > 1 else (slice(None), slice(None))
        result = np.zeros((seen_cells.size, seen_cells.size), dtype=self.dtype)
        for k, mode in enumerate(self.modes):
            load = (np.sqrt(1 - self.weight) * self.loadings[seen_rows, k]).astype(self.dtype)
            result += np.take(mode.table.reshape(-1), index)[pairs] * (load[:, None] * load[None])
        if self.weight > 0:
            local = (self.locality[places] @ self.locality[places].T)[pairs]
            seen = self.samples[:, seen_rows, seen_cells]
            result += (seen.T @ seen) * (local * self.dtype.type(self.weight / len(seen)))
        result[np.diag_indices_from(result)] += self.nugget[seen_rows]
        return result

    def draw(self, rng: np.random.Generator) -> np.ndarray:
        """One standardised field from the prior: (row, cell), float32."""
        smooth = np.stack([mode.draw(rng).ravel() for mode in self.modes])
        field = np.sqrt(1 - self.weight) * (self.loadings @ smooth)
        white = rng.standard_normal(field.shape, dtype=np.float32)
        field = field + np.sqrt(self.nugget)[:, None] * white
        if self.weight > 0:
            amplitude = rng.standard_normal((self.locality.shape[1], len(self.samples)), dtype=np.float32)
            local = (self.locality @ amplitude).T * np.float32(np.sqrt(self.weight / len(self.samples)))
            field = field + np.einsum("mrx,mx->rx", self.samples, local)
        return field.astype(np.float32)

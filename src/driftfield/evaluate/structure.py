"""Small scales and joint behaviour as one number each, of fields (..., row, column) without holes.

    spectrum beyond    mean over k > 1/(2 coarse cell) of log10( P_made(k) / P_truth(k) )       0: right; -3: a thousandth
    of the power
    RALSD              ( mean over k of (10 log10( P_truth / P_made ))^2 )^(1/2)                dB; radially averaged log
    spectral distance
    correlation bias   <|r_made - r_truth|> over the cells, r between two variables in time

P is the power per radial wavenumber, of departures from the mean under a Hann window, averaged over dates. RALSD as in
Harris et al.
(2022), doi:10.1029/2022MS003120.
"""

__all__ = ["correlation_bias", "radial_power", "ralsd", "spectrum_beyond"]

import numpy as np

from driftfield.errors import DataError


def radial_power(fields: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Wavenumbers in cycles per cell and the power of each ring.

    Arguments:
        fields: (..., row, column), 8 x 8 cells or more.

    Raises:
        DataError: too few cells, or a hole.
    """
    rows, columns = fields.shape[-2:]
    if min(rows, columns) < 8:
        raise DataError(
            f"Found {rows} x {columns} cells: a radial spectrum needs 8 x 8 or more. Evaluate a larger region."
        )
    if not np.isfinite(fields).all():
        raise DataError("Found missing cells: a radial spectrum needs fields without holes. Evaluate a region without.")
    window = np.outer(np.hanning(rows), np.hanning(columns))
    flat = fields.reshape(-1, rows, columns).astype(np.float64)
    total = np.zeros((rows, columns))
    for field in flat:
        total += np.abs(np.fft.fft2((field - field.mean()) * window)) ** 2
    size = min(rows, columns)
    k = np.hypot(np.fft.fftfreq(rows)[:, None], np.fft.fftfreq(columns)[None])
    ring = np.rint(k * size).astype(int).ravel()
    power = np.bincount(ring, total.ravel() / len(flat)) / np.maximum(np.bincount(ring), 1)
    return np.arange(1, size // 2) / size, power[1 : size // 2]


def spectrum_beyond(made: np.ndarray, truth: np.ndarray, width: float) -> float:
    """Mean log10 ratio of power at wavelengths that a coarse grid does not have.

    Arguments:
        made, truth: (..., row, column).
        width: Fine cells along the edge of a coarse cell.

    Raises:
        DataError: no wavenumber lies beyond the coarse grid.
    """
    k, power = radial_power(made)
    beyond = k >= 1 / (2 * width)
    if width <= 1 or not beyond.any():
        raise DataError(
            f"Found coarse cells of {width:g} fine ones: no wavelength lies beyond them. Name a coarser file."
        )
    return float(np.mean(np.log10(_floor(power[beyond]) / _floor(radial_power(truth)[1][beyond]))))


def ralsd(made: np.ndarray, truth: np.ndarray) -> float:
    """Radially averaged log spectral distance, dB."""
    ratio = _floor(radial_power(truth)[1]) / _floor(radial_power(made)[1])
    return float(np.sqrt(np.mean((10 * np.log10(ratio)) ** 2)))


def correlation_bias(made: tuple[np.ndarray, np.ndarray], truth: tuple[np.ndarray, np.ndarray]) -> float:
    """Mean absolute difference of the correlation of two variables in time, over the cells where both vary.

    Arguments:
        made, truth: Both variables, (..., row, column) each; all leading axes count as time.
    """
    a, b = _correlation(*made), _correlation(*truth)
    return float(np.nanmean(np.abs(a - b)))


def _correlation(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    x, y = (v.reshape(-1, *v.shape[-2:]).astype(np.float64) for v in (first, second))
    x, y = x - x.mean(axis=0), y - y.mean(axis=0)
    scale = np.sqrt((x**2).mean(axis=0) * (y**2).mean(axis=0))
    return np.where(scale > 0, (x * y).mean(axis=0) / np.where(scale > 0, scale, 1.0), np.nan)


def _floor(power: np.ndarray) -> np.ndarray:
    return np.maximum(power, 1e-30)

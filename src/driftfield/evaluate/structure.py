"""Power per radial wavenumber, of departures from the mean under a Hann window, averaged over dates.

What `log10_spectrum_beyond` and `ralsd_db` among the scores are made of.
"""

__all__ = ["radial_power"]

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
    return np.arange(1, size // 2) / size, np.maximum(power[1 : size // 2], 1e-30)

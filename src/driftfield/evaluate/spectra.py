"""Power against wavelength: does a reconstruction have the small scales that the truth has?

    E(k) dk = <|F{h (x - plane)}|^2> / <h^2>,    integral of E = variance of the detrended field

h is the Hann window and the plane the least-squares one, so that what does not match at the edges of the box does not
leak into every wavelength. A spectrum needs a box without holes: `largest_box` finds the biggest one that lies in the
domain. Distances are kilometres at the middle latitude of the box. The *mean* of an ensemble is meant to lose power
at scales that the observations leave open; a *member* is not.

A sea full of islands has no large box, but many straight pieces along longitude: `segment_spectra` averages over all of
them. From these comes the wavelength down to which a reconstruction resolves the field (Ballarotta et al. 2019,
doi:10.5194/os-15-1091-2019):

    resolved wavelength = the longest one at which E_error(k) > E_truth(k) / 2
"""

__all__ = [
    "Box",
    "box_spectra",
    "isotropic_spectrum",
    "largest_box",
    "resolved_wavelength",
    "segment_spectra",
    "spacing_km",
    "zonal_spectrum",
]

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import xarray as xr

from driftfield.conventions import positions_of
from driftfield.earth import EARTH_RADIUS_KM
from driftfield.errors import DataError


@dataclass(frozen=True)
class Box:
    """A rectangle of cells, all of them in the domain."""

    lat: slice
    lon: slice

    @property
    def shape(self) -> tuple[int, int]:
        """Cells along latitude and longitude."""
        return self.lat.stop - self.lat.start, self.lon.stop - self.lon.start


def largest_box(domain: np.ndarray) -> Box:
    """The largest rectangle of True in a mask (lat, lon); of size 0 if there is none.

    Row by row: how far up each column is True, then the largest rectangle under that histogram, with a stack.
    """
    height = np.zeros(domain.shape[1] + 1, dtype=int)  # the extra 0 closes what is still open at the right edge
    best, area = Box(slice(0, 0), slice(0, 0)), 0
    for row, inside in enumerate(np.asarray(domain, dtype=bool)):
        height[:-1] = np.where(inside, height[:-1] + 1, 0)
        stack: list[tuple[int, int]] = []  # (first column, height), heights rising
        for column, h in enumerate(height):
            start = column
            while stack and stack[-1][1] >= h:
                start, tall = stack.pop()
                if tall * (column - start) > area:
                    area = tall * (column - start)
                    best = Box(slice(row + 1 - tall, row + 1), slice(start, column))
            stack.append((start, int(h)))
    return best


def box_spectra(fields: Mapping[str, xr.DataArray], inside: xr.DataArray) -> xr.Dataset:
    """Spectra of several fields over the same box, the largest one in `inside`.

    Arguments:
        fields: (..., lat, lon) each, finite in `inside`.
        inside: (lat, lon).

    Returns:
        One curve per field; isotropic where the box has 12 x 12 cells or more, else zonal over 2 x 16 or more
        (attribute `kind`).

    Raises:
        DataError: there is no box of that size, or the grid is uneven.
    """
    box = largest_box(inside.transpose("lat", "lon").values)
    if min(box.shape) < 12 and (box.shape[0] < 2 or box.shape[1] < 16):
        raise DataError(
            f"The largest box without land has {box.shape[0]} x {box.shape[1]} cells, a spectrum needs 12 x 12 or 2 x "
            f"16. "
            "Evaluate a region with more open water."
        )
    isotropic = min(box.shape) >= 12
    spectrum = isotropic_spectrum if isotropic else zonal_spectrum
    curves = {name: spectrum(field.isel(lat=box.lat, lon=box.lon)) for name, field in fields.items()}
    kind = "isotropic" if isotropic else "zonal"
    return xr.Dataset(curves, attrs={"kind": kind, "cells": f"{box.shape[0]} x {box.shape[1]}"})


def spacing_km(field: xr.DataArray) -> tuple[float, float]:
    """Distance between neighbouring cells along latitude and longitude, in km at the middle latitude.

    Raises:
        DataError: the grid is not evenly spaced (to 1 %), or has fewer than two cells along an axis.
    """
    if (positions := positions_of(field)) is not None:
        return _even_km(positions.row_step, "rows"), _even_km(np.array([positions.column_step.mean()]), "columns")
    step = [_even_step(field, name) * np.pi / 180 * EARTH_RADIUS_KM for name in ("lat", "lon")]
    return step[0], step[1] * float(np.cos(np.deg2rad(field["lat"].mean())))


def _row_spacing_km(field: xr.DataArray) -> np.ndarray:
    """Distance between neighbours along longitude in every row, km."""
    if (positions := positions_of(field)) is not None:
        if positions.stretching > 1.02:
            raise DataError(
                "A spectrum needs evenly spaced columns: those of this grid are not. Choose a smaller region."
            )
        return np.maximum(positions.column_step, 1e-6)
    step = _even_step(field, "lon") * np.pi / 180 * EARTH_RADIUS_KM
    return np.maximum(step * np.cos(np.deg2rad(field["lat"].values.astype(np.float64))), 1e-6)


def _even_km(step: np.ndarray, name: str) -> float:
    """Kilometres between neighbours of a grid with positions."""
    if not step.size or np.ptp(step) > 0.02 * step.mean():
        raise DataError(f"A spectrum needs evenly spaced {name}: those of this grid are not. Choose a smaller region.")
    return float(step.mean())


def _even_step(field: xr.DataArray, name: str) -> float:
    """Degrees between neighbours along an axis."""
    values = np.asarray(field[name], dtype=np.float64)
    step = np.diff(values)
    if len(step) == 0 or np.ptp(step) > 0.01 * abs(step.mean()):
        raise DataError(
            f"A spectrum needs an evenly spaced {name}, found {len(values)} values with steps "
            f"{step.min(initial=np.inf):g} to {step.max(initial=-np.inf):g}. "
            "Regrid first, or choose a smaller region."
        )
    return float(abs(step.mean()))


def isotropic_spectrum(field: xr.DataArray) -> xr.DataArray:
    """Power over rings of the wavenumber, averaged over everything but lat and lon.

    Arguments:
        field: (..., lat, lon) without NaN, evenly spaced.

    Returns:
        E(k) over `wavenumber` (cycles per km), in units^2 km; `wavelength` in km is a second coordinate. Rings reach
        to the Nyquist wavenumber of the coarser axis.

    Raises:
        DataError: holes, fewer than 4 x 4 cells, or an uneven grid.
    """
    values, (dy, dx) = _checked(field, at_least=(4, 4))
    ny, nx = values.shape[-2:]
    power = _mean_power(values.reshape(-1, ny, nx))
    power = power / (ny * nx) ** 2  # sums to the mean square of the tapered field
    k = np.hypot(np.fft.fftfreq(ny, dy)[:, None], np.fft.fftfreq(nx, dx)[None, :])
    width = max(1 / (ny * dy), 1 / (nx * dx))
    rings = max(1, int(0.5 / max(dy, dx) / width + 1e-9))
    ring = np.rint(k / width).astype(int)
    inside = (ring >= 1) & (ring <= rings)
    energy = np.bincount(ring[inside], weights=power[inside], minlength=rings + 1)[1:] / width
    return _spectrum(energy, width * np.arange(1, rings + 1), field)


def _mean_power(fields: np.ndarray, *, most: int = 2**22) -> np.ndarray:
    """Mean of |F x|^2 over some fields (field, y, x), a part of them in the memory of complex numbers at a time."""
    step = max(1, most // fields[0].size)
    blocks = (fields[start : start + step].astype(np.float64) for start in range(0, len(fields), step))
    total = sum((np.abs(np.fft.fft2(_tapered(block))) ** 2).sum(0) for block in blocks)
    return np.asarray(total / len(fields))


def zonal_spectrum(field: xr.DataArray) -> xr.DataArray:
    """Power over the zonal wavenumber, averaged over everything but lon.

    Arguments:
        field: (..., lat, lon) without NaN, evenly spaced along lon.

    Returns:
        E(k) over `wavenumber` (cycles per km), one-sided, in units^2 km, with `wavelength` in km.

    Raises:
        DataError: holes, fewer than 4 cells, or an uneven grid.
    """
    values, (_, dx) = _checked(field, at_least=(2, 4))
    nx = values.shape[-1]
    power = _row_power(values.reshape(-1, nx).astype(np.float64))
    return _spectrum(power * nx * dx, np.arange(1, len(power) + 1) / (nx * dx), field)


def segment_spectra(fields: Mapping[str, xr.DataArray], inside: xr.DataArray, *, length_km: float) -> xr.Dataset:
    """Zonal spectra of several fields, averaged over all straight segments of one length that lie in the domain.

    In each row the segments have as many cells as come nearest to `length_km` at its latitude, so that the n-th
    wavenumber of every row is n / length_km; they overlap by half. A land cell is never read.

    Arguments:
        fields: (..., lat, lon) each, finite in `inside`, evenly spaced along lon.
        inside: (lat, lon).
        length_km: Length of a segment, and the longest wavelength.

    Returns:
        E(k) over `wavenumber` (cycles per km) up to the Nyquist wavenumber of the coarsest row, one curve per field;
        attributes `length_km` and `segments`.

    Raises:
        DataError: no segment of that length lies in the domain, a hole, or an uneven grid.
    """
    where = inside.transpose("lat", "lon").values.astype(bool)
    first = next(iter(fields.values()))
    dx = _row_spacing_km(first)
    cells = np.rint(length_km / dx).astype(int)
    count = int(min(cells, default=0) // 2)
    pieces = [(row, start, n) for row, n in enumerate(cells) for start in _starts(where[row], int(n))] if count else []
    if count < 4 or not pieces:
        raise DataError(
            f"No straight segment of {length_km:g} km along longitude with 8 cells or more lies in the domain. Choose a "
            "shorter one, or evaluate a region with more open water."
        )
    curves = {}
    for name, field in fields.items():
        values = field.transpose(..., "lat", "lon").values.astype(np.float64)
        energy = np.zeros(count)
        for row, start, n in pieces:
            power = _row_power(values[..., row, start : start + n].reshape(-1, n))[:count]
            energy += power * length_km / len(pieces)
        if not np.isfinite(energy).all():
            raise DataError(f"A spectrum needs a field without holes in the domain; {name!r} has some. Fill it first.")
        curves[name] = _spectrum(energy, np.arange(1, count + 1) / length_km, field)
    return xr.Dataset(curves, attrs={"kind": "zonal segments", "length_km": length_km, "segments": len(pieces)})


def resolved_wavelength(error: xr.DataArray, truth: xr.DataArray) -> float | None:
    """The wavelength in km down to which the error has less than half of the truth's power.

    From the longest wavelength towards short ones the first crossing counts, interpolated in log E and log k.

    Arguments:
        error, truth: E(k) over `wavenumber`, such as `segment_spectra` gives.

    Returns:
        None if not even the longest wavelength is resolved; the shortest one of the spectrum if all are.
    """
    k = error["wavenumber"].values
    tiny = np.finfo(float).tiny
    excess = np.log(np.maximum(error.values, tiny)) - np.log(np.maximum(0.5 * truth.values, tiny))
    over = np.flatnonzero(excess > 0)
    if not over.size:
        return float(1 / k[-1])
    n = int(over[0])
    if n == 0:
        return None
    share = -excess[n - 1] / (excess[n] - excess[n - 1])
    return float(np.exp(-((1 - share) * np.log(k[n - 1]) + share * np.log(k[n]))))


def _spectrum(energy: np.ndarray, wavenumber: np.ndarray, field: xr.DataArray) -> xr.DataArray:
    units = field.attrs.get("units", "1")
    return xr.DataArray(
        energy,
        coords={"wavenumber": wavenumber, "wavelength": ("wavenumber", 1 / wavenumber)},
        dims="wavenumber",
        attrs={"units": f"({units})2 km", "long_name": "power spectral density"},
    )


def _checked(field: xr.DataArray, *, at_least: tuple[int, int]) -> tuple[np.ndarray, tuple[float, float]]:
    values = field.transpose(..., "lat", "lon").values
    if values.shape[-2] < at_least[0] or values.shape[-1] < at_least[1]:
        raise DataError(
            f"A spectrum needs {at_least[0]} x {at_least[1]} cells or more, "
            f"found {values.shape[-2]} x {values.shape[-1]}. Choose a larger region."
        )
    holes = int(np.isnan(values).sum())
    if holes:
        raise DataError(f"A spectrum needs a field without holes, found {holes} NaN. Choose a box with `largest_box`.")
    return values, spacing_km(field)


def _row_power(rows: np.ndarray) -> np.ndarray:
    """Mean power (wavenumber 1, 2, ...) of (row, lon); sums to the mean square of the tapered rows."""
    nx = rows.shape[-1]
    power = (np.abs(np.fft.rfft(_tapered_rows(rows), axis=-1)) ** 2).mean(0)[1:] / nx**2
    power[: (nx - 1) // 2] *= 2  # the negative wavenumbers; Nyquist, where there is one, stands alone
    return power


def _starts(inside: np.ndarray, cells: int) -> list[int]:
    """First cells of the segments of one row, half a segment apart within every stretch of water."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], inside.astype(int), [0]])))
    return [
        int(start)
        for west, east in zip(edges[::2], edges[1::2], strict=True)
        for start in range(west, east - cells + 1, max(1, cells // 2))
    ]


def _tapered(values: np.ndarray) -> np.ndarray:
    """(..., lat, lon) less its least-squares plane, times a Hann window of mean square one."""
    ny, nx = values.shape[-2:]
    y, x = np.meshgrid(np.linspace(-1, 1, ny), np.linspace(-1, 1, nx), indexing="ij")
    basis = np.stack([np.ones(ny * nx), y.ravel(), x.ravel()], axis=1)
    flat = values.reshape(*values.shape[:-2], ny * nx)
    plane = (flat @ np.linalg.pinv(basis).T) @ basis.T
    window = _hann(ny)[:, None] * _hann(nx)[None, :]
    return (flat - plane).reshape(values.shape) * window


def _tapered_rows(rows: np.ndarray) -> np.ndarray:
    """(row, lon) less a line each, times a Hann window of mean square one."""
    x = np.linspace(-1, 1, rows.shape[1])
    line = rows.mean(1, keepdims=True) + x * (rows @ x / (x @ x))[:, None]
    return (rows - line) * _hann(rows.shape[1])


def _hann(size: int) -> np.ndarray:
    # half a cell in from the edge, so that no cell is thrown away
    window = np.sin(np.pi * (np.arange(size) + 0.5) / size) ** 2
    return window / np.sqrt(np.mean(window**2))

"""A spectrum keeps the variance, finds a wave at its wavelength, and a box holds no land."""

import numpy as np
import pytest
import xarray as xr

from driftfield.errors import DataError
from driftfield.evaluate.spectra import (
    box_spectra,
    isotropic_spectrum,
    largest_box,
    resolved_wavelength,
    segment_spectra,
    spacing_km,
    zonal_spectrum,
)


def field(values: np.ndarray) -> xr.DataArray:
    """On a quarter-degree grid at the equator, so that a cell is square."""
    ny, nx = values.shape[-2:]
    coords = {"lat": 0.25 * (np.arange(ny) - (ny - 1) / 2), "lon": 0.25 * np.arange(nx)}
    return xr.DataArray(values, dims=("time", "lat", "lon")[-values.ndim :], coords=coords, attrs={"units": "m"})


@pytest.mark.parametrize("size", [31, 32])
def test_zonal_power_sums_to_the_variance(size):
    noise = field(np.random.default_rng(0).standard_normal((40, 50, size)))
    spectrum = zonal_spectrum(noise)
    step = float(spectrum["wavenumber"][0])
    # two parameters of the line leave (n - 2) / n of the variance, less under the window's middle
    assert float(spectrum.sum()) * step == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("spectrum", [zonal_spectrum, isotropic_spectrum])
def test_a_wave_is_found_at_its_wavelength(spectrum):
    lon = np.arange(64)
    waves = field(np.sin(2 * np.pi * lon / 8) * np.ones((64, 1)))
    found = spectrum(waves)
    assert float(found["wavelength"][int(found.values.argmax())]) == pytest.approx(8 * spacing_km(waves)[1], rel=0.01)
    assert float(found.sum() * found["wavenumber"][0]) == pytest.approx(0.5, rel=0.1)


def test_isotropic_power_does_not_know_directions():
    values = np.random.default_rng(1).standard_normal((5, 24, 24))
    turned = isotropic_spectrum(field(values.swapaxes(-1, -2)))
    np.testing.assert_allclose(turned, isotropic_spectrum(field(values)), rtol=1e-9)


def test_a_plane_has_no_power():
    y, x = np.meshgrid(np.arange(20.0), np.arange(30.0), indexing="ij")
    np.testing.assert_allclose(isotropic_spectrum(field(3 + 2 * x - y)), 0, atol=1e-20)


def test_spacing_is_of_the_middle_latitude():
    at60 = xr.DataArray(np.zeros((3, 4)), dims=("lat", "lon"), coords={"lat": [59, 60, 61], "lon": [0, 1, 2, 3]})
    dy, dx = spacing_km(at60)
    assert dy == pytest.approx(111.19, abs=0.01)
    assert dx == pytest.approx(dy / 2)


def test_largest_box_is_the_largest():
    rng = np.random.default_rng(2)
    for _ in range(20):
        mask = rng.random((6, 7)) < 0.75
        box = largest_box(mask)
        assert mask[box.lat, box.lon].all()
        brute = max(
            (b - a) * (d - c)
            for a in range(6) for b in range(a + 1, 7) for c in range(7) for d in range(c + 1, 8)
            if mask[a:b, c:d].all()
        )  # fmt: skip
        assert box.shape[0] * box.shape[1] == brute
    assert largest_box(np.zeros((3, 3), dtype=bool)).shape == (0, 0)


def test_box_spectra_choose_what_the_box_allows():
    noise = field(np.random.default_rng(0).standard_normal((3, 20, 40)))
    inside = xr.ones_like(noise.isel(time=0), dtype=bool)
    assert box_spectra({"truth": noise}, inside).attrs["kind"] == "isotropic"
    assert box_spectra({"truth": noise}, inside & (np.arange(20) < 6)[:, None]).attrs["kind"] == "zonal"
    with pytest.raises(DataError, match="largest box without land has 6 x 9"):
        box_spectra({"truth": noise}, inside & (np.arange(20) < 6)[:, None] & (np.arange(40) < 9))


def test_holes_and_uneven_grids_are_errors():
    noise = field(np.random.default_rng(0).standard_normal((20, 20)))
    with pytest.raises(DataError, match="found 1 NaN"):
        isotropic_spectrum(noise.where((noise.lat != noise.lat[3]) | (noise.lon != noise.lon[4])))
    uneven = noise.assign_coords(lat=np.sort(np.random.default_rng(0).random(20)))
    with pytest.raises(DataError, match="evenly spaced lat"):
        isotropic_spectrum(uneven)


def islands(shape: tuple[int, int]) -> xr.DataArray:
    """Water with an island every 50 columns, in other places from row to row, so that there is no large box."""
    inside = np.ones(shape, dtype=bool)
    for row in range(shape[0]):
        inside[row, (17 * row) % 50 :: 50] = False
    return field(np.zeros(shape)).copy(data=inside)


def low_pass(truth: xr.DataArray, wavelength_km: float) -> xr.DataArray:
    """Each row without what a filter takes away: the error has half of the power at this wavelength."""
    dx = spacing_km(truth)[1]
    k = np.fft.rfftfreq(truth.sizes["lon"], dx)
    # 1 - response = sqrt(1/2) at k = 1 / wavelength
    response = np.exp(-np.log(1 / (1 - np.sqrt(0.5))) * (k * wavelength_km) ** 2)
    return truth.copy(data=np.fft.irfft(np.fft.rfft(truth.values) * response, n=truth.sizes["lon"]))


@pytest.mark.parametrize("wavelength", [120.0, 250.0])
def test_the_resolved_wavelength_of_a_known_filter_is_found_between_islands(wavelength: float) -> None:
    truth = field(np.cumsum(np.random.default_rng(3).standard_normal((12, 12, 400)), axis=-1))  # red, as the sea is
    inside = islands((12, 400))
    parts = {"truth": truth.where(inside), "error": (low_pass(truth, wavelength) - truth).where(inside)}
    with pytest.raises(DataError, match="No straight segment of 3000 km"):
        segment_spectra(parts, inside, length_km=3000)
    found = segment_spectra(parts, inside, length_km=1000)
    assert resolved_wavelength(found["error"], found["truth"]) == pytest.approx(wavelength, rel=0.1)


def test_segments_keep_the_variance_and_read_no_land() -> None:
    noise = field(np.random.default_rng(4).standard_normal((20, 12, 400)))
    inside = islands((12, 400))
    spectrum = segment_spectra({"truth": noise.where(inside)}, inside, length_km=1000)["truth"]
    assert float(spectrum.sum() * spectrum["wavenumber"][0]) == pytest.approx(1, abs=0.1)
    flooded = segment_spectra({"truth": noise.where(inside, 1e6)}, inside, length_km=1000)["truth"]
    xr.testing.assert_identical(flooded, spectrum)
    with pytest.raises(DataError, match="'truth' has some"):
        segment_spectra({"truth": noise.where(noise.lon > 20)}, inside, length_km=1000)


def test_all_or_nothing_is_resolved() -> None:
    truth = zonal_spectrum(field(np.random.default_rng(5).standard_normal((8, 64))))
    assert resolved_wavelength(0.4 * truth, truth) == pytest.approx(float(truth["wavelength"][-1]))
    assert resolved_wavelength(0.0 * truth, truth) == pytest.approx(float(truth["wavelength"][-1]))
    assert resolved_wavelength(0.6 * truth, truth) is None

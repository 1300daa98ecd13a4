"""The mean of one image: as bent as left-out tiles say, and never beyond what was seen."""

import numpy as np

from driftfield.peers.quadratic_surface import quadratic_surface

LAT, LON = np.linspace(40, 44, 40), np.linspace(0, 5, 50)
V, U = np.meshgrid(np.linspace(-1, 1, 40), np.linspace(-1, 1, 50), indexing="ij")


def test_a_quadratic_field_is_found() -> None:
    field = 15 + U - 0.5 * V + 0.8 * U * V - 0.6 * U**2
    field += 0.01 * np.random.default_rng(0).standard_normal(field.shape)
    shown = np.where(np.random.default_rng(1).random(field.shape) < 0.3, np.nan, field)
    assert np.abs(quadratic_surface(shown, LAT, LON) - field).max() < 0.1


def test_noise_is_a_mean_and_nowhere_beyond_what_was_seen() -> None:
    rng = np.random.default_rng(2)
    flat = np.where(U + V > 0, np.nan, 15 + rng.standard_normal(U.shape))
    np.testing.assert_allclose(quadratic_surface(flat, LAT, LON), np.nanmean(flat), atol=1e-9)
    bowl = np.where((U > 0) & (V > 0), np.nan, 15 + 3 * (U + V) ** 2)
    surface = quadratic_surface(bowl, LAT, LON)
    assert surface.min() >= np.nanmin(bowl)
    assert surface.max() <= np.nanmax(bowl)


def test_a_level_that_was_not_seen_and_few_values() -> None:
    field = np.full((2, 40, 50), np.nan)
    field[0, 3:6, 4:7] = 12.0
    np.testing.assert_allclose(quadratic_surface(field, LAT, LON), 12.0)

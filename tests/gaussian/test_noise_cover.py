"""Noise against data, wave by wave: what is known of Gaussian fields, and turbulence that a smooth noise cannot reach."""

import numpy as np
import pytest

from driftfield.errors import ConfigurationError, DataError
from driftfield.gaussian.random_fields import Matern, PeriodicField, SquaredExponential
from driftfield.gaussian.random_fields.cover import noise_cover
from driftfield.worlds.turbulence_record import simulate_navier_stokes


def test_data_like_the_noise_are_as_strong_everywhere() -> None:
    field = PeriodicField(Matern(0.1, 1.5), (32, 48))
    cover = noise_cover(3 * field.sample(np.random.default_rng(0), 400), field)
    np.testing.assert_allclose(cover.equal, 3, rtol=0.05)
    assert cover.s_max == pytest.approx(6, rel=0.05)
    assert cover.s_min == pytest.approx(1.5, rel=0.05)
    assert len(cover.wavenumber) == 15


def test_white_noise_has_the_same_power_everywhere() -> None:
    field = PeriodicField(Matern(0.1, 1.5), (32, 32))
    cover = noise_cover(field.sample(np.random.default_rng(1), 400))
    np.testing.assert_allclose(cover.noise, 1)
    k = 2 * np.pi * np.arange(1, 16)
    ratio = np.sqrt(field.kernel.density(k**2) / field.kernel.density(k[:1] ** 2))
    np.testing.assert_allclose(cover.equal / cover.equal[0], ratio, rtol=0.25)


def test_smooth_noise_is_refused_on_turbulence_and_rough_noise_accepted() -> None:
    """Kolmogorov flow at Re 1000, s from .02 to 80: the squared exponential of length .05 never drowns the fine waves."""
    fields = simulate_navier_stokes(size=40, compute=64, trajectories=2, frames=4, every=2.0, spin_up=10.0)[
        "vorticity"
    ].values
    fields = fields / fields.std()
    rough, smooth = (PeriodicField(kernel, (40, 40)) for kernel in (Matern(0.05, 1.5), SquaredExponential(0.05)))
    cover = noise_cover(fields, rough)
    cover.check(0.02, 80.0)
    assert cover.s_max < 12
    assert cover.table().count("\n") == 20
    with pytest.raises(ConfigurationError, match=r"does not cover the data.*wave 19.*rougher noise"):
        noise_cover(fields, smooth).check(0.02, 80.0)
    with pytest.raises(ConfigurationError, match="outlasts the data"):
        cover.check(1.0, 80.0)


def test_what_has_no_spectrum_is_refused() -> None:
    field = PeriodicField(Matern(0.1), (8, 8))
    with pytest.raises(DataError, match="without gaps"):
        noise_cover(np.full((1, 8, 8), np.nan), field)
    with pytest.raises(DataError, match="on the grid"):
        noise_cover(np.zeros((1, 6, 8)), field)
    with pytest.raises(DataError, match="no signal at wave 1"):
        noise_cover(np.ones((1, 8, 8)), field)

"""Encoding is invertible, fitted on training ocean only, and gives mean 0 and standard deviation 1 there."""

import numpy as np
import pytest
import torch
import xarray as xr

from driftfield.data.normalise import Bounded, ClimatologicalAnomaly, Normalizer, ZScore, normalizer_from_arrays
from driftfield.errors import ConfigurationError, DataError
from driftfield.registry import build

ALL = [ZScore(), Bounded(), ClimatologicalAnomaly(), ClimatologicalAnomaly(per="domain")]


def names(normalizer: Normalizer) -> str:
    return type(normalizer).__name__ + getattr(normalizer, "per", "")


def world() -> tuple[xr.DataArray, xr.DataArray]:
    """A warm surface with a season over a cold, quiet level; land in the west."""
    rng = np.random.default_rng(0)
    times = np.arange("2001-01", "2005-01", dtype="datetime64[M]").astype("datetime64[ns]")
    season = 5 * np.cos(2 * np.pi * np.arange(48) / 12)
    values = (
        rng.standard_normal((48, 2, 6, 8)) * np.array([2.0, 0.1])[:, None, None] + np.array([15.0, 3.0])[:, None, None]
    )
    values[:, 0] += season[:, None, None]
    array = xr.DataArray(
        values.astype(np.float32),
        dims=("time", "depth", "lat", "lon"),
        coords={"time": times, "depth": [0.0, 100.0], "lat": np.linspace(0, 75, 6), "lon": np.arange(8.0)},
        name="thetao",
    )
    domain = xr.ones_like(array.isel(time=0, drop=True), dtype=bool)
    domain[:, :, :2] = False
    return array, domain


@pytest.mark.parametrize("normalizer", ALL, ids=names)
def test_decoding_is_the_inverse_of_encoding_for_numpy_and_torch(normalizer: Normalizer) -> None:
    array, domain = world()
    normalizer.fit(array, domain, np.arange(36))
    mean = normalizer.mean_at(array["time"])
    assert mean.shape == array.shape
    assert np.isfinite(mean).all()
    code = normalizer.encode(array.values, mean)
    np.testing.assert_allclose(normalizer.decode(code, mean), array.values, rtol=1e-6, atol=2e-6)
    tensor = torch.from_numpy(array.values)
    code_t = normalizer.encode(tensor, torch.from_numpy(mean.copy()))
    np.testing.assert_allclose(code_t.numpy(), code, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("normalizer", ALL, ids=names)
def test_neither_land_nor_other_times_have_a_say(normalizer: Normalizer) -> None:
    array, domain = world()
    before = {key: value.copy() for key, value in normalizer.fit(array, domain, np.arange(36)).to_arrays().items()}
    changed = array.where(domain, 1e6)
    changed[36:] = -1e6
    after = normalizer.fit(changed, domain, np.arange(36)).to_arrays()
    for key, value in before.items():
        np.testing.assert_array_equal(after[key], value)


@pytest.mark.parametrize("normalizer", [n for n in ALL if not isinstance(n, Bounded)], ids=names)
def test_the_training_ocean_has_mean_zero_and_standard_deviation_one(normalizer: Normalizer) -> None:
    array, domain = world()
    part = array.isel(time=slice(0, 36)).where(domain)
    normalizer.fit(array, domain, np.arange(36))
    code = xr.zeros_like(part) + normalizer.encode(part.values, normalizer.mean_at(part["time"]))
    area = np.cos(np.radians(part["lat"]))
    space = ["time", "lat", "lon"]
    np.testing.assert_allclose(code.weighted(area).mean(space), 0.0, atol=1e-4)
    np.testing.assert_allclose((code**2).weighted(area).mean(space), 1.0, rtol=1e-4)


def test_bounded_training_values_fill_minus_one_to_one() -> None:
    array, domain = world()
    bounded = Bounded().fit(array, domain, np.arange(36))
    part = array.isel(time=slice(0, 36)).where(domain)
    code = bounded.encode(part.values, bounded.mean_at(part["time"]))
    np.testing.assert_allclose(np.nanmin(code, axis=(0, 2, 3)), -1.0, atol=1e-5)
    np.testing.assert_allclose(np.nanmax(code, axis=(0, 2, 3)), 1.0, atol=1e-5)


def test_a_level_that_never_varies_is_not_blown_up() -> None:
    array, domain = world()
    array[:, 1] = 3.0
    normalizer = ZScore(std_floor=0.01).fit(array, domain, np.arange(36))
    assert float(normalizer.std[1, 0, 0]) == pytest.approx(0.01 * float(normalizer.std[0, 0, 0]))


def test_the_anomaly_has_no_season_left_and_parts_of_the_grid_agree() -> None:
    array, domain = world()
    cell = ClimatologicalAnomaly().fit(array, domain, np.arange(36))
    assert float(cell.std[0, 0, 0]) < 2.1 < float(ZScore().fit(array, domain, np.arange(36)).std[0, 0, 0])
    whole = cell.mean_at(array["time"])
    rows, cols = np.array([1, 2, 3]), np.array([6, 7, 0])
    np.testing.assert_array_equal(cell.mean_at(array["time"], rows, cols), whole[:, :, 1:4][..., cols])
    np.testing.assert_array_equal(cell.mean_at(array["time"], slice(1, 4), slice(2, 5)), whole[:, :, 1:4, 2:5])
    assert ZScore().fit(array, domain, np.arange(36)).mean_at(array["time"][:5], rows, cols).shape == (5, 2, 3, 3)


def test_surface_fields_have_one_channel() -> None:
    array, domain = world()
    surface, where = array.isel(depth=0, drop=True), domain.isel(depth=0, drop=True)
    for normalizer in ALL:
        normalizer.fit(surface, where, np.arange(36))
        assert normalizer.std.shape == (1, 1, 1)
        assert normalizer.mean_at(surface["time"]).shape == (48, 1, 6, 8)


@pytest.mark.parametrize("normalizer", ALL, ids=names)
def test_plain_numbers_bring_it_back(normalizer: Normalizer) -> None:
    array, domain = world()
    normalizer.fit(array, domain, np.arange(36))
    again = normalizer_from_arrays(normalizer.describe(), normalizer.to_arrays())
    assert type(again) is type(normalizer)
    assert again.describe() == normalizer.describe()
    np.testing.assert_array_equal(again.mean_at(array["time"]), normalizer.mean_at(array["time"]))
    np.testing.assert_array_equal(again.std, normalizer.std)


def test_lazy_and_loaded_agree() -> None:
    array, domain = world()
    for normalizer in ALL:
        loaded = normalizer.fit(array, domain, np.arange(36)).std
        np.testing.assert_array_equal(normalizer.fit(array.chunk({"time": 10}), domain, np.arange(36)).std, loaded)


def test_messages() -> None:
    array, domain = world()
    with pytest.raises(DataError, match=r"no finite value at the depth \d+ m.*Leave the level out"):
        ZScore().fit(array.where(array["depth"] < 50), domain, np.arange(36))
    with pytest.raises(ConfigurationError, match="'cell' or 'domain'"):
        build("normalizer", {"class": "ClimatologicalAnomaly", "per": "month"})
    with pytest.raises(ConfigurationError, match="Did you mean 'ZScore'"):
        build("normalizer", {"class": "Zscore"})

"""What every interpolation of one level keeps to: observations, land, the date line, sections, and gaps in the archive."""

import numpy as np
import pytest
import xarray as xr
from gaussian_ocean import tiny_ocean

from driftfield.interfaces import TrainingData
from driftfield.peers.background import Background
from driftfield.peers.cubic import Cubic
from driftfield.peers.inverse_distance import InverseDistance
from driftfield.peers.levels import LevelInterpolation
from driftfield.peers.linear import LinearInterpolation
from driftfield.peers.nearest import Nearest

LEVELWISE = (Nearest, InverseDistance, LinearInterpolation, Cubic)


def on_grid(cls: type[LevelInterpolation], lat: np.ndarray, lon: np.ndarray, *, periodic: bool) -> LevelInterpolation:
    """A peer that needs no archive, since its anomalies are given."""
    domain = xr.DataArray(
        np.ones((lat.size, lon.size), dtype=bool), dims=("lat", "lon"), coords={"lat": lat, "lon": lon}
    )
    peer = cls(power=3.0, neighbours=64) if cls is InverseDistance else cls()
    peer.background = Background({}, {"f": domain}, ("f",), periodic)
    peer.chosen = (3.0, 64)
    return peer


def scattered(shape: tuple[int, int], count: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    field = np.full(shape, np.nan)
    field.flat[rng.choice(field.size, count, replace=False)] = rng.standard_normal(count)
    return field


@pytest.mark.parametrize("cls", LEVELWISE)
def test_a_turned_globe_is_filled_alike(cls: type[LevelInterpolation]) -> None:
    lat = np.array([-61.0, -40.5, -22.0, -9.0, 4.0, 13.5, 31.0, 47.0, 70.0])
    peer = on_grid(cls, lat, np.arange(24) * 15.0, periodic=True)
    seen, domain = scattered((9, 24), 20, seed=3), np.ones((9, 24), dtype=bool)
    # with a hull of whole parallels; on a ragged one the slopes of the cubics feel where the repetition ends
    seen[[0, -1]] = np.random.default_rng(12).standard_normal((2, 24))
    filled = peer.fill(seen, domain)
    for shift in (1, 7, 20):
        turned = peer.fill(np.roll(seen, shift, axis=1), domain)
        np.testing.assert_allclose(turned, np.roll(filled, shift, axis=1), atol=1e-3)


@pytest.mark.parametrize("cls", LEVELWISE)
def test_a_constant_stays_one_and_observations_stay_theirs(cls: type[LevelInterpolation]) -> None:
    peer = on_grid(cls, np.linspace(30, 40, 7), np.linspace(-20, 0, 11), periodic=False)
    seen, domain = scattered((7, 11), 12, seed=1), np.ones((7, 11), dtype=bool)
    where = np.isfinite(seen)
    filled = peer.fill(seen, domain)
    np.testing.assert_array_equal(filled[where], seen[where])
    assert filled.min() >= seen[where].min() - 1e-9
    assert filled.max() <= seen[where].max() + 1e-9
    np.testing.assert_allclose(peer.fill(np.where(where, 2.5, np.nan), domain), 2.5)


@pytest.mark.parametrize("cls", LEVELWISE)
def test_one_observation_fills_its_level_and_none_is_the_season(cls: type[LevelInterpolation]) -> None:
    peer = on_grid(cls, np.linspace(30, 40, 4), np.linspace(-20, 0, 5), periodic=False)
    seen, domain = np.full((2, 4, 5), np.nan), np.ones((2, 4, 5), dtype=bool)
    seen[1, 2, 2], domain[1, 0, 0] = 1.5, False
    filled = peer.fill(seen, domain)
    assert not filled[0].any()
    assert filled[1, 0, 0] == 0.0
    np.testing.assert_allclose(filled[1][domain[1]], 1.5)


@pytest.mark.parametrize("cls", [LinearInterpolation, Cubic])
def test_a_section_of_one_row_is_interpolated_along_it(cls: type[LevelInterpolation]) -> None:
    peer = on_grid(cls, np.array([48.0]), np.linspace(-53, -50, 7), periodic=False)
    seen = np.full((1, 7), np.nan)
    seen[0, [1, 5]] = 0.0, 4.0
    np.testing.assert_allclose(peer.fill(seen, np.ones((1, 7), dtype=bool))[0], [0, 0, 1, 2, 3, 4, 4], atol=1e-9)


@pytest.mark.parametrize("cls", LEVELWISE)
def test_a_gappy_archive_will_do(cls: type[LevelInterpolation]) -> None:
    archive = tiny_ocean(3, 48)
    rng = np.random.default_rng(0)
    sst = archive.dataset["sst"]
    archive.dataset["sst"] = sst.where(rng.random(sst.shape) < 0.4)
    peer = cls()
    peer.fit(TrainingData(archive, np.arange(36), np.arange(36, 48), ("sst",)))
    observations = sst.isel(time=[3]).where(rng.random(sst.shape[1:]) < 0.3).to_dataset()
    observations["domain"] = archive.domain("sst")
    found = peer.reconstruct(observations, members=2)
    assert bool(np.isfinite(found["sst"]).where(archive.domain("sst"), True).all())
    assert "sst_sd" not in found

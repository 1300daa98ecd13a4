"""Inverse distance weighting is its formula, with constants that the validation times choose."""

from pathlib import Path

import numpy as np
import pytest
from gaussian_ocean import tiny_ocean
from test_levels import on_grid, scattered

from driftfield.errors import ConfigurationError
from driftfield.geometry import EARTH_RADIUS_KM as EARTH_RADIUS
from driftfield.interfaces import TrainingData
from driftfield.peers.inverse_distance import NEIGHBOURS, POWERS, InverseDistance
from driftfield.peers.nearest import Nearest


def test_it_is_the_weighted_mean() -> None:
    peer = on_grid(InverseDistance, np.array([0.0]), np.array([0.0, 1.0, 3.0]), periodic=False)
    near, far = (2 * EARTH_RADIUS * np.sin(np.radians(d) / 2) for d in (1.0, 2.0))
    expected = (5 * near**-3 + 8 * far**-3) / (near**-3 + far**-3)
    filled = peer.fill(np.array([[5.0, np.nan, 8.0]]), np.ones((1, 3), dtype=bool))
    np.testing.assert_allclose(filled[0, 1], expected)


def test_a_great_power_is_the_nearest() -> None:
    lat, lon = np.array([-61.0, -40.5, -22.0, -9.0, 4.0, 13.5, 31.0]), np.arange(12) * 30.0
    seen, domain = scattered((7, 12), 9, seed=5), np.ones((7, 12), dtype=bool)
    peer = on_grid(InverseDistance, lat, lon, periodic=True)
    peer.chosen = (2000.0, 9)
    np.testing.assert_allclose(
        peer.fill(seen, domain), on_grid(Nearest, lat, lon, periodic=True).fill(seen, domain), atol=0.01
    )


def test_all_longitudes_of_a_pole_are_one_place() -> None:
    peer = on_grid(InverseDistance, np.array([0.0, 90.0]), np.arange(4) * 90.0, periodic=True)
    seen = np.full((2, 4), np.nan)
    seen[1, 0], seen[0, 0] = 7.0, 1.0
    np.testing.assert_allclose(peer.fill(seen, np.ones((2, 4), dtype=bool))[1], 7.0)


def test_constants_are_chosen_on_validation_and_kept(training: TrainingData, tmp_path: Path) -> None:
    peer = InverseDistance()
    peer.fit(training)
    power, neighbours = peer.chosen
    assert power in POWERS
    assert neighbours in NEIGHBOURS
    peer.save(tmp_path / "run")
    assert InverseDistance.load(tmp_path / "run").chosen == peer.chosen
    fixed = InverseDistance(power=2.0, neighbours=8)
    fixed.fit(training)
    assert fixed.chosen == (2.0, 8)


def test_white_anomalies_want_many_neighbours_and_smooth_ones_few() -> None:
    archive = tiny_ocean(0, 48)
    data = TrainingData(archive, np.arange(36), np.arange(36, 48), ("sst",))
    smooth, white = InverseDistance(neighbours=16), InverseDistance(neighbours=16)
    smooth.fit(data)
    archive.dataset["sst"] = archive.dataset["sst"].copy(
        data=np.random.default_rng(0).standard_normal(archive.dataset["sst"].shape).astype(np.float32)
    )
    white.fit(data)
    assert white.chosen[0] == POWERS[0] < smooth.chosen[0]


@pytest.mark.parametrize("arguments", [{"power": 0.0}, {"neighbours": 0}, {"patterns": ["cloud:0.5"]}])
def test_impossible_arguments_are_refused(arguments: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError):
        InverseDistance(**arguments)

"""Profiles and tracks of a known ocean are what the operator makes of it, at sea, and with the error that is stated."""

import numpy as np
import pytest
import torch
import xarray as xr

from driftfield.data.codec import FieldCodec
from driftfield.earth import KM_PER_DEGREE
from driftfield.errors import ConfigurationError, DataError
from driftfield.observations.checks import check
from driftfield.observations.drawn import draw_profiles, draw_tracks
from driftfield.observations.grid import StateGrid
from driftfield.observations.observe import state_grid
from driftfield.testing import tiny_ocean, tiny_training_data

PROFILES = {"variable": "thetao", "count": 6, "depths": (10.0, 25.0, 33.0)}
TRACKS = {"variable": "sst", "count": 3, "spacing_km": 20.0}


@pytest.fixture(scope="module")
def truth() -> xr.Dataset:
    return tiny_ocean().isel(time=[3, 9])


@pytest.fixture(scope="module")
def grid() -> StateGrid:
    data = tiny_training_data()
    codec = FieldCodec.fit(data.archive, data.train, ["thetao", "sst"], [], {"class": "ClimatologicalAnomaly"})  # type: ignore[arg-type]
    return state_grid(codec, [np.datetime64("2000-01-01")])


def state(truth: xr.Dataset, time: int) -> torch.Tensor:
    parts = [truth["thetao"].values[time], truth["sst"].values[[time]]]
    return torch.from_numpy(np.nan_to_num(np.concatenate(parts)).astype(np.float64))[None]


@pytest.mark.parametrize(("draw", "options"), [(draw_profiles, PROFILES), (draw_tracks, TRACKS)])
def test_values_are_those_of_the_operator_and_all_can_be_used(
    draw: object, options: dict, truth: xr.Dataset, grid: StateGrid
) -> None:
    table = draw(truth, grid, error=1e-6, seed=1, **options)  # type: ignore[operator]
    for index, date in enumerate(truth["time"].values):
        mine = table.select(table.time == date.astype(table.time.dtype))
        assert len(set(mine.platform)) == options["count"]
        used, operator, account = check(mine, grid)
        assert len(used) == len(mine), account
        exact = operator(state(truth, index))[0].numpy()
        np.testing.assert_allclose(used.value, exact, atol=1e-5)
    assert table.attrs[options["variable"]]["units"] == "degC"


@pytest.mark.parametrize(("draw", "options"), [(draw_profiles, PROFILES), (draw_tracks, TRACKS)])
def test_errors_are_as_stated_and_places_depend_on_the_seed_alone(
    draw: object, options: dict, truth: xr.Dataset, grid: StateGrid
) -> None:
    many = options | {"count": 60}
    exact, seen = (draw(truth, grid, error=error, seed=2, **many) for error in (1e-9, 0.2))  # type: ignore[operator]
    np.testing.assert_array_equal(exact.longitude, seen.longitude)
    assert (seen.error == 0.2).all()
    n = len(seen)
    assert abs(np.std(seen.value - exact.value) / 0.2 - 1) < 4 / np.sqrt(2 * n)
    elsewhere = draw(truth, grid, error=0.2, seed=3, **many)  # type: ignore[operator]
    assert not np.isin(elsewhere.longitude, seen.longitude).any()


def test_a_track_is_straight_and_evenly_sampled(truth: xr.Dataset, grid: StateGrid) -> None:
    table = draw_tracks(truth, grid, "sst", count=4, spacing_km=5.0, error=0.1, inclination=70.0)
    for name in set(table.platform):
        one = table.select(table.platform == name)
        slopes = np.diff(one.latitude) / np.diff(one.longitude)
        np.testing.assert_allclose(slopes, slopes[0], rtol=1e-6)
        # steps are whole multiples of the spacing: land makes holes
        steps = np.diff(one.latitude) * KM_PER_DEGREE / np.sin(np.radians(70.0)) / 5.0
        np.testing.assert_allclose(np.abs(steps), np.round(np.abs(steps)), atol=1e-6)


def test_what_makes_no_sense_is_refused(truth: xr.Dataset, grid: StateGrid) -> None:
    for wrong in ({"count": 0}, {"error": 0.0}, {"depths": ()}):
        with pytest.raises(ConfigurationError, match="expected"):
            draw_profiles(truth, grid, **({"error": 0.1} | PROFILES | wrong))
    for wrong in ({"spacing_km": 0.0}, {"inclination": 100.0}):
        with pytest.raises(ConfigurationError, match="expected"):
            draw_tracks(truth, grid, error=0.1, **(TRACKS | wrong))
    with pytest.raises(DataError, match="lacks 'sst'"):
        draw_profiles(truth[["thetao"]], grid, error=0.1, **PROFILES)
    with pytest.raises(DataError, match="some sea"):
        draw_profiles(truth, grid, error=0.1, **(PROFILES | {"depths": (9000.0,)}))

"""Kriging of both components of a vector: what one says of the other, what is recognised, and what is refused."""

import logging
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from driftfield.conventions import vector_pairs_of
from driftfield.data.sources import GriddedArchive
from driftfield.errors import ConfigurationError, DataError
from driftfield.gaussian.space_time_covariance import Places
from driftfield.gaussian.vector_covariance import VectorCovariance
from driftfield.interfaces import TrainingData
from driftfield.peers.kriging import Kriging
from driftfield.peers.vector_kriging import VectorKriging

SIDE = 26


def currents(*, dates: int = 5, share: float = 0.0, seed: int = 0, name: str = "{}o") -> xr.Dataset:
    """Currents of a streamfunction (or with a divergent share) on a small grid, a correlation of 40 km and 3 days."""
    lat, lon = 36 + 0.1 * np.arange(SIDE), 0.1 * np.arange(SIDE)
    rows, columns = (a.ravel() for a in np.meshgrid(lat, lon, indexing="ij"))
    places = Places(rows, columns, np.zeros(rows.size), np.zeros(rows.size))
    field = VectorCovariance(35.0, 1.0, share, 1.5, 0.0, 0.04).draw(
        places, np.arange(dates, dtype=np.float64), np.random.default_rng(seed)
    )
    coordinates = {"time": pd.date_range("2020-01-01", periods=dates), "lat": lat, "lon": lon}
    return xr.Dataset(
        {
            name.format(letter): (("time", "lat", "lon"), field[k].reshape(dates, SIDE, SIDE), {"units": "m s-1"})
            for k, letter in enumerate("uv")
        },
        coords=coordinates,
    )


def hidden_corners(field: xr.DataArray, seed: int = 0) -> np.ndarray:
    """Squares of 12 x 12 cells, another one at every date."""
    hidden, rng = np.zeros(field.shape, dtype=bool), np.random.default_rng(seed)
    for t in range(len(hidden)):
        i, j = rng.integers(1, SIDE - 13, 2)
        hidden[t, i : i + 12, j : j + 12] = True
    return hidden


def record(dataset: xr.Dataset, **options: object) -> TrainingData:
    domains = {str(n): xr.ones_like(a.isel(time=0, drop=True), dtype=bool) for n, a in dataset.data_vars.items()}
    archive = GriddedArchive(dataset, domains, False)
    times = np.arange(dataset.sizes["time"])
    return TrainingData(archive, times, times[:0], tuple(domains), **options)  # type: ignore[arg-type]


def rmse(method: Kriging, seen: xr.Dataset, truth: xr.Dataset, name: str, hidden: np.ndarray) -> tuple[float, float]:
    """Of the hidden cells, and the share of them within the 90 % interval."""
    domain = xr.ones_like(seen[name].isel(time=0, drop=True), dtype=bool)
    found = method.reconstruct(seen.assign(domain=domain), members=1)
    error = (found[name] - truth[name]).values[hidden]
    inside = np.abs(error) <= 1.645 * found[f"{name}_sd"].values[hidden]
    return float(np.sqrt(np.mean(error**2))), float(inside.mean())


@pytest.fixture(scope="module")
def truth() -> xr.Dataset:
    return currents()


@pytest.fixture(scope="module")
def hidden(truth: xr.Dataset) -> np.ndarray:
    return hidden_corners(truth["vo"])


@pytest.fixture(scope="module")
def seen(truth: xr.Dataset, hidden: np.ndarray) -> xr.Dataset:
    """u everywhere, v with holes."""
    return truth.assign(vo=truth["vo"].where(~hidden))


@pytest.fixture(scope="module")
def method(seen: xr.Dataset) -> VectorKriging:
    fitted = VectorKriging()
    fitted.fit(record(seen))
    return fitted


def test_a_hidden_component_is_better_known_where_the_other_was_seen(
    method: VectorKriging, seen: xr.Dataset, truth: xr.Dataset, hidden: np.ndarray
) -> None:
    assert method.covariances["uo"].share < 0.15
    both, coverage = rmse(method, seen, truth, "vo", hidden)
    without = seen.assign(uo=seen["uo"].where(~hidden))
    alone, _ = rmse(method, without, truth, "vo", hidden)
    assert both < 0.8 * alone
    assert 0.75 < coverage <= 1


@pytest.mark.slow
def test_it_beats_kriging_of_the_component_alone(
    method: VectorKriging, seen: xr.Dataset, truth: xr.Dataset, hidden: np.ndarray
) -> None:
    kriging = Kriging()
    kriging.fit(record(seen[["vo"]]))
    assert rmse(method, seen, truth, "vo", hidden)[0] < 0.5 * rmse(kriging, seen[["vo"]], truth, "vo", hidden)[0]


def test_observed_values_stay_and_the_run_is_found_again(
    method: VectorKriging, seen: xr.Dataset, hidden: np.ndarray, tmp_path: Path
) -> None:
    domain = xr.ones_like(seen["vo"].isel(time=0, drop=True), dtype=bool)
    file = seen.assign(domain=domain)
    result = method.reconstruct(file, members=2, seed=3)
    np.testing.assert_array_equal(result["vo"].values[~hidden], seen["vo"].values[~hidden])
    method.save(tmp_path / "run")
    again = VectorKriging.load(tmp_path / "run").reconstruct(file, members=2, seed=3)
    xr.testing.assert_allclose(again, result)
    assert float(result["vo_member"].std("member").values[hidden].mean()) > 0


def test_stated_pairs_and_scales_are_taken(seen: xr.Dataset) -> None:
    other = seen.rename(uo="along", vo="aside")
    method = VectorKriging(length_km=30.0, days=2.0)
    method.fit(record(other, vector_pairs=(("along", "aside"),)))
    assert method.covariances["aside"].reach_km == pytest.approx(30.0)
    late = 2.0 / method.covariances["aside"].days
    assert (1 + late) * np.exp(-late) == pytest.approx(np.exp(-1), rel=1e-4)


def test_without_a_vector_it_is_kriging_and_says_so(seen: xr.Dataset, caplog: pytest.LogCaptureFixture) -> None:
    data = record(seen[["vo"]].isel(time=[0], lat=slice(0, 14), lon=slice(0, 14)))
    with caplog.at_level(logging.WARNING):
        method, kriging = VectorKriging(), Kriging()
        method.fit(data, seed=1)
    assert "vo: no component of a vector" in caplog.text
    kriging.fit(data, seed=1)
    assert method.constants == kriging.constants


def test_half_a_vector_and_two_sets_of_levels_are_refused(seen: xr.Dataset) -> None:
    with pytest.raises(ConfigurationError, match=r"'uo' is not among the targets"):
        VectorKriging().fit(record(seen[["vo"]], vector_pairs=(("uo", "vo"),)))
    deep = seen.assign(vo=seen["vo"].expand_dims(depth=[5.0, 10.0]).transpose("time", "depth", "lat", "lon"))
    with pytest.raises(DataError, match="different levels"):
        VectorKriging().fit(record(deep, vector_pairs=(("uo", "vo"),)))


@pytest.mark.parametrize(
    ("names", "standard", "expected"),
    [
        (("uo", "vo"), None, True),
        (("u", "v"), None, True),
        (("ugos", "vgos"), None, True),
        (("u10", "v10"), None, True),
        (("water_u", "water_v"), None, True),
        (("a", "b"), ("eastward_sea_water_velocity", "northward_sea_water_velocity"), True),
        (("a", "b"), ("sea_water_x_velocity", "sea_water_y_velocity"), True),
        (("a", "b"), ("eastward_wind", "northward_sea_water_velocity"), False),
        (("sst", "sss"), None, False),
        (("uo", "vo"), ("sea_water_temperature", "sea_water_salinity"), False),
    ],
)
def test_vectors_are_known_by_their_names(
    names: tuple[str, str], standard: tuple[str, str] | None, expected: bool
) -> None:
    dataset = currents(dates=1).rename(uo="first", vo="second").rename(first=names[0], second=names[1])
    for name, called in zip(names, standard or (), strict=False):
        dataset[name].attrs["standard_name"] = called
    assert vector_pairs_of(dataset) == ((names,) if expected else ())
    dataset[names[0]].attrs["units"] = "knots"
    assert vector_pairs_of(dataset) == ()


@pytest.mark.slow
def test_levels_do_not_see_each_other() -> None:
    """Of fields with depth every level is solved from its own observations."""
    upper, lower = currents(dates=3), currents(dates=3, seed=5)
    deep = xr.concat([upper, lower], pd.Index([5.0, 50.0], name="depth")).transpose("time", "depth", "lat", "lon")
    holes = hidden_corners(upper["vo"])
    seen = deep.assign(vo=deep["vo"].where(~xr.DataArray(holes, dims=("time", "lat", "lon"))))
    method = VectorKriging(around=1)
    method.fit(record(seen))
    domain = xr.ones_like(seen["vo"].isel(time=0, drop=True), dtype=bool)
    first = method.reconstruct(seen.assign(domain=domain), members=1)["vo"].values
    other = seen.copy(deep=True)
    other["uo"][:, 1] = 0.0
    second = method.reconstruct(other.assign(domain=domain), members=1)["vo"].values
    np.testing.assert_array_equal(first[:, 0], second[:, 0])
    assert np.abs(first[:, 1] - second[:, 1]).max() > 0.01

"""Kriging of a record as it is: exact where it was seen, honest where not, the same after loading."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from driftfield.data.sources import GriddedArchive
from driftfield.errors import ConfigurationError, DataError
from driftfield.gaussian.space_time_covariance import Places
from driftfield.gaussian.space_time_tuning import SpaceTimeConstants
from driftfield.interfaces import TrainingData
from driftfield.peers.kriging import Kriging
from driftfield.peers.quadratic_surface import quadratic_surface

TRUTH = SpaceTimeConstants(length=80.0, days=3.0, shape=1.5, nugget=0.01, middle=36.0)


def scene(dates: int = 1, *, seed: int = 0) -> tuple[xr.Dataset, xr.DataArray]:
    """A field on a slope, drawn from a covariance, with a block and a fifth of the cells hidden; and its truth."""
    rng = np.random.default_rng(seed)
    lat, lon = np.linspace(34, 37, 30), np.linspace(0, 4, 36)
    y, x = np.meshgrid(lat, lon, indexing="ij")
    places = Places(y.ravel(), x.ravel(), np.zeros(y.size), np.zeros(y.size))
    field = TRUTH.covariance.draw(places, np.arange(dates, dtype=float), rng).reshape(dates, *y.shape)
    field = 18 + 0.5 * (y - 35) + field + 0.1 * rng.standard_normal(field.shape)
    shown = rng.random(field.shape) > 0.2
    for t in range(dates):
        row, column = rng.integers(0, 20), rng.integers(0, 24)
        shown[t, row : row + 10, column : column + 10] = False
    coords = {
        "time": np.datetime64("2020-06-01", "ns") + np.arange(dates) * np.timedelta64(1, "D"),
        "lat": lat,
        "lon": lon,
    }
    truth = xr.DataArray(field.astype(np.float32), dims=("time", "lat", "lon"), coords=coords, attrs={"units": "degC"})
    domain = xr.ones_like(truth[0], dtype=bool).drop_vars("time")
    return xr.Dataset({"sst": truth.where(xr.DataArray(shown, dims=truth.dims)), "domain": domain}), truth


def data_of(observations: xr.Dataset) -> TrainingData:
    count = observations.sizes["time"]
    archive = GriddedArchive(observations[["sst"]], {"sst": observations["domain"]}, periodic=False)
    return TrainingData(archive=archive, train=np.arange(count), validation=np.arange(0), targets=("sst",))


@pytest.fixture(scope="module")
def image() -> tuple[Kriging, xr.Dataset, xr.DataArray]:
    observations, truth = scene()
    method = Kriging(nearest=60)
    method.fit(data_of(observations))
    return method, observations, truth


def test_fills_one_image_better_than_its_mean_and_keeps_what_was_seen(
    image: tuple[Kriging, xr.Dataset, xr.DataArray],
) -> None:
    method, observations, truth = image
    result = method.reconstruct(observations, members=2)
    seen = np.isfinite(observations["sst"].values)
    np.testing.assert_array_equal(result["sst"].values[seen], observations["sst"].values[seen])
    assert (result["sst_sd"].values[seen] == 0).all()
    assert (result["sst_sd"].values[~seen] > 0).all()
    error = (result["sst"] - truth).values[~seen]
    surface = quadratic_surface(observations["sst"].values[0], truth["lat"].values, truth["lon"].values)
    assert np.sqrt((error**2).mean()) < 0.6 * np.sqrt(((surface - truth.values[0])[~seen[0]] ** 2).mean())
    within = np.abs(error) < 1.645 * result["sst_sd"].values[~seen]
    assert 0.8 < within.mean() < 0.99


def test_members_spread_as_they_say_and_do_not_depend_on_their_number(
    image: tuple[Kriging, xr.Dataset, xr.DataArray],
) -> None:
    method, observations, _ = image
    many, few = (method.reconstruct(observations, members=m, seed=3) for m in (24, 2))
    np.testing.assert_allclose(few["sst_member"].values, many["sst_member"].values[:2], atol=1e-4)
    hidden = np.isnan(observations["sst"].values)
    drawn = many["sst_member"].values.std(axis=0, ddof=1)[hidden]
    stated = many["sst_sd"].values[hidden]
    assert np.sqrt((drawn**2).mean() / (stated**2).mean()) == pytest.approx(1.0, abs=0.15)


def test_a_loaded_run_answers_alike(image: tuple[Kriging, xr.Dataset, xr.DataArray], tmp_path: Path) -> None:
    method, observations, _ = image
    method.save(tmp_path / "run")
    again = Kriging.load(tmp_path / "run")
    xr.testing.assert_allclose(
        again.reconstruct(observations, members=1)[["sst", "sst_sd"]],
        method.reconstruct(observations, members=1)[["sst", "sst_sd"]],
    )


def test_some_cells_are_those_of_the_whole(image: tuple[Kriging, xr.Dataset, xr.DataArray]) -> None:
    method, observations, _ = image
    wanted = np.isnan(observations["sst"].values)
    mean, sd = method.estimate_cells(observations, "sst", wanted)
    whole = method.reconstruct(observations, members=1)
    np.testing.assert_allclose(mean[wanted], whole["sst"].values[wanted], rtol=1e-5)
    np.testing.assert_allclose(sd[wanted], whole["sst_sd"].values[wanted], rtol=1e-5)


@pytest.mark.slow
def test_other_dates_help() -> None:
    observations, truth = scene(6, seed=2)
    method = Kriging(nearest=60)
    method.fit(data_of(observations))
    hidden = np.isnan(observations["sst"].values)

    def rms(result: xr.Dataset) -> float:
        return float(np.sqrt(((result["sst"] - truth).values[hidden] ** 2).mean()))

    together = method.reconstruct(observations, members=1)
    alone = xr.concat(
        [method.reconstruct(observations.isel(time=[t]), members=1)[["sst"]] for t in range(6)], dim="time"
    )
    assert rms(together) < 0.95 * rms(alone)


def test_stated_noise_analyses_what_was_seen() -> None:
    observations, _ = scene(seed=4)
    method = Kriging(length_km=100.0, noise=0.3, nearest=40)
    method.fit(data_of(observations))
    result = method.reconstruct(observations, members=1)
    seen = np.isfinite(observations["sst"].values)
    spread = result["sst_sd"].values[seen]
    assert (spread > 0).all()
    assert spread.mean() < 0.3
    moved = np.abs(result["sst"].values - observations["sst"].values)[seen]
    assert 0.01 < moved.mean() < 0.5


@pytest.mark.parametrize("wrong", [{"length_km": 0.0}, {"days": -1.0}, {"noise": float("inf")}, {"nearest": 2}])
def test_refuses_arguments_that_make_no_sense(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(wrong))):
        Kriging(**wrong)  # type: ignore[arg-type]


def test_says_that_there_is_too_little() -> None:
    observations, _ = scene()
    few = observations.assign(sst=observations["sst"].where(observations["sst"] > 1e9))
    few["sst"][0, 0, 0] = 1.0
    with pytest.raises(DataError, match="too few values"):
        Kriging().fit(data_of(few))


def test_the_surface_of_one_image_is_exact_for_a_quadratic_field() -> None:
    lat, lon = np.linspace(30, 40, 20), np.linspace(-5, 5, 30)
    y, x = np.meshgrid(lat, lon, indexing="ij")
    field = 3 + y + 0.1 * x * y - 0.2 * x**2
    gappy = np.where(np.random.default_rng(0).random(field.shape) > 0.5, field, np.nan)
    # beyond what was seen the surface stays at it: here the extremes are seen
    for end in (field.argmin(), field.argmax()):
        gappy.flat[end] = field.flat[end]
    np.testing.assert_allclose(quadratic_surface(gappy, lat, lon, ridge=0.0), field, atol=1e-8)
    np.testing.assert_allclose(quadratic_surface(np.full(field.shape, np.nan), lat, lon), 0.0)

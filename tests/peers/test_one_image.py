"""One image and nothing besides: interpolations interpolate its values, not departures from itself."""

import numpy as np
import pytest
import xarray as xr
from scipy.interpolate import griddata

from driftfield.data.sources import GriddedArchive
from driftfield.interfaces import TrainingData
from driftfield.peers.box_mean import BoxMean
from driftfield.peers.cubic import Cubic
from driftfield.peers.levels import LevelInterpolation
from driftfield.peers.linear import LinearInterpolation
from driftfield.peers.nearest import Nearest


@pytest.fixture
def image() -> tuple[xr.Dataset, np.ndarray]:
    """A smooth image with a block and a tenth of its cells hidden, and the whole of it."""
    rng = np.random.default_rng(0)
    lat, lon = np.linspace(34, 37, 60), np.linspace(-95, -91, 80)
    y, x = np.meshgrid(lat, lon, indexing="ij")
    field = 20 + 5 * np.sin(2 * x) + 4 * np.cos(3 * y)
    hidden = np.zeros(field.shape, dtype=bool)
    hidden[20:35, 10:40] = True
    hidden |= rng.random(field.shape) < 0.1
    coords = {"time": [np.datetime64("2016-08-04", "ns")], "lat": lat, "lon": lon}
    seen = np.where(hidden, np.nan, field)[None].astype(np.float32)
    fields = xr.Dataset({"lst": (("time", "lat", "lon"), seen)}, coords=coords)
    return fields.assign(domain=(("lat", "lon"), np.ones(field.shape, dtype=bool))), field


def data_of(observations: xr.Dataset, name: str = "lst") -> TrainingData:
    archive = GriddedArchive(observations[[name]], {name: observations["domain"]}, periodic=False)
    times = np.arange(observations.sizes["time"])
    return TrainingData(archive=archive, train=times, validation=times[:0], targets=(name,))


@pytest.mark.parametrize(
    ("method", "scipys"), [(LinearInterpolation(), "linear"), (Cubic(), "cubic"), (Nearest(), "nearest")]
)
def test_is_as_good_as_scipy_on_the_same_cells(
    method: LevelInterpolation, scipys: str, image: tuple[xr.Dataset, np.ndarray]
) -> None:
    observations, truth = image
    seen = np.isfinite(observations["lst"].values[0])
    y, x = np.meshgrid(observations["lat"], observations["lon"], indexing="ij")
    theirs = griddata(np.c_[y[seen], x[seen]], observations["lst"].values[0][seen], (y[~seen], x[~seen]), method=scipys)
    inside = np.isfinite(theirs)
    method.fit(data_of(observations))
    ours = method.reconstruct(observations, members=1)["lst"].values[0][~seen]

    def rms(values: np.ndarray) -> float:
        return float(np.sqrt(((values - truth[~seen])[inside] ** 2).mean()))

    assert rms(ours) <= 1.05 * rms(theirs)


def test_box_mean_is_the_mean_of_what_was_seen_on_the_date() -> None:
    rng = np.random.default_rng(1)
    values = rng.standard_normal((3, 2, 4, 5)).astype(np.float32) + np.arange(3)[:, None, None, None]
    values[0, 0, 0] = np.nan
    values[2] = np.nan
    coords = {"time": np.arange(3).astype("datetime64[D]").astype("datetime64[ns]"), "depth": [0.0, 50.0]}
    coords |= {"lat": np.arange(4.0), "lon": np.arange(5.0)}
    fields = xr.Dataset({"t": (("time", "depth", "lat", "lon"), values)}, coords=coords)
    fields = fields.assign(domain=(("depth", "lat", "lon"), np.ones((2, 4, 5), dtype=bool)))
    method = BoxMean()
    method.fit(data_of(fields, "t"))
    result = method.reconstruct(fields, members=200)
    expected = np.nanmean(values[:2], axis=(-2, -1))
    np.testing.assert_allclose(result["t"].values[:2].mean(axis=(-2, -1)), expected, rtol=1e-5)
    np.testing.assert_allclose(result["t"].values[2, :, 0, 0], np.nanmean(values[:2], axis=(0, 2, 3)), rtol=1e-5)
    np.testing.assert_allclose(result["t_sd"].values[0, :, 0, 0], np.nanstd(values[0], axis=(-2, -1)), rtol=1e-5)
    assert float(result["t_member"].std("member").mean()) == pytest.approx(float(result["t_sd"].mean()), rel=0.1)

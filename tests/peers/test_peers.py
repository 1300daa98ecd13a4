"""What every peer must do, and what each of them promises."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from gaussian_ocean import TinyArchive, profiles, tiny_ocean

from driftfield.errors import ConfigurationError, DataError, FileFormatError
from driftfield.interfaces import Reconstructor, TrainingData
from driftfield.peers.base import Peer
from driftfield.peers.climatology import Climatology
from driftfield.peers.cubic import Cubic
from driftfield.peers.eof import EOFOptimalInterpolation
from driftfield.peers.inverse_distance import InverseDistance
from driftfield.peers.linear import LinearInterpolation
from driftfield.peers.nearest import Nearest
from driftfield.peers.optimal_interpolation import OptimalInterpolation
from driftfield.peers.persistence import Persistence
from driftfield.registry import lookup

DETERMINISTIC = (LinearInterpolation, Nearest, InverseDistance, Cubic)
PEERS = (Climatology, *DETERMINISTIC, Persistence, EOFOptimalInterpolation, OptimalInterpolation)


@pytest.fixture(scope="module")
def fitted(training: TrainingData) -> dict[type, Peer]:
    peers = {cls: cls() for cls in PEERS}
    for peer in peers.values():
        peer.fit(training)
    return peers


def rmse(reconstruction: xr.Dataset, truth: xr.Dataset, observations: xr.Dataset) -> float:
    truth = truth["thetao"].isel(time=slice(0, observations.sizes["time"]))
    error = (reconstruction["thetao"] - truth).where(observations["thetao"].isnull())
    return float(np.sqrt((error**2).mean()))


@pytest.mark.parametrize("cls", PEERS)
def test_output_is_as_the_conventions_say(cls: type[Peer], fitted: dict[type, Peer], test_ocean: TinyArchive) -> None:
    observations = profiles(test_ocean)
    output = fitted[cls].reconstruct(observations, members=4, seed=3)
    assert isinstance(fitted[cls], Reconstructor)
    assert lookup("reconstructor", cls.__name__) is cls
    assert output["thetao"].dims == ("time", "depth", "lat", "lon")
    assert output["thetao_member"].dims == ("member", "time", "depth", "lat", "lon")
    assert output.sizes["member"] == (1 if cls in DETERMINISTIC else 4)
    assert ("thetao_sd" in output) == (cls not in DETERMINISTIC)
    assert {array.dtype for array in output.data_vars.values()} == {np.dtype(np.float32)}
    inside = np.broadcast_to(test_ocean.domain("thetao").values, output["thetao"].shape)
    for array in output.data_vars.values():
        np.testing.assert_array_equal(np.isfinite(array.values), np.broadcast_to(inside, array.shape))
    assert output["thetao"].attrs["units"] == "degC"
    assert (output.attrs["method"], output.attrs["seed"], output.attrs["driftfield_format"]) == (cls.method, 3, 1)


@pytest.mark.parametrize("cls", PEERS)
def test_saved_and_loaded_it_says_the_same(
    cls: type[Peer], fitted: dict[type, Peer], test_ocean: TinyArchive, tmp_path: Path
) -> None:
    observations = profiles(test_ocean)
    fitted[cls].save(tmp_path / "run")
    again = cls.load(tmp_path / "run").reconstruct(observations, members=3, seed=1)
    xr.testing.assert_allclose(again, fitted[cls].reconstruct(observations, members=3, seed=1), rtol=1e-6)
    other = next(c for c in PEERS if c is not cls)
    with pytest.raises(FileFormatError, match=f"expected a {other.__name__}"):
        other.load(tmp_path / "run")


@pytest.mark.parametrize("cls", [Climatology, EOFOptimalInterpolation, OptimalInterpolation])
def test_a_member_depends_on_seed_member_and_date_only(
    cls: type[Peer], fitted: dict[type, Peer], test_ocean: TinyArchive
) -> None:
    observations = profiles(test_ocean)
    many = fitted[cls].reconstruct(observations, members=5, seed=2)["thetao_member"]
    few = fitted[cls].reconstruct(observations.isel(time=[1]), members=2, seed=2)["thetao_member"]
    np.testing.assert_allclose(few.values, many.isel(member=slice(0, 2), time=[1]).values, rtol=1e-5)
    other = fitted[cls].reconstruct(observations, members=5, seed=3)["thetao_member"]
    assert float(abs(other - many).max()) > 0.01


@pytest.mark.parametrize("cls", PEERS)
def test_values_on_land_have_no_say(cls: type[Peer], fitted: dict[type, Peer], test_ocean: TinyArchive) -> None:
    observations = profiles(test_ocean)
    land = ~test_ocean.domain("thetao")
    spoiled = observations.assign(thetao=observations["thetao"].where(~land, 99.0))
    clean = fitted[cls].reconstruct(observations, members=2)
    xr.testing.assert_allclose(fitted[cls].reconstruct(spoiled, members=2), clean, rtol=1e-6)


@pytest.mark.parametrize("cls", PEERS)
def test_refusals(cls: type[Peer], fitted: dict[type, Peer], test_ocean: TinyArchive) -> None:
    observations = profiles(test_ocean)
    with pytest.raises(ConfigurationError, match="not fitted yet"):
        cls().reconstruct(observations, members=1)
    with pytest.raises(ConfigurationError, match="1 or more"):
        fitted[cls].reconstruct(observations, members=0)
    with pytest.raises(DataError, match="No variable 'thetao'"):
        fitted[cls].reconstruct(observations.rename(thetao="temp"), members=1)
    between = observations.assign_coords(lat=observations["lat"] + 0.1)
    with pytest.raises(DataError, match=r"another grid: the latitude .* is not on the grid of the run .* 10 values"):
        fitted[cls].reconstruct(between, members=1)
    with pytest.raises(DataError, match="no time axis"):
        fitted[cls].reconstruct(observations.isel(time=0, drop=True), members=1)


def test_skill_grows_from_peer_to_peer(fitted: dict[type, Peer], test_ocean: TinyArchive) -> None:
    observations = profiles(test_ocean, times=12)
    order = (Climatology, LinearInterpolation, OptimalInterpolation)
    scores = [rmse(fitted[c].reconstruct(observations, members=1), test_ocean.dataset, observations) for c in order]
    assert scores[2] < 0.7 * scores[1] < scores[0]


def test_climatology_spread_is_that_of_the_years(fitted: dict[type, Peer], ocean: TinyArchive) -> None:
    observations = profiles(tiny_ocean(2, 12, start="2011-01"), times=12)
    output = fitted[Climatology].reconstruct(observations, members=300)
    ratio = output["thetao_member"].std("member", ddof=1) / output["thetao_sd"]
    assert abs(float(ratio.mean()) - 1) < 0.01
    truth = ocean.dataset["thetao"].groupby("time.month")
    anomaly = (truth - truth.mean()).std("time")
    np.testing.assert_allclose(output["thetao_sd"].isel(time=0).mean(), anomaly.mean(), rtol=0.1)


def test_linear_interpolation_of_a_plane_is_exact(fitted: dict[type, Peer]) -> None:
    peer = fitted[LinearInterpolation]
    background = peer.background
    lat, lon = np.meshgrid(background.lat, background.lon, indexing="ij")
    plane = 0.3 * lat - 0.2 * lon
    seen = np.full(lat.shape, np.nan)
    seen[[0, 0, -1, -1, 4], [0, -1, 0, -1, 6]] = plane[[0, 0, -1, -1, 4], [0, -1, 0, -1, 6]]
    everywhere = np.ones(lat.shape, dtype=bool)
    np.testing.assert_allclose(peer.fill(seen, everywhere), plane, atol=1e-8)


def test_linear_interpolation_of_few_points(fitted: dict[type, Peer]) -> None:
    peer = fitted[LinearInterpolation]
    everywhere = np.ones((10, 14), dtype=bool)
    nothing = np.full((10, 14), np.nan)
    assert not peer.fill(nothing, everywhere).any()
    line = nothing.copy()
    line[4, [0, 5, 13]] = 1.0, 2.0, 3.0
    filled = peer.fill(line, everywhere)
    assert (filled[0, 0], filled[9, 13]) == (1.0, 3.0)


def test_linear_interpolation_goes_around_the_globe() -> None:
    archive = tiny_ocean(3, 24, periodic=True)
    peer = LinearInterpolation()
    peer.fit(TrainingData(archive, np.arange(24), np.arange(0), ("thetao",)))
    seen = np.full((10, 14), np.nan)
    seen[[0, 9, 0, 9], [1, 1, 13, 13]] = 1.0, 1.0, 3.0, 3.0
    assert peer.fill(seen, np.ones((10, 14), dtype=bool))[5, 0] == pytest.approx(2.0)


def test_the_surface_improves_the_interior(fitted: dict[type, Peer], test_ocean: TinyArchive) -> None:
    oi = fitted[OptimalInterpolation]
    alone = profiles(test_ocean, times=12, sst=False)
    both = profiles(test_ocean, times=12)
    without = rmse(oi.reconstruct(alone, members=1), test_ocean.dataset, alone)
    assert rmse(oi.reconstruct(both, members=1), test_ocean.dataset, both) < 0.8 * without


def test_oi_honours_perfect_observations_and_doubts_poor_ones(
    fitted: dict[type, Peer], test_ocean: TinyArchive
) -> None:
    oi = fitted[OptimalInterpolation]
    observations = profiles(test_ocean, sst=False)
    seen = observations["thetao"].notnull()
    perfect = oi.reconstruct(observations, members=3)
    np.testing.assert_allclose(perfect["thetao"].values[seen], observations["thetao"].values[seen], atol=2e-2)
    poor = observations.assign(thetao_error=xr.where(seen, 100.0, np.nan))
    doubted = oi.reconstruct(poor, members=1)["thetao"]
    climatology = oi.background.mean("thetao", observations["time"])
    np.testing.assert_allclose(doubted.values[seen], climatology[seen], atol=0.05)


def test_oi_spread_is_calibrated_and_members_have_it(fitted: dict[type, Peer], test_ocean: TinyArchive) -> None:
    oi = fitted[OptimalInterpolation]
    observations = profiles(test_ocean, times=12)
    output = oi.reconstruct(observations, members=40)
    hidden = observations["thetao"].isnull()
    error = ((output["thetao"] - test_ocean.dataset["thetao"]).where(hidden) ** 2).mean()
    assert 0.75 < float(np.sqrt((output["thetao_sd"].where(hidden) ** 2).mean() / error)) < 1.33
    ratio = (output["thetao_member"].std("member", ddof=1) / output["thetao_sd"]).where(hidden)
    assert abs(float(ratio.mean()) - 1) < 0.05
    mean, sd = oi.mean_and_sd(observations)["thetao"]
    inside = np.isfinite(output["thetao"].values)
    np.testing.assert_allclose(mean[inside], output["thetao"].values[inside], rtol=1e-5)
    np.testing.assert_allclose(sd[inside], output["thetao_sd"].values[inside], atol=1e-4)


def test_a_training_date_can_be_treated_like_a_new_one(fitted: dict[type, Peer], ocean: TinyArchive) -> None:
    oi = fitted[OptimalInterpolation]
    observations = profiles(ocean, times=12)
    seen_before = oi.mean_and_sd(observations)["thetao"][0]
    like_new = oi.mean_and_sd(observations, leave_out_days=40.0)["thetao"][0]
    truth, hidden = ocean.dataset["thetao"].values[:12], observations["thetao"].isnull().values
    inside = hidden & np.isfinite(truth)
    before, after = (np.sqrt(np.mean((m - truth)[inside] ** 2)) for m in (seen_before, like_new))
    assert before <= after * 1.001


def test_oi_needs_a_few_times_and_known_patterns(ocean: TinyArchive) -> None:
    with pytest.raises(DataError, match="5 training times are too few"):
        OptimalInterpolation().fit(TrainingData(ocean, np.arange(5), np.arange(5, 9), ("thetao",)))
    with pytest.raises(ConfigurationError, match=r"Unknown pattern 'cloud:0\.5'"):
        OptimalInterpolation(patterns=["cloud:0.5"])

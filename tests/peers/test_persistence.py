"""Persistence is the exact filter of a red and a white part in every cell; it looks back, never ahead."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from gaussian_ocean import TinyArchive, tiny_ocean

from driftfield.errors import ConfigurationError
from driftfield.interfaces import TrainingData
from driftfield.peers.persistence import CellFilter, Memory, Persistence

NEVER = Memory(np.zeros(0), np.zeros((0, 1)), np.zeros((0, 1)))


def fitted(archive: TinyArchive, **arguments: float) -> Persistence:
    peer = Persistence(**arguments)
    months = archive.dataset.sizes["time"]
    peer.fit(TrainingData(archive, np.arange(months - 12), np.arange(months - 12, months), ("sst",)))
    return peer


def observe(archive: TinyArchive, times: int, share: float, seed: int = 0) -> xr.Dataset:
    rng = np.random.default_rng(seed)
    sst = archive.dataset["sst"].isel(time=slice(0, times))
    return xr.Dataset({"sst": sst.where(rng.random(sst.shape) < share), "domain": archive.domain("sst")})


def test_the_filter_is_the_dense_gaussian_of_the_past() -> None:
    rng = np.random.default_rng(0)
    days, sd, tau, white = np.array([0.0, 1.0, 5.0, 5.5, 30.0]), 1.7, 6.0, 0.2
    values = rng.standard_normal((5, 1))
    values[[1, 4]] = np.nan
    noise = np.array([0.0, 0.0, 0.5, 0.0, 0.0])[:, None]
    red = sd**2 * (1 - white) * np.exp(-np.abs(days[:, None] - days) / tau)
    field = red + sd**2 * white * np.eye(5)
    for t, mean, variance in CellFilter(np.array([sd]), tau, white).run(days, values, noise, NEVER):
        past = np.flatnonzero(np.isfinite(values[: t + 1, 0]))
        gain = field[t, past] @ np.linalg.inv(field[np.ix_(past, past)] + np.diag(noise[past, 0]))
        np.testing.assert_allclose(mean[0], gain @ values[past, 0], atol=1e-12)
        np.testing.assert_allclose(variance[0], field[t, t] - gain @ field[past, t], atol=1e-12)


def test_what_was_last_seen_fades_and_its_error_grows() -> None:
    days = np.array([0.0, 3.0, 10.0])
    values, sd = np.array([[2.0], [np.nan], [np.nan]]), np.array([1.5])
    frames = list(CellFilter(sd, 5.0, 0.0).run(days, values, np.zeros((3, 1)), NEVER))
    rho = np.exp(-days / 5.0)
    np.testing.assert_allclose([mean[0] for _, mean, _ in frames], 2.0 * rho)
    np.testing.assert_allclose([v[0] for _, _, v in frames], 1.5**2 * (1 - rho**2), atol=1e-12)


def test_the_order_of_the_file_does_not_matter_and_the_future_has_no_say() -> None:
    peer, ocean = fitted(tiny_ocean(0, 60)), tiny_ocean(1, 8, start="2010-01")
    observations = observe(ocean, 8, 0.4)
    whole = peer.reconstruct(observations, members=2, seed=3)
    order = np.array([5, 2, 0, 7, 1, 3, 6, 4])
    shuffled = peer.reconstruct(observations.isel(time=order), members=2, seed=3)
    np.testing.assert_allclose(shuffled["sst"].values, whole["sst"].values[order], rtol=1e-6)
    past = peer.reconstruct(observations.isel(time=slice(0, 5)), members=2, seed=3)
    xr.testing.assert_allclose(past, whole.isel(time=slice(0, 5)), rtol=1e-6)


def test_before_the_first_observation_it_has_what_the_archive_saw_last() -> None:
    archive = tiny_ocean(0, 60)
    # a cell that the last two frames do not show
    archive.dataset["sst"][{"time": slice(58, 60), "lat": 5, "lon": 6}] = np.nan
    peer = fitted(archive, e_folding_days=50.0, white=0.0)
    nothing = observe(tiny_ocean(1, 1, start="2005-01"), 1, 0.0)
    found = peer.reconstruct(nothing, members=1)["sst"]
    anomaly = archive.dataset["sst"].values - peer.background.mean("sst", archive.dataset["time"])
    season = peer.background.mean("sst", nothing["time"])[0]
    np.testing.assert_allclose(found.values[0, 7, 7], season[7, 7] + np.exp(-31 / 50) * anomaly[59, 7, 7], rtol=1e-5)
    months = (np.datetime64("2005-01-01") - np.datetime64("2004-10-01")).astype(int)
    np.testing.assert_allclose(
        found.values[0, 5, 6], season[5, 6] + np.exp(-months / 50) * anomaly[57, 5, 6], rtol=1e-5
    )
    # the archive's own past is not told its future
    early = observe(tiny_ocean(1, 1, start="2004-12"), 1, 0.0)
    season = peer.background.mean("sst", early["time"])
    inside = archive.domain("sst").values
    np.testing.assert_allclose(
        peer.reconstruct(early, members=1)["sst"].values[0][inside], season[0][inside], rtol=1e-5
    )


def test_the_fit_finds_the_time_that_the_data_need_to_forget() -> None:
    archive, rng = tiny_ocean(0, 240), np.random.default_rng(1)
    rho, state, frames = np.exp(-1 / 4.0), np.zeros((10, 14)), []
    for _ in range(240):
        state = rho * state + np.sqrt(1 - rho**2) * rng.standard_normal(state.shape)
        frames.append(state)
    archive.dataset["sst"] = archive.dataset["sst"].copy(data=np.stack(frames).astype(np.float32))
    peer = Persistence()
    peer.fit(TrainingData(archive, np.arange(192), np.arange(192, 240), ("sst",)))
    tau, white = peer.constants["sst"]
    assert 3 * 30.4 <= tau <= 6 * 31
    assert white <= 0.1
    observations = observe(archive, 240, 0.2).isel(time=slice(200, 240))
    found = peer.reconstruct(observations, members=1)
    hidden = observations["sst"].isnull() & archive.domain("sst")
    error = (found["sst"] - archive.dataset["sst"].isel(time=slice(200, 240))).where(hidden)
    assert 0.85 < float(np.sqrt((found["sst_sd"].where(hidden) ** 2).mean() / (error**2).mean())) < 1.15


def test_exact_observations_keep_their_value_without_error() -> None:
    peer, ocean = fitted(tiny_ocean(0, 60), white=0.3), tiny_ocean(1, 3, start="2010-01")
    observations = observe(ocean, 3, 0.4)
    found = peer.reconstruct(observations, members=2)
    seen = observations["sst"].notnull().values & ocean.domain("sst").values
    np.testing.assert_allclose(found["sst"].values[seen], observations["sst"].values[seen], rtol=1e-6)
    np.testing.assert_allclose(found["sst_sd"].values[seen], 0.0, atol=1e-6)


def test_a_gappy_archive_will_do_and_is_kept(tmp_path: Path) -> None:
    archive = tiny_ocean(0, 60)
    sst = archive.dataset["sst"]
    archive.dataset["sst"] = sst.where(np.random.default_rng(2).random(sst.shape) < 0.3)
    peer = fitted(archive)
    observations = observe(tiny_ocean(1, 4, start="2005-01"), 4, 0.3)
    found = peer.reconstruct(observations, members=3, seed=1)
    assert bool(np.isfinite(found["sst_sd"]).where(archive.domain("sst"), True).all())
    peer.save(tmp_path / "run")
    xr.testing.assert_allclose(Persistence.load(tmp_path / "run").reconstruct(observations, members=3, seed=1), found)


@pytest.mark.parametrize("arguments", [{"e_folding_days": 0.0}, {"white": 1.0}, {"patterns": ["cloud:0.5"]}])
def test_impossible_arguments_are_refused(arguments: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError):
        Persistence(**arguments)

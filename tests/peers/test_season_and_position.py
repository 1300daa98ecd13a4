"""Regression on season and position: as good where a cell was never seen, and no further than its trend."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from driftfield.data.sources import GriddedArchive
from driftfield.errors import DataError
from driftfield.interfaces import TrainingData
from driftfield.peers import SeasonAndPosition

LAT, LON = np.arange(40.0, 44.0, 0.5), np.arange(-60.0, -55.0, 0.5)
TIMES = pd.date_range("2002-01-01", "2011-12-31", freq="10D")


def archive(seen: float, *, trend: float = 0.0) -> tuple[TrainingData, xr.Dataset]:
    """A season with a slope, a trend (per year) and noise of 1 at two depths, of which a part was seen; and without noise."""
    rng = np.random.default_rng(0)
    year = (TIMES - TIMES[0]).days.to_numpy() / 365.25
    season = 8 * np.cos(2 * np.pi * (TIMES.day_of_year.to_numpy() - 230) / 365.25) + trend * year
    surface = 15 - 2 * (LAT - 42)[:, None] + np.zeros(LON.size) + season[:, None, None]
    mean = np.stack([surface, 0.5 * surface - 3], axis=1)
    noisy = mean + np.array([1.0, 0.3])[:, None, None] * rng.standard_normal(mean.shape)
    coords = {"time": TIMES, "depth": [5.0, 200.0], "lat": LAT, "lon": LON}
    dims = ("time", "depth", "lat", "lon")
    truth = xr.Dataset({"thetao": (dims, mean, {"units": "degC"})}, coords)
    values = np.where(rng.random(mean.shape) < seen, noisy, np.nan).astype(np.float32)
    fields = truth.copy(data={"thetao": values})
    domain = xr.DataArray(np.ones(mean.shape[1:], dtype=bool), dims=dims[1:], coords={d: coords[d] for d in dims[1:]})
    steps = np.arange(TIMES.size)
    data = TrainingData(
        archive=GriddedArchive(fields, {"thetao": domain}, periodic=False),
        train=steps[:-60],
        validation=steps[-60:-30],
        test=steps[-30:],
        targets=("thetao",),
        covariates=(),
    )
    return data, truth


def error_of(peer: SeasonAndPosition, truth: xr.Dataset, times: slice) -> np.ndarray:
    empty = truth.isel(time=times).where(False)
    return (peer.reconstruct(empty, members=2)["thetao"] - truth["thetao"].isel(time=times)).values


def test_a_hundredth_of_the_field_gives_the_season_everywhere() -> None:
    data, truth = archive(0.01)
    peer = SeasonAndPosition()
    peer.fit(data)
    assert np.sqrt((error_of(peer, truth, slice(-30, None)) ** 2).mean()) < 0.35


def test_the_spread_is_the_noise_of_each_level() -> None:
    data, truth = archive(0.2)
    peer = SeasonAndPosition()
    peer.fit(data)
    sd = peer.reconstruct(truth.isel(time=slice(-5, None)), members=2)["thetao_sd"].mean(["time", "lat", "lon"])
    np.testing.assert_allclose(sd, [1.0, 0.3], rtol=0.1)


def test_a_trend_is_found_and_ends_with_the_archive() -> None:
    data, truth = archive(0.1, trend=0.5)
    peer = SeasonAndPosition()
    peer.fit(data)
    inside = np.sqrt((error_of(peer, truth, slice(0, -40)) ** 2).mean())
    assert inside < 0.25
    later = truth.assign_coords(time=TIMES + pd.DateOffset(years=20)).isel(time=slice(-36, None)).where(False)
    mean = peer.reconstruct(later, members=2)["thetao"].isel(depth=0).mean()
    last = truth["thetao"].isel(depth=0, time=slice(-66, -30)).mean()
    assert float(mean) == pytest.approx(float(last), abs=0.6)


def test_it_comes_back_from_its_folder(tmp_path: Path) -> None:
    data, truth = archive(0.05)
    peer = SeasonAndPosition()
    peer.fit(data)
    peer.save(tmp_path)
    again = SeasonAndPosition.load(tmp_path)
    seen = truth.isel(time=slice(-3, None))
    xr.testing.assert_equal(
        peer.reconstruct(seen, members=2).drop_attrs(), again.reconstruct(seen, members=2).drop_attrs()
    )


def test_nothing_seen_is_refused() -> None:
    data, _ = archive(0.0)
    with pytest.raises(DataError, match="Nothing of 'thetao'"):
        SeasonAndPosition().fit(replace(data))

"""Several sections are one archive: cells of their own, no window that sees two, and what does not fit is refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from driftfield.data.prepare import prepare
from driftfield.data.sources import open_archive
from driftfield.errors import ConfigurationError, DataError
from driftfield.models.transfer import transferred
from driftfield.registry import build

TIMES, DEPTH = 16, np.array([5.0, 20.0, 60.0, 120.0])
NETWORK = {"class": "ResidualUNet", "widths": [4, 8], "depths": [1, 1], "condition_depths": [1, 1], "embedding": 8}


def section(path: Path, columns: int, *, lat: float, warm: float, times: int = TIMES, step: float = 0.1) -> str:
    """Temperature against depth along a line of latitude, with a sea floor that rises eastwards."""
    rng = np.random.default_rng(columns)
    field = warm - DEPTH[:, None, None] / 20 + rng.standard_normal((times, DEPTH.size, 1, columns))
    field[:, -1, :, columns // 2 :] = np.nan
    xr.Dataset(
        {"thetao": (("time", "depth", "lat", "lon"), field.astype(np.float32), {"units": "degC"})},
        coords={
            "time": pd.date_range("2010-01-01", periods=times),
            "depth": ("depth", DEPTH, {"units": "m", "positive": "down"}),
            "lat": [lat],
            "lon": -30 + step * np.arange(columns),
        },
    ).to_netcdf(path)
    return str(path)


@pytest.fixture
def paths(tmp_path: Path) -> list[str]:
    return [
        section(tmp_path / "north.nc", 20, lat=50.0, warm=8.0),
        section(tmp_path / "south.nc", 13, lat=45.0, warm=20.0),
    ]


def data(paths: list[str], **options: Any) -> Any:
    settings = {"windows": {"size": [1, 8], "stride": 4}, "split": {"class": "TimeSplit", "validation": 0.25}} | options
    return prepare(paths[0], ["thetao"], sections=paths[1:], **settings)


def test_every_cell_is_that_of_its_section(paths: list[str]) -> None:
    found = data(paths).archive
    parts = [open_archive(path).dataset for path in paths]
    assert found.dataset.sizes["lon"] == 20 + 7 + 13
    for part, columns in zip(parts, (slice(0, 20), slice(27, 40)), strict=True):
        mine = found.dataset.isel(lon=columns)
        np.testing.assert_array_equal(mine["thetao"].values, part["thetao"].values)
        np.testing.assert_allclose(mine["latitude"].values[0], part["lat"].values[0])
        np.testing.assert_allclose(mine["longitude"].values[0], part["lon"].values)
        domain = found.domain("thetao").isel(lon=columns)
        np.testing.assert_array_equal(domain.values, part["thetao"].notnull().all("time").values)
    assert not found.domain("thetao").isel(lon=slice(20, 27)).any()


def test_no_window_sees_two_sections_and_all_are_seen(paths: list[str]) -> None:
    windows = data(paths).train_windows
    touched = [(w.col < 20, w.col + w.width > 27) for w in windows]
    assert all(a != b for a, b in touched)
    assert {a for a, _ in touched} == {True, False}


def test_a_network_learns_from_them_with_a_climatology_each(paths: list[str], tmp_path: Path) -> None:
    pytest.importorskip("lightning")
    from driftfield.training import LightningTrainer

    method = build(
        "reconstructor",
        {
            "class": "DiffusionReconstructor",
            "network": NETWORK,
            "observing": {"observe": {"thetao": "profiles:0.7"}, "error": 0.05},
            "validation_samples": 4,
        },
    )
    trainer = LightningTrainer(steps=4, batch_size=2, validate_every=4, loggers=(), accelerator="cpu")
    method.fit(data(paths), seed=1, trainer=trainer, folder=tmp_path / "run")
    archive = open_archive(paths[1])
    here = transferred(method, archive)
    seen = archive.dataset.isel(time=[0, 1]).assign(domain=archive.domain("thetao"))
    shown = seen.assign(thetao=seen["thetao"].where(seen["lon"] < -29.5))
    filled = here.reconstruct(shown, members=2, seed=0)["thetao"]
    np.testing.assert_array_equal(filled.notnull().isel(time=0).values, archive.domain("thetao").values)


def test_sections_of_one_column_are_laid_behind_each_other(paths: list[str], tmp_path: Path) -> None:
    turned = []
    for k, path in enumerate(paths):
        with xr.open_dataset(path) as dataset:
            swapped = dataset.rename(lat="lon", lon="lat")
            swapped = swapped.assign_coords(lat=50 + 0.1 * np.arange(swapped.sizes["lat"]), lon=[-30.0 - k])
            swapped.transpose("time", "depth", "lat", "lon").to_netcdf(tmp_path / f"turned{k}.nc")
        turned.append(str(tmp_path / f"turned{k}.nc"))
    found = data(turned, windows={"size": [8, 1], "stride": 4})
    assert (found.archive.dataset.sizes["lat"], found.archive.dataset.sizes["lon"]) == (20 + 7 + 13, 1)
    np.testing.assert_allclose(found.archive.dataset["longitude"].values[27:], -31.0)
    assert all((w.row < 20) != (w.row + 8 > 27) for w in found.train_windows)
    with pytest.raises(DataError, match="has 13 rows"):
        data([paths[0], turned[1]])


def test_dates_that_one_lacks_are_left_out_and_said(
    paths: list[str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    longer = section(tmp_path / "long.nc", 15, lat=40.0, warm=10.0, times=TIMES + 3)
    with caplog.at_level("WARNING"):
        assert data([*paths, longer]).archive.times.size == TIMES
    assert f"3 of {TIMES + 3} dates are left out" in caplog.text


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"windows": None}, ConfigurationError, "data.sections needs windows"),
        ({"windows": {"size": [1, 14]}}, ConfigurationError, "do not fit into .*south.nc, which has 13"),
        ({"region": {"lat": [40, 60]}}, ConfigurationError, "data.region is of one place"),
        ({"statics": {"file": "x.nc"}}, ConfigurationError, "data.statics is of one place"),
    ],
)
def test_settings_that_do_not_fit_are_refused(
    paths: list[str], options: dict[str, Any], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        data(paths, **options)


def test_sections_that_do_not_fit_are_refused(paths: list[str], tmp_path: Path) -> None:
    coarse = section(tmp_path / "coarse.nc", 20, lat=50.0, warm=8.0, step=0.3)
    with pytest.raises(DataError, match=r"columns of .*coarse\.nc are"):
        data([*paths, coarse])
    with xr.open_dataset(paths[1]) as south:
        south.isel(depth=[0, 1]).to_netcdf(tmp_path / "shallow.nc")
        xr.concat([south, south.assign_coords(lat=[45.1])], "lat").to_netcdf(tmp_path / "rows.nc")
        south.assign_coords(time=south["time"] + np.timedelta64(3000, "D")).to_netcdf(tmp_path / "late.nc")
    for name, said in (("shallow", "other levels"), ("rows", "has 2 rows"), ("late", "no date in common")):
        with pytest.raises(DataError, match=said):
            data([*paths, str(tmp_path / f"{name}.nc")])

"""Numbers that stand for missing are found by their values; numbers that are values are left alone."""

import logging
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from small_files import DIMS, coords, smooth, write

from driftfield.data.observation_files import open_observations
from driftfield.data.sources import open_archive, open_fields
from driftfield.filling.reading import read_record

SENTINELS = (
    -9999.0,
    -999.0,
    9999.0,
    99999.0,
    -99999.0,
    -32768.0,
    1e20,
    1e15,
    -1e34,
    9.969209968386869e36,
    3.4e38,
    -99.0,
)
UNITS = ("mg m-3", "K", None)


@pytest.mark.parametrize("sentinel", SENTINELS)
@pytest.mark.parametrize("units", UNITS)
def test_a_constant_apart_from_everything_is_missing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, sentinel: float, units: str | None
) -> None:
    low, high = (270.0, 300.0) if units == "K" else (0.01, 20.0)
    truth = smooth(low=low, high=high)
    gone = np.zeros(truth.shape, dtype=bool)
    gone[:, :2, 1:3] = True  # land
    gone[2, 3] = True  # a gap
    values = np.where(gone, sentinel, truth).astype("f4")
    name = "sst" if units == "K" else "chl"
    dataset = xr.Dataset({name: (DIMS, values, {} if units is None else {"units": units})}, coords())
    path = write(dataset, tmp_path / "a", "NETCDF4" if sentinel > 0 else "zarr3")
    with caplog.at_level(logging.INFO):
        archive = open_archive(path, [name])
    found = archive.dataset[name].values
    np.testing.assert_array_equal(np.isnan(found), gone)
    np.testing.assert_allclose(found[~gone], truth[~gone] - (273.15 if units == "K" else 0.0), rtol=1e-5, atol=3e-5)
    np.testing.assert_array_equal(archive.domain(name).values, ~gone.all(axis=0))
    assert f"{gone.sum()} a sentinel" in caplog.text or f"{gone.sum()} the default fill" in caplog.text


@pytest.mark.parametrize("constant", [0.0, 1.0, 20.0, -1.8, 273.15])
@pytest.mark.parametrize("times", [3, 8])
@pytest.mark.parametrize("inside", [False, True])
def test_land_as_a_constant_at_all_times_is_land(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, constant: float, times: int, inside: bool
) -> None:
    """`inside`: the constant lies among the values of the sea, as 0 degC does."""
    low, high = (constant - 7.1, constant + 5.3) if inside else (constant + 3.0, constant + 18.0)
    truth = smooth(times, (6, 8), low=low, high=high)
    land = np.zeros(truth.shape[1:], dtype=bool)
    land[:3, :4] = True
    values = np.where(land, constant, truth).astype("f4")
    path = write(xr.Dataset({"x": (DIMS, values)}, coords(times, (6, 8))), tmp_path / "a")
    with caplog.at_level(logging.INFO):
        archive = open_archive(path, ["x"])
    np.testing.assert_array_equal(archive.domain("x").values, ~land)
    np.testing.assert_array_equal(np.isnan(archive.dataset["x"].values), np.broadcast_to(land, truth.shape))
    assert f"is {np.float32(constant):.6g} at all times in 12 of 48 cells" in caplog.text
    given = write(xr.Dataset({"domain": (DIMS[1:], np.ones((6, 8), "i1"))}, {k: coords(1, (6, 8))[k] for k in ("lat", "lon")}),
                  tmp_path / "domain")  # fmt: skip
    assert bool(open_archive(path, ["x"], domain=given).domain("x").all())


@pytest.mark.parametrize("constant", [0.0, 20.0, -1.8])
@pytest.mark.parametrize("times", [3, 8, 30])
@pytest.mark.parametrize("marked", ["NaN", "fill", "sentinel", "domain"])
def test_a_constant_is_a_value_where_the_file_marks_its_land_otherwise(
    tmp_path: Path, constant: float, times: int, marked: str
) -> None:
    """Water of 0 degC at all dates, beside land that is missing."""
    truth = smooth(times, (6, 8), low=constant + 3.0, high=constant + 18.0)
    land = np.zeros(truth.shape[1:], dtype=bool)
    land[:3, :4] = True
    truth[:, 4:, 5:] = constant
    dataset = xr.Dataset(
        {"x": (DIMS, np.where(land, -9999.0 if marked != "NaN" else np.nan, truth).astype("f4"))}, coords(times, (6, 8))
    )
    if marked == "fill":
        dataset["x"].attrs["_FillValue"] = np.float32(-9999.0)
    if marked == "domain":
        dataset = dataset.assign(x=dataset["x"].where(~land, constant), domain=(DIMS[1:], (~land).astype("i1")))
    archive = open_archive(write(dataset, tmp_path / "a"), ["x"])
    np.testing.assert_array_equal(archive.domain("x").values, ~land)
    np.testing.assert_array_equal(archive.dataset["x"].values[:, 4:, 5:], np.float32(constant))


def test_cells_that_are_only_seldom_seen_do_not_mark_land(tmp_path: Path) -> None:
    """Land as 0 under a sea with gaps: a cell that the looked-at dates miss is seen on another one."""
    times = 40
    truth = smooth(times, (6, 8), low=3.0, high=18.0).astype("f4")
    truth[:, 5, 7] = np.where(np.arange(times) == 1, 9.0, np.nan)
    truth[:, :3, :4] = 0.0
    archive = open_archive(write(xr.Dataset({"x": (DIMS, truth)}, coords(times, (6, 8))), tmp_path / "a"), ["x"])
    assert not archive.domain("x").values[:3, :4].any()
    assert archive.domain("x").values[5, 7]


@pytest.mark.parametrize("case", ["ice", "rain", "static", "noise", "whole numbers", "counts", "heat", "percent"])
@pytest.mark.parametrize("seed", [0, 1])
def test_values_are_no_sentinels(tmp_path: Path, case: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape = (8, 6, 8)
    if case == "ice":  # the tropics have none at any time, the edge has none now and then
        values = np.clip(rng.normal(0.3, 0.5, shape), 0, 1)
        values[:, :3] = 0.0
    elif case == "rain":
        values = np.where(rng.random(shape) < 0.6, 0.0, rng.exponential(5.0, shape))
        values[:, 0] = 0.0
    elif case == "static":
        values = np.broadcast_to(rng.normal(4000, 900, shape[1:]), shape).copy()
    elif case == "noise":
        values = rng.normal(0, 400, shape)
        values[0, 0, 0] = -999.0
    elif case == "whole numbers":
        values = rng.integers(-1200, 1200, shape).astype(float)
        values[:, 1, 1] = -999.0
    elif case == "counts":
        values = rng.integers(0, 100, shape).astype(float)
        values[3] = 99.0
    elif case == "heat":
        values = rng.normal(3e10, 4e9, shape)
    else:
        values = rng.uniform(0, 100, shape)
        values[:, 2, 2] = 99.0
    path = write(xr.Dataset({"x": (DIMS, values.astype("f4"), {"units": "1"})}, coords(8, (6, 8))), tmp_path / "a")
    archive = open_archive(path, ["x"])
    np.testing.assert_array_equal(archive.dataset["x"].values, values.astype("f4"))
    assert bool(archive.domain("x").all())


@pytest.mark.parametrize("files", [2, 5, 12])
def test_a_sentinel_of_one_file_of_many_is_one_of_all(tmp_path: Path, files: int) -> None:
    truth = smooth(files, low=5.0, high=9.0)
    values = truth.copy()
    values[:, 0, 0] = -9999.0
    for index in range(files):
        one = xr.Dataset({"x": (DIMS, values.astype("f4"))}, coords(files)).isel(time=[index])
        write(one, tmp_path / f"{index:02d}")
    found = open_fields(tmp_path / "*.nc")["x"].values
    assert np.isnan(found[:, 0, 0]).all()
    np.testing.assert_allclose(
        np.delete(found.reshape(files, -1), 0, axis=1), np.delete(truth.reshape(files, -1), 0, axis=1), rtol=1e-6
    )


@pytest.mark.parametrize("constant", [0.0, 20.0, -1.8])
@pytest.mark.parametrize("reader", ["observations", "fill"])
@pytest.mark.parametrize("domain", [False, True])
def test_land_as_a_constant_of_observations_that_state_no_domain(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, constant: float, reader: str, domain: bool
) -> None:
    """Gaps over the sea, land without any: it is no observation, unless the file says that these cells exist."""
    rng = np.random.default_rng(1)
    truth = smooth(8, (6, 8), low=constant + 3.0, high=constant + 18.0)
    truth[rng.random(truth.shape) < 0.3] = np.nan
    land = np.zeros(truth.shape[1:], dtype=bool)
    land[:3, :4] = True
    dataset = xr.Dataset(
        {"x": (DIMS, np.where(land, constant, truth).astype("f4"), {"units": "mg m-3"})}, coords(8, (6, 8))
    )
    if domain:
        dataset["domain"] = (DIMS[1:], np.ones((6, 8), "i1"))
    path = write(dataset, tmp_path / "a")
    with caplog.at_level(logging.INFO):
        found = open_observations(path)["x"] if reader == "observations" else read_record(path).original
    expected = np.where(land, constant if domain else np.nan, truth).astype("f4")
    np.testing.assert_array_equal(found.values, expected)
    assert ("at all times in 12 of 48 cells" in caplog.text) != domain

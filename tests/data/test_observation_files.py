"""Errors that are missing in part, and files from which nothing could come."""

import logging
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from small_files import DIMS, FORMATS, coords, smooth, write

from driftfield.data.observation_files import complete_errors, open_observations
from driftfield.data.sources import open_archive, write_dataset
from driftfield.errors import ConfigurationError, DataError, UserError
from driftfield.peers import Climatology, LinearInterpolation
from driftfield.reconstruction.draws import Draws
from driftfield.reconstruction.writer import Work, write_reconstruction
from driftfield.testing import tiny_ocean, tiny_training_data


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("share", [0.1, 0.5, 0.95, 1.0])
@pytest.mark.parametrize("units", ["same", "other"])
def test_a_missing_error_is_the_largest_that_is_stated(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, form: str, share: float, units: str
) -> None:
    rng = np.random.default_rng(int(100 * share) + FORMATS.index(form))
    values, errors = smooth(low=2.0, high=9.0), rng.uniform(0.1, 2.0, (6, 4, 6))
    values[rng.random(values.shape) < 0.3] = np.nan
    lacking = rng.random(values.shape) < share
    stated = np.where(lacking, np.nan, errors)
    scale = 1.0 if units == "same" else 1e-3
    dataset = xr.Dataset(
        {"x": (DIMS, values, {"units": "mg m-3"}),
         "x_error": (DIMS, stated * scale, {"units": "mg m-3" if units == "same" else "g m-3"})},
        coords(),
    )  # fmt: skip
    with caplog.at_level(logging.INFO):
        found = open_observations(write(dataset, tmp_path / "a", form))
    seen = np.isfinite(values)
    if share == 1.0:
        assert "states no error of x where it was observed: taken as exact" in caplog.text
        return
    largest = np.nanmax(np.where(seen, stated, np.nan))
    expected = np.where(lacking & seen, largest, errors)
    np.testing.assert_allclose(found["x_error"].values[seen], expected[seen], rtol=1e-6)
    assert f"the error of {(lacking & seen).sum()} of {seen.sum()} observed values of 'x' is missing" in caplog.text
    xr.testing.assert_identical(complete_errors(found, "again"), found)


@pytest.mark.parametrize("method", [Climatology, LinearInterpolation])
def test_a_method_never_takes_a_missing_error_for_none(method: type[Climatology]) -> None:
    data = tiny_training_data()
    peer = method()
    peer.fit(data)
    seen = data.archive.dataset.isel(time=[20])
    seen["thetao_error"] = xr.full_like(seen["thetao"], 0.5)
    half = seen["thetao_error"].where(xr.DataArray(np.arange(seen.sizes["lon"]) % 2 == 0, dims="lon"))
    a, b = (peer.reconstruct(one, members=2) for one in (seen, seen.assign(thetao_error=half)))
    xr.testing.assert_equal(a, b)


def nothing(dataset: xr.Dataset, case: str) -> xr.Dataset:
    if case == "no dates":
        return dataset.isel(time=slice(0, 0))
    if case == "all missing":
        return dataset.assign(x=dataset["x"] * np.nan)
    if case == "empty domain":
        return dataset.assign(domain=(DIMS[1:], np.zeros((4, 6), "i1")))
    if case == "all flagged":
        flags = {"flag_values": np.array([0, 4], "i1"), "flag_meanings": "good bad"}
        return dataset.assign(x_qc=(DIMS, np.full((6, 4, 6), 4, "i1"), flags))
    if case == "all outside":
        return dataset.assign(x=dataset["x"].assign_attrs(valid_max=1.0))
    if case == "all filled":
        return dataset.assign(x=(DIMS, np.full((6, 4, 6), 9.969209968386869e36, "f4"), {"units": "1"}))
    return dataset.isel(time=0, drop=True)


WORDS = {
    "no dates": "holds no date|no time|empty", "all missing": "Nothing was observed|NaN everywhere", "empty domain": "is empty",
    "all flagged": "rejected by flags", "all outside": "outside valid_range", "all filled": "default fill|a sentinel",
    "no time": "no time axis",
}  # fmt: skip


@pytest.mark.parametrize("case", sorted(WORDS))
@pytest.mark.parametrize("form", ["NETCDF4", "zarr3"])
@pytest.mark.parametrize("reader", ["observations", "archive"])
def test_nothing_in_is_refused(tmp_path: Path, case: str, form: str, reader: str) -> None:
    dataset = xr.Dataset({"x": (DIMS, smooth(low=2.0, high=9.0), {"units": "mg m-3"})}, coords())
    path = write(nothing(dataset, case), tmp_path / "a", form)
    with pytest.raises(UserError, match=WORDS[case]):
        open_observations(path) if reader == "observations" else open_archive(path, ["x"])


@pytest.mark.parametrize("suffix", ["nc", "zarr"])
@pytest.mark.parametrize("failure", ["no dates", "no target", "another grid", "units"])
def test_nothing_out_leaves_nothing_behind(tmp_path: Path, suffix: str, failure: str) -> None:
    peer = Climatology()
    peer.fit(tiny_training_data())
    seen = tiny_ocean().isel(time=[20, 21])
    if failure == "no dates":
        seen = seen.isel(time=slice(0, 0))
    elif failure == "no target":
        seen = seen.drop_vars("thetao")
    elif failure == "another grid":
        seen = seen.isel(depth=[0])
    else:
        seen["thetao"].attrs["units"] = "m"
    with pytest.raises((DataError, ConfigurationError)):
        write_reconstruction(Work(peer, seen, Draws(2)), tmp_path / f"out.{suffix}")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("case", ["no gap", "gaps on land alone", "gaps"])
def test_nothing_filled_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture, case: str) -> None:
    from driftfield.cli.reconstruct_outcome import tell

    ocean = tiny_ocean().isel(time=[20])[["sst"]]
    seen = ocean.fillna(0.0) if case == "no gap" else ocean.where(ocean["lon"] < -36) if case == "gaps" else ocean
    write_dataset(ocean if case != "no gap" else ocean.fillna(0.0), tmp_path / "out.nc")
    with caplog.at_level(logging.INFO):
        tell(tmp_path / "out.nc", seen, seen, None)
    assert ("nothing of 'sst' was filled" in caplog.text) == (case != "gaps")
    assert ("lie outside of its domain" in caplog.text) == (case == "gaps on land alone")


@pytest.mark.parametrize("domain", [False, True])
def test_values_outside_of_the_domain_of_the_run_are_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, domain: bool
) -> None:
    """A file that states a domain has been counted when it was opened."""
    from driftfield.cli.reconstruct_outcome import tell

    ocean = tiny_ocean().isel(time=[20])[["sst"]]
    seen = ocean.fillna(5.0).where(ocean["lon"] < -36)
    if domain:
        seen["domain"] = ocean["sst"].isel(time=0, drop=True).notnull()
    write_dataset(ocean, tmp_path / "out.nc")
    with caplog.at_level(logging.INFO):
        tell(tmp_path / "out.nc", seen, seen, None)
    outside = int((seen["sst"].notnull() & ocean["sst"].isnull()).sum())
    assert outside > 0
    said = (
        f"{outside} of {int(seen['sst'].notnull().sum())} observed values of 'sst' lie outside of the domain of the run"
    )
    assert (said in caplog.text) != domain

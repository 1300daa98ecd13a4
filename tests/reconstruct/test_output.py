"""One layout for all methods."""

import numpy as np
import pytest
import xarray as xr

from driftfield.errors import DataError
from driftfield.reconstruct.output import assemble


def observations() -> xr.Dataset:
    values = np.full((2, 3, 4), np.nan, dtype=np.float32)
    values[:, 0, 0] = 1.0
    dataset = xr.Dataset(
        {"sst": (("time", "lat", "lon"), values, {"units": "degC", "standard_name": "sea_surface_temperature"})},
        coords={
            "time": np.array(["2000-01-01", "2000-01-06"], dtype="datetime64[ns]"),
            "lat": [0.0, 1, 2],
            "lon": [0.0, 1, 2, 3],
        },
    )
    domain = np.ones((3, 4), dtype=bool)
    domain[2, 3] = False
    return dataset.assign(domain=(("lat", "lon"), domain))


def test_mean_and_sd_are_those_of_the_members() -> None:
    members = np.random.default_rng(0).standard_normal((5, 2, 3, 4)).astype(np.float32)
    output = assemble(
        observations(), {"sst": (None, None, members)}, method="diffusion", seed=4, members=5, attrs={"run": "a"}
    )
    inside = observations()["domain"].values
    np.testing.assert_allclose(output["sst"].values[:, inside], members.mean(axis=0)[:, inside], rtol=1e-5)
    np.testing.assert_allclose(output["sst_sd"].values[:, inside], members.std(axis=0, ddof=1)[:, inside], rtol=1e-5)
    assert np.isnan(output["sst_member"].values[..., ~inside]).all()
    assert output["sst"].attrs["ancillary_variables"] == "sst_sd sst_member"
    assert output["sst_sd"].attrs["cell_methods"] == "realization: standard_deviation"
    assert output["sst_member"].encoding["chunksizes"] == (1, 1, 3, 4)
    assert (output.attrs["method"], output.attrs["seed"], output.attrs["members"], output.attrs["run"]) == (
        "diffusion",
        4,
        5,
        "a",
    )
    assert output.attrs["created"].endswith("Z")


def test_one_member_has_no_spread() -> None:
    output = assemble(observations(), {"sst": (None, None, np.zeros((1, 2, 3, 4)))}, method="x", seed=0, members=1)
    assert "sst_sd" not in output


def test_a_domain_is_needed_and_may_come_from_the_run() -> None:
    bare = observations().drop_vars("domain")
    fields = {"sst": (np.zeros((2, 3, 4)), None, None)}
    with pytest.raises(DataError, match="NaN alone never means land"):
        assemble(bare, fields, method="x", seed=0, members=1)
    output = assemble(bare, fields, method="x", seed=0, members=1, domains={"sst": observations()["domain"]})
    assert int(output["sst"].isnull().sum()) == 2


def test_refuses_what_is_not_finite_or_of_another_shape() -> None:
    broken = np.zeros((2, 3, 4))
    broken[0, 1, 1] = np.nan
    with pytest.raises(DataError, match="not finite"):
        assemble(observations(), {"sst": (broken, None, None)}, method="x", seed=0, members=1)
    with pytest.raises(DataError, match=r"has shape \(2, 3, 5\), expected \(2, 3, 4\)"):
        assemble(observations(), {"sst": (np.zeros((2, 3, 5)), None, None)}, method="x", seed=0, members=1)


def test_it_can_be_written(tmp_path: object) -> None:
    output = assemble(observations(), {"sst": (None, None, np.ones((3, 2, 3, 4)))}, method="x", seed=0, members=3)
    output.to_netcdf(f"{tmp_path}/out.nc")
    with xr.open_dataset(f"{tmp_path}/out.nc") as again:
        np.testing.assert_array_equal(again["sst_member"].values, output["sst_member"].values)

"""One layout for all methods."""

import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from driftfield.cli import main
from driftfield.conventions import state_variables
from driftfield.data.sources import open_fields, write_dataset
from driftfield.data.twin import observe
from driftfield.errors import ConfigurationError, DataError
from driftfield.reconstruction.output import Estimate, assemble, check_quantiles, with_quantiles
from driftfield.reconstruction.postprocess import smoothed
from driftfield.registry import build
from driftfield.testing import tiny_ocean, tiny_training_data


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
        observations(), {"sst": Estimate(members=members)}, method="diffusion", seed=4, members=5, attrs={"run": "a"}
    )
    inside = observations()["domain"].values
    np.testing.assert_allclose(output["sst"].values[:, inside], members.mean(axis=0)[:, inside], rtol=1e-5)
    np.testing.assert_allclose(output["sst_sd"].values[:, inside], members.std(axis=0, ddof=1)[:, inside], rtol=1e-5)
    assert np.isnan(output["sst_member"].values[..., ~inside]).all()
    assert output["sst"].attrs["ancillary_variables"] == "sst_sd sst_member"
    assert output["sst_sd"].attrs["cell_methods"] == "member: standard_deviation"
    assert (output.attrs["method"], output.attrs["seed"], output.attrs["members"], output.attrs["run"]) == (
        "diffusion",
        4,
        5,
        "a",
    )
    assert output.attrs["created"].endswith("Z")


def test_one_member_has_no_spread() -> None:
    output = assemble(observations(), {"sst": Estimate(members=np.zeros((1, 2, 3, 4)))}, method="x", seed=0, members=1)
    assert "sst_sd" not in output


def test_a_domain_is_needed_and_may_come_from_the_run() -> None:
    bare = observations().drop_vars("domain")
    fields = {"sst": Estimate(np.zeros((2, 3, 4)))}
    with pytest.raises(DataError, match="NaN alone never means land"):
        assemble(bare, fields, method="x", seed=0, members=1)
    output = assemble(bare, fields, method="x", seed=0, members=1, domains={"sst": observations()["domain"]})
    assert int(output["sst"].isnull().sum()) == 2


def test_refuses_what_is_not_finite_or_of_another_shape() -> None:
    broken = np.zeros((2, 3, 4))
    broken[0, 1, 1] = np.nan
    with pytest.raises(DataError, match="not finite"):
        assemble(observations(), {"sst": Estimate(broken)}, method="x", seed=0, members=1)
    with pytest.raises(DataError, match=r"has shape \(2, 3, 5\), expected \(2, 3, 4\)"):
        assemble(observations(), {"sst": Estimate(np.zeros((2, 3, 5)))}, method="x", seed=0, members=1)


def test_it_can_be_written(tmp_path: object) -> None:
    output = assemble(observations(), {"sst": Estimate(members=np.ones((3, 2, 3, 4)))}, method="x", seed=0, members=3)
    output.to_netcdf(f"{tmp_path}/out.nc")
    with xr.open_dataset(f"{tmp_path}/out.nc") as again:
        np.testing.assert_array_equal(again["sst_member"].values, output["sst_member"].values)


def ensemble(members: np.ndarray) -> xr.Dataset:
    return assemble(observations(), {"sst": Estimate(members=members)}, method="x", seed=0, members=len(members))


def test_quantiles_of_the_members_stand_beside_them() -> None:
    members = np.random.default_rng(1).permuted(np.arange(19.0)[:, None, None, None] * np.ones((2, 3, 4)), axis=0)
    result = ensemble(members)
    output = with_quantiles(result, (0.95, 0.05, 0.525))
    found = output["sst_quantile"]
    assert found.dims == ("quantile", "time", "lat", "lon")
    assert output["quantile"].values.tolist() == [0.05, 0.525, 0.95]
    # 19 members part the line in 20 equally likely pieces
    for level, value in zip(found, (0.0, 9.5, 18.0), strict=True):
        np.testing.assert_allclose(level.values[:, observations()["domain"].values], value, rtol=1e-6)
    assert np.isnan(found.values[..., 2, 3]).all()
    assert found.dtype == np.float32
    assert found.attrs["long_name"] == "quantiles of the ensemble of sea surface temperature"
    assert (found.attrs["units"], found.attrs["standard_name"]) == ("degC", "sea_surface_temperature")
    assert output["sst"].attrs["ancillary_variables"] == "sst_sd sst_member sst_quantile"
    assert state_variables(output) == ["sst"]
    xr.testing.assert_identical(output.drop_vars(["sst_quantile", "quantile"]).drop_attrs(), result.drop_attrs())
    assert "sst_quantile" not in smoothed(output, 1.0, False)  # those of other fields


def test_a_truth_like_the_members_lies_below_a_quantile_as_often_as_it_says() -> None:
    rng = np.random.default_rng(2)
    draws = rng.exponential(size=(10, 2000))
    fields = np.full((9, 2, 3, 4), 0.0)
    below = np.zeros(3)
    for case in range(0, 2000, 20):
        fields[:, :, :2] = draws[:9, case : case + 16].reshape(9, 2, 2, 4)
        found = with_quantiles(ensemble(fields), (0.1, 0.35, 0.9))["sst_quantile"].values[:, :, :2].reshape(3, -1)
        below += (draws[9, case : case + 16] < found).sum(axis=1)
    np.testing.assert_allclose(below / 1600, (0.1, 0.35, 0.9), atol=0.025)


@pytest.mark.parametrize("levels", [(), (0.0, 0.5), (1.0,), (0.5, 0.5), (float("nan"),)])
def test_impossible_quantiles_are_refused(levels: tuple[float, ...]) -> None:
    with pytest.raises(ConfigurationError, match="between 0 and 1"):
        check_quantiles(levels, 16)


def test_quantiles_need_members(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(ConfigurationError, match="2 or more"):
        with_quantiles(ensemble(np.zeros((1, 2, 3, 4))), (0.5,))
    check_quantiles((0.05, 0.5), 19)
    assert not caplog.records
    check_quantiles((0.05, 0.5), 16)
    assert "The quantile 0.05 needs 19 members" in caplog.text


def test_the_command_writes_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    peer = build("reconstructor", {"class": "Climatology"})
    peer.fit(tiny_training_data(), seed=0)
    peer.save(Path("peer"))
    write_dataset(observe(tiny_ocean(times=2), {"thetao": "random:0.5"}, seed=0), Path("obs.nc"))

    def call(quantiles: str) -> str:
        arguments = ["driftfield", "reconstruct", "peer", "obs.nc", "--out", "out.zarr", "--members", "9"]
        monkeypatch.setattr(sys, "argv", [*arguments, "--quantiles", quantiles])
        with pytest.raises(SystemExit) as done:
            main()
        return capsys.readouterr().err if done.value.code else ""

    assert "expected numbers between 0 and 1" in call("half")
    assert "between 0 and 1" in call("5,50,95")
    assert not call("0.9,0.1,0.5")
    found = open_fields(Path("out.zarr")).load()
    assert found["thetao_quantile"].dims == ("quantile", "time", "depth", "lat", "lon")
    members = found["thetao_member"]
    for level, kept in ((0.1, members.min("member")), (0.5, members.median("member")), (0.9, members.max("member"))):
        np.testing.assert_allclose(found["thetao_quantile"].sel(quantile=level).values, kept.values, rtol=1e-6)

"""Smoothing a reconstruction: constants stay, land never leaks, spread shrinks, NaN stays where it was."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from driftfield.errors import ConfigurationError
from driftfield.reconstruction.output import Estimate, assemble
from driftfield.reconstruction.postprocess import smoothed

DOMAIN = np.ones((2, 12, 16), dtype=bool)
DOMAIN[:, 3:6, 4:9] = False
DOMAIN[1, :, :3] = False


def result(members: np.ndarray, *, surface: bool = False) -> xr.Dataset:
    """A reconstruction of (member, time, depth, lat, lon) fields, or of their first level."""
    dims = ("time", "lat", "lon") if surface else ("time", "depth", "lat", "lon")
    shape = (members.shape[1], 12, 16) if surface else members.shape[1:]
    coords = {"time": np.arange(members.shape[1]), "depth": [5.0, 50.0], "lat": np.arange(12.0), "lon": np.arange(16.0)}
    observations = xr.Dataset(
        {
            "thetao": (dims, np.full(shape, np.nan, dtype=np.float32), {"units": "degC"}),
            "domain": (dims[1:], DOMAIN[0] if surface else DOMAIN),
        },
        coords={name: values for name, values in coords.items() if name in dims},
    )
    drawn = members[:, :, 0] if surface else members
    return assemble(observations, {"thetao": Estimate(members=drawn)}, method="diffusion", seed=0, members=len(members))


def noisy(size: int = 6) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((size, 2, 2, 12, 16)).astype(np.float32)


@pytest.mark.parametrize("surface", [False, True])
@pytest.mark.parametrize("periodic", [False, True])
def test_a_constant_stays_constant_up_to_the_coast(periodic: bool, surface: bool) -> None:
    before = result(np.full((3, 2, 2, 12, 16), 7.0), surface=surface)
    after = smoothed(before, 2.0, periodic)
    for name in ("thetao", "thetao_member"):
        np.testing.assert_allclose(after[name].values, before[name].values, rtol=1e-6)
    np.testing.assert_allclose(after["thetao_sd"].values, before["thetao_sd"].values, atol=1e-6)


def test_nan_stays_exactly_where_it_was_and_the_layout_is_kept() -> None:
    before = result(noisy())
    after = smoothed(before, 1.5, False)
    assert list(after) == list(before)
    for name in before:
        np.testing.assert_array_equal(np.isnan(after[name].values), np.isnan(before[name].values))
        assert after[name].dims == before[name].dims
        assert after[name].dtype == np.float32
        assert after[name].encoding == before[name].encoding
        assert after[name].attrs["units"] == "degC"
    assert after.attrs["smoothing_sigma_cells"] == 1.5
    assert "1.5 grid cells" in after["thetao_sd"].attrs["comment"]


def test_land_never_leaks() -> None:
    """Whatever the members hold on land, the water is the same, and no further from 0 than the members were there."""
    members = noisy()
    wild = np.where(DOMAIN, members, 1e6)
    a, b = (smoothed(result(fields), 2.0, True) for fields in (members, wild))
    xr.testing.assert_equal(a, b)
    inside = np.isfinite(a["thetao_member"].values)
    assert np.abs(a["thetao_member"].values[inside]).max() <= np.abs(members).max()


def test_mean_and_spread_are_those_of_the_smoothed_members_and_the_spread_shrinks() -> None:
    before, drawn = result(noisy()), noisy()
    after = smoothed(before, 1.5, False)
    members = after["thetao_member"]
    xr.testing.assert_allclose(after["thetao"], members.mean("member", skipna=False), atol=1e-6)
    xr.testing.assert_allclose(after["thetao_sd"], members.std("member", ddof=1, skipna=False), atol=1e-6)
    assert float(after["thetao_sd"].mean()) < 0.5 * float(before["thetao_sd"].mean())
    np.testing.assert_array_equal(
        before["thetao_member"].values[:, :, DOMAIN], drawn[:, :, DOMAIN], "the input was changed"
    )


def test_wraps_where_longitude_does() -> None:
    before = result(noisy(), surface=True)
    rolled = before.roll(lon=5, roll_coords=False)
    a, b = smoothed(before, 2.0, True).roll(lon=5, roll_coords=False), smoothed(rolled, 2.0, True)
    np.testing.assert_allclose(a["thetao"].values, b["thetao"].values, atol=1e-6)
    assert not np.allclose(
        smoothed(before, 2.0, True)["thetao"].values, smoothed(before, 2.0, False)["thetao"].values, equal_nan=True
    )


def test_no_smoothing_changes_nothing() -> None:
    before = result(noisy())
    xr.testing.assert_equal(smoothed(before, 0.0, False), before)


def test_one_member_has_no_spread_and_a_spread_needs_members() -> None:
    alone = result(noisy(1))
    assert "thetao_sd" not in smoothed(alone, 1.0, False)
    stated = alone.assign(thetao_sd=alone["thetao"])
    with pytest.raises(ConfigurationError, match=r"1 member\(s\) of 'thetao'.*2 or more.*more members"):
        smoothed(stated, 1.0, False)
    with pytest.raises(ConfigurationError, match="0 or more"):
        smoothed(alone, -1.0, False)


def test_it_can_be_written(tmp_path: Path) -> None:
    after = smoothed(result(noisy()), 1.0, False)
    after.to_netcdf(tmp_path / "out.nc")
    with xr.open_dataset(tmp_path / "out.nc") as again:
        np.testing.assert_array_equal(again["thetao_member"].values, after["thetao_member"].values)

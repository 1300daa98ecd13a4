"""Transplanted clouds: what is held out was seen, and hidden elsewhere in time; the reference count is met exactly."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from driftfield.data.sources import open_fields
from driftfield.data.transplant import hide, transplant_clouds
from driftfield.errors import ConfigurationError, DataError


def gappy(times: int = 6, shape: tuple[int, int] = (12, 15), seed: int = 0) -> xr.DataArray:
    rng = np.random.default_rng(seed)
    values = np.where(rng.random((times, *shape)) < 0.6, rng.standard_normal((times, *shape)), np.nan)
    values[:, :2, :2] = np.nan
    return xr.DataArray(values, dims=("time", "lat", "lon"), coords={"time": np.arange(times)})


def test_held_out_cells_were_seen_and_are_clouded_lag_times_later():
    fields = gappy()
    held = transplant_clouds(fields, lag=2, most=1.0).values
    seen = np.isfinite(fields.values)
    for t in range(6):
        np.testing.assert_array_equal(held[t], seen[t] & ~seen[(t + 2) % 6])


def test_where_too_much_would_go_a_simulated_cloud_decides():
    fields = gappy()
    everything, some = (transplant_clouds(fields, lag=2, most=most).values for most in (1.0, 0.1))
    assert not (some & ~everything).any()
    assert 0 < some.sum() < everything.sum()


def test_nothing_outside_the_domain_is_held_out_and_the_rest_is_left():
    fields = gappy()
    domain = xr.DataArray(np.arange(15)[None] + np.zeros((12, 1)) > 7, dims=("lat", "lon"))
    held = transplant_clouds(fields, domain=domain, lag=1)
    assert not held.values[:, ~domain.values].any()
    left = hide(fields, held)
    assert np.isfinite(left).sum() + held.sum() == np.isfinite(fields).sum()


def test_messages_name_the_culprit():
    with pytest.raises(ConfigurationError, match="6 times later out of 6"):
        transplant_clouds(gappy(), lag=6)
    with pytest.raises(ConfigurationError, match=r"most=1\.5"):
        transplant_clouds(gappy(), most=1.5)
    with pytest.raises(DataError, match="depth"):
        transplant_clouds(gappy().expand_dims("depth"))


def test_the_reference_counts_of_the_alboran_sea(data_folder: Path):
    observed = open_fields(data_folder / "sst" / "avhrr_alboran_L3_10days_clouds.nc")
    held = transplant_clouds(observed["SST"], domain=observed["mask"] > 0)
    assert int(held.sum()) == 38_845

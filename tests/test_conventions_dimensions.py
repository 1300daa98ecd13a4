"""Dimensions that no field and no mask has here are refused by name, wherever they stand; a model's years have an end too."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from driftfield.conventions import check_dimensions, domain_of
from driftfield.data.sources import open_archive, open_fields
from driftfield.data.twin import observe
from driftfield.errors import DataError, FileFormatError
from driftfield.evaluate.alignment import align
from driftfield.testing import tiny_ocean

ODD = ["expver", "nv", "bnds", "ensemble"]


@pytest.fixture
def ocean() -> xr.Dataset:
    return tiny_ocean(times=3)[["sst"]]


@pytest.mark.parametrize("dimension", ODD)
def test_of_a_mask(ocean: xr.Dataset, dimension: str, tmp_path: Path) -> None:
    mask = ocean["sst"].isel(time=0, drop=True).notnull()
    fields = ocean.assign(domain=mask.expand_dims({dimension: 2}))
    if dimension != "ensemble":  # the members of a forecast
        with pytest.raises(DataError, match=dimension):
            domain_of(fields, "sst")
    fields.assign(domain=fields["domain"].astype("i1")).to_netcdf(tmp_path / "x.nc")
    with pytest.raises(DataError, match="member" if dimension == "ensemble" else dimension):
        open_archive(tmp_path / "x.nc", ["sst"])


@pytest.mark.parametrize("dimension", ODD)
def test_of_a_field(ocean: xr.Dataset, dimension: str) -> None:
    seen = observe(ocean, {"sst": "random:0.5"}, seed=0)
    odd = ocean.expand_dims({dimension: 2})
    for truth, outputs in ((odd, ocean), (ocean, odd)):
        with pytest.raises(DataError, match=dimension):
            align(truth, {"a": outputs}, seen)
    with pytest.raises(DataError, match=dimension):
        check_dimensions(odd["sst"], "the file")


@pytest.mark.parametrize(("years", "read"), [(20_000, True), (30_000_000, False)])
def test_years_of_a_model(ocean: xr.Dataset, tmp_path: Path, years: int, read: bool) -> None:
    time = xr.Variable(
        "time", np.arange(3) * 30.0 + 360.0 * years, {"units": "days since 0001-01-01", "calendar": "360_day"}
    )
    ocean.drop_vars("time").assign_coords(time=time).to_netcdf(tmp_path / "x.nc")
    if read:
        assert open_fields(tmp_path / "x.nc")["time"].values[0].year == years + 1
    else:
        with pytest.raises(FileFormatError, match="Correct its units"):
            open_fields(tmp_path / "x.nc")

"""A mask and an error under names of the file's own are taken, with a line; what may be either is not."""

import logging

import numpy as np
import pytest
import xarray as xr

import driftfield as df
from driftfield.data.named_otherwise import with_named_error, with_own_mask
from driftfield.filling.reading import read_record


def analysis(**others: dict[str, object]) -> xr.Dataset:
    rng = np.random.default_rng(0)
    sst = rng.standard_normal((6, 8)).astype(np.float32) + 15
    sst[2:4, 3:5] = np.nan
    coords = {"lat": np.linspace(40.0, 42.5, 6), "lon": np.linspace(0.0, 3.5, 8)}
    fields = xr.Dataset({"sst": (("lat", "lon"), sst, {"units": "degC"})}, coords=coords)
    for name, attrs in others.items():
        fields[name] = (("lat", "lon"), np.full(sst.shape, 0.3, dtype=np.float32), attrs)
    return fields


def test_the_error_of_an_analysis_is_found_by_what_it_says_of_itself(caplog: pytest.LogCaptureFixture) -> None:
    said = {"long_name": "Estimated error standard deviation of analysed_sst", "units": "degC"}
    fields = analysis(err=said, anom={"long_name": "anomaly", "units": "degC"})
    with caplog.at_level(logging.INFO):
        record = read_record(fields, "sst")
    assert record.error is not None
    np.testing.assert_allclose(record.error.values, 0.3, rtol=1e-6)
    assert "err in the data set is taken as the error of sst" in caplog.text
    assert read_record(analysis(err=said)).name == "sst"


@pytest.mark.parametrize(
    "others",
    [
        {"err": {"units": "K"}},
        {"other": {"units": "degC"}},
        {"err": {"units": "degC"}, "sst_uncertainty": {"units": "degC"}, "sst_err": {"units": "degC"}},
    ],
)
def test_another_unit_another_name_or_two_of_them_are_left(others: dict[str, dict[str, object]]) -> None:
    fields = analysis(**others)
    assert with_named_error(fields, "sst", "it").identical(fields)


def test_a_mask_is_the_domain_where_there_is_no_other() -> None:
    fields = analysis()
    mask = np.ones((6, 8), dtype=np.int8)
    mask[0] = 0
    masked = fields.assign(mask=(("lat", "lon"), mask))
    np.testing.assert_array_equal(with_own_mask(masked, ["sst"], "it")["domain"].values, mask == 1)
    np.testing.assert_array_equal(
        with_own_mask(masked.assign(mask=1 - masked["mask"]), ["sst"], "it")["domain"].values, mask == 1
    )
    odd = masked.assign(mask=masked["mask"] * 5)
    assert "domain" not in with_own_mask(odd, ["sst"], "it")
    stated = masked.assign(domain=(("lat", "lon"), np.ones((6, 8), dtype=bool)))
    assert with_own_mask(stated, ["sst"], "it").identical(stated)


def test_an_error_makes_an_analysis_of_what_was_observed() -> None:
    fields = analysis(err={"long_name": "standard error of sst", "units": "degC"})
    filled = df.fill(fields, "sst", method="kriging")
    assert (filled["sst_sd"].values > 0).all()

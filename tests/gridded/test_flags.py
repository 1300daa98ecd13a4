"""Quality flags beside gridded fields are honoured, counted and never taken for fields."""

import logging
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from small_files import DIMS, FORMATS, coords, smooth, write

from driftfield.conventions import state_variables
from driftfield.data.sources import open_archive, open_fields

SCHEMES = {
    # name of the flag -> (values, meanings, those that reject)
    "quality_level": ([0, 1, 2, 3, 4, 5], "no_data bad_data worst_quality low_quality acceptable_quality best_quality", [0, 1]),
    "x_qc": (list(range(10)), "no_qc_performed good_data probably_good_data bad_data_that_are_potentially_correctable bad_data "
             "value_changed not_used nominal_value interpolated_value missing_value", [3, 4, 9]),
    "DQF": ([0, 1, 2, 3], "good_quality_qf degraded_quality_qf severely_degraded_quality_qf invalid_due_to_unprocessed_qf", [3]),
    "x_flag": ([0, 1, 2], "clear cloudy no_cloud_detected", [1]),
    "x_quality_flag": ([1, 2, 3, 4], "ok suspect fail land", [3, 4]),
}  # fmt: skip


def flagged(name: str, seed: int, **attrs: object) -> tuple[xr.Dataset, np.ndarray, np.ndarray, list[int]]:
    values, meanings, rejecting = SCHEMES[name]
    flags = np.random.default_rng(seed).choice(values, (6, 4, 6)).astype("i1")
    truth = smooth(low=5.0, high=9.0, seed=seed)
    described = {"flag_values": np.array(values, "i1"), "flag_meanings": meanings} | attrs
    bad = np.isin(flags, rejecting)
    dataset = xr.Dataset(
        {"x": (DIMS, np.where(bad, -5.0, truth).astype("f4"), {"units": "mg m-3"}), name: (DIMS, flags, described)},
        coords(),
    )
    return dataset, truth, bad, rejecting


@pytest.mark.parametrize("name", sorted(SCHEMES))
@pytest.mark.parametrize("form", FORMATS)
def test_what_a_flag_rejects_is_missing(tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str, form: str) -> None:
    dataset, truth, bad, _ = flagged(name, len(name) + FORMATS.index(form))
    path = write(dataset, tmp_path / "a", form)
    with caplog.at_level(logging.INFO):
        found = open_archive(path).dataset
    assert list(found.data_vars) == ["x"]
    np.testing.assert_array_equal(np.isnan(found["x"].values), bad)
    np.testing.assert_allclose(found["x"].values[~bad], truth[~bad], rtol=1e-6)
    assert f"{(~bad).sum()} of 144 values are left: removed {bad.sum()} rejected by flags ({name}: " in caplog.text


@pytest.mark.parametrize("dtype", ["i1", "i2", "u1", "i4"])
@pytest.mark.parametrize("seed", range(3))
def test_bits_reject_one_by_one(tmp_path: Path, dtype: str, seed: int) -> None:
    words = ["microwave", "land", "ice", "lake", "cloud_contaminated", "spare", "spare", "sun_glint"]
    masks = [2**bit for bit in range(8)]
    rng = np.random.default_rng(seed)
    bits = rng.integers(0, 256, (6, 4, 6))
    bits &= rng.integers(0, 256, (6, 4, 6))
    truth = smooth(low=5.0, high=9.0, seed=seed).astype("f4")
    attrs = {"flag_masks": np.array(masks).astype(dtype), "flag_meanings": " ".join(words)}
    x_attrs = {"units": "mg m-3", "ancillary_variables": "l2p_flags"}
    dataset = xr.Dataset({"x": (DIMS, truth, x_attrs), "l2p_flags": (DIMS, bits.astype(dtype), attrs)}, coords())
    found = open_fields(write(dataset, tmp_path / "a"))
    bad = ((bits & 2) > 0) | ((bits & 16) > 0)
    np.testing.assert_array_equal(np.isnan(found["x"].values), bad)
    assert state_variables(found) == ["x"]


@pytest.mark.parametrize("name", ["quality_level", "x_qc", "x_QC"])
@pytest.mark.parametrize("fill", [None, -1])
def test_flags_without_meanings_have_those_of_their_community(tmp_path: Path, name: str, fill: int | None) -> None:
    flags = np.random.default_rng(1).integers(0, 6, (6, 4, 6)).astype("i1")
    bad = flags < 2 if name == "quality_level" else np.isin(flags, [3, 4])
    truth = smooth(low=5.0, high=9.0)
    attrs: dict[str, object] = {}
    if fill is not None:
        flags[0], bad[0] = fill, False  # a flag that is missing says nothing
        attrs["_FillValue"] = np.int8(fill)
    dataset = xr.Dataset({"x": (DIMS, truth, {"units": "mg m-3"}), name: (DIMS, flags, attrs)}, coords())
    found = open_fields(write(dataset, tmp_path / "a"))
    np.testing.assert_array_equal(np.isnan(found["x"].values), bad)
    assert state_variables(found) == ["x"]


@pytest.mark.parametrize("about", ["sst", "wind"])
def test_a_flag_of_another_quantity_is_not_honoured(tmp_path: Path, about: str) -> None:
    flags = np.zeros((6, 4, 6), "i1")
    standard = {"sst": "sea_surface_temperature", "wind": "wind_speed"}
    variables = {
        n: (DIMS, smooth(low=5.0, high=9.0), {"units": "K" if n == "q" else "1", "standard_name": standard[n]})
        for n in standard
    }
    described = {
        "standard_name": f"{standard[about]} status_flag",
        "flag_values": np.array([0, 1], "i1"),
        "flag_meanings": "bad good",
    }
    dataset = xr.Dataset({**variables, "quality_level": (DIMS, flags, described)}, coords())
    dataset["sst"].attrs["units"] = "degC"
    found = open_fields(write(dataset, tmp_path / "a"))
    for name in standard:
        assert bool(found[name].isnull().all()) == (name == about)


@pytest.mark.parametrize("scale", [0.01, 0.004, 1.0])
def test_codes_within_a_packed_field_are_no_values(tmp_path: Path, scale: float) -> None:
    codes = [251, 252, 253, 254, 255]
    numbers = np.random.default_rng(0).integers(0, 101, (6, 4, 6)).astype("u1")
    gone = np.random.default_rng(1).random(numbers.shape) < 0.3
    numbers[gone] = np.random.default_rng(2).choice(codes, gone.sum())
    attrs = {
        "scale_factor": scale, "units": "1", "flag_values": np.array(codes, "u1"),
        "flag_meanings": "pole_hole_mask lakes coastal land_mask missing_data",
    }  # fmt: skip
    found = open_fields(write(xr.Dataset({"cdr": (DIMS, numbers, attrs)}, coords()), tmp_path / "a"))["cdr"].values
    np.testing.assert_array_equal(np.isnan(found), gone)
    np.testing.assert_allclose(found[~gone], numbers[~gone] * scale, rtol=1e-6)


def test_a_flag_that_says_nothing_is_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    described = {"flag_values": np.array([0, 1], "i1"), "flag_meanings": "ascending descending"}
    flags = (DIMS, np.zeros((6, 4, 6), "i1"), described)
    dataset = xr.Dataset({"x": (DIMS, smooth(), {"units": "1"}), "x_flag": flags}, coords())
    with caplog.at_level(logging.INFO):
        found = open_fields(write(dataset, tmp_path / "a"))
    assert int(found["x"].isnull().sum()) == 0
    assert "'x_flag' say nothing that rejects a value" in caplog.text


@pytest.mark.parametrize("dtype", ["S1", "U1", "O"])
@pytest.mark.parametrize("form", ["NETCDF4", "NETCDF3_64BIT"])
def test_flags_as_text_are_the_numbers_that_they_spell(tmp_path: Path, dtype: str, form: str) -> None:
    flags = np.random.default_rng(0).choice(list("12349 "), (6, 4, 6))
    bad = np.isin(flags, list("349"))
    dataset = xr.Dataset(
        {"x": (DIMS, smooth(low=5.0, high=9.0), {"units": "1"}), "x_qc": (DIMS, flags.astype(dtype))}, coords()
    )
    described = {"flag_values": np.array([3, 4, 9], "i1"), "flag_meanings": "bad worse_and_rejected missing_value"}
    for number, attrs in enumerate(({}, described)):
        dataset["x_qc"].attrs = attrs
        found = open_fields(write(dataset, tmp_path / f"{number}", form))
        np.testing.assert_array_equal(np.isnan(found["x"].values), bad)
        assert state_variables(found) == ["x"]

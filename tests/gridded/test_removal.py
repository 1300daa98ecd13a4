"""What reading removes is what the file means, and is counted: packed and unsigned ranges, default fills, Zarr's zeros."""

import logging
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from small_files import DIMS, coords, smooth, write

from driftfield.data.sources import open_archive, open_fields
from driftfield.errors import DataError

FILLS = {"i2": -32767, "i4": -2147483647, "f4": 9.969209968386869e36, "f8": 9.969209968386869e36}


def packed(dtype: str, *, unsigned: bool, seed: int) -> tuple[np.ndarray, np.ndarray, float, float]:
    """Whole numbers over half of their type, as stored; what they mean; scale and offset."""
    rng = np.random.default_rng(seed)
    kind = np.dtype(f"u{dtype[1]}" if unsigned else dtype)
    low, high = np.iinfo(kind).min // 2, np.iinfo(kind).max // 2
    if unsigned:  # beyond what the signed type can hold
        low, high = np.iinfo(kind).max // 4, int(0.9 * np.iinfo(kind).max)
    numbers = rng.integers(low, high, (6, 4, 6)).astype(np.int64)
    scale = float(rng.choice([0.01, 0.0025, 0.5]))
    offset = float(rng.choice([0.0, 20.0, -3.0]))
    return numbers.astype(kind).view(dtype), numbers * scale + offset, scale, offset


@pytest.mark.parametrize("form", ["NETCDF4", "NETCDF3_64BIT"])
@pytest.mark.parametrize("ends", ["valid_range", "valid_min and valid_max", "unpacked"])
@pytest.mark.parametrize("dtype", ["i1", "i2"])
@pytest.mark.parametrize("unsigned", [False, True])
def test_packed_ranges_mean_packed_numbers(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, form: str, ends: str, dtype: str, unsigned: bool
) -> None:
    seed = sum(map(ord, f"{form}{ends}{dtype}{unsigned}"))
    stored, truth, scale, offset = packed(dtype, unsigned=unsigned, seed=seed)
    order = np.sort(truth.ravel())
    low, high = order[20] - 0.4 * scale, order[-21] + 0.4 * scale
    kept = (truth >= low) & (truth <= high)
    attrs: dict[str, object] = {"scale_factor": scale, "add_offset": offset, "units": "mol m-3"}
    if unsigned:
        attrs["_Unsigned"] = "true"
    numbers = np.array([np.ceil((low - offset) / scale), np.floor((high - offset) / scale)]).round().astype(np.int64)
    as_stored = numbers.astype(f"u{dtype[1]}" if unsigned else dtype).view(dtype)
    if ends == "unpacked":
        attrs["valid_range"] = np.array([low, high])
    elif ends == "valid_range":
        attrs["valid_range"] = as_stored
    else:
        attrs |= {"valid_min": as_stored[0], "valid_max": as_stored[1]}
    path = write(xr.Dataset({"x": (DIMS, stored, attrs)}, coords()), tmp_path / "a", form)
    with caplog.at_level(logging.INFO):
        found = open_archive(path, ["x"]).dataset["x"].values
    np.testing.assert_array_equal(np.isfinite(found), kept)
    np.testing.assert_allclose(found[kept], truth[kept], rtol=1e-5, atol=0.51 * scale)
    assert f"{kept.sum()} of {kept.size} values are left" in caplog.text
    assert f"{(~kept).sum()} outside valid_range" in caplog.text


@pytest.mark.parametrize("form", ["NETCDF4", "NETCDF3_64BIT"])
@pytest.mark.parametrize("dtype", ["i2", "i4", "f4", "f8"])
@pytest.mark.parametrize("scale", [None, 0.1])
def test_the_default_fill_is_missing_unless_the_file_declares_another(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, form: str, dtype: str, scale: float | None
) -> None:
    numbers = smooth(low=100.0, high=900.0).astype(dtype)
    gone = np.random.default_rng(3).random(numbers.shape) < 0.2
    numbers[gone] = FILLS[dtype]
    attrs = {"units": "mol m-3"} | ({} if scale is None else {"scale_factor": scale})
    path = write(xr.Dataset({"x": (DIMS, numbers, attrs)}, coords()), tmp_path / "a", form)
    with caplog.at_level(logging.INFO):
        found = open_archive(path, ["x"]).dataset["x"].values
    np.testing.assert_array_equal(np.isnan(found), gone)
    np.testing.assert_allclose(found[~gone], (numbers * (scale or 1.0))[~gone], rtol=1e-5)
    assert f"{gone.sum()} the default fill of netCDF" in caplog.text or f"{gone.sum()} a sentinel" in caplog.text


def test_bytes_have_no_default_fill(tmp_path: Path) -> None:
    numbers = np.arange(144).reshape(6, 4, 6).astype("i1")
    path = write(xr.Dataset({"x": (DIMS, numbers, {"units": "1", "scale_factor": 0.5})}, coords()), tmp_path / "a")
    np.testing.assert_array_equal(open_fields(path)["x"].values, numbers * 0.5)


@pytest.mark.parametrize("dtype", ["f4", "f8", "i2", "u1"])
@pytest.mark.parametrize("declared", [None, "_FillValue", "missing_value"])
@pytest.mark.parametrize("form", ["zarr2", "zarr3"])
def test_zeros_of_zarr_are_values_unless_declared(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, form: str, dtype: str, declared: str | None
) -> None:
    import zarr

    numbers = np.maximum(smooth(low=-50.0, high=100.0).round(), 0).astype(dtype)
    dataset = xr.Dataset({"x": (DIMS, numbers, {"units": "mol m-3"})}, coords())
    path = write(dataset.drop_vars("x").assign(y=dataset["x"]), tmp_path / "a", form)
    group = zarr.open_group(path, mode="r+")
    names = {"dimension_names": DIMS} if form == "zarr3" else {}
    array = group.create_array("x", shape=numbers.shape, dtype=numbers.dtype, fill_value=0, **names)
    array[:] = numbers
    attrs: dict[str, object] = {"units": "mol m-3"} | ({"_ARRAY_DIMENSIONS": list(DIMS)} if form == "zarr2" else {})
    if declared == "missing_value" or (declared and form == "zarr2"):
        attrs[declared] = 0
    array.attrs.update(attrs)
    expected = (numbers == 0) if declared in attrs else np.zeros(numbers.shape, dtype=bool)
    with caplog.at_level(logging.INFO):
        found = open_fields(path)["x"].values
    np.testing.assert_array_equal(np.isnan(found), expected)
    np.testing.assert_array_equal(found[~expected], numbers[~expected])
    assert ("zeros are values" in caplog.text) == (form == "zarr2" and declared is None)


@pytest.mark.parametrize("wrong", ["valid_range", "valid_max", "flags"])
@pytest.mark.parametrize("seed", range(3))
def test_nothing_left_is_refused_with_the_reason(tmp_path: Path, wrong: str, seed: int) -> None:
    values = smooth(low=10.0, high=30.0, seed=seed)
    attrs: dict[str, object] = {"units": "mol m-3"}
    dataset = xr.Dataset({"x": (DIMS, values, attrs)}, coords())
    if wrong == "valid_range":
        dataset["x"].attrs["valid_range"] = np.array([0.0, 1.0 + seed])
    elif wrong == "valid_max":
        dataset["x"].attrs["valid_max"] = 5.0 + seed
    else:
        flags = {"flag_values": np.array([0, 1], "i1"), "flag_meanings": "good bad"}
        dataset["x_qc"] = (DIMS, np.ones(values.shape, "i1"), flags)
    path = write(dataset, tmp_path / "a")
    reason = "rejected by flags" if wrong == "flags" else "outside valid_range"
    with pytest.raises(DataError, match=f"Nothing of 'x' .* 144 {reason}"):
        open_archive(path, ["x"])


def test_a_selection_counts_what_it_selects(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    values = smooth(low=0.0, high=10.0)
    values[0, 0, 0], values[5] = 99.0, 99.0
    attrs = {"units": "mol m-3", "valid_range": np.array([0.0, 10.0])}
    path = write(xr.Dataset({"x": (DIMS, values, attrs)}, coords()), tmp_path / "a")
    with caplog.at_level(logging.INFO):
        open_archive(path, ["x"], time=["2001-01-01", "2001-01-20"])
    assert "95 of 96 values are left: removed 1 outside valid_range (0 to 10)" in caplog.text

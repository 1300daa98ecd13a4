"""Files that are joined are in one unit, or are not joined."""

import logging
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from small_files import DIMS, coords, smooth, write

from driftfield.data.sources import open_fields
from driftfield.errors import DataError

LOW, HIGH = 1.0, 9.0
CONVERTED = [
    ("chl", "mg m-3", "ug l-1", 1.0),
    ("chl", "mg m-3", "g m-3", 1e-3),
    ("chl", "mg m-3", "mg/m3", 1.0),
    ("o2", "mmol m-3", "1e-3 mol m-3", 1.0),
    ("o2", "mmol m-3", "umol l-1", 1.0),
    ("heat", "W m-2", "kW m-2", 1e-3),
    ("heat", "W m-2", "W/m^2", 1.0),
    ("rain", "mm", "cm", 0.1),
    ("rain", "mm day-1", "cm day-1", 0.1),
    ("wave", "m", "ft", 1 / 0.3048),
    ("wave", "m", "metres", 1.0),
    ("wind", "m s-1", "knots", 3600 / 1852),
    ("ozone", "kg m-2", "g m-2", 1e3),
    ("temp", "degC", "K", None),
    ("sst", "degC", "K", None),
]


def pair(folder: Path, name: str, units: tuple[str | None, str | None], second: np.ndarray, *, form: str) -> np.ndarray:
    """Two periods, a and b; returns the truth in the unit of a."""
    truth = smooth(6, low=LOW, high=HIGH)
    for index, (stem, values) in enumerate((("a", truth[:3]), ("b", second[3:]))):
        one = xr.Dataset(
            {name: (DIMS, values.astype("f4"), {} if units[index] is None else {"units": units[index]})},
            coords(3) | {"time": coords(6)["time"][3 * index : 3 * index + 3]},
        )
        write(one, folder / stem, form)
    return truth


def there(values: np.ndarray, factor: float | None) -> np.ndarray:
    return values + 273.15 if factor is None else values * factor


@pytest.mark.parametrize(("name", "first", "second", "factor"), CONVERTED)
@pytest.mark.parametrize("form", ["NETCDF4", "NETCDF3_64BIT"])
def test_another_text_for_the_unit_is_converted(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    name: str,
    first: str,
    second: str,
    factor: float | None,
    form: str,
) -> None:
    truth = pair(tmp_path, name, (first, second), there(smooth(6, low=LOW, high=HIGH), factor), form=form)
    with caplog.at_level(logging.INFO):
        found = open_fields(tmp_path / "?.nc")[name]
    np.testing.assert_allclose(found.values, truth, rtol=3e-5)
    assert found.attrs["units"] == first
    if name != "sst":  # a quantity of the table is converted file by file
        assert f"is converted to {first}" in caplog.text


@pytest.mark.parametrize(("first", "second"), [("mg m-3", "mmol m-3"), ("m", "s"), ("dBZ", "mm6 m-3"), ("furlongs", "barns"),
                                               ("W m-2", "J m-2"), ("log10(mg m-3)", "mg m-3")])  # fmt: skip
def test_a_unit_that_does_not_convert_is_refused(tmp_path: Path, first: str, second: str) -> None:
    pair(tmp_path, "x", (first, second), smooth(6, low=LOW, high=HIGH), form="NETCDF4")
    with pytest.raises(DataError) as error:
        open_fields(tmp_path / "?.nc")
    for word in ("'x'", repr(first), repr(second), "a.nc", "b.nc"):
        assert word in str(error.value)


@pytest.mark.parametrize("silent", [0, 1])
@pytest.mark.parametrize("name", ["sst", "temp"])
def test_a_file_without_a_unit_is_held_against_the_others(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, silent: int, name: str
) -> None:
    truth = smooth(6, low=LOW, high=HIGH)
    units: tuple[str | None, str | None] = (None, "degC") if silent == 0 else ("degC", None)
    pair(tmp_path, name, units, truth, form="NETCDF4")
    with caplog.at_level(logging.INFO):
        found = open_fields(tmp_path / "?.nc")[name]
    np.testing.assert_allclose(found.values, truth, rtol=1e-6)
    assert found.attrs["units"] == "degC"
    assert f"{'ab'[silent]}.nc: {name!r} declares no units: taken as degC" in caplog.text


@pytest.mark.parametrize("name", ["sst", "temp"])
def test_a_file_without_a_unit_that_is_in_another_one_is_refused(tmp_path: Path, name: str) -> None:
    pair(tmp_path, name, ("degC", None), smooth(6, low=LOW, high=HIGH) + 273.15, form="NETCDF4")
    with pytest.raises(DataError, match=r"b\.nc declares no units .* as in .*a\.nc.* They look like K"):
        open_fields(tmp_path / "?.nc")


def test_files_that_all_say_nothing_are_joined_as_they_are(tmp_path: Path) -> None:
    truth = pair(tmp_path, "x", (None, None), 1000 * smooth(6, low=LOW, high=HIGH), form="NETCDF4")
    found = open_fields(tmp_path / "?.nc")["x"]
    np.testing.assert_allclose(found.values[3:], 1000 * truth[3:], rtol=1e-6)
    assert "units" not in found.attrs

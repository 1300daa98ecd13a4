"""BUFR as it is exchanged: messages of ecCodes in, the values that were encoded out; what has no place in a table is refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from driftfield.errors import DataError, FileFormatError
from driftfield.gridded.gridded_files import open_fields
from driftfield.observations.inspection import inspect_file
from driftfield.observations.readers import read_points
from driftfield.observations.reading import read_observations

codes = pytest.importorskip("eccodes")
pytest.importorskip("pdbufr")

PLACE = [1087, 301011, 301012, 301021]
LEVEL = [7062, 22043, 22064]
"""Descriptors of WMO table B and D: platform, date, time, place; depth, temperature and salinity of water."""


def write(path: Path, descriptors: list[int], reports: list[dict[str, Any]], *, compressed: bool = False) -> None:
    """A message a report, or all reports as the subsets of one message."""
    with path.open("wb") as file:
        for group in [reports] if compressed else [[report] for report in reports]:
            message = codes.codes_bufr_new_from_samples("BUFR4")
            codes.codes_set(message, "masterTablesVersionNumber", 28)
            codes.codes_set(message, "compressedData", int(compressed))
            codes.codes_set(message, "numberOfSubsets", len(group))
            codes.codes_set_array(message, "unexpandedDescriptors", descriptors)
            for key in group[0]:
                values = [report[key] for report in group]
                if compressed:
                    codes.codes_set_array(message, key, values)
                else:
                    codes.codes_set(message, key, values[0])
            codes.codes_set(message, "pack", 1)
            codes.codes_write(message, file)
            codes.codes_release(message)


def place(number: int) -> dict[str, Any]:
    return {
        "marineObservingPlatformIdentifier": 1000 + number,
        "year": 2020,
        "month": 3,
        "day": 1 + number,
        "hour": 6,
        "minute": 30,
        "latitude": 45.5 + number,
        "longitude": -10.25,
    }


def profile(number: int, levels: int = 3) -> dict[str, Any]:
    report = place(number)
    for n in range(1, levels + 1):
        report |= {f"#{n}#depthBelowWaterSurface": 10.0 * n, f"#{n}#oceanographicWaterTemperature": 285.0 + number - n}
        report |= {f"#{n}#salinity": 35.0 + 0.1 * n}
    return report


def test_profiles_of_water_are_read_depth_by_depth(tmp_path: Path) -> None:
    write(tmp_path / "a.bufr", PLACE + LEVEL * 3, [profile(0), profile(1)])
    names = {"thetao": "oceanographicWaterTemperature", "so": "salinity"}
    points = read_points(tmp_path / "a.bufr", names)
    assert points.sizes["observation"] == 6
    np.testing.assert_allclose(points["depth"], [10, 20, 30] * 2)
    np.testing.assert_allclose(points["thetao"], np.array([284, 283, 282, 285, 284, 283]) - 273.15, atol=0.01)
    assert points["thetao"].attrs["units"] == "degC"
    np.testing.assert_allclose(points["so"], [35.1, 35.2, 35.3] * 2, atol=0.01)
    np.testing.assert_allclose(points["lat"], [45.5] * 3 + [46.5] * 3)
    assert list(points["platform"].values) == ["1000"] * 3 + ["1001"] * 3
    assert str(points["time"].values[0]).startswith("2020-03-01T06:30")
    table = read_observations(tmp_path / "a.bufr", names, potential=[])
    assert sorted(set(table.variable)) == ["so", "thetao"]
    assert len(table) == 12


@pytest.mark.parametrize("compressed", [False, True])
def test_reports_at_the_surface_need_no_suffix(tmp_path: Path, compressed: bool) -> None:
    reports = [place(n) | {"seaSurfaceTemperature": 290.0 + n} for n in range(3)]
    write(tmp_path / "IOBX01_EGRR", [*PLACE, 22049], reports, compressed=compressed)
    table = read_observations(tmp_path / "IOBX01_EGRR", {"sst": "no_such,SEASURFACETEMPERATURE"})
    np.testing.assert_allclose(np.sort(table.value), np.array([290.0, 291.0, 292.0]) - 273.15, atol=0.01)
    np.testing.assert_allclose(table.longitude, -10.25)


def test_a_missing_value_is_left_out_and_the_place_stays_for_others(tmp_path: Path) -> None:
    missing = profile(0) | {"#2#oceanographicWaterTemperature": codes.CODES_MISSING_DOUBLE}
    write(tmp_path / "a.bufr", PLACE + LEVEL * 3, [missing])
    points = read_points(tmp_path / "a.bufr", {"thetao": "oceanographicWaterTemperature", "so": "salinity"})
    by_depth = points.sortby("depth")
    np.testing.assert_array_equal(np.isfinite(by_depth["thetao"]), [True, False, True])
    assert bool(np.isfinite(by_depth["so"]).all())


def test_a_report_that_came_twice_is_two_rows_and_no_more(tmp_path: Path) -> None:
    write(tmp_path / "a.bufr", PLACE + LEVEL * 3, [profile(0), profile(0)])
    names = {"thetao": "oceanographicWaterTemperature", "so": "salinity"}
    assert len(read_observations(tmp_path / "a.bufr", names, potential=[])) == 12


def test_levels_of_the_air_are_refused(tmp_path: Path) -> None:
    report = place(0)
    for n, pressure in ((1, 50000.0), (2, 85000.0)):
        report |= {f"#{n}#pressure": pressure, f"#{n}#airTemperature": 250.0 + n}
    write(tmp_path / "a.bufr", PLACE + [7004, 12101] * 2, [report])
    with pytest.raises(DataError, match="levels of atmospheric pressure, up to 2 at one place"):
        read_points(tmp_path / "a.bufr", {"t": "airTemperature"})


def test_an_unknown_key_and_broken_messages_are_said(tmp_path: Path) -> None:
    write(tmp_path / "a.bufr", PLACE + LEVEL * 3, [profile(0)])
    with pytest.raises(DataError, match="Did you mean 'salinity'"):
        read_points(tmp_path / "a.bufr", {"so": "salinty"})
    whole = (tmp_path / "a.bufr").read_bytes()
    for name, content in (("cut.bufr", whole[:-20]), ("none.bufr", b"BUFR" + bytes(200))):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(FileFormatError, match="Cannot decode the BUFR messages"):
            read_points(tmp_path / name, {"so": "salinity"})


def test_what_it_is_and_where_it_is_read_is_said(tmp_path: Path) -> None:
    write(tmp_path / "a.bufr", PLACE + LEVEL * 3, [profile(0)])
    with pytest.raises(FileFormatError, match="is BUFR: points, which `driftfield gather`"):
        open_fields(tmp_path / "a.bufr")
    said = str(inspect_file(tmp_path / "a.bufr"))
    assert "BUFR" in said
    assert "oceanographicWaterTemperature in K" in said
    assert "driftfield gather" in said

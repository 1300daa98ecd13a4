"""Argo as argopy hands it over, and the profile files of EN4: flags honoured, nothing read twice."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from driftfield.errors import DataError
from driftfield.gridded.units import depth_of_pressure
from driftfield.observations.readers import Quality, counts, read_points
from driftfield.observations.readers.argopy import read_argopy
from driftfield.observations.readers.potential import potential_temperature
from driftfield.observations.reading import read_observations
from driftfield.observations.table import ObservationTable

NAMES = {"thetao": "TEMP", "so": "PSAL"}


def argopy_points(**changes: object) -> xr.Dataset:
    """Two profiles of three levels in argopy's standard mode: integers for flags and platforms, dates decoded."""
    pressure = np.array([5.0, 100.0, 1000.0] * 2)
    columns: dict[str, object] = {
        "CYCLE_NUMBER": np.repeat([7, 8], 3),
        "DATA_MODE": np.repeat(["D", "R"], 3),
        "DIRECTION": np.repeat("A", 6),
        "PLATFORM_NUMBER": np.full(6, 6902746),
        "POSITION_QC": np.ones(6, int),
        "TIME_QC": np.ones(6, int),
        "PRES": pressure,
        "PRES_QC": np.ones(6, int),
        "PRES_ERROR": np.full(6, 2.4),
        "TEMP": np.array([20.0, 15.0, 5.0, 21.0, 16.0, 6.0]),
        "TEMP_QC": np.array([1, 2, 1, 1, 4, 1]),
        "TEMP_ERROR": np.array([0.002, 0.002, 0.002, np.nan, np.nan, np.nan]),
        "PSAL": np.full(6, 35.5),
        "PSAL_QC": np.ones(6, int),
    } | changes
    times = np.array(["2019-05-02T07:11"] * 3 + ["2019-05-12T06:50"] * 3, "datetime64[ns]")
    coords = {"N_POINTS": np.arange(6), "TIME": ("N_POINTS", times)}
    coords |= {
        "LATITUDE": ("N_POINTS", np.repeat([44.0, 44.5], 3)),
        "LONGITUDE": ("N_POINTS", np.repeat([-9.7, -9.1], 3)),
    }
    found = xr.Dataset({name: ("N_POINTS", np.asarray(part)) for name, part in columns.items()}, coords)
    found["TEMP"].attrs = {"units": "degree_Celsius", "standard_name": "sea_water_temperature"}
    found["PSAL"].attrs = {"units": "psu", "standard_name": "sea_water_salinity"}
    found["PRES"].attrs = {"units": "decibar", "standard_name": "sea_water_pressure"}
    return found


def test_points_of_argopy_become_a_table_of_observations() -> None:
    given = argopy_points()
    table = ObservationTable.from_argopy(given, NAMES)
    warm, salt = (table.select(table.variable == name) for name in NAMES)
    assert (len(warm), len(salt)) == (5, 6)
    kept = given["TEMP_QC"].values != 4
    depth = depth_of_pressure(given["PRES"].values, given["LATITUDE"].values)
    np.testing.assert_allclose(warm.depth, depth[kept])
    theta = potential_temperature(*(given[n].values for n in ("PSAL", "TEMP", "PRES", "LONGITUDE", "LATITUDE")))
    np.testing.assert_allclose(warm.value, theta[kept], atol=1e-3)
    np.testing.assert_array_equal(warm.flag, [1, 2, 1, 1, 1])
    np.testing.assert_array_equal(warm.error, [0.002, 0.002, 0.002, np.nan, np.nan])
    assert set(warm.platform) == {"6902746"}
    np.testing.assert_array_equal(np.unique(warm.time), np.unique(given["TIME"].values.astype("datetime64[us]")))
    np.testing.assert_allclose(salt.value, 35.5)
    assert np.isnan(salt.error).all()
    # as measured where the state knows no potential temperature
    np.testing.assert_allclose(ObservationTable.from_argopy(given, {"temp": "TEMP"}).value, given["TEMP"].values[kept])


def test_what_argopy_gives_is_believed_by_its_flags() -> None:
    given = argopy_points(POSITION_QC=np.repeat([1, 4], 3), PRES_QC=np.array([1, 1, 3, 1, 1, 1]))
    found = counts(read_argopy(given, NAMES))["thetao"]
    assert found.dropped == {"position flag 4": 3, "pressure flag 3": 1}
    assert found.read == found.kept + 4
    assert counts(read_argopy(given, NAMES, Quality(flags=None)))["thetao"].kept == 6
    assert counts(read_argopy(given, NAMES, Quality(modes=("D",))))["so"].dropped["mode R not asked for"] == 3


def test_adjusted_columns_of_the_expert_mode_are_taken() -> None:
    better = argopy_points()["TEMP"].values - 1
    given = argopy_points(TEMP_ADJUSTED=better, TEMP_ADJUSTED_QC=np.ones(6, int), TEMP_ADJUSTED_ERROR=np.full(6, 0.01))
    found = ObservationTable.from_argopy(given, {"temp": "TEMP"})
    np.testing.assert_allclose(found.value, [19.0, 14.0, 4.0, 21.0, 6.0])
    np.testing.assert_allclose(found.error, [0.01, 0.01, 0.01, np.nan, np.nan])


def test_other_data_sets_are_refused() -> None:
    profiles = argopy_points().rename(N_POINTS="N_PROF").expand_dims(N_LEVELS=2)
    with pytest.raises(DataError, match="profile2point"):
        ObservationTable.from_argopy(profiles, NAMES)
    with pytest.raises(DataError, match="No variable 'TEMPERATURE'"):
        ObservationTable.from_argopy(argopy_points(), {"thetao": "TEMPERATURE"})
    with pytest.raises(DataError, match="No variable was asked for"):
        ObservationTable.from_argopy(argopy_points(), {})


def en4_file(path: Path, **changes: object) -> Path:
    """Three profiles of four levels as EN4 writes them: characters for flags, depth, the last level of each is missing."""
    levels = ("N_PROF", "N_LEVELS")

    def flags(rows: object) -> np.ndarray:
        return np.array([[c.encode() for c in row] for row in np.atleast_1d(rows)], dtype="S1").squeeze()

    text: dict[str, object] = {
        "JULD_QC": "111",
        "POSITION_QC": "111",
        "PROFILE_POTM_QC": "114",
        "PROFILE_PSAL_QC": "111",
        "POTM_CORRECTED_QC": ["1141", "111 ", "111 "],
        "PSAL_CORRECTED_QC": ["111 ", "111 ", "1 1 "],
        "DEPH_CORRECTED_QC": ["111 ", "114 ", "000 "],
    } | changes
    dataset = xr.Dataset(
        {
            "JULD": ("N_PROF", 25323.0 + np.arange(3), {"units": "days since 1950-01-01 00:00:00 utc"}),
            "LATITUDE": ("N_PROF", 40.0 + np.arange(3)),
            "LONGITUDE": ("N_PROF", -30.0 + np.arange(3)),
            # fill, as of everything that is no float: it must not make copies of the profiles of a ship
            "CYCLE_NUMBER": ("N_PROF", np.full(3, 99999)),
            "PLATFORM_NUMBER": ("N_PROF", np.array([b"Q6900001", b"SHIP    ", b"SHIP    "])),
            "DIRECTION": ("N_PROF", np.array([b"A"] * 3)),
            "DATA_MODE": ("N_PROF", np.array([b"D", b" ", b" "])),
            "DEPH_CORRECTED": (levels, np.tile([5.0, 50.0, 500.0, np.nan], (3, 1)).astype("f4"), {"units": "metre"}),
            "POTM_CORRECTED": (levels, np.tile([18.0, 15.0, 9.0, np.nan], (3, 1)), {"units": "degree_Celsius"}),
            "TEMP": (levels, np.tile([18.0, 15.0, 9.1, np.nan], (3, 1)), {"units": "degree_Celsius"}),
            "PSAL_CORRECTED": (levels, np.tile([35.0, 35.1, 35.2, np.nan], (3, 1)), {"units": "psu"}),
        }
        | {name: (levels if np.ndim(rows) else "N_PROF", flags(rows)) for name, rows in text.items()}
    )
    dataset["POTM_CORRECTED"].attrs["long_name"] = "potential temperature"
    dataset.to_netcdf(path)
    return path


def test_a_file_of_en4_is_read_with_its_flags(tmp_path: Path) -> None:
    path = en4_file(tmp_path / "EN.4.2.2.f.profiles.g10.201905.nc")
    table = read_points(path, {"thetao": "POTM_CORRECTED", "so": "PSAL_CORRECTED"})
    warm, salt = (counts(table)[name] for name in ("thetao", "so"))
    assert warm.dropped == {"flag 4": 1, "pressure flag 4": 1, "profile flag 4": 3}
    assert (warm.read, warm.kept) == (9, 4)
    # a depth without a check is no reason to doubt, a value without one is; both ships stay
    assert salt.dropped == {"flag missing": 1, "pressure flag 4": 1}
    assert (salt.read, salt.kept) == (9, 7)
    seen = table["so"].notnull().values
    assert set(map(str, table["platform"].values[seen])) == {"Q6900001", "SHIP"}
    assert set(table["depth"].values) == {5.0, 50.0, 500.0}
    assert str(table["time"].values[0])[:10] == "2019-05-02"
    assert table["so_error"].isnull().all()


def test_temperature_of_en4_is_potential_already(tmp_path: Path) -> None:
    path = en4_file(tmp_path / "en4.nc")
    found = read_observations(path, {"thetao": "POTM_CORRECTED"}, potential=("thetao",))
    assert set(found.value) == {18.0, 15.0}
    assert found.attrs["thetao"]["standard_name"] == "sea_water_potential_temperature"
    in_situ = read_points(path, {"thetao": "TEMP"})
    assert counts(in_situ)["thetao"].dropped == {"flag 4": 1, "pressure flag 4": 1, "profile flag 4": 3}
    with pytest.raises(DataError, match="No variable 'POTM'"):
        read_points(path, {"thetao": "POTM"})

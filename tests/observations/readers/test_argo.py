"""Argo: the right values of every mode, flags as characters, and every value accounted for."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from driftfield.errors import ConfigurationError, DataError, FileFormatError
from driftfield.gridded.units import depth_of_pressure
from driftfield.observations.readers import Quality, counts, read_points, to_frame

TEMP = {"thetao": "TEMP"}
Writer = Callable[..., Path]


def account(table: xr.Dataset, name: str = "thetao") -> dict[str, int]:
    """The reasons of one variable, after the law that every value is kept or dropped for one of them."""
    count = counts(table)[name]
    assert count.read == count.kept + sum(count.dropped.values())
    assert count.kept == int(table[name].notnull().sum())
    return count.dropped


@pytest.mark.parametrize("version", ["3.0", "3.1"])
def test_a_synthetic_file_comes_back(tmp_path: Path, argo_file: Writer, version: str) -> None:
    table = read_points(argo_file(tmp_path / "a.nc", version=version), TEMP)
    assert account(table) == {"flag 4": 1, "flag 3": 1, "flag missing": 1}
    assert counts(table)["thetao"].read == 11
    frame = to_frame(table)
    by_mode = dict(iter(frame.groupby("mode")))
    assert by_mode["D"]["thetao"].tolist() == pytest.approx([19.9, 19.8, 10.0], abs=1e-4), "adjusted; level 2 is bad"
    assert by_mode["D"]["thetao_quality"].tolist() == [1, 2, 1]
    assert by_mode["A"]["thetao"].tolist() == pytest.approx([20.9, 20.8, 19.0], abs=1e-4), (
        "adjusted; level 3 is missing"
    )
    assert by_mode["R"]["thetao"].tolist() == pytest.approx([22.9, 13.0], abs=1e-4), "raw; no flag at 1, flag 3 at 2"
    assert by_mode["D"]["thetao_error"].tolist() == pytest.approx([0.002] * 3)
    assert by_mode["R"]["thetao_error"].isna().all()
    assert frame["depth"].iloc[0] == pytest.approx(depth_of_pressure(np.array(5.0), 40.0))
    assert frame["time"].iloc[0] == pd.Timestamp("2004-10-04")
    assert set(frame["platform"]) == {"6900001"}
    assert frame["profile"].tolist() == [0] * 3 + [1] * 3 + [2] * 2
    assert table["thetao"].attrs["units"] == "degC"


def test_options_choose_flags_modes_and_raw_values(argo: Path) -> None:
    everything = read_points(argo, TEMP, Quality(flags=None, adjusted=False, ranges=False))
    assert account(everything) == {}
    assert everything.sizes["observation"] == 11
    assert float(everything["thetao"][0]) == pytest.approx(20.9, abs=1e-4), "raw values are 1 degC too warm"
    strict = read_points(argo, TEMP, Quality(flags=(1,)))
    assert account(strict) == {"flag 4": 1, "flag 2": 1, "flag 3": 1, "flag missing": 1}
    delayed = read_points(argo, TEMP, Quality(modes=("D",)))
    assert account(delayed) == {"mode A not asked for": 3, "mode R not asked for": 4, "flag 4": 1}
    assert set(delayed["mode"].values) == {"D"}
    for wrong in ({"flags": (11,)}, {"flags": ()}, {"modes": ("X",)}):
        with pytest.raises(ConfigurationError):
            Quality(**wrong)  # type: ignore[arg-type]


def test_bad_positions_and_dates_are_dropped(tmp_path: Path, argo_file: Writer) -> None:
    path = argo_file(
        tmp_path / "a.nc", POSITION_QC="141", JULD_QC="113", LATITUDE=np.array([99999.0, 41.0, 42.0]), modes="DAR"
    )
    assert account(read_points(path, TEMP)) == {"no position": 4, "position flag 4": 3, "date flag 3": 4}


def test_of_copies_the_delayed_mode_stays(tmp_path: Path, argo_file: Writer) -> None:
    real_time, delayed = argo_file(tmp_path / "r.nc", modes="R"), argo_file(tmp_path / "d.nc", modes="D")
    other = argo_file(tmp_path / "o.nc", modes="D", platform="6900002", version="3.0")
    for order in ([real_time, delayed, other], [delayed, other, real_time]):
        table = read_points(order, TEMP)
        assert set(table["mode"].values) == {"D"}
        assert sorted(set(table["platform"].values)) == ["6900001", "6900002"]
        assert account(table)["copy of a profile in a better mode, or of the same"] == 3
    twice = read_points([delayed, delayed], TEMP)
    assert twice.sizes["observation"] == 3


def test_a_bad_delayed_profile_does_not_let_its_raw_copy_through(tmp_path: Path, argo_file: Writer) -> None:
    real_time, delayed = (
        argo_file(tmp_path / "r.nc", modes="R"),
        argo_file(tmp_path / "d.nc", modes="D", POSITION_QC="4"),
    )
    table = read_points([real_time, delayed], TEMP)
    assert table.sizes["observation"] == 0
    assert sum(account(table).values()) == 8


def test_an_erddap_table_reads_as_the_profile_file(argo: Path, tmp_path: Path) -> None:
    with xr.open_dataset(argo, decode_times=False) as opened:
        file = opened.load()
    columns = {}
    for name, array in file.data_vars.items():
        plain = "time" if name == "JULD" else "time_qc" if name == "JULD_QC" else str(name).lower()
        if array.dims == ("N_PROF", "N_LEVELS"):
            columns[plain] = array.values.ravel()
        elif array.dims == ("N_PROF",):
            columns[plain] = np.repeat(array.values, 4)
    frame = pd.DataFrame(columns)
    frame = frame.map(lambda v: v.decode() if isinstance(v, bytes) else v)
    frame["time"] = (pd.Timestamp("1950-01-01") + pd.to_timedelta(frame["time"], "D")).dt.strftime("%Y-%m-%dT%H:%M:%SZ")
    lines = frame.to_csv(index=False, na_rep="NaN").splitlines()
    known = {"temp": "degree_Celsius", "temp_adjusted": "degree_Celsius", "latitude": "degrees_north", "time": "UTC"}
    units = ",".join(known.get(column, "") for column in frame)
    path = tmp_path / "table.csv"
    path.write_text("\n".join([lines[0], units, *lines[1:]]), encoding="utf-8")
    expected, found = read_points(argo, TEMP), read_points(path, {"thetao": "temp"})
    assert account(expected) == account(found)
    for name in ("thetao", "thetao_error", "thetao_quality", "depth", "lat", "lon", "profile"):
        np.testing.assert_allclose(found[name].values, expected[name].values, rtol=1e-6, err_msg=name)
    assert (found["time"].values == expected["time"].values).all()
    assert found["thetao"].attrs["units"] == "degC"


def test_a_plain_table_needs_no_argo_columns(tmp_path: Path) -> None:
    text = "time,lat,lon,depth,temp\n2001-01-01,40,-30,0,290\n2001-01-01,40,-30,10,\n"
    (tmp_path / "a.csv").write_text(text)
    table = read_points(tmp_path / "a.csv", {"t": "temp"})
    assert table["t"].values.tolist() == [290.0]
    with pytest.raises(DataError, match=r"a\.csv.*'temp'"):
        read_points(tmp_path / "a.csv", {"t": "tempe"})
    for change, said in (
        (("290", "warm"), "'warm'"),
        (("2001-01-01", "yesterday"), "dates"),
        (("lat", "north"), "latitude"),
    ):
        (tmp_path / "b.csv").write_text(text.replace(*change))
        with pytest.raises((FileFormatError, DataError), match=said):
            read_points(tmp_path / "b.csv", {"t": "temp"})


def test_what_cannot_be_read_says_so(argo: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="Did you mean 'TEMP'"):
        read_points(argo, {"thetao": "TEMPE"})
    with pytest.raises(DataError, match="No file at"):
        read_points(tmp_path / "none.nc", TEMP)
    (tmp_path / "half.nc").write_bytes(argo.read_bytes()[:2000])
    with pytest.raises(FileFormatError, match=r"half\.nc"):
        read_points(tmp_path / "half.nc", TEMP)
    xr.Dataset({"TEMP": (("y", "x"), np.zeros((2, 2)))}).to_netcdf(tmp_path / "grid.nc")
    with pytest.raises(FileFormatError, match=r"grid\.nc is none of"):
        read_points(tmp_path / "grid.nc", TEMP)


# real files: read, kept and the most common reason of the temperature
REAL = {
    "1900857_prof.nc": (21127, 21098, "flag 4"),
    "4901079_prof.nc": (12787, 12735, "flag 3"),
    "6900388_prof.nc": (12382, 12313, "no depth"),
    "argo_erddap_expert_42.5-45N_57.5-55W_0-20dbar.nc": (10886, 10633, "flag 4"),
}


@pytest.mark.parametrize("name", REAL)
def test_real_files(data_folder: Path, name: str) -> None:
    table = read_points(data_folder / "argo" / name, {"thetao": "temp", "so": "psal"})
    for variable in ("thetao", "so"):
        account(table, variable)
    count = counts(table)["thetao"]
    assert (count.read, count.kept) == REAL[name][:2]
    assert max(count.dropped, key=lambda reason: count.dropped[reason]) == REAL[name][2]
    assert float(table["thetao"].max()) < 31
    assert 30 < float(table["so"].median()) < 37


def test_flags_and_ranges_each_catch_the_impossible_temperature(data_folder: Path) -> None:
    path = data_folder / "argo/argo_erddap_expert_42.5-45N_57.5-55W_0-20dbar.nc"

    def hottest(flags: tuple[int, ...] | None, *, ranges: bool) -> float:
        quality = Quality(flags=flags, ranges=ranges, adjusted=False)
        return float(read_points(path, {"thetao": "temp"}, quality)["thetao"].max())

    assert hottest(None, ranges=False) == pytest.approx(60.472, abs=1e-3)
    assert hottest((1, 2), ranges=False) < 30
    assert hottest(None, ranges=True) < 30

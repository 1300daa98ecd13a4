"""Tables as others write them: names, marks, separators, signs; read back, the value at its place is the right one."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from driftfield.errors import DataError, FileFormatError, MissingExtraError, UserError
from driftfield.gridded.gridded_files import open_fields
from driftfield.observations.readers import Quality, counts, read_points
from driftfield.observations.reading import read_observations
from driftfield.observations.table import ObservationTable

PLACES = {
    "time": ["time", "TIME", "date", "datetime", "JULD", "OBS_TIMESTAMP", "timestamp"],
    "latitude": ["latitude", "LAT", "lat", "Latitude", "CLATH", "YOB"],
    "longitude": ["longitude", "LON", "lon", "Longitude", "CLONH", "XOB"],
}
DEPTHS = [("depth", 1), ("z", -1), ("Z", -1), ("height", -1), ("altitude", -1), ("DEPTH", 1), ("depth", -1), (None, 0)]


def rows(rng: np.random.Generator, count: int = 12) -> pd.DataFrame:
    """What every table of this file says, under plain names."""
    return pd.DataFrame(
        {
            "time": pd.date_range("2014-05-15T06:00", periods=count, freq="6h"),
            "latitude": np.round(rng.uniform(-60, 60, count), 3),
            "longitude": np.round(rng.uniform(-180, 180, count), 3),
            "depth": np.sort(np.round(rng.uniform(1, 400, count), 1)),
            "temp": np.round(rng.uniform(2, 25, count), 3),
        }
    )


@pytest.mark.parametrize("seed", range(40))
def test_a_table_of_text_says_the_same_however_it_is_written(tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    plain = rows(rng)
    names = {kind: str(rng.choice(spelled)) for kind, spelled in PLACES.items()}
    depth, sign = DEPTHS[seed % len(DEPTHS)]
    table = plain.assign(depth=sign * plain["depth"], time=plain["time"].dt.strftime("%Y-%m-%dT%H:%M:%SZ"))
    table = table.drop(columns="depth") if depth is None else table.rename(columns={"depth": depth})
    table = table.rename(columns=names)[list(rng.permutation(table.rename(columns=names).columns))]
    mark = str(rng.choice([",", ",", ";", "\t"]))
    coding = str(rng.choice(["utf-8", "utf-8-sig"]))
    path = tmp_path / "a.csv"
    table.to_csv(path, index=False, sep=mark, encoding=coding)
    found = read_points(path, {"thetao": "TEMP"}).sortby("time")
    np.testing.assert_allclose(found["thetao"].values, plain["temp"])
    np.testing.assert_allclose(found["lat"].values, plain["latitude"])
    np.testing.assert_allclose(found["lon"].values, plain["longitude"])
    np.testing.assert_allclose(found["depth"].values, 0.0 if depth is None else plain["depth"])
    np.testing.assert_array_equal(found["time"].values, plain["time"].values.astype("datetime64[us]"))
    table = read_observations(path, {"thetao": "temp"})
    assert len(table) == len(plain)


@pytest.mark.parametrize("seed", range(10))
def test_a_parquet_of_nnja_is_a_table(tmp_path: Path, seed: int) -> None:
    pytest.importorskip("pyarrow")
    plain = rows(np.random.default_rng([1, seed]))
    table = plain.drop(columns="depth").rename(
        columns={"time": "OBS_TIMESTAMP", "latitude": "LAT", "longitude": "LON", "temp": "TMDB"}
    )
    table["OBS_TIMESTAMP"] = table["OBS_TIMESTAMP"].dt.tz_localize("UTC")
    table.to_parquet(tmp_path / "a.parquet")
    found = read_observations(tmp_path / "a.parquet", {"t2m": "TMDB"})
    order = np.argsort(found.time)
    np.testing.assert_allclose(found.value[order], plain["temp"])
    np.testing.assert_allclose(found.latitude[order], plain["latitude"])
    np.testing.assert_array_equal(found.time[order], plain["time"].values.astype(found.time.dtype))


@pytest.mark.parametrize(("positive", "sign"), [("up", -1), ("down", 1), ("up", 1), (None, 1), (None, -1)])
@pytest.mark.parametrize("units", ["m", "cm", "feet", "km"])
def test_depths_of_a_row_table_in_netcdf(tmp_path: Path, positive: str | None, sign: int, units: str) -> None:
    factor = {"m": 1.0, "cm": 0.01, "feet": 0.3048, "km": 1000.0}[units]
    plain = rows(np.random.default_rng(3))
    attrs = {"units": units} | ({"positive": positive} if positive else {})
    xr.Dataset(
        {
            "temp": ("row", plain["temp"], {"units": "degC"}),
            "depth": ("row", sign * plain["depth"].values / factor, attrs),
            "time": ("row", np.arange(12) * 6.0, {"units": "hours since 2014-05-15T06:00"}),
            "latitude": ("row", plain["latitude"].values),
            "longitude": ("row", plain["longitude"].values),
        }
    ).to_netcdf(tmp_path / "a.nc")
    found = read_points(tmp_path / "a.nc", {"thetao": "temp"}).sortby("time")
    np.testing.assert_allclose(found["depth"].values, plain["depth"], rtol=1e-6)
    np.testing.assert_allclose(found["thetao"].values, plain["temp"])


@pytest.mark.parametrize("name", ["x.bufr", "gdas.adpupa.nr", "x.nc", "x.csv", "x.grib"])
def test_bufr_is_named_and_says_what_to_do(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"BUFR" + bytes(200))
    with pytest.raises(UserError, match=r"BUFR"):  # broken messages, or no library that decodes them
        read_observations(tmp_path / name, {"thetao": "temp"})
    if not name.endswith("csv"):
        with pytest.raises(FileFormatError, match=r"is BUFR: points, which `driftfield gather`"):
            open_fields(tmp_path / name)


def test_a_table_without_a_place_is_refused(tmp_path: Path) -> None:
    rows(np.random.default_rng(0)).drop(columns="latitude").to_csv(tmp_path / "a.csv", index=False)
    with pytest.raises(DataError, match="'latitude'"):
        read_points(tmp_path / "a.csv", {"thetao": "temp"})


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("suffix", [".csv", ".txt", ".tsv"])
@pytest.mark.parametrize("mark", [";", "\t"])
def test_a_comma_may_be_the_point_of_a_number(tmp_path: Path, seed: int, suffix: str, mark: str) -> None:
    plain = rows(np.random.default_rng([2, seed]))
    plain.to_csv(tmp_path / f"a{suffix}", index=False, sep=mark, decimal=",")
    for found in (
        read_points(tmp_path / f"a{suffix}", {"thetao": "temp"}).sortby("time").to_dataframe(),
        read_observations(tmp_path / f"a{suffix}", {"thetao": "temp"}, potential=()).to_frame().sort_values("time"),
    ):
        np.testing.assert_allclose(found["thetao" if "thetao" in found else "value"], plain["temp"])
        np.testing.assert_allclose(found["depth"], plain["depth"])


@pytest.mark.parametrize("form", ["own", "others"])
def test_rows_with_more_values_than_names_are_refused(tmp_path: Path, form: str) -> None:
    """pandas would take the first column for names of rows and move all others by one."""
    plain = rows(np.random.default_rng(4))
    plain = plain.assign(variable="thetao").rename(columns={"temp": "value"}) if form == "own" else plain
    lines = plain.to_csv(index=False).splitlines()
    (tmp_path / "a.csv").write_text("\n".join([lines[0], *(f"{line},7" for line in lines[1:])]))
    with pytest.raises(FileFormatError, match=r"have \d values and its first line \d names"):
        read_observations(tmp_path / "a.csv", {"thetao": "thetao" if form == "own" else "temp"})
    (tmp_path / "b.csv").write_text("\n".join([lines[0], *(f"{line}," for line in lines[1:])]))
    found = read_observations(tmp_path / "b.csv", {"thetao": "thetao" if form == "own" else "temp"})
    assert len(found) == len(plain)


def test_parquet_without_its_library_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(path: Path) -> pd.DataFrame:
        raise ImportError("Unable to find a usable engine")

    monkeypatch.setattr(pd, "read_parquet", absent)
    (tmp_path / "a.parquet").write_bytes(b"PAR1")
    with pytest.raises(MissingExtraError, match=r"pip install 'driftfield\[parquet\]'"):
        read_points(tmp_path / "a.parquet", {"thetao": "temp"})


@pytest.mark.parametrize("interpolated", [False, True])
@pytest.mark.parametrize("flags", [(1, 2), (1, 2, 8), None])
@pytest.mark.parametrize("seed", range(3))
def test_interpolated_positions_are_left_out_and_counted_unless_asked_for(
    tmp_path: Path, interpolated: bool, flags: tuple[int, ...] | None, seed: int
) -> None:
    """Argo's position flag 8: under ice, or out of reach of satellites."""
    rng = np.random.default_rng(seed)
    plain = rows(rng).assign(position_qc=rng.choice([1, 2, 4, 8], 12), platform_number=np.arange(12), cycle_number=1)
    plain.to_csv(tmp_path / "a.csv", index=False)
    quality = Quality(flags=flags, interpolated=interpolated)
    found = read_points(tmp_path / "a.csv", {"thetao": "temp"}, quality)
    accepted = {1, 2, 4, 8} if flags is None else {*flags, *([8] if interpolated else [])}
    kept = plain[plain["position_qc"].isin(accepted)]
    np.testing.assert_allclose(np.sort(found["thetao"].values), np.sort(kept["temp"]))
    dropped = counts(found)["thetao"].dropped
    number = int((plain["position_qc"] == 8).sum())
    assert dropped.get("position flag 8", 0) == (0 if 8 in accepted else number)


def test_a_table_of_values_is_gathered_by_its_variables(tmp_path: Path) -> None:
    """Flags of the Argo scale count, 0 is believed, and a mean over depth is no point."""
    table = ObservationTable.of(
        longitude=[1.0, 2.0, 3.0, 4.0, 5.0],
        latitude=45.0,
        depth=[10.0, 20.0, np.nan, 10.0, 10.0],
        time="2019-05-02T07:11",
        variable=["thetao", "thetao", "thetao", "so", "thetao"],
        value=[10.0, 11.0, 12.0, 35.0, 13.0],
        error=[0.1, 0.2, 0.3, 0.4, 0.5],
        flag=[0, 4, 1, 0, 0],
        platform="a",
        bottom=[np.nan, np.nan, np.nan, np.nan, 50.0],
        attrs={"thetao": {"units": "degC"}},
    )
    table.to_dataset().to_netcdf(tmp_path / "t.nc")
    found = read_points(tmp_path / "t.nc", {"temperature": "thetao"}).sortby("lon")
    np.testing.assert_allclose(found["temperature"], [10.0, 12.0])
    np.testing.assert_allclose(found["temperature_error"], [0.1, 0.3])
    np.testing.assert_allclose(found["depth"], [10.0, 0.0])
    account = counts(found)["temperature"]
    assert account.read == 4
    assert account.dropped == {"flag 4": 1, "a mean over depth or a box": 1}
    with pytest.raises(DataError, match="Did you mean 'thetao'"):
        read_points(tmp_path / "t.nc", {"t": "thetaoo"})

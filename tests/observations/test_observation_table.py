"""The table keeps what it is given, in the program's units, from every kind of file."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from driftfield.data.sources import write_dataset
from driftfield.errors import DataError, FileFormatError, MissingExtraError
from driftfield.observations.reading import from_dataset, read_observations
from driftfield.observations.table import COLUMNS, ObservationTable

TIMES = np.array(["2019-05-02T07:11", "2019-05-02T07:12", "2019-05-03T00:00"], dtype="datetime64[us]")


def table(**changes: object) -> ObservationTable:
    columns = {
        "longitude": [-9.7, 12.0, 190.0],
        "latitude": [44.0, 45.0, -3.0],
        "depth": [5.0, 105.4, np.nan],
        "time": TIMES,
        "variable": ["thetao", "thetao", "zos"],
        "value": [12.8, 10.1, 0.45],
        "error": [0.1, 0.2, 0.03],
        "flag": [1, 2, 0],
        "platform": ["690", "690", "jason"],
    }
    return ObservationTable.of(**(columns | changes))  # type: ignore[arg-type]


def same(a: ObservationTable, b: ObservationTable) -> None:
    pd.testing.assert_frame_equal(a.to_frame(), b.to_frame())
    assert {n: d.get("units", "") for n, d in a.attrs.items()} == {n: d.get("units", "") for n, d in b.attrs.items()}


def test_declared_units_are_converted() -> None:
    found = table(
        value=[285.95, 283.25, 45.0],
        error=[0.1, 0.2, 3.0],
        attrs={"thetao": {"units": "K"}, "zos": {"units": "cm"}},
    )
    np.testing.assert_allclose(found.value, [12.8, 10.1, 0.45])
    np.testing.assert_allclose(found.error, [0.1, 0.2, 0.03])  # a difference of 1 K is one of 1 degC
    assert found.attrs["thetao"]["units"] == "degC"
    assert found.attrs["zos"]["units"] == "m"
    with pytest.raises(DataError, match="do not convert"):
        table(attrs={"thetao": {"units": "m"}})


def test_there_and_back() -> None:
    one = table(attrs={"thetao": {"units": "degC"}, "zos": {"units": "m"}})
    units = {"thetao": "degC", "zos": "m"}
    same(ObservationTable.from_frame(one.to_frame(), units=units), one)
    same(from_dataset(one.to_dataset()), one)
    indexed = one.to_frame().rename(columns={"longitude": "LON", "error": "sigma", "flag": "QC"}).set_index("time")
    same(ObservationTable.from_frame(indexed, units=units), one)
    renamed = one.to_frame().rename(columns={"value": "what it is"})
    same(ObservationTable.from_frame(renamed, units=units, columns={"value": "what it is"}), one)
    same(ObservationTable.join([one.select(np.array([0, 1])), one.select(np.arange(3) == 2)]), one)
    assert list(one.to_frame()) == list(COLUMNS)


def test_dates_of_any_kind_become_utc() -> None:
    east = pd.Series(pd.to_datetime(TIMES)).dt.tz_localize("UTC").dt.tz_convert("Asia/Tokyo")
    for given in (TIMES.astype("datetime64[ns]"), [str(t) + "Z" for t in TIMES], [str(t) for t in TIMES], east):
        assert (table(time=given).time == TIMES).all()
    assert np.isnat(table(time=np.datetime64("NaT")).time).all()


def test_our_own_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = table(attrs={"thetao": {"units": "degC"}, "zos": {"units": "m"}})
    write_dataset(one.to_dataset(), tmp_path / "one.nc")
    same(read_observations(tmp_path / "one.nc"), one)
    frame = one.to_frame()
    frame["units"] = ["K", "K", "m"]
    frame.loc[:1, "value"] += 273.15
    frame.to_csv(tmp_path / "two.csv", index=False)
    found = read_observations([tmp_path / "two.csv"])
    np.testing.assert_allclose(found.value, one.value)
    renamed = read_observations(tmp_path / "one.nc", {"temp": "thetao"})
    assert set(renamed.variable) == {"temp"}
    with pytest.raises(DataError, match="Did you mean 'thetao'"):
        read_observations(tmp_path / "one.nc", {"temp": "thetaa"})
    # Parquet: what pandas reads, or a word about what is missing
    (tmp_path / "three.parquet").write_bytes(b"PAR1")
    monkeypatch.setattr(pd, "read_parquet", lambda path: frame)
    np.testing.assert_allclose(read_observations(tmp_path / "three.parquet").value, one.value)

    def missing(path: Path) -> pd.DataFrame:
        raise ImportError("no engine")

    monkeypatch.setattr(pd, "read_parquet", missing)
    with pytest.raises(MissingExtraError, match="parquet"):
        read_observations(tmp_path / "three.parquet")


def trajectory(kind: str) -> xr.Dataset:
    """Two drifters of 2 and 3 fixes, in the four layouts of CF."""
    lat, lon = [1.0, 2.0, 3.0, 4.0, 5.0], [10.0, 11.0, 12.0, 13.0, 14.0]
    day = pd.date_range("2020-01-01", periods=5)
    sst = [290.15, 291.15, 292.15, 293.15, 294.15]
    attrs = {"units": "K", "standard_name": "sea_surface_temperature", "ancillary_variables": "quality sst_err"}
    names = xr.DataArray(["a", "b"], dims="trajectory", attrs={"cf_role": "trajectory_id"})
    if kind == "incomplete":
        pad = np.array([[0, 1, -1], [2, 3, 4]])
        grid = lambda v: np.where(pad < 0, np.nan, np.asarray(v, dtype=float)[pad])  # noqa: E731
        time = np.where(pad < 0, np.datetime64("NaT", "ns"), day.values.astype("datetime64[ns]")[pad])
        dims = ("trajectory", "obs")
        parts = {
            "lat": grid(lat),
            "lon": grid(lon),
            "sst": grid(sst),
            "sst_err": grid([0.1] * 5),
            "quality": grid([1, 2, 1, 4, 1]),
        }
        dataset = xr.Dataset({name: (dims, part) for name, part in parts.items()} | {"time": (dims, time)})
    else:
        parts = {"lat": lat, "lon": lon, "sst": sst, "sst_err": [0.1] * 5, "quality": [1, 2, 1, 4, 1]}
        dataset = xr.Dataset({n: ("obs", p) for n, p in parts.items()} | {"time": ("obs", day)})
        if kind == "contiguous":
            dataset["rows"] = ("trajectory", [2, 3], {"sample_dimension": "obs"})
        elif kind == "indexed":
            dataset["of"] = ("obs", [0, 0, 1, 1, 1], {"instance_dimension": "trajectory"})
        else:
            dataset["id"] = ("obs", ["a", "a", "b", "b", "b"], {"cf_role": "trajectory_id"})
    if kind != "points":
        dataset["id"] = names
    dataset["sst"].attrs = attrs
    dataset["sst_err"].attrs = {"standard_name": "sea_surface_temperature standard_error", "units": "K"}
    dataset["quality"].attrs = {"standard_name": "quality_flag"}
    return dataset.assign_attrs(featureType="point" if kind == "points" else "trajectory")


@pytest.mark.parametrize("kind", ["points", "incomplete", "contiguous", "indexed"])
def test_cf_geometries(kind: str, tmp_path: Path) -> None:
    trajectory(kind).to_netcdf(tmp_path / "drifters.nc")
    for found in (
        from_dataset(trajectory(kind), {"tos": "sst"}),
        read_observations(tmp_path / "drifters.nc", {"tos": "sst"}),
    ):
        there = found.select(np.isfinite(found.value))
        np.testing.assert_allclose(there.value, [17, 18, 19, 20, 21])
        np.testing.assert_allclose(there.latitude, [1, 2, 3, 4, 5])
        np.testing.assert_allclose(there.error, 0.1)
        assert there.flag.tolist() == [1, 2, 1, 4, 1]
        assert there.platform.tolist() == ["a", "a", "b", "b", "b"]
        assert (there.time == pd.date_range("2020-01-01", periods=5).to_numpy("datetime64[us]")).all()
        assert set(there.variable) == {"tos"}


def test_profiles_take_the_coordinates_of_their_instance() -> None:
    profiles = xr.Dataset(
        {
            "temp": (("profile", "z"), [[20.0, 15.0], [21.0, np.nan]], {"units": "degree_Celsius"}),
            "alt": ("z", [-10.0, -100.0], {"standard_name": "altitude", "units": "m"}),
            "lat": ("profile", [1.0, 2.0]),
            "lon": ("profile", [3.0, 4.0]),
            "time": ("profile", TIMES[:2]),
        }
    )
    found = from_dataset(profiles, {"thetao": "temp"})
    assert found.depth.tolist() == [10, 100, 10, 100]
    assert found.latitude.tolist() == [1, 1, 2, 2]
    assert found.platform.tolist() == ["0", "0", "1", "1"]
    by_pressure = profiles.drop_vars("alt").assign(pres=("z", [0.0, 10000.0], {"units": "dbar"}))
    found = from_dataset(by_pressure.assign(lat=("profile", [30.0, 30.0])), {"thetao": "temp"})
    # EOS-80 has 9712.653 m, TEOS-10 a metre more
    np.testing.assert_allclose(found.depth[:2], [0, 9713.735], atol=1e-2)
    with pytest.raises(DataError, match="no longitude"):
        from_dataset(profiles.drop_vars("lon"), {"thetao": "temp"})
    with pytest.raises(DataError, match="Say which"):
        from_dataset(profiles)
    with pytest.raises(DataError, match="No variable 'tmp'"):
        from_dataset(profiles, {"thetao": "tmp"})


def test_real_floats_and_tracks(data_folder: Path) -> None:
    found = read_observations(data_folder / "argo" / "6900388_prof.nc", {"thetao": "TEMP", "so": "PSAL"})
    assert set(found.variable) == {"thetao", "so"}
    assert set(found.platform) == {"6900388"}
    assert (found.depth >= 0).all()
    track = read_observations(sorted((data_folder / "ssh").glob("altika*.nc")), {"zos": "sla_filtered"})
    assert len(set(track.platform)) == 2
    assert np.abs(track.value).max() < 3


def test_the_passes_of_a_satellite_are_apart(tmp_path: Path) -> None:
    seconds = np.r_[np.arange(5), 3600 + np.arange(5)]
    track = xr.Dataset(
        {
            "longitude": ("time", np.linspace(0, 1, 10)),
            "latitude": ("time", np.linspace(40, 41, 10)),
            "sla": ("time", np.full(10, 12.0), {"units": "cm", "standard_name": "sea_surface_height_above_sea_level"}),
        },
        {"time": np.datetime64("2020-01-01", "ns") + seconds.astype("timedelta64[s]")},
        {"platform": "Altika"},
    )
    track.to_netcdf(tmp_path / "track.nc")
    found = read_observations(tmp_path / "track.nc", {"zos": "sla"})
    np.testing.assert_allclose(found.value, 0.12)
    assert found.platform.tolist() == ["Altika pass 0"] * 5 + ["Altika pass 1"] * 5


def test_what_a_table_cannot_be(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="lacks the column"):
        ObservationTable.of(longitude=[1.0], latitude=[1.0], value=[1.0], variable="a")
    with pytest.raises(DataError, match="Unknown column"):
        table(colour=[1])
    with pytest.raises(DataError, match="differ in length"):
        table(value=[1.0, 2.0])
    with pytest.raises(DataError, match="'latitude' cannot be read"):
        table(latitude=["north", "south", "east"])
    with pytest.raises(DataError, match="Expected dates"):
        table(time=["yesterday", "2020-01-01", "2020-01-01"])
    with pytest.raises(DataError, match="Declare the units"):
        ObservationTable.join([table(attrs={"x": {"units": "a"}}), table(attrs={"x": {"units": "b"}})])
    with pytest.raises(DataError, match="Read them apart"):
        ObservationTable.from_frame(table().to_frame().assign(units=["K", "degC", "m"]))
    with pytest.raises(DataError, match="one table or more"):
        ObservationTable.join([])
    damaged = trajectory("contiguous")
    damaged["rows"].values[0] = 3
    with pytest.raises(DataError, match="damaged"):
        from_dataset(damaged, {"tos": "sst"})
    (tmp_path / "broken.nc").write_bytes(b"CDF nothing")
    with pytest.raises(FileFormatError):
        read_observations(tmp_path / "broken.nc", {"thetao": "TEMP"})
    (tmp_path / "broken.parquet").write_bytes(b"nothing")
    with pytest.raises((FileFormatError, MissingExtraError)):
        read_observations(tmp_path / "broken.parquet")

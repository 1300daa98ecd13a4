"""`driftfield export --like`: the layout of the official templates of CORDEX ML-Bench, our members and dates."""

import os
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from commands import Doing, hearing_apart

from driftfield.gridded.gridded_files import write_dataset


@pytest.fixture
def command(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Doing:
    monkeypatch.chdir(tmp_path)
    return hearing_apart(capfd)


def official(name: str) -> Path:
    root = os.environ.get("DRIFTFIELD_DATA")
    if not root:
        pytest.skip("DRIFTFIELD_DATA is not set")
    return Path(root) / "templates" / f"cordex_mlbench_{name}.nc"


def template(variable: str, path: Path, units: str) -> Path:
    """One date of zeros on a projected grid of 3 x 4 cells, as the official ones are made."""
    x, y = 12.5 * np.arange(4), 12.5 * np.arange(3)
    lat, lon = np.meshgrid(45 + 0.11 * np.arange(3), 6 + 0.15 * np.arange(4), indexing="ij")
    data = xr.Dataset(
        {
            variable: (
                ("time", "y", "x"),
                np.zeros((1, 3, 4), np.float32),
                {"units": units, "cell_methods": "time: mean"},
            )
        },
        {
            "time": (
                "time",
                np.array([4049.5]),
                {"units": "days since 1949-12-01", "calendar": "gregorian", "axis": "T"},
            ),
            "x": ("x", x, {"units": "km", "axis": "X"}),
            "y": ("y", y, {"units": "km", "axis": "Y"}),
            "lat": (("y", "x"), lat, {"units": "degrees_north"}),
            "lon": (("y", "x"), lon, {"units": "degrees_east"}),
        },
    )
    data.to_netcdf(path)
    return path


def drawn(like: Path, members: int | None = 10, flipped: bool = False, **units: str) -> xr.Dataset:
    """Fields on the cells of a template, whose values say member, date and cell."""
    with xr.open_dataset(like, decode_times=False) as found:
        lat, lon = found["lat"].load(), found["lon"].load()
    dates = np.array(["2001-01-01T12", "2001-01-02T12"], dtype="datetime64[ns]")
    rows, columns = lat.shape if lat.ndim == 2 else (lat.size, lon.size)
    value = np.arange(2)[:, None, None] + 0.01 * np.arange(rows)[:, None] + 0.0001 * np.arange(columns)
    data = {}
    for name, unit in units.items():
        data[name] = (("time", "row", "column"), value, {"units": unit})
        if members is not None:
            each = value + 10.0 * np.arange(members)[:, None, None, None]
            data[f"{name}_member"] = (("member", "time", "row", "column"), each, {"units": unit})
    if lat.ndim == 2:
        places = {"lat": (("row", "column"), lat.values), "lon": (("row", "column"), lon.values)}
        places = {
            n: (*p, {"units": u}) for (n, p), u in zip(places.items(), ("degrees_north", "degrees_east"), strict=True)
        }
        dataset = xr.Dataset(data, {"time": dates, **places})
    else:
        dataset = xr.Dataset(data, {"time": dates}).rename(row="lat", column="lon")
        dataset = dataset.assign_coords(lat=("lat", lat.values.astype(float)), lon=("lon", lon.values.astype(float)))
    return dataset.isel(row=slice(None, None, -1)) if flipped else dataset


def raw(path: Path) -> xr.Dataset:
    with xr.open_dataset(path, decode_cf=False) as found:
        return found.load()


def same_layout(path: Path, like: Path, variable: str, members: int) -> None:
    """Dimensions, coordinates, attributes and types, all of them, but the dates and the members."""
    ours, theirs = raw(path), raw(like)
    assert ours[variable].dims == ("member", *theirs[variable].dims)
    assert ours.sizes["member"] == members
    assert {n: s for n, s in ours.sizes.items() if n not in ("member", "time")} == {
        n: s for n, s in theirs.sizes.items() if n != "time"
    }
    for name in theirs.variables:
        assert ours[name].dtype == theirs[name].dtype, name
        left = {k: str(v) for k, v in ours[name].attrs.items()}
        assert left == {k: str(v) for k, v in theirs[name].attrs.items()}, name
        if "time" not in theirs[name].dims:
            assert ours[name].dims == theirs[name].dims
            np.testing.assert_array_equal(ours[name].values, theirs[name].values)
    assert set(ours.variables) == {*theirs.variables, variable} | ({"member"} & set(ours.variables))


@pytest.mark.parametrize(("name", "variable", "units"), [("pr_ALPS", "pr", "mm day-1"), ("tasmax_NZ", "tasmax", "K")])
def test_the_official_templates(name: str, variable: str, units: str, command: Doing, tmp_path: Path) -> None:
    like = official(name)
    write_dataset(drawn(like, **{variable: units}), tmp_path / "fine.nc")
    out = f"Predictions_{variable}_GCM_2001.nc"
    done = command("export", "fine.nc", "--like", str(like), "--attribute", "project_id=CORDEX", "--out", out)
    assert done.code == 0, done.err
    same_layout(tmp_path / out, like, variable, 10)
    with xr.open_dataset(tmp_path / out) as written:
        assert written.attrs["project_id"] == "CORDEX"
        assert written[variable].dtype == np.float32
        assert str(written["time"].values[1])[:10] == "2001-01-02"
        rows, columns = written.sizes[written[variable].dims[-2]], written.sizes[written[variable].dims[-1]]
        for member, date, row, column in ((0, 0, 0, 0), (9, 1, rows - 1, 3), (4, 0, 7, columns - 1)):
            expected = date + 0.01 * row + 0.0001 * column + 10.0 * member
            assert float(written[variable][member, date, row, column]) == pytest.approx(expected, abs=1e-4)


def test_both_variables_in_one_file_whatever_way_the_rows_run(
    command: Doing, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    likes = [template("pr", tmp_path / "pr.nc", "kg m-2 s-1"), template("tasmax", tmp_path / "tasmax.nc", "K")]
    fields = drawn(likes[0], flipped=True, members=3, pr="mm day-1", tasmax="degC")
    write_dataset(fields, tmp_path / "fine.nc")
    done = command("export", "fine.nc", "--like", "pr.nc", "--like", "tasmax.nc", "--out", "both.nc")
    assert done.code == 0, done.err
    assert "3 members: CORDEX ML-Bench asks 10" in caplog.text
    with xr.open_dataset(tmp_path / "both.nc", decode_times=False) as written:
        assert set(written.data_vars) == {"pr", "tasmax"}
        value = 1 + 0.01 * 2 + 0.0001 * 3 + 10.0 * 2
        assert float(written["tasmax"][2, 1, 2, 3]) == pytest.approx(value + 273.15, rel=1e-6)
        assert float(written["pr"][2, 1, 2, 3]) == pytest.approx(value / 86400.0, rel=1e-5)
        assert written["time"].values.tolist() == [18659.5, 18660.5]


def test_what_has_no_such_cells_or_variables_is_refused_in_one_line(command: Doing, tmp_path: Path) -> None:
    like = template("pr", tmp_path / "pr.nc", "mm day-1")
    other = drawn(like, pr="mm day-1")
    other = other.assign_coords(lat=other["lat"] + 0.05)
    write_dataset(other, tmp_path / "off.nc")
    write_dataset(drawn(like, tas="K"), tmp_path / "tas.nc")
    for words, what in (
        (("off.nc", "--like", "pr.nc"), "12 of 12 cells"),
        (("tas.nc", "--like", "pr.nc"), "lack 'pr'"),
        (("tas.nc", "--like", "pr.nc", "--time", "2001"), "--time with --like"),
        (("tas.nc", "--like", "pr.nc", "--show", "members"), "--show with --like"),
        (("tas.nc", "--attribute", "a=b"), "without --like"),
        (("tas.nc", "--like", "tas.nc", "--attribute", "a"), "KEY=VALUE"),
    ):
        done = command("export", *words, "--out", "out.nc")
        assert done.code == 2, words
        assert what in done.err, done.err
        assert not (tmp_path / "out.nc").exists()

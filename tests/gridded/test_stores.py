"""What somebody else's bytes may not do: run code, fill the memory, hang, or command the terminal."""

import json
import logging
import os
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
import yaml
from small_files import DIMS, coords, smooth, write

from driftfield.cli import main
from driftfield.cli.assimilate_work import _is_gridded
from driftfield.data.sources import expand_paths, open_fields, write_dataset
from driftfield.errors import DataError, FileFormatError, UserError, visible
from driftfield.gridded.gridded_files import open_raw
from driftfield.observations.readers import read_points
from driftfield.observations.reading import read_observations
from driftfield.recipe import read_recipe
from driftfield.testing import tiny_recipe

BIDI = "\u202e\u2066\u200f"
ANSI = "\x1b[2J\x1b]0;owned\x07"


@pytest.mark.parametrize("place", ["filters", "compressor"])
@pytest.mark.parametrize("array", ["x", "time", "lat"])
@pytest.mark.parametrize("codec", ["pickle", "Pickle"])
def test_a_codec_that_runs_code_is_refused_before_it_runs(tmp_path: Path, place: str, array: str, codec: str) -> None:
    """The chunk would write a file as soon as it is decoded."""
    path = write(xr.Dataset({"x": (DIMS, smooth())}, coords()), tmp_path / "a", "zarr2")
    metadata = json.loads((path / array / ".zarray").read_text())
    metadata[place] = [{"id": codec, "protocol": 5}] if place == "filters" else {"id": codec, "protocol": 5}
    (path / array / ".zarray").write_text(json.dumps(metadata))
    trap = tmp_path / "ran"
    payload = f"cposix\nsystem\n(S'touch {trap}'\ntR.".encode()
    for chunk in (path / array).glob("[0-9]*"):
        chunk.write_bytes(payload)
    for reader in (
        open_fields,
        lambda p: read_points(p, {"x": "x"}),
        lambda p: read_observations(p, {"x": "x"}),
        _is_gridded,
    ):
        for name in ("a.zarr", "plain", "a.nc"):
            path = path.rename(tmp_path / name)
            if reader is _is_gridded:
                reader(path)  # only looks
                continue
            with pytest.raises(FileFormatError, match="codec 'pickle', which runs code"):
                reader(path)
    assert not trap.exists()


@pytest.mark.parametrize("name", ["zarr.json", "x/zarr.json"])
def test_so_is_one_of_version_3(tmp_path: Path, name: str) -> None:
    path = write(xr.Dataset({"x": (DIMS, smooth())}, coords()), tmp_path / "a", "zarr3")
    metadata = json.loads((path / name).read_text())
    metadata.setdefault("codecs", []).append({"name": "numcodecs.pickle", "configuration": {}})
    (path / name).write_text(json.dumps(metadata))
    with pytest.raises(FileFormatError, match="runs code"):
        open_fields(path)


def test_an_attribute_that_talks_of_pickles_is_no_codec(tmp_path: Path) -> None:
    attrs = {"id": "pickle", "name": "pickle", "comment": "pickle"}
    for form in ("zarr2", "zarr3"):
        path = write(xr.Dataset({"x": (DIMS, smooth(), attrs)}, coords()), tmp_path / form, form)
        assert open_fields(path)["x"].sizes["time"] == 6


@pytest.mark.parametrize("path", ["/dev/zero", "/dev/null", "pipe"])
@pytest.mark.parametrize("command", ["archive", "recipe", "points"])
def test_devices_and_pipes_are_no_files(tmp_path: Path, path: str, command: str) -> None:
    """Reading them would never end."""
    if path == "pipe":
        path = str(tmp_path / "pipe")
        os.mkfifo(path)
    if command == "archive":
        with pytest.raises(DataError, match="a device or a pipe"):
            open_fields(path)
    elif command == "recipe":
        with pytest.raises(FileFormatError, match="it is no file"):
            read_recipe(Path(path))
    else:
        with pytest.raises(DataError, match="a device or a pipe"):
            expand_paths([path])


@pytest.mark.parametrize("depth", [8, 30])
def test_a_recipe_that_unfolds_without_end_is_refused(tmp_path: Path, depth: int) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, depth)]
    (tmp_path / "bomb.yaml").write_text("\n".join([*lines, f"data: *a{depth - 1}"]))
    with pytest.raises(FileFormatError, match="over and over"):
        read_recipe(tmp_path / "bomb.yaml")


def test_a_recipe_that_holds_itself_or_objects_is_refused(tmp_path: Path) -> None:
    (tmp_path / "self.yaml").write_text("data: &d\n  archive: *d\n")
    with pytest.raises(UserError):
        read_recipe(tmp_path / "self.yaml")
    (tmp_path / "object.yaml").write_text("data: !!python/object/apply:os.system ['true']\n")
    with pytest.raises(FileFormatError, match="not valid YAML"):
        read_recipe(tmp_path / "object.yaml")
    (tmp_path / "large.yaml").write_text("description: " + "x" * 2**21)
    with pytest.raises(FileFormatError, match="larger than"):
        read_recipe(tmp_path / "large.yaml")
    (tmp_path / "good.yaml").write_text(yaml.safe_dump(tiny_recipe(method="Climatology")))
    assert read_recipe(tmp_path / "good.yaml").reconstructor["class"] == "Climatology"


@pytest.mark.parametrize("text", [BIDI, ANSI, "\x00", "\u2028", "\x9b31m"])
def test_no_text_commands_a_terminal(text: str) -> None:
    shown = visible(f"before {text} after")
    assert shown.isprintable()
    assert shown.startswith("before ")
    assert shown.endswith(" after")
    assert visible("salinité ‰ 海") == "salinité ‰ 海"


@pytest.mark.parametrize("text", [BIDI, ANSI, "x" * 50_000])
@pytest.mark.parametrize("place", ["name", "units", "path", "flag_meanings"])
def test_what_is_printed_can_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], text: str, place: str
) -> None:
    if place in ("name", "path") and (len(text) > 1000 or text == ANSI):
        text = "\u202e" * 40  # neither files nor netCDF take the others as a name
    name = f"sst{text}" if place == "name" else "sst"
    attrs = {"units": text if place == "units" else "degC", "standard_name": "sea_surface_temperature"}
    values = np.where(np.arange(6) == 0, np.nan, smooth(low=5.0, high=9.0))
    dataset = xr.Dataset({name: (DIMS, values, attrs)}, coords())
    if place == "flag_meanings":
        dataset["sst_qc"] = (
            DIMS,
            np.ones(values.shape, "i1"),
            {"flag_values": np.array([1], "i1"), "flag_meanings": f"bad{text}"},
        )
    file = write(dataset, tmp_path / f"a{text if place == 'path' else ''}")
    lacking = f"nothing{text[:10].strip(chr(0))}=random:0.5"
    for observed in (f"{name}=nonsense:0.5", lacking):
        command = ["mask", str(file), str(tmp_path / "out.nc"), "--observe", observed]
        monkeypatch.setattr(sys, "argv", ["driftfield", *command])
        with pytest.raises(SystemExit) as end:
            main()
        said = capfd.readouterr().err
        assert end.value.code == 2, said
        assert all(line.isprintable() and len(line) < 2100 for line in said.splitlines()), said
    logging.getLogger().handlers.clear()


@pytest.mark.parametrize("deep", [False, True])
def test_the_one_group_of_a_file_is_read(tmp_path: Path, caplog: pytest.LogCaptureFixture, deep: bool) -> None:
    dataset = xr.Dataset({"x": (DIMS, smooth(), {"units": "1"})}, coords())
    group = "science/fields" if deep else "science"
    dataset.to_netcdf(tmp_path / "a.nc", group=group)
    xr.Dataset(attrs={"title": "nothing"}).to_netcdf(tmp_path / "a.nc", group="metadata", mode="a")
    with caplog.at_level(logging.INFO):
        found = open_fields(tmp_path / "a.nc")
    np.testing.assert_array_equal(found["x"].values, dataset["x"].values)
    assert f"its variables are in the group /{group}: that is read" in caplog.text


@pytest.mark.parametrize("outside", ["all", "time"])
def test_coordinates_outside_of_the_group_are_its_own(tmp_path: Path, outside: str) -> None:
    dataset = xr.Dataset({"x": (DIMS, smooth(), {"units": "1"})}, coords())
    names = ["time", "lat", "lon"] if outside == "all" else ["time"]
    dataset[names].coords.to_dataset().to_netcdf(tmp_path / "a.nc")
    dataset.drop_vars(names).to_netcdf(tmp_path / "a.nc", group="science", mode="a")
    found = open_fields(tmp_path / "a.nc")
    np.testing.assert_array_equal(found["x"].values, dataset["x"].values)
    for axis in ("time", "lat", "lon"):
        np.testing.assert_array_equal(found[axis].values, dataset[axis].values)


def test_several_groups_are_named(tmp_path: Path) -> None:
    dataset = xr.Dataset({"x": (DIMS, smooth(), {"units": "1"})}, coords())
    for mode, group in (("w", "day"), ("a", "night")):
        dataset.to_netcdf(tmp_path / "a.nc", group=group, mode=mode)
    with pytest.raises(FileFormatError, match="are in the groups /day, /night: expected"):
        open_fields(tmp_path / "a.nc")


@pytest.mark.parametrize("suffix", [".nc", ".zarr"])
def test_names_of_stations_are_written_in_silence(tmp_path: Path, suffix: str) -> None:
    """zarr would warn that its format of text may change."""
    station = xr.Dataset(
        {"x": (("time", "station"), smooth()[:, 0], {"units": "1"})},
        {"time": coords()["time"], "station": ["a", "bb", "c", "d", "e", "f"]},
    )
    station["lat"] = ("station", np.linspace(47, 48, 6), {"units": "degrees_north"})
    station["lon"] = ("station", np.linspace(-52, -50, 6), {"units": "degrees_east"})
    station.to_netcdf(tmp_path / "section.nc")
    section = open_fields(tmp_path / "section.nc")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        write_dataset(section, tmp_path / f"out{suffix}")
        again = open_fields(tmp_path / f"out{suffix}")
    assert list(again["station"].values) == list(section["station"].values)


def test_text_is_read_once_however_often_a_file_is_opened(tmp_path: Path) -> None:
    """Two open handles that both read text crash the library at the next opening; run in a process of its own."""
    dates = np.array(["2001-01-01", "2001-01-02"], dtype=object)
    fields = xr.Dataset(
        {
            "t": (("time", "lat", "lon"), np.ones((2, 3, 4))),
            "station": ("lat", np.array(["a", "b", "c"], dtype=object)),
        },
        {"time": dates, "lat": [0.0, 1.0, 2.0], "lon": [0.0, 1.0, 2.0, 3.0]},
    )
    fields.to_netcdf(tmp_path / "x.nc")
    opened_often = (
        "from pathlib import Path; from driftfield.gridded.gridded_files import open_raw\n"
        f"held = open_raw(Path({str(tmp_path / 'x.nc')!r})); [v.values for v in held.variables.values()]\n"
        "for _ in range(4):\n"
        f"    again = open_raw(Path({str(tmp_path / 'x.nc')!r})); [v.values for v in again.variables.values()]; del again\n"
        "print(held.station.values, held.time.values)"
    )
    done = subprocess.run([sys.executable, "-c", opened_often], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "['a' 'b' 'c'] ['2001-01-01' '2001-01-02']" in done.stdout


def test_a_file_that_changed_has_its_new_text(tmp_path: Path) -> None:
    path = tmp_path / "x.nc"
    for text in ("old", "new"):
        xr.Dataset(
            {"t": (("lat", "lon"), np.ones((1, 1))), "name": ((), text)}, {"lat": [0.0], "lon": [0.0]}
        ).to_netcdf(path)
        os.utime(path, ns=(1, len(path.read_bytes()) + ord(text[0])))
        assert open_raw(path)["name"].item() == text

"""From one's own two files to a downscaled file and a score table, and bad input in one line each."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
import yaml
from coarse_world import coarse_world, write_statics
from commands import Doing, hearing_apart

import driftfield as df
from driftfield.conventions import DIMS
from driftfield.data.coarsening import coarsened, regridding_by_factor

GUIDE = Path(__file__).parents[2] / "docs" / "user-guide.md"


@pytest.fixture
def command(capfd: pytest.CaptureFixture[str]) -> Doing:
    """The command line in this process."""
    return hearing_apart(capfd)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two files of one's own, and the recipe of the user guide."""
    folder = tmp_path_factory.mktemp("own")
    world = coarse_world(120)
    world.to_netcdf(folder / "fine.nc")
    coarsened(world, regridding_by_factor(world, 4)).to_netcdf(folder / "coarse.nc")
    write_statics(folder / "statics.nc")
    (recipe,) = re.findall(r"```yaml\n(# downscale\.yaml.*?)```", GUIDE.read_text("utf-8"), re.S)
    (folder / "downscale.yaml").write_text(recipe)
    return folder


@pytest.fixture
def own(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(place, tmp_path / "own")
    monkeypatch.chdir(tmp_path / "own")
    return tmp_path / "own"


def test_the_three_commands_of_the_user_guide(own: Path, command: Doing) -> None:
    section = GUIDE.read_text("utf-8").split("## Downscaling")[1].split("\n## ")[0]
    (block,) = re.findall(r"```sh\n(driftfield train downscale\.yaml.*?)```", section, re.S)
    lines = [line.split("#")[0].split() for line in block.splitlines() if line.startswith("driftfield")]
    assert len(lines) == 3
    for words in lines:
        done = command(*words[1:])
        assert done.code == 0, done.err
    assert "RMSE" in done.out
    assert "CRPS" in done.out
    assert (own / "report" / "report.html").exists()
    with xr.open_dataset(own / "downscaled.nc") as made, xr.open_dataset(own / "fine.nc") as truth:
        assert made.sizes["member"] == 10
        error = np.sqrt(((made["tas"] - truth["tas"].sel(time=made["time"])) ** 2).mean())
        assert float(error) < 0.6
        assert made.attrs["driftfield_format"] == 1
        assert set(made["tas"].dims) <= set(DIMS)


def test_a_killed_one_goes_on_and_python_gives_the_same(
    own: Path, command: Doing, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = ("data.targets=[tas]", "data.bounds={}", "downscaler.how={tas: additive}")
    done = command("train", "downscale.yaml", "--out", "run", *(word for text in settings for word in ("--set", text)))
    assert done.code == 0, done.err
    from driftfield.peers.downscaling.conserving import Conserving

    real, calls = Conserving.estimate, [0]

    def dies(self: Any, *arguments: Any) -> Any:
        calls[0] += 1
        if calls[0] == 5:
            raise KeyboardInterrupt
        return real(self, *arguments)

    words = ["downscale", "run", "coarse.nc", "--members", 3, "--out", "part.nc", "--time", "2001-04-01:2001-04-08"]
    monkeypatch.setattr(Conserving, "estimate", dies)
    assert command(*words).code != 0
    monkeypatch.setattr(Conserving, "estimate", real)
    done = command(*words, "--resume")
    assert done.code == 0, done.err
    with xr.open_dataset("part.nc") as part, xr.open_dataset("coarse.nc") as coarse:
        assert part.sizes["time"] == 8
        fields = df.downscale("run", coarse.sel(time=slice("2001-04-01", "2001-04-08")), members=3)
        np.testing.assert_array_equal(fields["tas_member"].transpose(*part["tas_member"].dims), part["tas_member"])
        np.testing.assert_allclose(
            df.coarsen(fields[["tas"]], factor=4)["tas"], coarse["tas"].sel(time=part["time"]), atol=2e-3
        )


BAD: dict[str, tuple[Callable[[xr.Dataset], xr.Dataset], list[str]]] = {
    "other variables": (lambda c: c.rename(tas="t"), ["No variable 'tas'"]),
    "other units": (lambda c: c.assign(tas=c["tas"].assign_attrs(units="mm")), ["'tas'", "'mm'", "'K'"]),
    "degrees without a unit": (
        lambda c: c.assign(tas=(c["tas"] - 273.15).assign_attrs(units="")),
        ["declares no units", "set the attribute units"],
    ),
    "half a cell to the east": (
        lambda c: c.assign_coords(lon=c["lon"] + 0.5),
        ["0.00 rows and 0.50 columns", "Regrid it"],
    ),
    "half a cell to the south": (lambda c: c.assign_coords(lat=c["lat"] - 0.5), ["0.50 rows and 0.00 columns"]),
    "a part of the grid": (
        lambda c: c.isel(lon=slice(0, 3)),
        ["9 of the 12 coarse cells", "reaches from", "whole region"],
    ),
    "another place": (lambda c: c.assign_coords(lat=c["lat"] + 10), ["0 of the 12 coarse cells"]),
    "a date without values": (
        lambda c: c.where(c["time"] != c["time"][3]).assign_attrs(c.attrs),
        ["missing everywhere at 1 of 120"],
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_coarse_files_are_refused_in_one_line(case: str, own: Path, command: Doing) -> None:
    assert command("train", "downscale.yaml", "--out", "run", "--set", "downscaler={class: Bilinear}").code == 0
    change, said = BAD[case]
    with xr.open_dataset("coarse.nc") as coarse:
        change(coarse.load()).to_netcdf("bad.nc")
    done = command("downscale", "run", "bad.nc", "--out", "out.nc")
    assert done.code == 2
    (line,) = [text for text in done.err.splitlines() if text.startswith("driftfield: ")]
    assert "Traceback" not in done.err
    for words in said:
        assert words in line
    assert not Path("out.nc").exists()
    assert not Path("out.nc.partial").exists()


NO_PAIR: dict[str, tuple[Callable[[xr.Dataset], xr.Dataset], list[str]]] = {
    "other variables": (lambda c: c.rename(tas="t"), ["No variable 'tas'", "bad.nc"]),
    "other units": (lambda c: c.assign(tas=c["tas"].assign_attrs(units="mm")), ["'tas'", "mm", "K"]),
    "another calendar": (
        lambda c: c.convert_calendar("noleap"),
        ["calendar 'gregorian'", "'noleap'", "Convert one", "paired: false"],
    ),
    "another period": (
        lambda c: c.assign_coords(time=c["time"] + np.timedelta64(4000, "D")),
        ["share no time", "2001-01-01", "Name files of the same period"],
    ),
    "a part of the grid": (
        lambda c: c.isel(lon=slice(0, 3)),
        ["covers 144 of 192 fine cells", "reaches from", "the fine grid from", "data.region"],
    ),
    "a shift of two cells": (
        lambda c: c.assign_coords(lon=c["lon"] + 2.0),
        ["covers 96 of 192 fine cells", "a smaller data.region"],
    ),
}


@pytest.mark.parametrize("case", NO_PAIR)
def test_two_files_that_are_no_pair_are_refused_in_one_line(case: str, own: Path, command: Doing) -> None:
    change, said = NO_PAIR[case]
    with xr.open_dataset("coarse.nc") as coarse:
        change(coarse.load()).to_netcdf("bad.nc")
    done = command(
        "train",
        "downscale.yaml",
        "--out",
        "run",
        "--set",
        "downscaler={class: Bilinear}",
        "--set",
        "data.coarse.archive=bad.nc",
    )
    assert done.code == 2
    (line,) = [text for text in done.err.splitlines() if text.startswith("driftfield: ")]
    assert "Traceback" not in done.err
    for words in said:
        assert " ".join(words.split()) in " ".join(line.split())
    assert not Path("run/run.json").exists()


def test_a_coarse_file_may_have_dates_of_its_own(own: Path, command: Doing) -> None:
    """Other calendars, turned latitudes, longitudes round the globe, one date: the same fields for the same values."""
    assert (
        command("train", "downscale.yaml", "--out", "run", "--set", "downscaler={class: Analogs, number: 4}").code == 0
    )
    with xr.open_dataset("coarse.nc") as opened:
        coarse = opened.load()
    expected = df.downscale("run", coarse.isel(time=[5]), members=1)
    turned = coarse.isel(time=[5], lat=slice(None, None, -1))
    turned = turned.assign_coords(lon=turned["lon"] + 360.0).convert_calendar("360_day", align_on="date")
    turned.to_netcdf("turned.nc")
    done = command("downscale", "run", "turned.nc", "--members", 1, "--out", "out.nc")
    assert done.code == 0, done.err
    with xr.open_dataset("out.nc") as made:
        np.testing.assert_allclose(made["tas"].values, expected["tas"].values, atol=1e-3)
        assert made["time"].dt.calendar == "360_day"


def test_gaps_in_a_coarse_file_are_counted_and_filled_from_the_nearest(
    own: Path, command: Doing, caplog: pytest.LogCaptureFixture
) -> None:
    assert command("train", "downscale.yaml", "--out", "run", "--set", "downscaler={class: Bilinear}").code == 0
    with xr.open_dataset("coarse.nc") as coarse:
        holes = coarse.load()
        holes["tas"][:, 0, 0] = np.nan
        holes.to_netcdf("holes.nc")
    done = command("downscale", "run", "holes.nc", "--out", "out.nc")
    assert done.code == 0
    assert caplog.text.count("is missing in 120 of 1440 coarse cells and dates: taken from the nearest ones") == 1
    with xr.open_dataset("out.nc") as made:
        assert np.isfinite(made["tas"]).all()


def test_a_larger_coarse_file_is_cut(own: Path, command: Doing) -> None:
    assert command("train", "downscale.yaml", "--out", "run", "--set", "downscaler={class: Bilinear}").code == 0
    world = coarse_world(5, rows=20, columns=24).assign_coords(
        lat=39.0 + 0.25 * np.arange(20), lon=4.0 + 0.25 * np.arange(24)
    )
    coarsened(world, regridding_by_factor(world, 4)).to_netcdf("large.nc")
    with xr.open_dataset("large.nc") as large:
        inner = large.isel(lat=slice(1, 4), lon=slice(1, 5)).load()
    a, b = (df.downscale("run", fields, members=1) for fields in (inner, xr.open_dataset("large.nc")))
    np.testing.assert_array_equal(a["tas"], b["tas"])


def test_settings_without_a_meaning_are_refused(own: Path, command: Doing) -> None:
    assert command("train", "downscale.yaml", "--out", "run", "--set", "downscaler={class: Bilinear}").code == 0
    done = command("downscale", "run", "coarse.nc", "--members", 4, "--out", "out.nc")
    assert (done.code, "gives one field: leave out --members" in done.err) == (2, True)
    done = command("reconstruct", "run", "coarse.nc", "--out", "out.nc")
    assert (done.code, "Use `driftfield downscale`" in done.err) == (2, True)
    recipe = yaml.safe_load(Path("downscale.yaml").read_text())
    recipe["reconstructor"] = {"class": "Climatology"}
    del recipe["downscaler"]
    Path("other.yaml").write_text(yaml.safe_dump(recipe))
    done = command("train", "other.yaml", "--out", "peer")
    assert (done.code, "has data.coarse and a 'reconstructor'" in done.err) == (2, True)
    del recipe["data"]["coarse"], recipe["data"]["statics"]
    Path("other.yaml").write_text(yaml.safe_dump(recipe))
    assert command("train", "other.yaml", "--out", "peer").code == 0
    done = command("downscale", "peer", "coarse.nc", "--out", "out.nc")
    assert (done.code, "does not start from coarse fields" in done.err) == (2, True)
    recipe["downscaler"] = {"class": "Bilinear"}
    del recipe["reconstructor"]
    Path("other.yaml").write_text(yaml.safe_dump(recipe))
    done = command("train", "other.yaml", "--out", "again")
    assert (done.code, "Add data.coarse" in done.err) == (2, True)


def test_evaluate_writes_groups_cells_and_structure(own: Path, command: Doing, without_figures: None) -> None:
    assert (
        command("train", "downscale.yaml", "--out", "run", "--set", "downscaler={class: Analogs, number: 8}").code == 0
    )
    days = ["--time", "2001-04-01:2001-04-10"]
    assert command("downscale", "run", "coarse.nc", *days, "--members", 4, "--out", "made.nc").code == 0
    Path("sites.csv").write_text("name,lat,lon\nhut,41.0,6.0\n")
    with xr.open_dataset("statics.nc") as statics:
        land = (statics["orog"] > 400).astype(float).assign_attrs(units="1")
        xr.Dataset({"sftlf": land}).to_netcdf("land.nc")
    done = command("evaluate", "fine.nc", "made.nc", "--out", "report", "--by", "month,hour", "--land", "land.nc", "--in-box",
                   "south=39:41:4:9", "--sites", "sites.csv", "--cells", "--rain", "pr", "--coarse", "coarse.nc")  # fmt: skip
    assert done.code == 0, done.err
    rows = [line.split(",") for line in Path("report/groups.csv").read_text().splitlines()]
    assert rows[0][:4] == ["variable", "method", "by", "group"]
    groups = {(row[2], row[3]) for row in rows[1:]}
    assert groups == {
        ("month", "04"),
        ("hour", "00"),
        ("surface", "land"),
        ("surface", "sea"),
        ("box", "south"),
        ("site", "hut"),
    }
    with xr.open_dataset("report/cells.nc") as cells:
        assert cells["tas_rmse"].dims == ("output", "lat", "lon")
    (found,) = json.loads(Path("report/scores.json").read_text()).values()
    assert {"ralsd_db", "log10_spectrum_beyond", "correlation_bias", "p99"} <= set(found["tas"])
    assert {"fss_wet", "rx1day", "cdd", "cwd", "p99_9", "coverage_90_wet", "wet_share_truth"} <= set(found["pr"])
    assert found["pr"]["coverage_90_wet"] > 0.3
    assert "Structure of the whole fields" in Path("report/report.html").read_text()
    for words, said in (
        (["--by", "week"], "Cannot group by 'week'"),
        (["--in-box", "south=39:41"], "SOUTH:NORTH:WEST:EAST"),
        (["--rain", "rr"], "no variable 'rr'"),
        (["--land", "statics.nc"], "No land mask in statics.nc"),
    ):
        done = command("evaluate", "fine.nc", "made.nc", "--out", "other", *words)
        assert done.code == 2
        assert said in done.err

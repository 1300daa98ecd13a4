"""`driftfield assimilate` as a user types it."""

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from driftfield.checkpoint import read_run
from driftfield.cli import main
from driftfield.data.sources import open_fields, write_dataset
from driftfield.models.diffusion import DiffusionReconstructor
from driftfield.observations.reading import read_observations
from driftfield.observations.table import ObservationTable
from driftfield.testing import tiny_ocean

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def command(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    untrained_run: DiffusionReconstructor,
) -> Command:
    """Runs `driftfield assimilate ARGUMENTS` beside a run, a table and a gridded file: exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)
    untrained_run.save(Path("run"))
    rng = np.random.default_rng(0)
    ocean = tiny_ocean().isel(time=[5, 6])
    rows = ObservationTable.of(
        longitude=rng.uniform(-39.5, -36.5, 24),
        latitude=rng.uniform(32.0, 33.4, 24),
        depth=rng.uniform(10, 40, 24),
        time=ocean["time"].values[np.arange(24) % 2],
        variable="thetao",
        value=rng.normal(14, 1, 24),
        error=np.where(np.arange(24) < 20, 0.3, np.nan),
        platform=[f"float {i // 4}" for i in range(24)],
        attrs={"thetao": {"units": "degC"}},
    )
    rows.to_frame().assign(units="degC").to_csv("points.csv", index=False)
    rows.to_dataset().to_netcdf("points.nc")
    seen = np.zeros(ocean["thetao"].shape, dtype=bool)
    seen[:, :, 3::2, 4::3] = True
    gridded = ocean.assign(thetao=ocean["thetao"].where(seen))
    gridded = gridded.assign(thetao_error=xr.where(gridded["thetao"].notnull(), 0.1, np.nan))
    write_dataset(gridded, Path("gridded.nc"))

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["driftfield", "assimilate", *arguments])
        capsys.readouterr()
        try:
            main()
            code = 0
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 1
        said = capsys.readouterr()
        return code, said.out, said.err.strip()

    return run


@pytest.mark.parametrize("table", ["points.csv", "points.nc"])
def test_a_table_constrains_the_prior(command: Command, table: str) -> None:
    options = ("--members", "2", "--set", "method.iterations=2")
    code, told, error = command("run", table, "--out", "a.nc", *options)
    assert code == 0, error
    assert "24 values read, 20 kept, 4 dropped (4 no error)" in told
    assert "20 observations guide 2 date(s)" in told
    found = open_fields(Path("a.nc"))
    assert found["thetao_member"].dims == ("member", "time", "depth", "lat", "lon")
    assert found["thetao"].attrs["units"] == "degC"
    assert found.attrs["method"] == "assimilation_mmps"
    assert json.loads(found.attrs["guidance_options"])["iterations"] == 2
    assert json.loads(found.attrs["observations_dropped"]) == {"no error": 4}
    assert found.attrs["observations_used"] == 20
    code, told, error = command("run", table, "--out", "a.nc", *options)
    assert code == 2
    assert "a.nc" in error
    assert "\n" not in error
    assert command("run", table, "--out", "a.nc", "--overwrite", "--error", "0.4", *options)[1].count("24 kept") == 1


def test_a_gridded_file_guides_or_is_the_condition(command: Command) -> None:
    options = ("--members", "2", "--method", "dps", "--time", "2001-03-01:2001-03-05")
    code, _, error = command("run", "gridded.nc", "--out", "a.nc", *options)
    assert code == 0, error
    alone = open_fields(Path("a.nc"))
    assert alone.sizes["time"] == 1
    code, _told, error = command("run", "gridded.nc", "--points", "points.csv", "--out", "b.zarr", *options)
    assert code == 0, error
    both = open_fields(Path("b.zarr"))
    assert both.attrs["points"] == "points.csv"
    assert alone.attrs["observations_read"] > both.attrs["observations_read"] == 24
    assert not np.allclose(alone["thetao"], both["thetao"], equal_nan=True)


def test_what_is_withheld_is_scored_and_calibrates_the_run(command: Command) -> None:
    options = ("--members", "3", "--method", "dps", "--withhold", "0.3")
    code, told, error = command("run", "points.csv", "--out", "a.nc", *options, "--buffer-km", "1")
    assert code == 0, error
    assert "spread_skill" in told
    assert "in the margin around them" in told
    scores = json.loads(open_fields(Path("a.nc")).attrs["withheld_scores"])
    assert scores["thetao"]["count"] == open_fields(Path("a.nc")).attrs["observations_withheld"] > 0
    code, told, error = command("run", "points.csv", "--out", "b.nc", *options, "--calibrate")
    assert code == 0, error
    chosen = read_run(Path("run")).extra["assimilation"]["dps"]
    assert len(chosen["tried"]) in (7, 8)
    assert "chosen on these very observations" in told
    assert open_fields(Path("b.nc")).attrs["chosen_on_withheld"] == "the inflation"
    best = min(chosen["tried"], key=lambda one: abs(np.log(one["spread_skill"])))
    assert best["inflation"] == chosen["inflation"] == open_fields(Path("b.nc")).attrs["error_inflation"]
    code, told, error = command("run", "points.csv", "--out", "c.nc", *options)
    xr.testing.assert_equal(open_fields(Path("b.nc")), open_fields(Path("c.nc")))
    code, told, error = command("run", "points.csv", "--out", "d.nc", *options, "--calibrate")
    assert code == 2
    assert "--overwrite" in error


def test_constants_are_chosen_before_the_inflation(command: Command) -> None:
    options = ("--members", "2", "--method", "dps", "--withhold", "0.3", "--calibrate")
    code, told, error = command("run", "points.csv", "--out", "a.nc", *options, "--try", "method.zeta=0.01,3")
    assert code == 0, error
    assert told.count("CRPS") == 2
    known = read_run(Path("run")).extra["assimilation"]["dps"]
    best = min(known["constants_tried"], key=lambda one: one["crps"])
    assert best["options"] == known["options"]
    assert json.loads(open_fields(Path("a.nc")).attrs["guidance_options"]) == known["options"]
    # from now on they are the default of this run and method
    code, _, error = command("run", "points.csv", "--out", "b.nc", *options[:-1])
    assert code == 0, error
    xr.testing.assert_equal(open_fields(Path("a.nc")), open_fields(Path("b.nc")))
    assert "chosen_on_withheld" not in open_fields(Path("b.nc")).attrs


def test_footprints_and_means_over_depth_have_a_door(command: Command) -> None:
    options = ("--members", "1", "--method", "dps")
    rows = read_observations(["points.csv"]).to_frame().assign(units="degC")
    rows.assign(depth=5.0, bottom=45.0).to_csv("means.csv", index=False)
    found = {}
    for out, arguments in {
        "points": ("points.csv",),
        "wide": ("points.csv", "--footprint-km", "150"),
        "other": ("points.csv", "--footprint-km", "thetao=150"),
        "deep": ("means.csv",),
    }.items():
        code, _, error = command("run", *arguments, "--out", f"{out}_found.nc", *options)
        assert code == 0, error
        found[out] = open_fields(Path(f"{out}_found.nc"))["thetao"]
    told = [open_fields(Path(f"{out}_found.nc")).attrs.get("footprint_km") for out in ("points", "other")]
    assert told == [None, "thetao=150"]
    xr.testing.assert_equal(found["wide"], found["other"])
    for one in ("wide", "deep"):
        assert float(np.abs(found[one] - found["points"]).max()) > 1e-3


def test_coarser_products_and_functions_have_a_door(
    command: Command, untrained_winds: DiffusionReconstructor, winds_beside: xr.Dataset
) -> None:
    """Alone, beside a table, and as what guides beside a gridded condition; each moves the answer."""
    untrained_winds.save(Path("winds"))
    winds_beside.to_netcdf("coarse.nc")
    ObservationTable.of(
        longitude=[-8.0, -7.0], latitude=42.0, time="2001-03-05", variable=["wspd", "u"], value=[11.0, 6.0], error=0.2
    ).to_frame().to_csv("speeds.csv", index=False)
    options = ("--members", "2", "--method", "dps")
    fields, told = {}, {}
    for out, arguments in {
        "coarse": ("--coarse", "coarse.nc"),
        "speeds": ("speeds.csv", "--function", "wspd=speed:u,v"),
        "both": ("speeds.csv", "--coarse", "coarse.nc", "--function", "wspd=speed:u,v"),
    }.items():
        code, told[out], error = command("winds", *arguments, "--out", f"{out}_found.nc", *options)
        assert code == 0, error
        fields[out] = open_fields(Path(f"{out}_found.nc"))
    assert [fields[out].attrs["observations_used"] for out in fields] == [3, 2, 5]
    assert fields["both"].attrs["functions"] == "wspd=speed(u, v)"
    assert fields["both"].attrs["coarse"] == "coarse.nc"
    assert "observations" not in fields["coarse"].attrs
    assert float(np.abs(fields["both"]["u"] - fields["speeds"]["u"]).max()) > 1e-3
    # without the function its rows are no variable of the run, and counted
    code, said, error = command("winds", "speeds.csv", "--out", "plain.nc", *options)
    assert code == 0, error
    assert "1 dropped (1 not a variable of this state)" in said
    code, _, error = command("winds", "--out", "never.nc", *options)
    assert (code, "Nothing guides" in error) == (2, True)
    code, _, error = command("winds", "coarse.nc", "--out", "never.nc", *options)
    assert (code, "--coarse" in error) == (2, True)


def test_particles_have_a_door(command: Command, caplog: pytest.LogCaptureFixture) -> None:
    options = ("--members", "2", "--method", "particles", "--set", "method.particles=8", "--set", "method.levels=4")
    code, _, error = command("run", "points.csv", "--out", "a.nc", *options)
    assert code == 0, error
    assert "--set method.particles=64" in caplog.text
    found = open_fields(Path("a.nc"))
    assert found.attrs["method"] == "assimilation_particles"
    assert json.loads(found.attrs["guidance_options"])["levels"] == 4


def test_only_what_may_be_withheld_is(command: Command) -> None:
    rows = read_observations(["points.csv"]).to_frame().assign(units="degC")
    surface = rows.assign(variable="so", value=35.0, units="1e-3")
    both = ("points.csv", "--members", "2", "--method", "dps", "--withhold", "0.2")
    pd.concat([rows, surface]).to_csv("points.csv", index=False)
    code, _, error = command("run", *both, "--of", "thetao", "--out", "a.nc")
    assert code == 0, error
    assert list(json.loads(open_fields(Path("a.nc")).attrs["withheld_scores"])) == ["thetao"]
    code, _, error = command("run", *both, "--of", "so", "--out", "b.nc")
    assert code == 2
    assert "'thetao'" in error


REFUSED = {
    "of": ("points.csv --of thetao", "--withhold"),
    "of what": ("points.csv --withhold 0.2 --of theta", "Did you mean 'thetao'"),
    "table as condition": ("points.csv --points points.csv", "has no grid"),
    "method": ("points.csv --method kalman", "Unknown guidance method"),
    "option": ("points.csv --set method.zeta=1", "no option 'zeta'"),
    "set": ("points.csv --set iterations=1", "expected method.OPTION=VALUE"),
    "share": ("points.csv --withhold 1.5", "share"),
    "calibrate": ("points.csv --calibrate", "--withhold"),
    "window": ("points.csv --window-days -1", "window_days"),
    "inflation": ("points.csv --inflate-error 0", "inflation=0"),
    "missing": ("nowhere.csv", "nowhere.csv"),
    "period": ("points.csv --time 2001", "FIRST:LAST"),
    "dates": ("points.csv --time 1999:2000", "None of the dates"),
    "no dates": ("points.csv --time soon:later", "Cannot take the dates"),
    "try": ("points.csv --try method.sda_scale=1,2 --method sda", "--calibrate"),
    "try what": ("points.csv --try method.zeta=1,2 --method sda --calibrate --withhold 0.2", "no option 'zeta'"),
    "set and try": ("points.csv --try method.zeta=1,2 --set method.zeta=1 --method dps", "Leave one out"),
    "footprint": ("points.csv --footprint-km far", "Cannot read --footprint-km"),
    "cells": ("points.csv --method repaint", "lie between cells"),
    "function": ("points.csv --function wspd=speed:u,v", "'wspd' is a function of 'u'"),
    "function of what": ("points.csv --function speed", "Cannot read --function"),
    "which function": ("points.csv --function wspd=velocity:u,v", "Unknown function 'velocity'"),
    "coarse table": ("--coarse points.csv", "is a table"),
}


@pytest.mark.parametrize(
    ("change", "remedy"),
    [
        ({"error": np.nan}, "or with --error"),
        ({"variable": "tracer"}, "Name the variables as the run does"),
        ({"latitude": -60.0}, "places and levels that the run knows"),
    ],
)
def test_where_nothing_can_be_used_it_is_said_what_to_do(
    command: Command, change: dict[str, object], remedy: str
) -> None:
    pd.read_csv("points.csv").assign(**change).to_csv("points.csv", index=False)
    code, _, error = command("run", "points.csv", "--out", "never.nc", "--members", "1")
    assert code == 2, error
    assert remedy in error.splitlines()[-1]


@pytest.mark.parametrize("case", REFUSED)
def test_bad_input_is_one_line_and_code_2(command: Command, case: str) -> None:
    arguments, message = REFUSED[case]
    code, _, error = command("run", *arguments.split(), "--out", "never.nc", "--members", "1")
    assert code == 2, error
    assert message in error.splitlines()[-1]
    assert not Path("never.nc").exists()


def test_what_is_no_diffusion_run_is_refused(command: Command) -> None:
    code, _, error = command("shipped:ocean_oi", "points.csv", "--out", "never.nc")
    assert code == 2
    assert "cannot be guided" in error
    shutil.rmtree("run")
    assert command("run", "points.csv", "--out", "never.nc")[0] == 2

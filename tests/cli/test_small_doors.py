"""The small commands as a user types them: recipes, models, plot, members; python -m driftfield, -h; and what is in the wheel."""

import subprocess
import sys
import zipfile
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
import xarray as xr
from commands import Command, hearing_all

from driftfield.data.sources import write_dataset
from driftfield.data.twin import observe
from driftfield.errors import ConfigurationError
from driftfield.evaluate.field_plots import FieldPlot, draw_fields
from driftfield.recipe import headline_of, read_yaml, shipped_recipes
from driftfield.registry import build
from driftfield.runs import shipped_runs
from driftfield.testing import tiny_ocean, tiny_training_data

ROOT = Path(__file__).parents[2]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Command:
    """Runs `driftfield ARGUMENTS` in a folder of its own: exit code, and what it says."""
    monkeypatch.chdir(tmp_path)
    return hearing_all(capsys)


@pytest.fixture(scope="module")
def fields() -> xr.Dataset:
    """A reconstruction of two dates with five members."""
    peer = build("reconstructor", {"class": "Climatology"})
    peer.fit(tiny_training_data(), seed=0)
    return peer.reconstruct(observe(tiny_ocean(times=2), {"thetao": "random:0.5"}, seed=0), members=5)


def test_recipes_are_listed_and_copied(command: Command) -> None:
    code, said = command("recipes")
    assert code == 0
    listed = {line.split()[0] for line in said.splitlines()}
    assert {"ocean_oi", "ocean_diffusion", "compare/ersst"} <= listed == set(shipped_recipes())
    assert "Optimal interpolation on the simulated ocean" in said
    assert command("recipes", "compare/ersst")[0] == 0
    assert Path("ersst.yaml").read_bytes() == shipped_recipes()["compare/ersst"].read_bytes()
    assert command("recipes", "ocean_oi", "--out", "mine.yaml")[0] == 0
    assert read_yaml(Path("mine.yaml"))["reconstructor"]["class"] == "OptimalInterpolation"
    code, said = command("recipes", "ocean_oi", "--out", "mine.yaml")
    assert (code, "exists already" in said) == (2, True)
    code, said = command("recipes", "ocean_oy")
    assert (code, "Did you mean 'ocean_oi'" in said) == (2, True)


def test_every_recipe_says_what_it_is_for() -> None:
    for path in shipped_recipes().values():
        assert len(headline_of(path)) > 10, path


@pytest.mark.slow
def test_the_wheel_holds_every_recipe_and_run(tmp_path: Path) -> None:
    pytest.importorskip("setuptools", minversion="77")
    build_wheel = (
        "import sys; from setuptools import build_meta; "
        "print(build_meta.build_wheel(sys.argv[1], config_settings={'--build-option': ['egg_info', '-e', sys.argv[1], "
        "'build', '-b', sys.argv[1]]}))"
    )
    done = subprocess.run([sys.executable, "-c", build_wheel, str(tmp_path)], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        packed = set(wheel.namelist())
    for name in shipped_recipes():
        assert f"driftfield/recipes/{name}.yaml" in packed
    for name in shipped_runs():
        assert f"driftfield/shipped/{name}/run.json" in packed
    assert {"driftfield/evaluate/report.html", "driftfield/__main__.py"} <= packed


def test_models_says_what_they_complete_from_what_and_where(command: Command) -> None:
    code, said = command("models")
    assert code == 0
    for name in shipped_runs():
        assert f"shipped:{name}\n" in said
    assert "DiffusionReconstructor of thetao with sst; depth 5 to 1000 m (10); lat 33.12 to 40.88" in said


@pytest.mark.parametrize("arguments", [["-h"], ["plot", "-h"], ["simulate", "ocean", "-h"]])
def test_python_m_driftfield_and_short_help(arguments: list[str]) -> None:
    done = subprocess.run([sys.executable, "-m", "driftfield", *arguments], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "Usage" in done.stdout


def test_a_file_is_drawn(command: Command, fields: xr.Dataset) -> None:
    write_dataset(fields, Path("fields.nc"))
    code, said = command("plot", "fields.nc", "--out", "a.png", "--depth", "20", "--time", "2001-01")
    assert code == 0, said
    assert matplotlib.image.imread("a.png").std() > 0.05
    for arguments, message in (
        (("--time", "1990"), "No date in the file begins with '1990'"),
        (("--lat", "89"), "--lat 89"),
        (("--show", "mean,sections"), "Did you mean 'section'"),
        (("--variable", "theta"), "thetao"),
        (("--members", "0"), "--members 0"),
    ):
        code, said = command("plot", "fields.nc", "--out", "b.png", *arguments)
        assert code == 2, said
        assert message in said
    assert "ends in .png or .pdf" in command("plot", "fields.nc", "--out", "b.svg")[1]
    assert "exists already" in command("plot", "fields.nc", "--out", "a.png")[1]


def test_the_picture_shows_what_the_file_has(fields: xr.Dataset) -> None:
    def titles(dataset: xr.Dataset, **look: object) -> list[str]:
        figure = draw_fields(dataset, "thetao", FieldPlot(**look))  # type: ignore[arg-type]
        panels = [ax for part in (figure, *figure.subfigs) for ax in part.axes if ax.get_title()]
        assert all(ax.has_data() for ax in panels)
        return [ax.get_title().split(" at ")[0] for ax in panels]

    members = [f"member {m}" for m in range(4)]
    section = ["mean, section", "standard deviation, section"]
    expected = ["mean", "standard deviation", *members, *section, "profile", "time series"]
    assert sorted(set(titles(fields))) == sorted(expected)
    assert sorted(set(titles(fields, parts=["members"], members=2))) == ["member 0", "member 1"]
    bare = fields[["thetao"]]
    assert sorted(set(titles(bare))) == ["field", "field, section", "profile", "time series"]
    with pytest.raises(ConfigurationError, match="none of members"):
        draw_fields(bare, "thetao", FieldPlot(parts=["members"]))


def test_a_panel_shows_the_values_of_its_member(fields: xr.Dataset) -> None:
    figure = draw_fields(fields, "thetao", FieldPlot(parts=["members"], time=1, depth=1))
    panel = next(ax for part in figure.subfigs or [figure] for ax in part.axes if ax.get_title().startswith("member 3"))
    found = panel.collections[-1].get_array().filled(np.nan).reshape(8, 12)
    expected = fields["thetao_member"].isel(member=3, time=1, depth=1).values
    np.testing.assert_allclose(found, expected, equal_nan=True)


def test_a_world_of_one_row_is_drawn_as_lines() -> None:
    row = tiny_ocean(times=2)[["sst"]].isel(lat=[3])
    figure = draw_fields(row, "sst", FieldPlot())
    (panel,) = [ax for part in (figure, *figure.subfigs) for ax in part.axes if ax.get_title()][:1]
    np.testing.assert_allclose(panel.lines[-1].get_ydata(), row["sst"].values[0, 0][row["sst"].notnull().values[0, 0]])

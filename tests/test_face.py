"""`import driftfield as df` is the whole job: lazy, documented, and the same answers as the rooms behind it."""

import inspect
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from PIL import Image

import driftfield as df
from driftfield import face
from driftfield.errors import ConfigurationError, ExistsError
from driftfield.runs import load_reconstructor, shipped_run

FUNCTIONS = [name for name in df.__all__ if name != "__version__"]


def test_importing_it_imports_nothing_else() -> None:
    code = (
        "import sys, driftfield\n"
        "heavy = {'numpy', 'xarray', 'torch', 'pandas', 'typer'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "assert set(driftfield.__all__) <= set(dir(driftfield))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_name_is_there_and_documented(name: str) -> None:
    assert name in face.__all__
    assert inspect.getdoc(getattr(df, name))
    if getattr(df, name).__module__.startswith("driftfield.face."):
        assert "Example:" in (inspect.getdoc(getattr(df, name)) or "")


def test_an_unknown_name_says_what_is_there() -> None:
    with pytest.raises(AttributeError, match="reconstruct"):
        df.reconstrukt  # noqa: B018


@pytest.fixture(scope="module")
def truth() -> xr.Dataset:
    return df.simulate_ocean(years=0.06, every_days=20, start="2041-03-01", seed=7)


def test_reconstruct_is_what_the_run_answers(truth: xr.Dataset, tmp_path: Path) -> None:
    seen = df.observe(truth[["thetao", "sst"]], {"thetao": "profiles:0.95", "sst": "clouds:0.8"}, error=0.05, seed=7)
    fields = df.reconstruct("shipped:ocean_climatology", seen, members=2, seed=3)
    expected = load_reconstructor(shipped_run("ocean_climatology")).reconstruct(seen, members=2, seed=3)
    xr.testing.assert_equal(fields, expected)
    # names and axes of a data set in memory are read as those of a file are
    turned = seen.rename(lat="latitude", lon="longitude").isel(latitude=slice(None, None, -1))
    xr.testing.assert_allclose(df.reconstruct("shipped:ocean_climatology", turned, members=2, seed=3), expected)
    df.save(seen, tmp_path / "seen.nc")
    xr.testing.assert_allclose(df.reconstruct(df.load("shipped:ocean_climatology"), tmp_path / "seen.nc", seed=3)["thetao"],
                               expected["thetao"])  # fmt: skip
    scores = df.score(truth, {"climatology": fields}, seen).scores["climatology"]["thetao"]
    assert 0 < scores["crps"] < scores["mae"]  # type: ignore[operator]


def test_plot_draws_the_date_and_the_level_that_are_named(truth: xr.Dataset, tmp_path: Path) -> None:
    df.save(truth, tmp_path / "truth.nc")
    deep = float(truth["depth"][2])
    figure = df.plot(tmp_path / "truth.nc", "thetao", parts=["mean"], time="2041-03", depth=deep + 1.0)
    level = truth["thetao"].isel(time=0).sel(depth=deep).values
    drawn = figure.axes[0].collections[-1].get_array()
    np.testing.assert_allclose(np.ma.compressed(drawn), level[np.isfinite(level)], rtol=1e-6)
    assert f"at {deep:g} m" in figure.axes[0].get_title()
    for options, message in (
        ({"time": "1999"}, "No date in the file begins with '1999'"),
        ({"lat": 10.0 + float(truth["lat"].max()) * 2}, "expected .* which the file holds"),
        ({"parts": ["sections"]}, "No part 'sections'"),
    ):
        with pytest.raises(ConfigurationError, match=message):
            df.plot(truth, "thetao", **options)  # type: ignore[arg-type]


def test_what_is_no_data_set_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="expected a Dataset"):
        df.reconstruct("shipped:ocean_climatology", xr.DataArray([1.0]))
    with pytest.raises(ConfigurationError, match="draws nothing without observations"):
        df.sample("shipped:ocean_climatology")


def test_a_film_has_a_frame_a_date(truth: xr.Dataset, tmp_path: Path) -> None:
    later = truth.assign_coords(time=truth["time"] + np.timedelta64(20, "D"))
    fields = xr.concat([truth, later], "time", data_vars="minimal")
    stamps = df.animate(fields, tmp_path / "film.gif", "sst", layout=["mean", "truth"], truth=fields)
    assert stamps == ["2041-03-01", "2041-03-21"]
    with Image.open(tmp_path / "film.gif") as film:
        assert film.n_frames == 2
    with pytest.raises(ExistsError, match="overwrite"):
        df.animate(fields, tmp_path / "film.gif")
    with pytest.raises(ConfigurationError, match="Nothing to show for 'spread'"):
        df.animate(fields, tmp_path / "other.gif", layout=["spread"])

"""A recipe states the smoothing, the command does it, and its option says otherwise."""

from pathlib import Path

import pytest
import xarray as xr
import yaml
from commands import succeed

from driftfield.data.sources import open_fields, write_dataset
from driftfield.errors import ConfigurationError
from driftfield.recipe import as_recipe
from driftfield.reconstruction.postprocess import smoothed
from driftfield.testing import tiny_ocean


def recipe(archive: Path, **more: object) -> dict[str, object]:
    return {
        "driftfield_format": 1,
        "data": {"archive": str(archive), "targets": ["thetao"]},
        "reconstructor": {"class": "LinearInterpolation"},
        **more,
    }


def test_the_command_does_what_the_run_states(tmp_path: Path) -> None:
    write_dataset(tiny_ocean(), tmp_path / "truth.nc")
    made = {}
    for name, more in (("plain", {}), ("smooth", {"reconstruction": {"smooth": 1.5}})):
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(recipe(tmp_path / "truth.nc", **more)), encoding="utf-8")
        succeed("train", tmp_path / f"{name}.yaml", "--out", tmp_path / name)
    mask = ["mask", tmp_path / "truth.nc", tmp_path / "obs.nc", "--observe", "thetao=clouds:0.5"]
    succeed(*mask, "--time", "2001-03:2001-03")
    for name, run, more in (
        ("raw", "plain", ()), ("asked", "plain", ("--smooth", 1.5)), ("stated", "smooth", ()),
        ("left out", "smooth", ("--smooth", 0)), ("other", "smooth", ("--smooth", 0.7)),
    ):  # fmt: skip
        out = tmp_path / f"{name}.nc"
        succeed("reconstruct", tmp_path / run, tmp_path / "obs.nc", "--out", out, "--members", 1, *more)
        made[name] = open_fields(out).load()
    expected = smoothed(made["raw"], 1.5, False)["thetao"]
    for name in ("asked", "stated"):
        xr.testing.assert_allclose(made[name]["thetao"].drop_attrs(), expected.drop_attrs(), atol=1e-5)
        assert made[name].attrs["smoothing_sigma_cells"] == 1.5
    xr.testing.assert_equal(made["left out"]["thetao"], made["raw"]["thetao"])
    assert made["stated"].attrs["smoothing"] == "1.5 cells, as the run states"
    assert made["left out"].attrs["smoothing"] == "0 cells (--smooth) in place of the 1.5 of the run"
    assert made["other"].attrs["smoothing_sigma_cells"] == 0.7
    assert not made["other"]["thetao"].equals(made["stated"]["thetao"])
    assert "smoothing" not in made["raw"].attrs


@pytest.mark.parametrize(
    ("stated", "said"),
    [({"smooth": -1}, "0 or more"), ({"smooth": "wide"}, "0 or more"), ({"smoth": 1}, "Did you mean 'smooth'")],
)
def test_what_makes_no_sense_is_refused(stated: object, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        as_recipe(recipe(Path("truth.nc"), reconstruction=stated), Path("recipe.yaml"))


def test_an_emulator_completes_nothing() -> None:
    content = recipe(Path("truth.nc"), reconstruction={"smooth": 1}, emulator={"class": "Any"})
    del content["reconstructor"]
    with pytest.raises(ConfigurationError, match="completes nothing"):
        as_recipe(content, Path("recipe.yaml"))

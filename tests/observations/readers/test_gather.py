"""`driftfield gather`: from files of profiles to an observation file that a run reconstructs from."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
import yaml
from commands import Command, hearing_all

from driftfield.data.sources import open_fields, write_dataset
from driftfield.testing import tiny_ocean


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Command:
    """Runs `driftfield ARGUMENTS` in a folder with a tiny ocean: exit code, and what it says."""
    monkeypatch.chdir(tmp_path)
    return hearing_all(capsys)


@pytest.fixture
def ocean(tmp_path: Path, argo_file: Callable[..., Path]) -> xr.Dataset:
    """The tiny ocean as truth.nc, and three Argo profiles inside it on its first three dates as a.nc."""
    ocean = tiny_ocean(times=12)
    write_dataset(ocean, tmp_path / "truth.nc")
    days = (ocean["time"].values[:3] - np.datetime64("1950-01-01")) / np.timedelta64(1, "D")
    lat, lon = ocean["lat"].values[3:6], ocean["lon"].values[4:7]
    argo_file(tmp_path / "a.nc", JULD=days, LATITUDE=lat, LONGITUDE=lon)
    return ocean


def test_what_is_gathered_is_cf_and_named_as_what_it_became(
    command: Command, ocean: xr.Dataset, tmp_path: Path, cf_complaints: Callable[[Path], dict[str, list[str]]]
) -> None:
    grid = ocean[["thetao"]]
    grid["thetao"].attrs = {"units": "degC", "standard_name": "sea_water_potential_temperature"}
    write_dataset(grid, tmp_path / "grid.nc")
    code, said = command("gather", "a.nc", "--variable", "thetao=TEMP", "--like", "grid.nc", "--error", "0.2",
                         "--max-gap", "600", "--out", "obs.nc", "--table", "points.nc")  # fmt: skip
    assert code == 0, said
    for name in ("obs.nc", "points.nc"):
        assert not cf_complaints(tmp_path / name)["errors"], name
    attrs = open_fields(tmp_path / "obs.nc")["thetao"].attrs
    assert (attrs["standard_name"], attrs["long_name"]) == (
        "sea_water_potential_temperature",
        "sea water potential temperature",
    )


def test_profiles_become_observations_that_a_run_takes(command: Command, ocean: xr.Dataset, tmp_path: Path) -> None:
    code, said = command("gather", "a.nc", "--variable", "thetao=TEMP", "--like", "truth.nc", "--error", "0.2",
                         "--max-gap", "600", "--out", "obs.nc", "--table", "points.nc")  # fmt: skip
    assert code == 0, said
    assert "thetao: 11 values read, 8 kept, 3 dropped" in said
    observations = open_fields(tmp_path / "obs.nc")
    assert observations.attrs["driftfield_format"] == 1
    assert 1 <= observations.sizes["time"] <= 3
    seen = observations["thetao"].notnull()
    assert seen.any()
    assert (observations["thetao_error"].where(seen) >= 0.2).sum() == seen.sum()
    with xr.open_dataset(tmp_path / "points.nc") as points:
        assert points.sizes["observation"] == 8
    recipe = {
        "data": {"archive": "truth.nc", "targets": ["thetao"], "split": {"class": "TimeSplit", "validation": 0.2}},
        "reconstructor": {"class": "Climatology"},
    }
    (tmp_path / "peer.yaml").write_text(yaml.safe_dump(recipe), encoding="utf-8")
    assert command("train", "peer.yaml", "--out", "peer")[0] == 0
    for out, like in (("obs.nc", None), ("of_run.nc", "peer")):
        if like is not None:
            code, said = command("gather", "a.nc", "--variable", "thetao=TEMP", "--like", like, "--max-gap", "600",
                                 "--every", "1D", "--out", out)  # fmt: skip
            assert code == 0, said
        code, said = command("reconstruct", "peer", out, "--members", "2", "--out", f"full_{out}")
        assert code == 0, said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["a.nc", "--variable", "thetao=TEMP"], "Nothing to write"),
        (["a.nc", "--variable", "thetao=TEMP", "--out", "o.nc"], "Add the other one"),
        (["a.nc", "--variable", "thetao=TEMP", "--table", "o.txt"], "o.txt"),
        (["a.nc", "--variable", "thetao", "--table", "o.nc"], "OURS=NAME_IN_FILE"),
        (["a.nc", "--variable", "thetao=TEMPE", "--table", "o.nc"], "Did you mean 'TEMP'"),
        (["none.nc", "--variable", "thetao=TEMP", "--table", "o.nc"], "No file at none.nc"),
        (["a.nc", "--variable", "thetao=TEMP", "--table", "o.nc", "--flags", "good"], "--flags 'good'"),
        (["a.nc", "--variable", "thetao=TEMP", "--table", "o.nc", "--flags", "12"], "0 to 9"),
        (["a.nc", "--variable", "thetao=TEMP", "--table", "o.nc", "--modes", "Z"], "'Z'"),
        (["a.nc", "--variable", "thetao=TEMP", "--table", "o.nc", "--error", "sst=1"], "'sst'"),
        (["a.nc", "--variable", "thetao=TEMP", "--like", "truth.nc", "--out", "o.nc", "--every", "often"], "'often'"),
        (
            ["a.nc", "--variable", "thetao=TEMP", "--like", "truth.nc", "--out", "o.nc", "--times", "1990:1991"],
            "1990:1991",
        ),
        (["truth.nc", "--variable", "thetao=thetao", "--table", "o.nc"], "truth.nc is none of"),
        (["a.nc", "--variable", "thetao=TEMP", "--table", "o.nc", "--max-gap=-1"], "--max-gap -1"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    command: Command, ocean: xr.Dataset, tmp_path: Path, arguments: list[str], said: str
) -> None:
    code, text = command("gather", *arguments)
    assert code == 2, text
    assert said in text
    assert not list(tmp_path.glob("o.*"))


def test_real_profiles_on_a_real_grid(command: Command, data_folder: Path, tmp_path: Path) -> None:
    argo, like = (
        data_folder / "argo/argo_erddap_expert_42.5-45N_57.5-55W_0-20dbar.nc",
        data_folder / "sst/ersstv5_monthly_2010-2020_2deg.nc",
    )
    code, said = command(
        "gather", str(argo), "--variable", "sst=TEMP", "--like", str(like), "--error", "0.4", "--out", "o.nc"
    )
    assert code == 0, said
    with xr.open_dataset(tmp_path / "o.nc") as observed, xr.open_dataset(like) as truth:
        difference = (observed["sst"] - truth["sst"]).values
        assert np.isfinite(difference).sum() > 100
        # a point in the Gulf Stream front against a monthly mean of 200 km
        assert float(np.sqrt(np.nanmean(difference**2))) < 4.0
        assert abs(float(np.nanmean(difference))) < 1.0

"""Other people's programs open what the commands write: IOOS's compliance checker and Climate Data Operators."""

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
import pandas as pd
import pytest
import xarray as xr
import yaml

from driftfield.cli import main
from driftfield.data.sources import open_fields, write_dataset
from driftfield.errors import DataError
from driftfield.reconstruction.member_files import write_members
from driftfield.testing import tiny_ocean

Complaints = Callable[[Path], dict[str, list[str]]]

SPLIT = {"class": "TimeSplit", "validation": 0.2}
OCEAN = {"archive": "truth.nc", "targets": ["thetao", "sst"], "split": SPLIT}
CIRCLE = {"archive": "circle.nc", "targets": ["x"], "split": SPLIT}
NETWORK = {"class": "CircleUNet", "widths": [4, 8], "depths": [1, 1], "embedding": 8}
TRAINER = {
    "class": "LightningTrainer",
    "steps": 2,
    "batch_size": 4,
    "validate_every": 2,
    "loggers": [],
    "accelerator": "cpu",
}
LEARNER = {
    "network": NETWORK,
    "normalizer": {"class": "ZScore"},
    "validation_samples": 2,
    "sampler": {"class": "DPMSolverPP2M", "evaluations": 3},
}
RECIPES: dict[str, dict[str, Any]] = {
    "peer": {"data": OCEAN, "reconstructor": {"class": "Climatology"}},
    "prior": {
        "data": CIRCLE,
        "reconstructor": {"class": "DiffusionReconstructor", **LEARNER, "observing": {"observe": {"x": "none"}}},
        "trainer": TRAINER,
    },
    "emulator": {"data": CIRCLE, "emulator": {"class": "DiffusionEmulator", **LEARNER}, "trainer": TRAINER},
    "downscaler": {
        "data": {**OCEAN, "targets": ["sst"], "coarse": {"factor": 2}},
        "downscaler": {"class": "PrincipalComponentRegression", "components": 3, "folds": 3},
    },
}
WORLDS = (
    "simulate ocean ocean.nc --years 0.02",
    "simulate lorenz96 circle.nc --steps 30",
    "simulate lorenz96-two-scale two_scale.nc --steps 30",
    "simulate lorenz63 lorenz63.nc --steps 30",
    "simulate navier-stokes flow.nc --reynolds 40 --size 16 --compute 16 --frames 3 --spin-up 1",
    "mask truth.nc seen.nc --observe thetao=random:0.5 --observe sst=clouds:0.5 --error 0.1 --time 2001-03:2001-03",
)
LEARNT = (
    "train peer.yaml --out peer",
    "calibrate peer --conformal 0.9 --members 4 --cases 4 --observe thetao=random:0.5 --observe sst=random:0.5",
    "reconstruct peer seen.nc --members 3 --quantiles 0.25,0.5,0.75 --out fields.nc",
    "reconstruct peer seen.nc --members 3 --raw --smooth 1 --out smooth.nc",
    "members fields.nc --out members",
    "reconstruct peer seen.nc --members 1 --out single.nc",
    "reconstruct peer seen.nc --members 4 --quantiles 0.25,0.75 --pack int16 --out packed.nc",
    "reconstruct peer seen.nc --members 2 --pack bitround:7 --out rounded.nc",
    "suggest packed.nc --error 0.1 --number 3 --variable thetao --time 2001-03-26 --out places.nc",
)
DRAWN = (
    "train prior.yaml --out prior",
    "train emulator.yaml --out emulator",
    "sample prior --members 3 --out drawn.nc",
    "assimilate prior points.csv --members 2 --set method.iterations=1 --out posterior.nc",
    "forecast emulator circle.nc --start 2000-01-02T00 --steps 3 --members 2 --out forecast.nc",
)
TOOLS = (
    "mask truth.nc gappy.nc --observe thetao=blocks:0.5 --observe sst=clouds:0.5 --time 2001-03:2001-05",
    "fill gappy.nc --variable sst --out filled.nc",
    "fill gappy.nc --variable sst --method climatology --members 2 --pack int16 --out ensemble.nc",
    "map stations.csv --box 31,33,-40,-37 --step 1 --every 15D --method kriging-rough --members 2 --out mapped.nc",
    "gather track.nc --variable sst=t --like truth.nc --times 2001-03:2001-03 --every 10D --out gathered.nc --table points.nc",
    "coarsen truth.nc --factor 2 --out coarse.nc",
    "train downscaler.yaml --out downscaler",
    "downscale downscaler coarse.nc --members 2 --time 2001-03:2001-03 --out fine.nc",
    "evaluate truth.nc fine.nc --cells --out report",
)
FILES = {
    "worlds": ("ocean.nc", "circle.nc", "two_scale.nc", "lorenz63.nc", "flow.nc", "seen.nc"),
    "learnt": ("fields.nc", "smooth.nc", "members/member_002.nc", "single.nc", "packed.nc", "rounded.nc"),
    "drawn": ("drawn.nc", "posterior.nc", "forecast.nc"),
    "filled": ("filled.nc", "ensemble.nc", "mapped.nc", "gathered.nc"),
    "tools": ("coarse.nc", "fine.nc"),
}
NO_DATES = ("places.nc", "points.nc", "report/cells.nc")
"""Not fields by date: suggested places, a table of points, scores by cell."""


def _stations() -> pd.DataFrame:
    """Sea surface temperature at sixty places of four weeks."""
    rng, n = np.random.default_rng(0), 60
    return pd.DataFrame(
        {
            "longitude": rng.uniform(-40, -37, n).round(3),
            "latitude": rng.uniform(31, 33.5, n).round(3),
            "time": [f"2001-03-{1 + i % 28:02d}" for i in range(n)],
            "variable": "sst",
            "value": (15 + rng.normal(size=n)).round(3),
            "error": 0.1,
            "platform": [f"p{i}" for i in range(n)],
            "units": "degC",
        }
    )


def _track() -> xr.Dataset:
    """Sea surface temperature along the ocean, a value a day."""
    days, attrs = pd.date_range("2001-03-01", periods=31), {"latitude": "degrees_north", "longitude": "degrees_east"}
    where = {"latitude": np.linspace(30, 33.5, 31), "longitude": np.full(31, -37.0)}
    coords = {name: ("time", degrees, {"units": attrs[name]}) for name, degrees in where.items()}
    return xr.Dataset({"t": ("time", np.linspace(14, 16, 31), {"units": "degC"})}, {"time": days, **coords})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder with every kind of gridded file that the commands write."""
    pytest.importorskip("lightning")
    folder = tmp_path_factory.mktemp("files")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        write_dataset(tiny_ocean(times=40), Path("truth.nc"))
        Path("points.csv").write_text(
            "longitude,latitude,time,variable,value,error,units\n9,0,2000-01-02T00:00,x,2.5,0.5,1\n", encoding="utf-8"
        )
        for name, content in RECIPES.items():
            Path(f"{name}.yaml").write_text(yaml.safe_dump({"seed": 0, **content}), encoding="utf-8")
        _stations().to_csv("stations.csv", index=False)
        _track().to_netcdf("track.nc")
        for line in (*WORLDS, *LEARNT, *DRAWN, *TOOLS):
            patch.setattr(sys, "argv", ["driftfield", *line.split()])
            with pytest.raises(SystemExit) as end:
                main()
            assert not end.value.code, line
    return folder


@pytest.mark.parametrize("name", [*(name for names in FILES.values() for name in names), *NO_DATES])
def test_the_compliance_checker_finds_no_error(folder: Path, name: str, cf_complaints: Complaints) -> None:
    found = cf_complaints(folder / name)
    assert not found["errors"]
    # CF would rather have members left of the time, which CDO cannot read (decision 0017); and the checker looks for the
    # dimension that a mean is taken over in the mean itself, where it cannot be any more
    known = ("dimensions are not in the recommended order", "cell_methods name component member does not match")
    with xr.open_dataset(folder / name, decode_timedelta=False) as file:
        known = known if "member" in file.dims else ()
    assert not [text for text in found["warnings"] if not any(part in text for part in known)]


def test_the_checker_would_complain(folder: Path, cf_complaints: Complaints, tmp_path: Path) -> None:
    with xr.open_dataset(folder / "fields.nc") as fields:
        worse = fields.load()
    del worse["member"].attrs["units"], worse.attrs["title"]
    worse.to_netcdf(tmp_path / "worse.nc")
    found = cf_complaints(tmp_path / "worse.nc")
    assert any("member" in text for text in found["errors"])
    assert any("title" in text for text in found["warnings"])


@pytest.mark.parametrize("name", [name for names in FILES.values() for name in names])
def test_cdo_reads_every_variable_of_four_dimensions(folder: Path, name: str, cdo: Callable[..., str]) -> None:
    with xr.open_dataset(folder / name, decode_timedelta=False) as file:
        readable = {str(n) for n, a in file.data_vars.items() if a.ndim <= 4}
        five = {str(n) for n, a in file.data_vars.items() if a.ndim == 5}
    said = cdo("showname", folder / name)
    assert readable <= set(said.split()), said
    # no order of five dimensions is read: `driftfield members` writes them one by one
    assert set(re.findall(r"skipped variable (\w+)", said)) == five
    assert not re.search("Time must be the first dimension", said)


def test_a_file_per_member_is_an_ensemble_for_cdo(folder: Path, cdo: Callable[..., str], tmp_path: Path) -> None:
    files = sorted((folder / "members").iterdir())
    assert [file.name for file in files] == ["member_000.nc", "member_001.nc", "member_002.nc"]
    assert "skipped" not in cdo("ensmean", *files, tmp_path / "mean.nc")
    with xr.open_dataset(tmp_path / "mean.nc") as mean, xr.open_dataset(folder / "fields.nc") as fields:
        for name in ("thetao", "sst"):
            expected = fields[f"{name}_member"].mean("member", skipna=False)
            np.testing.assert_allclose(mean[name].values, expected.transpose("time", ...).values, atol=1e-5)


def test_members_are_there_or_it_says_so(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no members"):
        write_members(open_fields(folder / "seen.nc"), tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_time_comes_first_in_a_file_and_members_in_the_program(folder: Path) -> None:
    with xr.open_dataset(folder / "fields.nc") as file:
        assert file["sst_member"].dims == ("time", "member", "lat", "lon")
        assert file["thetao_member"].dims == ("time", "member", "depth", "lat", "lon")
        assert file["thetao_quantile"].dims == ("time", "quantile", "depth", "lat", "lon")
        fields = file.load()
    ours = open_fields(folder / "fields.nc").load()
    assert ours["thetao_member"].dims == ("member", "time", "depth", "lat", "lon")
    # a file of before, members first, is read as the same
    fields.transpose("member", "quantile", ...).to_netcdf(folder / "before.nc")
    before = open_fields(folder / "before.nc").load()
    xr.testing.assert_identical(before, ours)


@pytest.mark.parametrize("suffix", ["nc", "zarr"])
def test_chunks_are_whole_fields_of_some_members(tmp_path: Path, suffix: str) -> None:
    dims = ("member", "time", "depth", "lat", "lon")
    members = xr.DataArray(np.zeros((8, 3, 4, 128, 128), dtype=np.float32), dims=dims)
    fields = xr.Dataset(
        {"x_member": members, "x": members[0], "s": members[0, :, 0]},
        coords={
            "time": np.array(["2000-01-01", "2000-01-02", "2000-01-03"], dtype="datetime64[ns]"),
            "depth": [0.0, 1, 2, 3],
            "lat": np.linspace(0, 12.7, 128),
            "lon": np.linspace(0, 12.7, 128),
        },
    )
    write_dataset(fields.chunk({"time": (1, 2)}), tmp_path / f"a.{suffix}")
    wanted = {"x_member": (1, 4, 4, 128, 128), "x": (3, 4, 128, 128), "s": (3, 128, 128)}
    if suffix == "nc":
        with netCDF4.Dataset(tmp_path / "a.nc") as file:
            assert {name: tuple(file[name].chunking()) for name in wanted} == wanted
    else:
        with xr.open_zarr(tmp_path / "a.zarr", consolidated=False) as store:
            assert {name: store[name].encoding["chunks"] for name in wanted} == wanted


def test_long_names_are_whole(folder: Path) -> None:
    with xr.open_dataset(folder / "fields.nc") as file:
        assert file["thetao_sd"].attrs["long_name"] == "standard deviation of the ensemble of temperature"
        assert file["thetao_sd"].attrs["cell_methods"] == "member: standard_deviation"
        for name, array in file.variables.items():
            assert not str(array.attrs.get("long_name", name)).endswith(" of"), name
    with xr.open_dataset(folder / "drawn.nc") as file:
        assert file["x_member"].attrs["long_name"] == "ensemble of x"


def test_the_history_says_which_command(folder: Path) -> None:
    with xr.open_dataset(folder / "fields.nc") as file:
        (line,) = file.attrs["history"].splitlines()
        assert line.endswith(
            ": driftfield reconstruct peer seen.nc --members 3 --quantiles 0.25,0.5,0.75 --out fields.nc"
        )
        assert file.attrs["title"] == "Reconstruction of thetao, sst by climatology"

"""Small files and runs under the names that the pages of the site use: what a reader has before he types their commands."""

__all__ = ["MAKERS", "make"]

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import xarray as xr
import yaml
from argo_files import write_argo, write_casts

from driftfield.conventions import LATITUDE, LONGITUDE
from driftfield.data.codec import FieldCodec
from driftfield.data.sources import GriddedArchive, write_dataset
from driftfield.models.diffusion import DiffusionReconstructor
from driftfield.models.learner import Learner
from driftfield.testing import tiny_ocean, tiny_recipe

ROOT = Path(__file__).resolve().parents[2]
NETWORK = {"class": "ResidualUNet", "widths": [4, 8], "depths": [1, 1], "condition_depths": [1, 1], "embedding": 8}


def make(folder: Path, *names: str) -> None:
    """Writes what goes by these names into a folder."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        MAKERS[name](folder / name)


def _ocean(path: Path, times: int = 30) -> None:
    write_dataset(tiny_ocean(times=times), path)


def _with_salt(path: Path) -> None:
    fields = tiny_ocean().isel(time=slice(4, 8))
    write_dataset(fields.assign(so=(20 + fields["thetao"]).assign_attrs(units="1", long_name="salinity")), path)


def _gappy(path: Path) -> None:
    """Six days of surface temperature under holes, and nothing else."""
    fields = tiny_ocean(times=6, every_days=1.0)[["sst"]]
    holes = np.random.default_rng(0).random(fields["sst"].shape) < 0.3
    fields["sst"] = fields["sst"].where(~holes).assign_attrs(fields["sst"].attrs)
    write_dataset(fields, path)


def _surface(path: Path) -> None:
    """What the network is shown beside points: surface temperature on two dates."""
    fields = tiny_ocean().isel(time=[5, 6])
    write_dataset(fields.assign(thetao=fields["thetao"].where(False)), path)


def _coarse(path: Path) -> None:
    """Surface temperature of one date, means over 2 x 2 cells, with an error."""
    sea = tiny_ocean()[["sst"]].isel(time=[5])
    means = sea.coarsen(lat=2, lon=2).mean()
    means["sst_error"] = 0.2 + 0 * means["sst"]
    means["sst"].attrs = means["sst_error"].attrs = {"units": "degC"}
    write_dataset(means, path)


def _rows(variables: dict[str, float]) -> pd.DataFrame:
    """A row per value: twelve places of the tiny ocean on its sixth date, three platforms."""
    rng, tables = np.random.default_rng(0), []
    for variable, mean in variables.items():
        tables.append(
            pd.DataFrame(
                {
                    "time": "2001-03-02T00:00",
                    "latitude": rng.uniform(32.0, 33.4, 12).round(3),
                    "longitude": rng.uniform(-39.5, -36.5, 12).round(3),
                    "depth": rng.uniform(10, 40, 12).round(1) if variable == "thetao" else np.nan,
                    "variable": variable,
                    "value": (mean + rng.standard_normal(12)).round(3),
                    "error": 0.3,
                    "units": {"thetao": "degC", "sst": "degC", "speed": "m s-1"}.get(variable, "1"),
                    "platform": [f"float {row // 4}" for row in range(12)],
                }
            )
        )
    return pd.concat(tables)


def _table(**variables: float) -> Callable[[Path], None]:
    return lambda path: _rows(variables).to_csv(path, index=False)


def _course(path: Path) -> None:
    """Lorenz's x at some places and times of two days, also between them."""
    rows = pd.DataFrame(
        {"time": pd.date_range("2000-01-02", periods=6, freq="9h"), "longitude": [0, 45, 80, 100, 200, 300]}
    )
    rows.assign(latitude=0.0, variable="x", value=2.5, error=0.5, units="1").to_csv(path, index=False)


def _argo(folder: Path) -> None:
    """Four floats with twelve profiles each, in the sea of the run or of the box, whichever is asked for."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for number in range(4):
        write_argo(
            folder / f"690000{number}_prof.nc",
            modes="D" * 12,
            platform=f"690000{number}",
            salinity=True,
            levels=(5.0, 12.0, 30.0, 50.0),
            LATITUDE=rng.uniform(32.0, 33.4, 12),
            LONGITUDE=rng.uniform(-39.5, -36.5, 12),
            JULD=18688.0 + 12.0 * np.arange(12),
        )


def _track(path: Path) -> None:
    """Sea level along a pass of two days."""
    n = 60
    xr.Dataset(
        {"sla_filtered": ("time", 0.1 * np.sin(np.arange(n) / 6), {"units": "m"})},
        coords={
            "time": np.datetime64("2013-04-01", "ns") + (np.arange(n) * 40).astype("timedelta64[m]"),
            "latitude": ("time", np.linspace(41.2, 46.3, n), {"units": "degrees_north"}),
            "longitude": ("time", np.linspace(29, 40, n), {"units": "degrees_east"}),
        },
    ).to_netcdf(path)


def _places(path: Path) -> None:
    """Where answers are wanted."""
    pd.DataFrame(
        {"time": "2001-03-02", "latitude": [32.1, 33.0], "longitude": [-39.0, -37.5], "depth": [5.0, 8.0]}
    ).to_csv(path, index=False)


def _box(path: Path) -> None:
    """A table as ERDDAP gives it: temperatures of one year."""
    rng = np.random.default_rng(1)
    casts = pd.DataFrame(
        {
            "time": pd.date_range("2015-01-03", periods=20, freq="17D").strftime("%Y-%m-%dT%H:%M:%SZ"),
            "latitude": rng.uniform(32.0, 33.4, 20),
            "longitude": rng.uniform(-39.5, -36.5, 20),
            "platform_number": np.arange(20),
        }
    )
    pd.concat([casts.assign(pres=pres, temp=15 + rng.standard_normal(20)) for pres in (5.0, 20.0)]).to_csv(
        path, index=False
    )


def _untrained(path: Path, fields: xr.Dataset, targets: tuple[str, ...], covariates: tuple[str, ...] = ()) -> None:
    """A run with random weights, which may see nothing, some profiles, and a cloudy surface."""
    seen: dict[str, Any] = {name: ["none", "random:0.7"] for name in targets}
    seen |= dict.fromkeys(covariates, "clouds:0.5")
    sampler = {"class": "DPMSolverPP2M", "evaluations": 4}
    run = DiffusionReconstructor(NETWORK, {"observe": seen}, sampler=sampler)
    domains = {name: fields[name].notnull().any("time") for name in (*targets, *covariates)}
    archive, times = GriddedArchive(fields, domains, periodic=False), np.arange(fields.sizes["time"])
    codec = FieldCodec.fit(archive, times, targets, covariates, run.normalizer)
    torch.manual_seed(0)
    run.learner = Learner(codec, run.build_model(codec).eval())
    run.save(path)


def _prior(path: Path) -> None:
    _untrained(path, tiny_ocean(), ("thetao", "sst"))


def _run_with_surface(path: Path) -> None:
    _untrained(path, tiny_ocean(), ("thetao",), ("sst",))


def _wind(path: Path) -> None:
    sea = tiny_ocean()["sst"].drop_attrs()
    fields = xr.Dataset({name: (sea + shift).assign_attrs(units="m s-1") for name, shift in (("u", -20), ("v", -14))})
    fields["lat"].attrs, fields["lon"].attrs = LATITUDE, LONGITUDE
    _untrained(path, fields, ("u", "v"))


def _old(kind: str) -> Callable[[Path], None]:
    return lambda path: shutil.copytree(ROOT / "tests" / "old_runs" / kind, path) and None  # type: ignore[func-returns-value]


def _recipe(path: Path) -> None:
    _ocean(path.with_name("truth.nc"))
    recipe = tiny_recipe(steps=2)
    path.write_text(yaml.safe_dump(recipe), encoding="utf-8")


MAKERS: dict[str, Callable[[Path], Any]] = {
    "FILE.nc": _gappy,
    "OBS.nc": _gappy,
    "archive.nc": _with_salt,
    "archive.zarr": _ocean,
    "truth.nc": lambda path: _ocean(path, 3),
    "model.nc": lambda path: _ocean(path, 8),
    "surface.nc": _surface,
    "microwave_sst.nc": _coarse,
    "points.csv": _table(thetao=14),
    "profiles.csv": _table(thetao=14),
    "stations.csv": _table(sst=15),
    "mixed.csv": _table(thetao=14, sst=15),
    "scatterometer.csv": _table(speed=6),
    "buoys.csv": _table(thetao=14),
    "course.csv": _course,
    "argo": _argo,
    "casts.nc": lambda path: write_casts(path),
    "altika_20130401.nc": _track,
    "track.csv": _places,
    "box.csv": _box,
    "runs/prior": _prior,
    "runs/surface": _prior,
    "runs/ocean": _run_with_surface,
    "runs/wind": _wind,
    "runs/lorenz96_window": _old("trajectory"),
    "recipe.yaml": _recipe,
    "scripts": lambda path: shutil.copytree(ROOT / "scripts", path),
    "recipes": lambda path: shutil.copytree(ROOT / "recipes", path),
}
"""By the name that a page uses."""

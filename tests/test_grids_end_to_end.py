"""From `inspect` to `evaluate` on grids of others: a rotated pole, an ocean analysis with 50 levels, a curvilinear ocean grid.

A peer and twenty steps of a model learn from a small cut of each; what comes back lies on its grid, and is scored.
"""

import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
import yaml

from driftfield.cli import main
from driftfield.conventions import positions_of
from driftfield.gridded.gridded_files import open_fields
from driftfield.testing import tiny_recipe
from driftfield.testing.grids import member

pytest.importorskip("lightning")

WORDS = {
    "rotated pole": "a grid with a rotated pole",
    "ocean analysis": "a regular grid of latitudes and longitudes",
    "curvilinear": "a curvilinear grid",
}


def cut(name: str, path: Path) -> str:
    """Writes some twenty dates of a grid as its file has them; the name of the variable."""
    folder = Path(os.environ.get("DRIFTFIELD_DATA", "nowhere"))
    if name == "curvilinear":
        made = member("nemo", 3, times=20)
        made.dataset.to_netcdf(path)
        return next(n for n, a in made.dataset.data_vars.items() if a.ndim == 3)  # type: ignore[return-value]
    file = {
        "rotated pole": "downscaling/racmo22e_ecearth_iberia_djf_historical_1983-2002.nc",
        "ocean analysis": "sections3d/glo12_analysis_seal_island_20200725_3d.nc",
    }[name]
    if not (folder / file).exists():
        pytest.skip(f"needs {file} in $DRIFTFIELD_DATA")
    with xr.open_dataset(folder / file, decode_times=False) as dataset:
        if name == "rotated pole":
            dataset[["tas"]].isel(time=slice(0, 20)).load().to_netcdf(path)
            return "tas"
        # one analysis: its neighbours in time are the same field, a little warmer or colder everywhere
        day = dataset[["thetao"]].isel(depth=slice(0, 20, 9), latitude=slice(0, 24), longitude=slice(0, 32)).load()
        season = np.sin(np.arange(20) / 3)
        days = [(day + float(warmer)).assign_coords(time=day["time"] + 24 * k) for k, warmer in enumerate(season)]
        record = xr.concat(days, "time").assign_coords(depth=day["depth"])
        record["thetao"].attrs, record["time"].attrs = day["thetao"].attrs, dataset["time"].attrs
        record.drop_encoding().to_netcdf(path)
        return "thetao"


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> None:
    monkeypatch.setattr(sys, "argv", ["driftfield", *map(str, arguments)])
    try:
        main()
    except SystemExit as end:
        if end.code:
            pytest.fail(f"{arguments}: exit code {end.code}")


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(WORDS))
def test_every_command_works_on_it(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    variable = cut(name, Path("archive.nc"))
    run(monkeypatch, "inspect", "archive.nc")
    assert WORDS[name] in capsys.readouterr().out
    truth = open_fields("archive.nc")
    last = str(truth["time"].values[-3])[:10]
    run(
        monkeypatch,
        "mask",
        "archive.nc",
        "seen.nc",
        "--observe",
        f"{variable}=random:0.5",
        "--error",
        "0.1",
        "--time",
        f"{last}:",
    )
    peer = tiny_recipe(method="OptimalInterpolation", archive="archive.nc")
    model = tiny_recipe(archive="archive.nc", steps=20)
    for recipe in (peer, model):
        recipe["data"] |= {"targets": [variable], "split": {"class": "TimeSplit", "validation": 0.3}}
        recipe["data"].pop("covariates", None)
        recipe["data"].pop("levels", None)
    model["reconstructor"]["observing"] = {"observe": {variable: "random:0.3-0.7"}, "error": 0.1}
    rmse = {}
    for label, recipe in (("peer", peer), ("model", model)):
        Path(f"{label}.yaml").write_text(yaml.safe_dump(recipe))
        run(monkeypatch, "train", f"{label}.yaml", "--out", label)
        run(monkeypatch, "reconstruct", label, "seen.nc", "--out", f"{label}.nc", "--members", 2)
        run(
            monkeypatch,
            "evaluate",
            "archive.nc",
            f"{label}.nc",
            "--observations",
            "seen.nc",
            "--out",
            f"report_{label}",
        )
        scores = json.loads(Path(f"report_{label}/scores.json").read_text())
        rmse[label] = next(iter(scores.values()))[variable]["rmse"]
        written = open_fields(f"{label}.nc")
        own, theirs = positions_of(truth), positions_of(written)
        assert (own is None) == (theirs is None)
        if own is not None and theirs is not None:
            np.testing.assert_allclose(theirs.points, own.points, atol=1e-6)
        known = truth[variable].notnull().any("time").values
        np.testing.assert_array_equal(written[variable].notnull().isel(time=0).values, known)
    spread = float(truth[variable].std())
    assert rmse["peer"] < 0.5 * spread
    assert np.isfinite(rmse["model"])

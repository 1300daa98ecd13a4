"""The recipe of Lorenz-63 learns the climate: x, y and z each with its own mean and spread, and how they hang together."""

import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from driftfield.cli import main
from driftfield.recipe import shipped_recipes


@pytest.mark.slow
def test_the_recipe_learns_the_climate_of_the_butterfly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("lightning")
    monkeypatch.chdir(tmp_path)
    recipe = str(shipped_recipes()["lorenz63_unconditional"])
    settings = ("trainer.steps=250", "trainer.validate_every=250", "trainer.accelerator=cpu", "trainer.loggers=[]")
    shorter = [part for text in (*settings, "reconstructor.validation_samples=8") for part in ("--set", text)]
    for command in (
        ["simulate", "lorenz63", "runs/lorenz63.nc", "--steps", "6000"],
        ["train", recipe, "--out", "run", *shorter],
        ["sample", "run", "--members", "400", "--out", "drawn.nc"],
    ):
        monkeypatch.setattr(sys, "argv", ["driftfield", *command])
        with pytest.raises(SystemExit) as end:
            main()
        assert not end.value.code, command
    with xr.open_dataset("runs/lorenz63.nc") as world, xr.open_dataset("drawn.nc") as drawn:
        truth = np.stack([world[name].values.ravel() for name in "xyz"])
        found = np.stack([drawn[f"{name}_member"].values.ravel() for name in "xyz"])
    sd = truth.std(axis=1)
    assert np.all(np.abs(found.mean(axis=1) - truth.mean(axis=1)) < 0.3 * sd)
    np.testing.assert_allclose(found.std(axis=1), sd, rtol=0.25)
    assert abs(np.corrcoef(found)[0, 1] - np.corrcoef(truth)[0, 1]) < 0.1
    assert abs(np.corrcoef(found)[0, 2]) < 0.3  # the two wings

"""The commands of learnt worlds as a user types them: a world is simulated, learnt, sampled and forecast."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
import yaml
from commands import Command, hearing_errors

NETWORK = {"class": "CircleUNet", "widths": [4, 8], "depths": [1, 1], "embedding": 8}
TRAINER = {
    "class": "LightningTrainer",
    "steps": 2,
    "batch_size": 4,
    "validate_every": 2,
    "loggers": [],
    "accelerator": "cpu",
}
DATA = {"archive": "world.nc", "targets": ["x"], "split": {"class": "TimeSplit", "validation": 0.2}}
SAMPLER = {"class": "DPMSolverPP2M", "evaluations": 3}


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Command:
    """Runs `driftfield ARGUMENTS` in this process and a folder of its own: exit code and what it says on stderr."""
    monkeypatch.chdir(tmp_path)
    return hearing_errors(capsys)


def recipe(name: str, **learner: Any) -> None:
    content = {"seed": 0, "data": DATA, **learner, "trainer": TRAINER}
    Path(f"{name}.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")


def test_a_world_is_learnt_and_forecast(command: Command) -> None:
    pytest.importorskip("lightning")
    assert command("simulate", "lorenz96", "world.nc", "--steps", "40")[0] == 0
    shared = {"network": NETWORK, "normalizer": {"class": "ZScore"}, "validation_samples": 4}
    recipe("emulator", emulator={"class": "DiffusionEmulator", **shared, "sampler": SAMPLER})
    seen = {"observing": {"observe": {"x": "none"}}, "sampler": SAMPLER}
    recipe("prior", reconstructor={"class": "DiffusionReconstructor", **shared, **seen})
    for name in ("emulator", "prior"):
        assert command("train", f"{name}.yaml", "--out", name)[0] == 0

    assert command("sample", "prior", "--members", "5", "--out", "drawn.nc")[0] == 0
    with xr.open_dataset("drawn.nc") as drawn:
        assert drawn["x_member"].shape == (1, 5, 1, 40)
        assert drawn.attrs["run"] == "prior"
        assert np.isfinite(drawn["x_member"]).all()
    assert command("sample", "prior", "--out", "drawn.nc")[0] == 2
    around = ["sample", "prior", "--around", "world.nc", "--date", "2000-01-05T00", "--members", "3"]
    assert command(*around, "--start-level", "0.02", "--out", "around.nc")[0] == 0
    with xr.open_dataset("around.nc") as drawn, xr.open_dataset("world.nc") as world:
        assert drawn["x_member"].shape == (1, 3, 1, 40)
        assert (drawn.attrs["around"], drawn.attrs["network_evaluations"]) == ("world.nc", 3)
        assert float(abs(drawn["x_member"] - world["x"].sel(time=drawn["time"])).max()) < 1

    forecast = ["forecast", "emulator", "world.nc", "--steps", "3", "--out", "f.nc"]
    begun = ["--start", "2000-01-05T00", "--members", "4", "--perturb", "0.5"]
    assert command(*forecast, *begun)[0] == 0
    with xr.open_dataset("f.nc", decode_timedelta=False) as found:
        assert found["x_member"].shape == (3, 4, 1, 40)
        assert found.attrs["initial"] == "world.nc"
        assert found.attrs["network_evaluations"] == 5  # three of the sampler, two to find where it starts
    # an ensemble of states goes on from the file of another forecast
    assert command("forecast", "emulator", "f.nc", "--start", "2000-01-05T18", "--steps", "2", "--out", "g.nc")[0] == 0
    with xr.open_dataset("g.nc") as found:
        assert found.sizes["member"] == 4

    for arguments, message in (
        ([*forecast, "--overwrite"], "40 dates"),
        ([*forecast, *begun], "exists"),
        ([*forecast, *begun, "--overwrite", "--perturb", "z=1"], "twice|0.5"),
        ([*forecast, *begun, "--overwrite", "--sampler", "Euler"], "Unknown sampler"),
        (["forecast", "prior", *forecast[2:], "--overwrite"], "does not step in time"),
        (["sample", "emulator", "--out", "x.nc"], "Use `driftfield forecast`"),
        (["sample", "prior", "--around", "world.nc", "--out", "x.nc"], "--start-level S together"),
        (["sample", "prior", "--states", "7", "--out", "x.nc"], "leave out --states"),
        (["forecast", "emulator", "missing.nc", *forecast[3:], "--overwrite"], "missing.nc"),
        (["sample", "prior", "--members", "0", "--out", "x.nc"], "--members 0"),
        (["sample", "prior", "--date", "soon", "--out", "x.nc"], "Cannot read the date"),
    ):
        code, said = command(*arguments)
        assert code == 2, said
        assert any(part in said for part in message.split("|")), said


def test_a_recipe_trains_one_thing(command: Command) -> None:
    recipe("both", emulator={"class": "DiffusionEmulator"}, reconstructor={"class": "Climatology"})
    code, said = command("train", "both.yaml", "--out", "run")
    assert code == 2
    assert "a recipe trains one" in said
